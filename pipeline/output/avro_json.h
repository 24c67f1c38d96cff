/* Records in Avro's binary encoding as JSON text, as the JSON lines writer makes it. */
#ifndef PIPELINE_OUTPUT_AVRO_JSON_H
#define PIPELINE_OUTPUT_AVRO_JSON_H

#include <avro.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/output/avro_file.h"
#include "pipeline/output/output.h"

/*
 * Appends one record, written by `type`. `schema` tells which longs are times, since Avro C does
 * not know logical types; fields that it does not know are written by their Avro type. A failure
 * stands in the input.
 */
void avro_json_append(struct avro_input *input, avro_schema_t type,
                      const struct output_schema *schema, struct byte_buffer *json);

#endif
