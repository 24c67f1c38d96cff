/* Values of Avro C as JSON text, as the JSON writer of the same record makes it. */
#ifndef PIPELINE_OUTPUT_AVRO_JSON_H
#define PIPELINE_OUTPUT_AVRO_JSON_H

#include <avro.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/output/output.h"

/*
 * Appends a record. Fields that `schema` does not know are written by their Avro type. False where
 * the value cannot be read.
 */
MUST_CHECK bool avro_json_append_record(const avro_value_t *value,
                                        const struct output_schema *schema,
                                        struct byte_buffer *json);

#endif
