/*
 * Removes from store and changelog the records of which nothing was heard for the retention time.
 * (Where they are not removed they do no harm, since an event treats them as new; they would pile
 * up in a compacted changelog.) A pass over the store, a slice a commit, begins whenever event time
 * has gone on by a sixteenth of the retention time: each commit carries deletions of those that it
 * found, and once it is done they are removed from the store, too. What had not reached the store
 * when the pass was due is written to it before, a slice a commit. A crash in between, or an abort,
 * leaves them to the next pass, and to the store's own compaction.
 */
#ifndef PIPELINE_RUN_TASK_EXPIRY_H
#define PIPELINE_RUN_TASK_EXPIRY_H

#include "pipeline/state/record_cache.h"

#define EXPIRY_SLICE_RECORDS 512u

struct task_expiry {
    int64_t retention_ms; /* 0: nothing expires. */
    int64_t period;       /* Of event time, in sixteenths of it; passes begin with a new one. */
    bool is_begun;        /* A period is known. */
    bool is_settling;   /* A pass is to begin: what was dirty then is written to the store first. */
    uint64_t unsettled; /* Records of that. */
    bool is_passing;
    struct store_key cursor;                      /* Where the pass goes on. */
    struct record_key keys[EXPIRY_SLICE_RECORDS]; /* Found for the commit at hand. */
    uint32_t count;
    struct changelog_entry *entries; /* Owned: changes and deletions of the commit. */
    uint32_t entries_max;
    uint64_t removed; /* All in all. */
};

void task_expiry_release(struct task_expiry *expiry);

/*
 * Looks at the next slice and adds deletions behind the transaction's changes: *entries and *count
 * are replaced where there are some. Records that the transaction has, or that are not in the store
 * as they were committed, are passed over.
 */
MUST_CHECK enum status task_expiry_add(struct task_expiry *expiry, struct state_store *store,
                                       const struct record_cache *cache, int64_t watermark_ms,
                                       const struct changelog_entry **entries, uint32_t *count,
                                       struct error *error);

/* The commit is done: removes them from the store. No transaction has begun yet. */
MUST_CHECK enum status task_expiry_finish(struct task_expiry *expiry, struct state_store *store,
                                          struct record_cache *cache, struct error *error);
/* It was taken back. */
void task_expiry_forget(struct task_expiry *expiry);

#endif
