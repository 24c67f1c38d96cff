/*
 * What one transaction of a route sends on: records and markers, in order, each to a partition of
 * the repartition topic; and what time it is behind them. Filled by the worker's thread, produced
 * by the committing one, never at the same time.
 */
#ifndef PIPELINE_KAFKA_KAFKA_ROUTE_BATCH_H
#define PIPELINE_KAFKA_KAFKA_ROUTE_BATCH_H

#include <librdkafka/rdkafka.h>

#include "pipeline/base/arena.h"
#include "pipeline/base/status.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/kafka/kafka_route_mark.h"
#include "pipeline/run/partition_time.h"

#define KAFKA_ROUTE_RECORDS_MAX 16384u   /* Of a transaction, markers included. */
#define KAFKA_ROUTE_BYTES_MAX (1u << 20) /* Then it is full; the last record may go beyond it. */

struct kafka_route_entry {
    rd_kafka_headers_t *headers; /* Owned, until it is produced. */
    struct text key;             /* data NULL: none. */
    struct text value;           /* Likewise. */
    int64_t timestamp_ms;
    int32_t partition;
};

struct kafka_route_batch {
    struct kafka_route_entry *entries; /* [KAFKA_ROUTE_RECORDS_MAX] */
    uint32_t count;
    size_t bytes;
    struct arena keys;
    struct partition_time time;      /* Behind the last record. */
    struct partition_time committed; /* As of the last commit. */
};

MUST_CHECK enum status kafka_route_batch_init(struct kafka_route_batch *batch, struct error *error);
void kafka_route_batch_release(struct kafka_route_batch *batch);
void kafka_route_batch_reset(struct kafka_route_batch *batch); /* Keeps the times. */

bool kafka_route_batch_is_full(const struct kafka_route_batch *batch);

/*
 * There is room. The key is copied; the value, at `value`, is borrowed until the batch is reset.
 * `headers`, of the record as it came, may be NULL. STATUS_FATAL: out of memory.
 */
MUST_CHECK enum status kafka_route_batch_add(struct kafka_route_batch *batch, int32_t partition,
                                             struct text key, struct text value,
                                             const rd_kafka_headers_t *headers,
                                             const struct kafka_route_mark *mark,
                                             struct error *error);

/* The same, of a record whose headers are made: they are taken, whatever comes of it. Key and value
 * are copied. */
MUST_CHECK enum status kafka_route_batch_add_copy(struct kafka_route_batch *batch,
                                                  const struct kafka_route_entry *entry,
                                                  struct error *error);

/* Where an event row is sent on to, by the entity of `kind` or else its user: as Apache's producers
 * place a record that is keyed by that identity. */
int32_t kafka_route_target(const struct event_batch *batch, uint32_t row, enum entity_kind kind,
                           uint32_t partition_count);

/* Hands the entry over to the producer; on failure it can be tried again. */
rd_kafka_resp_err_t kafka_route_entry_produce(struct kafka_route_entry *entry, rd_kafka_t *client,
                                              rd_kafka_topic_t *topic);

#endif
