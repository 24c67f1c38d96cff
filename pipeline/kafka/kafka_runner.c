#include "pipeline/kafka/kafka_runner.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_setup.h"
#include "pipeline/kafka/kafka_worker.h"
#include "pipeline/output/output_schema.h"
#include "pipeline/run/memory_plan.h"
#include "pipeline/wire/registry_metrics.h"

#define SCHEMA_BYTES_MAX (1u << 20)
#define PUBLISH_EVERY_NS UINT64_C(1000000000)

struct kafka_runner {
    struct kafka_names names;
    struct kafka_setup route_setup;
    struct kafka_topics topics;
    struct kafka_topics sources;
    struct kafka_hop_share hops[KAFKA_HOPS_MAX];
    struct config hop_config; /* A shallow copy. */
    struct kafka_shared shared;
    char *input_schema;
    struct schema_registry *registry;
    struct registry_metrics registry_metrics;
    bool has_registry_metrics;
    uint32_t worker_count;
    atomic_bool has_failed;
    pthread_mutex_t lock; /* Guards the rest. */
    uint32_t ready_count; /* Workers whose partitions are all open. */
    enum status failure_status;
    struct error failure;
    struct runner_result result;
};

struct kafka_thread {
    struct kafka_runner *runner;
    struct kafka_worker worker;
    pthread_t thread;
    bool is_started;
    bool is_ready;
    uint64_t published_ns; /* The registry's metrics. */
};

static void fail(struct kafka_runner *runner, enum status status, const struct error *error)
{
    (void)pthread_mutex_lock(&runner->lock);
    if (runner->failure_status == STATUS_OK) {
        runner->failure_status = status;
        runner->failure = *error;
    }
    (void)pthread_mutex_unlock(&runner->lock);
    run_metrics_set_failed(runner->shared.metrics);
    atomic_store(&runner->has_failed, true);
}

static void pause_briefly(void)
{
    struct timespec wait = {.tv_nsec = 1000000};
    (void)nanosleep(&wait, NULL);
}

/* /readyz says yes while the partitions of all workers are open. */
static void tell_readiness(struct kafka_thread *thread)
{
    struct kafka_runner *runner = thread->runner;
    bool is_ready = kafka_worker_is_ready(&thread->worker);
    if (is_ready != thread->is_ready) {
        thread->is_ready = is_ready;
        /* What is told last must be what was counted last. */
        (void)pthread_mutex_lock(&runner->lock);
        runner->ready_count += is_ready ? 1u : UINT32_MAX;
        run_metrics_set_ready(runner->shared.metrics, runner->ready_count == runner->worker_count);
        (void)pthread_mutex_unlock(&runner->lock);
    }
}

/* By the first worker alone. */
static void publish_registry(struct kafka_thread *thread)
{
    struct kafka_runner *runner = thread->runner;
    uint64_t now_ns = clock_monotonic_ns();
    if (runner->has_registry_metrics && thread->worker.index == 0 &&
        now_ns - thread->published_ns > PUBLISH_EVERY_NS) {
        thread->published_ns = now_ns;
        registry_metrics_publish(&runner->registry_metrics, runner->registry);
    }
}

static void *work(void *context)
{
    struct kafka_thread *thread = context;
    struct kafka_runner *runner = thread->runner;
    struct error error;
    bool has_ended = false;
    while (!has_ended && !runner_is_stopping() && !atomic_load(&runner->has_failed)) {
        bool waits = true;
        enum status status = kafka_worker_round(&thread->worker, &waits, &has_ended, &error);
        if (status != STATUS_OK) {
            fail(runner, status, &error);
        } else if (waits) {
            pause_briefly();
        }
        tell_readiness(thread);
        publish_registry(thread);
    }
    enum status status = kafka_worker_stop(&thread->worker, &error);
    if (status != STATUS_OK) {
        fail(runner, status, &error);
    }
    return NULL;
}

static enum status read_schema(struct kafka_runner *runner, const char *path, struct error *error)
{
    if (!path) {
        return STATUS_OK;
    }
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, SCHEMA_BYTES_MAX + 1);
    size_t length = file && text ? fread(text, 1, SCHEMA_BYTES_MAX, file) : 0;
    bool is_good = file && !ferror(file) && length > 0 && length < SCHEMA_BYTES_MAX;
    if (file) {
        (void)fclose(file);
    }
    if (!is_good) {
        free(text);
        return error_set(error, STATUS_INVALID,
                         "kafka.input_schema: %s: cannot be read, is empty or too long", path);
    }
    runner->input_schema = text;
    return STATUS_OK;
}

static enum status look_around(const struct kafka_setup *setup, bool checks,
                               struct kafka_topics *topics, uint32_t *ret_count,
                               struct error *error)
{
    rd_kafka_t *admin;
    struct kafka_refusal refusal;
    enum status status = kafka_admin_create(setup, &refusal, &admin, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = kafka_topics_find_inputs(setup, admin, topics, ret_count, error);
    if (status == STATUS_OK && checks) {
        status = kafka_topics_check(setup, admin, error);
    }
    rd_kafka_destroy(admin);
    return status;
}

enum status kafka_run_partitions(const struct config *config, uint32_t *ret_count,
                                 struct error *error)
{
    struct kafka_names names;
    struct kafka_topics topics;
    kafka_setup_make(config, ".", &names);
    enum status status = kafka_topics_name(&names.setup, &topics, error);
    return status == STATUS_OK ? look_around(&names.setup, false, &topics, ret_count, error)
                               : status;
}

/* The wait ends with the run that waits. */
static void registry_failed(void *context, uint32_t attempt, int64_t wait_ms, const char *message)
{
    struct kafka_runner *runner = context;
    if (runner_is_stopping()) {
        schema_registry_stop(runner->registry);
        return;
    }
    log_line(LOG_WARNING, "schema_registry", "attempt=%u wait_ms=%lld message=\"%s\"", attempt,
             (long long)wait_ms, message);
}

/* The ids that stand before output values. */
static enum status register_outputs(struct kafka_runner *runner,
                                    const struct schema_registry_options *options,
                                    const struct registry_listener *listener, struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < TOPIC_COUNT && status == STATUS_OK; i++) {
        char subject[KAFKA_TOPIC_BYTES + 8];
        (void)snprintf(subject, sizeof(subject), "%s-value", runner->topics.outputs[i]);
        char *schema = output_schema_avro(output_topics[i].schema);
        status = schema
                     ? schema_registry_output_id(runner->registry, subject, schema,
                                                 (enum registry_output_mode)options->output_schemas,
                                                 listener, &runner->topics.schema_ids[i], error)
                     : error_set(error, STATUS_FATAL, "kafka: out of memory");
        free(schema);
    }
    runner->topics.is_framed = true;
    return status;
}

static enum status open_registry(struct kafka_runner *runner, const struct config *config,
                                 struct error *error)
{
    const struct registry_listener listener = {.failed = registry_failed, .context = runner};
    if (config->schema_registry.urls.count == 0) {
        return STATUS_OK;
    }
    enum status status = schema_registry_open(&config->schema_registry, &runner->registry, error);
    runner->shared.registry = runner->registry;
    struct metrics *metrics = run_metrics_registry(runner->shared.metrics);
    if (status == STATUS_OK && metrics) {
        status = registry_metrics_add(metrics, &runner->registry_metrics, error);
        runner->has_registry_metrics = status == STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = schema_registry_await(runner->registry, &listener, error);
    }
    if (status == STATUS_OK && config->output.format == OUTPUT_AVRO) {
        status = register_outputs(runner, &config->schema_registry, &listener, error);
    }
    return status;
}

static enum status open_metrics(struct kafka_runner *runner, const struct config *config,
                                struct error *error)
{
    struct run_metrics_options options = {
        .listen = config->metrics.listen,
        .memory_bytes = (uint64_t)config->state.memory_bytes,
    };
    if (!options.listen) {
        return STATUS_OK;
    }
    enum status status = run_metrics_start(&options, &runner->shared.metrics, error);
    if (status == STATUS_OK) {
        log_line(LOG_INFO, "metrics", "listen=%s port=%u", options.listen,
                 (unsigned)run_metrics_port(runner->shared.metrics));
    }
    return status;
}

/* Of what members subscribe to. */
static uint32_t hash_topics(const struct kafka_topics *topics, uint32_t before)
{
    uint32_t hash = before;
    for (uint32_t i = 0; i < topics->input_count; i++) {
        hash = (uint32_t)hash64_combine(hash, hash64(text_of(topics->inputs[i])));
    }
    return hash;
}

static void prepare_hops(struct kafka_runner *runner, const struct config *config)
{
    const struct kafka_topics *topics = &runner->topics;
    uint32_t mask = 0;
    for (uint32_t i = 0; i < topics->hop_count; i++) {
        struct kafka_hop_share *hop = &runner->hops[i];
        bool is_last = i + 1 == topics->hop_count;
        hop->setup = runner->names.setup;
        hop->setup.hop = entity_names[topics->hops[i].kind];
        kafka_topics_hop(topics, i, &hop->topics);
        hop->options = (struct kafka_hop_options){
            .topic = hop->topics.inputs[0],
            .partition_count = runner->shared.partition_count,
            .kind = topics->hops[i].kind,
            .target = is_last ? ENTITY_USER : topics->hops[i + 1].kind,
        };
        struct carried_columns brought;
        stage_plan_carried(mask, &brought);
        mask |= 1u << topics->hops[i].kind;
        stage_plan_carried(mask, &hop->options.carried);
        hop->options.brought_count = brought.count;
    }
    /* Time goes on by what its origins say, and it has no timers: it needs no ticks. */
    runner->hop_config = *config;
    runner->hop_config.input.idle_after_ms = 0;
    runner->shared.hop_count = topics->hop_count;
    runner->shared.hop_config = &runner->hop_config;
    runner->shared.hops = runner->hops;
}

static enum status prepare(struct kafka_runner *runner, const struct kafka_run_options *options,
                           struct error *error)
{
    const struct config *config = options->config;
    kafka_setup_make(config, options->state_directory, &runner->names);
    runner->shared = (struct kafka_shared){
        .config = config,
        .setup = &runner->names.setup,
        .route_setup = &runner->route_setup,
        .topics = &runner->topics,
        .state_directory = options->state_directory,
    };
    enum status status = open_metrics(runner, config, error);
    runner->names.setup.has_metrics = runner->shared.metrics != NULL;
    if (status == STATUS_OK) {
        status = kafka_topics_name(&runner->names.setup, &runner->topics, error);
    }
    if (status == STATUS_OK) {
        status = look_around(&runner->names.setup, true, &runner->topics,
                             &runner->shared.partition_count, error);
    }
    if (status == STATUS_OK) {
        kafka_topics_divide(&runner->names.setup, &runner->topics, &runner->sources);
        runner->names.setup.subscription =
            hash_topics(&runner->topics, hash_topics(&runner->sources, 0));
        for (uint32_t i = 0; i < runner->topics.hop_count; i++) {
            struct kafka_topics hop;
            kafka_topics_hop(&runner->topics, i, &hop);
            runner->names.setup.subscription = hash_topics(&hop, runner->names.setup.subscription);
        }
        prepare_hops(runner, config);
    }
    runner->route_setup = runner->names.setup;
    runner->route_setup.is_route = true;
    if (status == STATUS_OK) {
        status = read_schema(runner, config->kafka.input_schema, error);
    }
    if (status == STATUS_OK) {
        status = open_registry(runner, config, error);
    }
    if (status == STATUS_OK) {
        /* A sixteenth goes to records that are fetched ahead; the library takes twice their size.
         */
        int64_t memory_bytes = config->state.memory_bytes;
        assert(runner->shared.partition_count > 0);
        struct memory_plan memory =
            memory_plan_make(memory_bytes / 16 * 15,
                             runner->shared.partition_count * (1 + runner->shared.hop_count));
        uint32_t streams = runner->shared.partition_count *
                           ((runner->topics.sources ? 2 : 1) + runner->shared.hop_count);
        runner->shared.queue_bytes = (size_t)(memory_bytes / 48) / streams;
        runner->shared.cache_bytes = memory.cache_bytes;
        runner->shared.output_bytes = memory.output_bytes;
        runner->shared.input_schema = runner->input_schema;
        status = rocksdb_budget_create(memory.block_cache_bytes, memory.filter_bytes,
                                       &runner->shared.budget, error);
    }
    return status;
}

/*
 * Of a run that ends with its input. A member that was stopped keeps its partitions for the
 * session's time-out, so that a run of fewer workers may end without having had them.
 */
static void tell_what_is_left(const struct kafka_runner *runner, uint32_t finished)
{
    const struct kafka_shared *shared = &runner->shared;
    if (shared->setup->options->ends && !runner_is_stopping() &&
        finished < shared->partition_count) {
        log_line(LOG_WARNING, "input_left",
                 "partitions=%u of=%u message=\"another member of group %s has the others, or had "
                 "them within the last %lld ms: they are not ended here\"",
                 finished, shared->partition_count, shared->setup->group,
                 (long long)shared->setup->options->session_timeout_ms);
    }
}

static void run_threads(struct kafka_runner *runner, struct kafka_thread *threads, uint32_t count)
{
    struct error error;
    for (uint32_t i = 0; i < count && !atomic_load(&runner->has_failed); i++) {
        threads[i].runner = runner;
        enum status status = kafka_worker_init(&threads[i].worker, &runner->shared, i, &error);
        if (status == STATUS_OK) {
            threads[i].is_started =
                pthread_create(&threads[i].thread, NULL, work, &threads[i]) == 0;
            if (!threads[i].is_started) {
                kafka_worker_release(&threads[i].worker);
                status = error_set(&error, STATUS_FATAL, "worker %u: cannot start a thread", i);
            }
        }
        if (status != STATUS_OK) {
            fail(runner, status, &error);
        }
    }
    uint32_t finished = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (threads[i].is_started) {
            (void)pthread_join(threads[i].thread, NULL);
            finished += threads[i].worker.finished_count;
            runner_result_add(&runner->result, &threads[i].worker.result);
            kafka_worker_release(&threads[i].worker);
        }
    }
    if (!atomic_load(&runner->has_failed)) {
        tell_what_is_left(runner, finished);
    }
}

enum status kafka_run(const struct kafka_run_options *options, struct runner_result *ret_result,
                      struct error *error)
{
    uint64_t begin_ns = clock_monotonic_ns();
    struct kafka_thread *threads = calloc(options->workers, sizeof(*threads));
    struct kafka_runner *runner = calloc(1, sizeof(*runner));
    if (!threads || !runner) {
        free(threads);
        free(runner);
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    (void)pthread_mutex_init(&runner->lock, NULL);
    runner->result.watermark_ms = INT64_MIN;
    runner->worker_count = options->workers;
    enum status status = prepare(runner, options, error);
    if (runner_is_stopping()) {
        status = STATUS_OK; /* Whatever was waited for: nothing has begun. */
    } else if (status == STATUS_OK) {
        run_metrics_set_budget(runner->shared.metrics, runner->shared.budget);
        run_threads(runner, threads, options->workers);
        status = runner->failure_status;
        if (status != STATUS_OK) {
            *error = runner->failure;
        }
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    *ret_result = runner->result;
    ret_result->peak_memory_bytes = (uint64_t)usage.ru_maxrss * 1024u;
    ret_result->elapsed_seconds = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
    ret_result->cpu_seconds = (double)clock_process_cpu_ns() / 1e9;
    ret_result->was_stopped = runner_is_stopping();
    run_metrics_set_ready(runner->shared.metrics, false);
    run_metrics_set_budget(runner->shared.metrics, NULL);
    rocksdb_budget_destroy(runner->shared.budget);
    run_metrics_stop(runner->shared.metrics);
    (void)pthread_mutex_destroy(&runner->lock);
    schema_registry_close(runner->registry);
    free(runner->input_schema);
    free(runner);
    free(threads);
    return status;
}
