/* Inside of the run's metrics. */
#ifndef PIPELINE_RUN_RUN_METRICS_INTERNAL_H
#define PIPELINE_RUN_RUN_METRICS_INTERNAL_H

#include <pthread.h>

#include "pipeline/run/run_metrics_table.h"

/* A step is one batch or one commit; a disk that takes longer is as good as stuck. */
#define STUCK_AFTER_NS UINT64_C(60000000000)
#define STAGE_PLACES (TASK_STAGES_MAX + 2) /* Intake, the stages, commit. */
#define STAGE_COUNTERS_MAX 64

struct partition_metrics {
    struct run_metrics *run;
    struct partition_metrics *next; /* Under the run's lock. */
    char *name;
    _Atomic uint64_t begun_ns; /* Of the step at hand; 0: between steps. */

    struct metric_series *plain[METRIC_PARTITION_COUNT];
    struct metric_series *dead_letters[REJECTION_COUNT];
    struct metric_series *outputs[TOPIC_COUNT];
    struct metric_series *types[EVENT_TYPE_COUNT];
    struct metric_series *stage_events[STAGE_PLACES];
    struct metric_series *stage_cpu[STAGE_PLACES];
    struct metric_series *stage_time[STAGE_PLACES];
    struct metric_series *stage_counters[STAGE_COUNTERS_MAX]; /* Added when first told. */
    uint32_t stage_counter_count;
    uint32_t stage_count;

    /* As of the begin of the step. */
    uint64_t step_ns;
    uint64_t stage_ns[STAGE_PLACES];
    uint64_t commits;
    uint64_t events_read;
    bool was_committed;

    uint64_t taken_ns;   /* When the first event of the transaction was taken; 0: none. */
    uint64_t commit_ns;  /* When its commit began; 0: it has not. */
    uint64_t counted_ns; /* When the stages were last asked for their counters. */
};

struct run_metrics {
    struct metrics *registry;
    struct http_server *server;
    struct metric_series *process[METRIC_PROCESS_COUNT];
    atomic_bool is_ready;
    atomic_bool has_failed;
    pthread_mutex_t lock; /* Guards the two below. */
    struct partition_metrics *partitions;
    const struct rocksdb_budget *budget;
};

static inline struct metric_series *run_metrics_process(const struct run_metrics *metrics,
                                                        enum run_metric metric)
{
    return metrics->process[metric - METRIC_FIRST_PROCESS];
}

#endif
