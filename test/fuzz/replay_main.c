/*
 * The main() of a fuzz target in the variants without libFuzzer: runs every file of the given
 * directories through the target once. A crash or a sanitizer report is the failure; so is an
 * empty corpus, which would make a green result mean nothing.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test/fuzz/fuzz.h"

static bool replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    bool ok = file != NULL && data != NULL && fread(data, 1, size, file) == size;

    if (ok) {
        LLVMFuzzerTestOneInput(data, size);
    } else {
        perror(path);
    }
    free(data);
    if (file != NULL) {
        fclose(file);
    }
    return ok;
}

/* Returns the number of files run, or -1. */
static long replay_dir(const char *dir_path)
{
    DIR *dir = opendir(dir_path);
    long count = 0;
    struct dirent *entry;

    if (dir == NULL) {
        perror(dir_path);
        return -1;
    }
    while (count >= 0 && (entry = readdir(dir)) != NULL) {
        char path[4096];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", dir_path, entry->d_name);
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        /* Flushed first, so that the name of the input that crashes is on the screen. */
        printf("%s\n", path);
        fflush(stdout);
        count = replay_file(path, (size_t)st.st_size) ? count + 1 : -1;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    long total = 0;

    for (int i = 1; i < argc; i++) {
        long count = replay_dir(argv[i]);

        if (count < 0) {
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%ld inputs replayed\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
