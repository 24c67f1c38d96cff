#include "pipeline/kafka/kafka_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/base/log.h"
#include "pipeline/kafka/kafka_fetch.h"

#define SECRET_BYTES_MAX 65536u
#define VALUE_BYTES 512
#define SOCKET_TIMEOUT_MS 10000
#define STATISTICS_INTERVAL_MS "2000"
#define QUEUE_KBYTES_MIN 1024u
#define QUEUE_KBYTES_MAX 65536u

struct property {
    const char *name;
    const char *value;
};

/* For all handles. Nagle would hold back each small request of a transaction. */
static const struct property common_properties[] = {
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "2000"},
    {"topic.metadata.refresh.fast.interval.ms", "100"},
    {"socket.timeout.ms", "10000"}, /* SOCKET_TIMEOUT_MS */
    {"log.connection.close", "false"},
    {NULL, NULL},
};

static const struct property member_properties[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_committed"},
    /* Cooperative rebalancing can hang and loop in the library's version that is in use; since
     * fetching does not depend on the group, the eager kind costs no more. */
    {"partition.assignment.strategy", "range"},
    {NULL, NULL},
};

static const struct property fetcher_properties[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_committed"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    /* At thousands of records a second a fetch for every few of them would be most of what the
     * brokers do. No longer than that, since a partition that is opened waits for it, too. */
    {"fetch.min.bytes", "4096"},
    {"fetch.wait.max.ms", "10"},
    {"fetch.error.backoff.ms", "50"},
    {"fetch.message.max.bytes", "2097152"},
    /* Kilobytes bound the queue, see kafka_fetcher_create(). */
    {"queued.min.messages", "10000000"},
    {NULL, NULL},
};

static const struct property producer_properties[] = {
    /* A transaction that begins right behind another is answered with "try again". */
    {"retry.backoff.ms", "5"},
    {"enable.idempotence", "true"},
    /* What is queued goes out when its partition is registered, not when the commit flushes. */
    {"linger.ms", "1"},
    {"queue.buffering.max.messages", "1000000"},
    {"queue.buffering.max.kbytes", "131072"},
    {NULL, NULL},
};

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)facility;
    /* 0 to 3 are errors, 4 warnings, as in syslog. */
    if (level <= 4) {
        log_line(LOG_WARNING, "kafka", "message=\"%s\"", text);
    }
}

static enum status set(rd_kafka_conf_t *conf, const char *name, const char *value,
                       struct error *error)
{
    char message[VALUE_BYTES];
    if (rd_kafka_conf_set(conf, name, value, message, sizeof(message)) != RD_KAFKA_CONF_OK) {
        return error_set(error, STATUS_INVALID, "kafka.properties: %s: %s", name, message);
    }
    return STATUS_OK;
}

static enum status set_list(rd_kafka_conf_t *conf, const struct property *properties,
                            struct error *error)
{
    enum status status = STATUS_OK;
    for (; properties->name && status == STATUS_OK; properties++) {
        status = set(conf, properties->name, properties->value, error);
    }
    return status;
}

static enum status set_number(rd_kafka_conf_t *conf, const char *name, int64_t value,
                              struct error *error)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    return set(conf, name, text, error);
}

static enum status set_brokers(rd_kafka_conf_t *conf, const struct text_list *brokers,
                               struct error *error)
{
    char joined[4096];
    size_t used = 0;
    for (size_t i = 0; i < brokers->count; i++) {
        int length = snprintf(joined + used, sizeof(joined) - used, "%s%s", i > 0 ? "," : "",
                              brokers->items[i]);
        used += (size_t)length;
        if (used >= sizeof(joined)) {
            return error_set(error, STATUS_INVALID, "kafka.brokers: too many");
        }
    }
    return set(conf, "bootstrap.servers", joined, error);
}

/* Never into a message: the value is a secret. */
static enum status set_secret(rd_kafka_conf_t *conf, const char *name, const char *value,
                              struct error *error)
{
    char message[VALUE_BYTES];
    if (rd_kafka_conf_set(conf, name, value, message, sizeof(message)) != RD_KAFKA_CONF_OK) {
        return error_set(error, STATUS_INVALID,
                         "kafka.secrets: %s: not a property of librdkafka, or its value is refused",
                         name);
    }
    return STATUS_OK;
}

static enum status set_secret_file(rd_kafka_conf_t *conf, const struct yaml_node *node,
                                   const char *path, struct error *error)
{
    FILE *file = fopen(path, "rb");
    char *content = calloc(1, SECRET_BYTES_MAX + 1);
    size_t length = file && content ? fread(content, 1, SECRET_BYTES_MAX, file) : 0;
    enum status status;
    if (!content) {
        status = error_set(error, STATUS_FATAL, "kafka.secrets: out of memory");
    } else if (!file || ferror(file) || length == 0 || length == SECRET_BYTES_MAX) {
        status = error_set(error, STATUS_INVALID,
                           "kafka.secrets: %s: %s cannot be read, is empty or over %u bytes",
                           node->key, path, SECRET_BYTES_MAX - 1);
    } else {
        while (length > 0 && (content[length - 1] == '\n' || content[length - 1] == '\r')) {
            content[--length] = '\0';
        }
        status = set_secret(conf, node->key, content, error);
    }
    if (file) {
        (void)fclose(file);
    }
    free(content);
    return status;
}

static enum status set_secrets(rd_kafka_conf_t *conf, const struct yaml_node *secrets,
                               struct error *error)
{
    for (size_t i = 0; secrets && i < secrets->child_count; i++) {
        const struct yaml_node *node = &secrets->children[i];
        const struct yaml_node *source = &node->children[0];
        enum status status;
        if (strcmp(source->key, "env") == 0) {
            const char *value = getenv(source->scalar);
            status = value ? set_secret(conf, node->key, value, error)
                           : error_set(error, STATUS_INVALID,
                                       "kafka.secrets: %s: the environment has no %s", node->key,
                                       source->scalar);
        } else {
            char *path = yaml_resolve_path(source, source->scalar);
            status = path ? set_secret_file(conf, node, path, error)
                          : error_set(error, STATUS_FATAL, "kafka.secrets: out of memory");
            free(path);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* What the user sets comes last, so that it stands. */
static enum status set_users(rd_kafka_conf_t *conf, const struct kafka_options *options,
                             struct error *error)
{
    enum status status = STATUS_OK;
    const struct yaml_node *properties = options->properties;
    for (size_t i = 0; properties && i < properties->child_count && status == STATUS_OK; i++) {
        status = set(conf, properties->children[i].key, properties->children[i].scalar, error);
    }
    return status == STATUS_OK ? set_secrets(conf, options->secrets, error) : status;
}

static enum status make_conf(const struct kafka_setup *setup, const struct property *properties,
                             rd_kafka_conf_t **ret_conf, struct error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    enum status status = set(conf, "client.id", setup->application, error);
    if (status == STATUS_OK) {
        status = set_list(conf, common_properties, error);
    }
    if (status == STATUS_OK) {
        status = set_list(conf, properties, error);
    }
    if (status == STATUS_OK) {
        status = set_users(conf, setup->options, error);
    }
    if (status == STATUS_OK) {
        status = set_brokers(conf, &setup->options->brokers, error);
    }
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *ret_conf = conf;
    return STATUS_OK;
}

/* Takes the configuration. */
static enum status make_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_client,
                               struct error *error)
{
    char message[VALUE_BYTES];
    rd_kafka_t *client = rd_kafka_new(type, conf, message, sizeof(message));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        return error_set(error, STATUS_INVALID, "kafka: %s", message);
    }
    *ret_client = client;
    return STATUS_OK;
}

/* Also of those that join no group: the library compares it with max.poll.interval.ms. */
static enum status set_session(const struct kafka_setup *setup, rd_kafka_conf_t *conf,
                               struct error *error)
{
    return set_number(conf, "session.timeout.ms", setup->options->session_timeout_ms, error);
}

enum status kafka_member_create(const struct kafka_setup *setup, uint32_t index,
                                void (*on_rebalance)(rd_kafka_t *, rd_kafka_resp_err_t,
                                                     rd_kafka_topic_partition_list_t *, void *),
                                void *opaque, rd_kafka_t **ret_member, struct error *error)
{
    rd_kafka_conf_t *conf;
    enum status status = make_conf(setup, member_properties, &conf, error);
    if (status != STATUS_OK) {
        return status;
    }
    char instance[VALUE_BYTES];
    (void)snprintf(instance, sizeof(instance), "%s-%u-%08x", setup->instance, index,
                   (unsigned)setup->subscription);
    int64_t session_ms = setup->options->session_timeout_ms;
    status = set(conf, "group.id", setup->group, error);
    if (status == STATUS_OK) {
        status = set(conf, "group.instance.id", instance, error);
    }
    if (status == STATUS_OK) {
        status = set_session(setup, conf, error);
    }
    if (status == STATUS_OK) {
        /* Rebalances are told of in the answers to heartbeats. */
        int64_t heartbeat_ms = session_ms / 10 < 1000 ? session_ms / 10 : 1000;
        status = set_number(conf, "heartbeat.interval.ms", heartbeat_ms, error);
    }
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, opaque);
    status = make_client(RD_KAFKA_CONSUMER, conf, ret_member, error);
    if (status == STATUS_OK) {
        (void)rd_kafka_poll_set_consumer(*ret_member);
    }
    return status;
}

/*
 * A full queue is looked at again only after a second, unless something else makes the library
 * look: see the pulse of kafka_ends.h. Newer versions of the library can look sooner by themselves.
 */
static enum status set_queue(rd_kafka_conf_t *conf, size_t queue_bytes, struct error *error)
{
    size_t kbytes = queue_bytes / 1024;
    kbytes = kbytes < QUEUE_KBYTES_MIN ? QUEUE_KBYTES_MIN : kbytes;
    kbytes = kbytes > QUEUE_KBYTES_MAX ? QUEUE_KBYTES_MAX : kbytes;
    char message[VALUE_BYTES];
    (void)rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "5", message, sizeof(message));
    return set_number(conf, "queued.max.messages.kbytes", (int64_t)kbytes, error);
}

static int on_fetcher_statistics(rd_kafka_t *client, char *json, size_t length, void *opaque)
{
    (void)client;
    kafka_client_metrics_take(opaque, json, length);
    return 0; /* The library frees the text. */
}

static int on_producer_statistics(rd_kafka_t *client, char *json, size_t length, void *opaque)
{
    const struct kafka_producer_events *events = opaque;
    (void)client;
    kafka_client_metrics_take(events->metrics, json, length);
    return 0;
}

/* Unless the user has set an interval of their own. */
static void ask_for_statistics(const struct kafka_setup *setup, rd_kafka_conf_t *conf,
                               int (*take)(rd_kafka_t *, char *, size_t, void *))
{
    char value[24];
    char message[VALUE_BYTES];
    size_t bytes = sizeof(value);
    if (setup->has_metrics &&
        rd_kafka_conf_get(conf, "statistics.interval.ms", value, &bytes) == RD_KAFKA_CONF_OK &&
        strcmp(value, "0") == 0) {
        (void)rd_kafka_conf_set(conf, "statistics.interval.ms", STATISTICS_INTERVAL_MS, message,
                                sizeof(message));
    }
    rd_kafka_conf_set_stats_cb(conf, take);
}

enum status kafka_fetcher_create(const struct kafka_setup *setup, size_t queue_bytes,
                                 struct kafka_client_metrics *metrics, rd_kafka_t **ret_fetcher,
                                 struct error *error)
{
    rd_kafka_conf_t *conf;
    enum status status = make_conf(setup, fetcher_properties, &conf, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = set_queue(conf, queue_bytes, error);
    if (status == STATUS_OK) {
        status = set_session(setup, conf, error);
    }
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    ask_for_statistics(setup, conf, on_fetcher_statistics);
    rd_kafka_conf_set_opaque(conf, metrics);
    rd_kafka_conf_set_error_cb(conf, kafka_fetch_on_error);
    return make_client(RD_KAFKA_CONSUMER, conf, ret_fetcher, error);
}

/* A wrong password or certificate, unlike a broker that is away, is not over after a while. */
static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct kafka_refusal *refusal = opaque;
    (void)client;
    /* An alert is what the other side says of our certificate, or that there is none. */
    bool is_refused = code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
                      strstr(reason, "SSL alert");
    if (is_refused && refusal->text[0] == '\0') {
        (void)snprintf(refusal->text, sizeof(refusal->text), "%s", reason);
    }
}

static void hear_refusals(rd_kafka_conf_t *conf, struct kafka_refusal *refusal)
{
    *refusal = (struct kafka_refusal){{0}};
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, refusal);
}

enum status kafka_observer_create(const struct kafka_setup *setup, struct kafka_refusal *refusal,
                                  rd_kafka_t **ret_client, struct error *error)
{
    rd_kafka_conf_t *conf;
    enum status status = make_conf(setup, member_properties, &conf, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = set(conf, "group.id", setup->group, error);
    if (status == STATUS_OK) {
        status = set_session(setup, conf, error);
    }
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    hear_refusals(conf, refusal);
    return make_client(RD_KAFKA_CONSUMER, conf, ret_client, error);
}

enum status kafka_admin_create(const struct kafka_setup *setup, struct kafka_refusal *refusal,
                               rd_kafka_t **ret_client, struct error *error)
{
    static const struct property none[] = {{NULL, NULL}};
    rd_kafka_conf_t *conf;
    enum status status = make_conf(setup, none, &conf, error);
    if (status != STATUS_OK) {
        return status;
    }
    hear_refusals(conf, refusal);
    return make_client(RD_KAFKA_PRODUCER, conf, ret_client, error);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct kafka_producer_events *events = opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (events->failed_count++ == 0) {
            events->failed = message->err;
        }
    } else if (message->_private == KAFKA_CHANGELOG_MARK) {
        events->unplaced_count += message->offset < 0;
        if (events->changelog_first < 0 || message->offset < events->changelog_first) {
            events->changelog_first = message->offset;
        }
    }
}

/* A connection that went away in a transaction leaves in doubt what became of it. */
static int on_close(int socket, void *opaque)
{
    struct kafka_producer_events *events = opaque;
    atomic_fetch_add(&events->closed_connections, 1);
    return close(socket);
}

enum status kafka_producer_create(const struct kafka_setup *setup, int32_t partition,
                                  struct kafka_producer_events *events, rd_kafka_t **ret_producer,
                                  struct error *error)
{
    rd_kafka_conf_t *conf;
    enum status status = make_conf(setup, producer_properties, &conf, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (setup->is_route || setup->hop) {
        /* What is in the input must go into another topic, whatever its brokers took it by. */
        status = set(conf, "message.max.bytes", "4194304", error);
    }
    if (status == STATUS_OK && setup->options->is_exactly_once) {
        char id[VALUE_BYTES];
        (void)snprintf(id, sizeof(id), "%s%s%s-%d", setup->application,
                       setup->is_route ? "-route"
                       : setup->hop    ? "-by-"
                                       : "",
                       setup->hop ? setup->hop : "", (int)partition);
        status = set(conf, "transactional.id", id, error);
        if (status == STATUS_OK) {
            status = set_number(conf, "transaction.timeout.ms",
                                setup->options->transaction_timeout_ms, error);
        }
        /* A request must be given up before its transaction is. */
        if (status == STATUS_OK && setup->options->transaction_timeout_ms < SOCKET_TIMEOUT_MS) {
            status = set_number(conf, "socket.timeout.ms", setup->options->transaction_timeout_ms,
                                error);
        }
    }
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    ask_for_statistics(setup, conf, on_producer_statistics);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_closesocket_cb(conf, on_close);
    rd_kafka_conf_set_opaque(conf, events);
    return make_client(RD_KAFKA_PRODUCER, conf, ret_producer, error);
}

enum status kafka_status_of(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
        return STATUS_RETRY;
    default:
        return STATUS_FATAL;
    }
}

enum status kafka_error(struct error *error, const char *doing, rd_kafka_error_t *cause)
{
    enum status status = rd_kafka_error_is_retriable(cause)
                             ? STATUS_RETRY
                             : kafka_status_of(rd_kafka_error_code(cause));
    (void)error_set(error, status, "kafka: %s: %s", doing, rd_kafka_error_string(cause));
    rd_kafka_error_destroy(cause);
    return status;
}
