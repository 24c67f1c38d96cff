/*
 * Index of cached records by key: open addressing with linear probing, deletion by shifting back
 * (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). Fixed size, at most three quarters
 * full.
 */
#ifndef PIPELINE_STATE_RECORD_TABLE_H
#define PIPELINE_STATE_RECORD_TABLE_H

#include "pipeline/state/record.h"

#define CACHE_NO_ENTRY UINT32_MAX

/* One cached record; a cache line. */
struct cache_entry {
    struct key128 id;
    unsigned char *committed; /* Encoded; the ring's. NULL: not known to exist. */
    struct record *working;   /* The transaction's. NULL: not taken. */
    uint64_t dirty_position;  /* Log position of the first commit not in the store; 0: clean. */
    int64_t stored_index_ms;  /* Where the timer entry stands in the store; TIMER_NONE: none. */
    uint32_t length;          /* Of what is committed. */
    uint32_t next;            /* Of the dirty ones, oldest first; or of the free entries. */
    uint8_t kind;             /* enum entity_kind */
    uint8_t is_used;
    uint8_t is_referenced;     /* Again, since the ring's tail last came by. */
    uint8_t is_pinned;         /* The take that is under way needs it. */
    uint8_t is_stored_unknown; /* stored_index_ms has yet to be read from the store. */
    uint8_t is_counted;        /* What decoding met in it. */
};

static inline struct record_key cache_entry_key(const struct cache_entry *entry)
{
    return (struct record_key){entry->id, entry->kind};
}

struct table_slot {
    uint32_t hash;
    uint32_t entry; /* Index + 1; 0: empty. */
};

struct record_table {
    struct table_slot *slots;    /* Borrowed, zeroed. */
    struct cache_entry *entries; /* Borrowed. */
    uint32_t mask;               /* Slot count - 1, a power of two. */
};

uint32_t record_table_hash(struct record_key key);

/* Index of the key's entry or CACHE_NO_ENTRY. */
uint32_t record_table_find(const struct record_table *table, struct record_key key, uint32_t hash);

/* The key must not be there yet. */
void record_table_insert(struct record_table *table, uint32_t entry, uint32_t hash);

/* The entry must be there. */
void record_table_remove(struct record_table *table, uint32_t entry);

RECORD_PREFETCHES void record_table_prefetch_slot(const struct record_table *table, uint32_t hash)
{
    __builtin_prefetch(&table->slots[hash & table->mask]);
}

/* Of the entry that the first slot names: the right one more often than not. */
RECORD_PREFETCHES void record_table_prefetch_entry(const struct record_table *table, uint32_t hash)
{
    uint32_t entry = table->slots[hash & table->mask].entry;
    if (entry != 0) {
        __builtin_prefetch(&table->entries[entry - 1]);
    }
}

#endif
