/*
 * Where a training stands, as a file of parts in bytes of this machine's order, with the hash of
 * the training that they belong to and a checksum. It is written beside and renamed, so that there
 * is a whole one at any time. Threads: one writer a path.
 */
#ifndef MODELS_CHECKPOINT_FILE_H
#define MODELS_CHECKPOINT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define CHECKPOINT_PARTS_MAX 8u

struct checkpoint_part {
    void *bytes;     /* [length]. Borrowed; before a read NULL: of a length that the file says. */
    uint64_t length; /* In bytes. */
};

/* `training` says which training it is. STATUS_FATAL where it cannot be written. */
MUST_CHECK enum status checkpoint_file_write(const char *path, uint64_t training,
                                             const struct checkpoint_part *parts, uint32_t count,
                                             struct error *error);

/*
 * Fills the parts; those without bytes are allocated and are the caller's, freed with free().
 * Leaves them as they are, and ret_is_there false, where there is no file. STATUS_INVALID for
 * another training's file or a damaged one; what parts had bytes then have any.
 */
MUST_CHECK enum status checkpoint_file_read(const char *path, uint64_t training,
                                            struct checkpoint_part *parts, uint32_t count,
                                            bool *ret_is_there, struct error *error);

#endif
