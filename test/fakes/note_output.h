/* Output batches of records that hold one number, for tests that only care where records go. */
#ifndef TEST_FAKES_NOTE_OUTPUT_H
#define TEST_FAKES_NOTE_OUTPUT_H

#include "pipeline/output/output.h"

struct output_batch *note_batch_create(enum output_format format);
void note_write(struct output_batch *batch, enum topic topic, int64_t number);

/*
 * Reads the numbers back from the bytes of an output file; returns their count, or -1 where the
 * bytes are no whole file of that format. At most `numbers_max` are stored.
 */
int64_t note_read(enum output_format format, const unsigned char *bytes, uint64_t length,
                  int64_t *numbers, int64_t numbers_max);

#endif
