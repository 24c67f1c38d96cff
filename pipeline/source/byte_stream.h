/*
 * The uncompressed bytes of a file or of standard input. gzip (RFC 1952, several members) is
 * recognised by its first bytes and taken apart by zlib. A followed file is read like `tail -F`:
 * at its end it waits to grow, and a replaced or shortened one is read again from its start.
 */
#ifndef PIPELINE_SOURCE_BYTE_STREAM_H
#define PIPELINE_SOURCE_BYTE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

enum stream_event {
    STREAM_BYTES,
    STREAM_WAIT,      /* Nothing at the moment: a followed file or a pipe. */
    STREAM_END,       /* For good; comes again on each call. */
    STREAM_DAMAGED,   /* Compressed data that cannot be read; goes on at the next gzip member. */
    STREAM_TRUNCATED, /* The file ends inside a gzip member; STREAM_END follows. */
    STREAM_REPLACED,  /* Followed file: what comes now is the start of another file. */
};

struct byte_stream;

/* `path` is copied; "-" is standard input. STATUS_INVALID for what is no readable file. */
MUST_CHECK enum status byte_stream_open(const char *path, bool is_followed,
                                        struct byte_stream **ret_stream, struct error *error);
void byte_stream_close(struct byte_stream *stream); /* NULL is a no-op. */

/*
 * Reads up to `room` bytes, at least one on STREAM_BYTES; *ret_read is 0 on every other event.
 * `may_block` waits for a pipe's next bytes; a followed file never blocks.
 */
MUST_CHECK enum status byte_stream_read(struct byte_stream *stream, void *bytes, size_t room,
                                        bool may_block, size_t *ret_read,
                                        enum stream_event *ret_event, struct error *error);

/*
 * Moves to that uncompressed byte, from anywhere where the file allows it, else only forward by
 * reading. STATUS_INVALID where the input is shorter, unless it is followed: a shorter followed
 * file was replaced, and *ret_bytes is then 0. Damage on the way is passed over: it was reported
 * when the bytes before `bytes` were read.
 */
MUST_CHECK enum status byte_stream_seek(struct byte_stream *stream, uint64_t bytes,
                                        uint64_t *ret_bytes, struct error *error);

/* How much of the file is read, 0 to 1; negative where that is not known. */
double byte_stream_progress(const struct byte_stream *stream);

/*
 * The hash of the first `bytes` uncompressed bytes, at most BYTE_STREAM_HEAD_BYTES; those must have
 * been read or jumped over. False where the stream is shorter.
 */
#define BYTE_STREAM_HEAD_BYTES 4096u
bool byte_stream_head_hash(const struct byte_stream *stream, uint64_t bytes, uint64_t *ret_hash);

const char *byte_stream_name(const struct byte_stream *stream); /* For messages. */

#endif
