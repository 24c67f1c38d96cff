/*
 * Which records have a timer due, in order of time. A record has one entry, at record.index_ms,
 * never later than its earliest timer; a timer that moves later leaves the entry where it is, and
 * the entry is moved when it pops. An entry is valid only while it equals its record's index_ms, so
 * nothing ever has to be removed from the middle.
 *
 * Entries up to a horizon are held in memory in a heap; all are in the store or belong to dirty
 * records in the cache, so the heap may be cut at any time and filled again from there.
 */
#ifndef PIPELINE_STATE_TIMER_INDEX_H
#define PIPELINE_STATE_TIMER_INDEX_H

#include "pipeline/state/record_cache.h"

struct timer_index;

/* An entry may be there three times (dirty, stored, added), and half of the heap must hold another
 * one. */
#define TIMER_INDEX_ENTRIES_MIN 8u

/* Borrows both. `entries_max` bounds the heap (32 bytes each). */
MUST_CHECK enum status timer_index_create(struct state_store *store, struct record_cache *cache,
                                          uint32_t entries_max, struct timer_index **ret_index,
                                          struct error *error);
void timer_index_destroy(struct timer_index *index);

struct timer_entry {
    int64_t time_ms;
    struct record_key key;
};

/*
 * The earliest entry, without taking it; time_ms is TIMER_NONE when there is none up to
 * `until_ms`. May read the store. Entries come in order of (time, kind, id). Stale ones come too.
 */
MUST_CHECK enum status timer_index_peek(struct timer_index *index, int64_t until_ms,
                                        struct timer_entry *ret_entry, struct error *error);
/* Takes the entry that peek gave. */
void timer_index_pop(struct timer_index *index);

/* The record's index_ms was set to `time_ms`. Running out of memory is STATUS_FATAL. */
MUST_CHECK enum status timer_index_add(struct timer_index *index, struct timer_entry entry,
                                       struct error *error);

/* Popped entries are gone for good / come back, and what was added is forgotten. */
void timer_index_commit(struct timer_index *index);
void timer_index_abort(struct timer_index *index);

#endif
