/* Helpers that tests share. */
#ifndef TEST_FAKES_FIXTURE_H
#define TEST_FAKES_FIXTURE_H

#include <stdbool.h>

/* Makes an empty folder below the temporary directory; returns a path to free(). */
char *fixture_directory(void);

/* Removes the folder and what is in it. */
void fixture_remove(const char *directory);

/* Makes a file of `text` at `path`, in place of what was there. */
void fixture_write(const char *path, const char *text);

#endif
