#include "pipeline/kafka/kafka_lag.h"

#include "pipeline/kafka/kafka_restore.h"
#include "pipeline/kafka/kafka_topics.h"

#define REQUEST_TIMEOUT_MS 10000

static enum status print_partition(rd_kafka_t *client, const char *topic, int32_t partition,
                                   int64_t committed, FILE *out, int64_t *sum, struct error *error)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: offsets of %s %d: %s", topic,
                         (int)partition, rd_kafka_err2str(code));
    }
    int64_t from = committed < low ? low : committed;
    *sum += high - from;
    if (committed < 0) {
        (void)fprintf(out, "%9d %14s %14lld %14lld", (int)partition, "-", (long long)high,
                      (long long)(high - from));
    } else {
        (void)fprintf(out, "%9d %14lld %14lld %14lld", (int)partition, (long long)committed,
                      (long long)high, (long long)(high - from));
    }
    return STATUS_OK;
}

static enum status print_all(rd_kafka_t *client, const struct kafka_topics *topics, uint32_t count,
                             FILE *out, int64_t *sum, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct kafka_committed committed;
        status = kafka_read_committed(client, topics, (int32_t)i, &committed, error);
        for (uint32_t j = 0; j < topics->input_count && status == STATUS_OK; j++) {
            status = print_partition(client, topics->inputs[j], (int32_t)i, committed.offsets[j],
                                     out, sum, error);
            (void)fprintf(out, topics->input_count > 1 ? "  %s\n" : "\n", topics->inputs[j]);
        }
    }
    return status;
}

static enum status print_topic(rd_kafka_t *client, const struct kafka_setup *setup,
                               const struct kafka_topics *topics, uint32_t count, FILE *out,
                               int64_t *sum, struct error *error)
{
    (void)fprintf(out, "group %s, topic %s%s\n%9s %14s %14s %14s\n", setup->group,
                  topics->inputs[0], topics->input_count > 1 ? " and more" : "", "partition",
                  "committed", "end", "lag");
    return print_all(client, topics, count, out, sum, error);
}

enum status kafka_lag_print(const struct kafka_setup *setup, FILE *out, struct error *error)
{
    rd_kafka_t *client;
    struct kafka_refusal refusal;
    struct kafka_topics topics;
    struct kafka_topics sources;
    uint32_t count = 0;
    int64_t sum = 0;
    enum status status = kafka_topics_name(setup, &topics, error);
    if (status == STATUS_OK) {
        status = kafka_observer_create(setup, &refusal, &client, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = kafka_topics_find_inputs(setup, client, &topics, &count, error);
    if (status == STATUS_OK) {
        kafka_topics_divide(setup, &topics, &sources);
    }
    if (status == STATUS_OK && topics.sources) {
        status = print_topic(client, setup, &sources, count, out, &sum, error);
    }
    for (uint32_t i = 0; i < topics.hop_count && status == STATUS_OK && topics.sources; i++) {
        struct kafka_topics hop;
        kafka_topics_hop(&topics, i, &hop);
        status = print_topic(client, setup, &hop, count, out, &sum, error);
    }
    if (status == STATUS_OK) {
        status = print_topic(client, setup, &topics, count, out, &sum, error);
    }
    if (status == STATUS_OK) {
        (void)fprintf(out, "%9s %14s %14s %14lld\n", "sum", "", "", (long long)sum);
    }
    rd_kafka_destroy(client);
    return status;
}
