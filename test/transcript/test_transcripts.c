/* Each .tr file of this folder: its events are given to a core on virtual time, and what comes
 * of it is compared, line by line, with what stands there.
 *
 *   [   120.000] sentinel 1 dies        an event, at 120 ms
 *   [   120.500] > PATCH …              what the core did, and when
 *   # …                                 a comment
 *
 * `test_transcripts --write FILE…` writes what comes of the events into the files. What is in
 * there afterwards is what the core does, not what it should do: it has to be read. */
#include <cmocka.h>
#include <dirent.h>

#include "lib/base/mem.h"
#include "test/transcript/world.h"

#define DIR_PATH TEST_SOURCE_DIR "/transcript"
#define FILE_BYTES_MAX (256 * 1024)

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return NULL;
    }
    char *text = xcalloc(1, FILE_BYTES_MAX);
    size_t len = fread(text, 1, FILE_BYTES_MAX - 1, f);
    (void)fclose(f);
    text[len] = '\0';
    return text;
}

/* "[  120.000] words": the time in microseconds, and the words; false: not of this form. */
static bool split_line(struct sv line, uint64_t *ret_us, struct sv *ret_words)
{
    uint64_t ms;
    uint64_t us = 0;
    if (line.len < 2 || line.ptr[0] != '[') {
        return false;
    }
    struct sv rest = {line.ptr + 1, line.len - 1};
    struct sv time = sv_trim(sv_split(&rest, ']'));
    struct sv whole = sv_split(&time, '.');
    if (rest.ptr == NULL || !sv_to_u64(whole, &ms)) {
        return false;
    }
    if (time.ptr != NULL && (time.len != 3 || !sv_to_u64(time, &us))) {
        return false;
    }
    *ret_us = ms * 1000 + us;
    *ret_words = sv_trim(rest);
    return true;
}

/* Writes into w->out what the file should be. False: *ret_bad is a line that nobody understands.
 * A comment belongs to the event below it. */
static bool perform(struct world *w, struct sv text, struct sv *ret_bad)
{
    uint64_t last_us = 0;
    struct sv comments = {text.ptr, 0};
    while (text.len > 0) {
        uint64_t at_us = 0;
        struct sv words;
        struct sv line = sv_split(&text, '\n');
        if (line.len == 0 || line.ptr[0] == '#') {
            comments.len += line.len + 1;
            continue;
        }
        *ret_bad = line;
        if (!split_line(line, &at_us, &words) || at_us < last_us) {
            return false;
        }
        if (words.len == 0 || words.ptr[0] != '>') {
            last_us = at_us;
            world_run_until(w, at_us);
            buf_add_sv(&w->out, comments);
            world_print_line(w, at_us, words);
            if (!world_obey(w, words)) {
                return false;
            }
        }
        comments = (struct sv){line.ptr + line.len + 1, 0};
    }
    buf_add_sv(&w->out, comments);
    return true;
}

static void fail_at_difference(const char *name, struct sv is, struct sv wanted)
{
    for (unsigned n = 1;; n++) {
        struct sv a = sv_split(&is, '\n');
        struct sv b = sv_split(&wanted, '\n');
        if (!sv_eq(a, b) || is.ptr == NULL || wanted.ptr == NULL) {
            fail_msg("%s:%u:\n  is:     %.*s\n  wanted: %.*s", name, n, SV_ARG(a), SV_ARG(b));
        }
    }
}

static void run_file(void **state)
{
    const char *name = *state;
    char path[512];
    struct world w;
    struct sv bad = SV("");
    (void)snprintf(path, sizeof path, "%s/%s", DIR_PATH, name);
    AUTO_FREE char *text = read_file(path);
    assert_non_null(text);
    world_init(&w);
    if (!perform(&w, sv_from(text), &bad)) {
        fail_msg("%s: not understood, or in the past: %.*s", name, SV_ARG(bad));
    }
    if (strcmp(buf_str(&w.out), text) != 0) {
        fail_at_difference(name, buf_sv(&w.out), sv_from(text));
    }
    world_release(&w);
}

static int write_files(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        struct world w;
        struct sv bad = SV("");
        AUTO_FREE char *text = read_file(paths[i]);
        world_init(&w);
        if (text == NULL || !perform(&w, sv_from(text), &bad)) {
            (void)fprintf(stderr, "%s: not understood: %.*s\n", paths[i], SV_ARG(bad));
            return 1;
        }
        FILE *f = fopen(paths[i], "w");
        if (f == NULL || fputs(buf_str(&w.out), f) < 0 || fclose(f) != 0) {
            perror(paths[i]);
            return 1;
        }
        world_release(&w);
    }
    return 0;
}

static int is_transcript(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');
    return dot != NULL && strcmp(dot, ".tr") == 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--write") == 0) {
        return write_files(argc - 2, argv + 2);
    }
    struct dirent **files = NULL;
    int count = scandir(DIR_PATH, &files, is_transcript, alphasort);
    if (count <= 0) {
        (void)fprintf(stderr, "no transcript in %s\n", DIR_PATH);
        return 1;
    }
    struct CMUnitTest *tests = xcalloc((size_t)count, sizeof tests[0]);
    for (int i = 0; i < count; i++) {
        tests[i] = (struct CMUnitTest){.name = files[i]->d_name,
                                       .test_func = run_file,
                                       .initial_state = files[i]->d_name};
    }
    int failed = _cmocka_run_group_tests("transcripts", tests, (size_t)count, NULL, NULL);
    for (int i = 0; i < count; i++) {
        free(files[i]);
    }
    free(files);
    free(tests);
    return failed;
}
