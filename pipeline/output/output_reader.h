/*
 * Reads output files back, record by record, as the JSON text that the JSON lines writer makes: of
 * the same records, both formats give the same text. For `nudge explain` and for tests; not fast.
 */
#ifndef PIPELINE_OUTPUT_OUTPUT_READER_H
#define PIPELINE_OUTPUT_OUTPUT_READER_H

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"
#include "pipeline/output/output.h"

struct output_reader;

/*
 * Opens a file that ends in ".jsonl" or ".avro". `schema` is the topic's table, borrowed; it tells
 * which longs of an Avro file are times. STATUS_INVALID for a file that is missing or is neither.
 */
MUST_CHECK enum status output_reader_open(const char *path, const struct output_schema *schema,
                                          struct output_reader **ret_reader, struct error *error);
void output_reader_close(struct output_reader *reader); /* NULL is a no-op. */

/*
 * The next record, valid until the next call; at the end its data is NULL. STATUS_INVALID, naming
 * file and record, where the file is damaged or ends inside a record.
 */
MUST_CHECK enum status output_reader_next(struct output_reader *reader, struct text *ret_json,
                                          struct error *error);

#endif
