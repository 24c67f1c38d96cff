#include "pipeline/run/runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/run/partition.h"
#include "pipeline/run/progress.h"

static volatile sig_atomic_t stop_requested;

void runner_stop(void)
{
    stop_requested = 1;
}

/* One partition in the hands of its worker. */
struct partition {
    struct record_layout layout;
    struct task *task;
    const char *file;
    char name[16];             /* Its number. */
    uint64_t committed_ns;     /* When it last committed. */
    uint64_t uncommitted_from; /* events_read then. */
    uint64_t events_at_start;
    uint64_t waiting_since_ns; /* 0: it is not waiting. */
    bool is_finished;
    struct stage_counter stage_counters[RUNNER_STAGE_COUNTERS_MAX]; /* Once it is finished. */
    uint32_t stage_counter_count;
    struct progress_cell cell;         /* What the progress display reads. */
    struct partition_metrics *metrics; /* NULL: there are none. */
};

struct runner {
    const struct runner_options *options;
    struct partition *partitions;
    struct rocksdb_budget *budget;
    struct run_metrics *metrics; /* NULL: there are none. */
    atomic_bool has_failed;
    pthread_mutex_t failure_lock; /* Guards the two below. */
    enum status failure_status;
    struct error failure;
};

struct worker {
    struct runner *runner;
    uint32_t index;
    pthread_t thread;
    bool is_started;
};

static void fail(struct runner *runner, enum status status, const struct error *error)
{
    (void)pthread_mutex_lock(&runner->failure_lock);
    if (runner->failure_status == STATUS_OK) {
        runner->failure_status = status;
        runner->failure = *error;
    }
    (void)pthread_mutex_unlock(&runner->failure_lock);
    run_metrics_set_failed(runner->metrics);
    atomic_store(&runner->has_failed, true);
}

static void publish(struct partition *partition)
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

static void pace_commits(const struct config *config, struct partition *partition, uint64_t now_ns)
{
    uint64_t events_read = task_progress(partition->task).counters.events_read;
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
static void pace_ticks(const struct config *config, struct partition *partition, bool waits,
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

static enum status finish_partition(struct partition *partition, struct error *error)
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

static enum status step_partition(const struct config *config, struct partition *partition,
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
static enum status stop_partition(struct partition *partition, struct error *error)
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

static void pause_briefly(void)
{
    struct timespec wait = {.tv_nsec = 1000000};
    (void)nanosleep(&wait, NULL);
}

static enum status work_round(struct worker *worker, bool *ret_all_finished, bool *ret_all_wait,
                              struct error *error)
{
    const struct runner_options *options = worker->runner->options;
    for (uint32_t i = worker->index; i < options->file_count; i += options->workers) {
        struct partition *partition = &worker->runner->partitions[i];
        if (partition->is_finished) {
            continue;
        }
        *ret_all_finished = false;
        bool waits = false;
        enum status status = stop_requested
                                 ? stop_partition(partition, error)
                                 : step_partition(options->config, partition, &waits, error);
        if (status != STATUS_OK) {
            return error_prefix(error, status, "%s", partition->file);
        }
        *ret_all_wait = *ret_all_wait && waits;
    }
    return STATUS_OK;
}

static void *work(void *context)
{
    struct worker *worker = context;
    while (!atomic_load(&worker->runner->has_failed)) {
        bool all_finished = true;
        bool all_wait = true;
        struct error error;
        enum status status = work_round(worker, &all_finished, &all_wait, &error);
        if (status != STATUS_OK) {
            fail(worker->runner, status, &error);
        }
        if (all_finished) {
            break;
        }
        if (all_wait) {
            pause_briefly();
        }
    }
    return NULL;
}

/* Shares of the memory that the process may have; the rest is batches, buffers and code. */
struct memory_plan {
    size_t cache_bytes; /* Of one task. */
    size_t block_cache_bytes;
};

static struct memory_plan plan_memory(int64_t memory_bytes, uint32_t tasks)
{
    const int64_t overhead_bytes = (int64_t)(48u << 20) + (int64_t)tasks * (24 << 20);
    int64_t floor_bytes = memory_bytes / 2;
    int64_t free_bytes = memory_bytes - overhead_bytes;
    free_bytes = free_bytes > floor_bytes ? free_bytes : floor_bytes;
    return (struct memory_plan){
        .cache_bytes = (size_t)(free_bytes * 60 / 100 / tasks),
        .block_cache_bytes = (size_t)(free_bytes * 25 / 100),
    };
}

static enum status open_partitions(struct runner *runner, struct error *error)
{
    const struct runner_options *options = runner->options;
    struct memory_plan memory =
        plan_memory(options->config->state.memory_bytes, options->file_count);
    enum status status = rocksdb_budget_create(memory.block_cache_bytes, &runner->budget, error);
    for (uint32_t i = 0; status == STATUS_OK && i < options->file_count; i++) {
        struct partition *partition = &runner->partitions[i];
        struct partition_options made = {
            .config = options->config,
            .file = options->files[i],
            .name = partition->name,
            .count = options->file_count,
            .output_directory = options->output_directory,
            .state_directory = options->state_directory,
            .budget = runner->budget,
            .cache_bytes = memory.cache_bytes,
        };
        partition->file = options->files[i];
        (void)snprintf(partition->name, sizeof(partition->name), "%u", i);
        status = partition_open(&made, &partition->layout, &partition->task, error);
        if (status == STATUS_OK) {
            status = partition_metrics_create(runner->metrics, partition->name, &partition->metrics,
                                              error);
        }
        if (status == STATUS_OK) {
            partition->events_at_start = task_progress(partition->task).counters.events_read;
            partition->uncommitted_from = partition->events_at_start;
            partition->committed_ns = clock_monotonic_ns();
        }
    }
    return status;
}

static enum status start_metrics(struct runner *runner, struct error *error)
{
    const struct config *config = runner->options->config;
    struct run_metrics_options options = {
        .listen = config->metrics.listen,
        .memory_bytes = (uint64_t)config->state.memory_bytes,
    };
    if (!options.listen) {
        return STATUS_OK;
    }
    enum status status = run_metrics_start(&options, &runner->metrics, error);
    if (status == STATUS_OK) {
        log_line(LOG_INFO, "metrics", "listen=%s port=%u", options.listen,
                 (unsigned)run_metrics_port(runner->metrics));
    }
    return status;
}

static void close_partitions(struct runner *runner)
{
    run_metrics_set_ready(runner->metrics, false);
    for (uint32_t i = 0; i < runner->options->file_count; i++) {
        partition_metrics_destroy(runner->partitions[i].metrics);
        task_destroy(runner->partitions[i].task);
    }
    run_metrics_set_budget(runner->metrics, NULL);
    rocksdb_budget_destroy(runner->budget);
    run_metrics_stop(runner->metrics);
    free(runner->partitions);
}

static void add_counters(struct task_counters *sum, const struct task_counters *more)
{
    /* Counters are uint64_t throughout, which is what makes them addable as an array. */
    static_assert(sizeof(struct task_counters) % sizeof(uint64_t) == 0, "uint64_t throughout");
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}

/* Tasks have the same stages, so their counters stand in the same places. */
static void add_stage_counters(struct runner_result *result, const struct partition *partition)
{
    for (uint32_t i = 0; i < partition->stage_counter_count; i++) {
        result->stage_counters[i].name = partition->stage_counters[i].name;
        result->stage_counters[i].value += partition->stage_counters[i].value;
    }
    if (partition->stage_counter_count > 0) {
        result->stage_counter_count = partition->stage_counter_count;
    }
}

static void collect(const struct runner *runner, struct runner_result *result)
{
    for (uint32_t i = 0; i < runner->options->file_count; i++) {
        const struct partition *partition = &runner->partitions[i];
        if (!partition->task) {
            continue;
        }
        struct task_progress progress = task_progress(partition->task);
        add_counters(&result->counters, &progress.counters);
        add_stage_counters(result, partition);
        result->events_this_run += progress.counters.events_read - partition->events_at_start;
        result->commits += task_commits(partition->task);
        struct record_cache_stats stats = task_cache_stats(partition->task);
        result->cache.hits += stats.hits;
        result->cache.misses += stats.misses;
        result->cache.new_records += stats.new_records;
        result->cache.records_written += stats.records_written;
        result->cache.bytes_written += stats.bytes_written;
        result->cache.resident += stats.resident;
        result->cache.decode.parts_cold += stats.decode.parts_cold;
        result->cache.decode.parts_upgraded += stats.decode.parts_upgraded;
        const uint64_t *stage_ns = task_stage_ns(partition->task);
        for (size_t stage = 0; stage < TASK_STAGES_MAX + 2; stage++) {
            result->stage_ns[stage] += stage_ns[stage];
        }
        int64_t watermark_ms = task_watermark_ms(partition->task);
        result->watermark_ms =
            watermark_ms > result->watermark_ms ? watermark_ms : result->watermark_ms;
    }
}

static void run_workers(struct runner *runner)
{
    uint32_t count = runner->options->workers;
    struct worker *workers = calloc(count, sizeof(*workers));
    struct progress_cell **cells =
        calloc(runner->options->file_count, sizeof(struct progress_cell *));
    struct error error;
    if (!workers || !cells) {
        (void)error_set(&error, STATUS_FATAL, "workers: out of memory");
        fail(runner, STATUS_FATAL, &error);
        count = 0;
    }
    struct progress *progress = NULL;
    if (count > 0 && runner->options->shows_progress) {
        for (uint32_t i = 0; i < runner->options->file_count; i++) {
            cells[i] = &runner->partitions[i].cell;
        }
        progress = progress_start(cells, runner->options->file_count);
    }
    for (uint32_t i = 0; i < count; i++) {
        workers[i].runner = runner;
        workers[i].index = i;
        workers[i].is_started = pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0;
        if (!workers[i].is_started) {
            (void)error_set(&error, STATUS_FATAL, "worker %u: cannot start a thread", i);
            fail(runner, STATUS_FATAL, &error);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (workers[i].is_started) {
            (void)pthread_join(workers[i].thread, NULL);
        }
    }
    progress_stop(progress);
    free(cells);
    free(workers);
}

enum status runner_run(const struct runner_options *options, struct runner_result *ret_result,
                       struct error *error)
{
    assert(options->file_count > 0 && options->workers > 0);
    uint64_t begin_ns = clock_monotonic_ns();
    struct runner_options adjusted = *options;
    adjusted.workers =
        options->workers < options->file_count ? options->workers : options->file_count;
    struct runner runner = {.options = &adjusted};
    (void)pthread_mutex_init(&runner.failure_lock, NULL);
    runner.partitions = calloc(options->file_count, sizeof(*runner.partitions));
    if (!runner.partitions) {
        return error_set(error, STATUS_FATAL, "partitions: out of memory");
    }
    enum status status = start_metrics(&runner, error);
    if (status == STATUS_OK) {
        status = open_partitions(&runner, error);
    }
    if (status == STATUS_OK) {
        run_metrics_set_budget(runner.metrics, runner.budget);
        run_metrics_set_ready(runner.metrics, true);
        run_workers(&runner);
        status = runner.failure_status;
        if (status != STATUS_OK) {
            *error = runner.failure;
        }
    }
    struct runner_result result = {.watermark_ms = INT64_MIN};
    collect(&runner, &result);
    close_partitions(&runner);
    (void)pthread_mutex_destroy(&runner.failure_lock);

    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    result.peak_memory_bytes = (uint64_t)usage.ru_maxrss * 1024u;
    result.elapsed_seconds = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
    result.cpu_seconds = (double)clock_process_cpu_ns() / 1e9;
    result.was_stopped = stop_requested;
    *ret_result = result;
    return status;
}

enum status runner_replay(const struct config *config, const char *const *files,
                          uint32_t file_count, struct stage *tap, struct error *error)
{
    for (uint32_t i = 0; i < file_count; i++) {
        struct record_layout layout;
        struct task *task = NULL;
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", i);
        struct partition_options options = {
            .config = config,
            .file = files[i],
            .name = name,
            .count = file_count,
            .cache_bytes = (size_t)config->state.memory_bytes,
            .tap = tap,
        };
        enum status status = partition_open(&options, &layout, &task, error);
        enum task_state state = TASK_BUSY;
        while (status == STATUS_OK && state != TASK_FINISHED) {
            status = task_step(task, &state, error);
        }
        task_destroy(task);
        if (status != STATUS_OK) {
            return error_prefix(error, status, "%s", files[i]);
        }
    }
    return STATUS_OK;
}
