/* What the files of the record cache share. */
#ifndef PIPELINE_STATE_RECORD_CACHE_INTERNAL_H
#define PIPELINE_STATE_RECORD_CACHE_INTERNAL_H

#include <stdbool.h>
#include <string.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/record_ring.h"
#include "pipeline/state/record_table.h"

#define TAKE_BLOCK 4096u /* Keys that one pass of take() handles. */

/* A working copy of the transaction. */
struct taken_record {
    void *unknown_parts; /* Owned; the record's at first, but whoever has it may make it new. */
    uint32_t unknown_bytes;
    uint32_t entry;
};

/*
 * What is committed is kept as it is stored and logged, encoded, in the ring; the transaction's
 * working copies, decoded, stand one after the other in memory of their own. All of it is one
 * mapping of at most `bytes_max`, laid out at creation; pages that were never touched cost nothing.
 */
struct record_cache {
    const struct record_layout *layout;
    struct state_store *store;
    struct record_cache_stats stats;
    void *mapping;
    size_t mapping_bytes;

    struct record_table table;
    struct record_ring ring;
    struct cache_entry *entries;
    uint32_t entries_max;
    uint32_t entries_cut; /* From the last one down; those before were never touched. */
    uint32_t free_entry;  /* First of the given-back ones, or CACHE_NO_ENTRY. */

    /* The transaction, in order of the first take; working copies in memory of their own. */
    struct taken_record *taken;
    uint32_t taken_count, taken_max;
    unsigned char *working;
    size_t working_bytes, working_bytes_max;
    size_t slot_bytes[ENTITY_KIND_COUNT];       /* Of a working copy. */
    size_t encoded_size_max[ENTITY_KIND_COUNT]; /* Without unknown parts. */
    size_t taken_encoded_bytes;                 /* Upper bound of their encoded size. */
    size_t taken_ring_bytes;                    /* Of the room that they will need. */
    bool is_encoded;                            /* encode_changes() has been called. */

    /* Dirty entries by the position of their first commit that is not in the store. */
    uint32_t dirty_head, dirty_tail;
    size_t dirty_bytes;         /* Of the ring. */
    uint64_t claimed_max;       /* Dirty records and those taken. */
    size_t claimed_bytes_max;   /* In tests fewer than there is room for. */
    size_t largest_piece;       /* Of the ring. */
    uint64_t complete_position; /* All of the log up to here is in cache or store. */
    uint32_t slice_records;

    /* Scratch. */
    unsigned char *encoded; /* The transaction's changes. */
    size_t encoded_bytes_max;
    struct changelog_entry *changes; /* [taken_max] */
    struct store_put *puts;          /* [3 * slice_records] */
    uint32_t *slice;                 /* [slice_records] */
    uint32_t *found;                 /* [TAKE_BLOCK] entry of each key */
    uint32_t *hashes;                /* [TAKE_BLOCK] */
    uint32_t *missed;                /* [TAKE_BLOCK] entries to load */
    struct store_key *load_keys;     /* [TAKE_BLOCK] */
    struct store_value *load_values; /* [TAKE_BLOCK] */
};

/* record_cache_memory.c */
MUST_CHECK enum status cache_map_memory(struct record_cache *cache,
                                        const struct record_cache_options *options,
                                        struct error *error);
/* A new entry for `key`, in the table; CACHE_NO_ENTRY when all are needed. May evict. */
uint32_t cache_entry_add(struct record_cache *cache, struct record_key key, uint32_t hash);
/* Forgets a clean entry that is not taken. */
void cache_entry_remove(struct record_cache *cache, uint32_t index);
/* Makes a copy of `bytes` what is committed. May evict. False, with nothing committed, when all of
 * the ring is needed. */
bool cache_entry_store(struct record_cache *cache, uint32_t index, const void *bytes,
                       uint32_t length);

/*
 * What dirty records and those of the transaction may have of the ring: three quarters. The old
 * copies of the latter, which live until the commit, have the rest, so that a commit finds room.
 */
static inline size_t cache_claimed_bytes_max(const struct record_cache *cache)
{
    size_t claimed = cache->ring.capacity / 4 * 3;
    return claimed < cache->claimed_bytes_max ? claimed : cache->claimed_bytes_max;
}

/* record_write_back.c */
void cache_mark_dirty(struct record_cache *cache, uint32_t index, uint64_t log_position);

/* When the timer index has what is committed; TIMER_NONE: not at all. */
static inline int64_t cache_entry_index_ms(const struct cache_entry *entry)
{
    int64_t index_ms;
    memcpy(&index_ms, entry->committed + RECORD_INDEX_AT, sizeof(index_ms));
    return index_ms;
}

/* Asks for all of what is committed. */
RECORD_PREFETCHES void cache_prefetch_committed(const struct cache_entry *entry)
{
    for (uint32_t at = 0; entry->committed && at < entry->length + 63; at += 64) {
        __builtin_prefetch(entry->committed + at);
    }
}

#endif
