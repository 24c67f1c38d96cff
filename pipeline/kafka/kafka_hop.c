#include "pipeline/kafka/kafka_hop.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/digest.h"
#include "pipeline/kafka/kafka_hop_mark.h"
#include "pipeline/kafka/kafka_input.h"
#include "pipeline/kafka/kafka_route_words.h"
#include "pipeline/limits.h"
#include "pipeline/stage.h" /* container_of */

#define ARENA_BLOCK_BYTES (64u << 10)
/* Records of a batch of the task, of which those that are no events do not count for its size. */
#define PENDING_MAX (8u * BATCH_EVENTS_MAX)
/* Two markers a partition fit behind the records of a transaction. */
#define RECORDS_MAX (KAFKA_ROUTE_RECORDS_MAX - 2u * ORIGINS_MAX)
#define NO_ROW UINT32_MAX

/* A record that was taken in this batch, or word of an origin's time. */
struct pending {
    rd_kafka_headers_t *headers; /* Owned. Less that of the hop before. NULL: a marker. */
    struct text key, value;
    int64_t timestamp_ms;
    uint64_t ordinal;
    int32_t target;
    uint32_t row; /* Of an event, where it was accepted; see is_accepted(). NO_ROW: it is none. */
    bool moves_time;
    bool is_ahead;
    uint32_t origin;
    int64_t mark_ms;
};

struct kafka_hop {
    struct input input; /* Around this one, which is owned: */
    struct input *inner;
    struct task_sender sender;
    struct kafka_hop_options options;
    struct kafka_route_batch routed;
    struct kafka_route_words words;
    struct pending *pending; /* [PENDING_MAX] */
    uint32_t pending_count;
    size_t pending_bytes;
    struct arena keys; /* Of what is pending. */
    struct origin_clock clock;
    bool has_ended; /* All origins have said so, and it was all taken ... */
    bool knows_end; /* ... as of now; else something was taken since. */
    bool is_nudged; /* The task was told of a mark, so that it makes a batch for markers. */
    uint64_t sent;
};

static struct kafka_hop *hop_of(struct input *input)
{
    return container_of(input, struct kafka_hop, input);
}

/* ---- time ---- */

static int64_t mark_of(const struct origin_clock *clock)
{
    return clock->time_ms > ORIGIN_TIME_MIN ? clock->time_ms : ORIGIN_UNKNOWN;
}

/* What all partitions are to know. */
static struct kafka_route_word word_now(const struct kafka_hop *hop)
{
    bool is_idle = hop->has_ended || origin_clock_is_idle(&hop->clock);
    return (struct kafka_route_word){
        .mark_ms = is_idle ? ORIGIN_IDLE : mark_of(&hop->clock),
        .has_ended = hop->has_ended,
        .is_told = true,
    };
}

/* True: some partition is to be told, and it is time to. */
static bool owes_markers(const struct kafka_hop *hop, const struct kafka_route_word *now)
{
    if (!kafka_route_words_due(&hop->words, (uint32_t)hop->options.partition, now->has_ended,
                               clock_monotonic_ns())) {
        return false;
    }
    for (uint32_t i = 0; i < hop->words.count; i++) {
        if (now->has_ended || !kafka_route_words_told(&hop->words, i, now)) {
            return true;
        }
    }
    return false;
}

/* ---- what is sent ---- */

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "kafka: out of memory for a record to send on");
}

static bool add_header(rd_kafka_headers_t *headers, const char *name, const void *bytes,
                       size_t length)
{
    return rd_kafka_header_add(headers, name, -1, bytes, (ssize_t)length) ==
           RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool add_hop_header(rd_kafka_headers_t *headers, const struct kafka_hop_mark *mark)
{
    unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
    size_t length = kafka_hop_mark_write(mark, bytes);
    return add_header(headers, KAFKA_HOP_HEADER, bytes, length);
}

static bool add_route_header(rd_kafka_headers_t *headers, const struct kafka_route_mark *mark)
{
    unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX];
    size_t length = kafka_route_mark_write(mark, bytes);
    return add_header(headers, KAFKA_ROUTE_HEADER, bytes, length);
}

/* Takes the headers of the entry. */
static enum status add_entry(struct kafka_hop *hop, struct kafka_route_entry *entry,
                             const struct kafka_hop_mark *mark, struct error *error)
{
    if (!entry->headers || !add_hop_header(entry->headers, mark)) {
        if (entry->headers) {
            rd_kafka_headers_destroy(entry->headers);
        }
        return out_of_memory(error);
    }
    hop->sent++;
    return kafka_route_batch_add_copy(&hop->routed, entry, error);
}

static enum status add_marker(struct kafka_hop *hop, uint32_t partition,
                              const struct kafka_route_word *word, struct error *error)
{
    bool is_time = word->mark_ms != ORIGIN_UNKNOWN && word->mark_ms != ORIGIN_IDLE;
    const struct kafka_route_mark route = {
        .flags = KAFKA_ROUTE_MARKER,
        .partition = (uint32_t)hop->options.partition,
        .timestamp_ms = -1,
        .mark_ms = word->mark_ms,
        .topic = text_of(hop->options.topic),
    };
    const struct kafka_hop_mark mark = {
        .flags = KAFKA_HOP_MARKER | (word->has_ended ? KAFKA_HOP_ENDED : 0),
        .partition = (uint32_t)hop->options.partition,
        .mark_ms = word->mark_ms,
    };
    struct kafka_route_entry entry = {
        .headers = rd_kafka_headers_new(2),
        .timestamp_ms = is_time ? word->mark_ms : -1,
        .partition = (int32_t)partition,
    };
    if (entry.headers && !add_route_header(entry.headers, &route)) {
        rd_kafka_headers_destroy(entry.headers);
        entry.headers = NULL;
    }
    hop->words.words[partition] = *word;
    return add_entry(hop, &entry, &mark, error);
}

/* Tells a partition; that it is idle only behind what time it was then, as the latest that any has
 * told is the time when all are idle. */
static enum status tell_partition(struct kafka_hop *hop, uint32_t partition,
                                  const struct kafka_route_word *now, struct error *error)
{
    const struct kafka_route_word last = {.mark_ms = mark_of(&hop->clock), .is_told = true};
    enum status status = STATUS_OK;
    if (now->mark_ms == ORIGIN_IDLE && origin_clock_is_idle(&hop->clock) &&
        last.mark_ms != ORIGIN_UNKNOWN && hop->words.words[partition].mark_ms != ORIGIN_IDLE &&
        !kafka_route_words_told(&hop->words, partition, &last)) {
        status = add_marker(hop, partition, &last, error);
    }
    return status == STATUS_OK ? add_marker(hop, partition, now, error) : status;
}

static enum status send_markers(struct kafka_hop *hop, struct error *error)
{
    const struct kafka_route_word now = word_now(hop);
    enum status status = STATUS_OK;
    if (!hop->knows_end && hop->words.words[hop->options.partition].has_ended) {
        return STATUS_OK; /* Whether it still has is seen when there is no more to take. */
    }
    if (!owes_markers(hop, &now) ||
        hop->routed.count + 2 * hop->words.count > KAFKA_ROUTE_RECORDS_MAX) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < hop->words.count && status == STATUS_OK; i++) {
        if (now.has_ended || !kafka_route_words_told(&hop->words, i, &now)) {
            status = tell_partition(hop, i, &now, error);
        }
    }
    hop->words.told_ns = clock_monotonic_ns();
    return status;
}

static bool is_accepted(const struct pending *record, const struct event_batch *batch)
{
    return record->row < batch->event_count && batch->ordinal[record->row] == record->ordinal;
}

/* The features that the event brought along, and those of its row. */
static void write_values(const struct kafka_hop *hop, const struct event_batch *batch, uint32_t row,
                         struct kafka_hop_mark *mark)
{
    const struct carried_columns *carried = &hop->options.carried;
    const float *brought = batch->carried[row];
    const float *features = batch->features + (size_t)row * batch->feature_stride;
    bool is_known = batch->state[row] == ROW_LIVE && batch->record[hop->options.kind][row];
    if (!brought && !is_known) {
        return;
    }
    mark->count = carried->count;
    mark->columns_hash = carried->hash;
    for (uint32_t i = 0; i < carried->count; i++) {
        bool is_own = i >= hop->options.brought_count;
        mark->values[i] = is_own    ? (is_known ? features[carried->columns[i]] : NAN)
                          : brought ? brought[i]
                                    : NAN;
    }
}

static enum status send_record(struct kafka_hop *hop, struct pending *record,
                               const struct event_batch *batch, struct error *error)
{
    struct kafka_hop_mark mark = {
        .partition = (uint32_t)hop->options.partition,
        .mark_ms = mark_of(&hop->clock),
    };
    if (is_accepted(record, batch)) {
        write_values(hop, batch, record->row, &mark);
    }
    if (!record->is_ahead) {
        hop->words.words[record->target] =
            (struct kafka_route_word){.mark_ms = mark.mark_ms, .is_told = true};
    }
    struct kafka_route_entry entry = {
        .headers = record->headers,
        .key = record->key,
        .value = record->value,
        .timestamp_ms = record->timestamp_ms,
        .partition = record->target,
    };
    record->headers = NULL;
    return add_entry(hop, &entry, &mark, error);
}

/* ---- the task's sender ---- */

static void forget_pending(struct kafka_hop *hop)
{
    for (uint32_t i = 0; hop->pending && i < hop->pending_count; i++) {
        if (hop->pending[i].headers) {
            rd_kafka_headers_destroy(hop->pending[i].headers);
        }
    }
    hop->pending_count = 0;
    hop->pending_bytes = 0;
    arena_reset(&hop->keys);
}

static void begin_batch(struct task_sender *sender, const struct origin_clock *clock)
{
    struct kafka_hop *hop = container_of(sender, struct kafka_hop, sender);
    forget_pending(hop);
    hop->clock = *clock;
}

static enum status send_batch(struct task_sender *sender, const struct event_batch *batch,
                              struct error *error)
{
    struct kafka_hop *hop = container_of(sender, struct kafka_hop, sender);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < hop->pending_count && status == STATUS_OK; i++) {
        struct pending *record = &hop->pending[i];
        if (record->moves_time) {
            origin_clock_tell(&hop->clock, record->origin, record->mark_ms);
        }
        if (record->headers) {
            status = send_record(hop, record, batch, error);
        }
    }
    forget_pending(hop);
    hop->is_nudged = false;
    return status == STATUS_OK ? send_markers(hop, error) : status;
}

static const struct task_sender_ops sender_ops = {.begin = begin_batch, .send = send_batch};

/* ---- the task's input ---- */

bool kafka_hop_is_full(const struct kafka_hop *hop)
{
    return hop->routed.count + hop->pending_count >= RECORDS_MAX ||
           hop->pending_count == PENDING_MAX ||
           hop->routed.bytes + hop->pending_bytes >= KAFKA_ROUTE_BYTES_MAX;
}

/* A record that no route has sent: where it stands here is its place. */
static void mark_stranger(const struct kafka_hop *hop, const rd_kafka_message_t *message,
                          struct pending *record)
{
    struct kafka_route_mark mark = {
        .flags = KAFKA_ROUTE_STRANGE,
        .partition = (uint32_t)hop->options.partition,
        .offset = message->offset,
        .timestamp_ms = record->timestamp_ms,
        .mark_ms = ORIGIN_UNKNOWN,
        .topic = text_of(hop->options.topic),
    };
    record->key = (struct text){NULL, 0};
    if (record->value.length > DEAD_LETTER_BYTES_MAX) {
        mark.flags |= KAFKA_ROUTE_CUT;
        digest_of(message->payload, message->len, &mark.whole);
        record->value.length = DEAD_LETTER_BYTES_MAX;
    }
    record->headers = rd_kafka_headers_new(2);
    if (record->headers && !add_route_header(record->headers, &mark)) {
        rd_kafka_headers_destroy(record->headers);
        record->headers = NULL;
    }
}

/* As they came, but for the header of the hop before. */
static rd_kafka_headers_t *copy_headers(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return NULL;
    }
    headers = rd_kafka_headers_copy(headers);
    if (headers) {
        (void)rd_kafka_header_remove(headers, KAFKA_HOP_HEADER);
    }
    return headers;
}

static bool copy_key(struct kafka_hop *hop, const rd_kafka_message_t *message, struct text *ret_key)
{
    char *copy = message->key ? arena_take(&hop->keys, message->key_len + 1) : NULL;
    if (copy) {
        memcpy(copy, message->key, message->key_len);
    }
    *ret_key = (struct text){copy, copy ? (uint32_t)message->key_len : 0};
    return copy || !message->key;
}

static enum status note_record(struct kafka_hop *hop, const struct event_batch *batch, uint32_t row,
                               const struct input_item *item, struct pending *record,
                               struct error *error)
{
    uint32_t ignored = 0;
    const rd_kafka_message_t *message = kafka_input_message(hop->inner, &ignored);
    bool is_event = item->result == INPUT_EVENT;
    record->value = message->payload ? item->raw.bytes : (struct text){NULL, 0};
    record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    record->row = is_event ? row : NO_ROW;
    record->target =
        is_event ? kafka_route_target(batch, row, hop->options.target, hop->options.partition_count)
                 : hop->options.partition;
    if (!item->origin.is_known) {
        mark_stranger(hop, message, record);
    } else {
        record->headers = copy_headers(message);
        if (!copy_key(hop, message, &record->key)) {
            return out_of_memory(error);
        }
    }
    hop->pending_bytes += record->value.length + record->key.length;
    return record->headers ? STATUS_OK : out_of_memory(error);
}

static enum status note(struct kafka_hop *hop, const struct event_batch *batch, uint32_t row,
                        const struct input_item *item, struct error *error)
{
    struct pending *record = &hop->pending[hop->pending_count++];
    bool is_ahead = item->result == INPUT_EVENT && item->origin.is_ahead;
    *record = (struct pending){
        .ordinal = item->raw.position.ordinal,
        .row = NO_ROW,
        .moves_time = item->origin.is_known && !is_ahead,
        .is_ahead = is_ahead,
        .origin = item->origin.partition,
        .mark_ms = item->origin.mark_ms,
    };
    return item->result == INPUT_MARK ? STATUS_OK
                                      : note_record(hop, batch, row, item, record, error);
}

static enum status hop_next(struct input *input, struct event_batch *batch, uint32_t row,
                            struct input_item *ret_item, struct error *error)
{
    struct kafka_hop *hop = hop_of(input);
    ret_item->result = INPUT_WAIT;
    if (kafka_hop_is_full(hop)) {
        return STATUS_OK;
    }
    enum status status = hop->inner->ops->next(hop->inner, batch, row, ret_item, error);
    if (status != STATUS_OK) {
        return status;
    }
    hop->knows_end = ret_item->result == INPUT_WAIT || ret_item->result == INPUT_END;
    hop->has_ended = ret_item->result == INPUT_END;
    if (!hop->knows_end) {
        return note(hop, batch, row, ret_item, error);
    }
    ret_item->result = INPUT_WAIT;
    const struct kafka_route_word now = word_now(hop);
    if (hop->pending_count == 0 && !hop->is_nudged && owes_markers(hop, &now)) {
        hop->is_nudged = true;
        *ret_item = (struct input_item){.result = INPUT_MARK};
    }
    return STATUS_OK;
}

static void hop_unread(struct input *input)
{
    struct kafka_hop *hop = hop_of(input);
    assert(hop->pending_count > 0);
    struct pending *record = &hop->pending[--hop->pending_count];
    hop->pending_bytes -= record->value.length + record->key.length;
    if (record->headers) {
        rd_kafka_headers_destroy(record->headers);
        record->headers = NULL;
    }
    hop->inner->ops->unread(hop->inner);
}

static struct input_position hop_position(const struct input *input)
{
    const struct kafka_hop *hop = container_of(input, const struct kafka_hop, input);
    return hop->inner->ops->position(hop->inner);
}

/* What was to be sent is read again; what the partitions were told is not known any more. */
static enum status hop_seek(struct input *input, const struct input_position *position,
                            struct error *error)
{
    struct kafka_hop *hop = hop_of(input);
    forget_pending(hop);
    kafka_route_batch_reset(&hop->routed);
    memset(hop->words.words, 0, sizeof(hop->words.words));
    hop->has_ended = false;
    hop->knows_end = false;
    hop->is_nudged = false;
    return hop->inner->ops->seek(hop->inner, position, error);
}

static void hop_release(struct input *input)
{
    struct kafka_hop *hop = hop_of(input);
    hop->inner->ops->release(hop->inner);
}

static double hop_progress(const struct input *input)
{
    (void)input;
    return -1.0;
}

static void hop_close(struct input *input)
{
    if (input) {
        struct kafka_hop *hop = hop_of(input);
        hop->inner->ops->close(hop->inner);
        kafka_hop_destroy(hop);
    }
}

static const struct input_ops hop_input_ops = {
    .next = hop_next,
    .unread = hop_unread,
    .position = hop_position,
    .seek = hop_seek,
    .release = hop_release,
    .progress = hop_progress,
    .close = hop_close,
};

/* ---- life ---- */

enum status kafka_hop_create(const struct kafka_hop_options *options, struct kafka_hop **ret_hop,
                             struct error *error)
{
    assert(options->partition_count <= ORIGINS_MAX);
    struct kafka_hop *hop = calloc(1, sizeof(*hop));
    if (!hop) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    hop->input.ops = &hop_input_ops;
    hop->sender.ops = &sender_ops;
    hop->options = *options;
    hop->words.count = options->partition_count;
    hop->pending = calloc(PENDING_MAX, sizeof(*hop->pending));
    arena_init(&hop->keys, ARENA_BLOCK_BYTES);
    enum status status = kafka_route_batch_init(&hop->routed, error);
    if (status == STATUS_OK && !hop->pending) {
        status = error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    if (status != STATUS_OK) {
        kafka_hop_destroy(hop);
        return status;
    }
    *ret_hop = hop;
    return STATUS_OK;
}

void kafka_hop_destroy(struct kafka_hop *hop)
{
    if (hop) {
        forget_pending(hop);
        kafka_route_batch_release(&hop->routed);
        arena_release(&hop->keys);
        free(hop->pending);
        free(hop);
    }
}

struct kafka_route_batch *kafka_hop_routed(struct kafka_hop *hop)
{
    return &hop->routed;
}

struct input *kafka_hop_attach(struct kafka_hop *hop, struct input *input)
{
    hop->inner = input;
    return &hop->input;
}

struct task_sender *kafka_hop_sender(struct kafka_hop *hop)
{
    return &hop->sender;
}

uint64_t kafka_hop_sent(const struct kafka_hop *hop)
{
    return hop->sent;
}
