/* Memory that lives as long as one batch: taken piece by piece, given back all at once. */
#ifndef PIPELINE_BASE_ARENA_H
#define PIPELINE_BASE_ARENA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* A chain of blocks; blocks are kept when the arena is reset, so that a warm batch never allocates.
 */
struct arena_block;
struct arena {
    struct arena_block *first; /* Owned. */
    struct arena_block *current;
    size_t used_bytes; /* In `current`. */
    size_t block_bytes;
};

/* The first block of `block_bytes` is allocated on the first take. */
void arena_init(struct arena *arena, size_t block_bytes);

/* Gives every piece back at once; keeps the blocks. */
void arena_reset(struct arena *arena);

/* Frees the blocks. The arena may be initialised again. A zeroed one is left as it is. */
void arena_release(struct arena *arena);

/*
 * Returns `bytes` uninitialised bytes aligned for any type, or NULL when memory is exhausted.
 * Pieces larger than a block get a block of their own.
 */
void *arena_take(struct arena *arena, size_t bytes);

#define arena_array(arena, type, count)                                                            \
    ((type *)arena_take((arena), sizeof(type) * (size_t)(count)))

#endif
