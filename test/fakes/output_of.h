/* What another program says. */
#ifndef TEST_FAKES_OUTPUT_OF_H
#define TEST_FAKES_OUTPUT_OF_H

/*
 * Runs the shell command and returns its standard output, to free(); *ret_code is its exit code.
 */
char *output_of(int *ret_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
