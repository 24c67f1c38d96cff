/*
 * One task's producer and its transactions, step by step. Everything blocks; one thread at a time.
 */
#ifndef PIPELINE_KAFKA_KAFKA_PRODUCER_H
#define PIPELINE_KAFKA_KAFKA_PRODUCER_H

#include "pipeline/base/byte_buffer.h"
#include "pipeline/commit/commit_log.h"
#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_route_batch.h"
#include "pipeline/kafka/kafka_topics.h"
#include "pipeline/kafka/kafka_traces.h"

struct kafka_producer {
    const struct kafka_setup *setup;   /* Borrowed. */
    const struct kafka_topics *topics; /* Borrowed. */
    int32_t partition;
    const struct kafka_traces *traces; /* Borrowed. */
    /* Borrowed. What a route sends on, which commits nothing else, or a hop, beside the content of
     * its commits; NULL: neither. */
    struct kafka_route_batch *routed;
    rd_kafka_t *client; /* NULL: not open. */
    rd_kafka_topic_t *outputs[TOPIC_COUNT];
    rd_kafka_topic_t *changelog;
    rd_kafka_topic_t *journal;
    rd_kafka_topic_t *repartition; /* Of a route or hop: where to. */
    struct kafka_producer_events events;
    uint64_t closed_before;   /* Connections closed when the transaction began. */
    struct byte_buffer frame; /* Scratch for a framed value. */
};

/* `producer` has the first five members set. Ends an earlier transaction of the same id. */
MUST_CHECK enum status kafka_producer_open(struct kafka_producer *producer, struct error *error);
/* Keeps the scratch memory, for an open that follows. An open transaction is left to time out, or
 * to the next owner. */
void kafka_producer_close(struct kafka_producer *producer);

enum kafka_outcome {
    KAFKA_COMMITTED,
    KAFKA_ABORTED,  /* Nothing of it will be seen. */
    KAFKA_IN_DOUBT, /* The producer is of no more use; its successor has to look. */
    KAFKA_FENCED,   /* Another process has taken over, or the producer broke. */
};

/* Where the group goes on, and in whose name. */
struct kafka_offsets {
    const rd_kafka_topic_partition_list_t *list;
    const rd_kafka_consumer_group_metadata_t *metadata;
};

/*
 * Carries out one commit. Unless it is KAFKA_COMMITTED, `error` says why. A commit during which a
 * connection was closed is in doubt even where the broker said yes.
 */
enum kafka_outcome kafka_producer_commit(struct kafka_producer *producer,
                                         const struct commit_content *content,
                                         const struct kafka_offsets *offsets, struct error *error);

#endif
