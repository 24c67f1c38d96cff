/*
 * Builds batches: takes events from the input and due timers from the index, in the order in which
 * event time has them, and gives each row its keys and records. The rules that make the result
 * independent of how the input is cut into batches stand in ARCHITECTURE.md, "Rows and time".
 */
#ifndef PIPELINE_RUN_INTAKE_H
#define PIPELINE_RUN_INTAKE_H

#include "pipeline/event/event_batch.h"
#include "pipeline/output/output.h"
#include "pipeline/run/input.h"
#include "pipeline/run/origin_clock.h"
#include "pipeline/run/task_progress.h"
#include "pipeline/state/record_cache.h"
#include "pipeline/state/timer_index.h"

struct intake_options {
    const char *source_name; /* Copied, as is partition: they stand in dead letters. */
    const char *partition;
    int64_t allowed_lateness_ms;
    int64_t max_ahead_ms; /* An event further ahead of the newest one is a dead letter. */
    int64_t retention_ms; /* 0: records are kept for ever; else at least timer_floor_ms. */
    int64_t timer_floor_ms;
    uint32_t entity_mask;      /* Bit per enum entity_kind that state is kept by. */
    uint32_t batch_events_max; /* 1 to BATCH_EVENTS_MAX; smaller in tests. */
    size_t batch_bytes_max;    /* Of the records read for a batch; 0: 16 MiB, the most it can be. */
    uint32_t batch_timers_max; /* Index entries taken; 0: as many as there is room for. */
    bool diverts_late;
    bool deduplicates_by_content;
    bool keeps_rejected_bytes; /* Dead letters hold the record itself. */
    bool sends_on;             /* Another task gets what is rejected: there are no dead letters. */
    struct pseudonym_key key;
};

struct intake;

/* Borrows all but the options. */
MUST_CHECK enum status intake_create(const struct intake_options *options,
                                     const struct record_layout *layout, struct input *input,
                                     struct record_cache *cache, struct timer_index *timers,
                                     struct intake **ret_intake, struct error *error);
void intake_destroy(struct intake *intake);

enum intake_result {
    INTAKE_BATCH,   /* `batch` has rows. */
    INTAKE_NOTHING, /* The input has nothing at the moment and no timer is due. */
    INTAKE_END,     /* The input has ended; when draining: and no timer is left. */
};

/*
 * Fills `batch` (reset by this call) and writes dead letters and diverted late events to
 * `outputs`. `progress` is moved on: newest time and counters. While `is_draining`, only timers
 * come, all of them; while progress->is_ticking, those up to progress->tick_ms. Where records were
 * sent on from origins, their clock moves the time, and is moved on itself; else `clock` is NULL.
 */
MUST_CHECK enum status intake_fill(struct intake *intake, struct task_progress *progress,
                                   struct origin_clock *clock, bool is_draining,
                                   struct event_batch *batch, struct output_batch *outputs,
                                   enum intake_result *ret_result, struct error *error);

/* After the stages: erases who is to be erased, and puts the timers that they set into the index.
 */
MUST_CHECK enum status intake_settle(struct intake *intake, struct event_batch *batch,
                                     struct error *error);

/* Batches of half as many events and timers from now on; false when they are of one already. */
bool intake_shrink(struct intake *intake);

#endif
