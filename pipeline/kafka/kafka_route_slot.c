#include "pipeline/kafka/kafka_route_slot.h"

#include <stdio.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_backoff.h"
#include "pipeline/kafka/kafka_fetch.h"

#define PUBLISH_EVERY_NS UINT64_C(500000000)

enum { RECORDS, UNREAD, MARKERS, COMMITS, POSITION, LAG, NEWEST };

#define ROW(PLACE, title, kind, measure, scale, sentence)                                          \
    [PLACE] = {.name = (title),                                                                    \
               .unit = (measure),                                                                  \
               .doc = (sentence),                                                                  \
               .labels = {"partition"},                                                            \
               .divisor = (scale),                                                                 \
               .type = METRIC_##kind}

const struct metric_info kafka_route_metric_infos[KAFKA_ROUTE_METRICS] = {
    ROW(RECORDS, "nudge_route_records_total", COUNTER, "records", 1,
        "Records of this partition of the input that were sent on to their users' partitions"),
    ROW(UNREAD, "nudge_route_undecoded_total", COUNTER, "records", 1,
        "Of them, those that are no event: sent on to the partition of the same number"),
    ROW(MARKERS, "nudge_route_markers_total", COUNTER, "records", 1,
        "Markers that told partitions what time it is in this one"),
    ROW(COMMITS, "nudge_route_commits_total", COUNTER, "", 1, "Transactions of the route"),
    ROW(POSITION, "nudge_route_position", GAUGE, "records", 1,
        "Number of the next record of this partition of the input"),
    ROW(LAG, "nudge_route_lag_records", GAUGE, "records", 1,
        "Records between it and the end of the partition, as of the last fetch"),
    ROW(NEWEST, "nudge_route_newest_event_time_seconds", GAUGE, "seconds", 1000,
        "Newest event time of this partition of the input; 0: not known yet"),
};

/* ---- metrics ---- */

static bool add_metrics(struct kafka_route_slot *slot)
{
    char label[16];
    char client[32];
    struct error ignored;
    (void)snprintf(label, sizeof(label), "%d", (int)slot->options.partition);
    (void)snprintf(client, sizeof(client), "route-%d", (int)slot->options.partition);
    enum status status =
        kafka_client_metrics_add(slot->registry, client, &slot->client_metrics, &ignored);
    for (int i = 0; slot->registry && status == STATUS_OK && i < KAFKA_ROUTE_METRICS; i++) {
        const char *values[] = {label};
        status = metrics_add(slot->registry, &kafka_route_metric_infos[i], values, slot,
                             &slot->series[i], &ignored);
    }
    slot->has_series = slot->registry && status == STATUS_OK;
    return status == STATUS_OK;
}

static void remove_metrics(struct kafka_route_slot *slot)
{
    if (slot->registry) {
        metrics_remove(slot->registry, slot);
    }
    kafka_client_metrics_remove(&slot->client_metrics);
    slot->has_series = false;
}

/* What the fetcher has last heard of the ends of the topics, less what is committed. */
static int64_t lag_of(const struct kafka_route_slot *slot)
{
    const struct kafka_places *places = kafka_route_places(slot->route);
    int64_t lag = 0;
    for (uint32_t i = 0; i < places->count; i++) {
        int64_t behind =
            kafka_fetch_heard_end(slot->options.fetcher, slot->options.topics->inputs[i],
                                  slot->options.partition) -
            places->committed.offsets[i];
        lag += behind > 0 ? behind : 0;
    }
    return lag;
}

static void publish(struct kafka_route_slot *slot, const struct kafka_route_stats *stats)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (!slot->has_series || now_ns - slot->published_ns < PUBLISH_EVERY_NS) {
        return;
    }
    slot->published_ns = now_ns;
    metric_set(slot->series[LAG], lag_of(slot));
    metric_raise(slot->series[RECORDS], stats->records);
    metric_raise(slot->series[UNREAD], stats->unread);
    metric_raise(slot->series[MARKERS], stats->markers);
    metric_raise(slot->series[COMMITS], stats->commits);
    metric_set(slot->series[POSITION], (int64_t)kafka_route_places(slot->route)->committed.ordinal);
    metric_set(slot->series[NEWEST], stats->newest_ms);
}

/* ---- opening and closing ---- */

static void *open_route(void *context)
{
    struct kafka_route_slot *slot = context;
    slot->open_status = kafka_route_open(&slot->options, &slot->route, &slot->open_error);
    atomic_store(&slot->is_ready, true);
    return NULL;
}

static void begin_opening(struct kafka_route_slot *slot)
{
    slot->route = NULL;
    slot->options.client_metrics = &slot->client_metrics;
    slot->options.is_cancelled = &slot->is_cancelled;
    atomic_store(&slot->is_ready, false);
    atomic_store(&slot->is_cancelled, false);
    remove_metrics(slot);
    if (add_metrics(slot) && pthread_create(&slot->opener, NULL, open_route, slot) == 0) {
        slot->state = ROUTE_OPENING;
    } else {
        /* Another worker of this process may not have closed the partition yet. */
        remove_metrics(slot);
        slot->retry_ns = kafka_retry_ns(slot->failures, slot->options.partition);
    }
}

static void close_route(struct kafka_route_slot *slot)
{
    kafka_route_close(slot->route);
    slot->route = NULL;
    slot->state = ROUTE_CLOSED;
    remove_metrics(slot);
}

/* Fails where trying again is of no use. */
static enum status handle_failure(struct kafka_route_slot *slot, enum status status,
                                  const char *doing, struct error *error)
{
    log_line(LOG_WARNING, "route_failed", "partition=%d doing=%s failures=%u message=\"%s\"",
             (int)slot->options.partition, doing, slot->failures, error->message);
    slot->failures += status == STATUS_RETRY ? 0 : 1;
    slot->retry_ns = kafka_retry_ns(slot->failures, slot->options.partition);
    bool is_final = status == STATUS_INVALID || slot->failures > KAFKA_FAILURES_MAX;
    return is_final
               ? error_prefix(error, status, "route of partition %d", (int)slot->options.partition)
               : STATUS_OK;
}

static enum status finish_opening(struct kafka_route_slot *slot, struct error *error)
{
    (void)pthread_join(slot->opener, NULL);
    slot->state = slot->open_status == STATUS_OK ? ROUTE_OPEN : ROUTE_CLOSED;
    slot->counted_commits = 0;
    if (slot->open_status == STATUS_OK) {
        log_line(LOG_INFO, "route_opened", "partition=%d position=%llu",
                 (int)slot->options.partition,
                 (unsigned long long)kafka_route_places(slot->route)->committed.ordinal);
        return STATUS_OK;
    }
    remove_metrics(slot);
    *error = slot->open_error;
    return handle_failure(slot, slot->open_status, "open", error);
}

void kafka_route_slot_drop(struct kafka_route_slot *slot)
{
    if (slot->state == ROUTE_OPENING) {
        atomic_store(&slot->is_cancelled, true);
        (void)pthread_join(slot->opener, NULL);
        slot->route = slot->open_status == STATUS_OK ? slot->route : NULL;
    }
    if (slot->route) {
        kafka_log_disown(kafka_route_log(slot->route));
    }
    close_route(slot);
}

void kafka_route_slot_rejoin(struct kafka_route_slot *slot)
{
    if (slot->state == ROUTE_OPEN) {
        kafka_log_rejoin(kafka_route_log(slot->route));
    }
}

/* ---- running ---- */

bool kafka_route_slot_settle(struct kafka_route_slot *slot)
{
    struct error error;
    if (slot->state != ROUTE_OPEN) {
        return true;
    }
    enum status status = kafka_route_commit_step(slot->route, &error);
    if (status != STATUS_OK) {
        log_line(LOG_WARNING, "route_dropped", "partition=%d message=\"%s\"",
                 (int)slot->options.partition, error.message);
        kafka_route_slot_drop(slot);
        return true;
    }
    return kafka_route_is_committed(slot->route);
}

static enum status step(struct kafka_route_slot *slot, uint64_t haste_ns, bool *ret_waits,
                        struct error *error)
{
    enum status status = kafka_route_step(slot->route, haste_ns, ret_waits, error);
    if (status != STATUS_OK) {
        close_route(slot);
        return handle_failure(slot, status, "run", error);
    }
    struct kafka_route_stats stats = kafka_route_stats(slot->route);
    if (stats.commits > slot->counted_commits) {
        slot->counted_commits = stats.commits;
        slot->failures = 0;
    }
    publish(slot, &stats);
    return STATUS_OK;
}

enum status kafka_route_slot_run(struct kafka_route_slot *slot, bool is_wanted, uint64_t haste_ns,
                                 bool *ret_waits, struct error *error)
{
    *ret_waits = true;
    if (slot->state == ROUTE_OPENING && !is_wanted) {
        atomic_store(&slot->is_cancelled, true);
    }
    if (slot->state == ROUTE_OPENING && atomic_load(&slot->is_ready)) {
        enum status status = finish_opening(slot, error);
        if (status != STATUS_OK) {
            return is_wanted ? status : STATUS_OK;
        }
    }
    if (slot->state == ROUTE_OPEN && !is_wanted) {
        log_line(LOG_INFO, "route_closed", "partition=%d", (int)slot->options.partition);
        kafka_route_slot_drop(slot);
    }
    if (slot->state == ROUTE_CLOSED && is_wanted && clock_monotonic_ns() >= slot->retry_ns) {
        begin_opening(slot);
    }
    return slot->state == ROUTE_OPEN ? step(slot, haste_ns, ret_waits, error) : STATUS_OK;
}

bool kafka_route_slot_is_open(const struct kafka_route_slot *slot)
{
    return slot->state == ROUTE_OPEN;
}
