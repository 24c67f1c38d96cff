#include "pipeline/kafka/kafka_fetch.h"

#include "pipeline/kafka/kafka_client.h"

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
    return error_set(error, STATUS_FATAL, "kafka: topic %s, partition %d: %s",
                     rd_kafka_topic_name(fetch->topic), (int)fetch->partition,
                     rd_kafka_message_errstr(message));
}

enum status kafka_fetch_next(struct kafka_fetch *fetch, int timeout_ms,
                             const rd_kafka_message_t **ret_message, struct error *error)
{
    for (;;) {
        if (fetch->taken == fetch->count) {
            drop_messages(fetch);
            ssize_t count = rd_kafka_consume_batch_queue(fetch->queue, timeout_ms, fetch->messages,
                                                         KAFKA_FETCH_MESSAGES);
            if (count <= 0) {
                *ret_message = NULL;
                return STATUS_OK;
            }
            fetch->count = (uint32_t)count;
        }
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
