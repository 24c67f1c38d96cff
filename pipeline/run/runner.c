#include "pipeline/run/runner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/run/held_partition.h"
#include "pipeline/run/memory_plan.h"
#include "pipeline/run/partition.h"
#include "pipeline/run/progress.h"
#include "pipeline/run/state_folder.h"

static atomic_bool stop_requested; /* Lock-free, so a signal handler may set it. */

void runner_stop(void)
{
    atomic_store(&stop_requested, true);
}

bool runner_is_stopping(void)
{
    return atomic_load(&stop_requested);
}

static void add_numbers(uint64_t *sum, const uint64_t *more, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum[i] += more[i];
    }
}

void runner_result_add(struct runner_result *sum, const struct runner_result *more)
{
    static_assert(sizeof(struct task_counters) % sizeof(uint64_t) == 0, "uint64_t throughout");
    add_numbers((uint64_t *)(void *)&sum->counters, (const uint64_t *)(const void *)&more->counters,
                sizeof(sum->counters) / sizeof(uint64_t));
    /* Tasks have the same stages, so their counters stand in the same places. */
    for (uint32_t i = 0; i < more->stage_counter_count; i++) {
        sum->stage_counters[i].name = more->stage_counters[i].name;
        sum->stage_counters[i].value += more->stage_counters[i].value;
    }
    if (more->stage_counter_count > 0) {
        sum->stage_counter_count = more->stage_counter_count;
    }
    sum->events_this_run += more->events_this_run;
    sum->commits += more->commits;
    sum->cache.hits += more->cache.hits;
    sum->cache.misses += more->cache.misses;
    sum->cache.new_records += more->cache.new_records;
    sum->cache.records_written += more->cache.records_written;
    sum->cache.bytes_written += more->cache.bytes_written;
    sum->cache.resident += more->cache.resident;
    sum->cache.decode.parts_cold += more->cache.decode.parts_cold;
    sum->cache.decode.parts_upgraded += more->cache.decode.parts_upgraded;
    add_numbers(sum->stage_ns, more->stage_ns, TASK_STAGES_MAX + 2);
    sum->watermark_ms =
        more->watermark_ms > sum->watermark_ms ? more->watermark_ms : sum->watermark_ms;
}

struct runner {
    const struct runner_options *options;
    struct held_partition *partitions;
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
        struct held_partition *partition = &worker->runner->partitions[i];
        if (partition->is_finished) {
            continue;
        }
        *ret_all_finished = false;
        bool waits = false;
        enum status status = atomic_load(&stop_requested)
                                 ? held_partition_stop(partition, error)
                                 : held_partition_step(options->config, partition, &waits, error);
        if (status != STATUS_OK) {
            return error_prefix(error, status, "%s", partition->source);
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

static enum status open_partitions(struct runner *runner, struct error *error)
{
    const struct runner_options *options = runner->options;
    struct memory_plan memory =
        memory_plan_make(options->config->state.memory_bytes, options->file_count);
    enum status status = rocksdb_budget_create(memory.block_cache_bytes, memory.filter_bytes,
                                               &runner->budget, error);
    for (uint32_t i = 0; status == STATUS_OK && i < options->file_count; i++) {
        struct held_partition *partition = &runner->partitions[i];
        struct partition_options made = {
            .config = options->config,
            .file = options->files[i],
            .name = partition->name,
            .count = options->file_count,
            .output_directory = options->output_directory,
            .state_directory = options->state_directory,
            .budget = runner->budget,
            .cache_bytes = memory.cache_bytes,
            .output_bytes = memory.output_bytes,
        };
        partition->source = options->files[i];
        (void)snprintf(partition->name, sizeof(partition->name), "%u", i);
        status = partition_open(&made, &partition->layout, &partition->task, error);
        if (status == STATUS_OK) {
            status = partition_metrics_create(runner->metrics, partition->name, &partition->metrics,
                                              error);
        }
        if (status == STATUS_OK) {
            held_partition_begin(partition);
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

static void collect(const struct runner *runner, struct runner_result *result)
{
    for (uint32_t i = 0; i < runner->options->file_count; i++) {
        const struct held_partition *partition = &runner->partitions[i];
        if (!partition->task) {
            continue;
        }
        held_partition_collect(partition, result);
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
    enum status status = state_folder_check(options->state_directory, options->file_count, error);
    if (status == STATUS_OK) {
        status = start_metrics(&runner, error);
    }
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
    result.was_stopped = atomic_load(&stop_requested);
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
