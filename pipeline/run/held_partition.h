/*
 * One partition in the hands of its worker: when it commits, when its time is moved on, and what it
 * shows of itself. One thread at a time, but for the cell.
 */
#ifndef PIPELINE_RUN_HELD_PARTITION_H
#define PIPELINE_RUN_HELD_PARTITION_H

#include "pipeline/run/config.h"
#include "pipeline/run/progress.h"
#include "pipeline/run/runner.h"

struct held_partition {
    struct record_layout layout;
    struct task *task;
    const char *source;        /* Borrowed: file or topic. */
    char name[16];             /* Its number. */
    uint64_t committed_ns;     /* When its last commit was still on its way. */
    uint64_t uncommitted_from; /* events_read when that was asked for. */
    bool is_committing;        /* As of the last look. */
    uint64_t events_at_start;
    uint64_t waiting_since_ns; /* 0: it is not waiting. */
    bool is_finished;
    struct stage_counter stage_counters[RUNNER_STAGE_COUNTERS_MAX]; /* Once it is finished. */
    uint32_t stage_counter_count;
    struct progress_cell cell;         /* What the progress display reads. */
    struct partition_metrics *metrics; /* NULL: there are none. */
};

/* `task` was just opened. */
void held_partition_begin(struct held_partition *partition);

/* One step of its task, and a commit or a tick where it is time. */
MUST_CHECK enum status held_partition_step(const struct config *config,
                                           struct held_partition *partition, bool *ret_waits,
                                           struct error *error);

/* Commits what is processed and writes state back; the input may have more. Blocks. */
MUST_CHECK enum status held_partition_stop(struct held_partition *partition, struct error *error);

/* Adds its counters and figures. */
void held_partition_collect(const struct held_partition *partition, struct runner_result *result);

#endif
