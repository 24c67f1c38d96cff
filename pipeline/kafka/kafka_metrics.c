#include "pipeline/kafka/kafka_metrics.h"

#include "pipeline/base/clock.h"
#include "pipeline/base/json_tree.h"
#include "pipeline/kafka/kafka_fetch.h"

#define PUBLISH_EVERY_NS UINT64_C(1000000000)
#define ARENA_BLOCK_BYTES 65536u
#define US_PER_SECOND 1e6

enum {
    OPEN,
    POSITION,
    END,
    LAG,
    LAG_KNOWN,
    RESTORED,
    RESTORED_BYTES,
    RESTORE_LEFT,
    TRACES_DROPPED
};

#define ROW(PLACE, title, kind, measure, scale, sentence)                                          \
    [PLACE] = {.name = (title),                                                                    \
               .unit = (measure),                                                                  \
               .doc = (sentence),                                                                  \
               .labels = {LABEL},                                                                  \
               .divisor = (scale),                                                                 \
               .type = METRIC_##kind}

#define LABEL "partition"
const struct metric_info kafka_partition_metric_infos[KAFKA_PARTITION_METRICS] = {
    ROW(OPEN, "nudge_kafka_partition_open", GAUGE, "", 1,
        "1: open; 0: being opened and restored; without a line: not of this process"),
    ROW(POSITION, "nudge_kafka_input_position", GAUGE, "records", 1,
        "Number of the next record: the offset, or with several topics their count"),
    ROW(END, "nudge_kafka_input_end_offset", GAUGE, "records", 1,
        "Offsets at which the input's topics end, summed"),
    ROW(LAG, "nudge_kafka_input_lag_records", GAUGE, "records", 1,
        "Records between what was read and the end of the topics, as of the last fetch"),
    ROW(LAG_KNOWN, "nudge_kafka_input_lag_known", GAUGE, "", 1,
        "1 once the brokers have told the ends of all topics"),
    ROW(RESTORED, "nudge_kafka_restored_records_total", COUNTER, "records", 1,
        "Records read back from the changelog by openings of the partition"),
    ROW(RESTORED_BYTES, "nudge_kafka_restored_bytes_total", COUNTER, "bytes", 1,
        "Bytes of them, keys included"),
    ROW(RESTORE_LEFT, "nudge_kafka_restore_left_seconds", GAUGE, "seconds", 1000,
        "What is left of the restore at its rate so far; 0: there is none at the moment"),
    ROW(TRACES_DROPPED, "nudge_kafka_trace_headers_dropped_total", COUNTER, "headers", 1,
        "Trace headers that were not passed on: longer than a kilobyte, or beyond the 8 MiB that a "
        "transaction keeps"),
};
#undef LABEL

enum {
    REQUESTS,
    RESPONSES,
    SENT_BYTES,
    RECEIVED_BYTES,
    SENT_RECORDS,
    RECEIVED_RECORDS,
    ERRORS,
    QUEUED_RECORDS,
    ROUND_TRIP
};

#define LABEL "client"
const struct metric_info kafka_client_metric_infos[KAFKA_CLIENT_METRICS] = {
    ROW(REQUESTS, "nudge_kafka_requests_total", COUNTER, "", 1, "Requests sent to brokers"),
    ROW(RESPONSES, "nudge_kafka_responses_total", COUNTER, "", 1, "Responses from brokers"),
    ROW(SENT_BYTES, "nudge_kafka_sent_bytes_total", COUNTER, "bytes", 1, "Bytes sent to brokers"),
    ROW(RECEIVED_BYTES, "nudge_kafka_received_bytes_total", COUNTER, "bytes", 1,
        "Bytes received from brokers"),
    ROW(SENT_RECORDS, "nudge_kafka_sent_records_total", COUNTER, "records", 1,
        "Records sent to brokers"),
    ROW(RECEIVED_RECORDS, "nudge_kafka_received_records_total", COUNTER, "records", 1,
        "Records fetched from brokers"),
    ROW(ERRORS, "nudge_kafka_errors_total", COUNTER, "", 1,
        "Requests and responses that failed, summed over the brokers"),
    ROW(QUEUED_RECORDS, "nudge_kafka_queued_records", GAUGE, "records", 1,
        "Records in the queues of a producer"),
    ROW(ROUND_TRIP, "nudge_kafka_round_trip_seconds", GAUGE, "seconds", US_PER_SECOND,
        "99th percentile of the slowest broker's answers in the last seconds"),
};
#undef LABEL

/* ---- Partitions ---- */

static enum status add(struct metrics *registry, const struct metric_info *infos, int count,
                       const char *label, const void *owner, struct metric_series **series,
                       struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        status = metrics_add(registry, &infos[i], &label, owner, &series[i], error);
    }
    if (status != STATUS_OK) {
        metrics_remove(registry, owner);
    }
    return status;
}

enum status kafka_partition_metrics_add(struct metrics *metrics, const char *partition,
                                        struct kafka_partition_metrics *ret_metrics,
                                        struct error *error)
{
    *ret_metrics = (struct kafka_partition_metrics){0};
    if (!metrics) {
        return STATUS_OK;
    }
    enum status status = add(metrics, kafka_partition_metric_infos, KAFKA_PARTITION_METRICS,
                             partition, ret_metrics, ret_metrics->series, error);
    ret_metrics->registry = status == STATUS_OK ? metrics : NULL;
    return status;
}

void kafka_partition_metrics_remove(struct kafka_partition_metrics *metrics)
{
    if (metrics->registry) {
        metrics_remove(metrics->registry, metrics);
        metrics->registry = NULL;
    }
}

static bool is_due(struct kafka_partition_metrics *metrics)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns - metrics->published_ns < PUBLISH_EVERY_NS) {
        return false;
    }
    metrics->published_ns = now_ns;
    return true;
}

void kafka_partition_metrics_publish(struct kafka_partition_metrics *metrics, bool is_open,
                                     const struct kafka_progress *progress)
{
    if (!metrics->registry) {
        return;
    }
    metric_set(metrics->series[OPEN], is_open);
    metric_raise(metrics->series[RESTORED],
                 atomic_load_explicit(&progress->records, memory_order_relaxed));
    metric_raise(metrics->series[RESTORED_BYTES],
                 atomic_load_explicit(&progress->bytes, memory_order_relaxed));
    metric_set(metrics->series[RESTORE_LEFT],
               (int64_t)atomic_load_explicit(&progress->left_ms, memory_order_relaxed));
}

void kafka_partition_metrics_publish_lag(struct kafka_partition_metrics *metrics,
                                         rd_kafka_t *fetcher, const char *const *topics,
                                         const struct kafka_places *places, int32_t partition)
{
    if (!metrics->registry || !is_due(metrics)) {
        return;
    }
    int64_t end = 0;
    int64_t lag = 0;
    bool is_known = true;
    for (uint32_t i = 0; i < places->count; i++) {
        int64_t high = kafka_fetch_heard_end(fetcher, topics[i], partition);
        is_known = is_known && high >= 0;
        end += high;
        lag += high > places->now.offsets[i] ? high - places->now.offsets[i] : 0;
    }
    metric_set(metrics->series[POSITION], (int64_t)places->now.ordinal);
    metric_set(metrics->series[END], is_known ? end : 0);
    metric_set(metrics->series[LAG], is_known ? lag : 0);
    metric_set(metrics->series[LAG_KNOWN], is_known);
}

void kafka_partition_metrics_publish_traces(struct kafka_partition_metrics *metrics,
                                            const struct kafka_traces *traces)
{
    if (metrics->registry) {
        metric_raise(metrics->series[TRACES_DROPPED], traces->dropped_count);
    }
}

/* ---- Clients ---- */

enum status kafka_client_metrics_add(struct metrics *metrics, const char *client,
                                     struct kafka_client_metrics *ret_metrics, struct error *error)
{
    *ret_metrics = (struct kafka_client_metrics){0};
    if (!metrics) {
        return STATUS_OK;
    }
    enum status status = add(metrics, kafka_client_metric_infos, KAFKA_CLIENT_METRICS, client,
                             ret_metrics, ret_metrics->series, error);
    ret_metrics->registry = status == STATUS_OK ? metrics : NULL;
    return status;
}

void kafka_client_metrics_remove(struct kafka_client_metrics *metrics)
{
    if (metrics->registry) {
        metrics_remove(metrics->registry, metrics);
        metrics->registry = NULL;
    }
}

/* A producer that was made anew counts from nothing again, the metric goes on. */
static void raise_count(struct kafka_client_metrics *metrics, int place, double value)
{
    uint64_t count = value > 0 ? (uint64_t)value : 0;
    if (count < metrics->last[place]) {
        metrics->base[place] += metrics->last[place];
    }
    metrics->last[place] = count;
    metric_raise(metrics->series[place], metrics->base[place] + count);
}

static void take_tree(struct kafka_client_metrics *metrics, const struct json_value *root)
{
    static const struct {
        int place;
        const char *name;
    } counts[] = {
        {REQUESTS, "tx"},         {RESPONSES, "rx"},
        {SENT_BYTES, "tx_bytes"}, {RECEIVED_BYTES, "rx_bytes"},
        {SENT_RECORDS, "txmsgs"}, {RECEIVED_RECORDS, "rxmsgs"},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        raise_count(metrics, counts[i].place, json_member_number(root, counts[i].name, 0));
    }
    double errors = 0;
    double slowest_us = 0;
    const struct json_value *brokers = json_member(root, "brokers");
    for (const struct json_value *at = brokers ? brokers->first : NULL; at; at = at->next) {
        errors += json_member_number(at, "txerrs", 0) + json_member_number(at, "rxerrs", 0);
        double us = json_member_number(json_member(at, "rtt"), "p99", 0);
        slowest_us = us > slowest_us ? us : slowest_us;
    }
    raise_count(metrics, ERRORS, errors);
    metric_set(metrics->series[QUEUED_RECORDS], (int64_t)json_member_number(root, "msg_cnt", 0));
    metric_set(metrics->series[ROUND_TRIP], (int64_t)slowest_us);
}

void kafka_client_metrics_take(struct kafka_client_metrics *metrics, const char *json,
                               size_t length)
{
    struct arena arena;
    const struct json_value *root = NULL;
    struct error ignored;
    if (!metrics || !metrics->registry) {
        return;
    }
    arena_init(&arena, ARENA_BLOCK_BYTES);
    if (json_tree_parse((struct text){json, (uint32_t)length}, &arena, &root, &ignored) ==
        STATUS_OK) {
        take_tree(metrics, root);
    }
    arena_release(&arena);
}
