/* One partition's side of the run's metrics: series, and how they follow its task. */
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/clock.h"
#include "pipeline/run/run_metrics_internal.h"
#include "pipeline/run/stages.h"
#include "pipeline/state/state_store.h"

/* The stages' counters stand in the task's record, which costs a look-up. */
#define COUNTED_EVERY_NS UINT64_C(1000000000)

/* ---- Series ---- */

static enum status add(struct partition_metrics *self, enum run_metric metric, const char *value,
                       struct metric_series **ret_series, struct error *error)
{
    const char *values[METRIC_LABELS_MAX] = {self->name, value};
    return metrics_add(self->run->registry, &run_metric_infos[metric], values, self, ret_series,
                       error);
}

static const char *place_name(const struct partition_metrics *self, uint32_t place)
{
    return place == 0                   ? "intake"
           : place <= self->stage_count ? stage_infos[place - 1]->name
                                        : "commit";
}

static enum status add_stages(struct partition_metrics *self, struct error *error)
{
    while (stage_infos[self->stage_count]) {
        self->stage_count++;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i <= self->stage_count + 1; i++) {
        const char *name = place_name(self, i);
        status = add(self, METRIC_STAGE_CPU, name, &self->stage_cpu[i], error);
        if (status == STATUS_OK) {
            status = add(self, METRIC_STAGE_TIME, name, &self->stage_time[i], error);
        }
        if (status == STATUS_OK && i <= self->stage_count) {
            status = add(self, METRIC_STAGE_EVENTS, name, &self->stage_events[i], error);
        }
    }
    return status;
}

static enum status add_all(struct partition_metrics *self, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < METRIC_PARTITION_COUNT; i++) {
        status = add(self, (enum run_metric)i, NULL, &self->plain[i], error);
    }
    for (int i = REJECTION_NONE + 1; status == STATUS_OK && i < REJECTION_COUNT; i++) {
        status = add(self, METRIC_DEAD_LETTERS, rejection_names[i], &self->dead_letters[i], error);
    }
    for (int i = 0; status == STATUS_OK && i < TOPIC_COUNT; i++) {
        status = add(self, METRIC_OUTPUTS, output_topics[i].name, &self->outputs[i], error);
    }
    for (int i = 0; status == STATUS_OK && i < EVENT_TYPE_COUNT; i++) {
        status = add(self, METRIC_TYPES, event_types[i].name, &self->types[i], error);
    }
    return status == STATUS_OK ? add_stages(self, error) : status;
}

enum status partition_metrics_create(struct run_metrics *metrics, const char *partition,
                                     struct partition_metrics **ret_metrics, struct error *error)
{
    if (!metrics) {
        *ret_metrics = NULL;
        return STATUS_OK;
    }
    struct partition_metrics *self = calloc(1, sizeof(*self));
    char *name = strdup(partition);
    if (!self || !name) {
        free(self);
        free(name);
        return error_set(error, STATUS_FATAL, "metrics: out of memory");
    }
    self->run = metrics;
    self->name = name;
    (void)pthread_mutex_lock(&metrics->lock);
    self->next = metrics->partitions;
    metrics->partitions = self;
    (void)pthread_mutex_unlock(&metrics->lock);
    enum status status = add_all(self, error);
    if (status != STATUS_OK) {
        partition_metrics_destroy(self);
        return status;
    }
    *ret_metrics = self;
    return STATUS_OK;
}

void partition_metrics_destroy(struct partition_metrics *metrics)
{
    if (!metrics) {
        return;
    }
    metrics_remove(metrics->run->registry, metrics);
    (void)pthread_mutex_lock(&metrics->run->lock);
    struct partition_metrics **place = &metrics->run->partitions;
    while (*place != metrics) {
        place = &(*place)->next;
    }
    *place = metrics->next;
    (void)pthread_mutex_unlock(&metrics->run->lock);
    free(metrics->name);
    free(metrics);
}

/* ---- Following the task ---- */

void partition_metrics_begin_step(struct partition_metrics *metrics, const struct task *task)
{
    if (!metrics) {
        return;
    }
    metrics->step_ns = clock_monotonic_ns();
    metrics->commits = task_commits(task);
    metrics->was_committed = task_is_committed(task);
    metrics->events_read = task_progress(task).counters.events_read;
    memcpy(metrics->stage_ns, task_stage_ns(task), sizeof(metrics->stage_ns));
    atomic_store_explicit(&metrics->begun_ns, metrics->step_ns, memory_order_relaxed);
}

static void publish_counters(struct partition_metrics *self, const struct task_counters *counters)
{
#define RAISE(member, doc) metric_raise(self->plain[METRIC_TASK_##member], counters->member);
    TASK_COUNTERS(RAISE)
#undef RAISE
    for (int i = REJECTION_NONE + 1; i < REJECTION_COUNT; i++) {
        metric_raise(self->dead_letters[i], counters->dead_letters[i]);
    }
    for (int i = 0; i < TOPIC_COUNT; i++) {
        metric_raise(self->outputs[i], counters->outputs[i]);
    }
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        metric_raise(self->types[i], counters->events_by_type[i]);
    }
    /* Stage 1 drops the duplicates. */
    metric_raise(self->stage_events[0], counters->events_read);
    metric_raise(self->stage_events[1], counters->events_accepted + counters->duplicates);
    for (uint32_t i = 2; i <= self->stage_count; i++) {
        metric_raise(self->stage_events[i], counters->events_accepted);
    }
}

static void publish_cache(struct partition_metrics *self, const struct task *task)
{
    struct record_cache_stats stats = task_cache_stats(task);
    metric_raise(self->plain[METRIC_CACHE_HITS], stats.hits);
    metric_raise(self->plain[METRIC_CACHE_MISSES], stats.misses);
    metric_raise(self->plain[METRIC_CACHE_NEW], stats.new_records);
    metric_set(self->plain[METRIC_CACHE_RESIDENT], (int64_t)stats.resident);
    metric_set(self->plain[METRIC_CACHE_DIRTY], (int64_t)stats.dirty);
    metric_raise(self->plain[METRIC_STORE_RECORDS], stats.records_written);
    metric_raise(self->plain[METRIC_STORE_BYTES], stats.bytes_written);
    metric_raise(self->plain[METRIC_PARTS_COLD], stats.decode.parts_cold);
    metric_raise(self->plain[METRIC_PARTS_UPGRADED], stats.decode.parts_upgraded);
}

static void publish_stages(struct partition_metrics *self, const struct task *task)
{
    const uint64_t *stage_ns = task_stage_ns(task);
    uint64_t in_stages = 0;
    for (uint32_t i = 1; i <= self->stage_count; i++) {
        in_stages += stage_ns[i] - self->stage_ns[i];
    }
    for (uint32_t i = 0; i <= self->stage_count + 1; i++) {
        uint64_t spent_ns = stage_ns[i] - self->stage_ns[i];
        metric_raise(self->stage_cpu[i], stage_ns[i]);
        /* A step that only looked whether there is input is no batch. */
        if (spent_ns > 0 && (in_stages > 0 || i > self->stage_count)) {
            metric_observe(self->stage_time[i], spent_ns);
        }
    }
}

static void publish_commit(struct partition_metrics *self, const struct task *task)
{
    bool is_committed = task_is_committed(task);
    uint32_t place = self->stage_count + 1;
    bool moved_commit = task_stage_ns(task)[place] > self->stage_ns[place];
    uint64_t events_read = task_progress(task).counters.events_read;
    if (events_read > self->events_read && self->taken_ns == 0) {
        self->taken_ns = self->step_ns;
    }
    if (moved_commit && self->commit_ns == 0) {
        self->commit_ns = self->step_ns;
    }
    if (task_commits(task) > self->commits) {
        uint64_t now_ns = clock_monotonic_ns();
        metric_observe(self->plain[METRIC_COMMIT_TIME], now_ns - self->commit_ns);
        if (self->taken_ns > 0) {
            metric_observe(self->plain[METRIC_LATENCY], now_ns - self->taken_ns);
        }
    } else if (!self->was_committed && is_committed) {
        metric_count(self->plain[METRIC_ABORTS], 1);
    }
    if (is_committed) {
        self->taken_ns = 0;
        self->commit_ns = 0;
    }
    metric_raise(self->plain[METRIC_COMMITS], task_commits(task));
}

static void publish_store(struct partition_metrics *self, const struct task *task)
{
    struct rocksdb_stats stats;
    if (state_store_rocksdb_stats(task_store(task), &stats)) {
        metric_set(self->plain[METRIC_STORE_KEYS], (int64_t)stats.keys);
        metric_set(self->plain[METRIC_STORE_FILE_BYTES], (int64_t)stats.file_bytes);
        metric_set(self->plain[METRIC_STORE_PENDING], (int64_t)stats.pending_compaction_bytes);
        metric_set(self->plain[METRIC_STORE_COMPACTIONS], (int64_t)stats.running_compactions);
        metric_set(self->plain[METRIC_STORE_TOP_FILES], (int64_t)stats.top_files);
    }
}

static enum status publish_stage_counters(struct partition_metrics *self, struct task *task,
                                          struct error *error)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (!task_is_committed(task) ||
        (self->counted_ns > 0 && now_ns - self->counted_ns < COUNTED_EVERY_NS)) {
        return STATUS_OK;
    }
    self->counted_ns = now_ns;
    publish_store(self, task);
    struct stage_counter counters[STAGE_COUNTERS_MAX];
    uint32_t count = 0;
    enum status status = task_stage_counters(task, counters, STAGE_COUNTERS_MAX, &count, error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        if (i == self->stage_counter_count) {
            status =
                add(self, METRIC_STAGE_COUNTER, counters[i].name, &self->stage_counters[i], error);
            self->stage_counter_count += status == STATUS_OK;
        }
        if (status == STATUS_OK) {
            metric_raise(self->stage_counters[i], counters[i].value);
        }
    }
    return status;
}

enum status partition_metrics_end_step(struct partition_metrics *metrics, struct task *task,
                                       struct error *error)
{
    if (!metrics) {
        return STATUS_OK;
    }
    struct task_progress progress = task_progress(task);
    publish_counters(metrics, &progress.counters);
    publish_cache(metrics, task);
    publish_stages(metrics, task);
    publish_commit(metrics, task);
    int64_t watermark_ms = task_watermark_ms(task);
    metric_set(metrics->plain[METRIC_WATERMARK], watermark_ms == INT64_MIN ? 0 : watermark_ms);
    metric_set(metrics->plain[METRIC_PROGRESS], (int64_t)(task_input_progress(task) * 1000.0));
    metric_set(metrics->plain[METRIC_EPOCH], (int64_t)progress.epoch);
    atomic_store_explicit(&metrics->begun_ns, 0, memory_order_relaxed);
    return publish_stage_counters(metrics, task, error);
}
