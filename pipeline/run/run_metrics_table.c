#include "pipeline/run/run_metrics_table.h"

#include <stddef.h>

/* Nanoseconds: commits and whole ways, from half a millisecond to a minute. */
static const uint64_t wait_bounds[] = {
    500000,    1000000,   2500000,    5000000,    10000000,   20000000,    50000000,   100000000,
    200000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000, 60000000000};
/* Nanoseconds: one stage on one batch, from five microseconds to a second. */
static const uint64_t batch_bounds[] = {5000,   10000,   25000,   50000,    100000,    250000,
                                        500000, 1000000, 2500000, 10000000, 100000000, 1000000000};

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))
static const struct metric_bounds waits = {wait_bounds, COUNT_OF(wait_bounds)};
static const struct metric_bounds batches = {batch_bounds, COUNT_OF(batch_bounds)};

#define TASK_ROW(member, sentence)                                                                 \
    [METRIC_TASK_##member] = {.name = "nudge_" #member "_total",                                   \
                              .unit = "",                                                          \
                              .doc = (sentence),                                                   \
                              .labels = {"partition"},                                             \
                              .type = METRIC_COUNTER},
#define PARTITION_ROW(ENUM, title, kind, measure, scale, sentence)                                 \
    [METRIC_##ENUM] = {.name = (title),                                                            \
                       .unit = (measure),                                                          \
                       .doc = (sentence),                                                          \
                       .labels = {"partition"},                                                    \
                       .divisor = (scale),                                                         \
                       .type = METRIC_##kind},
#define DURATION_ROW(ENUM, title, sentence)                                                        \
    [METRIC_##ENUM] = {.name = (title),                                                            \
                       .unit = "seconds",                                                          \
                       .doc = (sentence),                                                          \
                       .labels = {"partition"},                                                    \
                       .divisor = NS_PER_SECOND,                                                   \
                       .bounds = &waits,                                                           \
                       .type = METRIC_HISTOGRAM},
#define PROCESS_ROW(ENUM, title, kind, measure, scale, sentence)                                   \
    [METRIC_##ENUM] = {.name = (title),                                                            \
                       .unit = (measure),                                                          \
                       .doc = (sentence),                                                          \
                       .divisor = (scale),                                                         \
                       .type = METRIC_##kind},

const struct metric_info run_metric_infos[METRIC_COUNT] = {
    TASK_COUNTERS(TASK_ROW) PARTITION_METRICS(PARTITION_ROW) PARTITION_DURATIONS(DURATION_ROW)
        PROCESS_METRICS(
            PROCESS_ROW)[METRIC_DEAD_LETTERS] = {.name = "nudge_dead_letters_total",
                                                 .unit = "records",
                                                 .doc =
                                                     "Records that could not be taken, by reason",
                                                 .labels = {"partition", "reason"},
                                                 .type = METRIC_COUNTER},
    [METRIC_OUTPUTS] = {.name = "nudge_output_records_total",
                        .unit = "records",
                        .doc = "Records written to each topic",
                        .labels = {"partition", "topic"},
                        .type = METRIC_COUNTER},
    [METRIC_TYPES] = {.name = "nudge_events_by_type_total",
                      .unit = "events",
                      .doc = "Events that reached the stages, by their type",
                      .labels = {"partition", "type"},
                      .type = METRIC_COUNTER},
    [METRIC_STAGE_EVENTS] = {.name = "nudge_stage_events_total",
                             .unit = "events",
                             .doc = "Events that each stage was given",
                             .labels = {"partition", "stage"},
                             .type = METRIC_COUNTER},
    [METRIC_STAGE_CPU] = {.name = "nudge_stage_cpu_seconds_total",
                          .unit = "seconds",
                          .doc = "CPU time of the worker in each stage, in intake and in commits",
                          .labels = {"partition", "stage"},
                          .divisor = NS_PER_SECOND,
                          .type = METRIC_COUNTER},
    [METRIC_STAGE_TIME] = {.name = "nudge_stage_batch_seconds",
                           .unit = "seconds",
                           .doc = "CPU time of each stage on one batch",
                           .labels = {"partition", "stage"},
                           .divisor = NS_PER_SECOND,
                           .bounds = &batches,
                           .type = METRIC_HISTOGRAM},
    [METRIC_STAGE_COUNTER] = {.name = "nudge_stage_counter_total",
                              .unit = "",
                              .doc = "What the stages count themselves, by the names of the "
                                     "summary; as of the last commit",
                              .labels = {"partition", "counter"},
                              .type = METRIC_COUNTER},
};
const uint32_t run_metric_count = METRIC_COUNT;
