#include "pipeline/run/task_internal.h"

#include "pipeline/base/clock.h"
#include "pipeline/output/topic_records.h"

void task_account(struct task *task, uint32_t place, uint64_t *mark_ns)
{
    uint64_t now_ns = clock_thread_cpu_ns();
    task->stage_ns[place] += now_ns - *mark_ns;
    *mark_ns = now_ns;
}

static void count_batch(struct task *task)
{
    const struct event_batch *batch = &task->batch;
    struct task_counters *counters = &task->progress.counters;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        /* Each once, as what it is: a duplicate is not late as well. */
        counters->late_events += batch->is_late[row] && batch->state[row] != ROW_DUPLICATE;
        if (batch->state[row] == ROW_LIVE || batch->state[row] == ROW_ERASURE) {
            counters->events_accepted++;
            counters->events_by_type[batch->type[row]]++;
            counters->users_erased += batch->state[row] == ROW_ERASURE;
        } else if (batch->state[row] == ROW_DUPLICATE) {
            counters->duplicates++;
        }
    }
    for (uint32_t row = batch->event_count; row < batch->row_count; row++) {
        counters->timers_fired += batch->state[row] == ROW_LIVE;
    }
}

static enum status run_stages(struct task *task, uint64_t *mark_ns, struct error *error)
{
    for (uint32_t i = 0; i < task->parts.stage_count; i++) {
        struct stage *stage = task->parts.stages[i];
        enum status status = stage->ops->process(stage, &task->batch, error);
        if (status != STATUS_OK) {
            return error_prefix(error, status, "%s", stage->ops->info->name);
        }
        task_account(task, 1 + i, mark_ns);
    }
    return STATUS_OK;
}

/* A sample that does not depend on what was decided: by the hash of (partition, ordinal). */
static bool is_sampled(const struct task *task, uint64_t partition_hash, uint32_t row)
{
    /* 2^53: every integer up to it is a double, so the comparison is exact. */
    uint64_t bound = (uint64_t)(task->options.scored_events_share * 9007199254740992.0);
    return hash64_combine(partition_hash, task->batch.ordinal[row]) >> 11 < bound;
}

/* The topics that no stage writes. */
static void write_side_topics(const struct task *task)
{
    const struct event_batch *batch = &task->batch;
    uint64_t partition_hash = hash64(text_of(task->partition));
    struct scored_event_context scored = {
        .feature_set_hash = task->options.feature_set_hash,
        .configuration_epoch = (int64_t)task->progress.epoch,
        .numeric_profile = text_of(task->numeric_profile),
        .sampling_rate = task->options.scored_events_share,
    };
    for (uint32_t row = 0; row < batch->event_count; row++) {
        if (batch->state[row] == ROW_LIVE && scored.sampling_rate > 0 &&
            is_sampled(task, partition_hash, row)) {
            scored_event_write(task->parts.outputs, &scored, batch, row);
        }
        if (batch->is_late[row] && batch->state[row] != ROW_DUPLICATE) {
            late_event_write(task->parts.outputs, batch, row);
        }
    }
}

/* Once each, however often it is called in a transaction. */
static void count_outputs(struct task *task)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        uint64_t count = output_batch_count(task->parts.outputs, (enum topic)topic);
        task->progress.counters.outputs[topic] += count - task->counted_outputs[topic];
        task->counted_outputs[topic] = count;
    }
}

static struct origin_clock *clock_of(struct task *task)
{
    return task->origins.count > 0 ? &task->origins : NULL;
}

enum status task_process_batch(struct task *task, struct error *error)
{
    uint64_t mark_ns = clock_thread_cpu_ns();
    enum intake_result result;
    bool asks = task->asks_again && !task->progress.is_ticking;
    bool is_draining = task->progress.is_drained && !asks;
    struct task_sender *sender = task->parts.sender;
    if (sender) {
        sender->ops->begin(sender, &task->origins);
    }
    enum status status = intake_fill(task->intake, &task->progress, clock_of(task), is_draining,
                                     &task->batch, task->parts.outputs, &result, error);
    if (status != STATUS_OK) {
        return status;
    }
    task_account(task, 0, &mark_ns);
    task->said = result;
    if (asks && result != INTAKE_NOTHING) {
        task->asks_again = false;
        task->progress.is_drained = result == INTAKE_END;
        task->said = INTAKE_BATCH; /* Where it has not grown, the timers are still to come. */
    }
    if (result != INTAKE_BATCH) {
        return STATUS_OK;
    }
    struct record *own;
    status = task_take_own_record(task, &own, error);
    if (status != STATUS_OK) {
        return status;
    }
    task->batch.record[ENTITY_TASK][0] = own;
    if (task->batch.row_count > 0) {
        status = run_stages(task, &mark_ns, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (!sender) {
            write_side_topics(task);
        }
        count_batch(task);
    }
    if (sender) {
        status = sender->ops->send(sender, &task->batch, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    status = intake_settle(task->intake, &task->batch, error);
    count_outputs(task);
    task->batches++;
    task->position = task->parts.input->ops->position(task->parts.input);
    task->is_dirty = true;
    task_account(task, 0, &mark_ns);
    if (status == STATUS_OK && output_batch_failed(task->parts.outputs)) {
        status = error_set(error, STATUS_FATAL, "outputs: out of memory");
    }
    return status;
}
