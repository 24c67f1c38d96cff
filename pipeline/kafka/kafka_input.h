/*
 * One partition of a topic, or of several topics, as a task's input; kafka_places.h says how
 * records are numbered and in what order they come. While a topic may have records that have not
 * come yet, the others wait for it.
 */
#ifndef PIPELINE_KAFKA_KAFKA_INPUT_H
#define PIPELINE_KAFKA_KAFKA_INPUT_H

#include <librdkafka/rdkafka.h>

#include "pipeline/event/feature_set.h"
#include "pipeline/kafka/kafka_places.h"
#include "pipeline/kafka/kafka_traces.h"
#include "pipeline/run/input.h"
#include "pipeline/wire/wire_decoder.h"

struct kafka_input_options {
    rd_kafka_t *fetcher;         /* Borrowed. */
    const char *const *topics;   /* Borrowed, as what follows; [places->count] */
    struct kafka_places *places; /* Where to go on when the input is sought. */
    struct kafka_traces *traces;
    int32_t partition;
    enum wire_format format;
    const char *schema;               /* JSON text of the writers' schema for WIRE_AVRO. */
    struct schema_registry *registry; /* For WIRE_CONFLUENT. */
    const struct mapping *mapping;
    bool ends; /* Where the partition ended, INPUT_END instead of INPUT_WAIT. */
    /* Partitions that the records were sent on from: all of them have to end. 0: they were not. */
    uint32_t origin_count;
    bool has_hops; /* The batch's column carried is to be written. */
    /* Of a topic that a hop sends to: what its records bring along. NULL: routes send to it. */
    const struct carried_columns *carried;
};

MUST_CHECK enum status kafka_input_open(const struct kafka_input_options *options,
                                        struct input **ret_input, struct error *error);

/* The record that was taken last, as it came, and which of the topics it is from; until the next.
 */
const rd_kafka_message_t *kafka_input_message(const struct input *input, uint32_t *ret_topic);

#endif
