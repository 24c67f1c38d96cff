#include "pipeline/kafka/kafka_lag.h"

#include "pipeline/kafka/kafka_restore.h"
#include "pipeline/kafka/kafka_topics.h"

#define REQUEST_TIMEOUT_MS 10000

static enum status print_partition(rd_kafka_t *client, const char *topic, int32_t partition,
                                   FILE *out, int64_t *sum, struct error *error)
{
    struct kafka_committed committed;
    int64_t low = 0;
    int64_t high = 0;
    enum status status = kafka_read_committed(client, topic, partition, &committed, error);
    if (status != STATUS_OK) {
        return status;
    }
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: offsets of %s %d: %s", topic,
                         (int)partition, rd_kafka_err2str(code));
    }
    int64_t from = committed.is_new || committed.offset < low ? low : committed.offset;
    *sum += high - from;
    if (committed.is_new) {
        (void)fprintf(out, "%9d %14s %14lld %14lld\n", (int)partition, "-", (long long)high,
                      (long long)(high - from));
    } else {
        (void)fprintf(out, "%9d %14lld %14lld %14lld\n", (int)partition,
                      (long long)committed.offset, (long long)high, (long long)(high - from));
    }
    return STATUS_OK;
}

enum status kafka_lag_print(const struct kafka_setup *setup, FILE *out, struct error *error)
{
    rd_kafka_t *client;
    struct kafka_refusal refusal;
    uint32_t count = 0;
    int64_t sum = 0;
    enum status status = kafka_observer_create(setup, &refusal, &client, error);
    if (status != STATUS_OK) {
        return status;
    }
    const char *topic = setup->options->topic;
    status = kafka_topics_count(client, topic, &count, error);
    if (status == STATUS_OK) {
        (void)fprintf(out, "group %s, topic %s\n%9s %14s %14s %14s\n", setup->group, topic,
                      "partition", "committed", "end", "lag");
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = print_partition(client, topic, (int32_t)i, out, &sum, error);
    }
    if (status == STATUS_OK) {
        (void)fprintf(out, "%9s %14s %14s %14lld\n", "sum", "", "", (long long)sum);
    }
    rd_kafka_destroy(client);
    return status;
}
