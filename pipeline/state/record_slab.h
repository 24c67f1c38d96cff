/*
 * Memory for records: chunks of equal size, each cut into slots of one entity kind. A chunk that
 * has become empty may serve another kind. One cache's, one thread.
 */
#ifndef PIPELINE_STATE_RECORD_SLAB_H
#define PIPELINE_STATE_RECORD_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/state/record.h"

#define SLAB_CHUNK_BYTES 262144u
#define SLAB_NO_CHUNK UINT32_MAX

struct slab_chunk;

struct record_slab {
    unsigned char *memory; /* Borrowed; aligned to a chunk. */
    uint32_t chunks_max;
    uint32_t chunks_used;                   /* Cut so far; rises only. */
    uint32_t free_chunk;                    /* First of the empty ones, or SLAB_NO_CHUNK. */
    uint32_t open_chunk[ENTITY_KIND_COUNT]; /* First with a free slot, or SLAB_NO_CHUNK. */
    uint32_t slot_bytes[ENTITY_KIND_COUNT]; /* 0: the kind has no records. */
    uint32_t slots_of_chunk[ENTITY_KIND_COUNT];
    uint32_t chunks_of[ENTITY_KIND_COUNT];
    uint64_t free_slots[ENTITY_KIND_COUNT];
};

/* `memory` has room for `chunks_max` chunks and is aligned to SLAB_CHUNK_BYTES. */
void record_slab_init(struct record_slab *slab, const struct record_layout *layout, void *memory,
                      uint32_t chunks_max);

/* An uninitialised record of that kind, or NULL when neither a slot nor a chunk is left. */
struct record *record_slab_take(struct record_slab *slab, uint8_t kind);

void record_slab_give(struct record_slab *slab, struct record *record);

/*
 * Empties one chunk of `kind`, whose free slots must be at least a chunk full, for use by any kind.
 * Each record in it is copied to a free slot; `moved` repoints whoever holds it, or returns false
 * when the record must stay, which is asked of all before the first one moves. False when no chunk
 * could be emptied.
 */
typedef bool slab_may_move(void *context, const struct record *record);
typedef void slab_moved(void *context, const struct record *from, struct record *to);
bool record_slab_compact(struct record_slab *slab, uint8_t kind, slab_may_move *may_move,
                         slab_moved *moved, void *context);

#endif
