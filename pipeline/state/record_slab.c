#include "pipeline/state/record_slab.h"

#include <assert.h>
#include <string.h>

#include "pipeline/limits.h"

#define CHUNK_HEADER_BYTES 64u
#define KIND_FREE 0xffu /* In key.kind of a slot that holds no record. */
#define COMPACT_TRIES 16u

/* Stands at the begin of each chunk. */
struct slab_chunk {
    uint32_t index;
    uint32_t next, previous; /* Of the kind's open chunks, or of the empty ones. */
    uint32_t free_slot;      /* First of the given-back slots, or UINT32_MAX. */
    uint32_t cut;            /* Slots cut so far; those behind were never touched. */
    uint32_t used;
    uint8_t kind;
};
static_assert(sizeof(struct slab_chunk) <= CHUNK_HEADER_BYTES, "slots begin behind the header");
static_assert(sizeof(struct record) + TASK_BYTES_MAX + CHUNK_HEADER_BYTES < SLAB_CHUNK_BYTES / 3,
              "a chunk has room for the committed and the working copy of a task");

static struct slab_chunk *chunk_at(const struct record_slab *slab, uint32_t index)
{
    return (struct slab_chunk *)(void *)(slab->memory + (size_t)index * SLAB_CHUNK_BYTES);
}

static struct slab_chunk *chunk_of(const struct record_slab *slab, const struct record *record)
{
    size_t offset = (size_t)((const unsigned char *)record - slab->memory);
    return chunk_at(slab, (uint32_t)(offset / SLAB_CHUNK_BYTES));
}

static struct record *slot_at(const struct record_slab *slab, struct slab_chunk *chunk,
                              uint32_t slot)
{
    return (struct record *)(void *)((unsigned char *)chunk + CHUNK_HEADER_BYTES +
                                     (size_t)slot * slab->slot_bytes[chunk->kind]);
}

void record_slab_init(struct record_slab *slab, const struct record_layout *layout, void *memory,
                      uint32_t chunks_max)
{
    *slab = (struct record_slab){
        .memory = memory, .chunks_max = chunks_max, .free_chunk = SLAB_NO_CHUNK};
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        slab->open_chunk[kind] = SLAB_NO_CHUNK;
        if (layout->bytes[kind] == 0) {
            continue;
        }
        /* Whole cache lines, so that a record's header is always in one. */
        slab->slot_bytes[kind] =
            ((uint32_t)sizeof(struct record) + layout->bytes[kind] + 63u) & ~63u;
        slab->slots_of_chunk[kind] =
            (SLAB_CHUNK_BYTES - CHUNK_HEADER_BYTES) / slab->slot_bytes[kind];
    }
}

static void open_push(struct record_slab *slab, struct slab_chunk *chunk)
{
    uint32_t first = slab->open_chunk[chunk->kind];
    chunk->next = first;
    chunk->previous = SLAB_NO_CHUNK;
    if (first != SLAB_NO_CHUNK) {
        chunk_at(slab, first)->previous = chunk->index;
    }
    slab->open_chunk[chunk->kind] = chunk->index;
}

static void open_remove(struct record_slab *slab, struct slab_chunk *chunk)
{
    if (chunk->previous == SLAB_NO_CHUNK) {
        slab->open_chunk[chunk->kind] = chunk->next;
    } else {
        chunk_at(slab, chunk->previous)->next = chunk->next;
    }
    if (chunk->next != SLAB_NO_CHUNK) {
        chunk_at(slab, chunk->next)->previous = chunk->previous;
    }
}

/* Makes an empty or new chunk one of `kind`. */
static bool open_chunk(struct record_slab *slab, uint8_t kind)
{
    uint32_t index = slab->free_chunk;
    if (index != SLAB_NO_CHUNK) {
        slab->free_chunk = chunk_at(slab, index)->next;
    } else if (slab->chunks_used < slab->chunks_max) {
        index = slab->chunks_used++;
    } else {
        return false;
    }
    struct slab_chunk *chunk = chunk_at(slab, index);
    *chunk = (struct slab_chunk){.index = index, .free_slot = UINT32_MAX, .kind = kind};
    slab->free_slots[kind] += slab->slots_of_chunk[kind];
    slab->chunks_of[kind]++;
    open_push(slab, chunk);
    return true;
}

static struct record *take_slot(struct record_slab *slab, struct slab_chunk *chunk)
{
    struct record *record;
    if (chunk->free_slot != UINT32_MAX) {
        record = slot_at(slab, chunk, chunk->free_slot);
        memcpy(&chunk->free_slot, record, sizeof(chunk->free_slot));
    } else {
        record = slot_at(slab, chunk, chunk->cut++);
    }
    record->key.kind = chunk->kind;
    chunk->used++;
    slab->free_slots[chunk->kind]--;
    if (chunk->used == slab->slots_of_chunk[chunk->kind]) {
        open_remove(slab, chunk);
    }
    return record;
}

struct record *record_slab_take(struct record_slab *slab, uint8_t kind)
{
    assert(slab->slot_bytes[kind] > 0);
    if (slab->open_chunk[kind] == SLAB_NO_CHUNK && !open_chunk(slab, kind)) {
        return NULL;
    }
    return take_slot(slab, chunk_at(slab, slab->open_chunk[kind]));
}

static void release_chunk(struct record_slab *slab, struct slab_chunk *chunk)
{
    slab->free_slots[chunk->kind] -= slab->slots_of_chunk[chunk->kind] - chunk->used;
    slab->chunks_of[chunk->kind]--;
    chunk->next = slab->free_chunk;
    slab->free_chunk = chunk->index;
}

void record_slab_give(struct record_slab *slab, struct record *record)
{
    struct slab_chunk *chunk = chunk_of(slab, record);
    assert(record->key.kind == chunk->kind);
    uint32_t slot_bytes = slab->slot_bytes[chunk->kind];
    size_t offset = (size_t)((unsigned char *)record - (unsigned char *)chunk);
    uint32_t slot = (uint32_t)((offset - CHUNK_HEADER_BYTES) / slot_bytes);
    memcpy(record, &chunk->free_slot, sizeof(chunk->free_slot));
    record->key.kind = KIND_FREE;
    chunk->free_slot = slot;
    if (chunk->used == slab->slots_of_chunk[chunk->kind]) {
        open_push(slab, chunk);
    }
    chunk->used--;
    slab->free_slots[chunk->kind]++;
    if (chunk->used == 0) {
        open_remove(slab, chunk);
        release_chunk(slab, chunk);
    }
}

static bool chunk_may_move(const struct record_slab *slab, struct slab_chunk *chunk,
                           slab_may_move *may_move, void *context)
{
    for (uint32_t slot = 0; slot < chunk->cut; slot++) {
        const struct record *record = slot_at(slab, chunk, slot);
        if (record->key.kind != KIND_FREE && !may_move(context, record)) {
            return false;
        }
    }
    return true;
}

bool record_slab_compact(struct record_slab *slab, uint8_t kind, slab_may_move *may_move,
                         slab_moved *moved, void *context)
{
    assert(slab->free_slots[kind] >= slab->slots_of_chunk[kind]);
    struct slab_chunk *chunk = NULL;
    uint32_t index = slab->open_chunk[kind];
    for (uint32_t i = 0; i < COMPACT_TRIES && index != SLAB_NO_CHUNK; i++) {
        struct slab_chunk *candidate = chunk_at(slab, index);
        if (chunk_may_move(slab, candidate, may_move, context)) {
            chunk = candidate;
            break;
        }
        index = candidate->next;
    }
    if (!chunk) {
        return false;
    }
    open_remove(slab, chunk);
    for (uint32_t slot = 0; slot < chunk->cut; slot++) {
        struct record *from = slot_at(slab, chunk, slot);
        if (from->key.kind != KIND_FREE) {
            struct record *to = take_slot(slab, chunk_at(slab, slab->open_chunk[kind]));
            memcpy(to, from, slab->slot_bytes[kind]);
            moved(context, from, to);
        }
    }
    slab->free_slots[kind] += chunk->used;
    chunk->used = 0;
    release_chunk(slab, chunk);
    return true;
}
