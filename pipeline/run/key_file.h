/* The secret that pseudonyms are made with. */
#ifndef PIPELINE_RUN_KEY_FILE_H
#define PIPELINE_RUN_KEY_FILE_H

#include <stdbool.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/status.h"

/*
 * Derives the key from the content of `file`, or of the environment variable `variable`; both may
 * be NULL: then the key is a public constant and *ret_is_own is false. A secret has 16 to 4,096
 * bytes; a line end behind it in the file does not count. The secret itself appears in no message.
 */
MUST_CHECK enum status key_file_read(const char *file, const char *variable,
                                     struct pseudonym_key *ret_key, bool *ret_is_own,
                                     struct error *error);

#endif
