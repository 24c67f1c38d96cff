#include "pipeline/run/task.h"

#include <stdlib.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/crash_point.h"
#include "pipeline/run/task_internal.h"

void task_parts_release(struct task_parts *parts)
{
    for (uint32_t i = 0; i < parts->stage_count; i++) {
        stage_destroy(parts->stages[i]);
    }
    output_batch_destroy(parts->outputs);
    if (parts->input) {
        parts->input->ops->close(parts->input);
    }
    if (parts->log) {
        parts->log->ops->close(parts->log);
    }
    if (parts->store) {
        parts->store->ops->close(parts->store);
    }
}

void task_destroy(struct task *task)
{
    if (!task) {
        return;
    }
    /* A commit on its way borrows outputs and records: the log has to let go of them first. */
    if (task->parts.log) {
        task->parts.log->ops->close(task->parts.log);
        task->parts.log = NULL;
    }
    intake_destroy(task->intake);
    timer_index_destroy(task->timers);
    record_cache_destroy(task->cache);
    event_batch_release(&task->batch);
    task_parts_release(&task->parts);
    task_expiry_release(&task->expiry);
    free(task->numeric_profile);
    free(task->partition);
    free(task);
}

static enum status recover_record(void *context, const struct changelog_entry *entry,
                                  uint64_t log_position, struct error *error)
{
    struct task *task = context;
    enum status status = record_cache_apply(task->cache, entry, log_position, error);
    crash_point(CRASH_RECOVER_RECORD_APPLIED);
    if (status == STATUS_OK) {
        status = record_cache_relieve(task->cache, error);
    }
    return status;
}

static enum status recover(struct task *task, struct error *error)
{
    struct recovery_visitor visitor = {.context = task, .record = recover_record};
    struct commit_point point;
    uint64_t from = task->parts.store->ops->position(task->parts.store);
    enum status status =
        task->parts.log->ops->recover(task->parts.log, from, &visitor, &point, error);
    if (status == STATUS_OK && point.is_new && from > 0) {
        status = error_set(error, STATUS_FATAL,
                           "the state directory has records of %llu commits but the log and the "
                           "outputs are new; give the output directory that belongs to the state, "
                           "or an empty state directory",
                           (unsigned long long)from);
    }
    if (status != STATUS_OK) {
        return status;
    }
    task->log_position = point.log_position;
    task->position = point.position;
    task->committed_position = point.position;
    status = task_return(task, error);
    crash_point(CRASH_RECOVER_DONE);
    return status;
}

static enum status create_members(struct task *task, struct error *error)
{
    enum status status = event_batch_init(&task->batch, task->options.feature_count, error);
    if (status == STATUS_OK) {
        task->batch.places = (struct event_places){task->partition, &task->progress.topics};
        status = record_cache_create(task->parts.layout, task->parts.store, &task->options.cache,
                                     &task->cache, error);
    }
    if (status == STATUS_OK) {
        status = timer_index_create(task->parts.store, task->cache, task->options.timer_entries_max,
                                    &task->timers, error);
    }
    if (status == STATUS_OK) {
        status = intake_create(&task->options.intake, task->parts.layout, task->parts.input,
                               task->cache, task->timers, &task->intake, error);
    }
    task->batch.outputs = task->parts.outputs;
    return status;
}

enum status task_create(const struct task_options *options, const struct task_parts *parts,
                        struct task **ret_task, struct error *error)
{
    assert(options->transaction_records_max > 0);
    struct task *task = calloc(1, sizeof(*task));
    char *profile = strdup(options->numeric_profile);
    char *partition = strdup(options->intake.partition);
    if (!task || !profile || !partition) {
        struct task_parts owned = *parts;
        task_parts_release(&owned);
        free(task);
        free(profile);
        free(partition);
        return error_set(error, STATUS_FATAL, "task: out of memory");
    }
    task->options = *options;
    task->parts = *parts;
    assert(parts->origin_count <= ORIGINS_MAX);
    task->origins.count = parts->origin_count;
    task->numeric_profile = profile;
    task->partition = partition;
    task->requested_tick_ms = TIMER_NONE;
    task->batches_max = UINT32_MAX;
    task->expiry.retention_ms = options->expire_after_ms;
    enum status status = create_members(task, error);
    if (status == STATUS_OK) {
        status = recover(task, error);
    }
    if (status != STATUS_OK) {
        task_destroy(task);
        return status;
    }
    task_begin_epoch(task);
    *ret_task = task;
    return STATUS_OK;
}

/* The input has ended: begin to drain, or, when that is done, finish. */
static void end_input(struct task *task)
{
    if (!task->options.is_finite) {
        return;
    }
    if (!task->progress.is_drained) {
        task->progress.is_drained = 1;
        task_journal_add(task, JOURNAL_DRAIN, 0, (struct text){0});
        task->said = INTAKE_BATCH; /* The timers are still to come. */
    } else if (task->is_dirty) {
        task->wants_commit = true;
    } else {
        task->phase = PHASE_FINISHED;
    }
}

static void begin_tick(struct task *task)
{
    if (task->requested_tick_ms == TIMER_NONE || task->progress.is_ticking) {
        return;
    }
    if (task->origins.count > 0 && !origin_clock_is_idle(&task->origins)) {
        task->requested_tick_ms = TIMER_NONE; /* Where records come from, time goes on. */
        return;
    }
    if (task->journal_count + 2 > JOURNAL_MAX) {
        task->wants_commit = true; /* It waits: the drain needs a place as well. */
        return;
    }
    if (task->requested_tick_ms > task_watermark_ms(task) && task->progress.is_started) {
        task->progress.is_ticking = 1;
        task->progress.tick_ms = task->requested_tick_ms;
        task->progress.counters.ticks++;
        task_journal_add(task, JOURNAL_TICK, task->requested_tick_ms, (struct text){0});
    }
    task->requested_tick_ms = TIMER_NONE;
}

/* True: a commit is on its way or due, and this step was spent on it. */
static bool step_commit(struct task *task, enum status *ret_status, struct error *error)
{
    if (task->phase == PHASE_COMMITTING) {
        *ret_status = task_poll_commit(task, error);
        return true;
    }
    if (task->phase == PHASE_RUNNING &&
        ((task->wants_commit && task->is_dirty) || task_is_transaction_full(task))) {
        uint64_t mark_ns = clock_thread_cpu_ns();
        *ret_status = task_start_commit(task, error);
        task_account(task, 1 + task->parts.stage_count, &mark_ns);
        return true;
    }
    task->wants_commit = false;
    return false;
}

static enum task_state state_of(const struct task *task)
{
    bool waits = task->phase == PHASE_COMMITTING || task->needs_room || task->is_refused ||
                 task->said == INTAKE_NOTHING ||
                 (task->said == INTAKE_END && !task->options.is_finite);
    return task->phase == PHASE_FINISHED ? TASK_FINISHED : waits ? TASK_WAITING : TASK_BUSY;
}

enum status task_step(struct task *task, enum task_state *ret_state, struct error *error)
{
    enum status status = STATUS_OK;
    if (task->needs_room) {
        status = task_make_room(task, error);
    } else if (!step_commit(task, &status, error) && task->phase == PHASE_RUNNING) {
        begin_tick(task);
        status = task_process_batch(task, error);
        if (status == STATUS_OK && task->said == INTAKE_END) {
            end_input(task);
        }
    }
    if (status == STATUS_RETRY) {
        status = task_begin_smaller(task, error);
    }
    *ret_state = state_of(task);
    return status;
}

enum status task_commit_step(struct task *task, enum task_state *ret_state, struct error *error)
{
    enum status status = STATUS_OK;
    if (task->needs_room) {
        status = task_make_room(task, error);
    } else {
        (void)step_commit(task, &status, error);
    }
    if (status == STATUS_RETRY) {
        status = task_begin_smaller(task, error);
    }
    *ret_state = state_of(task);
    return status;
}

void task_request_commit(struct task *task)
{
    task->wants_commit = true;
}

bool task_is_committed(const struct task *task)
{
    return !task->is_dirty && task->phase != PHASE_COMMITTING;
}

bool task_is_committing(const struct task *task)
{
    return task->phase == PHASE_COMMITTING;
}

void task_tick(struct task *task, int64_t watermark_ms)
{
    task->requested_tick_ms = watermark_ms;
}

enum status task_flush(struct task *task, struct error *error)
{
    assert(task_is_committed(task));
    enum status status = record_cache_write_back(task->cache, 0, error);
    if (status == STATUS_RETRY) {
        return STATUS_OK; /* The store is busy: the log keeps what it could not take. */
    }
    if (status == STATUS_OK) {
        status = task->parts.store->ops->flush(task->parts.store, error);
        crash_point(CRASH_STORE_FLUSHED);
    }
    return status == STATUS_OK ? task_relieve(task, error) : status;
}

enum status task_stage_counters(struct task *task, struct stage_counter *ret_counters, uint32_t max,
                                uint32_t *ret_count, struct error *error)
{
    assert(task_is_committed(task));
    struct record *own;
    enum status status = task_take_own_record(task, &own, error);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < task->parts.stage_count; i++) {
        struct stage *stage = task->parts.stages[i];
        if (stage->ops->counters) {
            count += stage->ops->counters(stage, own, ret_counters + count, max - count);
        }
    }
    record_cache_abort(task->cache);
    *ret_count = count;
    return STATUS_OK;
}

struct task_progress task_progress(const struct task *task)
{
    return task->progress;
}

int64_t task_watermark_ms(const struct task *task)
{
    return task->progress.is_started
               ? task->progress.time_max_ms - task->options.intake.allowed_lateness_ms
               : INT64_MIN;
}

double task_input_progress(const struct task *task)
{
    return task->parts.input->ops->progress(task->parts.input);
}

struct record_cache_stats task_cache_stats(const struct task *task)
{
    return record_cache_stats(task->cache);
}

struct state_store *task_store(const struct task *task)
{
    return task->parts.store;
}

uint64_t task_commits(const struct task *task)
{
    return task->commits;
}

uint64_t task_outgrown(const struct task *task)
{
    return task->outgrown;
}

const uint64_t *task_stage_ns(const struct task *task)
{
    return task->stage_ns;
}
