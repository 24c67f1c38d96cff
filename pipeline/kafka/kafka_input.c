#include "pipeline/kafka/kafka_input.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/arena.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/kafka/kafka_hop_mark.h"
#include "pipeline/kafka/kafka_route_mark.h"
#include "pipeline/limits.h"
#include "pipeline/run/origin_clock.h"
#include "pipeline/stage.h" /* container_of */

#define ARENA_BLOCK_BYTES (256u << 10)

#define HEADERS_MAX 64u
#define BYTES_MAX ((size_t)16 << 20)

#define NONE UINT32_MAX

/* The partition of one topic. */
struct source {
    struct kafka_fetch fetch;
    const rd_kafka_message_t *head; /* Fetched and not taken; NULL: none is known. */
};

struct kafka_input {
    struct input input;
    struct kafka_input_options options;
    struct source *sources; /* [places->count] */
    struct wire_decoder *decoder;
    bool wants_headers;                /* The mapping reads some. */
    uint32_t last;                     /* Whose record was taken last. */
    const rd_kafka_message_t *message; /* That record. */
    uint64_t ordinal;                  /* Its number. */
    uint32_t at_end;                   /* Of the sources, when it was. */
    bool comes_again;                  /* That record, before any other. */
    struct digest whole;               /* Of that record, where it was cut. */
    bool has_ended[ORIGINS_MAX];       /* Origins. */
    const float *carried;              /* What that record brings along; NULL: nothing. */
    struct arena bytes; /* Of the records since release: decoders read beyond a record's end. */
};

static struct kafka_input *self_of(struct input *input)
{
    return container_of(input, struct kafka_input, input);
}

/* A copy that lives until release, with readable bytes behind it; data NULL: no memory. */
static struct text copy_bytes(struct kafka_input *self, const void *bytes, size_t length)
{
    char *copy = arena_take(&self->bytes, length + RAW_RECORD_PADDING);
    if (!copy) {
        return (struct text){NULL, 0};
    }
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    memset(copy + length, 0, RAW_RECORD_PADDING);
    return (struct text){copy, (uint32_t)length};
}

/* False: no memory. */
static bool copy_headers(struct kafka_input *self, const rd_kafka_message_t *from,
                         struct wire_message *message)
{
    rd_kafka_headers_t *headers;
    if (!self->wants_headers ||
        rd_kafka_message_headers(from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return true;
    }
    struct wire_header *copies = arena_array(&self->bytes, struct wire_header, HEADERS_MAX);
    uint32_t count = 0;
    const char *name;
    const void *value;
    size_t length;
    while (copies && count < HEADERS_MAX &&
           rd_kafka_header_get_all(headers, count, &name, &value, &length) ==
               RD_KAFKA_RESP_ERR_NO_ERROR) {
        copies[count].name = copy_bytes(self, name, strlen(name));
        copies[count].value = value ? copy_bytes(self, value, length) : (struct text){NULL, 0};
        if (!copies[count].name.data || (value && !copies[count].value.data)) {
            return false;
        }
        count++;
    }
    message->headers = copies;
    message->header_count = count;
    return copies != NULL;
}

/* Copies the record to where it stays. False: no memory. */
static bool take_record(struct kafka_input *self, const rd_kafka_message_t *from,
                        struct raw_record *raw, struct wire_message *message)
{
    size_t length = from->payload ? from->len : 0;
    bool is_too_long = length > RAW_RECORD_BYTES_MAX;
    *raw = (struct raw_record){
        .position.ordinal = self->ordinal,
        /* The whole of it, since a dead letter has its length and hash. */
        .bytes = copy_bytes(self, from->payload, length < BYTES_MAX ? length : BYTES_MAX),
        .defect = is_too_long ? REJECTION_TOO_LONG : REJECTION_NONE,
    };
    *message = (struct wire_message){
        .topic = text_of(self->options.topics[self->last]),
        .partition = self->options.partition,
        .timestamp_ms = rd_kafka_message_timestamp(from, NULL),
    };
    if (from->payload) {
        message->payload = raw->bytes;
    }
    if (from->key) {
        message->key = copy_bytes(self, from->key, from->key_len);
    }
    return raw->bytes.data && (!from->key || message->key.data) &&
           copy_headers(self, from, message);
}

static void kafka_input_unread(struct input *input)
{
    struct kafka_input *self = self_of(input);
    kafka_places_untake(self->options.places, self->last, self->message->offset);
    kafka_traces_unkeep(self->options.traces, self->ordinal);
    self->sources[self->last].head = self->message;
    self->comes_again = true;
}

static enum status decode(struct kafka_input *self, const struct wire_message *message,
                          struct event_batch *batch, uint32_t row, struct input_item *item,
                          struct error *error)
{
    switch (wire_decoder_decode(self->decoder, message, batch, row, &item->rejection)) {
    case WIRE_EVENT:
        item->result = INPUT_EVENT;
        return STATUS_OK;
    case WIRE_REJECTED:
        item->result = INPUT_REJECTED;
        return STATUS_OK;
    case WIRE_SKIPPED:
        item->result = INPUT_SKIPPED;
        return STATUS_OK;
    case WIRE_WAIT:
        kafka_input_unread(&self->input);
        item->result = INPUT_WAIT;
        return STATUS_OK;
    case WIRE_FAILED:
        break;
    }
    return error_set(error, STATUS_FATAL, "kafka: out of memory for an event");
}

/* Looks at the next record of a source, where one has come. */
static enum status look(struct kafka_input *self, uint32_t index, struct error *error)
{
    struct source *source = &self->sources[index];
    enum status status = STATUS_OK;
    if (!source->head) {
        do {
            status = kafka_fetch_next(&source->fetch, 0, &source->head, error);
            /* An offset before the one asked for would be a record that was read already. */
        } while (status == STATUS_OK && source->head &&
                 source->head->offset < self->options.places->now.offsets[index]);
    }
    return status;
}

static bool is_before(const struct source *a, const struct source *b)
{
    return rd_kafka_message_timestamp(a->head, NULL) < rd_kafka_message_timestamp(b->head, NULL);
}

/* Whose record comes next: NONE while there is none, or an earlier one may be on its way. */
static enum status choose(struct kafka_input *self, uint32_t *ret_index, bool *ret_has_ended,
                          struct error *error)
{
    uint32_t count = self->options.places->count;
    uint32_t first = NONE;
    uint32_t at_end = 0;
    bool is_complete = true;
    for (uint32_t i = 0; i < count; i++) {
        enum status status = look(self, i, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (!self->sources[i].head) {
            bool has_ended = self->sources[i].fetch.end >= 0;
            at_end |= has_ended ? 1u << i : 0;
            is_complete = is_complete && has_ended;
        } else if (first == NONE || is_before(&self->sources[i], &self->sources[first])) {
            first = i;
        }
    }
    self->at_end = at_end;
    *ret_has_ended = is_complete && first == NONE;
    *ret_index = is_complete ? first : NONE;
    return STATUS_OK;
}

/* Takes the next record from its source; *ret_message NULL: there is none at the moment. */
static enum status take_next(struct kafka_input *self, const rd_kafka_message_t **ret_message,
                             bool *ret_has_ended, struct error *error)
{
    uint32_t index = self->last;
    *ret_message = NULL;
    *ret_has_ended = false;
    if (!self->comes_again) {
        enum status status = choose(self, &index, ret_has_ended, error);
        if (status != STATUS_OK || index == NONE) {
            return status;
        }
    }
    const rd_kafka_message_t *message = self->sources[index].head;
    struct kafka_places *places = self->options.places;
    /* The number of the only topic's record is its offset, also where the topic has gaps. */
    if (!places->is_counting) {
        places->now.ordinal = (uint64_t)message->offset;
    }
    uint64_t ordinal = places->now.ordinal;
    if (!kafka_places_take(places, index, message->offset, self->at_end)) {
        return STATUS_OK;
    }
    kafka_traces_keep(self->options.traces, ordinal, message);
    self->ordinal = ordinal;
    self->comes_again = false;
    self->last = index;
    self->message = message;
    self->sources[index].head = NULL;
    *ret_message = message;
    return STATUS_OK;
}

static bool have_origins_ended(const struct kafka_input *self)
{
    for (uint32_t i = 0; i < self->options.origin_count; i++) {
        if (!self->has_ended[i]) {
            return false;
        }
    }
    return true;
}

/* The bytes of a header, data NULL: there is none. */
static struct text find_header(const rd_kafka_message_t *from, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *bytes = NULL;
    size_t length = 0;
    if (rd_kafka_message_headers(from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &bytes, &length) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        bytes = NULL;
    }
    return (struct text){bytes, bytes ? (uint32_t)length : 0};
}

static void reject_stranger(struct input_item *item, const char *header)
{
    item->rejection.reason = REJECTION_NOT_PARSED;
    (void)snprintf(item->rejection.detail, sizeof(item->rejection.detail),
                   "header %s expected: written by another program", header);
    item->result = INPUT_REJECTED;
}

/* False: the record was not sent on by a route of this application. */
static bool read_mark(const struct kafka_input *self, const rd_kafka_message_t *from,
                      struct kafka_route_mark *ret_mark)
{
    struct text header = find_header(from, KAFKA_ROUTE_HEADER);
    return header.data && kafka_route_mark_read(header.data, header.length, ret_mark) &&
           ret_mark->partition < self->options.origin_count;
}

static enum status refuse_hop(const struct kafka_input *self, const rd_kafka_message_t *from,
                              const char *what, struct error *error)
{
    return error_set(error, STATUS_INVALID,
                     "kafka: topic %s, partition %d, offset %lld: header %s %s: another version of "
                     "the program has sent it, which is to read what it has sent before this one "
                     "goes on",
                     self->options.topics[self->last], (int)self->options.partition,
                     (long long)from->offset, KAFKA_HOP_HEADER, what);
}

/* What the hop before says of the record: item->result is INPUT_MARK, INPUT_EVENT (what it is is
 * still to be seen) or INPUT_REJECTED. */
static enum status take_hop(struct kafka_input *self, const rd_kafka_message_t *from,
                            struct input_item *item, struct error *error)
{
    const struct carried_columns *carried = self->options.carried;
    struct kafka_hop_mark mark;
    struct text header = find_header(from, KAFKA_HOP_HEADER);
    enum kafka_hop_reading reading =
        header.data ? kafka_hop_mark_read(header.data, header.length, &mark) : KAFKA_HOP_NONE;
    if (reading == KAFKA_HOP_OTHER_VERSION) {
        return refuse_hop(self, from, "is not of version 1", error);
    }
    if (reading == KAFKA_HOP_NONE || mark.partition >= self->options.origin_count) {
        item->origin.is_known = false;
        reject_stranger(item, KAFKA_HOP_HEADER);
        return STATUS_OK;
    }
    if (mark.count > 0 && (mark.count != carried->count || mark.columns_hash != carried->hash)) {
        return refuse_hop(self, from, "has other features than those that are known here", error);
    }
    item->origin.partition = mark.partition;
    item->origin.mark_ms = mark.mark_ms;
    self->has_ended[mark.partition] = mark.flags & KAFKA_HOP_ENDED;
    item->result = mark.flags & KAFKA_HOP_MARKER ? INPUT_MARK : INPUT_EVENT;
    if (mark.count > 0) {
        float *values = arena_array(&self->bytes, float, mark.count);
        if (!values) {
            return error_set(error, STATUS_FATAL, "kafka: out of memory for a record");
        }
        memcpy(values, mark.values, mark.count * sizeof(values[0]));
        self->carried = values;
    }
    return STATUS_OK;
}

/* Where the record was before it was sent on; item->result as of take_hop(). */
static enum status take_origin(struct kafka_input *self, const rd_kafka_message_t *from,
                               struct input_item *item, struct wire_message *message,
                               struct error *error)
{
    struct kafka_route_mark mark;
    self->carried = NULL;
    if (!read_mark(self, from, &mark)) {
        reject_stranger(item, KAFKA_ROUTE_HEADER);
        return STATUS_OK;
    }
    item->origin = (struct input_origin){
        .is_known = true,
        .is_ahead = mark.flags & KAFKA_ROUTE_AHEAD,
        .partition = mark.partition,
        .mark_ms = mark.mark_ms,
        .first_partition = mark.partition,
        .first_ms = mark.mark_ms,
    };
    item->result = mark.flags & KAFKA_ROUTE_MARKER ? INPUT_MARK : INPUT_EVENT;
    if (self->options.carried) {
        enum status status = take_hop(self, from, item, error);
        if (status != STATUS_OK || item->result == INPUT_REJECTED) {
            return status;
        }
    } else {
        self->has_ended[mark.partition] = mark.flags & KAFKA_ROUTE_ENDED;
    }
    if (item->result == INPUT_MARK) {
        return STATUS_OK;
    }
    message->topic = copy_bytes(self, mark.topic.data, mark.topic.length);
    message->partition = (int32_t)mark.partition;
    message->timestamp_ms = mark.timestamp_ms;
    item->source = message->topic;
    item->offset = (uint64_t)mark.offset;
    if (mark.flags & KAFKA_ROUTE_CUT) {
        self->whole = mark.whole;
        item->raw.whole = &self->whole;
        item->raw.defect = REJECTION_TOO_LONG;
    }
    if (mark.flags & KAFKA_ROUTE_STRANGE) {
        reject_stranger(item, KAFKA_ROUTE_HEADER);
    }
    return STATUS_OK;
}

static enum status kafka_input_next(struct input *input, struct event_batch *batch, uint32_t row,
                                    struct input_item *ret_item, struct error *error)
{
    struct kafka_input *self = self_of(input);
    const rd_kafka_message_t *from = NULL;
    bool has_ended = false;
    enum status status = take_next(self, &from, &has_ended, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!from) {
        has_ended = has_ended && self->options.ends && have_origins_ended(self);
        ret_item->result = has_ended ? INPUT_END : INPUT_WAIT;
        return STATUS_OK;
    }
    struct wire_message message;
    if (!take_record(self, from, &ret_item->raw, &message)) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory for a record");
    }
    ret_item->source = message.topic;
    ret_item->offset = (uint64_t)from->offset;
    if (self->options.origin_count > 0) {
        status = take_origin(self, from, ret_item, &message, error);
        if (status != STATUS_OK || ret_item->result != INPUT_EVENT) {
            return status;
        }
        if (self->options.has_hops) {
            batch->carried[row] = self->carried;
        }
    }
    if (ret_item->raw.defect != REJECTION_NONE) {
        const struct digest *whole = ret_item->raw.whole;
        ret_item->rejection.reason = ret_item->raw.defect;
        (void)snprintf(ret_item->rejection.detail, sizeof(ret_item->rejection.detail),
                       "%llu bytes, at most %u expected",
                       whole ? (unsigned long long)whole->length : from->len, RAW_RECORD_BYTES_MAX);
        ret_item->result = INPUT_REJECTED;
        return STATUS_OK;
    }
    return decode(self, &message, batch, row, ret_item, error);
}

static struct input_position kafka_input_position(const struct input *input)
{
    const struct kafka_input *self = container_of(input, const struct kafka_input, input);
    return (struct input_position){.ordinal = self->options.places->now.ordinal};
}

/* To where the last commit ended, which is the only place that a task asks for. */
static enum status kafka_input_seek(struct input *input, const struct input_position *position,
                                    struct error *error)
{
    struct kafka_input *self = self_of(input);
    struct kafka_places *places = self->options.places;
    assert(position->ordinal == places->committed.ordinal);
    kafka_places_rewind(places);
    kafka_traces_forget(self->options.traces);
    self->comes_again = false;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < places->count && status == STATUS_OK; i++) {
        self->sources[i].head = NULL;
        status = kafka_fetch_start(&self->sources[i].fetch, self->options.fetcher,
                                   self->options.topics[i], self->options.partition,
                                   places->now.offsets[i], error);
    }
    return status;
}

static void kafka_input_release(struct input *input)
{
    arena_reset(&self_of(input)->bytes);
}

const rd_kafka_message_t *kafka_input_message(const struct input *input, uint32_t *ret_topic)
{
    const struct kafka_input *self = container_of(input, const struct kafka_input, input);
    *ret_topic = self->last;
    return self->message;
}

static double kafka_input_progress(const struct input *input)
{
    (void)input;
    return -1.0;
}

static void kafka_input_close(struct input *input)
{
    if (input) {
        struct kafka_input *self = self_of(input);
        for (uint32_t i = 0; self->sources && i < self->options.places->count; i++) {
            kafka_fetch_stop(&self->sources[i].fetch);
        }
        wire_decoder_destroy(self->decoder);
        arena_release(&self->bytes);
        free(self->sources);
        free(self);
    }
}

static const struct input_ops kafka_input_ops = {
    .next = kafka_input_next,
    .unread = kafka_input_unread,
    .position = kafka_input_position,
    .seek = kafka_input_seek,
    .release = kafka_input_release,
    .progress = kafka_input_progress,
    .close = kafka_input_close,
};

enum status kafka_input_open(const struct kafka_input_options *options, struct input **ret_input,
                             struct error *error)
{
    struct kafka_input *self = calloc(1, sizeof(*self));
    struct source *sources = calloc(options->places->count, sizeof(*sources));
    if (!self || !sources) {
        free(self);
        free(sources);
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    self->input.ops = &kafka_input_ops;
    self->options = *options;
    self->sources = sources;
    arena_init(&self->bytes, ARENA_BLOCK_BYTES);
    const struct wire_decoder_options decoder = {
        .format = options->format,
        .name = options->topics[0],
        .schema = options->schema,
        .registry = options->registry,
    };
    const struct text_list *fields = mapping_source_fields(options->mapping);
    for (size_t i = 0; i < fields->count; i++) {
        self->wants_headers =
            self->wants_headers || strncmp(fields->items[i], "kafka.header.", 13) == 0;
    }
    enum status status = wire_decoder_create(options->mapping, &decoder, &self->decoder, error);
    if (status != STATUS_OK) {
        kafka_input_close(&self->input);
        return status;
    }
    *ret_input = &self->input;
    return STATUS_OK;
}
