#include "pipeline/run/progress.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"

#define TERMINAL_INTERVAL_MS 200
#define LOG_INTERVAL_MS 10000

struct progress {
    struct progress_cell **cells; /* Owned array of borrowed cells. */
    uint32_t count;
    bool is_terminal;
    uint64_t begin_ns;
    uint64_t last_ns;
    uint64_t last_events;
    pthread_t thread;
    pthread_mutex_t lock; /* Guards is_stopped. */
    pthread_cond_t wake;
    bool is_stopped;
};

struct totals {
    uint64_t events, alerts, promotions, dead_letters;
    int64_t watermark_ms;
    int64_t permille;
};

static struct totals sum(const struct progress *progress)
{
    assert(progress->count > 0);
    struct totals totals = {.watermark_ms = INT64_MIN};
    for (uint32_t i = 0; i < progress->count; i++) {
        struct progress_cell *cell = progress->cells[i];
        totals.events += atomic_load_explicit(&cell->events, memory_order_relaxed);
        totals.alerts += atomic_load_explicit(&cell->alerts, memory_order_relaxed);
        totals.promotions += atomic_load_explicit(&cell->promotions, memory_order_relaxed);
        totals.dead_letters += atomic_load_explicit(&cell->dead_letters, memory_order_relaxed);
        int64_t watermark_ms = atomic_load_explicit(&cell->watermark_ms, memory_order_relaxed);
        totals.watermark_ms =
            watermark_ms > totals.watermark_ms ? watermark_ms : totals.watermark_ms;
        int64_t permille = atomic_load_explicit(&cell->permille, memory_order_relaxed);
        totals.permille = permille < 0 || totals.permille < 0 ? -1 : totals.permille + permille;
    }
    totals.permille = totals.permille < 0 ? -1 : totals.permille / (int64_t)progress->count;
    return totals;
}

static void format_time(int64_t time_ms, char *out, size_t size)
{
    if (time_ms <= 0) {
        (void)snprintf(out, size, "-");
        return;
    }
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    (void)strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void show(struct progress *progress)
{
    struct totals totals = sum(progress);
    uint64_t now_ns = clock_monotonic_ns();
    double seconds = (double)(now_ns - progress->last_ns) / 1e9;
    double rate = seconds > 0 ? (double)(totals.events - progress->last_events) / seconds : 0;
    progress->last_ns = now_ns;
    progress->last_events = totals.events;
    char reached[32];
    format_time(totals.watermark_ms, reached, sizeof(reached));
    char share[32] = "";
    if (totals.permille >= 0) {
        (void)snprintf(share, sizeof(share), "%3lld%% ", (long long)totals.permille / 10);
    }
    if (progress->is_terminal) {
        (void)fprintf(stderr,
                      "\r\033[K%s%llu events  %.0f/s  at %s  %llu alerts  %llu promotions  %llu "
                      "dead letters",
                      share, (unsigned long long)totals.events, rate, reached,
                      (unsigned long long)totals.alerts, (unsigned long long)totals.promotions,
                      (unsigned long long)totals.dead_letters);
        (void)fflush(stderr);
    } else {
        log_line(LOG_INFO, "progress",
                 "events=%llu events_per_s=%.0f event_time=%s alerts=%llu promotions=%llu "
                 "dead_letters=%llu",
                 (unsigned long long)totals.events, rate, reached,
                 (unsigned long long)totals.alerts, (unsigned long long)totals.promotions,
                 (unsigned long long)totals.dead_letters);
    }
}

/* Waits for the interval or the stop; true: stopped. */
static bool wait_for_stop(struct progress *progress, long interval_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += interval_ms / 1000;
    until.tv_nsec += interval_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&progress->lock);
    if (!progress->is_stopped) {
        (void)pthread_cond_timedwait(&progress->wake, &progress->lock, &until);
    }
    bool is_stopped = progress->is_stopped;
    (void)pthread_mutex_unlock(&progress->lock);
    return is_stopped;
}

static void *display(void *context)
{
    struct progress *progress = context;
    long interval_ms = progress->is_terminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS;
    while (!wait_for_stop(progress, interval_ms)) {
        show(progress);
    }
    return NULL;
}

struct progress *progress_start(struct progress_cell *const *cells, uint32_t count)
{
    assert(count > 0);
    struct progress *progress = calloc(1, sizeof(*progress));
    struct progress_cell **copy = calloc(count, sizeof(struct progress_cell *));
    if (!progress || !copy) {
        free(progress);
        free(copy);
        return NULL;
    }
    memcpy(copy, cells, count * sizeof(struct progress_cell *));
    progress->cells = copy;
    progress->count = count;
    progress->is_terminal = isatty(STDERR_FILENO);
    progress->begin_ns = clock_monotonic_ns();
    progress->last_ns = progress->begin_ns;
    (void)pthread_mutex_init(&progress->lock, NULL);
    (void)pthread_cond_init(&progress->wake, NULL);
    if (pthread_create(&progress->thread, NULL, display, progress) != 0) {
        free(copy);
        free(progress);
        return NULL;
    }
    return progress;
}

void progress_stop(struct progress *progress)
{
    if (!progress) {
        return;
    }
    (void)pthread_mutex_lock(&progress->lock);
    progress->is_stopped = true;
    (void)pthread_cond_signal(&progress->wake);
    (void)pthread_mutex_unlock(&progress->lock);
    (void)pthread_join(progress->thread, NULL);
    if (progress->is_terminal) {
        show(progress);
        (void)fputc('\n', stderr);
    }
    (void)pthread_cond_destroy(&progress->wake);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress->cells);
    free(progress);
}
