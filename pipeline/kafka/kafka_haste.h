/*
 * When a task commits before its interval is over: where all of the input so far is processed and
 * something came of it. Under load the input is never all processed, and transactions become as
 * large as the interval allows; where nothing is output, none is made before its time. A task that
 * waits only because the brokers are slow to give it what they have is behind, not done: for it a
 * transaction more would make the brokers slower still.
 *
 * The commits of a worker's tasks are staggered. Four at once take two and a half times as long as
 * one, each of them; in turn the first are done while the others still gather records.
 */
#ifndef PIPELINE_KAFKA_KAFKA_HASTE_H
#define PIPELINE_KAFKA_KAFKA_HASTE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Between commits that are made before their time: so many for each task of the worker. The library
 * spends one to two milliseconds of CPU on a transaction, however small.
 */
#define KAFKA_HASTE_NS (2ull * 1000000u)
/* A transaction that begins before the markers of the last one are written is told to try again. */
#define KAFKA_SETTLE_NS (2ull * 1000000u)

/*
 * So many commits of a worker that were hastened are on their way at once; one that takes longer
 * than that is not waited for.
 */
#define KAFKA_HASTE_AT_ONCE 2u
#define KAFKA_HASTE_SLOW_NS (20ull * 1000000u)

/* More records than that still at the brokers: behind. Markers of transactions count as records. */
#define KAFKA_HASTE_BEHIND 4096

struct kafka_haste {
    uint64_t outputs_committed; /* Records of all topics, as of the last commit. */
    uint64_t hastened_ns;       /* When a commit was last asked for before its time ... */
    uint64_t committed_ns;      /* ... and when the last one was done. */
};

/* How things stand with a task that waits for input. */
struct kafka_haste_view {
    bool is_committing; /* A commit that is asked for now would be lost. */
    bool is_committed;  /* There is nothing to commit. */
    uint64_t outputs;   /* Records of all topics, committed or not. */
    uint64_t now_ns;
    uint64_t task_count; /* Of the worker. */
    uint32_t under_way;  /* Tasks of the worker for which kafka_haste_is_under_way(). */
    int64_t behind;      /* Records that the brokers have and the task has not. */
};

/* For a task whose commit was asked for or has begun. */
static inline bool kafka_haste_is_under_way(const struct kafka_haste *haste, uint64_t now_ns)
{
    return now_ns - haste->hastened_ns < KAFKA_HASTE_SLOW_NS;
}

/*
 * True: a commit is to be asked for now, and counts as asked for. Nothing is remembered of a call
 * that says no: where it was because a commit is on its way, the one after it is not put off.
 */
static inline bool kafka_haste_asks(struct kafka_haste *haste, const struct kafka_haste_view *view)
{
    if (view->is_committing || view->is_committed || view->outputs == haste->outputs_committed ||
        view->now_ns - haste->hastened_ns < KAFKA_HASTE_NS * view->task_count ||
        view->now_ns - haste->committed_ns < KAFKA_SETTLE_NS ||
        view->under_way >= KAFKA_HASTE_AT_ONCE || view->behind > KAFKA_HASTE_BEHIND) {
        return false;
    }
    haste->hastened_ns = view->now_ns;
    return true;
}

/* A commit is done, of that many records. */
static inline void kafka_haste_committed(struct kafka_haste *haste, uint64_t outputs,
                                         uint64_t now_ns)
{
    haste->outputs_committed = outputs;
    haste->committed_ns = now_ns;
}

#endif
