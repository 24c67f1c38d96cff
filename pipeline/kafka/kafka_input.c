#include "pipeline/kafka/kafka_input.h"

#include <assert.h>
#include <stdlib.h>

#include "pipeline/base/arena.h"
#include "pipeline/event/decoder.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/limits.h"
#include "pipeline/stage.h" /* container_of */

#define ARENA_BLOCK_BYTES (256u << 10)

struct kafka_input {
    struct input input;
    struct kafka_input_options options;
    char *topic; /* What options.topic points to. */
    struct decoder *decoder;
    struct kafka_fetch fetch;
    struct arena bytes; /* Of the records since release: decoders read beyond a record's end. */
    int64_t next_offset;
};

static struct kafka_input *self_of(struct input *input)
{
    return container_of(input, struct kafka_input, input);
}

/* Copies the record to where bytes behind its end may be read. */
static enum status take_record(struct kafka_input *self, const rd_kafka_message_t *message,
                               struct raw_record *raw, struct error *error)
{
    *raw = (struct raw_record){.position.ordinal = (uint64_t)message->offset};
    size_t length = message->payload ? message->len : 0;
    if (length > RAW_RECORD_BYTES_MAX) {
        raw->defect = REJECTION_TOO_LONG;
        length = DEAD_LETTER_BYTES_MAX;
    }
    char *copy = arena_take(&self->bytes, length + RAW_RECORD_PADDING);
    if (!copy) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory for a record");
    }
    if (length > 0) {
        memcpy(copy, message->payload, length);
    }
    memset(copy + length, 0, RAW_RECORD_PADDING);
    raw->bytes = (struct text){copy, (uint32_t)length};
    return STATUS_OK;
}

static enum status kafka_input_next(struct input *input, struct event_batch *batch, uint32_t row,
                                    struct input_item *ret_item, struct error *error)
{
    struct kafka_input *self = self_of(input);
    const rd_kafka_message_t *message = NULL;
    enum status status;
    do {
        status = kafka_fetch_next(&self->fetch, 0, &message, error);
        /* An offset before the one asked for would be a record that was read already. */
    } while (status == STATUS_OK && message && message->offset < self->next_offset);
    if (status != STATUS_OK) {
        return status;
    }
    if (!message) {
        bool has_ended = self->fetch.end >= 0;
        ret_item->result = has_ended && self->options.ends ? INPUT_END : INPUT_WAIT;
        return STATUS_OK;
    }
    status = take_record(self, message, &ret_item->raw, error);
    if (status != STATUS_OK) {
        return status;
    }
    self->next_offset = message->offset + 1;
    static const enum input_result results[] = {
        [MAPPING_EVENT] = INPUT_EVENT,
        [MAPPING_REJECTED] = INPUT_REJECTED,
        [MAPPING_SKIPPED] = INPUT_SKIPPED,
    };
    enum mapping_result result =
        decoder_decode(self->decoder, &ret_item->raw, batch, row, &ret_item->rejection);
    if (result == MAPPING_FAILED) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory for an event");
    }
    ret_item->result = results[result];
    return STATUS_OK;
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
        decoder_destroy(self->decoder);
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
    const struct source_options source = {.path = topic, .format = options->format};
    enum status status = decoder_create_for_schema(options->mapping, &source, options->schema,
                                                   &self->decoder, error);
    if (status != STATUS_OK) {
        kafka_input_close(&self->input);
        return status;
    }
    *ret_input = &self->input;
    return STATUS_OK;
}
