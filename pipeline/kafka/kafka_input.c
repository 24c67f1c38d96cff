#include "pipeline/kafka/kafka_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/arena.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/limits.h"
#include "pipeline/stage.h" /* container_of */

#define ARENA_BLOCK_BYTES (256u << 10)

#define HEADERS_MAX 64u

struct kafka_input {
    struct input input;
    struct kafka_input_options options;
    char *topic; /* What options.topic points to. */
    struct wire_decoder *decoder;
    bool wants_headers; /* The mapping reads some. */
    struct kafka_fetch fetch;
    struct arena bytes; /* Of the records since release: decoders read beyond a record's end. */
    int64_t next_offset;
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
        .position.ordinal = (uint64_t)from->offset,
        .bytes = copy_bytes(self, from->payload, is_too_long ? RAW_RECORD_BYTES_MAX : length),
        .defect = is_too_long ? REJECTION_TOO_LONG : REJECTION_NONE,
    };
    *message = (struct wire_message){
        .topic = text_of(self->topic),
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
        kafka_fetch_unread(&self->fetch);
        self->next_offset = (int64_t)item->raw.position.ordinal;
        item->result = INPUT_WAIT;
        return STATUS_OK;
    case WIRE_FAILED:
        break;
    }
    return error_set(error, STATUS_FATAL, "kafka: out of memory for an event");
}

static enum status kafka_input_next(struct input *input, struct event_batch *batch, uint32_t row,
                                    struct input_item *ret_item, struct error *error)
{
    struct kafka_input *self = self_of(input);
    const rd_kafka_message_t *from = NULL;
    enum status status;
    do {
        status = kafka_fetch_next(&self->fetch, 0, &from, error);
        /* An offset before the one asked for would be a record that was read already. */
    } while (status == STATUS_OK && from && from->offset < self->next_offset);
    if (status != STATUS_OK) {
        return status;
    }
    if (!from) {
        bool has_ended = self->fetch.end >= 0;
        ret_item->result = has_ended && self->options.ends ? INPUT_END : INPUT_WAIT;
        return STATUS_OK;
    }
    struct wire_message message;
    if (!take_record(self, from, &ret_item->raw, &message)) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory for a record");
    }
    self->next_offset = from->offset + 1;
    if (ret_item->raw.defect != REJECTION_NONE) {
        ret_item->rejection.reason = ret_item->raw.defect;
        (void)snprintf(ret_item->rejection.detail, sizeof(ret_item->rejection.detail),
                       "%zu bytes, at most %u expected", from->len, RAW_RECORD_BYTES_MAX);
        ret_item->result = INPUT_REJECTED;
        return STATUS_OK;
    }
    return decode(self, &message, batch, row, ret_item, error);
}

static void kafka_input_unread(struct input *input)
{
    struct kafka_input *self = self_of(input);
    kafka_fetch_unread(&self->fetch);
    self->next_offset = self->fetch.messages[self->fetch.taken]->offset;
}

static struct input_position kafka_input_position(const struct input *input)
{
    const struct kafka_input *self = container_of(input, const struct kafka_input, input);
    return (struct input_position){.ordinal = (uint64_t)self->next_offset};
}

static enum status kafka_input_seek(struct input *input, const struct input_position *position,
                                    struct error *error)
{
    struct kafka_input *self = self_of(input);
    self->next_offset = (int64_t)position->ordinal;
    return kafka_fetch_start(&self->fetch, self->options.fetcher, self->topic,
                             self->options.partition, self->next_offset, error);
}

static void kafka_input_release(struct input *input)
{
    arena_reset(&self_of(input)->bytes);
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
        kafka_fetch_stop(&self->fetch);
        wire_decoder_destroy(self->decoder);
        arena_release(&self->bytes);
        free(self->topic);
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
    char *topic = strdup(options->topic);
    if (!self || !topic) {
        free(self);
        free(topic);
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    self->input.ops = &kafka_input_ops;
    self->options = *options;
    self->options.topic = topic;
    self->topic = topic;
    arena_init(&self->bytes, ARENA_BLOCK_BYTES);
    const struct wire_decoder_options decoder = {
        .format = options->format,
        .name = topic,
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
