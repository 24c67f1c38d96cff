/* A password or token from a file or the environment. It appears in no message. */
#ifndef PIPELINE_WIRE_SECRET_H
#define PIPELINE_WIRE_SECRET_H

#include <stdbool.h>

#include "pipeline/base/status.h"

#define SECRET_BYTES_MAX 4096

/*
 * Reads the content of `file`, or of the environment variable `variable`; both NULL: *ret_secret is
 * NULL. Blanks and line ends around it are left out. `setting` names it in messages, as in
 * "schema_registry.password". Release with secret_release(). STATUS_INVALID: both are given, it
 * cannot be read, is empty, too long, or has control characters.
 */
MUST_CHECK enum status secret_read(const char *setting, const char *file, const char *variable,
                                   char **ret_secret, struct error *error);

/* Overwrites and frees it. NULL is a no-op. */
void secret_release(char *secret);

#endif
