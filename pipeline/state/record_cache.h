/*
 * The write-back cache of records in front of the store, and the place that tells committed from
 * working copies. What is committed is held encoded, which is a fraction of a working copy, so
 * that the same memory holds several times as many. One a task, one thread.
 *
 * A transaction: take() records, let stages change them, then encode_changes() into the commit,
 * then either commit() or abort(). Committed changes are dirty until a write-back slice has put
 * them into the store; slices go out oldest first, so that "everything up to position P is in the
 * store" is always known, and P is what each slice writes with.
 */
#ifndef PIPELINE_STATE_RECORD_CACHE_H
#define PIPELINE_STATE_RECORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/state/record.h"
#include "pipeline/state/record_codec.h"
#include "pipeline/state/state_store.h"

struct record_cache;

struct record_cache_options {
    size_t bytes_max; /* All records, table and bookkeeping; of the room for encoded changes, which
                         most records use a third of, a third. Dirty ones at most three quarters of
                         what is left for records. */
    uint32_t slice_records;     /* Records of one write-back slice, e.g. 4096. */
    uint32_t transaction_share; /* What a transaction changes, encoded, is at most bytes_max by
                                   this; 0: by 7. */
    uint32_t records_max;       /* Fewer than the bytes have room for, in tests; 0: that many. */
    bool is_preallocated;       /* All of bytes_max is resident from the start. */
};

struct record_cache_stats {
    uint64_t hits, misses, new_records;
    uint64_t records_written, bytes_written; /* To the store. */
    uint64_t resident, dirty;
    struct record_decode_counts decode;
};

/* Borrows layout and store. */
MUST_CHECK enum status record_cache_create(const struct record_layout *layout,
                                           struct state_store *store,
                                           const struct record_cache_options *options,
                                           struct record_cache **ret_cache, struct error *error);
void record_cache_destroy(struct record_cache *cache);

/*
 * ret_records[i] is the working copy of keys[i], loaded or new; equal keys give the same pointer,
 * and so does a later take in the same transaction. Every record taken counts as changed. Pointers
 * are valid until commit or abort. STATUS_RETRY, with nothing taken, when the dirty ones fill the
 * cache: commit and write back first. With none taken before and none dirty it is too small.
 */
MUST_CHECK enum status record_cache_take(struct record_cache *cache, const struct record_key *keys,
                                         uint32_t count, struct record **ret_records,
                                         struct error *error);

/* Number of records taken in this transaction. */
uint32_t record_cache_taken(const struct record_cache *cache);

/* At least as many bytes as they will have encoded. */
size_t record_cache_taken_bytes(const struct record_cache *cache);

/* Encoded working copies, in the order they were first taken. */
struct changelog_entry {
    struct record_key key;
    const void *bytes; /* Cache's memory; valid until commit or abort. */
    uint32_t length;
};
/* Returns how many there are. */
uint32_t record_cache_encode_changes(struct record_cache *cache,
                                     const struct changelog_entry **ret_entries);

/*
 * The working copies, as they were encoded last, become the committed ones, as of `log_position`
 * (that of their commit).
 */
void record_cache_commit(struct record_cache *cache, uint64_t log_position);

/* Working copies are forgotten; the committed ones stand. */
void record_cache_abort(struct record_cache *cache);

/*
 * Writes slices of the oldest dirty records until at most `dirty_max` are left. Puts each record's
 * timer index entry with it and deletes the entry that it had in the store. Not inside of a
 * transaction's take..commit.
 */
MUST_CHECK enum status record_cache_write_back(struct record_cache *cache, uint32_t dirty_max,
                                               struct error *error);

/* One slice at most, and only where more than the cache's own high-water mark are dirty. */
MUST_CHECK enum status record_cache_relieve(struct record_cache *cache, struct error *error);

/* Recovery: a changelog entry as of `log_position` replaces the committed record. */
MUST_CHECK enum status record_cache_apply(struct record_cache *cache,
                                          const struct changelog_entry *entry,
                                          uint64_t log_position, struct error *error);

/* Calls visit for each committed dirty record whose index_ms is in [from_ms, to_ms). */
void record_cache_visit_dirty(struct record_cache *cache, int64_t from_ms, int64_t to_ms,
                              void (*visit)(void *context, struct record_key key, int64_t index_ms),
                              void *context);

/* True where the store has the record as it was committed last, and no transaction has it. */
bool record_cache_is_settled(const struct record_cache *cache, struct record_key key);

struct record_cache_stats record_cache_stats(const struct record_cache *cache);

/* Keys in the store: 'r' kind id (18 bytes) and 't' time kind id (26 bytes, big-endian, sign
 * flipped). */
struct store_key store_key_of_record(struct record_key key);
struct store_key store_key_of_timer(int64_t time_ms, struct record_key key);
/* False when `key` is no record's. */
bool store_key_read_record(const struct store_key *key, struct record_key *ret_key);
/* False when `key` is no timer's. */
bool store_key_read_timer(const struct store_key *key, int64_t *ret_time_ms,
                          struct record_key *ret_key);

#endif
