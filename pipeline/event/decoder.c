#include "pipeline/event/decoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/event/decoder_formats.h"

#define FIELD_NAME(ENUM, field_name, class, description) [FIELD_##ENUM] = (field_name),
const char *const canonical_names[FIELD_ATTRIBUTES] = {EVENT_TEXT_FIELDS(FIELD_NAME)
                                                           EVENT_NUMBER_FIELDS(FIELD_NAME)};

enum mapping_result decoder_reject(struct rejection *rejection, enum rejection_reason reason,
                                   const char *format, ...)
{
    rejection->reason = reason;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(rejection->detail, sizeof(rejection->detail), format, arguments);
    va_end(arguments);
    return MAPPING_REJECTED;
}

static enum status create(const struct mapping *mapping, const struct source_options *options,
                          const struct source *source, struct decoder **ret_decoder,
                          struct error *error)
{
    switch (options->format) {
    case INPUT_JSONL:
        return json_decoder_create(mapping, ret_decoder, error);
    case INPUT_CSV:
        return csv_decoder_create(mapping, options, source, ret_decoder, error);
    case INPUT_COMBINED_LOG:
        return log_decoder_create(mapping, options, ret_decoder, error);
    case INPUT_AVRO:
        return avro_decoder_create(mapping, options, source, ret_decoder, error);
    }
    return error_set(error, STATUS_INVALID, "%s: unknown input format %d", options->path,
                     (int)options->format);
}

/* What all formats have; takes `decoder`. */
static enum status complete(const struct mapping *mapping, struct decoder *decoder,
                            struct decoder **ret_decoder, struct error *error)
{
    assert(decoder);
    decoder->mapping = mapping;
    decoder->is_canonical = mapping_is_canonical(mapping);
    decoder->wanted = mapping_source_fields(mapping);
    size_t count = decoder->wanted->count > FIELD_ATTRIBUTES ? decoder->wanted->count
                                                             : (size_t)FIELD_ATTRIBUTES;
    decoder->values = calloc(count, sizeof(*decoder->values));
    if (!decoder->values) {
        decoder_destroy(decoder);
        return error_set(error, STATUS_FATAL, "decoder: out of memory");
    }
    *ret_decoder = decoder;
    return STATUS_OK;
}

enum status decoder_create(const struct mapping *mapping, const struct source_options *options,
                           const struct source *source, struct decoder **ret_decoder,
                           struct error *error)
{
    struct decoder *decoder = NULL;
    enum status status = create(mapping, options, source, &decoder, error);
    return status == STATUS_OK ? complete(mapping, decoder, ret_decoder, error) : status;
}

enum status decoder_create_for_messages(const struct mapping *mapping, const char *name,
                                        enum input_format format, const char *schema,
                                        struct decoder **ret_decoder, struct error *error)
{
    struct decoder *decoder = NULL;
    enum status status = STATUS_OK;
    if (format == INPUT_AVRO) {
        status = avro_message_decoder_create(mapping, name, schema, &decoder, error);
    } else if (format == INPUT_JSONL) {
        status = json_decoder_create(mapping, &decoder, error);
    } else {
        status = error_set(error, STATUS_INVALID, "%s: messages are JSON or Avro", name);
    }
    return status == STATUS_OK ? complete(mapping, decoder, ret_decoder, error) : status;
}

void decoder_set_outer(struct decoder *decoder, const struct outer_field *fields, uint32_t count)
{
    decoder->outer = fields;
    decoder->outer_count = count;
}

enum mapping_result decoder_map(struct decoder *decoder, struct event_batch *batch, uint32_t row,
                                struct rejection *ret_rejection)
{
    for (uint32_t i = 0; i < decoder->outer_count; i++) {
        decoder->values[decoder->outer[i].index] = decoder->outer[i].value;
    }
    return mapping_apply(decoder->mapping, decoder->values, batch, row, ret_rejection);
}

void decoder_destroy(struct decoder *decoder)
{
    if (decoder) {
        free(decoder->values);
        decoder->ops->destroy(decoder);
    }
}

enum mapping_result decoder_decode(struct decoder *decoder, const struct raw_record *raw,
                                   struct event_batch *batch, uint32_t row,
                                   struct rejection *ret_rejection)
{
    if (raw->defect != REJECTION_NONE) {
        return decoder_reject(ret_rejection, raw->defect, "%s", rejection_docs[raw->defect]);
    }
    return decoder->ops->decode(decoder, raw->bytes, batch, row, ret_rejection);
}
