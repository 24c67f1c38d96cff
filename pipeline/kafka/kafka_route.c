#include "pipeline/kafka/kafka_route.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/clock.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/kafka/kafka_haste.h"
#include "pipeline/kafka/kafka_route_batch.h"
#include "pipeline/kafka/kafka_route_words.h"
#include "pipeline/limits.h"
#include "pipeline/run/intake_records.h"
#include "pipeline/run/origin_clock.h"

/* More of key and headers than this, and the record counts as too long. */
#define BESIDE_BYTES_MAX (1u << 20)

struct kafka_route {
    struct kafka_route_options options;
    struct kafka_places places;
    struct kafka_traces traces;
    struct text_list no_traces;
    struct kafka_progress progress; /* Of a restore, which there is none. */
    struct kafka_route_batch routed;
    struct event_batch batch;            /* Its first row, in which each record is decoded. */
    const char *names[KAFKA_INPUTS_MAX]; /* Of the topics. */
    struct input *input;
    struct commit_log *log;
    struct kafka_route_words words;
    struct kafka_route_stats stats; /* As committed, and of this transaction: */
    struct kafka_route_stats added;
    bool is_committing;
    bool wants_commit;
    bool is_at_end;     /* The input had nothing more when it was last asked. */
    uint64_t at_end_ns; /* Since when. */
    bool has_told_end;  /* All partitions have been told the time there. */
    uint64_t asked_ns;  /* When a commit last began ... */
    uint64_t done_ns;   /* ... and when one was last done. */
};

/* ---- records ---- */

static int64_t mark_of(const struct partition_time *time)
{
    return time->is_started && !time->is_provisional ? time->newest_ms : ORIGIN_UNKNOWN;
}

/* Moves the time of the partition; true: the event is too far ahead of it. */
static bool judge_time(struct kafka_route *route)
{
    struct partition_time *time = &route->routed.time;
    int64_t event_ms = route->batch.time_ms[0];
    bool is_ahead = partition_time_is_ahead(time, event_ms, route->options.max_ahead_ms);
    if (!is_ahead) {
        partition_time_move(time, event_ms, route->options.max_ahead_ms);
    }
    return is_ahead;
}

static size_t bytes_of_headers(const rd_kafka_headers_t *headers)
{
    size_t bytes = 0;
    const char *name;
    const void *value;
    size_t length;
    for (size_t i = 0; headers && rd_kafka_header_get_all(headers, i, &name, &value, &length) ==
                                      RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        bytes += strlen(name) + length + 16;
    }
    return bytes;
}

/* The record as it came, or its beginning where it is longer than any event may be. */
static enum status send_on(struct kafka_route *route, const struct input_item *item,
                           int32_t partition, unsigned flags, struct error *error)
{
    uint32_t topic = 0;
    const rd_kafka_message_t *message = kafka_input_message(route->input, &topic);
    rd_kafka_headers_t *headers = NULL;
    (void)rd_kafka_message_headers(message, &headers);
    struct text key = {message->key, (uint32_t)message->key_len};
    struct text value = item->raw.bytes;
    struct kafka_route_mark mark = {
        .flags = flags,
        .partition = (uint32_t)route->options.partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, NULL),
        .mark_ms = mark_of(&route->routed.time),
        .topic = text_of(route->options.topics->inputs[topic]),
    };
    if (!message->payload) {
        value = (struct text){NULL, 0};
    }
    bool is_heavy = message->key_len + bytes_of_headers(headers) > BESIDE_BYTES_MAX;
    if (is_heavy) {
        key = (struct text){NULL, 0};
        headers = NULL;
    }
    if (is_heavy || message->len > RAW_RECORD_BYTES_MAX) {
        mark.flags |= KAFKA_ROUTE_CUT;
        digest_of(message->payload, message->len, &mark.whole);
        value.length = value.length < DEAD_LETTER_BYTES_MAX ? value.length : DEAD_LETTER_BYTES_MAX;
    }
    if (!(mark.flags & KAFKA_ROUTE_AHEAD)) {
        route->words.words[partition] =
            (struct kafka_route_word){.mark_ms = mark.mark_ms, .is_told = true};
    }
    route->added.records++;
    return kafka_route_batch_add(&route->routed, partition, key, value, headers, &mark, error);
}

/* *ret_goes_on: there may be more. */
static enum status take_record(struct kafka_route *route, bool *ret_goes_on, struct error *error)
{
    struct input_item item = {.result = INPUT_WAIT};
    enum status status = route->input->ops->next(route->input, &route->batch, 0, &item, error);
    *ret_goes_on = status == STATUS_OK && item.result != INPUT_WAIT && item.result != INPUT_END;
    route->is_at_end = status == STATUS_OK && item.result == INPUT_END;
    if (!*ret_goes_on) {
        return status;
    }
    if (item.result != INPUT_EVENT) {
        route->added.unread++;
        return send_on(route, &item, route->options.partition, 0, error);
    }
    bool is_ahead = judge_time(route);
    int32_t partition =
        kafka_route_target(&route->batch, 0, route->options.target, route->options.partition_count);
    return send_on(route, &item, partition, is_ahead ? KAFKA_ROUTE_AHEAD : 0, error);
}

static enum status take_records(struct kafka_route *route, bool *ret_waits, struct error *error)
{
    bool was_at_end = route->is_at_end;
    bool goes_on = true;
    uint32_t before = route->routed.count;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && goes_on && !kafka_route_batch_is_full(&route->routed)) {
        status = take_record(route, &goes_on, error);
    }
    if (route->is_at_end && (!was_at_end || route->routed.count > before)) {
        route->at_end_ns = clock_monotonic_ns();
        route->has_told_end = false;
    }
    *ret_waits = !goes_on;
    return status;
}

/* ---- markers ---- */

static enum status add_marker(struct kafka_route *route, uint32_t partition,
                              const struct kafka_route_word *now, struct error *error)
{
    bool is_time = now->mark_ms != ORIGIN_UNKNOWN && now->mark_ms != ORIGIN_IDLE;
    const struct kafka_route_mark mark = {
        .flags = KAFKA_ROUTE_MARKER | (now->has_ended ? KAFKA_ROUTE_ENDED : 0),
        .partition = (uint32_t)route->options.partition,
        .offset = route->places.now.offsets[0],
        .timestamp_ms = is_time ? now->mark_ms : -1,
        .mark_ms = now->mark_ms,
        .topic = text_of(route->options.topics->inputs[0]),
    };
    const struct text none = {NULL, 0};
    route->words.words[partition] = *now;
    route->added.markers++;
    return kafka_route_batch_add(&route->routed, (int32_t)partition, none, none, NULL, &mark,
                                 error);
}

/* Tells those partitions that records have not told; that it is idle only who knows the time. */
static enum status tell_time(struct kafka_route *route, uint64_t now_ns, struct error *error)
{
    const struct kafka_options *options = route->options.setup->options;
    uint32_t count = route->options.partition_count;
    uint64_t idle_ns = (uint64_t)options->repartition_idle_ms * 1000000u;
    bool has_ended = options->ends && route->is_at_end;
    bool is_idle = has_ended || (route->is_at_end && route->has_told_end &&
                                 now_ns - route->at_end_ns >= idle_ns);
    const struct kafka_route_word now = {
        .mark_ms = is_idle ? ORIGIN_IDLE : mark_of(&route->routed.time),
        .has_ended = has_ended,
        .is_told = true,
    };
    bool is_due =
        kafka_route_words_due(&route->words, (uint32_t)route->options.partition, has_ended, now_ns);
    enum status status = STATUS_OK;
    if (!is_due || route->routed.count + count > KAFKA_ROUTE_RECORDS_MAX) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (has_ended || !kafka_route_words_told(&route->words, i, &now)) {
            status = add_marker(route, i, &now, error);
            route->words.told_ns = now_ns;
        }
    }
    route->has_told_end = route->is_at_end;
    return status;
}

/* ---- transactions ---- */

static void forget(struct kafka_route *route)
{
    kafka_route_batch_reset(&route->routed);
    event_batch_reset(&route->batch);
    route->input->ops->release(route->input);
    route->added = (struct kafka_route_stats){0};
    route->wants_commit = false;
}

static void finish_commit(struct kafka_route *route)
{
    route->stats.records += route->added.records;
    route->stats.unread += route->added.unread;
    route->stats.markers += route->added.markers;
    route->stats.commits++;
    route->routed.committed = route->routed.time;
    forget(route);
}

/* Reads the same again; what the partitions were told is not known any more. */
static enum status rewind_route(struct kafka_route *route, struct error *error)
{
    forget(route);
    memset(route->words.words, 0, sizeof(route->words.words));
    route->routed.time = route->routed.committed;
    route->is_at_end = false;
    const struct input_position position = {.ordinal = route->places.committed.ordinal};
    return route->input->ops->seek(route->input, &position, error);
}

static enum status poll_commit(struct kafka_route *route, struct error *error)
{
    enum commit_state state;
    uint64_t ignored = 0;
    enum status status = route->log->ops->poll(route->log, &state, &ignored, error);
    if (status != STATUS_OK || state == COMMIT_PENDING) {
        return status;
    }
    route->is_committing = false;
    if (state == COMMIT_DONE) {
        finish_commit(route);
        route->done_ns = clock_monotonic_ns();
        return STATUS_OK;
    }
    return rewind_route(route, error);
}

static enum status start_commit(struct kafka_route *route, uint64_t now_ns, struct error *error)
{
    const struct commit_content content = {.position.ordinal = route->places.now.ordinal};
    enum status status = route->log->ops->start(route->log, &content, error);
    route->is_committing = status == STATUS_OK;
    route->asked_ns = now_ns;
    return status;
}

/* All is sent on that the brokers have, and as in kafka_haste.h it is not too soon. */
static bool may_hasten(const struct kafka_route *route, uint64_t haste_ns, uint64_t now_ns)
{
    return now_ns - route->asked_ns >= haste_ns && now_ns - route->done_ns >= KAFKA_SETTLE_NS &&
           kafka_fetch_behind(route->options.fetcher, route->names, route->places.count,
                              route->options.partition,
                              route->places.now.offsets) <= KAFKA_HASTE_BEHIND;
}

enum status kafka_route_step(struct kafka_route *route, uint64_t haste_ns, bool *ret_waits,
                             struct error *error)
{
    enum status status = route->is_committing ? poll_commit(route, error) : STATUS_OK;
    *ret_waits = true;
    if (status != STATUS_OK || route->is_committing) {
        return status;
    }
    status = take_records(route, ret_waits, error);
    uint64_t now_ns = clock_monotonic_ns();
    if (status == STATUS_OK) {
        status = tell_time(route, now_ns, error);
    }
    uint64_t interval_ns = (uint64_t)route->options.commit_interval_ms * 1000000u;
    bool is_due = route->wants_commit || kafka_route_batch_is_full(&route->routed) ||
                  now_ns - route->asked_ns >= interval_ns ||
                  (*ret_waits && may_hasten(route, haste_ns, now_ns));
    if (status == STATUS_OK && route->routed.count > 0 && is_due) {
        status = start_commit(route, now_ns, error);
    }
    return status;
}

enum status kafka_route_commit_step(struct kafka_route *route, struct error *error)
{
    return route->is_committing       ? poll_commit(route, error)
           : route->routed.count == 0 ? STATUS_OK
                                      : start_commit(route, clock_monotonic_ns(), error);
}

bool kafka_route_is_committed(const struct kafka_route *route)
{
    return !route->is_committing && route->routed.count == 0;
}

/* ---- life ---- */

static enum status open_log(struct kafka_route *route, struct error *error)
{
    const struct kafka_route_options *options = &route->options;
    const struct kafka_log_options log = {
        .setup = options->setup,
        .topics = options->topics,
        .member = options->member,
        .fetcher = options->fetcher,
        .places = &route->places,
        .traces = &route->traces,
        .routed = &route->routed,
        .progress = &route->progress,
        .client_metrics = options->client_metrics,
        .partition = options->partition,
        .is_cancelled = options->is_cancelled,
    };
    struct kafka_log_range range;
    struct commit_point point;
    enum status status = kafka_log_open(&log, &route->log, &range, error);
    return status == STATUS_OK ? route->log->ops->recover(route->log, 0, NULL, &point, error)
                               : status;
}

static enum status open_input(struct kafka_route *route, struct error *error)
{
    const struct kafka_route_options *options = &route->options;
    const struct kafka_input_options input = {
        .fetcher = options->fetcher,
        .topics = route->names,
        .places = &route->places,
        .traces = &route->traces,
        .partition = options->partition,
        .format = options->format,
        .schema = options->schema,
        .registry = options->registry,
        .mapping = options->mapping,
        .ends = true,
    };
    return kafka_input_open(&input, &route->input, error);
}

enum status kafka_route_open(const struct kafka_route_options *options,
                             struct kafka_route **ret_route, struct error *error)
{
    assert(options->partition_count <= ORIGINS_MAX && options->setup->is_route);
    struct kafka_route *route = calloc(1, sizeof(*route));
    if (!route) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    route->options = *options;
    route->traces.names = &route->no_traces;
    route->words.count = options->partition_count;
    route->places.count = options->topics->input_count;
    for (uint32_t i = 0; i < options->topics->input_count; i++) {
        route->names[i] = options->topics->inputs[i];
    }
    enum status status = kafka_topics_still_there(options->topics, options->fetcher, error);
    if (status == STATUS_OK) {
        status = kafka_route_batch_init(&route->routed, error);
    }
    if (status == STATUS_OK) {
        status = event_batch_init(&route->batch, 0, error);
    }
    if (status == STATUS_OK) {
        status = open_log(route, error);
    }
    if (status == STATUS_OK) {
        status = open_input(route, error);
    }
    if (status == STATUS_OK) {
        status = rewind_route(route, error);
    }
    if (status != STATUS_OK) {
        kafka_route_close(route);
        return status;
    }
    *ret_route = route;
    return STATUS_OK;
}

void kafka_route_close(struct kafka_route *route)
{
    if (!route) {
        return;
    }
    /* A commit on its way borrows the batch, and that the input: the log has to let go first. */
    if (route->log) {
        route->log->ops->close(route->log);
    }
    kafka_route_batch_release(&route->routed);
    event_batch_release(&route->batch);
    if (route->input) {
        route->input->ops->close(route->input);
    }
    kafka_traces_release(&route->traces);
    free(route);
}

struct commit_log *kafka_route_log(const struct kafka_route *route)
{
    return route->log;
}

struct kafka_route_stats kafka_route_stats(const struct kafka_route *route)
{
    struct kafka_route_stats stats = route->stats;
    stats.newest_ms = mark_of(&route->routed.committed);
    return stats;
}

const struct kafka_places *kafka_route_places(const struct kafka_route *route)
{
    return &route->places;
}
