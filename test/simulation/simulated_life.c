#include "test/simulation/simulated_life.h"

#include <stdarg.h>
#include <stdio.h>

#include "test/simulation/plans.h"

#define STEPS_MAX 200000u
#define CACHE_BYTES (8u << 20)

void simulation_say(const struct simulation *simulation, const char *format, ...)
{
    if (simulation->options.is_verbose) {
        va_list arguments;
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
    }
}

uint32_t simulation_below(struct simulation *simulation, uint32_t bound)
{
    return random_below(&simulation->random, bound);
}

bool simulation_chance(struct simulation *simulation, uint32_t odds)
{
    return odds > 0 && simulation_below(simulation, odds) == 0;
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

enum status life_begin(struct life *life, struct error *error)
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
    uint32_t polls = simulation_below(simulation, 3) == 0 ? simulation_below(simulation, 4) : 0;
    uint32_t fate = simulation_below(simulation, 24);
    simulation->watch.hits[FAULT_COMMIT_PENDING] += polls > 0;
    if (fate < 4) {
        simulation->watch.hits[hits[fate]]++;
    }
    broker_set_fate(simulation->broker, fate < 4 ? fates[fate] : BROKER_COMMITS, polls);
    broker_set_orphan_commits(simulation->broker, simulation_below(simulation, 2));
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
    if (simulation_chance(simulation, plan->commit_odds)) {
        task_request_commit(life->task);
    }
    if (simulation_chance(simulation, plan->flush_odds)) {
        struct error error;
        enum status status = life->memory->ops->flush(life->memory, &error);
        assert(status == STATUS_OK);
    }
    if (plan->input_wait_odds > 0 && life->input.waits_in == 0 &&
        simulation_chance(simulation, (uint32_t)plan->input_wait_odds)) {
        life->input.waits_in = 1 + simulation_below(simulation, 5);
    }
    if (simulation->broker && plan->log_misbehaves && !life->log.is_started) {
        set_broker_fate(simulation);
    }
    if (simulation->broker && simulation_chance(simulation, plan->compact_odds)) {
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
        simulation_say(life->simulation, "    tick %llu at record %llu to %lld\n",
                       (unsigned long long)progress.counters.ticks + 1,
                       (unsigned long long)progress.counters.events_read,
                       (long long)task_watermark_ms(life->task) + tick->by_ms);
        task_tick(life->task, task_watermark_ms(life->task) + tick->by_ms);
    }
}

enum status life_lead(struct life *life, enum task_state *ret_state, struct error *error)
{
    struct simulation *simulation = life->simulation;
    enum status status = STATUS_OK;
    *ret_state = TASK_BUSY;
    for (uint32_t step = 0; *ret_state != TASK_FINISHED && status == STATUS_OK; step++) {
        if (step == STEPS_MAX) {
            watch_violate(&simulation->watch, "the task does not come to an end");
            return STATUS_OK;
        }
        if (simulation_chance(simulation, life->plan->destroy_odds)) {
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
    if (status == STATUS_OK && simulation_below(simulation, 2)) {
        status = task_flush(life->task, error);
        simulation->is_flushed = status == STATUS_OK && !life->store.was_hit;
    }
    return status;
}

enum status life_step(struct life *life, uint32_t steps, struct error *error)
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

/* ---- what ended it ---- */

bool life_is_down(const struct life *life)
{
    return life->store.is_down || storage_fake_is_down(life->simulation->disk);
}

static bool storage_was_hit(const struct life *life)
{
    return life->plan->storage_fault_at > 0 && storage_fake_calls(life->simulation->disk) >=
                                                   life->armed_at + life->plan->storage_fault_at;
}

bool life_count_faults(struct life *life, enum status status, const struct error *error)
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
        [STORE_CORRUPT] = FAULT_STORE_CORRUPT,
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

void life_end_process(struct life *life, bool was_down)
{
    struct simulation *simulation = life->simulation;
    if (was_down || simulation_chance(simulation, 2)) {
        uint64_t position = life->memory->ops->position(life->memory);
        state_store_memory_crash(life->memory, random_next(&simulation->random));
        simulation->watch.hits[FAULT_STORE_ROLLED_BACK] +=
            life->memory->ops->position(life->memory) < position;
    }
    if (was_down) {
        bool is_power = simulation->is_synced && simulation_below(simulation, 2);
        simulation->watch.hits[is_power ? FAULT_POWER_LOSS : FAULT_KILL]++;
        storage_fake_crash(simulation->disk, is_power ? STORAGE_POWER : STORAGE_KILL,
                           random_next(&simulation->random));
    }
    storage_fake_fault_at(simulation->disk, 0, STORAGE_FAIL);
    storage_fake_set_capacity(simulation->disk, UINT64_MAX);
}

void life_note_cache(const struct life *life)
{
    struct record_cache_stats stats = task_cache_stats(life->task);
    uint64_t *hits = life->simulation->watch.hits;
    hits[FAULT_CACHE_EVICTED] += stats.misses > stats.new_records + stats.resident;
    hits[FAULT_CACHE_FULL] += task_outgrown(life->task) > 0;
}
