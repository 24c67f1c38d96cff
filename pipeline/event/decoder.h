/* Turns raw records of one format into rows of a batch, by way of a mapping. */
#ifndef PIPELINE_EVENT_DECODER_H
#define PIPELINE_EVENT_DECODER_H

#include "pipeline/event/mapping.h"
#include "pipeline/source/source.h"

struct decoder;

/*
 * Borrows `mapping` and `source` (for the CSV header or the Avro writer's schema). STATUS_INVALID
 * when the input cannot have the fields that the mapping needs: the message names file and field.
 */
MUST_CHECK enum status decoder_create(const struct mapping *mapping,
                                      const struct source_options *options,
                                      const struct source *source, struct decoder **ret_decoder,
                                      struct error *error);
void decoder_destroy(struct decoder *decoder); /* NULL is a no-op. */

/*
 * For messages, which come without a file: INPUT_JSONL, or INPUT_AVRO by the writer's `schema`
 * (JSON; NULL for other formats). `name` stands for the topic or schema in messages. Borrows
 * `mapping`. STATUS_INVALID where the schema does not resolve to what the mapping or the canonical
 * event wants, naming the field: a canonical event needs event_time and type; a field that is there
 * must have a type that can become what is wanted. A field of the mapping that the schema lacks is
 * missing in its records, as writers may drop fields; but one of them must be there. Of a union,
 * one branch must do; a record with another one is rejected.
 */
MUST_CHECK enum status decoder_create_for_messages(const struct mapping *mapping, const char *name,
                                                   enum input_format format, const char *schema,
                                                   struct decoder **ret_decoder,
                                                   struct error *error);

/* Source fields with this beginning stand beside a message's payload, never in it. */
#define OUTER_FIELD_PREFIX "kafka."

/* The value of one source field that stands beside the payload. */
struct outer_field {
    uint32_t index; /* Into mapping_source_fields(). */
    struct field_value value;
};

/* For the decodes that follow; borrowed until the next call. Unused by canonical events. */
void decoder_set_outer(struct decoder *decoder, const struct outer_field *fields, uint32_t count);

/*
 * Decodes `raw` into row `row` of `batch`. Texts point into raw->bytes, the batch's arena or, for
 * an Avro enum's symbols, the decoder. A record with a defect is rejected with it.
 */
enum mapping_result decoder_decode(struct decoder *decoder, const struct raw_record *raw,
                                   struct event_batch *batch, uint32_t row,
                                   struct rejection *ret_rejection);

#endif
