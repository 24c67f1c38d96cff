#include "pipeline/base/arena.h"

#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    size_t bytes;
    _Alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *arena, size_t block_bytes)
{
    assert(block_bytes > 0);
    *arena = (struct arena){.block_bytes = block_bytes};
}

void arena_reset(struct arena *arena)
{
    arena->current = arena->first;
    arena->used_bytes = 0;
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *block = arena->first; block;) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct arena){.block_bytes = arena->block_bytes};
}

/* Makes `current` a block with room for `bytes`: a kept one that is large enough, or a new one. */
static int arena_advance(struct arena *arena, size_t bytes)
{
    while (arena->current && arena->current->next) {
        arena->current = arena->current->next;
        arena->used_bytes = 0;
        if (arena->current->bytes >= bytes) {
            return 1;
        }
    }
    size_t size = bytes > arena->block_bytes ? bytes : arena->block_bytes;
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (!block) {
        return 0;
    }
    block->next = NULL;
    block->bytes = size;
    if (arena->current) {
        arena->current->next = block;
    } else {
        arena->first = block;
    }
    arena->current = block;
    arena->used_bytes = 0;
    return 1;
}

void *arena_take(struct arena *arena, size_t bytes)
{
    const size_t align = _Alignof(max_align_t);
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t rounded = (bytes + align - 1) & ~(align - 1);
    if (!arena->current || rounded > arena->current->bytes - arena->used_bytes) {
        if (!arena_advance(arena, rounded)) {
            return NULL;
        }
    }
    void *piece = arena->current->data + arena->used_bytes;
    arena->used_bytes += rounded;
    return piece;
}
