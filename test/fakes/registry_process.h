/* Runs test/wire/registry_server.py beside a test. */
#ifndef TEST_FAKES_REGISTRY_PROCESS_H
#define TEST_FAKES_REGISTRY_PROCESS_H

#include <stdio.h>
#include <sys/types.h>

struct registry_process {
    pid_t pid;
    FILE *commands;
    FILE *replies;
    int port;
};

/* `options` ends with NULL and may be NULL. Fails the test where the server does not start. */
struct registry_process registry_process_start(const char *const *options);

/* Sends a command (see the server) and returns the number that it replies, or 0. */
long registry_process_tell(struct registry_process *process, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* kill -9: the port is free again. A process of zeroes is left alone. */
void registry_process_stop(struct registry_process *process);

#endif
