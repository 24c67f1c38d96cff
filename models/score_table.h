/* Scores the rows of a table by a model of any kind. */
#ifndef MODELS_SCORE_TABLE_H
#define MODELS_SCORE_TABLE_H

#include "models/model_backend.h"
#include "models/row_table.h"

/*
 * logits[table.count]. A model with a state is stepped along the rows of each group in their order,
 * from zeros, so the table must have all of them.
 */
MUST_CHECK enum status score_table(struct model *model, const struct row_table *table,
                                   float *logits, struct error *error);

#endif
