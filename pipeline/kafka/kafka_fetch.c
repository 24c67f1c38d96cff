#include "pipeline/kafka/kafka_fetch.h"

#include <stdio.h>

#include "pipeline/kafka/kafka_client.h"

#define PREFETCH_HEADS 12u
#define PREFETCH_BYTES_OF 6u

/* Whose queue this thread is reading. */
static _Thread_local struct kafka_fetch *served;

void kafka_fetch_on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    (void)client;
    (void)opaque;
    if (served && served->failure == RD_KAFKA_RESP_ERR_NO_ERROR) {
        served->failure = (rd_kafka_resp_err_t)code;
        (void)snprintf(served->reason, sizeof(served->reason), "%s", reason);
    }
}

static void drop_messages(struct kafka_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->count; i++) {
        rd_kafka_message_destroy(fetch->messages[i]);
    }
    fetch->count = 0;
    fetch->taken = 0;
}

void kafka_fetch_stop(struct kafka_fetch *fetch)
{
    drop_messages(fetch);
    if (fetch->topic) {
        (void)rd_kafka_consume_stop(fetch->topic, fetch->partition);
        rd_kafka_queue_destroy(fetch->queue);
        rd_kafka_topic_destroy(fetch->topic);
    }
    fetch->topic = NULL;
    fetch->queue = NULL;
}

enum status kafka_fetch_start(struct kafka_fetch *fetch, rd_kafka_t *client, const char *topic,
                              int32_t partition, int64_t offset, struct error *error)
{
    kafka_fetch_stop(fetch);
    fetch->topic = rd_kafka_topic_new(client, topic, NULL);
    if (!fetch->topic) {
        return error_set(error, STATUS_FATAL, "kafka: topic %s: %s", topic,
                         rd_kafka_err2str(rd_kafka_last_error()));
    }
    fetch->queue = rd_kafka_queue_new(client);
    fetch->partition = partition;
    fetch->end = -1;
    fetch->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (rd_kafka_consume_start_queue(fetch->topic, partition, offset, fetch->queue) != 0) {
        enum status status =
            error_set(error, STATUS_FATAL, "kafka: topic %s, partition %d: %s", topic,
                      (int)partition, rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_queue_destroy(fetch->queue);
        rd_kafka_topic_destroy(fetch->topic);
        fetch->topic = NULL;
        fetch->queue = NULL;
        return status;
    }
    return STATUS_OK;
}

static enum status explain(const struct kafka_fetch *fetch, rd_kafka_resp_err_t code,
                           const char *reason, struct error *error)
{
    const char *topic = rd_kafka_topic_name(fetch->topic);
    bool is_removed = code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                      code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    return is_removed
               ? error_set(error, STATUS_FATAL,
                           "kafka: topic %s, partition %d: records were removed before they were "
                           "read, by the topic's retention or by hand; to go on without them, set "
                           "the group's offset: %s",
                           topic, (int)fetch->partition, reason)
               : error_set(error, STATUS_FATAL, "kafka: topic %s, partition %d: %s", topic,
                           (int)fetch->partition, reason);
}

/* What does not pass by itself: the library only says it again and again. */
static enum status take_failure(struct kafka_fetch *fetch, struct error *error)
{
    rd_kafka_resp_err_t code = fetch->failure;
    fetch->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return explain(fetch, code, fetch->reason, error);
    default:
        return STATUS_OK;
    }
}

/* A message that stands for something that happened. */
static enum status take_event(struct kafka_fetch *fetch, const rd_kafka_message_t *message,
                              struct error *error)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        fetch->end = message->offset;
        return STATUS_OK;
    }
    if (kafka_status_of(message->err) == STATUS_RETRY) {
        return STATUS_OK; /* The library fetches again by itself. */
    }
    return explain(fetch, message->err, rd_kafka_message_errstr(message), error);
}

/* Messages lie where the library's threads have put them: the next ones' heads, then their bytes.
 */
static void prefetch(const struct kafka_fetch *fetch)
{
    uint32_t left = fetch->count - fetch->taken;
    if (left > PREFETCH_HEADS) {
        const char *head = (const char *)fetch->messages[fetch->taken + PREFETCH_HEADS];
        __builtin_prefetch(head);
        __builtin_prefetch(head + 64);
        __builtin_prefetch(head + 128);
    }
    if (left > PREFETCH_BYTES_OF) {
        const rd_kafka_message_t *soon = fetch->messages[fetch->taken + PREFETCH_BYTES_OF];
        for (size_t at = 0; soon->payload && at < soon->len && at < 512; at += 64) {
            __builtin_prefetch((const char *)soon->payload + at);
        }
    }
}

enum status kafka_fetch_next(struct kafka_fetch *fetch, int timeout_ms,
                             const rd_kafka_message_t **ret_message, struct error *error)
{
    for (;;) {
        if (fetch->taken == fetch->count) {
            drop_messages(fetch);
            served = fetch;
            ssize_t count = rd_kafka_consume_batch_queue(fetch->queue, timeout_ms, fetch->messages,
                                                         KAFKA_FETCH_MESSAGES);
            served = NULL;
            if (count <= 0) {
                *ret_message = NULL;
                return take_failure(fetch, error);
            }
            fetch->count = (uint32_t)count;
        }
        prefetch(fetch);
        const rd_kafka_message_t *message = fetch->messages[fetch->taken++];
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            fetch->end = -1;
            *ret_message = message;
            return STATUS_OK;
        }
        enum status status = take_event(fetch, message, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

int64_t kafka_fetch_heard_end(rd_kafka_t *client, const char *topic, int32_t partition)
{
    int64_t low = -1;
    int64_t high = -1;
    rd_kafka_resp_err_t code =
        rd_kafka_get_watermark_offsets(client, topic, partition, &low, &high);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
}

int64_t kafka_fetch_behind(rd_kafka_t *client, const char *const *topics, uint32_t count,
                           int32_t partition, const int64_t *next)
{
    int64_t behind = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t left = kafka_fetch_heard_end(client, topics[i], partition) - next[i];
        behind += left > 0 ? left : 0;
    }
    return behind;
}
