/* What a task remembers of itself: part PART_TASK_PROGRESS of its record, committed with the rest.
 */
#ifndef PIPELINE_RUN_TASK_PROGRESS_H
#define PIPELINE_RUN_TASK_PROGRESS_H

#include <assert.h>

#include "pipeline/event/rejection.h"
#include "pipeline/output/output.h"
#include "pipeline/run/input.h"
#include "pipeline/state/record.h"

/* X(name, description): everything that is counted, exactly once, through crashes. */
#define TASK_COUNTERS(X) TASK_COUNTERS_1(X) TASK_COUNTERS_2(X)
#define TASK_COUNTERS_1(X)                                                                         \
    X(events_read, "Records read from the input")                                                  \
    X(events_skipped, "Records that are none of the mapping's events")                             \
    X(events_accepted, "Events that reached the stages")                                           \
    X(duplicates, "Events seen before, dropped")                                                   \
    X(late_events, "Events older than the watermark, but for duplicates")                          \
    X(late_diverted, "Late events sent to the late topic instead of the stages")                   \
    X(timers_fired, "Timers that fell due")                                                        \
    X(records_expired, "Records treated as new after the retention time")                          \
    X(ticks, "Times that an idle partition's watermark was moved on")
/* Since version 2 of the part: at its end, where earlier ones have nothing. */
#define TASK_COUNTERS_2(X) X(users_erased, "Users erased because an event asked for it")

struct task_counters {
#define COUNTER_MEMBER(name, doc) uint64_t name;
    TASK_COUNTERS_1(COUNTER_MEMBER)
    uint64_t dead_letters[32]; /* By enum rejection_reason. */
    uint64_t outputs[16];      /* Records by enum topic. */
    uint64_t events_by_type[32];
    TASK_COUNTERS_2(COUNTER_MEMBER)
#undef COUNTER_MEMBER
};
static_assert(REJECTION_COUNT <= 32 && TOPIC_COUNT <= 16 && EVENT_TYPE_COUNT <= 32,
              "the arrays have room to grow without a new version");

struct task_progress {
    int64_t time_max_ms; /* Newest event time accepted, since the last that began it anew. */
    uint64_t is_started; /* time_max_ms is set. */
    uint64_t is_drained; /* The input ended and its timers are firing or have fired. */
    uint64_t is_ticking; /* The watermark is on its way to tick_ms. */
    int64_t tick_ms;
    uint64_t epoch;     /* Configuration epoch, from 1. */
    uint64_t plan_hash; /* Of the configuration of that epoch. */
    struct task_counters counters;
    /* Since version 2: */
    uint64_t is_provisional; /* No two events in a row have agreed on the time yet. */
    struct input_fingerprint input;
    /* Since version 3: */
    struct event_topics topics;
};

extern const struct record_part task_progress_part;

#endif
