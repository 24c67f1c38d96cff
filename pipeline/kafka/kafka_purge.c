#include "pipeline/kafka/kafka_purge.h"

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"

/* Why the first of them failed, if any did; the others would fail alike. */
static rd_kafka_resp_err_t code_of(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_DeleteRecords_result_t *result = rd_kafka_event_DeleteRecords_result(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result) {
        const rd_kafka_topic_partition_list_t *list = rd_kafka_DeleteRecords_result_offsets(result);
        code = list->cnt > 0 ? list->elems[0].err : code;
    }
    return code;
}

static void take_answers(struct kafka_purge *purge, const char *topic, int32_t partition)
{
    rd_kafka_event_t *event;
    while (purge->answers && (event = rd_kafka_queue_poll(purge->answers, 0)) != NULL) {
        rd_kafka_resp_err_t code = code_of(event);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !purge->has_complained) {
            purge->has_complained = true;
            log_line(LOG_WARNING, "purge_failed",
                     "topic=%s partition=%d message=\"%s; the topic keeps its records\"", topic,
                     (int)partition, rd_kafka_err2str(code));
        }
        purge->is_asking = false;
        rd_kafka_event_destroy(event);
    }
}

static void ask(struct kafka_purge *purge, rd_kafka_t *client, const char *topic, int32_t partition,
                int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    if (!purge->answers) {
        purge->answers = rd_kafka_queue_new(client);
    }
    rd_kafka_DeleteRecords(client, &request, 1, NULL, purge->answers);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    purge->is_asking = true;
    purge->offset = offset;
}

void kafka_purge_run(struct kafka_purge *purge, rd_kafka_t *client, const char *topic,
                     int32_t partition, int64_t offset, int64_t interval_ms)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (purge->asked_ns == 0) {
        purge->asked_ns = now_ns;
    }
    if (interval_ms == 0 || now_ns - purge->asked_ns < (uint64_t)interval_ms * 1000000u) {
        return;
    }
    purge->asked_ns = now_ns;
    take_answers(purge, topic, partition);
    if (!purge->is_asking && offset > purge->offset) {
        ask(purge, client, topic, partition, offset);
    }
}

void kafka_purge_release(struct kafka_purge *purge)
{
    if (purge->answers) {
        rd_kafka_queue_destroy(purge->answers);
    }
    *purge = (struct kafka_purge){0};
}
