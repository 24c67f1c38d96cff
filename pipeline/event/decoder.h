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

/*
 * The same for records that come one by one, as messages: INPUT_JSONL, or INPUT_AVRO, datum after
 * datum without a container, written with `schema` (JSON text). options->path is for messages.
 */
MUST_CHECK enum status decoder_create_for_schema(const struct mapping *mapping,
                                                 const struct source_options *options,
                                                 const char *schema, struct decoder **ret_decoder,
                                                 struct error *error);
void decoder_destroy(struct decoder *decoder); /* NULL is a no-op. */

/*
 * Decodes `raw` into row `row` of `batch`. Texts point into raw->bytes, the batch's arena or, for
 * an Avro enum's symbols, the decoder. A record with a defect is rejected with it.
 */
enum mapping_result decoder_decode(struct decoder *decoder, const struct raw_record *raw,
                                   struct event_batch *batch, uint32_t row,
                                   struct rejection *ret_rejection);

#endif
