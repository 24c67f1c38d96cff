/* A batch of random features for tests of the scoring stages: every tenth value missing, a tenth of
 * the rows not live. The set of features is that of the program. */
#ifndef TEST_FAKES_SCORED_BATCH_H
#define TEST_FAKES_SCORED_BATCH_H

#include "models/model_pack.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/feature_set.h"

/* Release with event_batch_release(). */
void scored_batch_make(struct event_batch *batch, uint32_t rows, uint64_t seed);

/* Row `from` of one batch becomes row `to` of another. */
void scored_batch_copy_row(const struct event_batch *source, uint32_t from,
                           struct event_batch *target, uint32_t to);

/* Writes a pack over all features of the set to `directory`, with random weights; with one more
 * feature of that name unless `extra` is NULL. */
void scored_batch_write_pack(const char *directory, uint64_t seed, const char *extra);

/* The explained terms of a row sum to the logit: the greatest distance over all scored rows. */
float scored_batch_explain_error(const struct event_batch *batch, enum score_kind kind);

#endif
