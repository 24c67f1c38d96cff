/* The framing of an Avro container file: its header, and one block's codec. */
#ifndef PIPELINE_SOURCE_AVRO_CONTAINER_H
#define PIPELINE_SOURCE_AVRO_CONTAINER_H

#include "pipeline/source/read_window.h"

#define AVRO_SYNC_BYTES 16u
#define AVRO_HEADER_BYTES_MAX 16777216u
#define AVRO_BLOCK_BYTES_MAX 67108864u /* Compressed or not. */

enum avro_codec { AVRO_CODEC_NULL, AVRO_CODEC_DEFLATE };

struct avro_header {
    struct text schema; /* JSON; points into the parsed bytes. */
    enum avro_codec codec;
    unsigned char sync[AVRO_SYNC_BYTES];
    size_t bytes; /* Length of the header. */
};

enum avro_header_result { AVRO_HEADER_OK, AVRO_HEADER_CUT, AVRO_HEADER_BAD };

/* AVRO_HEADER_CUT: more bytes are needed. AVRO_HEADER_BAD sets `error` to what is wrong. */
enum avro_header_result avro_header_parse(const char *name, struct text bytes,
                                          struct avro_header *ret_header, struct error *error);

enum avro_inflate_result { AVRO_INFLATED, AVRO_INFLATE_DAMAGED, AVRO_INFLATE_NO_MEMORY };

/*
 * Inflates one block (raw deflate, RFC 1951) into memory of the window. Damaged is also a block
 * that comes to more than AVRO_BLOCK_BYTES_MAX. `size_hint` is kept by the caller from block to
 * block, so that most blocks fit at the first attempt.
 */
enum avro_inflate_result avro_inflate(struct read_window *window, struct text packed,
                                      size_t *size_hint, struct text *ret_plain);

#endif
