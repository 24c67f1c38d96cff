#include "test/simulation/simulation.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/simulation/plans.h"
#include "test/simulation/simulated_life.h"
#include "test/simulation/verdict.h"

#define LIVES_MAX 14u

/* Bytes of all output files, committed or not. */
static uint64_t outputs_left(const struct simulation *simulation)
{
    uint64_t sum = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        uint64_t bytes = 0;
        (void)verdict_output(simulation, topic, &bytes);
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
    bool has_reason = life_count_faults(life, status, error);
    if (status != STATUS_OK && !has_reason) {
        watch_violate(watch, "failed without a fault: %s", error->message);
    }
    if (life_is_down(life) && !was_recovered) {
        simulation->recoveries_crashed++;
        watch->hits[FAULT_CRASH_IN_RECOVERY]++;
        watch->hits[FAULT_CRASH_IN_SECOND_RECOVERY] += simulation->recoveries_crashed > 1;
    } else {
        simulation->recoveries_crashed = 0;
    }
    simulation_say(simulation, "  life ends at commit %llu: %s\n",
                   (unsigned long long)watch->model.log_position,
                   status == STATUS_OK ? "no failure" : error->message);
}

/* As a partition whose store is found corrupt is opened again: with an empty one. */
static void replace_store(struct simulation *simulation, bool was_recovered)
{
    struct error error;
    simulation->watch.hits[FAULT_STORE_CORRUPT_AGAIN] +=
        !was_recovered && simulation->is_rebuilding;
    simulation->is_rebuilding = true;
    simulation->memory->ops->close(simulation->memory);
    enum status status = state_store_memory_open(&simulation->memory, &error);
    assert(status == STATUS_OK);
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
    enum status status = life_begin(&life, &error);
    bool was_recovered = status == STATUS_OK;
    if (was_recovered) {
        simulation->watch.hits[FAULT_OUTPUTS_CUT] += outputs_left(simulation) < left;
        verdict_on_outputs(simulation);
        status = life_lead(&life, &state, &error);
        life_note_cache(&life);
    }
    if (simulation->broker) {
        simulation->watch.hits[FAULT_CRASH_IN_COMMIT] +=
            broker_orphans(simulation->broker) > orphans;
    }
    bool was_down = life_is_down(&life);
    note_end(&life, status, &error, was_recovered);
    task_destroy(life.task);
    bool is_finished = state == TASK_FINISHED && status == STATUS_OK;
    if (is_finished) {
        verdict_on_outputs(simulation);
    }
    life_end_process(&life, was_down);
    if (status == STATUS_CORRUPT) {
        replace_store(simulation, was_recovered);
    } else if (was_recovered) {
        simulation->is_rebuilding = false;
    }
    return is_finished;
}

static uint32_t pick(struct simulation *simulation, const uint32_t *choices, uint32_t count)
{
    return choices[simulation_below(simulation, count)];
}
#define PICK(simulation, ...)                                                                      \
    pick(simulation, (const uint32_t[]){__VA_ARGS__},                                              \
         sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void plan_faults(struct simulation *simulation, struct life_plan *plan)
{
    if (simulation->is_rebuilding && simulation_below(simulation, 2)) {
        plan->store_fault = STORE_CORRUPT;
        plan->store_fault_at = 1 + simulation_below(simulation, 3);
        return;
    }
    switch (simulation_below(simulation, 8)) {
    case 0:
    case 1:
    case 2:
        plan->storage_fault = (enum storage_fault)simulation_below(simulation, STORAGE_FAULT_COUNT);
        plan->storage_fault_at =
            1 + simulation_below(simulation, PICK(simulation, 8, 40, 120, 600));
        break;
    case 3:
    case 4:
        /* From files' logs, which are trimmed, a store cannot be made anew. */
        plan->store_fault =
            (enum store_fault)simulation_below(simulation, simulation->broker ? 5 : 4);
        plan->store_fault_at = 1 + simulation_below(simulation, PICK(simulation, 3, 20, 100));
        break;
    case 5:
        plan->disk_left = 1 + simulation_below(simulation, 20000);
        break;
    case 6:
        plan->input_fails_in = 1 + simulation_below(simulation, 400);
        break;
    default:
        plan->destroy_odds = PICK(simulation, 5, 30, 100);
        break;
    }
    plan->log_misbehaves = simulation_below(simulation, 2);
    plan->input_wait_odds = simulation_below(simulation, 3) == 0 ? 10 : 0;
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

/* The old owner goes on, not knowing that it has been replaced, until its next commit. */
static void lead_old_life(struct life *old, struct error *error)
{
    struct simulation *simulation = old->simulation;
    uint64_t commits = task_commits(old->task);
    enum status status = life_step(old, 500, error);
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
    enum status status = life_begin(&old, &error);
    if (status == STATUS_OK) {
        status = life_step(&old, 1 + simulation_below(simulation, 60), &error);
    }
    if (status == STATUS_OK) {
        status = state_store_memory_open(&new.memory, &error);
        assert(status == STATUS_OK);
        uint64_t orphans = broker_orphans(simulation->broker);
        old.log.is_old = true;
        status = life_begin(&new, &error);
        simulation->watch.hits[FAULT_FENCED] += broker_orphans(simulation->broker) > orphans;
        if (status == STATUS_OK) {
            struct error old_error;
            lead_old_life(&old, &old_error);
            status = life_step(&new, simulation_below(simulation, 60), &error);
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
        if (simulation->broker && simulation_chance(simulation, 4)) {
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

/* ---- the undisturbed run ---- */

static void reference_commit(void *context, const struct committed *model)
{
    struct simulation *simulation = context;
    verdict_on_time(simulation, model);
    simulation_say(simulation, "  undisturbed: record %llu, %llu timers, %llu ticks%s%s\n",
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
    verdict_on_time(simulation, model);
    simulation_say(simulation, "    commit %llu: record %llu, %llu timers, %llu ticks%s%s\n",
                   (unsigned long long)model->log_position,
                   (unsigned long long)model->position.ordinal,
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
        const unsigned char *lines = verdict_output(simulation, topic, &bytes);
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
    simulation->is_synced = simulation_below(simulation, 4) > 0;
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
        verdict_on_end(simulation);
    }
    collect(simulation);
    close_world(simulation);
    kept_content_release(&simulation->watch.pending);
    committed_release(&simulation->watch.model);
    reference_release(&simulation->reference);
    free(simulation);
}
