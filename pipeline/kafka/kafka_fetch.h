/*
 * The records of one partition from an offset on, in order. Each stream has a queue of its own, so
 * that a new one never sees what an earlier one left. One thread at a time.
 */
#ifndef PIPELINE_KAFKA_KAFKA_FETCH_H
#define PIPELINE_KAFKA_KAFKA_FETCH_H

#include <librdkafka/rdkafka.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define KAFKA_FETCH_MESSAGES 512u

struct kafka_fetch {
    rd_kafka_topic_t *topic; /* NULL: not started. */
    rd_kafka_queue_t *queue;
    int32_t partition;
    rd_kafka_message_t *messages[KAFKA_FETCH_MESSAGES];
    uint32_t count;              /* Messages fetched ... */
    uint32_t taken;              /* ... and of them returned; all stay until the next fill. */
    rd_kafka_resp_err_t failure; /* What the library said in the last call; 0: nothing. */
    char reason[256];
    int64_t end; /* Where the partition ends, once all before it was returned; else -1. */
};

/*
 * The error callback of a client whose streams these are: the library says there, and not in the
 * queue, that a partition or an offset is gone. It is called inside of kafka_fetch_next().
 */
void kafka_fetch_on_error(rd_kafka_t *client, int code, const char *reason, void *opaque);

/* Stops an earlier stream of this struct. Borrows the client. */
MUST_CHECK enum status kafka_fetch_start(struct kafka_fetch *fetch, rd_kafka_t *client,
                                         const char *topic, int32_t partition, int64_t offset,
                                         struct error *error);
void kafka_fetch_stop(struct kafka_fetch *fetch);

/*
 * The next record, valid until the next call, or NULL where there is none after `timeout_ms`; then
 * `end` may be set. Failure: the partition or the offset is not there.
 */
MUST_CHECK enum status kafka_fetch_next(struct kafka_fetch *fetch, int timeout_ms,
                                        const rd_kafka_message_t **ret_message,
                                        struct error *error);

/*
 * Where the partition ends, as the client has last heard in the answer to a fetch; -1: not yet.
 * Asks no broker. Any thread.
 */
int64_t kafka_fetch_heard_end(rd_kafka_t *client, const char *topic, int32_t partition);

/*
 * Records of a partition of all these topics from next[i] on, as far as is heard. Markers of
 * transactions count as records.
 */
int64_t kafka_fetch_behind(rd_kafka_t *client, const char *const *topics, uint32_t count,
                           int32_t partition, const int64_t *next);

#endif
