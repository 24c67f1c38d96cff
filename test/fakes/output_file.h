/* The records of a batch as a file, as a commit would leave it. */
#ifndef TEST_FAKES_OUTPUT_FILE_H
#define TEST_FAKES_OUTPUT_FILE_H

#include "pipeline/output/output.h"

/*
 * Writes all records of a topic to `path`: lines, or an Avro container with `block_records` records
 * a block.
 */
void output_file_write(const char *path, const struct output_batch *batch, enum topic topic,
                       const struct output_schema *schema, uint32_t block_records);

#endif
