/* A short run of a simulated shop, for tests in which one thing after the other fails. */
#ifndef TEST_SIMULATION_SMALL_TASK_H
#define TEST_SIMULATION_SMALL_TASK_H

#include "pipeline/run/task.h"
#include "test/simulation/script.h"

/* What a task borrows. */
struct small_task {
    struct scripted_input input;
    struct record_layout layout;
};

/* Sixty events without ticks. */
void small_script_make(struct script *script, uint64_t seed);

/* Where the log is and what it is like is the test's to say, the rest of `log` is set here. */
enum status small_task_build(struct small_task *small, const struct script *script,
                             struct commit_log_file_options *log, struct task_parts *parts,
                             struct error *error);

/* The test sets what makes batches, cache and transactions small. */
struct task_options small_task_options(void);

#endif
