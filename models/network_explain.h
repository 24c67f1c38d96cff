/*
 * Integrated gradients (Sundararajan, Taly and Yan, 2017): why a row has its output, as a sum over
 * its features. The path goes straight from a row that says nothing (numbers at their mean, tables
 * at the row for missing values, nothing marked as missing) to the row, with the state held still;
 * what the state alone says is in the base. The path is cut into spans until Gauss-Legendre of 4
 * nodes gives the difference of each span's ends: first where its kink seems to be, since the
 * output of rectifiers is bent only where one of them opens or closes. What this leaves over is
 * spread over the terms in proportion, so that the sum holds.
 */
#ifndef MODELS_NETWORK_EXPLAIN_H
#define MODELS_NETWORK_EXPLAIN_H

#include "models/network_model.h"

struct network_explainer;

/* Borrows the model and the parameters. One a thread. */
MUST_CHECK enum status network_explainer_create(const struct network_source *source,
                                                struct network_model *model,
                                                struct network_explainer **ret_explainer,
                                                struct error *error);
void network_explainer_destroy(struct network_explainer *explainer); /* NULL is a no-op. */

/*
 * terms[feature_count] and *ret_base sum to the output of `row` after `state` (NULL: zeros), which
 * is not changed.
 */
void network_explain(struct network_explainer *explainer, const float *row, const void *state,
                     float *terms, float *ret_base);

#endif
