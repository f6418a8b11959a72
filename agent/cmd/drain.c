#include "agent/shell/drain.h"

#include <stdio.h>
#include <string.h>

#include "agent/cmd/ask.h"
#include "agent/cmd/cmd.h"
#include "agent/shell/exit_code.h"

#define HANDOVER_AFTER_TIME " ms  " /* in each line, between its time and its text */
#define VERDICT_GRACE_MS (DRAIN_GRACE_MS + 5000)

/* The last line so far; it is complete, and the verdict, when the answer is over. */
struct last_line {
    char text[HANDOVER_LINE_TEXT_MAX];
    size_t len;
    bool ended; /* the next byte begins a new one */
};

static void on_bytes(void *arg, struct sv bytes)
{
    struct last_line *l = arg;
    (void)fwrite(bytes.ptr, 1, bytes.len, stdout);
    (void)fflush(stdout);
    for (size_t i = 0; i < bytes.len; i++) {
        if (l->ended) {
            l->len = 0;
            l->ended = false;
        }
        if (bytes.ptr[i] == '\n') {
            l->ended = true;
        } else if (l->len < sizeof l->text - 1) {
            l->text[l->len++] = bytes.ptr[i];
        }
        l->text[l->len] = '\0';
    }
}

static bool is_good(const struct last_line *l)
{
    static const enum handover_verdict good[] = {HANDOVER_DONE, HANDOVER_NOTHING, HANDOVER_OFF};
    const char *text = strstr(l->text, HANDOVER_AFTER_TIME);
    for (size_t i = 0; text != NULL && i < ARRAY_LEN(good); i++) {
        const char *verdict = handover_verdict_text(good[i]);
        if (strncmp(text + strlen(HANDOVER_AFTER_TIME), verdict, strlen(verdict)) == 0) {
            return true;
        }
    }
    return false;
}

int cmd_drain(struct options *o)
{
    struct last_line last = {.len = 0};
    struct ask ask = {.method = "POST",
                      .path = DRAIN_PATH,
                      .header = DRAIN_HEADER ": " DRAIN_HEADER_VALUE,
                      .timeout_ms = option_number(o, OPT_DRAIN_TIMEOUT) * 1000 + VERDICT_GRACE_MS,
                      .chunk = on_bytes,
                      .arg = &last};
    int code = ask_agent(o, &ask);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    return is_good(&last) ? EXIT_CODE_OK : EXIT_CODE_FAILURE;
}
