/*
 * The bytes of a stream in large blocks. The window is the part that is read and not yet given
 * away; what was given away stays where it is until it is released, so that nobody copies it. A
 * window always lies in one piece: one that reaches the end of its block moves to the next.
 */
#ifndef PIPELINE_SOURCE_READ_WINDOW_H
#define PIPELINE_SOURCE_READ_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"
#include "pipeline/source/byte_stream.h"

struct read_block;

struct read_window {
    struct byte_stream *stream; /* Borrowed. */
    struct read_block *current; /* Owned; NULL before the first fill. */
    struct read_block *held;    /* Owned. Blocks with bytes that were given away. */
    struct read_block *spare;   /* Owned. */
    const char *data;           /* First byte of the window. */
    size_t length;
    uint64_t data_bytes; /* Place of `data` in the stream. */
    size_t held_bytes;   /* Memory held since the last recycle. */
    unsigned spare_count;
};

/* Zeroed memory with a stream is an empty window at the stream's start. */
void read_window_release_all(struct read_window *window);

/*
 * Reads more behind the window. `data` may move; bytes given away do not. On any event but
 * STREAM_BYTES the window is as before.
 */
MUST_CHECK enum status read_window_fill(struct read_window *window, bool may_block,
                                        enum stream_event *ret_event, struct error *error);

/* Gives `count` bytes at the window's start away: they stay valid until the next release. */
void read_window_take(struct read_window *window, size_t count);

/* Forgets the window's first `count` bytes, which nobody may have been given. */
void read_window_skip(struct read_window *window, size_t count);

/* Forgets all bytes of the window, which nobody may have been given, and the place of its start. */
void read_window_drop(struct read_window *window);

/* The stream stands at `bytes` now: empties the window. */
void read_window_restart(struct read_window *window, uint64_t bytes);

/* Memory for `bytes` bytes that lives like bytes given away; with padding. NULL: out of memory. */
char *read_window_extra(struct read_window *window, size_t bytes);

/* Reuses all blocks but that of the window and those that hold the two kept texts. */
void read_window_recycle(struct read_window *window, struct text kept, struct text also_kept);

#endif
