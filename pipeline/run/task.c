#include "pipeline/run/task.h"

#include <stdlib.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/crash_point.h"
#include "pipeline/output/topic_records.h"

/* A transaction is committed when it holds this many bytes of outputs, whatever the clock says. */
#define TRANSACTION_BYTES_MAX (32u << 20)

#define JOURNAL_MAX 8

enum task_phase { PHASE_RUNNING, PHASE_COMMITTING, PHASE_FINISHED };

struct task {
    struct task_options options;
    struct task_parts parts;
    char *numeric_profile; /* What options.numeric_profile says. */
    char *partition;       /* What options.intake.partition says. */
    struct record_cache *cache;
    struct timer_index *timers;
    struct intake *intake;
    struct event_batch batch;

    struct task_progress progress; /* Working copy, as of the last batch. */
    struct journal_entry journal[JOURNAL_MAX];
    uint32_t journal_count;
    struct input_position position; /* After the last batch. */
    struct input_position committed_position;
    enum task_phase phase;
    bool is_dirty; /* Something was processed since the last commit. */
    bool wants_commit;
    enum intake_result said; /* What intake last came back with. */
    int64_t requested_tick_ms;
    uint64_t log_position;
    uint64_t trimmed_position;
    uint32_t committed_records; /* By the last commit. */
    uint64_t commits;
    uint64_t counted_outputs[TOPIC_COUNT]; /* Of this transaction's, those in progress. */
    uint32_t batches;                      /* Of this transaction. */
    uint32_t batches_max;                  /* More did not fit into the cache. */
    uint64_t outgrown;                     /* Transactions. */
    bool asks_again; /* The input had ended when it was last committed; it may have grown. */
    bool needs_room; /* The cache is full of dirty records. */
    bool is_refused; /* The log could not take the commit at the moment. */
    uint64_t stage_ns[TASK_STAGES_MAX + 2]; /* intake, stages, commit */
};

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

/* Takes the task's own record into the transaction; progress is copied to it before a commit. */
static enum status take_own_record(struct task *task, struct record **ret_record,
                                   struct error *error)
{
    struct record_key key = {.kind = ENTITY_TASK};
    return record_cache_take(task->cache, &key, 1, ret_record, error);
}

static void journal_add(struct task *task, enum journal_kind kind, int64_t value,
                        struct text payload)
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

/* A changed configuration takes effect here, at a position of the input, and is journaled. */
static void begin_epoch(struct task *task)
{
    if (task->progress.plan_hash == task->options.plan_hash && task->progress.epoch > 0) {
        return;
    }
    task->progress.epoch++;
    task->progress.plan_hash = task->options.plan_hash;
    journal_add(
        task, JOURNAL_EPOCH, (int64_t)task->progress.epoch,
        (struct text){(const char *)&task->options.plan_hash, sizeof(task->options.plan_hash)});
    journal_add(task, JOURNAL_NUMERIC_PROFILE, 0, text_of(task->numeric_profile));
}

static enum status read_progress(struct task *task, struct error *error)
{
    struct record *own;
    enum status status = take_own_record(task, &own, error);
    if (status == STATUS_RETRY) {
        status = record_cache_write_back(task->cache, 0, error);
        status = status == STATUS_OK ? take_own_record(task, &own, error) : status;
    }
    if (status == STATUS_OK) {
        memcpy(&task->progress, record_part_at(own, task->parts.progress_offset),
               sizeof(task->progress));
        record_cache_abort(task->cache);
        task->asks_again = task->progress.is_drained != 0;
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
    status = task->parts.input->ops->seek(task->parts.input, &point.position, error);
    if (status == STATUS_OK) {
        status = read_progress(task, error);
    }
    crash_point(CRASH_RECOVER_DONE);
    return status;
}

static enum status create_members(struct task *task, struct error *error)
{
    enum status status = event_batch_init(&task->batch, task->options.feature_count, error);
    if (status == STATUS_OK) {
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
    task->numeric_profile = profile;
    task->partition = partition;
    task->requested_tick_ms = TIMER_NONE;
    task->batches_max = UINT32_MAX;
    enum status status = create_members(task, error);
    if (status == STATUS_OK) {
        status = recover(task, error);
    }
    if (status != STATUS_OK) {
        task_destroy(task);
        return status;
    }
    begin_epoch(task);
    *ret_task = task;
    return STATUS_OK;
}

/* Reads are of CPU time of this thread, so that neighbours do not count. */
static void account(struct task *task, uint32_t place, uint64_t *mark_ns)
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
        if (batch->state[row] == ROW_LIVE) {
            counters->events_accepted++;
            counters->events_by_type[batch->type[row]]++;
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
        account(task, 1 + i, mark_ns);
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
    struct text partition = text_of(task->partition);
    uint64_t partition_hash = hash64(partition);
    struct scored_event_context scored = {
        .partition = partition,
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
            late_event_write(task->parts.outputs, batch, row, partition);
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

/* STATUS_RETRY: the cache has no room for it. */
static enum status process_batch(struct task *task, struct error *error)
{
    uint64_t mark_ns = clock_thread_cpu_ns();
    enum intake_result result;
    bool asks = task->asks_again && !task->progress.is_ticking;
    bool is_draining = task->progress.is_drained && !asks;
    enum status status = intake_fill(task->intake, &task->progress, is_draining, &task->batch,
                                     task->parts.outputs, &result, error);
    if (status != STATUS_OK) {
        return status;
    }
    account(task, 0, &mark_ns);
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
    status = take_own_record(task, &own, error);
    if (status != STATUS_OK) {
        return status;
    }
    task->batch.record[ENTITY_TASK][0] = own;
    if (task->batch.row_count > 0) {
        status = run_stages(task, &mark_ns, error);
        if (status != STATUS_OK) {
            return status;
        }
        write_side_topics(task);
        count_batch(task);
    }
    status = intake_settle(task->intake, &task->batch, error);
    count_outputs(task);
    task->batches++;
    task->position = task->parts.input->ops->position(task->parts.input);
    task->is_dirty = true;
    account(task, 0, &mark_ns);
    if (status == STATUS_OK && output_batch_failed(task->parts.outputs)) {
        status = error_set(error, STATUS_FATAL, "outputs: out of memory");
    }
    return status;
}

/* Everything since the last commit is as if it had not been, but for the input's place. */
static void forget_transaction(struct task *task)
{
    record_cache_abort(task->cache);
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
    enum status status = task->parts.input->ops->seek(task->parts.input, &task->position, error);
    if (status == STATUS_OK) {
        status = read_progress(task, error);
    }
    if (status == STATUS_OK) {
        begin_epoch(task);
    }
    return status;
}

/*
 * The transaction has outgrown the cache: it is begun again, with less in it, when the dirty
 * records are in the store.
 */
static enum status begin_smaller(struct task *task, struct error *error)
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

/* Tries to get on with begin_smaller(); the store may be too busy for now. */
static enum status make_room(struct task *task, struct error *error)
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

static enum status start_commit(struct task *task, struct error *error)
{
    struct record *own;
    enum status status = take_own_record(task, &own, error);
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(record_part_at(own, task->parts.progress_offset), &task->progress,
           sizeof(task->progress));
    struct commit_content content = {
        .outputs = task->parts.outputs,
        .journal = task->journal,
        .journal_count = task->journal_count,
        .position = task->position,
    };
    status =
        record_cache_encode_changes(task->cache, &content.records, &content.record_count, error);
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

/* Lets the store forget nothing that the log would still need, and the log what the store has. */
static enum status relieve(struct task *task, struct error *error)
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
    return relieve(task, error);
}

/* The log took the commit back: forget it, and read the same input again. */
static enum status rewind_task(struct task *task, struct error *error)
{
    forget_transaction(task);
    return read_again(task, error);
}

static enum status poll_commit(struct task *task, struct error *error)
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
    account(task, 1 + task->parts.stage_count, &mark_ns);
    return status;
}

/* True when another batch would not fit into this transaction. */
static bool is_transaction_full(const struct task *task)
{
    return record_cache_taken(task->cache) >= task->options.transaction_records_max ||
           task->batches >= task->batches_max ||
           output_batch_bytes(task->parts.outputs) >= TRANSACTION_BYTES_MAX;
}

/* The input has ended: begin to drain, or, when that is done, finish. */
static void end_input(struct task *task)
{
    if (!task->options.is_finite) {
        return;
    }
    if (!task->progress.is_drained) {
        task->progress.is_drained = 1;
        journal_add(task, JOURNAL_DRAIN, 0, (struct text){0});
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
    if (task->journal_count + 2 > JOURNAL_MAX) {
        task->wants_commit = true; /* It waits: the drain needs a place as well. */
        return;
    }
    if (task->requested_tick_ms > task_watermark_ms(task) && task->progress.is_started) {
        task->progress.is_ticking = 1;
        task->progress.tick_ms = task->requested_tick_ms;
        task->progress.counters.ticks++;
        journal_add(task, JOURNAL_TICK, task->requested_tick_ms, (struct text){0});
    }
    task->requested_tick_ms = TIMER_NONE;
}

/* True: a commit is on its way or due, and this step was spent on it. */
static bool step_commit(struct task *task, enum status *ret_status, struct error *error)
{
    if (task->phase == PHASE_COMMITTING) {
        *ret_status = poll_commit(task, error);
        return true;
    }
    if (task->phase == PHASE_RUNNING &&
        ((task->wants_commit && task->is_dirty) || is_transaction_full(task))) {
        uint64_t mark_ns = clock_thread_cpu_ns();
        *ret_status = start_commit(task, error);
        account(task, 1 + task->parts.stage_count, &mark_ns);
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
        status = make_room(task, error);
    } else if (!step_commit(task, &status, error) && task->phase == PHASE_RUNNING) {
        begin_tick(task);
        status = process_batch(task, error);
        if (status == STATUS_OK && task->said == INTAKE_END) {
            end_input(task);
        }
    }
    if (status == STATUS_RETRY) {
        status = begin_smaller(task, error);
    }
    *ret_state = state_of(task);
    return status;
}

enum status task_commit_step(struct task *task, enum task_state *ret_state, struct error *error)
{
    enum status status = STATUS_OK;
    if (task->needs_room) {
        status = make_room(task, error);
    } else {
        (void)step_commit(task, &status, error);
    }
    if (status == STATUS_RETRY) {
        status = begin_smaller(task, error);
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
    return status == STATUS_OK ? relieve(task, error) : status;
}

enum status task_stage_counters(struct task *task, struct stage_counter *ret_counters, uint32_t max,
                                uint32_t *ret_count, struct error *error)
{
    assert(task_is_committed(task));
    struct record *own;
    enum status status = take_own_record(task, &own, error);
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
