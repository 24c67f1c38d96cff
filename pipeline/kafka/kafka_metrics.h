/*
 * What a run on Kafka tells of itself beside what all runs do: where each partition stands, how far
 * a restore has come, and what librdkafka counts. All functions but kafka_metrics_add take a struct
 * that was never added, and do nothing.
 */
#ifndef PIPELINE_KAFKA_KAFKA_METRICS_H
#define PIPELINE_KAFKA_KAFKA_METRICS_H

#include <librdkafka/rdkafka.h>

#include "pipeline/kafka/kafka_places.h"
#include "pipeline/kafka/kafka_traces.h"
#include "pipeline/metrics/metrics.h"

#define KAFKA_PARTITION_METRICS 9
#define KAFKA_CLIENT_METRICS 9

extern const struct metric_info kafka_partition_metric_infos[KAFKA_PARTITION_METRICS];
extern const struct metric_info kafka_client_metric_infos[KAFKA_CLIENT_METRICS];

/* How far a restore has come: written by the thread that opens, read by others. */
struct kafka_progress {
    _Atomic uint64_t records;
    _Atomic uint64_t bytes;
    _Atomic uint64_t left_ms; /* As it looks now. */
};

struct kafka_partition_metrics {
    struct metrics *registry; /* NULL: none. */
    struct metric_series *series[KAFKA_PARTITION_METRICS];
    uint64_t published_ns;
};

/* `metrics` may be NULL: then there are none. The struct must not move: it owns its series. */
MUST_CHECK enum status kafka_partition_metrics_add(struct metrics *metrics, const char *partition,
                                                   struct kafka_partition_metrics *ret_metrics,
                                                   struct error *error);
void kafka_partition_metrics_remove(struct kafka_partition_metrics *metrics);

/* While the partition is opened, and once when it is open. */
void kafka_partition_metrics_publish(struct kafka_partition_metrics *metrics, bool is_open,
                                     const struct kafka_progress *progress);
/*
 * Position and lag, where a second has passed: what the fetcher has last heard of the ends of the
 * topics, which is with each fetch, less `places`.
 */
void kafka_partition_metrics_publish_lag(struct kafka_partition_metrics *metrics,
                                         rd_kafka_t *fetcher, const char *const *topics,
                                         const struct kafka_places *places, int32_t partition);

/* Headers that were not passed on so far. */
void kafka_partition_metrics_publish_traces(struct kafka_partition_metrics *metrics,
                                            const struct kafka_traces *traces);

struct kafka_client_metrics {
    struct metrics *registry; /* NULL: none. */
    struct metric_series *series[KAFKA_CLIENT_METRICS];
    uint64_t base[KAFKA_CLIENT_METRICS]; /* Counted by earlier clients of that name. */
    uint64_t last[KAFKA_CLIENT_METRICS];
};

/* `client` is a label, as in "producer-3". */
MUST_CHECK enum status kafka_client_metrics_add(struct metrics *metrics, const char *client,
                                                struct kafka_client_metrics *ret_metrics,
                                                struct error *error);
void kafka_client_metrics_remove(struct kafka_client_metrics *metrics);

/* Takes librdkafka's statistics (JSON, as STATISTICS.md of the library has it). */
void kafka_client_metrics_take(struct kafka_client_metrics *metrics, const char *json,
                               size_t length);

#endif
