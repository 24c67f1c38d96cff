#include "pipeline/run/task_internal.h"

#include "pipeline/base/clock.h"
#include "pipeline/base/crash_point.h"

enum status task_take_own_record(struct task *task, struct record **ret_record, struct error *error)
{
    struct record_key key = {.kind = ENTITY_TASK};
    return record_cache_take(task->cache, &key, 1, ret_record, error);
}

void task_journal_add(struct task *task, enum journal_kind kind, int64_t value, struct text payload)
{
    assert(task->journal_count < JOURNAL_MAX);
    task->journal[task->journal_count++] = (struct journal_entry){
        .kind = (uint8_t)kind,
        .ordinal = task->position.ordinal,
        .value = value,
        .payload = payload,
    };
    task->is_dirty = true;
}

void task_begin_epoch(struct task *task)
{
    if (task->progress.plan_hash == task->options.plan_hash && task->progress.epoch > 0) {
        return;
    }
    task->progress.epoch++;
    task->progress.plan_hash = task->options.plan_hash;
    task_journal_add(
        task, JOURNAL_EPOCH, (int64_t)task->progress.epoch,
        (struct text){(const char *)&task->options.plan_hash, sizeof(task->options.plan_hash)});
    task_journal_add(task, JOURNAL_NUMERIC_PROFILE, 0, text_of(task->numeric_profile));
}

/* Reads task.progress from the task's record as it was committed last. */
static enum status read_progress(struct task *task, struct error *error)
{
    struct record *own;
    enum status status = task_take_own_record(task, &own, error);
    if (status == STATUS_RETRY) {
        status = record_cache_write_back(task->cache, 0, error);
        status = status == STATUS_OK ? task_take_own_record(task, &own, error) : status;
    }
    if (status == STATUS_OK) {
        memcpy(&task->progress, record_part_at(own, task->parts.progress_offset),
               sizeof(task->progress));
        if (task->origins.count > 0) {
            origin_clock_set(&task->origins, record_part_at(own, task->parts.origins_offset));
        }
        record_cache_abort(task->cache);
        task->asks_again = task->progress.is_drained != 0;
    }
    return status;
}

enum status task_return(struct task *task, struct error *error)
{
    struct input *input = task->parts.input;
    enum status status = read_progress(task, error);
    if (status == STATUS_OK && input->ops->expect) {
        input->ops->expect(input, &task->progress.input);
    }
    return status == STATUS_OK ? input->ops->seek(input, &task->position, error) : status;
}

/* Everything since the last commit is as if it had not been, but for the input's place. */
static void forget_transaction(struct task *task)
{
    record_cache_abort(task->cache);
    task_expiry_forget(&task->expiry);
    timer_index_abort(task->timers);
    output_batch_reset(task->parts.outputs);
    memset(task->counted_outputs, 0, sizeof(task->counted_outputs));
    task->batches = 0;
    task->journal_count = 0;
    task->is_dirty = false;
    task->phase = PHASE_RUNNING;
    task->position = task->committed_position;
}

/* Goes on behind the last commit. */
static enum status read_again(struct task *task, struct error *error)
{
    /* It was asked for at a later place, whose events are yet to come. */
    task->requested_tick_ms = TIMER_NONE;
    enum status status = task_return(task, error);
    if (status == STATUS_OK) {
        task_begin_epoch(task);
    }
    return status;
}

enum status task_begin_smaller(struct task *task, struct error *error)
{
    uint32_t batches = task->batches;
    bool has_dirty = record_cache_stats(task->cache).dirty > 0;
    forget_transaction(task);
    if (batches > 0) {
        task->batches_max = batches;
    } else if (!has_dirty && !intake_shrink(task->intake)) {
        return error_prefix(error, STATUS_INVALID, "the memory given cannot hold one event");
    }
    task->needs_room = true;
    task->outgrown++;
    return STATUS_OK;
}

enum status task_make_room(struct task *task, struct error *error)
{
    enum status status = record_cache_write_back(task->cache, 0, error);
    if (status == STATUS_RETRY) {
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        task->needs_room = false;
        status = read_again(task, error);
    }
    return status;
}

enum status task_start_commit(struct task *task, struct error *error)
{
    struct record *own;
    enum status status = task_take_own_record(task, &own, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct input *input = task->parts.input;
    if (input->ops->fingerprint) {
        task->progress.input = input->ops->fingerprint(input, &task->position);
    }
    memcpy(record_part_at(own, task->parts.progress_offset), &task->progress,
           sizeof(task->progress));
    if (task->origins.count > 0) {
        memcpy(record_part_at(own, task->parts.origins_offset), &task->origins.marks,
               sizeof(task->origins.marks));
    }
    struct commit_content content = {
        .outputs = task->parts.outputs,
        .journal = task->journal,
        .journal_count = task->journal_count,
        .position = task->position,
    };
    content.record_count = record_cache_encode_changes(task->cache, &content.records);
    status = task_expiry_add(&task->expiry, task->parts.store, task->cache, task_watermark_ms(task),
                             &content.records, &content.record_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = task->parts.log->ops->start(task->parts.log, &content, error);
    task->is_refused = status == STATUS_RETRY;
    if (status == STATUS_RETRY) {
        task->wants_commit = true;
        return STATUS_OK; /* Nothing was handed over; the next step tries again. */
    }
    if (status == STATUS_OK) {
        task->phase = PHASE_COMMITTING;
        task->wants_commit = false;
    }
    return status;
}

enum status task_relieve(struct task *task, struct error *error)
{
    /* As many slices as the transaction was large, so that what is dirty does not pile up. */
    enum status status = STATUS_OK;
    uint32_t slices = task->committed_records / task->options.cache.slice_records + 1;
    for (uint32_t i = 0; status == STATUS_OK && i < slices; i++) {
        status = record_cache_relieve(task->cache, error);
    }
    if (status != STATUS_OK && status != STATUS_RETRY) {
        return status; /* A store that is busy is asked again after the next commit. */
    }
    status = STATUS_OK;
    uint64_t durable = task->parts.store->ops->durable_position(task->parts.store);
    if (durable > task->trimmed_position) {
        status = task->parts.log->ops->trim(task->parts.log, durable, error);
        task->trimmed_position = durable;
    }
    return status;
}

static enum status finish_commit(struct task *task, uint64_t log_position, struct error *error)
{
    task->committed_records = record_cache_taken(task->cache);
    record_cache_commit(task->cache, log_position);
    timer_index_commit(task->timers);
    crash_point(CRASH_COMMIT_PROMOTED);
    output_batch_reset(task->parts.outputs);
    memset(task->counted_outputs, 0, sizeof(task->counted_outputs));
    task->batches = 0;
    task->journal_count = 0;
    task->is_dirty = false;
    task->log_position = log_position;
    task->committed_position = task->position;
    task->commits++;
    task->phase = PHASE_RUNNING;
    if (task->options.reached) {
        task->options.reached(task->parts.store, task_watermark_ms(task));
    }
    enum status status = task_expiry_finish(&task->expiry, task->parts.store, task->cache, error);
    return status == STATUS_OK ? task_relieve(task, error) : status;
}

/* The log took the commit back: forget it, and read the same input again. */
static enum status rewind_task(struct task *task, struct error *error)
{
    forget_transaction(task);
    return read_again(task, error);
}

enum status task_poll_commit(struct task *task, struct error *error)
{
    enum commit_state state;
    uint64_t log_position = 0;
    enum status status = task->parts.log->ops->poll(task->parts.log, &state, &log_position, error);
    if (status != STATUS_OK || state == COMMIT_PENDING) {
        return status;
    }
    uint64_t mark_ns = clock_thread_cpu_ns();
    status =
        state == COMMIT_DONE ? finish_commit(task, log_position, error) : rewind_task(task, error);
    task_account(task, 1 + task->parts.stage_count, &mark_ns);
    return status;
}

bool task_is_transaction_full(const struct task *task)
{
    size_t bytes_max = task->options.transaction_bytes_max;
    size_t output_bytes_max = task->options.output_bytes_max;
    return record_cache_taken(task->cache) >= task->options.transaction_records_max ||
           (bytes_max > 0 && record_cache_taken_bytes(task->cache) >= bytes_max) ||
           task->batches >= task->batches_max ||
           (output_bytes_max > 0 && output_batch_bytes(task->parts.outputs) >= output_bytes_max);
}
