#include <stdlib.h>

#include "pipeline/event/decoder_formats.h"
#include "pipeline/event/json_reader.h"

struct json_decoder {
    struct decoder decoder;
    struct json_reader *reader;
};

static enum rejection_reason reason_of(enum json_result result)
{
    switch (result) {
    case JSON_BAD_UTF8:
        return REJECTION_BAD_UTF8;
    case JSON_TOO_MANY:
        return REJECTION_OUT_OF_RANGE;
    default:
        return REJECTION_NOT_PARSED;
    }
}

static bool attributes_of(const struct json_members *members, struct arena *arena,
                          struct attribute_list *ret_attributes)
{
    *ret_attributes = (struct attribute_list){.count = members->count};
    if (members->count == 0) {
        return true;
    }
    struct attribute *items = arena_array(arena, struct attribute, members->count);
    if (!items) {
        return false;
    }
    for (uint32_t i = 0; i < members->count; i++) {
        items[i] = (struct attribute){.name = members->texts[2 * (size_t)i],
                                      .value = members->texts[2 * (size_t)i + 1]};
    }
    ret_attributes->items = items;
    return true;
}

static enum mapping_result decode(struct decoder *decoder, struct text bytes,
                                  struct event_batch *batch, uint32_t row,
                                  struct rejection *ret_rejection)
{
    struct json_decoder *self = (struct json_decoder *)decoder;
    struct json_members members;
    enum json_result result =
        json_reader_read(self->reader, bytes, &batch->arena, decoder->values, &members,
                         ret_rejection->detail, sizeof(ret_rejection->detail));
    if (result == JSON_NO_MEMORY) {
        return MAPPING_FAILED;
    }
    if (result != JSON_OK) {
        ret_rejection->reason = reason_of(result);
        return MAPPING_REJECTED;
    }
    if (!decoder->is_canonical) {
        return decoder_map(decoder, batch, row, ret_rejection);
    }
    struct attribute_list attributes;
    if (!attributes_of(&members, &batch->arena, &attributes)) {
        return MAPPING_FAILED;
    }
    return canonical_fill_row(decoder->values, attributes, batch, row, ret_rejection);
}

static void destroy(struct decoder *decoder)
{
    struct json_decoder *self = (struct json_decoder *)decoder;
    json_reader_destroy(self->reader);
    free(self);
}

static const struct decoder_ops json_decoder_ops = {decode, destroy};

enum status json_decoder_create(const struct mapping *mapping, struct decoder **ret_decoder,
                                struct error *error)
{
    struct json_decoder *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "JSON decoder: out of memory");
    }
    self->decoder.ops = &json_decoder_ops;
    const struct text_list *wanted = mapping_source_fields(mapping);
    self->reader =
        mapping_is_canonical(mapping)
            ? json_reader_create(canonical_names, FIELD_ATTRIBUTES,
                                 event_fields[FIELD_ATTRIBUTES].name, EVENT_ATTRIBUTES_MAX)
            : json_reader_create((const char *const *)wanted->items, wanted->count, NULL, 0);
    if (!self->reader) {
        free(self);
        return error_set(error, STATUS_FATAL, "JSON decoder: out of memory");
    }
    *ret_decoder = &self->decoder;
    return STATUS_OK;
}
