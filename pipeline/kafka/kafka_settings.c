#include "pipeline/kafka/kafka_settings.h"

#include <regex.h>
#include <string.h>

#include "pipeline/kafka/kafka_places.h"
#include "pipeline/kafka/kafka_traces.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const start_names[] = {"earliest", "latest", "time", NULL};

#define KAFKA(member) offsetof(struct kafka_options, member)
static const struct setting kafka_settings[] = {
    {.name = "brokers",
     .type = SETTING_LIST,
     .offset = KAFKA(brokers),
     .doc = "Addresses HOST:PORT of some of the brokers"},
    {.name = "topic",
     .type = SETTING_TEXT,
     .offset = KAFKA(topic),
     .doc = "Topic that events come from, keyed by the user; else see repartition"},
    {.name = "topics",
     .type = SETTING_LIST,
     .offset = KAFKA(topics),
     .doc = "Instead of topic: several, at most 16, of as many partitions and keyed alike, whose "
            "partitions n are one partition n of the input, by time stamp"},
    {.name = "topic_pattern",
     .type = SETTING_TEXT,
     .offset = KAFKA(topic_pattern),
     .doc = "Instead of topics: a regular expression (POSIX, extended) that their whole names "
            "match; topics made later are taken in at the next start"},
    {.name = "trace_headers",
     .type = SETTING_LIST,
     .offset = KAFKA(trace_headers),
     .fallback = "[traceparent, tracestate, b3]",
     .doc = "Headers of a record that are passed on to the outputs that it causes at once (timers "
            "have none); []: none"},
    {.name = "group",
     .type = SETTING_TEXT,
     .offset = KAFKA(group),
     .doc = "Consumer group; by default the application's name"},
    {.name = "output_prefix",
     .type = SETTING_TEXT,
     .offset = KAFKA(output_prefix),
     .fallback = "",
     .doc = "Before the name of each output topic, such as shop."},
    {.name = "instance",
     .type = SETTING_TEXT,
     .offset = KAFKA(instance),
     .doc = "Name of this process for static membership; by default made from the host's name and "
            "the state directory, so that a restart finds its partitions again"},
    {.name = "start",
     .type = SETTING_CHOICE,
     .offset = KAFKA(start),
     .fallback = "earliest",
     .choices = start_names,
     .doc = "Where to begin a partition of which nothing was ever committed"},
    {.name = "start_time",
     .type = SETTING_TEXT,
     .offset = KAFKA(start_time),
     .doc = "For start: time; an ISO 8601 time, compared with the records' time stamps"},
    {.name = "input_schema",
     .type = SETTING_PATH,
     .offset = KAFKA(input_schema),
     .doc = "Avro schema of the records, for input.format: avro"},
    {.name = "ends",
     .type = SETTING_BOOL,
     .offset = KAFKA(ends),
     .fallback = "false",
     .doc = "Treat a partition whose end was reached as a file that has ended: all timers fire, "
            "and the run ends"},
    {.name = "exactly_once",
     .type = SETTING_BOOL,
     .offset = KAFKA(is_exactly_once),
     .fallback = "true",
     .doc = "Commit in transactions; false: after a crash some outputs may come twice"},
    {.name = "repartition",
     .type = SETTING_BOOL,
     .offset = KAFKA(is_repartitioned),
     .fallback = "false",
     .doc = "The topic is not keyed by the user: send each record on to the partition of its user, "
            "by a topic NAME-repartition, in the same transactions; before that to those of the "
            "entities that state.entities names, by topics NAME-by-ENTITY"},
    {.name = "repartition_idle",
     .type = SETTING_DURATION,
     .offset = KAFKA(repartition_idle_ms),
     .fallback = "10s",
     .min = 0,
     .max = 864e5,
     .doc = "A partition of the input that has had nothing new for so long does not hold back the "
            "time of the others' events any more"},
    {.name = "repartition_purge",
     .type = SETTING_DURATION,
     .offset = KAFKA(repartition_purge_ms),
     .fallback = "30s",
     .min = 0,
     .max = 6048e5,
     .doc = "How often what is processed is deleted from the repartition topic, and from those "
            "that are by entity; 0: never"},
    {.name = "transaction_timeout",
     .type = SETTING_DURATION,
     .offset = KAFKA(transaction_timeout_ms),
     .fallback = "10s",
     .min = 1000,
     .max = 9e5,
     .doc = "After which the broker aborts the transaction of a process that is gone; readers of "
            "committed records wait for it as long"},
    {.name = "session_timeout",
     .type = SETTING_DURATION,
     .offset = KAFKA(session_timeout_ms),
     .fallback = "15s",
     .min = 1000,
     .max = 36e5,
     .doc = "After which partitions of a process that is gone go to others; one that is back "
            "earlier keeps them"},
    {.name = "replication",
     .type = SETTING_INTEGER,
     .offset = KAFKA(replication),
     .fallback = "0",
     .min = 0,
     .max = 32,
     .doc = "Replicas of topics that `nudge topics create` makes; 0: the brokers' default"},
    {.name = "properties",
     .type = SETTING_CUSTOM,
     .offset = KAFKA(properties),
     .doc = "Properties of librdkafka, passed on as they are"},
    {.name = "secrets",
     .type = SETTING_CUSTOM,
     .offset = KAFKA(secrets),
     .doc = "Properties of librdkafka whose values come from {env: NAME} or {file: PATH}"},
};

const struct setting_section kafka_section = {
    .name = "kafka",
    .doc = "Kafka as source and sink",
    .settings = kafka_settings,
    .setting_count = COUNT_OF(kafka_settings),
    .options_bytes = sizeof(struct kafka_options),
};

/* What exactly once, recovery or bounded memory hang on, and the setting to use instead. */
static const struct {
    const char *name;
    const char *instead;
} reserved[] = {
    {"bootstrap.servers", "kafka.brokers"},
    {"metadata.broker.list", "kafka.brokers"},
    {"group.id", "kafka.group"},
    {"group.instance.id", "kafka.instance"},
    {"transactional.id", "name"},
    {"transaction.timeout.ms", "kafka.transaction_timeout"},
    {"session.timeout.ms", "kafka.session_timeout"},
    {"auto.offset.reset", "kafka.start"},
    {"enable.idempotence", "kafka.exactly_once"},
    {"isolation.level", "kafka.exactly_once"},
    {"partition.assignment.strategy", NULL},
    {"enable.auto.commit", NULL},
    {"auto.commit.enable", NULL},
    {"enable.auto.offset.store", NULL},
    {"enable.partition.eof", NULL},
    {"delivery.report.only.error", NULL},
    {"acks", NULL},
    {"request.required.acks", NULL},
};

/* What must not stand in a file that people show each other, nor in a message about it. */
static const char *const secret_names[] = {
    "sasl.password", "ssl.key.password",        "ssl.keystore.password",
    "ssl.key.pem",   "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret",
};

static enum status check_names(const struct yaml_node *node, struct error *error)
{
    if (!node || yaml_is_null(node)) {
        return STATUS_OK;
    }
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "expected properties, a line each");
    }
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        for (size_t j = 0; j < COUNT_OF(reserved); j++) {
            if (strcmp(child->key, reserved[j].name) == 0) {
                return yaml_complain(child, error, "cannot be set here%s%s",
                                     reserved[j].instead ? "; use "
                                                         : ": exactly once depends on it",
                                     reserved[j].instead ? reserved[j].instead : "");
            }
        }
    }
    return STATUS_OK;
}

static enum status check_properties(const struct yaml_node *node, struct error *error)
{
    enum status status = check_names(node, error);
    for (size_t i = 0; status == STATUS_OK && node && i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        for (size_t j = 0; j < COUNT_OF(secret_names); j++) {
            if (strcmp(child->key, secret_names[j]) == 0) {
                return yaml_complain(child, error,
                                     "a secret; set it under kafka.secrets, as "
                                     "{env: NAME} or {file: PATH}");
            }
        }
        if (child->kind != YAML_SCALAR) {
            return yaml_complain(child, error, "expected a value");
        }
    }
    return status;
}

static enum status check_secrets(const struct yaml_node *node, struct error *error)
{
    enum status status = check_names(node, error);
    for (size_t i = 0; status == STATUS_OK && node && i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        const struct yaml_node *source = child->child_count == 1 ? &child->children[0] : NULL;
        if (child->kind != YAML_MAPPING || !source || source->kind != YAML_SCALAR ||
            (strcmp(source->key, "env") != 0 && strcmp(source->key, "file") != 0)) {
            status = yaml_complain(child, error, "expected {env: NAME} or {file: PATH}");
        }
    }
    return status;
}

static enum status check_inputs(const struct kafka_options *options, const struct yaml_node *node,
                                struct error *error)
{
    int given =
        (options->topic != NULL) + (options->topics.count > 0) + (options->topic_pattern != NULL);
    if (given != 1) {
        return error_set(error, STATUS_INVALID,
                         "kafka.topic: expected the topic of the events, or topics or "
                         "topic_pattern instead");
    }
    if (options->topics.count > KAFKA_INPUTS_MAX) {
        return yaml_complain(yaml_find(node, "topics"), error, "%zu topics, at most %u expected",
                             options->topics.count, KAFKA_INPUTS_MAX);
    }
    for (size_t i = 0; i < options->topics.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(options->topics.items[i], options->topics.items[j]) == 0) {
                return yaml_complain(yaml_find(node, "topics"), error, "\"%s\" is there twice",
                                     options->topics.items[i]);
            }
        }
    }
    if (options->trace_headers.count > KAFKA_TRACE_HEADERS_MAX) {
        return yaml_complain(yaml_find(node, "trace_headers"), error,
                             "%zu headers, at most %u expected", options->trace_headers.count,
                             KAFKA_TRACE_HEADERS_MAX);
    }
    regex_t pattern;
    if (options->topic_pattern &&
        regcomp(&pattern, options->topic_pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        return yaml_complain(yaml_find(node, "topic_pattern"), error,
                             "\"%s\": expected a regular expression", options->topic_pattern);
    }
    if (options->topic_pattern) {
        regfree(&pattern);
    }
    return STATUS_OK;
}

enum status kafka_options_check(const struct kafka_options *options, const struct yaml_node *node,
                                struct error *error)
{
    if (options->brokers.count == 0) {
        return error_set(error, STATUS_INVALID, "kafka.brokers: expected HOST:PORT of a broker");
    }
    enum status status = check_inputs(options, node, error);
    if (status != STATUS_OK) {
        return status;
    }
    if ((options->start == KAFKA_START_TIME) != (options->start_time != NULL)) {
        return error_set(error, STATUS_INVALID,
                         "kafka.start_time: expected together with start: time");
    }
    status = check_properties(yaml_find(node, "properties"), error);
    return status == STATUS_OK ? check_secrets(options->secrets, error) : status;
}
