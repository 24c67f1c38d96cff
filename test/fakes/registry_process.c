#include "test/fakes/registry_process.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 16

static void run_server(const char *const *options, const int *to_server, const int *from_server)
{
    const char *arguments[ARGUMENTS_MAX] = {"python3", "test/wire/registry_server.py"};
    int count = 2;
    for (; options && *options && count < ARGUMENTS_MAX - 1; options++) {
        arguments[count++] = *options;
    }
    (void)dup2(to_server[0], STDIN_FILENO);
    (void)dup2(from_server[1], STDOUT_FILENO);
    (void)close(to_server[1]);
    (void)close(from_server[0]);
    (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

struct registry_process registry_process_start(const char *const *options)
{
    int to_server[2];
    int from_server[2];
    assert_int_equal(pipe(to_server), 0);
    assert_int_equal(pipe(from_server), 0);
    struct registry_process process = {.pid = fork()};
    assert_true(process.pid >= 0);
    if (process.pid == 0) {
        run_server(options, to_server, from_server);
    }
    (void)close(to_server[0]);
    (void)close(from_server[1]);
    process.commands = fdopen(to_server[1], "w");
    process.replies = fdopen(from_server[0], "r");
    char line[32] = "";
    assert_non_null(fgets(line, sizeof(line), process.replies));
    process.port = (int)strtol(line, NULL, 10);
    assert_true(process.port > 0);
    return process;
}

long registry_process_tell(struct registry_process *process, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(process->commands, format, arguments);
    va_end(arguments);
    (void)fputc('\n', process->commands);
    assert_int_equal(fflush(process->commands), 0);
    char line[64] = "";
    assert_non_null(fgets(line, sizeof(line), process->replies));
    assert_string_not_equal(line, "unknown command\n");
    return strtol(line, NULL, 10);
}

void registry_process_stop(struct registry_process *process)
{
    if (process->pid > 0) {
        (void)kill(process->pid, SIGKILL);
        (void)waitpid(process->pid, NULL, 0);
        (void)fclose(process->commands);
        (void)fclose(process->replies);
    }
    *process = (struct registry_process){0};
}
