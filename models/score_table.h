/* Scores the rows of a table by a model of any kind. */
#ifndef MODELS_SCORE_TABLE_H
#define MODELS_SCORE_TABLE_H

#include "models/model_backend.h"
#include "models/row_table.h"

/* Told of each row in order, before it is scored, with the state that it is scored from; NULL of a
 * model without one. Neither may be changed. */
struct score_observer {
    void (*see)(void *context, uint32_t row, const void *state);
    void *context;
};

/*
 * logits[table.count]; `observer` may be NULL. A model with a state is stepped along the rows of
 * each group in their order, from zeros, so the table must have all of them.
 */
MUST_CHECK enum status score_table(struct model *model, const struct row_table *table,
                                   const struct score_observer *observer, float *logits,
                                   struct error *error);

#endif
