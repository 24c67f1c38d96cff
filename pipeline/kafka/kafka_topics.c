#include "pipeline/kafka/kafka_topics.h"

#include <assert.h>
#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pipeline/base/clock.h"
#include "pipeline/kafka/kafka_ask.h"
#include "pipeline/kafka/kafka_topics_internal.h"
#include "pipeline/run/origin_clock.h"

static uint32_t list_plans(const struct kafka_setup *setup, const struct kafka_topics *topics,
                           struct kafka_topic_plan plans[KAFKA_TOPICS_MAX])
{
    uint32_t count = 0;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        plans[count++] = (struct kafka_topic_plan){.name = topics->outputs[i], .is_output = true};
    }
    plans[count++] = (struct kafka_topic_plan){.name = topics->changelog, .is_compacted = true};
    plans[count++] = (struct kafka_topic_plan){.name = topics->journal};
    if (setup->options->is_repartitioned) {
        plans[count++] =
            (struct kafka_topic_plan){.name = topics->repartition, .is_repartition = true};
    }
    for (uint32_t i = 0; i < topics->hop_count; i++) {
        const struct kafka_hop_topics *hop = &topics->hops[i];
        plans[count++] = (struct kafka_topic_plan){.name = hop->input, .is_repartition = true};
        plans[count++] = (struct kafka_topic_plan){.name = hop->changelog, .is_compacted = true};
        plans[count++] = (struct kafka_topic_plan){.name = hop->journal};
    }
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

static enum status name_hop(const struct kafka_setup *setup, enum entity_kind kind,
                            struct kafka_hop_topics *hop, struct error *error)
{
    char name[32];
    hop->kind = kind;
    (void)snprintf(name, sizeof(name), "-by-%s", entity_names[kind]);
    enum status status = name_topic(setup->application, name, hop->input, error);
    if (status == STATUS_OK) {
        status = name_topic(hop->input, "-changelog", hop->changelog, error);
    }
    return status == STATUS_OK ? name_topic(hop->input, "-journal", hop->journal, error) : status;
}

/* In the order of kinds, from which a group never departs: see kafka_check_way(). */
static enum status name_hops(const struct kafka_setup *setup, struct kafka_topics *topics,
                             struct error *error)
{
    enum status status = STATUS_OK;
    topics->hop_count = 0;
    for (int kind = 0; kind < ENTITY_KIND_COUNT && status == STATUS_OK; kind++) {
        if (setup->hop_mask >> kind & 1) {
            assert(topics->hop_count < KAFKA_HOPS_MAX);
            status =
                name_hop(setup, (enum entity_kind)kind, &topics->hops[topics->hop_count++], error);
        }
    }
    return status;
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
    if (status == STATUS_OK) {
        status = name_topic(setup->application, "-repartition", ret_topics->repartition, error);
    }
    if (status == STATUS_OK) {
        status = name_hops(setup, ret_topics, error);
    }
    ret_topics->sources = NULL;
    return status;
}

/* ---- the input ---- */

/* A topic that this or another application writes is no input that was meant. */
static bool is_candidate(const struct kafka_topics *topics, const char *name,
                         const regex_t *pattern)
{
    regmatch_t match;
    if (regexec(pattern, name, 1, &match, 0) != 0 || match.rm_so != 0 ||
        name[match.rm_eo] != '\0' || strncmp(name, "__", 2) == 0) {
        return false;
    }
    bool is_own = strcmp(name, topics->changelog) == 0 || strcmp(name, topics->journal) == 0 ||
                  strcmp(name, topics->repartition) == 0;
    for (int i = 0; i < TOPIC_COUNT; i++) {
        is_own = is_own || strcmp(name, topics->outputs[i]) == 0;
    }
    for (uint32_t i = 0; i < topics->hop_count; i++) {
        const struct kafka_hop_topics *hop = &topics->hops[i];
        is_own = is_own || strcmp(name, hop->input) == 0 || strcmp(name, hop->changelog) == 0 ||
                 strcmp(name, hop->journal) == 0;
    }
    return !is_own;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(left, right);
}

static enum status add_input(struct kafka_topics *topics, const char *name, struct error *error)
{
    if (topics->input_count == KAFKA_INPUTS_MAX) {
        return error_set(error, STATUS_INVALID,
                         "kafka.topic_pattern: more than %u topics match, %s among them",
                         KAFKA_INPUTS_MAX, name);
    }
    (void)snprintf(topics->inputs[topics->input_count++], KAFKA_TOPIC_BYTES, "%s", name);
    return STATUS_OK;
}

static enum status match_inputs(rd_kafka_t *client, const char *text, struct kafka_topics *topics,
                                struct error *error)
{
    regex_t pattern;
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_resp_err_t code;
    if (regcomp(&pattern, text, REG_EXTENDED) != 0) {
        return error_set(error, STATUS_INVALID, "kafka.topic_pattern: \"%s\"", text);
    }
    enum status status = kafka_ask_metadata(client, NULL, &metadata, &code, error);
    if (status == STATUS_OK && code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = error_set(error, kafka_status_of(code), "kafka: list of topics: %s",
                           rd_kafka_err2str(code));
    }
    for (int i = 0; status == STATUS_OK && i < metadata->topic_cnt; i++) {
        if (is_candidate(topics, metadata->topics[i].topic, &pattern)) {
            status = add_input(topics, metadata->topics[i].topic, error);
        }
    }
    if (metadata) {
        rd_kafka_metadata_destroy(metadata);
    }
    regfree(&pattern);
    qsort(topics->inputs, topics->input_count, KAFKA_TOPIC_BYTES, compare_names);
    if (status == STATUS_OK && topics->input_count == 0) {
        status =
            error_set(error, STATUS_INVALID, "kafka.topic_pattern: no topic matches \"%s\"", text);
    }
    return status;
}

static enum status name_inputs(const struct kafka_setup *setup, rd_kafka_t *client,
                               struct kafka_topics *topics, struct error *error)
{
    const struct kafka_options *options = setup->options;
    topics->input_count = 0;
    if (options->topic_pattern) {
        return match_inputs(client, options->topic_pattern, topics, error);
    }
    size_t count = options->topic ? 1 : options->topics.count;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const char *name = options->topic ? options->topic : options->topics.items[i];
        status = name_topic("", name, topics->inputs[i], error);
        topics->input_count++;
    }
    return status;
}

enum status kafka_topics_find_inputs(const struct kafka_setup *setup, rd_kafka_t *client,
                                     struct kafka_topics *topics, uint32_t *ret_count,
                                     struct error *error)
{
    uint32_t count = 0;
    enum status status = name_inputs(setup, client, topics, error);
    for (uint32_t i = 0; i < topics->input_count && status == STATUS_OK; i++) {
        uint32_t present = 0;
        status = kafka_ask_partitions(client, topics->inputs[i], &present, error);
        if (status == STATUS_OK && present == 0) {
            status = error_set(error, STATUS_INVALID, "kafka.%s: %s: no such topic",
                               setup->options->topic ? "topic" : "topics", topics->inputs[i]);
        } else if (status == STATUS_OK && i > 0 && present != count) {
            status = error_set(error, STATUS_INVALID,
                               "kafka: topic %s has %u partitions, and %s has %u: topics that are "
                               "read together must have as many, and be keyed alike",
                               topics->inputs[i], present, topics->inputs[0], count);
        }
        count = present;
    }
    topics->leader = topics->input_count > 1 ? topics->journal : topics->inputs[0];
    if (status == STATUS_OK && setup->options->is_repartitioned && count > ORIGINS_MAX) {
        status = error_set(error, STATUS_INVALID,
                           "kafka.repartition: topic %s has %u partitions, at most %u expected",
                           topics->inputs[0], count, ORIGINS_MAX);
    }
    /* One partition has all events of an entity: its task keeps that state as well. */
    topics->hop_count = count > 1 ? topics->hop_count : 0;
    if (status == STATUS_OK) {
        *ret_count = count;
    }
    return status;
}

uint32_t kafka_topics_hop_mask(const struct kafka_topics *topics)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < topics->hop_count; i++) {
        mask |= 1u << topics->hops[i].kind;
    }
    return mask;
}

static void set_name(char ret_name[KAFKA_TOPIC_BYTES], const char *name)
{
    (void)snprintf(ret_name, KAFKA_TOPIC_BYTES, "%s", name);
}

void kafka_topics_hop(const struct kafka_topics *topics, uint32_t hop,
                      struct kafka_topics *ret_topics)
{
    assert(hop < topics->hop_count);
    const struct kafka_hop_topics *own = &topics->hops[hop];
    *ret_topics = *topics;
    memset(ret_topics->outputs, 0, sizeof(ret_topics->outputs));
    set_name(ret_topics->inputs[0], own->input);
    set_name(ret_topics->changelog, own->changelog);
    set_name(ret_topics->journal, own->journal);
    set_name(ret_topics->repartition,
             hop + 1 < topics->hop_count ? topics->hops[hop + 1].input : topics->repartition);
}

void kafka_topics_divide(const struct kafka_setup *setup, struct kafka_topics *topics,
                         struct kafka_topics *ret_sources)
{
    *ret_sources = (struct kafka_topics){0};
    if (setup->options->is_repartitioned) {
        *ret_sources = *topics;
        if (topics->hop_count > 0) {
            set_name(ret_sources->repartition, topics->hops[0].input);
        }
        set_name(topics->inputs[0], topics->repartition);
        topics->input_count = 1;
        topics->leader = topics->journal;
        topics->sources = ret_sources;
        ret_sources->leader = ret_sources->journal;
    }
}

enum status kafka_topics_compare_partitions(const struct kafka_topics *topics, const char *name,
                                            uint32_t present, uint32_t expected,
                                            struct error *error)
{
    return present == expected
               ? STATUS_OK
               : error_set(error, STATUS_INVALID,
                           "kafka: topic %s has %u partitions, and %s has %u: they must be as many",
                           name, present, topics->inputs[0], expected);
}

enum status kafka_topics_still_there(const struct kafka_topics *topics, rd_kafka_t *client,
                                     struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < topics->input_count && status == STATUS_OK; i++) {
        status = kafka_ask_is_there(client, topics->inputs[i], error);
    }
    return status;
}

/* ---- creating ---- */

static rd_kafka_NewTopic_t *make_request(const struct kafka_options *options,
                                         const struct kafka_topic_plan *plan, uint32_t partitions,
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
    if (plan->is_repartition) {
        (void)rd_kafka_NewTopic_set_config(request, "max.message.bytes", REPARTITION_BYTES);
        /* What is deleted goes a segment at a time. */
        (void)rd_kafka_NewTopic_set_config(request, "segment.bytes", "52428800");
    }
    if (plan->is_output || plan->is_repartition) {
        /* Their time stamps are event times, which the brokers' clock has no say in. */
        (void)rd_kafka_NewTopic_set_config(request, "message.timestamp.after.max.ms", ANY_TIME);
        (void)rd_kafka_NewTopic_set_config(request, "message.timestamp.type", "CreateTime");
    } else {
        /* Brokers refuse records of an instance whose clock is an hour ahead of theirs. */
        (void)rd_kafka_NewTopic_set_config(request, "message.timestamp.type", "LogAppendTime");
    }
    if (!plan->is_output) {
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

static const struct timespec ask_pause = {.tv_nsec = ASK_PAUSE_NS};

/* A broker answers the request before all of them know the topic: waits until they do. */
static enum status wait_until_seen(rd_kafka_t *client, const char *topic, struct error *error)
{
    uint64_t until_ns = clock_monotonic_ns() + REQUEST_TIMEOUT_MS * 1000000ull;
    uint32_t present = 0;
    for (;;) {
        enum status status = kafka_ask_partitions(client, topic, &present, error);
        if (status != STATUS_OK || present > 0) {
            return status;
        }
        if (clock_monotonic_ns() >= until_ns) {
            return error_set(error, STATUS_RETRY,
                             "kafka: topic %s was made, but the brokers do not show it", topic);
        }
        (void)nanosleep(&ask_pause, NULL);
    }
}

enum status kafka_topics_plan(const struct kafka_setup *setup, rd_kafka_t *client,
                              struct kafka_topics *ret_topics,
                              struct kafka_topic_plan plans[KAFKA_TOPICS_MAX], uint32_t *ret_count,
                              uint32_t *ret_partitions, struct error *error)
{
    enum status status = kafka_topics_name(setup, ret_topics, error);
    if (status == STATUS_OK) {
        status = kafka_topics_find_inputs(setup, client, ret_topics, ret_partitions, error);
    }
    if (status == STATUS_OK) {
        *ret_count = list_plans(setup, ret_topics, plans);
    }
    return status;
}

enum status kafka_topics_create(const struct kafka_setup *setup, rd_kafka_t *client,
                                uint32_t *ret_created, struct error *error)
{
    struct kafka_topics topics;
    struct kafka_topic_plan plans[KAFKA_TOPICS_MAX];
    rd_kafka_NewTopic_t *requests[KAFKA_TOPICS_MAX];
    uint32_t count = 0;
    uint32_t partitions = 0;
    uint32_t planned = 0;
    enum status status =
        kafka_topics_plan(setup, client, &topics, plans, &planned, &partitions, error);
    for (uint32_t i = 0; i < planned && status == STATUS_OK; i++) {
        uint32_t present = 0;
        status = kafka_ask_partitions(client, plans[i].name, &present, error);
        if (status == STATUS_OK && present > 0) {
            status =
                kafka_topics_compare_partitions(&topics, plans[i].name, present, partitions, error);
        }
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
