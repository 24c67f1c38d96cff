/* One life of a simulated process: a task with what it stands on, and the faults that it meets. */
#ifndef TEST_SIMULATION_SIMULATED_LIFE_H
#define TEST_SIMULATION_SIMULATED_LIFE_H

#include "pipeline/run/task.h"
#include "test/fakes/broker.h"
#include "test/fakes/storage_reorder.h"
#include "test/simulation/reference.h"
#include "test/simulation/script.h"
#include "test/simulation/simulated_store.h"
#include "test/simulation/simulation.h"

/* What outlives the lives. */
struct simulation {
    struct simulation_options options;
    struct simulation_result *result;
    struct script script;
    struct random random;
    struct record_layout layout; /* As every life makes it. */
    struct watch watch;
    struct reference reference;
    struct storage_fake *disk;
    struct storage_reorder *reorder; /* Only with that defect. */
    struct state_store *memory;      /* What the store stands on; outlives the lives. */
    struct broker *broker;
    bool is_synced;
    bool has_reference;
    bool is_flushed;             /* Store and log agree: nothing is left to do. */
    bool is_rebuilding;          /* The store was found corrupt and replaced. */
    uint32_t recoveries_crashed; /* In a row. */
};

/* How one life is led and what happens to it. */
struct life_plan {
    bool is_calm;
    uint32_t batch_events, batch_timers, cache_records, slice_records, timer_entries;
    uint32_t commit_odds, flush_odds, destroy_odds, compact_odds; /* One in so many steps. */
    uint64_t storage_fault_at, store_fault_at;
    enum storage_fault storage_fault;
    enum store_fault store_fault;
    uint64_t disk_left; /* 0: enough. */
    uint64_t input_fails_in, input_wait_odds;
    bool log_misbehaves;
};

/* A task with what it stands on. */
struct life {
    struct simulation *simulation;
    const struct life_plan *plan;
    struct scripted_input input;
    struct simulated_store store;
    struct watched_log log;
    struct record_layout layout;
    struct task *task;
    struct state_store *memory; /* Borrowed, of the simulation or of an old owner. */
    uint64_t armed_at;          /* Storage calls before the life. */
};

/* Prints where the simulation is to be verbose. */
void simulation_say(const struct simulation *simulation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint32_t simulation_below(struct simulation *simulation, uint32_t bound);
/* True one time in `odds`; never for 0. */
bool simulation_chance(struct simulation *simulation, uint32_t odds);

/* Recovers. Set are simulation, plan and memory; afterwards life.task is the caller's to destroy.
 */
enum status life_begin(struct life *life, struct error *error);

/* Runs until the task has finished, fails or is to be destroyed. */
enum status life_lead(struct life *life, enum task_state *ret_state, struct error *error);

/* So many steps, or fewer when the task fails or finishes. */
enum status life_step(struct life *life, uint32_t steps, struct error *error);

bool life_is_down(const struct life *life);

/* Counts the faults that were met. False: there was none, so the failure is the program's. */
bool life_count_faults(struct life *life, enum status status, const struct error *error);
void life_note_cache(const struct life *life);

/* The process is gone. What it left behind is what was durable, or more. */
void life_end_process(struct life *life, bool was_down);

#endif
