#include "pipeline/run/held_partition.h"

#include <string.h>

#include "pipeline/base/clock.h"

static void publish(struct held_partition *partition)
{
    struct task_progress progress = task_progress(partition->task);
    struct progress_cell *cell = &partition->cell;
    uint64_t dead = 0;
    for (int reason = 0; reason < REJECTION_COUNT; reason++) {
        dead += progress.counters.dead_letters[reason];
    }
    atomic_store_explicit(&cell->events, progress.counters.events_read, memory_order_relaxed);
    atomic_store_explicit(&cell->alerts, progress.counters.outputs[TOPIC_ALERTS],
                          memory_order_relaxed);
    atomic_store_explicit(&cell->promotions, progress.counters.outputs[TOPIC_PROMOTIONS],
                          memory_order_relaxed);
    atomic_store_explicit(&cell->dead_letters, dead, memory_order_relaxed);
    atomic_store_explicit(&cell->watermark_ms, task_watermark_ms(partition->task),
                          memory_order_relaxed);
    atomic_store_explicit(&cell->permille, (int64_t)(task_input_progress(partition->task) * 1000.0),
                          memory_order_relaxed);
}

/*
 * The interval begins when the last commit is done: where commits are slow it would else be over
 * before there was time to process anything, and a worker would wait for all of its tasks' commits.
 */
static void pace_commits(const struct config *config, struct held_partition *partition,
                         uint64_t now_ns)
{
    uint64_t events_read = task_progress(partition->task).counters.events_read;
    bool was_committing = partition->is_committing;
    partition->is_committing = task_is_committing(partition->task);
    if (partition->is_committing) {
        partition->committed_ns = now_ns;
        partition->uncommitted_from = was_committing ? partition->uncommitted_from : events_read;
        return;
    }
    bool is_due =
        now_ns - partition->committed_ns >= (uint64_t)config->commit.interval_ms * 1000000u ||
        events_read - partition->uncommitted_from >= (uint64_t)config->commit.events_max;
    if (is_due) {
        task_request_commit(partition->task);
        partition->committed_ns = now_ns;
        partition->uncommitted_from = events_read;
    }
}

/* A followed partition that has been silent for long has its event time moved on by the clock. */
static void pace_ticks(const struct config *config, struct held_partition *partition, bool waits,
                       uint64_t now_ns)
{
    if (!waits) {
        partition->waiting_since_ns = 0;
        return;
    }
    if (partition->waiting_since_ns == 0) {
        partition->waiting_since_ns = now_ns;
        return;
    }
    uint64_t idle_ms = (now_ns - partition->waiting_since_ns) / 1000000u;
    if (config->input.idle_after_ms > 0 && idle_ms >= (uint64_t)config->input.idle_after_ms) {
        int64_t watermark_ms = task_watermark_ms(partition->task);
        if (watermark_ms != INT64_MIN) {
            task_tick(partition->task, watermark_ms + (int64_t)idle_ms);
        }
        partition->waiting_since_ns = now_ns;
    }
}

static enum status finish_partition(struct held_partition *partition, struct error *error)
{
    enum status status =
        task_stage_counters(partition->task, partition->stage_counters, RUNNER_STAGE_COUNTERS_MAX,
                            &partition->stage_counter_count, error);
    if (status == STATUS_OK) {
        status = task_flush(partition->task, error);
    }
    partition->is_finished = true;
    publish(partition);
    return status;
}

enum status held_partition_step(const struct config *config, struct held_partition *partition,
                                bool *ret_waits, struct error *error)
{
    enum task_state state;
    partition_metrics_begin_step(partition->metrics, partition->task);
    enum status status = task_step(partition->task, &state, error);
    if (status == STATUS_OK) {
        status = partition_metrics_end_step(partition->metrics, partition->task, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *ret_waits = state == TASK_WAITING;
    if (state == TASK_FINISHED) {
        return finish_partition(partition, error);
    }
    uint64_t now_ns = clock_monotonic_ns();
    pace_commits(config, partition, now_ns);
    pace_ticks(config, partition, *ret_waits, now_ns);
    publish(partition);
    return STATUS_OK;
}

/* Commits what is processed and leaves; the input may have more. */
enum status held_partition_stop(struct held_partition *partition, struct error *error)
{
    task_request_commit(partition->task);
    while (!task_is_committed(partition->task)) {
        enum task_state state;
        partition_metrics_begin_step(partition->metrics, partition->task);
        enum status status = task_commit_step(partition->task, &state, error);
        if (status == STATUS_OK) {
            status = partition_metrics_end_step(partition->metrics, partition->task, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return finish_partition(partition, error);
}

void held_partition_begin(struct held_partition *partition)
{
    partition->events_at_start = task_progress(partition->task).counters.events_read;
    partition->uncommitted_from = partition->events_at_start;
    partition->committed_ns = clock_monotonic_ns();
    partition->waiting_since_ns = 0;
    partition->is_finished = false;
    partition->stage_counter_count = 0;
}

void held_partition_collect(const struct held_partition *partition, struct runner_result *result)
{
    struct task_progress progress = task_progress(partition->task);
    struct runner_result own = {
        .counters = progress.counters,
        .stage_counter_count = partition->stage_counter_count,
        .events_this_run = progress.counters.events_read - partition->events_at_start,
        .commits = task_commits(partition->task),
        .cache = task_cache_stats(partition->task),
        .watermark_ms = task_watermark_ms(partition->task),
    };
    memcpy(own.stage_counters, partition->stage_counters, sizeof(own.stage_counters));
    memcpy(own.stage_ns, task_stage_ns(partition->task), sizeof(own.stage_ns));
    runner_result_add(result, &own);
}
