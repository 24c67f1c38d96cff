#include "pipeline/kafka/kafka_ask.h"

#include <string.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/run/runner.h"

#define REQUEST_TIMEOUT_MS 15000
#define PORTION_TIMEOUT_MS 1000

/*
 * Versions of librdkafka before 2.6.1 repeat the nonce in SCRAM's last message, which brokers since
 * version 4 do not let pass (RFC 5802, section 5.1): a right password looks like a wrong one.
 */
static enum status refuse_entry(const struct kafka_refusal *refusal, struct error *error)
{
    bool is_scram = strstr(refusal->text, "SCRAM") != NULL;
    bool is_old = rd_kafka_version() < 0x020601ff;
    return is_scram && is_old
               ? error_set(error, STATUS_INVALID,
                           "kafka: not let in (if the password is right: librdkafka %s cannot log "
                           "in by SCRAM at brokers of version 4, 2.6.1 can): %s",
                           rd_kafka_version_str(), refusal->text)
               : error_set(error, STATUS_INVALID, "kafka: not let in: %s", refusal->text);
}

enum status kafka_ask_metadata(rd_kafka_t *client, rd_kafka_topic_t *topic,
                               const rd_kafka_metadata_t **ret_metadata,
                               rd_kafka_resp_err_t *ret_code, struct error *error)
{
    const struct kafka_refusal *refusal = rd_kafka_opaque(client);
    uint64_t until_ns = clock_monotonic_ns() + REQUEST_TIMEOUT_MS * 1000000ull;
    do {
        *ret_code =
            rd_kafka_metadata(client, topic == NULL, topic, ret_metadata, PORTION_TIMEOUT_MS);
        (void)rd_kafka_poll(client, 0);
        if (*ret_code != RD_KAFKA_RESP_ERR_NO_ERROR && runner_is_stopping()) {
            return error_set(error, STATUS_RETRY, "kafka: stopped while waiting for the brokers");
        }
        if (*ret_code != RD_KAFKA_RESP_ERR_NO_ERROR && refusal->text[0] != '\0') {
            return refuse_entry(refusal, error);
        }
    } while (
        (*ret_code == RD_KAFKA_RESP_ERR__TRANSPORT || *ret_code == RD_KAFKA_RESP_ERR__TIMED_OUT) &&
        clock_monotonic_ns() < until_ns);
    return STATUS_OK;
}

enum status kafka_ask_partitions(rd_kafka_t *client, const char *topic, uint32_t *ret_count,
                                 struct error *error)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle) {
        return error_set(error, STATUS_FATAL, "kafka: topic %s: %s", topic,
                         rd_kafka_err2str(rd_kafka_last_error()));
    }
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code;
    enum status status = kafka_ask_metadata(client, handle, &metadata, &code, error);
    if (status != STATUS_OK) {
        rd_kafka_topic_destroy(handle);
        return status;
    }
    uint32_t count = 0;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
        code = metadata->topics[0].err;
        count = (uint32_t)metadata->topics[0].partition_cnt;
    }
    if (metadata) {
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        code = RD_KAFKA_RESP_ERR_NO_ERROR;
        count = 0;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: topic %s: %s", topic,
                         rd_kafka_err2str(code));
    }
    *ret_count = count;
    return STATUS_OK;
}

enum status kafka_ask_is_there(rd_kafka_t *client, const char *name, struct error *error)
{
    const struct timespec pause = {.tv_nsec = 300000000};
    for (int attempt = 0; attempt < 4; attempt++) {
        rd_kafka_topic_t *handle = rd_kafka_topic_new(client, name, NULL);
        const rd_kafka_metadata_t *metadata = NULL;
        rd_kafka_resp_err_t code =
            handle ? rd_kafka_metadata(client, 0, handle, &metadata, PORTION_TIMEOUT_MS)
                   : RD_KAFKA_RESP_ERR_NO_ERROR;
        bool is_gone = code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata && metadata->topic_cnt == 1 &&
                       metadata->topics[0].err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (metadata) {
            rd_kafka_metadata_destroy(metadata);
        }
        if (handle) {
            rd_kafka_topic_destroy(handle);
        }
        if (!is_gone) {
            return STATUS_OK; /* Or no answer, which whoever asks next finds out. */
        }
        (void)nanosleep(&pause, NULL);
    }
    return error_set(
        error, STATUS_INVALID,
        "kafka: topic %s is not there any more: it was deleted; a new one of that name "
        "needs another group and application, since offsets and state are of the old",
        name);
}
