/* One partition of a topic as a task's input. The number of a record is its offset. */
#ifndef PIPELINE_KAFKA_KAFKA_INPUT_H
#define PIPELINE_KAFKA_KAFKA_INPUT_H

#include <librdkafka/rdkafka.h>

#include "pipeline/run/input.h"
#include "pipeline/wire/wire_decoder.h"

struct kafka_input_options {
    rd_kafka_t *fetcher; /* Borrowed. */
    const char *topic;   /* Copied. */
    int32_t partition;
    enum wire_format format;
    const char *schema;               /* JSON text of the writers' schema for WIRE_AVRO. */
    struct schema_registry *registry; /* Borrowed; for WIRE_CONFLUENT. */
    const struct mapping *mapping;    /* Borrowed. */
    bool ends; /* Where the partition ended, INPUT_END instead of INPUT_WAIT. */
};

MUST_CHECK enum status kafka_input_open(const struct kafka_input_options *options,
                                        struct input **ret_input, struct error *error);

#endif
