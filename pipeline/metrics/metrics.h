/*
 * What a running process tells of itself. A metric is described by a row of a table; its series
 * differ by their labels, and each is written by one thread without locks and read by the one that
 * answers over HTTP. Adding, removing and rendering take a lock; writing takes none.
 *
 * Values are whole numbers in a small unit, such as nanoseconds, and divided on the way out, so
 * that sums are exact.
 */
#ifndef PIPELINE_METRICS_METRICS_H
#define PIPELINE_METRICS_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/status.h"

#define METRIC_FAMILIES_MAX 256u
#define METRIC_SERIES_MAX 65536u
#define METRIC_LABELS_MAX 4u
#define METRIC_LABEL_BYTES_MAX 1024u /* All labels of a series, as they are rendered. */

enum metric_type {
    METRIC_COUNTER,  /* Only grows. */
    METRIC_GAUGE,    /* int64_t */
    METRIC_HISTOGRAM /* Counts of observations up to each bound, and their sum. */
};

/* The bounds of a histogram in the metric's small unit, rising. */
struct metric_bounds {
    const uint64_t *items;
    uint32_t count;
};

/* A row of a table; constant, outlives the registry. */
struct metric_info {
    const char *name; /* With its unit, and _total for a counter, as Prometheus has it. */
    const char *unit; /* Of what is rendered, for documentation. */
    const char *doc;  /* One sentence. */
    const char *labels[METRIC_LABELS_MAX]; /* Names; NULL: no more. */
    double divisor;                        /* From the small unit to that; 0 counts as 1. */
    const struct metric_bounds *bounds;    /* METRIC_HISTOGRAM. */
    enum metric_type type;
};

/* One line of the text, or the lines of one histogram. */
struct metric_series {
    const struct metric_info *info;
    struct metric_series *next; /* Of the family. Under the registry's lock. */
    const void *owner;
    char *labels;             /* Owned. Rendered, without braces; empty: none. */
    _Atomic uint64_t cells[]; /* One; or bounds->count + 1 counts, then the sum. */
};

struct metrics;

MUST_CHECK enum status metrics_create(struct metrics **ret_metrics, struct error *error);
void metrics_destroy(struct metrics *metrics); /* With its series. NULL is a no-op. */

/*
 * Adds a series with `values` for info->labels. `owner` is what metrics_remove() takes away
 * together. STATUS_INVALID: that series is there already, or there are too many.
 */
MUST_CHECK enum status metrics_add(struct metrics *metrics, const struct metric_info *info,
                                   const char *const *values, const void *owner,
                                   struct metric_series **ret_series, struct error *error);

/* Removes and frees the series of `owner`; their writer must have stopped. */
void metrics_remove(struct metrics *metrics, const void *owner);

/*
 * `sample` is called by metrics_render() in front of each rendering, to write what is had at that
 * moment only. One at most; NULL: none.
 */
void metrics_set_sampler(struct metrics *metrics, void (*sample)(void *context), void *context);

/*
 * Appends everything in Prometheus' text format 0.0.4, families in the order in which they were
 * first added. A failure sticks to the buffer.
 */
void metrics_render(struct metrics *metrics, struct byte_buffer *text);

/* Prints a table of metrics for the reference documentation. */
void metrics_describe(const struct metric_info *infos, uint32_t count, bool markdown, FILE *out);

/* ---- Writing: one thread a series ---- */

/* Another thread may read between load and store, but none writes. */
static inline void metric_cell_add(_Atomic uint64_t *cell, uint64_t more)
{
    uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, value + more, memory_order_relaxed);
}

static inline void metric_count(struct metric_series *series, uint64_t more)
{
    metric_cell_add(&series->cells[0], more);
}

/* A counter that is kept elsewhere. It never falls, though what is counted may be taken back. */
static inline void metric_raise(struct metric_series *series, uint64_t value)
{
    if (value > atomic_load_explicit(&series->cells[0], memory_order_relaxed)) {
        atomic_store_explicit(&series->cells[0], value, memory_order_relaxed);
    }
}

static inline void metric_set(struct metric_series *series, int64_t value)
{
    atomic_store_explicit(&series->cells[0], (uint64_t)value, memory_order_relaxed);
}

/* Into the first bucket whose bound is not below `value`. */
static inline void metric_observe(struct metric_series *series, uint64_t value)
{
    const struct metric_bounds *bounds = series->info->bounds;
    uint32_t bucket = 0;
    while (bucket < bounds->count && value > bounds->items[bucket]) {
        bucket++;
    }
    metric_cell_add(&series->cells[bounds->count + 1], value);
    metric_cell_add(&series->cells[bucket], 1);
}

#endif
