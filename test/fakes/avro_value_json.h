/* Values of Avro C as JSON text, as the JSON writer of the same record makes it. */
#ifndef TEST_FAKES_AVRO_VALUE_JSON_H
#define TEST_FAKES_AVRO_VALUE_JSON_H

#include <avro.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/output/output.h"

/*
 * Appends a record. Fields that `schema` does not know are written by their Avro type. False where
 * the value cannot be read.
 */
MUST_CHECK bool avro_value_json(const avro_value_t *value, const struct output_schema *schema,
                                struct byte_buffer *json);

#endif
