/*
 * The contract of a stage. An operator is the code in operators/; a stage is one instance of it in
 * one task, used by one thread at a time.
 */
#ifndef PIPELINE_STAGE_H
#define PIPELINE_STAGE_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

struct event_batch;
struct record;
struct record_layout;
struct stage;

/* What `nudge describe stages` prints; constant, beside the operator's code. */
struct stage_info {
    const char *name;   /* As written in configuration, logs and metrics. */
    const char *doc;    /* One sentence. */
    const char *reads;  /* Columns, comma separated. */
    const char *writes; /* Columns and topics. */
};

struct stage_counter {
    const char *name;
    uint64_t value;
};

struct stage_ops {
    const struct stage_info *info;

    /*
     * Fills this stage's columns for every live row of `batch`, following `order` where it keeps
     * state, and updates its parts in the rows' records. Never sees an empty batch. The result of
     * a row may depend on that row's columns and records only, never on the rest of the batch.
     * After a failure the task forgets every record the batch touched.
     */
    enum status (*process)(struct stage *stage, struct event_batch *batch, struct error *error);

    void (*destroy)(struct stage *stage);

    /*
     * What the stage has counted, from its part of the task's record, for summary and metrics;
     * names are static. Returns the number written, at most `max`. NULL: it counts nothing.
     */
    uint32_t (*counters)(const struct stage *stage, struct record *task,
                         struct stage_counter *ret_counters, uint32_t max);
};

/* Embedded as a member by each operator's own struct. */
struct stage {
    const struct stage_ops *ops;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* NULL is a no-op. */
static inline void stage_destroy(struct stage *stage)
{
    if (stage) {
        stage->ops->destroy(stage);
    }
}

#endif
