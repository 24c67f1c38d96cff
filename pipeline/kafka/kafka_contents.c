#include "pipeline/kafka/kafka_contents.h"

#include <assert.h>
#include <stdlib.h>

#include "pipeline/base/clock.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/kafka/kafka_records.h"
#include "pipeline/kafka/kafka_restore.h"

#define FETCH_TIMEOUT_MS 100
#define PATIENCE_NS (10ull * 1000000000u)

/* The first record that is committed, or none. */
static enum status find_first(struct kafka_fetch *fetch, const rd_kafka_message_t **ret_message,
                              struct error *error)
{
    uint64_t begin_ns = clock_monotonic_ns();
    enum status status;
    do {
        status = kafka_fetch_next(fetch, FETCH_TIMEOUT_MS, ret_message, error);
    } while (status == STATUS_OK && !*ret_message && fetch->end < 0 &&
             clock_monotonic_ns() - begin_ns < PATIENCE_NS);
    return status;
}

static enum status check_record(const struct kafka_setup *setup, rd_kafka_t *observer,
                                const struct kafka_topics *topics, int32_t partition,
                                const rd_kafka_message_t *message, struct error *error)
{
    struct record_key key;
    struct kafka_committed committed;
    if (!kafka_record_key_read(message->key, message->key_len, &key)) {
        return error_set(error, STATUS_INVALID,
                         "kafka: topic %s, partition %d, offset %lld: no record of a changelog of "
                         "ours: another program writes this topic; give the application another "
                         "name",
                         topics->changelog, (int)partition, (long long)message->offset);
    }
    enum status status = kafka_check_way(observer, setup, topics, partition, error);
    if (status == STATUS_OK) {
        status = kafka_read_committed(observer, topics, partition, &committed, error);
    }
    if (status == STATUS_OK && committed.is_new) {
        status = error_set(error, STATUS_INVALID,
                           "kafka: group %s has no committed offset for partition %d, but %s has "
                           "records: they are of another group, or the offsets have expired",
                           setup->group, (int)partition, topics->changelog);
    }
    return status;
}

static enum status check_partition(const struct kafka_setup *setup, rd_kafka_t *observer,
                                   rd_kafka_t *fetcher, const struct kafka_topics *topics,
                                   int32_t partition, struct error *error)
{
    struct kafka_fetch *fetch = calloc(1, sizeof(*fetch));
    const rd_kafka_message_t *message = NULL;
    if (!fetch) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    enum status status = kafka_fetch_start(fetch, fetcher, topics->changelog, partition,
                                           RD_KAFKA_OFFSET_BEGINNING, error);
    if (status == STATUS_OK) {
        status = find_first(fetch, &message, error);
    }
    if (status == STATUS_OK && message) {
        status = check_record(setup, observer, topics, partition, message, error);
    }
    kafka_fetch_stop(fetch);
    free(fetch);
    return status;
}

enum status kafka_contents_check(const struct kafka_setup *setup, rd_kafka_t *observer,
                                 const struct kafka_topics *topics, uint32_t partitions,
                                 struct error *error)
{
    assert(topics->hop_count == 0 || topics->sources);
    rd_kafka_t *fetcher;
    struct kafka_client_metrics none = {0};
    enum status status = kafka_fetcher_create(setup, 0, &none, &fetcher, error);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < partitions && status == STATUS_OK; i++) {
        status = check_partition(setup, observer, fetcher, topics, (int32_t)i, error);
    }
    for (uint32_t j = 0; j < topics->hop_count; j++) {
        struct kafka_topics hop;
        kafka_topics_hop(topics, j, &hop);
        for (uint32_t i = 0; i < partitions && status == STATUS_OK; i++) {
            status = check_partition(setup, observer, fetcher, &hop, (int32_t)i, error);
        }
    }
    rd_kafka_destroy(fetcher);
    return status;
}
