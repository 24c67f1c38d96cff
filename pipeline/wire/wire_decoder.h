/*
 * Messages of a topic to rows of a batch: JSON, Avro by one schema that is given, or Confluent's
 * wire format, where each message names its writer's schema. One a task, one thread; the registry
 * behind it may be shared. A plan is made once a schema id and kept.
 */
#ifndef PIPELINE_WIRE_WIRE_DECODER_H
#define PIPELINE_WIRE_WIRE_DECODER_H

#include "pipeline/event/decoder.h"
#include "pipeline/wire/schema_registry.h"

enum wire_format {
    WIRE_JSON,
    WIRE_AVRO,      /* Datums alone, by wire_decoder_options.schema. */
    WIRE_CONFLUENT, /* Framed, by the registry. */
};

struct wire_decoder_options {
    enum wire_format format;
    const char *name;                 /* Of the topic, in messages. Copied. */
    const char *schema;               /* WIRE_AVRO: the writers' schema as JSON. Not kept. */
    struct schema_registry *registry; /* WIRE_CONFLUENT. Borrowed. */
};

struct wire_decoder;

/*
 * Borrows `mapping`. STATUS_INVALID where WIRE_AVRO's schema does not resolve (decoder.h), or the
 * mapping wants a field beginning with "kafka." that there is not, naming the nearest.
 */
MUST_CHECK enum status wire_decoder_create(const struct mapping *mapping,
                                           const struct wire_decoder_options *options,
                                           struct wire_decoder **ret_decoder, struct error *error);
void wire_decoder_destroy(struct wire_decoder *decoder); /* NULL is a no-op. */

struct wire_header {
    struct text name;
    struct text value; /* data NULL: null. */
};

/*
 * A message as it came. All texts are borrowed and must live as long as the batch's row; behind
 * `payload` RAW_RECORD_PADDING bytes are read where the format is JSON, so they must be there. A
 * mapping has beside the payload's fields:
 *   kafka.key, kafka.topic, kafka.header.NAME   as text, whatever the bytes are
 *   kafka.partition, kafka.timestamp            as numbers; the latter in milliseconds since 1970
 * Of headers with one name the last counts, as in Kafka's own client.
 */
struct wire_message {
    struct text payload; /* data NULL: null, a tombstone. */
    struct text key;     /* data NULL: none. */
    struct text topic;
    int32_t partition;
    int64_t timestamp_ms; /* Negative: none. */
    const struct wire_header *headers;
    uint32_t header_count;
};

enum wire_result {
    WIRE_EVENT,
    WIRE_REJECTED,
    WIRE_SKIPPED,
    WIRE_WAIT,   /* The writer's schema is being asked for: the same message again, later. */
    WIRE_FAILED, /* Memory is exhausted. */
};

/*
 * Decodes into row `row`. A record whose schema does not resolve, is not known to the registry, or
 * (by the setting when_away) cannot be had, is rejected with the schema's id and the field's name.
 * WIRE_WAIT also sets ret_rejection->detail, to say what is waited for.
 */
enum wire_result wire_decoder_decode(struct wire_decoder *decoder,
                                     const struct wire_message *message, struct event_batch *batch,
                                     uint32_t row, struct rejection *ret_rejection);

struct wire_decoder_stats {
    uint64_t schemas;    /* Plans made. */
    uint64_t unresolved; /* Schemas that did not resolve. */
    uint64_t waits;      /* Messages that had to come again. */
};

struct wire_decoder_stats wire_decoder_stats(const struct wire_decoder *decoder);

#endif
