#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "pipeline/commands/command.h"
#include "pipeline/config/yaml.h"

static const struct command *const commands[] = {
    &command_run,
    &command_check,
    &command_generate,
    &command_describe,
    &command_topics,
    &command_lag,

};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    (void)fprintf(out, "nudge COMMAND ...; nudge COMMAND --help says more\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
}

static int refuse_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
    }
    const char *near = nearest_name(name, names, COMMAND_COUNT);
    (void)fprintf(stderr, "nudge: %s: no such command%s%s%s\n", name, near ? "; did you mean " : "",
                  near ? near : "", near ? "?" : "");
    return 2;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            (void)fputs(command->help, stdout);
            return 0;
        }
    }
    struct error error = {{0}};
    enum status status = command->run(argc, argv, &error);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "nudge: %s\n", error.message);
    }
    return status == STATUS_OK ? 0 : status == STATUS_INVALID ? 2 : 1;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        (void)fprintf(stderr, "nudge: libsodium cannot be used on this machine\n");
        return 1;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0) {
            return run_command(commands[i], argc - 1, argv + 1);
        }
    }
    return refuse_command(argv[1]);
}
