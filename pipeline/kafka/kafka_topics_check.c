#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/kafka/kafka_ask.h"
#include "pipeline/kafka/kafka_topics_internal.h"

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

/* Records wait there until they are processed, however long that takes. */
static enum status check_repartition(const rd_kafka_ConfigEntry_t **entries, size_t count,
                                     const char *topic, struct error *error)
{
    static const char *const endless[] = {"retention.ms", "retention.bytes"};
    for (size_t i = 0; i < 2; i++) {
        const char *value = entry_value(entries, count, endless[i]);
        if (strcmp(value, "-1") != 0) {
            return error_set(error, STATUS_INVALID,
                             "kafka: topic %s: %s is \"%s\", and must be -1: records that are not "
                             "processed yet would be lost",
                             topic, endless[i], value);
        }
    }
    const char *bytes = entry_value(entries, count, "max.message.bytes");
    return strtoll(bytes, NULL, 10) >= strtoll(REPARTITION_BYTES, NULL, 10)
               ? STATUS_OK
               : error_set(error, STATUS_INVALID,
                           "kafka: topic %s: max.message.bytes is \"%s\", and must be at least %s",
                           topic, bytes, REPARTITION_BYTES);
}

/*
 * Of topics that have the time of their writer, brokers since 3.6 refuse records of one whose clock
 * is ahead of theirs: by an hour, where nobody has said otherwise.
 */
static enum status check_clock(const rd_kafka_ConfigEntry_t **entries, size_t count,
                               const char *topic, struct error *error)
{
    const char *type = entry_value(entries, count, "message.timestamp.type");
    const char *bound = entry_value(entries, count, "message.timestamp.after.max.ms");
    bool takes_any = bound[0] == '\0' || strcmp(bound, ANY_TIME) == 0;
    return strcmp(type, "CreateTime") != 0 || takes_any
               ? STATUS_OK
               : error_set(error, STATUS_INVALID,
                           "kafka: topic %s: message.timestamp.type is \"%s\", and must be "
                           "LogAppendTime: an instance whose clock is ahead could commit nothing "
                           "(kafka-configs.sh --alter --entity-type topics --entity-name %s "
                           "--add-config message.timestamp.type=LogAppendTime)",
                           topic, type, topic);
}

static enum status check_policy(const rd_kafka_ConfigResource_t *resource,
                                const struct kafka_topic_plan *plan, struct error *error)
{
    size_t entry_count;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resource, &entry_count);
    const char *policy = entry_value(entries, entry_count, "cleanup.policy");
    const char *expected = plan->is_compacted ? "compact" : "delete";
    if (strcmp(policy, expected) == 0) {
        return plan->is_repartition ? check_repartition(entries, entry_count, plan->name, error)
               : plan->is_output    ? STATUS_OK
                                    : check_clock(entries, entry_count, plan->name, error);
    }
    return error_set(error, STATUS_INVALID,
                     "kafka: topic %s: cleanup.policy is \"%s\", and must be %s: %s", plan->name,
                     policy, expected,
                     plan->is_compacted ? "state would be lost"
                                        : "all but the newest record of a key would be lost");
}

/* Waits for the settings of one topic. The caller destroys the event; NULL: no broker answers. */
static rd_kafka_event_t *ask_settings(rd_kafka_t *client, const char *topic)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DescribeConfigs(client, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, REQUEST_TIMEOUT_MS);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return event;
}

/* The one topic's settings in an answer; `ret_code` says why there are none. */
static const rd_kafka_ConfigResource_t *find_settings(rd_kafka_event_t *event,
                                                      rd_kafka_resp_err_t *ret_code)
{
    size_t count = 0;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    *ret_code = rd_kafka_event_error(event);
    if (*ret_code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        *ret_code =
            count == 1 ? rd_kafka_ConfigResource_error(resources[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
    }
    return *ret_code == RD_KAFKA_RESP_ERR_NO_ERROR ? resources[0] : NULL;
}

static const struct timespec ask_pause = {.tv_nsec = ASK_PAUSE_NS};

/*
 * Of a topic that one broker has shown. Another one, which is asked here, may not know it yet, if
 * it has just been made: then asks again.
 */
static enum status check_settings(rd_kafka_t *client, const struct kafka_topic_plan *plan,
                                  struct error *error)
{
    uint64_t until_ns = clock_monotonic_ns() + REQUEST_TIMEOUT_MS * 1000000ull;
    for (;;) {
        rd_kafka_event_t *event = ask_settings(client, plan->name);
        if (!event) {
            return error_set(error, STATUS_RETRY,
                             "kafka: settings of topic %s: the brokers do not answer", plan->name);
        }
        rd_kafka_resp_err_t code;
        const rd_kafka_ConfigResource_t *settings = find_settings(event, &code);
        enum status status =
            settings ? check_policy(settings, plan, error)
                     : error_set(error, kafka_status_of(code), "kafka: settings of topic %s: %s",
                                 plan->name, rd_kafka_err2str(code));
        rd_kafka_event_destroy(event);
        if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || clock_monotonic_ns() >= until_ns) {
            return status;
        }
        (void)nanosleep(&ask_pause, NULL);
    }
}

enum status kafka_topics_check(const struct kafka_setup *setup, rd_kafka_t *client,
                               struct error *error)
{
    struct kafka_topics topics;
    struct kafka_topic_plan plans[KAFKA_TOPICS_MAX];
    uint32_t partitions = 0;
    uint32_t planned = 0;
    enum status status =
        kafka_topics_plan(setup, client, &topics, plans, &planned, &partitions, error);
    for (uint32_t i = 0; i < planned && status == STATUS_OK; i++) {
        uint32_t present = 0;
        status = kafka_ask_partitions(client, plans[i].name, &present, error);
        if (status == STATUS_OK && present == 0) {
            status = error_set(error, STATUS_INVALID,
                               "kafka: topic %s is missing: make it with nudge topics create",
                               plans[i].name);
        } else if (status == STATUS_OK) {
            status =
                kafka_topics_compare_partitions(&topics, plans[i].name, present, partitions, error);
        }
        if (status == STATUS_OK) {
            status = check_settings(client, &plans[i], error);
        }
    }
    return status;
}
