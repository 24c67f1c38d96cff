#include "pipeline/output/topic_schemas.h"

static const struct output_field dead_letter_fields[] = {
    {.name = "source",
     .type = OUTPUT_TEXT,
     .doc = "File or topic that the record came from, before it was sent on."},
    {.name = "partition",
     .type = OUTPUT_TEXT,
     .doc = "Partition of that topic, or number of the file."},
    {.name = "ordinal",
     .type = OUTPUT_LONG,
     .doc = "Offset of the record in its partition, or number in the file, from 0."},
    {.name = "byte_position",
     .type = OUTPUT_LONG,
     .doc = "Byte at which the record, or the Avro block that holds it, starts in the uncompressed "
            "input."},
    {.name = "reason",
     .type = OUTPUT_TEXT,
     .doc = "Why it was rejected, as one word of a fixed list."},
    {.name = "detail",
     .type = OUTPUT_TEXT,
     .is_nullable = true,
     .privacy = PRIVACY_CONTENT,
     .doc = "The field, the start of its value and what was expected; null where the reason says "
            "it all."},
    {.name = "content",
     .type = OUTPUT_BYTES,
     .is_nullable = true,
     .privacy = PRIVACY_IDENTITY,
     .doc = "The record's bytes as they came, cut after the length that dead letters keep; null "
            "where the configuration leaves them out."},
    {.name = "length",
     .type = OUTPUT_LONG,
     .doc = "Length in bytes of the whole record, as far as the input has it."},
    {.name = "sha256",
     .type = OUTPUT_TEXT,
     .privacy = PRIVACY_QUASI,
     .doc = "SHA-256 of all bytes of the record, as far as the input has it, 64 hexadecimal "
            "digits."},
};

const struct output_schema dead_letter_schema = {
    .name = "dead_letter",
    .doc = "An input record that could not be taken as an event.",
    .fields = dead_letter_fields,
    .field_count = FIELD_COUNT(dead_letter_fields),
};
