#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "pipeline/commands/command.h"
#include "pipeline/config/yaml.h"

static const struct command *const commands[] = {
    &command_run,  &command_check,   &command_generate, &command_describe, &command_train,
    &command_eval, &command_explain, &command_topics,   &command_lag,      &command_pseudonym,
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

/*
 * A standard stream that came closed keeps its number, else a file of ours would get it and what is
 * printed would end there. Using it fails, as it should.
 */
static void keep_standard_streams(void)
{
    for (int stream = 0; stream <= 2; stream++) {
        if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) {
            (void)open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);
        }
    }
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* What was printed must have arrived: a closed pipe or a full disk is a failure like any other. */
static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return 0;
    }
    (void)fprintf(stderr, "nudge: standard output: %s\n", strerror(errno));
    return 1;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (is_help(argv[i])) {
            (void)fputs(command->help, stdout);
            return finish_output();
        }
    }
    struct error error = {{0}};
    enum status status = command->run(argc, argv, &error);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "nudge: %s\n", error.message);
        return status == STATUS_INVALID ? 2 : 1;
    }
    return finish_output();
}

int main(int argc, char **argv)
{
    keep_standard_streams();
    if (sodium_init() < 0) {
        (void)fprintf(stderr, "nudge: libsodium cannot be used on this machine\n");
        return 1;
    }
    /* A reader that goes away is an error of the write that finds out, not the end of the run. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
        print_usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : finish_output();
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0) {
            return run_command(commands[i], argc - 1, argv + 1);
        }
    }
    return refuse_command(argv[1]);
}
