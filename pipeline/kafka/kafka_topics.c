#include "pipeline/kafka/kafka_topics.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/base/clock.h"

#define REQUEST_TIMEOUT_MS 15000
#define PORTION_TIMEOUT_MS 1000
#define TOPICS_MAX (TOPIC_COUNT + 2)

/* One topic of the application and how it must be. */
struct topic_plan {
    const char *name;
    bool is_compacted;
    bool is_output;
};

static uint32_t plan_topics(const struct kafka_topics *topics, struct topic_plan plans[TOPICS_MAX])
{
    uint32_t count = 0;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        plans[count++] = (struct topic_plan){.name = topics->outputs[i], .is_output = true};
    }
    plans[count++] = (struct topic_plan){.name = topics->changelog, .is_compacted = true};
    plans[count++] = (struct topic_plan){.name = topics->journal};
    return count;
}

static enum status name_topic(const char *prefix, const char *name, char ret_name[],
                              struct error *error)
{
    int length = snprintf(ret_name, KAFKA_TOPIC_BYTES, "%s%s", prefix, name);
    if (length < 0 || (size_t)length >= KAFKA_TOPIC_BYTES) {
        return error_set(error, STATUS_INVALID, "kafka: topic %.200s...: at most %u bytes expected",
                         ret_name, KAFKA_TOPIC_BYTES - 1);
    }
    for (const char *at = ret_name; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at)) {
            return error_set(error, STATUS_INVALID,
                             "kafka: topic %s: letters, digits, '.', '_' and '-' expected",
                             ret_name);
        }
    }
    return STATUS_OK;
}

enum status kafka_topics_name(const struct kafka_setup *setup, struct kafka_topics *ret_topics,
                              struct error *error)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < TOPIC_COUNT && status == STATUS_OK; i++) {
        status = name_topic(setup->options->output_prefix, output_topics[i].name,
                            ret_topics->outputs[i], error);
    }
    if (status == STATUS_OK) {
        status = name_topic(setup->application, "-changelog", ret_topics->changelog, error);
    }
    if (status == STATUS_OK) {
        status = name_topic(setup->application, "-journal", ret_topics->journal, error);
    }
    return status;
}

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

/*
 * The brokers' answer, waited for in small portions, since a client that is not let in would wait
 * in vain. *ret_metadata may be NULL.
 */
static enum status ask_for_metadata(rd_kafka_t *client, rd_kafka_topic_t *topic,
                                    const rd_kafka_metadata_t **ret_metadata,
                                    rd_kafka_resp_err_t *ret_code, struct error *error)
{
    const struct kafka_refusal *refusal = rd_kafka_opaque(client);
    uint64_t until_ns = clock_monotonic_ns() + REQUEST_TIMEOUT_MS * 1000000ull;
    do {
        *ret_code = rd_kafka_metadata(client, 0, topic, ret_metadata, PORTION_TIMEOUT_MS);
        (void)rd_kafka_poll(client, 0);
        if (*ret_code != RD_KAFKA_RESP_ERR_NO_ERROR && refusal->text[0] != '\0') {
            return refuse_entry(refusal, error);
        }
    } while (
        (*ret_code == RD_KAFKA_RESP_ERR__TRANSPORT || *ret_code == RD_KAFKA_RESP_ERR__TIMED_OUT) &&
        clock_monotonic_ns() < until_ns);
    return STATUS_OK;
}

/* 0 partitions: there is no such topic. */
static enum status count_partitions(rd_kafka_t *client, const char *topic, uint32_t *ret_count,
                                    struct error *error)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle) {
        return error_set(error, STATUS_FATAL, "kafka: topic %s: %s", topic,
                         rd_kafka_err2str(rd_kafka_last_error()));
    }
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code;
    enum status status = ask_for_metadata(client, handle, &metadata, &code, error);
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

enum status kafka_topics_count(rd_kafka_t *client, const char *topic, uint32_t *ret_count,
                               struct error *error)
{
    uint32_t count = 0;
    enum status status = count_partitions(client, topic, &count, error);
    if (status == STATUS_OK && count == 0) {
        status = error_set(error, STATUS_INVALID, "kafka.topic: %s: no such topic", topic);
    }
    if (status == STATUS_OK) {
        *ret_count = count;
    }
    return status;
}

/* ---- creating ---- */

static rd_kafka_NewTopic_t *make_request(const struct kafka_options *options,
                                         const struct topic_plan *plan, uint32_t partitions,
                                         char *message, size_t message_bytes)
{
    int replicas = options->replication > 0 ? (int)options->replication : -1;
    rd_kafka_NewTopic_t *request =
        rd_kafka_NewTopic_new(plan->name, (int)partitions, replicas, message, message_bytes);
    if (!request) {
        return NULL;
    }
    if (plan->is_compacted) {
        (void)rd_kafka_NewTopic_set_config(request, "cleanup.policy", "compact");
        /* Records change often: what is superseded should not pile up for a week. */
        (void)rd_kafka_NewTopic_set_config(request, "segment.bytes", "134217728");
        (void)rd_kafka_NewTopic_set_config(request, "min.cleanable.dirty.ratio", "0.3");
    } else {
        (void)rd_kafka_NewTopic_set_config(request, "cleanup.policy", "delete");
    }
    if (plan->is_output) {
        /* Their time stamps are event times, which the brokers' clock has no say in. */
        (void)rd_kafka_NewTopic_set_config(request, "message.timestamp.after.max.ms",
                                           "9223372036854775807");
        (void)rd_kafka_NewTopic_set_config(request, "message.timestamp.type", "CreateTime");
    } else {
        (void)rd_kafka_NewTopic_set_config(request, "retention.ms", "-1");
        (void)rd_kafka_NewTopic_set_config(request, "retention.bytes", "-1");
    }
    return request;
}

static enum status read_results(rd_kafka_event_t *event, struct error *error)
{
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(rd_kafka_event_error(event)),
                         "kafka: creating topics: %s", rd_kafka_event_error_string(event));
    }
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            const char *why = rd_kafka_topic_result_error_string(results[i]);
            return error_set(error, STATUS_FATAL, "kafka: creating topic %s: %s",
                             rd_kafka_topic_result_name(results[i]),
                             why ? why : rd_kafka_err2str(code));
        }
    }
    return STATUS_OK;
}

static enum status send_requests(rd_kafka_t *client, rd_kafka_NewTopic_t **requests, uint32_t count,
                                 struct error *error)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    char message[256];
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, REQUEST_TIMEOUT_MS, message,
                                                      sizeof(message));
    rd_kafka_CreateTopics(client, requests, count, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * REQUEST_TIMEOUT_MS);
    enum status status =
        event ? read_results(event, error)
              : error_set(error, STATUS_RETRY, "kafka: creating topics: the brokers do not answer");
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

/* A broker answers the request before all of them know the topic: waits until they do. */
static enum status wait_until_seen(rd_kafka_t *client, const char *topic, struct error *error)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t until_ns = clock_monotonic_ns() + REQUEST_TIMEOUT_MS * 1000000ull;
    uint32_t present = 0;
    for (;;) {
        enum status status = count_partitions(client, topic, &present, error);
        if (status != STATUS_OK || present > 0) {
            return status;
        }
        if (clock_monotonic_ns() >= until_ns) {
            return error_set(error, STATUS_RETRY,
                             "kafka: topic %s was made, but the brokers do not show it", topic);
        }
        (void)nanosleep(&pause, NULL);
    }
}

enum status kafka_topics_create(const struct kafka_setup *setup, rd_kafka_t *client,
                                uint32_t *ret_created, struct error *error)
{
    struct kafka_topics topics;
    struct topic_plan plans[TOPICS_MAX];
    rd_kafka_NewTopic_t *requests[TOPICS_MAX];
    uint32_t count = 0;
    uint32_t partitions = 0;
    enum status status = kafka_topics_name(setup, &topics, error);
    if (status == STATUS_OK) {
        status = kafka_topics_count(client, setup->options->topic, &partitions, error);
    }
    uint32_t planned = status == STATUS_OK ? plan_topics(&topics, plans) : 0;
    for (uint32_t i = 0; i < planned && status == STATUS_OK; i++) {
        uint32_t present = 0;
        status = count_partitions(client, plans[i].name, &present, error);
        if (status != STATUS_OK || present > 0) {
            continue;
        }
        char message[256];
        requests[count] =
            make_request(setup->options, &plans[i], partitions, message, sizeof(message));
        if (!requests[count]) {
            status = error_set(error, STATUS_FATAL, "kafka: topic %s: %s", plans[i].name, message);
        } else {
            count++;
        }
    }
    if (status == STATUS_OK && count > 0) {
        status = send_requests(client, requests, count, error);
    }
    rd_kafka_NewTopic_destroy_array(requests, count);
    for (uint32_t i = 0; i < planned && status == STATUS_OK && count > 0; i++) {
        status = wait_until_seen(client, plans[i].name, error);
    }
    if (status == STATUS_OK) {
        *ret_created = count;
    }
    return status;
}

/* ---- checking ---- */

static const char *entry_value(const rd_kafka_ConfigEntry_t **entries, size_t count,
                               const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0) {
            const char *value = rd_kafka_ConfigEntry_value(entries[i]);
            return value ? value : "";
        }
    }
    return "";
}

static enum status check_policy(rd_kafka_event_t *event, const char *topic, struct error *error)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 1) {
        code = rd_kafka_ConfigResource_error(resources[0]);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || count != 1) {
        return error_set(error, kafka_status_of(code), "kafka: settings of topic %s: %s", topic,
                         rd_kafka_err2str(code));
    }
    size_t entry_count;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    const char *policy = entry_value(entries, entry_count, "cleanup.policy");
    return strcmp(policy, "compact") == 0
               ? STATUS_OK
               : error_set(error, STATUS_INVALID,
                           "kafka: topic %s: cleanup.policy is \"%s\", and must be compact: state "
                           "would be lost",
                           topic, policy);
}

static enum status check_compacted(rd_kafka_t *client, const char *topic, struct error *error)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, REQUEST_TIMEOUT_MS);
    enum status status =
        event ? check_policy(event, topic, error)
              : error_set(error, STATUS_RETRY,
                          "kafka: settings of topic %s: the brokers do not answer", topic);
    if (event) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}

enum status kafka_topics_check(const struct kafka_setup *setup, rd_kafka_t *client,
                               struct error *error)
{
    struct kafka_topics topics;
    struct topic_plan plans[TOPICS_MAX];
    uint32_t partitions = 0;
    enum status status = kafka_topics_name(setup, &topics, error);
    if (status == STATUS_OK) {
        status = kafka_topics_count(client, setup->options->topic, &partitions, error);
    }
    uint32_t planned = status == STATUS_OK ? plan_topics(&topics, plans) : 0;
    for (uint32_t i = 0; i < planned && status == STATUS_OK; i++) {
        uint32_t present = 0;
        status = count_partitions(client, plans[i].name, &present, error);
        if (status == STATUS_OK && present == 0) {
            status = error_set(error, STATUS_INVALID,
                               "kafka: topic %s is missing: make it with nudge topics create",
                               plans[i].name);
        } else if (status == STATUS_OK && present != partitions) {
            status = error_set(error, STATUS_INVALID,
                               "kafka: topic %s has %u partitions, and %s has %u: they must be as "
                               "many",
                               plans[i].name, present, setup->options->topic, partitions);
        } else if (status == STATUS_OK && plans[i].is_compacted) {
            status = check_compacted(client, plans[i].name, error);
        }
    }
    return status;
}
