#include "test/simulation/simulation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/run/task.h"
#include "test/fakes/broker.h"
#include "test/fakes/storage_reorder.h"
#include "test/simulation/plans.h"
#include "test/simulation/reference.h"
#include "test/simulation/script.h"
#include "test/simulation/simulated_store.h"

#define STEPS_MAX 200000u
#define LIVES_MAX 14u
#define CACHE_BYTES (8u << 20)

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

static void say(const struct simulation *simulation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct simulation *simulation, const char *format, ...)
{
    if (simulation->options.is_verbose) {
        va_list arguments;
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
    }
}

static uint32_t below(struct simulation *simulation, uint32_t bound)
{
    return random_below(&simulation->random, bound);
}

/* One in `odds`; never for 0. */
static bool chance(struct simulation *simulation, uint32_t odds)
{
    return odds > 0 && below(simulation, odds) == 0;
}

/* ---- building a task ---- */

static enum status open_log(struct life *life, struct commit_log **ret_log, struct error *error)
{
    struct simulation *simulation = life->simulation;
    if (simulation->options.has_broker) {
        *ret_log = broker_log_open(simulation->broker);
        return STATUS_OK;
    }
    struct storage *disk = simulation->reorder ? storage_reorder_storage(simulation->reorder)
                                               : storage_fake_storage(simulation->disk);
    struct commit_log_file_options options = {
        .storage = disk,
        .output_directory = "out",
        .log_directory = "log",
        .partition = "0",
        .format = OUTPUT_JSONL,
        .is_synced = simulation->is_synced,
        .segment_bytes = 4096,
    };
    return commit_log_file_open(&options, ret_log, error);
}

static enum status build_parts(struct life *life, struct task_parts *parts, struct error *error)
{
    struct simulation *simulation = life->simulation;
    const struct stage_plan *plan = plans_get(simulation->script.variant);
    parts->layout = &life->layout;
    enum status status =
        record_layout_add(&life->layout, &task_progress_part, &parts->progress_offset, error);
    parts->origin_count = simulation->script.origin_count;
    if (status == STATUS_OK && parts->origin_count > 0) {
        status =
            record_layout_add(&life->layout, &origin_marks_part, &parts->origins_offset, error);
    }
    struct stage_context context = {
        .partition = "0",
        .partition_count = 1,
        .epoch_hash = 7,
        .entity_mask = 1u << ENTITY_USER | 1u << ENTITY_DEVICE | 1u << ENTITY_CARD |
                       1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS,
    };
    if (status == STATUS_OK) {
        status = stage_plan_create_stages(plan, &context, &life->layout, parts->stages,
                                          &parts->stage_count, error);
    }
    if (status == STATUS_OK) {
        status = output_batch_create(OUTPUT_JSONL, &parts->outputs, error);
    }
    struct commit_log *inner = NULL;
    if (status == STATUS_OK) {
        status = open_log(life, &inner, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    scripted_input_init(&life->input, &simulation->script);
    simulated_store_init(&life->store, life->memory, simulation->disk);
    watched_log_init(&life->log, inner, life->memory, &simulation->watch,
                     random_next(&simulation->random));
    parts->input = &life->input.input;
    parts->store = &life->store.store;
    parts->log = &life->log.log;
    return STATUS_OK;
}

static struct task_options task_options_of(const struct life *life)
{
    const struct script *script = &life->simulation->script;
    const struct life_plan *plan = life->plan;
    const struct stage_plan *stages = plans_get(script->variant);
    return (struct task_options){
        .intake =
            {
                .source_name = "script",
                .partition = "0",
                .allowed_lateness_ms = script->allowed_lateness_ms,
                .max_ahead_ms = script->max_ahead_ms,
                .retention_ms = script->retention_ms,
                .timer_floor_ms = stage_plan_timer_floor_ms(stages),
                .entity_mask = 1u << ENTITY_USER | 1u << ENTITY_DEVICE | 1u << ENTITY_CARD |
                               1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS,
                .batch_events_max = plan->batch_events,
                .batch_timers_max = plan->batch_timers,
                .diverts_late = script->diverts_late,
                .deduplicates_by_content = stage_plan_deduplicates_by_content(stages),
                .keeps_rejected_bytes = true,
                .key = {{1, 2, 3}},
            },
        .cache = {.bytes_max = CACHE_BYTES,
                  .slice_records = plan->slice_records,
                  .records_max = plan->cache_records},
        .timer_entries_max = plan->timer_entries,
        .transaction_records_max = 4 * plan->slice_records,
        .feature_count = stage_plan_features(stages)->count,
        .feature_set_hash = stage_plan_features(stages)->hash,
        .plan_hash = 7,
        .numeric_profile = stage_plan_numeric_profile(stages),
        .scored_events_share = script->scored_events_share,
        .is_finite = true,
    };
}

static void arm(struct life *life)
{
    struct simulation *simulation = life->simulation;
    const struct life_plan *plan = life->plan;
    life->armed_at = storage_fake_calls(simulation->disk);
    storage_fake_fault_at(simulation->disk, plan->storage_fault_at, plan->storage_fault);
    life->store.fault_at = plan->store_fault_at;
    life->store.fault = plan->store_fault;
    life->input.fails_in = plan->input_fails_in;
    life->input.ignores_seeks = simulation->options.defect == DEFECT_ABORT_NOT_REWOUND;
    life->log.misbehaves = plan->log_misbehaves;
}

static enum status begin_life(struct life *life, struct error *error)
{
    struct task_parts parts = {0};
    enum status status = build_parts(life, &parts, error);
    if (status != STATUS_OK) {
        task_parts_release(&parts);
        return status;
    }
    arm(life);
    struct task_options options = task_options_of(life);
    return task_create(&options, &parts, &life->task, error);
}

/* ---- leading it ---- */

static void set_broker_fate(struct simulation *simulation)
{
    static const enum broker_fate fates[] = {BROKER_ABORTS, BROKER_COMMITS_SILENTLY,
                                             BROKER_ABORTS_SILENTLY, BROKER_REFUSES};
    static const enum simulated_fault hits[] = {FAULT_COMMIT_ABORTED, FAULT_LATE_COMMIT,
                                                FAULT_LATE_ABORT, FAULT_COMMIT_REFUSED};
    uint32_t polls = below(simulation, 3) == 0 ? below(simulation, 4) : 0;
    uint32_t fate = below(simulation, 24);
    simulation->watch.hits[FAULT_COMMIT_PENDING] += polls > 0;
    if (fate < 4) {
        simulation->watch.hits[hits[fate]]++;
    }
    broker_set_fate(simulation->broker, fate < 4 ? fates[fate] : BROKER_COMMITS, polls);
    broker_set_orphan_commits(simulation->broker, below(simulation, 2));
}

/* What happens around a step: commits asked for, a store that flushes by itself, and the like. */
static void meddle(struct life *life)
{
    struct simulation *simulation = life->simulation;
    const struct life_plan *plan = life->plan;
    if (plan->is_calm) {
        task_request_commit(life->task);
        life->input.waits_in = 2; /* One record a step. */
        return;
    }
    if (chance(simulation, plan->commit_odds)) {
        task_request_commit(life->task);
    }
    if (chance(simulation, plan->flush_odds)) {
        struct error error;
        enum status status = life->memory->ops->flush(life->memory, &error);
        assert(status == STATUS_OK);
    }
    if (plan->input_wait_odds > 0 && life->input.waits_in == 0 &&
        chance(simulation, (uint32_t)plan->input_wait_odds)) {
        life->input.waits_in = 1 + below(simulation, 5);
    }
    if (simulation->broker && plan->log_misbehaves && !life->log.is_started) {
        set_broker_fate(simulation);
    }
    if (simulation->broker && chance(simulation, plan->compact_odds)) {
        broker_compact(simulation->broker);
    }
}

/* A tick is made where the script has it, once. */
static void make_tick(struct life *life)
{
    struct task_progress progress = task_progress(life->task);
    life->input.ticks_made = progress.counters.ticks;
    const struct script_tick *tick = scripted_input_tick(&life->input);
    if (tick && !progress.is_ticking) {
        say(life->simulation, "    tick %llu at record %llu to %lld\n",
            (unsigned long long)progress.counters.ticks + 1,
            (unsigned long long)progress.counters.events_read,
            (long long)task_watermark_ms(life->task) + tick->by_ms);
        task_tick(life->task, task_watermark_ms(life->task) + tick->by_ms);
    }
}

/* Runs until the task has finished, fails or is to be destroyed. */
static enum status lead_life(struct life *life, enum task_state *ret_state, struct error *error)
{
    struct simulation *simulation = life->simulation;
    enum status status = STATUS_OK;
    *ret_state = TASK_BUSY;
    for (uint32_t step = 0; *ret_state != TASK_FINISHED && status == STATUS_OK; step++) {
        if (step == STEPS_MAX) {
            watch_violate(&simulation->watch, "the task does not come to an end");
            return STATUS_OK;
        }
        if (chance(simulation, life->plan->destroy_odds)) {
            simulation->watch.hits[FAULT_DESTROYED]++;
            return STATUS_OK;
        }
        make_tick(life);
        meddle(life);
        simulation->result->steps++;
        status = task_step(life->task, ret_state, error);
        if (simulation->watch.violation[0]) {
            return status;
        }
    }
    if (status == STATUS_OK && below(simulation, 2)) {
        status = task_flush(life->task, error);
        simulation->is_flushed = status == STATUS_OK && !life->store.was_hit;
    }
    return status;
}

/* ---- what ended it ---- */

static bool is_down(const struct life *life)
{
    return life->store.is_down || storage_fake_is_down(life->simulation->disk);
}

static bool storage_was_hit(const struct life *life)
{
    return life->plan->storage_fault_at > 0 && storage_fake_calls(life->simulation->disk) >=
                                                   life->armed_at + life->plan->storage_fault_at;
}

/* Counts the faults that were met. False: there was none, so the failure is the program's. */
static bool count_faults(struct life *life, enum status status, const struct error *error)
{
    static const enum simulated_fault of_storage[] = {
        [STORAGE_FAIL] = FAULT_STORAGE_FAIL,
        [STORAGE_CRASH_BEFORE] = FAULT_STORAGE_CRASH_BEFORE,
        [STORAGE_CRASH_DURING] = FAULT_STORAGE_CRASH_DURING,
        [STORAGE_CRASH_AFTER] = FAULT_STORAGE_CRASH_AFTER,
    };
    static const enum simulated_fault of_store[] = {
        [STORE_FAIL] = FAULT_STORE_FAIL,
        [STORE_BUSY] = FAULT_STORE_BUSY,
        [STORE_CRASH_BEFORE] = FAULT_STORE_CRASH_BEFORE,
        [STORE_CRASH_AFTER] = FAULT_STORE_CRASH_AFTER,
    };
    uint64_t *hits = life->simulation->watch.hits;
    bool has_reason = life->log.has_failed;
    if (life->store.was_hit) {
        hits[of_store[life->plan->store_fault]]++;
        has_reason = true;
    }
    if (storage_was_hit(life) && !life->store.is_down) {
        hits[of_storage[life->plan->storage_fault]]++;
        has_reason = true;
    }
    if (life->plan->disk_left > 0 && status != STATUS_OK &&
        strstr(error->message, "No space left")) {
        hits[FAULT_STORAGE_FULL]++;
        has_reason = true;
    }
    hits[FAULT_INPUT_FAIL] += life->input.has_failed;
    hits[FAULT_INPUT_WAIT] += life->input.has_waited;
    has_reason = has_reason || life->input.has_failed;
    has_reason = has_reason || (status != STATUS_OK && strstr(error->message, "broker: no answer"));
    return has_reason;
}

/* The process is gone. What it left behind is what was durable, or more. */
static void end_process(struct life *life, bool was_down)
{
    struct simulation *simulation = life->simulation;
    if (was_down || chance(simulation, 2)) {
        uint64_t position = life->memory->ops->position(life->memory);
        state_store_memory_crash(life->memory, random_next(&simulation->random));
        simulation->watch.hits[FAULT_STORE_ROLLED_BACK] +=
            life->memory->ops->position(life->memory) < position;
    }
    if (was_down) {
        bool is_power = simulation->is_synced && below(simulation, 2);
        simulation->watch.hits[is_power ? FAULT_POWER_LOSS : FAULT_KILL]++;
        storage_fake_crash(simulation->disk, is_power ? STORAGE_POWER : STORAGE_KILL,
                           random_next(&simulation->random));
    }
    storage_fake_fault_at(simulation->disk, 0, STORAGE_FAIL);
    storage_fake_set_capacity(simulation->disk, UINT64_MAX);
}

static const unsigned char *output_of(const struct simulation *simulation, int topic,
                                      uint64_t *ret_bytes)
{
    if (simulation->broker) {
        return broker_output(simulation->broker, (enum topic)topic, ret_bytes);
    }
    char path[64];
    (void)snprintf(path, sizeof(path), "out/%s/0.jsonl", output_topics[topic].name);
    return storage_fake_content(simulation->disk, path, ret_bytes);
}

/* What is in the topics is what was committed, and the beginning of what the undisturbed run has.
 */
static void compare_outputs(struct simulation *simulation)
{
    struct watch *watch = &simulation->watch;
    for (int topic = 0; topic < TOPIC_COUNT && simulation->has_reference; topic++) {
        const struct byte_buffer *expected = &simulation->reference.outputs[topic];
        uint64_t bytes = 0;
        const unsigned char *found = output_of(simulation, topic, &bytes);
        if (bytes != watch->model.output_bytes[topic]) {
            watch_violate(watch, "%s: %llu bytes, committed were %llu", output_topics[topic].name,
                          (unsigned long long)bytes,
                          (unsigned long long)watch->model.output_bytes[topic]);
        } else if (bytes > expected->length ||
                   (bytes > 0 && memcmp(found, expected->bytes, bytes) != 0)) {
            watch_violate(watch, "%s: other records than undisturbed within %llu bytes",
                          output_topics[topic].name, (unsigned long long)bytes);
        }
    }
}

/* Bytes of all output files, committed or not. */
static uint64_t outputs_left(const struct simulation *simulation)
{
    uint64_t sum = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        uint64_t bytes = 0;
        (void)output_of(simulation, topic, &bytes);
        sum += bytes;
    }
    return sum;
}

/* ---- lives ---- */

static void note_end(struct life *life, enum status status, const struct error *error,
                     bool was_recovered)
{
    struct simulation *simulation = life->simulation;
    struct watch *watch = &simulation->watch;
    bool has_reason = count_faults(life, status, error);
    if (status != STATUS_OK && !has_reason) {
        watch_violate(watch, "failed without a fault: %s", error->message);
    }
    if (is_down(life) && !was_recovered) {
        simulation->recoveries_crashed++;
        watch->hits[FAULT_CRASH_IN_RECOVERY]++;
        watch->hits[FAULT_CRASH_IN_SECOND_RECOVERY] += simulation->recoveries_crashed > 1;
    } else {
        simulation->recoveries_crashed = 0;
    }
    say(simulation, "  life ends at commit %llu: %s\n",
        (unsigned long long)watch->model.log_position,
        status == STATUS_OK ? "no failure" : error->message);
}

static void note_cache(const struct life *life)
{
    struct record_cache_stats stats = task_cache_stats(life->task);
    uint64_t *hits = life->simulation->watch.hits;
    hits[FAULT_CACHE_EVICTED] += stats.misses > stats.new_records + stats.resident;
    hits[FAULT_CACHE_FULL] += task_outgrown(life->task) > 0;
}

/* Runs one life; true when the task has come to its end. */
static bool run_life(struct simulation *simulation, const struct life_plan *plan)
{
    struct life life = {.simulation = simulation, .plan = plan, .memory = simulation->memory};
    struct error error = {0};
    enum task_state state = TASK_BUSY;
    simulation->result->lives++;
    simulation->is_flushed = false;
    if (plan->disk_left > 0) {
        storage_fake_set_capacity(simulation->disk,
                                  storage_fake_used(simulation->disk) + plan->disk_left);
    }
    uint64_t left = outputs_left(simulation);
    uint64_t orphans = simulation->broker ? broker_orphans(simulation->broker) : 0;
    enum status status = begin_life(&life, &error);
    bool was_recovered = status == STATUS_OK;
    if (was_recovered) {
        simulation->watch.hits[FAULT_OUTPUTS_CUT] += outputs_left(simulation) < left;
        compare_outputs(simulation);
        status = lead_life(&life, &state, &error);
        note_cache(&life);
    }
    if (simulation->broker) {
        simulation->watch.hits[FAULT_CRASH_IN_COMMIT] +=
            broker_orphans(simulation->broker) > orphans;
    }
    bool was_down = is_down(&life);
    note_end(&life, status, &error, was_recovered);
    task_destroy(life.task);
    bool is_finished = state == TASK_FINISHED && status == STATUS_OK;
    if (is_finished) {
        compare_outputs(simulation);
    }
    end_process(&life, was_down);
    return is_finished;
}

static uint32_t pick(struct simulation *simulation, const uint32_t *choices, uint32_t count)
{
    return choices[below(simulation, count)];
}
#define PICK(simulation, ...)                                                                      \
    pick(simulation, (const uint32_t[]){__VA_ARGS__},                                              \
         sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void plan_faults(struct simulation *simulation, struct life_plan *plan)
{
    switch (below(simulation, 8)) {
    case 0:
    case 1:
    case 2:
        plan->storage_fault = (enum storage_fault)below(simulation, STORAGE_FAULT_COUNT);
        plan->storage_fault_at = 1 + below(simulation, PICK(simulation, 8, 40, 120, 600));
        break;
    case 3:
    case 4:
        plan->store_fault = (enum store_fault)below(simulation, 4);
        plan->store_fault_at = 1 + below(simulation, PICK(simulation, 3, 20, 100));
        break;
    case 5:
        plan->disk_left = 1 + below(simulation, 20000);
        break;
    case 6:
        plan->input_fails_in = 1 + below(simulation, 400);
        break;
    default:
        plan->destroy_odds = PICK(simulation, 5, 30, 100);
        break;
    }
    plan->log_misbehaves = below(simulation, 2);
    plan->input_wait_odds = below(simulation, 3) == 0 ? 10 : 0;
}

static struct life_plan plan_life(struct simulation *simulation)
{
    struct life_plan plan = {
        .batch_events = PICK(simulation, 1, 2, 5, 17, 64, 1024),
        .batch_timers = PICK(simulation, 0, 0, 1, 2, 9),
        .cache_records = PICK(simulation, 0, 24, 32, 64),
        .slice_records = PICK(simulation, 1, 3, 16, 4096),
        .timer_entries = PICK(simulation, 8, 9, 16, 4096),
        .commit_odds = PICK(simulation, 1, 3, 10, 40),
        .flush_odds = PICK(simulation, 0, 3, 20, 100),
        .compact_odds = PICK(simulation, 0, 5, 50),
    };
    if (simulation->options.has_broker && plan.cache_records > 0) {
        plan.cache_records += 8;
    }
    return plan;
}

/* So many steps, or fewer when the task fails or finishes. */
static enum status step_life(struct life *life, uint32_t steps, struct error *error)
{
    enum task_state state = TASK_BUSY;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < steps && status == STATUS_OK && state != TASK_FINISHED; i++) {
        make_tick(life);
        meddle(life);
        life->simulation->result->steps++;
        status = task_step(life->task, &state, error);
    }
    return status;
}

/* The old owner goes on, not knowing that it has been replaced, until its next commit. */
static void lead_old_life(struct life *old, struct error *error)
{
    struct simulation *simulation = old->simulation;
    uint64_t commits = task_commits(old->task);
    enum status status = step_life(old, 500, error);
    if (status != STATUS_OK && !strstr(error->message, "fenced")) {
        watch_violate(&simulation->watch, "an old owner failed otherwise: %s", error->message);
    }
    if (task_commits(old->task) > commits) {
        watch_violate(&simulation->watch, "an old owner has committed");
    }
}

/*
 * Another machine takes the partition over while the task still runs: it has a store of its own,
 * empty, and the old owner may have a commit on its way.
 */
static void run_takeover(struct simulation *simulation)
{
    struct life_plan plan = plan_life(simulation);
    struct life old = {.simulation = simulation, .plan = &plan, .memory = simulation->memory};
    struct life new = old;
    struct error error = {0};
    broker_set_fate(simulation->broker, BROKER_COMMITS, 0);
    enum status status = begin_life(&old, &error);
    if (status == STATUS_OK) {
        status = step_life(&old, 1 + below(simulation, 60), &error);
    }
    if (status == STATUS_OK) {
        status = state_store_memory_open(&new.memory, &error);
        assert(status == STATUS_OK);
        uint64_t orphans = broker_orphans(simulation->broker);
        old.log.is_old = true;
        status = begin_life(&new, &error);
        simulation->watch.hits[FAULT_FENCED] += broker_orphans(simulation->broker) > orphans;
        if (status == STATUS_OK) {
            struct error old_error;
            lead_old_life(&old, &old_error);
            status = step_life(&new, below(simulation, 60), &error);
        }
        simulation->memory->ops->close(simulation->memory);
        simulation->memory = new.memory;
    }
    if (status != STATUS_OK) {
        watch_violate(&simulation->watch, "failed without a fault: %s", error.message);
    }
    task_destroy(old.task);
    task_destroy(new.task);
}

static void run_disturbed(struct simulation *simulation)
{
    struct watch *watch = &simulation->watch;
    bool is_finished = false;
    for (uint32_t i = 0; i < LIVES_MAX && !is_finished && !watch->violation[0]; i++) {
        if (simulation->broker && chance(simulation, 4)) {
            run_takeover(simulation);
            continue;
        }
        struct life_plan plan = plan_life(simulation);
        plan_faults(simulation, &plan);
        is_finished = run_life(simulation, &plan);
    }
    for (uint32_t i = 0; i < 2 && !watch->violation[0]; i++) {
        /* Once to get to the end, and once more, which must change nothing. */
        struct life_plan plan = plan_life(simulation);
        uint64_t commits = watch->model.log_position;
        bool was_finished = is_finished;
        bool was_flushed = simulation->is_flushed;
        is_finished = run_life(simulation, &plan);
        if (!is_finished) {
            watch_violate(watch, "an undisturbed life did not come to its end");
        }
        if (was_finished && was_flushed && commits != watch->model.log_position) {
            watch_violate(watch, "a finished task that was started again has committed");
        }
    }
}

static void compare_end(struct simulation *simulation)
{
    struct watch *watch = &simulation->watch;
    const struct committed *expected = &simulation->reference.end;
    const struct committed *found = &watch->model;
    if (memcmp(found->records.meaning, expected->records.meaning, sizeof(found->records.meaning)) !=
            0 ||
        found->records.count != expected->records.count) {
        watch_violate(watch, "at the end: the records are not those of the undisturbed run");
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (found->output_count[topic] != expected->output_count[topic] ||
            found->output_count[topic] != found->progress.counters.outputs[topic]) {
            watch_violate(watch, "at the end: %s: %llu records, undisturbed %llu, counted %llu",
                          output_topics[topic].name, (unsigned long long)found->output_count[topic],
                          (unsigned long long)expected->output_count[topic],
                          (unsigned long long)found->progress.counters.outputs[topic]);
        }
    }
    bool is_equal = found->journal.count == expected->journal.count;
    for (uint32_t i = 0; is_equal && i < found->journal.count; i++) {
        const struct committed_entry *a = &found->journal.entries[i];
        const struct committed_entry *b = &expected->journal.entries[i];
        is_equal = a->ordinal == b->ordinal && a->value == b->value && a->payload == b->payload &&
                   a->kind == b->kind;
    }
    if (!is_equal) {
        watch_violate(watch, "at the end: the journal is not that of the undisturbed run");
    }
}

/* ---- the undisturbed run ---- */

static void reference_commit(void *context, const struct committed *model)
{
    struct simulation *simulation = context;
    say(simulation, "  undisturbed: record %llu, %llu timers, %llu ticks%s%s\n",
        (unsigned long long)model->position.ordinal,
        (unsigned long long)model->progress.counters.timers_fired,
        (unsigned long long)model->progress.counters.ticks,
        model->progress.is_ticking ? ", ticking" : "",
        model->progress.is_drained ? ", draining" : "");
    if (model->log_position > 0) {
        reference_add(&simulation->reference, &simulation->watch, model);
    }
}

static void disturbed_commit(void *context, const struct committed *model)
{
    struct simulation *simulation = context;
    say(simulation, "    commit %llu: record %llu, %llu timers, %llu ticks%s%s\n",
        (unsigned long long)model->log_position, (unsigned long long)model->position.ordinal,
        (unsigned long long)model->progress.counters.timers_fired,
        (unsigned long long)model->progress.counters.ticks,
        model->progress.is_ticking ? ", ticking" : "",
        model->progress.is_drained ? ", draining" : "");
    reference_compare(&simulation->reference, &simulation->watch, model);
}

static void set_watch(struct simulation *simulation,
                      void (*on_committed)(void *context, const struct committed *model))
{
    simulation->watch.model.layout = &simulation->layout;
    simulation->watch.on_committed = on_committed;
    simulation->watch.context = simulation;
}

static void open_world(struct simulation *simulation)
{
    struct error error;
    simulation->disk = storage_fake_create();
    enum status status = state_store_memory_open(&simulation->memory, &error);
    assert(status == STATUS_OK);
    if (simulation->options.has_broker) {
        simulation->broker = broker_create();
    }
}

static void close_world(struct simulation *simulation)
{
    simulation->memory->ops->close(simulation->memory);
    storage_reorder_destroy(simulation->reorder);
    storage_fake_destroy(simulation->disk);
    broker_destroy(simulation->broker);
    simulation->memory = NULL;
    simulation->reorder = NULL;
    simulation->disk = NULL;
    simulation->broker = NULL;
}

/* The offsets are the same whoever makes the layout; models need them before the first task. */
static void make_layout(struct simulation *simulation)
{
    struct task_parts parts = {.layout = &simulation->layout};
    struct error error;
    struct stage_context context = {.partition = "0",
                                    .partition_count = 1,
                                    .entity_mask = 1u << ENTITY_USER | 1u << ENTITY_DEVICE |
                                                   1u << ENTITY_CARD | 1u << ENTITY_TERMINAL |
                                                   1u << ENTITY_ADDRESS};
    enum status status =
        record_layout_add(&simulation->layout, &task_progress_part, &parts.progress_offset, &error);
    if (status == STATUS_OK && simulation->script.origin_count > 0) {
        status = record_layout_add(&simulation->layout, &origin_marks_part, &parts.origins_offset,
                                   &error);
    }
    if (status == STATUS_OK) {
        status =
            stage_plan_create_stages(plans_get(simulation->script.variant), &context,
                                     &simulation->layout, parts.stages, &parts.stage_count, &error);
    }
    assert(status == STATUS_OK);
    simulation->watch.model.progress_offset = parts.progress_offset;
    task_parts_release(&parts);
}

static void run_undisturbed(struct simulation *simulation)
{
    enum simulated_defect defect = simulation->options.defect;
    bool has_broker = simulation->options.has_broker;
    struct life_plan plan = {.is_calm = true,
                             .batch_events = 1,
                             .batch_timers = 1,
                             .slice_records = 4096,
                             .timer_entries = 4096};
    simulation->options.defect = DEFECT_NONE;
    simulation->options.has_broker = true;
    open_world(simulation);
    set_watch(simulation, reference_commit);
    if (!run_life(simulation, &plan)) {
        watch_violate(&simulation->watch, "the undisturbed run did not come to its end");
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        uint64_t bytes = 0;
        const unsigned char *lines = output_of(simulation, topic, &bytes);
        byte_buffer_append(&simulation->reference.outputs[topic], lines, bytes);
    }
    close_world(simulation);
    simulation->options.defect = defect;
    simulation->options.has_broker = has_broker;
    simulation->reference.end = simulation->watch.model;
    simulation->has_reference = true;
    simulation->watch.model =
        (struct committed){.layout = &simulation->layout,
                           .progress_offset = simulation->reference.end.progress_offset};
}

static void collect(struct simulation *simulation)
{
    struct simulation_result *result = simulation->result;
    const struct task_counters *counters = &simulation->reference.end.progress.counters;
    memcpy(result->hits, simulation->watch.hits, sizeof(result->hits));
    (void)snprintf(result->violation, sizeof(result->violation), "%s", simulation->watch.violation);
    result->commits = simulation->watch.model.log_position;
    result->events = counters->events_read;
    result->late = counters->late_events;
    result->diverted = counters->late_diverted;
    result->duplicates = counters->duplicates;
    result->timers = counters->timers_fired;
    result->ticks = counters->ticks;
    result->expired = counters->records_expired;
    for (int reason = 0; reason < REJECTION_COUNT; reason++) {
        result->dead_letters += counters->dead_letters[reason];
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        result->outputs += counters->outputs[topic];
    }
}

void task_simulation_run(const struct simulation_options *options,
                         struct simulation_result *ret_result)
{
    struct simulation *simulation = calloc(1, sizeof(*simulation));
    assert(simulation);
    *ret_result = (struct simulation_result){0};
    simulation->options = *options;
    simulation->result = ret_result;
    script_make(&simulation->script, options->seed, PLAN_COUNT);
    simulation->random.state = hash64_combine(options->seed, options->has_broker);
    make_layout(simulation);
    run_undisturbed(simulation);
    memset(simulation->watch.hits, 0, sizeof(simulation->watch.hits));
    open_world(simulation);
    set_watch(simulation, disturbed_commit);
    simulation->watch.defect = options->defect;
    simulation->is_synced = below(simulation, 4) > 0;
    storage_fake_ignore_sync(simulation->disk, options->defect == DEFECT_SYNC_SKIPPED);
    storage_fake_ignore_cuts(simulation->disk, options->defect == DEFECT_OUTPUTS_NOT_CUT);
    if (options->defect == DEFECT_OUTPUTS_AFTER_FRAME) {
        simulation->reorder =
            storage_reorder_create(storage_fake_storage(simulation->disk), "out/");
    }
    if (simulation->broker && options->defect == DEFECT_NOT_FENCED) {
        broker_forget_epochs(simulation->broker);
    }
    if (!simulation->watch.violation[0]) {
        run_disturbed(simulation);
    }
    if (!simulation->watch.violation[0]) {
        compare_end(simulation);
    }
    collect(simulation);
    close_world(simulation);
    kept_content_release(&simulation->watch.pending);
    committed_release(&simulation->watch.model);
    reference_release(&simulation->reference);
    free(simulation);
}
