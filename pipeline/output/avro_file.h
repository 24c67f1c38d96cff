/*
 * Reads Avro object container files (Avro 1.11 specification) block by block, codec "null" only,
 * as the outputs are. Every length in the file is checked before it is believed.
 */
#ifndef PIPELINE_OUTPUT_AVRO_FILE_H
#define PIPELINE_OUTPUT_AVRO_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/status.h"

#define AVRO_SYNC_BYTES 16

struct avro_file {
    FILE *file;       /* Borrowed. */
    const char *path; /* Borrowed; for messages. */
    unsigned char sync[AVRO_SYNC_BYTES];
    struct byte_buffer schema; /* JSON, not terminated. */
    struct byte_buffer block;  /* The records of the last block. */
};

/* Reads the header. STATUS_INVALID where it is none. Release in any case. */
MUST_CHECK enum status avro_file_init(struct avro_file *self, FILE *file, const char *path,
                                      struct error *error);
void avro_file_release(struct avro_file *self);

/* The next block into self->block, with its number of records; at the end of the file 0. */
MUST_CHECK enum status avro_file_next(struct avro_file *self, uint64_t *ret_count,
                                      struct error *error);

/* Bytes being decoded. A failure sticks: what is read then is 0 or empty. */
struct avro_input {
    const unsigned char *next;
    const unsigned char *end;
    bool has_failed;
};

int64_t avro_input_long(struct avro_input *input);
/* The next `length` bytes, or NULL. */
const unsigned char *avro_input_raw(struct avro_input *input, uint64_t length);

#endif
