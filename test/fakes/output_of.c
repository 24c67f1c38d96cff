#include "test/fakes/output_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#define OUTPUT_BYTES_MAX 4194304u

char *output_of(int *ret_code, const char *format, ...)
{
    char command[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    assert_true(length > 0 && length < (int)sizeof(command));
    char *output = malloc(OUTPUT_BYTES_MAX);
    assert_non_null(output);
    FILE *pipe = popen(command, "r"); /* NOLINT(bugprone-command-processor): of a test. */
    assert_non_null(pipe);
    size_t bytes = fread(output, 1, OUTPUT_BYTES_MAX - 1, pipe);
    output[bytes] = '\0';
    int status = pclose(pipe);
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return output;
}
