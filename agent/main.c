/* redis-pod-agent: picks the command, parses the options, runs it. */
#include "agent/cmd/cmd.h"
#include "agent/shell/exit_code.h"

extern char **environ;

struct command {
    const char *name;
    int (*run)(struct options *o);
    const char *help;
};

#define COMMAND_ROW(name, function, help) {(name), (function), (help)},
static const struct command commands[] = {COMMANDS(COMMAND_ROW)};

static void print_help(void)
{
    AUTO_BUF struct buf out;
    buf_init(&out, OPTIONS_ERRORS_MAX);
    buf_add_str(
        &out,
        "redis-pod-agent runs beside a Redis or Valkey on Kubernetes and keeps its Pod's role\n"
        "label true, so that plain Services follow a failover.\n\n"
        "usage: redis-pod-agent [COMMAND] [--option VALUE]...\n\ncommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        buf_addf(&out, "  %-14s %s\n", commands[i].name, commands[i].help);
    }
    buf_add_str(
        &out, "\noptions (a flag wins over the environment; secrets are read from files only):\n");
    options_write_help(&out);
    buf_add_str(&out, "\nexit codes:\n");
#define EXIT_CODE_LINE(name, number, text) buf_addf(&out, "  %-3d %s\n", number, text);
    EXIT_CODES(EXIT_CODE_LINE)
#undef EXIT_CODE_LINE
    (void)fputs(buf_str(&out), stdout);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    bool named = argc > 1 && argv[1][0] != '-';
    const char *name = named ? argv[1] : "run";
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        return cmd_version(NULL);
    }
    if (strcmp(name, "help") == 0) {
        print_help();
        return EXIT_CODE_OK;
    }
    const struct command *command = find_command(name);
    if (command == NULL) {
        (void)fprintf(stderr, "'%s': no such command; redis-pod-agent --help lists them\n", name);
        return EXIT_CODE_USAGE;
    }
    struct options options;
    options_parse(&options, argc - (named ? 1 : 0), argv + (named ? 1 : 0), environ);
    int code;
    if (options.help) {
        print_help();
        code = EXIT_CODE_OK;
    } else if (options.errors.len > 0 && command->run != cmd_run &&
               command->run != cmd_check_config && command->run != cmd_print_config) {
        code = cmd_report_errors(&options);
    } else {
        code = command->run(&options);
    }
    options_release(&options);
    return code;
}
