/* Runs a configuration: a task for each input file, worker threads that share the tasks. */
#ifndef PIPELINE_RUN_RUNNER_H
#define PIPELINE_RUN_RUNNER_H

#include "pipeline/run/config.h"
#include "pipeline/run/task.h"

struct runner_options {
    const struct config *config; /* Borrowed. */
    const char *const *files;    /* Borrowed; [file_count], each a partition. */
    uint32_t file_count;
    const char *output_directory;
    const char *state_directory;
    uint32_t workers;
    bool shows_progress; /* A line on the terminal, or a log line now and then. */
};

/* What a run came to; the counters are of the whole life of the state, crashes included. */
#define RUNNER_STAGE_COUNTERS_MAX 64
struct runner_result {
    struct task_counters counters;
    struct stage_counter stage_counters[RUNNER_STAGE_COUNTERS_MAX]; /* Summed over the tasks. */
    uint32_t stage_counter_count;
    double elapsed_seconds;
    double cpu_seconds;
    uint64_t peak_memory_bytes;
    uint64_t events_this_run; /* Records read by this process. */
    uint64_t commits;
    struct record_cache_stats cache;
    uint64_t stage_ns[TASK_STAGES_MAX + 2]; /* Intake, the stages in order, commit. */
    int64_t watermark_ms;
    bool was_stopped; /* By a signal, before the input ended. */
};

/* Adds what another part of the run came to; times and memory are of the whole, and left alone. */
void runner_result_add(struct runner_result *sum, const struct runner_result *more);

/* Blocks until the files have ended, runner_stop() was called, or something failed. */
MUST_CHECK enum status runner_run(const struct runner_options *options,
                                  struct runner_result *ret_result, struct error *error);

/* Async-signal-safe: finish the batch, commit, and go. */
void runner_stop(void);
bool runner_is_stopping(void);

/*
 * Runs the files one after the other through the same stages, in memory, writing nothing, with
 * `tap` as a last stage in each task (borrowed; its destroy is not called). For training and
 * evaluation: the tap sees every row exactly as it is served.
 */
MUST_CHECK enum status runner_replay(const struct config *config, const char *const *files,
                                     uint32_t file_count, struct stage *tap, struct error *error);

#endif
