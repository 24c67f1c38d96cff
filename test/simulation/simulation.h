/*
 * One partition's task in a world without processes: the real task, stages, cache, timer index and
 * commit log, on a disk, a store and an input that fail, crash and lose what was not durable, as a
 * seed has it. A run is many lives of the task, each ended by a fault, and a last one that gets to
 * the end. It is compared with a run of the same script that nothing disturbs, which commits after
 * every row: the outputs, and wherever the disturbed run commits or recovers, the records, counters
 * and positions of that place.
 */
#ifndef TEST_SIMULATION_SIMULATION_H
#define TEST_SIMULATION_SIMULATION_H

#include <stdbool.h>

#include "test/simulation/faults.h"

struct simulation_options {
    uint64_t seed;
    bool has_broker; /* Commits go to a broker's transactions instead of to files. */
    enum simulated_defect defect;
    bool is_verbose; /* Prints what happens, step by step. */
};

/* What a run went through; sums of it say what many runs have covered. */
struct simulation_result {
    char violation[700]; /* Empty: none was found. */
    uint64_t hits[SIMULATED_FAULT_COUNT];
    uint64_t lives, steps, commits;
    uint64_t events, late, diverted, duplicates, dead_letters, timers, ticks, expired;
    uint64_t outputs;
};

void task_simulation_run(const struct simulation_options *options,
                         struct simulation_result *ret_result);

#endif
