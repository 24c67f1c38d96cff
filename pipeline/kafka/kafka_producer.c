#include "pipeline/kafka/kafka_producer.h"

#include <string.h>

#include "pipeline/kafka/kafka_records.h"
#include "pipeline/wire/confluent.h"

#define INIT_TIMEOUT_MS 5000
#define CALL_TIMEOUT_MS 10000
#define ROOM_TIMEOUT_MS 30000
#define BATCH_RECORDS 1024u
/* What goes into one request to a partition: message.max.bytes of the library, less some room. */
#define REQUEST_BYTES 900000u
#define RECORD_OVERHEAD 32u /* Of a record in a request, at most. */

static enum status open_topic(struct kafka_producer *producer, const char *name,
                              rd_kafka_topic_t **ret_topic, struct error *error)
{
    *ret_topic = rd_kafka_topic_new(producer->client, name, NULL);
    return *ret_topic ? STATUS_OK
                      : error_set(error, STATUS_FATAL, "kafka: topic %s: %s", name,
                                  rd_kafka_err2str(rd_kafka_last_error()));
}

static enum status open_topics(struct kafka_producer *producer, struct error *error)
{
    const struct kafka_topics *names = producer->topics;
    enum status status = STATUS_OK;
    if (producer->routed) {
        status = open_topic(producer, names->repartition, &producer->repartition, error);
    }
    if (status != STATUS_OK || producer->setup->is_route) {
        return status;
    }
    status = open_topic(producer, names->changelog, &producer->changelog, error);
    if (status == STATUS_OK) {
        status = open_topic(producer, names->journal, &producer->journal, error);
    }
    for (int i = 0; i < TOPIC_COUNT && status == STATUS_OK && !producer->routed; i++) {
        status = open_topic(producer, names->outputs[i], &producer->outputs[i], error);
    }
    return status;
}

enum status kafka_producer_open(struct kafka_producer *producer, struct error *error)
{
    producer->events.changelog_first = -1;
    producer->events.unplaced_count = 0;
    producer->events.failed_count = 0;
    enum status status = kafka_producer_create(producer->setup, producer->partition,
                                               &producer->events, &producer->client, error);
    if (status == STATUS_OK) {
        status = open_topics(producer, error);
    }
    if (status == STATUS_OK && producer->setup->options->is_exactly_once) {
        rd_kafka_error_t *cause = rd_kafka_init_transactions(producer->client, INIT_TIMEOUT_MS);
        status = cause ? kafka_error(error, "taking over the partition", cause) : STATUS_OK;
    }
    if (status != STATUS_OK) {
        kafka_producer_close(producer);
    }
    return status;
}

void kafka_producer_close(struct kafka_producer *producer)
{
    if (!producer->client) {
        return;
    }
    /* What is queued must not be sent later, nor wait for an answer. */
    (void)rd_kafka_purge(producer->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_poll(producer->client, 0);
    for (int i = 0; i < TOPIC_COUNT; i++) {
        if (producer->outputs[i]) {
            rd_kafka_topic_destroy(producer->outputs[i]);
        }
        producer->outputs[i] = NULL;
    }
    rd_kafka_topic_t **own[] = {&producer->changelog, &producer->journal, &producer->repartition};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (*own[i]) {
            rd_kafka_topic_destroy(*own[i]);
        }
        *own[i] = NULL;
    }
    rd_kafka_destroy(producer->client);
    producer->client = NULL;
}

/* ---- records ---- */

/* Waits for room in the queue: what is in it is on its way meanwhile. */
static bool wait_for_room(struct kafka_producer *producer, int *waited_ms)
{
    (void)rd_kafka_poll(producer->client, 10);
    *waited_ms += 10;
    return *waited_ms < ROOM_TIMEOUT_MS;
}

/* The trace of the event that caused the record; NULL: there is none. */
static rd_kafka_headers_t *headers_of(const struct kafka_producer *producer,
                                      const struct output_record *record)
{
    struct kafka_trace trace;
    if (record->cause == OUTPUT_CAUSE_NONE) {
        return NULL;
    }
    kafka_traces_find(producer->traces, record->cause, &trace);
    rd_kafka_headers_t *headers = trace.count > 0 ? rd_kafka_headers_new(trace.count) : NULL;
    for (uint32_t i = 0; i < trace.count; i++) {
        (void)rd_kafka_header_add(headers, trace.names[i], -1, trace.values[i],
                                  (ssize_t)trace.lengths[i]);
    }
    return headers;
}

static rd_kafka_resp_err_t produce_output(struct kafka_producer *producer, int topic,
                                          const struct output_record *record)
{
    const void *value = record->bytes;
    size_t value_length = record->length;
    if (producer->topics->is_framed) {
        producer->frame.length = 0;
        confluent_append(&producer->frame, producer->topics->schema_ids[topic], record->bytes,
                         record->length);
        if (producer->frame.has_failed) {
            return RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        }
        value = producer->frame.bytes;
        value_length = producer->frame.length;
    }
    /* The records themselves stay where they are until the commit is done, the scratch does not. */
    int flags = producer->topics->is_framed ? RD_KAFKA_MSG_F_COPY : 0;
    char hex[33];
    bool has_key = record->key.high != 0 || record->key.low != 0;
    const char *key = has_key ? hex : NULL;
    size_t key_length = has_key ? 32 : 0;
    if (has_key) {
        key128_format(record->key, hex);
    }
    rd_kafka_headers_t *headers = headers_of(producer, record);
    int waited_ms = 0;
    rd_kafka_resp_err_t code;
    do {
        /* Takes the headers, unless it fails; NULL: none. */
        code = rd_kafka_producev(producer->client, RD_KAFKA_V_RKT(producer->outputs[topic]),
                                 RD_KAFKA_V_PARTITION(producer->partition),
                                 RD_KAFKA_V_MSGFLAGS(flags), RD_KAFKA_V_KEY(key, key_length),
                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_length),
                                 /* 0 would stand for now. */
                                 RD_KAFKA_V_TIMESTAMP(record->time_ms > 0 ? record->time_ms : 1),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && wait_for_room(producer, &waited_ms));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

static rd_kafka_resp_err_t produce_outputs(struct kafka_producer *producer,
                                           const struct output_batch *outputs)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        uint64_t count = output_batch_count(outputs, (enum topic)topic);
        for (uint64_t i = 0; i < count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
            struct output_record record = output_batch_get(outputs, (enum topic)topic, i);
            code = produce_output(producer, topic, &record);
        }
    }
    return code;
}

/* The values stay where they are: they are borrowed until the commit is done. */
static rd_kafka_resp_err_t produce_block(struct kafka_producer *producer,
                                         const struct changelog_entry *entries, uint32_t count)
{
    rd_kafka_message_t messages[BATCH_RECORDS];
    unsigned char keys[BATCH_RECORDS][KAFKA_RECORD_KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        kafka_record_key_write(entries[i].key, keys[i]);
        messages[i] = (rd_kafka_message_t){
            .payload = (void *)(uintptr_t)entries[i].bytes,
            .len = entries[i].length,
            .key = keys[i],
            .key_len = KAFKA_RECORD_KEY_BYTES,
            ._private = KAFKA_CHANGELOG_MARK,
        };
    }
    int waited_ms = 0;
    uint32_t done = 0;
    for (;;) {
        (void)rd_kafka_produce_batch(producer->changelog, producer->partition, 0, messages + done,
                                     (int)(count - done));
        while (done < count && messages[done].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            done++;
        }
        if (done == count) {
            return RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        if (messages[done].err != RD_KAFKA_RESP_ERR__QUEUE_FULL ||
            !wait_for_room(producer, &waited_ms)) {
            return messages[done].err;
        }
    }
}

/* How many of the entries, a block at most, go into a request that has `used` bytes. */
static uint32_t fit_block(const struct changelog_entry *entries, uint32_t count, uint32_t *used)
{
    uint32_t fitting = 0;
    while (fitting < count && fitting < BATCH_RECORDS) {
        uint32_t bytes = entries[fitting].length + KAFKA_RECORD_KEY_BYTES + RECORD_OVERHEAD;
        if (*used > 0 && *used + bytes > REQUEST_BYTES) {
            break;
        }
        *used += bytes;
        fitting++;
    }
    return fitting;
}

/*
 * No more is queued than one request holds. The library has one request to a partition on its way
 * at a time, and while more is queued behind it, it asks the socket without a pause.
 */
static rd_kafka_resp_err_t produce_records(struct kafka_producer *producer,
                                           const struct commit_content *content)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    uint32_t used = 0;
    uint32_t done = 0;
    while (done < content->record_count && code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        uint32_t fitting = fit_block(content->records + done, content->record_count - done, &used);
        if (fitting > 0) {
            code = produce_block(producer, content->records + done, fitting);
            done += fitting;
        } else {
            code = rd_kafka_flush(producer->client, ROOM_TIMEOUT_MS);
            used = 0;
        }
    }
    return code;
}

static rd_kafka_resp_err_t produce_journal(struct kafka_producer *producer,
                                           const struct commit_content *content)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; i < content->journal_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        unsigned char bytes[KAFKA_JOURNAL_BYTES_MAX];
        size_t length = kafka_journal_write(&content->journal[i], bytes);
        code = rd_kafka_producev(producer->client, RD_KAFKA_V_RKT(producer->journal),
                                 RD_KAFKA_V_PARTITION(producer->partition),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_VALUE(bytes, length), RD_KAFKA_V_END);
    }
    return code;
}

static rd_kafka_resp_err_t produce_routed(struct kafka_producer *producer)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (uint32_t i = 0; i < producer->routed->count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        struct kafka_route_entry *entry = &producer->routed->entries[i];
        int waited_ms = 0;
        do {
            code = kafka_route_entry_produce(entry, producer->client, producer->repartition);
        } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && wait_for_room(producer, &waited_ms));
    }
    return code;
}

static rd_kafka_resp_err_t produce_all(struct kafka_producer *producer,
                                       const struct commit_content *content)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (producer->routed) {
        code = produce_routed(producer);
    } else if (content->outputs) {
        code = produce_outputs(producer, content->outputs);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) { /* Of a route there are none. */
        code = produce_records(producer, content);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? produce_journal(producer, content) : code;
}

/* ---- transaction ---- */

static bool is_connection_lost(struct kafka_producer *producer)
{
    return atomic_load(&producer->events.closed_connections) != producer->closed_before;
}

/* A request that was lost on its way must not turn up in the next transaction: then in doubt. */
static enum kafka_outcome abort_transaction(struct kafka_producer *producer)
{
    rd_kafka_error_t *cause = rd_kafka_abort_transaction(producer->client, -1);
    if (!cause) {
        return is_connection_lost(producer) ? KAFKA_IN_DOUBT : KAFKA_ABORTED;
    }
    bool is_fatal = rd_kafka_error_is_fatal(cause);
    rd_kafka_error_destroy(cause);
    return is_fatal ? KAFKA_FENCED : KAFKA_IN_DOUBT;
}

/* What is to be done about a step that failed. */
static enum kafka_outcome settle(struct kafka_producer *producer, const char *doing,
                                 rd_kafka_error_t *cause, struct error *error)
{
    bool is_fatal = rd_kafka_error_is_fatal(cause);
    bool can_abort = rd_kafka_error_txn_requires_abort(cause);
    (void)kafka_error(error, doing, cause);
    return is_fatal ? KAFKA_FENCED : can_abort ? abort_transaction(producer) : KAFKA_IN_DOUBT;
}

static enum kafka_outcome commit_transaction(struct kafka_producer *producer,
                                             const struct commit_content *content,
                                             const struct kafka_offsets *offsets,
                                             struct error *error)
{
    rd_kafka_error_t *cause = rd_kafka_begin_transaction(producer->client);
    if (cause) {
        return settle(producer, "beginning a transaction", cause, error);
    }
    rd_kafka_resp_err_t code = produce_all(producer, content);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)error_set(error, STATUS_RETRY, "kafka: producing: %s", rd_kafka_err2str(code));
        return abort_transaction(producer);
    }
    cause = rd_kafka_send_offsets_to_transaction(producer->client, offsets->list, offsets->metadata,
                                                 CALL_TIMEOUT_MS);
    if (cause) {
        return settle(producer, "sending the input's position", cause, error);
    }
    cause = rd_kafka_commit_transaction(producer->client, -1);
    if (cause) {
        return settle(producer, "committing", cause, error);
    }
    if (is_connection_lost(producer)) {
        (void)error_set(error, STATUS_RETRY, "kafka: a connection was lost while committing");
        return KAFKA_IN_DOUBT;
    }
    return KAFKA_COMMITTED;
}

/* Without transactions: all records first, then the position. A crash in between repeats some. */
static enum kafka_outcome commit_plainly(struct kafka_producer *producer,
                                         const struct commit_content *content, struct error *error)
{
    rd_kafka_resp_err_t code = produce_all(producer, content);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rd_kafka_flush(producer->client, ROOM_TIMEOUT_MS);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && producer->events.failed_count > 0) {
        code = producer->events.failed;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return KAFKA_COMMITTED;
    }
    (void)error_set(error, STATUS_RETRY, "kafka: producing: %s", rd_kafka_err2str(code));
    return KAFKA_FENCED; /* The task starts again, from the last position. */
}

enum kafka_outcome kafka_producer_commit(struct kafka_producer *producer,
                                         const struct commit_content *content,
                                         const struct kafka_offsets *offsets, struct error *error)
{
    producer->events.changelog_first = -1;
    producer->events.unplaced_count = 0;
    producer->events.failed_count = 0;
    producer->closed_before = atomic_load(&producer->events.closed_connections);
    return producer->setup->options->is_exactly_once
               ? commit_transaction(producer, content, offsets, error)
               : commit_plainly(producer, content, error);
}
