/* The process' side: server, health, and what is read when asked for. */
#include "pipeline/run/run_metrics.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pipeline/base/clock.h"
#include "pipeline/metrics/http_server.h"
#include "pipeline/run/run_metrics_internal.h"
#include "pipeline/state/rocksdb_options.h"

static const struct setting settings[] = {
    {.name = "listen",
     .type = SETTING_TEXT,
     .offset = offsetof(struct metrics_options, listen),
     .doc = "Address and port, such as 127.0.0.1:9464, that /metrics (Prometheus), /healthz and "
            "/readyz are served at; without it none are. Anyone who can reach it may read"},
};

const struct setting_section metrics_section = {
    .name = "metrics",
    .doc = "What the process tells of itself over HTTP",
    .settings = settings,
    .setting_count = 1,
    .options_bytes = sizeof(struct metrics_options),
};

/* ---- Sampling: called by the registry, under its lock ---- */

static void sample_memory(struct run_metrics *self)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[128] = "";
    if (file) {
        if (!fgets(line, sizeof(line), file)) {
            line[0] = '\0';
        }
        (void)fclose(file);
    }
    char *rest = line;
    int64_t page = (int64_t)sysconf(_SC_PAGESIZE);
    int64_t all = strtoll(line, &rest, 10);
    int64_t resident = strtoll(rest, NULL, 10);
    metric_set(run_metrics_process(self, METRIC_VIRTUAL), all * page);
    metric_set(run_metrics_process(self, METRIC_RESIDENT), resident * page);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    metric_set(run_metrics_process(self, METRIC_PEAK), (int64_t)usage.ru_maxrss * 1024);
}

static void sample_files(struct run_metrics *self)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -3; /* ".", ".." and the one that reads them. */
    while (directory && readdir(directory)) {
        count++;
    }
    if (directory) {
        (void)closedir(directory);
        metric_set(run_metrics_process(self, METRIC_FILES), count);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        int64_t most = limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
        metric_set(run_metrics_process(self, METRIC_FILES_MAX), most);
    }
}

static void sample(void *context)
{
    struct run_metrics *self = context;
    sample_memory(self);
    sample_files(self);
    metric_raise(run_metrics_process(self, METRIC_CPU), clock_process_cpu_ns());
    metric_set(run_metrics_process(self, METRIC_READY), atomic_load(&self->is_ready));
    (void)pthread_mutex_lock(&self->lock);
    size_t cached = self->budget ? rocksdb_cache_get_usage(self->budget->block_cache) : 0;
    (void)pthread_mutex_unlock(&self->lock);
    metric_set(run_metrics_process(self, METRIC_BLOCK_CACHE), (int64_t)cached);
}

/* ---- Answers ---- */

static void say(struct byte_buffer *body, const char *words)
{
    byte_buffer_append(body, words, strlen(words));
}

static unsigned answer_metrics(void *context, struct byte_buffer *body)
{
    struct run_metrics *self = context;
    metrics_render(self->registry, body);
    return 200;
}

/* The partition that has been in one step for too long; NULL: none. */
static const struct partition_metrics *find_stuck(const struct run_metrics *self)
{
    uint64_t now_ns = clock_monotonic_ns();
    for (const struct partition_metrics *at = self->partitions; at; at = at->next) {
        uint64_t begun_ns = atomic_load_explicit(&at->begun_ns, memory_order_relaxed);
        if (begun_ns > 0 && now_ns > begun_ns && now_ns - begun_ns > STUCK_AFTER_NS) {
            return at;
        }
    }
    return NULL;
}

static unsigned answer_health(void *context, struct byte_buffer *body)
{
    struct run_metrics *self = context;
    if (atomic_load(&self->has_failed)) {
        say(body, "failed\n");
        return 503;
    }
    (void)pthread_mutex_lock(&self->lock);
    const struct partition_metrics *stuck = find_stuck(self);
    if (stuck) {
        say(body, "partition ");
        say(body, stuck->name);
        say(body, " has not moved for a minute\n");
    }
    (void)pthread_mutex_unlock(&self->lock);
    if (stuck) {
        return 503;
    }
    say(body, "ok\n");
    return 200;
}

static unsigned answer_ready(void *context, struct byte_buffer *body)
{
    struct run_metrics *self = context;
    bool is_ready = atomic_load(&self->is_ready) && !atomic_load(&self->has_failed);
    say(body, is_ready ? "ready\n" : "not ready\n");
    return is_ready ? 200 : 503;
}

static const struct http_route routes[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", answer_metrics},
    {"/healthz", "text/plain; charset=utf-8", answer_health},
    {"/readyz", "text/plain; charset=utf-8", answer_ready},
};

/* ---- Starting ---- */

static enum status add_process(struct run_metrics *self, const struct run_metrics_options *options,
                               struct error *error)
{
    for (int i = 0; i < METRIC_PROCESS_COUNT; i++) {
        enum status status =
            metrics_add(self->registry, &run_metric_infos[METRIC_FIRST_PROCESS + i], NULL, self,
                        &self->process[i], error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    metric_set(run_metrics_process(self, METRIC_LIMIT), (int64_t)options->memory_bytes);
    metric_set(run_metrics_process(self, METRIC_START), clock_wall_ms());
    metrics_set_sampler(self->registry, sample, self);
    return STATUS_OK;
}

enum status run_metrics_start(const struct run_metrics_options *options,
                              struct run_metrics **ret_metrics, struct error *error)
{
    struct run_metrics *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "metrics: out of memory");
    }
    (void)pthread_mutex_init(&self->lock, NULL);
    enum status status = metrics_create(&self->registry, error);
    if (status == STATUS_OK) {
        status = add_process(self, options, error);
    }
    struct http_server_options server = {
        .listen = options->listen,
        .setting = "metrics.listen",
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .context = self,
    };
    if (status == STATUS_OK) {
        status = http_server_start(&server, &self->server, error);
    }
    if (status != STATUS_OK) {
        run_metrics_stop(self);
        return status;
    }
    *ret_metrics = self;
    return STATUS_OK;
}

void run_metrics_stop(struct run_metrics *metrics)
{
    if (metrics) {
        http_server_stop(metrics->server);
        metrics_destroy(metrics->registry);
        (void)pthread_mutex_destroy(&metrics->lock);
        free(metrics);
    }
}

uint16_t run_metrics_port(const struct run_metrics *metrics)
{
    return metrics ? http_server_port(metrics->server) : 0;
}

struct metrics *run_metrics_registry(struct run_metrics *metrics)
{
    return metrics ? metrics->registry : NULL;
}

void run_metrics_set_ready(struct run_metrics *metrics, bool is_ready)
{
    if (metrics) {
        atomic_store(&metrics->is_ready, is_ready);
    }
}

void run_metrics_set_failed(struct run_metrics *metrics)
{
    if (metrics) {
        atomic_store(&metrics->has_failed, true);
    }
}

void run_metrics_set_budget(struct run_metrics *metrics, const struct rocksdb_budget *budget)
{
    if (metrics) {
        (void)pthread_mutex_lock(&metrics->lock);
        metrics->budget = budget;
        (void)pthread_mutex_unlock(&metrics->lock);
    }
}
