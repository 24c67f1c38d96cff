/* What the files of the record cache share. */
#ifndef PIPELINE_STATE_RECORD_CACHE_INTERNAL_H
#define PIPELINE_STATE_RECORD_CACHE_INTERNAL_H

#include <stdbool.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/record_slab.h"
#include "pipeline/state/record_table.h"

#define TAKE_BLOCK 4096u /* Keys that one pass of take() handles. */

/*
 * All memory but the unknown parts is one mapping of at most `bytes_max`, laid out at creation;
 * pages that were never touched cost nothing.
 */
struct record_cache {
    const struct record_layout *layout;
    struct state_store *store;
    struct record_cache_stats stats;
    void *mapping;
    size_t mapping_bytes;

    struct record_table table;
    struct record_slab slab;
    struct cache_entry *entries;
    uint32_t entries_max;
    uint32_t entries_cut; /* Used at some time; those behind were never touched. */
    uint32_t free_entry;  /* First of the given-back ones, or CACHE_NO_ENTRY. */
    uint32_t clock_hand;
    uint64_t compact_from[ENTITY_KIND_COUNT]; /* Free slots; with fewer, no chunk is given up. */
    size_t unknown_bytes, unknown_bytes_max;

    /* The transaction: entries in order of their first take. */
    uint32_t *taken;
    uint32_t taken_count, taken_max;
    size_t taken_bytes;                         /* Slots of the working copies. */
    size_t taken_encoded_bytes;                 /* Upper bound of their encoded size. */
    size_t encoded_size_max[ENTITY_KIND_COUNT]; /* Without unknown parts. */

    /* Dirty entries by the position of their first commit that is not in the store. */
    uint32_t dirty_head, dirty_tail;
    size_t dirty_bytes;         /* Slots of their committed copies. */
    size_t claimed_bytes_max;   /* Of dirty and working copies together. */
    uint64_t complete_position; /* All of the log up to here is in cache or store. */
    uint32_t slice_records;

    /* Scratch. */
    unsigned char *encoded; /* Of a transaction or a slice. */
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
/* An uninitialised record, key.kind set; NULL when all are needed. May evict and move others. */
struct record *cache_slot_take(struct record_cache *cache, uint8_t kind);
/* Gives back slot and unknown parts, unless those are `kept`'s as well. NULL is a no-op. */
void cache_slot_give(struct record_cache *cache, struct record *record, const struct record *kept);
/* Evicts until the unknown parts are within their share or nothing can be evicted. */
void cache_bound_unknown(struct record_cache *cache);

/* record_write_back.c */
void cache_mark_dirty(struct record_cache *cache, uint32_t index, uint64_t log_position);

/* record_cache.c */
/* Decodes into a new committed copy. STATUS_RETRY when no slot is left. */
MUST_CHECK enum status cache_decode(struct record_cache *cache, uint32_t index, const void *bytes,
                                    uint32_t length, struct error *error);

/* Asks for the whole record; NULL is a no-op. */
RECORD_PREFETCHES void cache_prefetch(const struct record_cache *cache, const struct record *record,
                                      uint8_t kind)
{
    for (uint32_t at = 0; record && at < cache->slab.slot_bytes[kind]; at += 64) {
        __builtin_prefetch((const char *)record + at);
    }
}

static inline size_t cache_slot_bytes(const struct record_cache *cache, uint32_t index)
{
    return cache->slab.slot_bytes[cache->entries[index].key.kind];
}

#endif
