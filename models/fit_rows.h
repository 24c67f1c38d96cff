/* The rows that a model is fitted to, counted before it is. */
#ifndef MODELS_FIT_ROWS_H
#define MODELS_FIT_ROWS_H

#include <stdint.h>

#include "models/row_table.h"
#include "pipeline/base/status.h"

struct fit_rows {
    uint32_t count;
    double weights[2]; /* By label. */
};

/*
 * `parts` [table.count] is enum split_part. STATUS_INVALID: no rows to fit, of one class only, or
 * fewer than `least`, the number of features.
 */
MUST_CHECK enum status fit_rows_count(const struct row_table *table, const uint8_t *parts,
                                      uint32_t least, struct fit_rows *ret_rows,
                                      struct error *error);

/* What is to be fitted to, and who is told of it. */
struct fit_features {
    const char *const *names; /* [table.feature_count] */
    const uint32_t *columns;  /* [count] of the table. */
    uint32_t count;
    void (*warn)(void *context, const char *message); /* May be NULL. */
    void *context;
};

/*
 * Warns of each feature that is the same, or missing, in all rows to be fitted, and of fewer rows
 * than features. STATUS_INVALID: none of them varies.
 */
MUST_CHECK enum status fit_rows_check_features(const struct row_table *table, const uint8_t *parts,
                                               const struct fit_features *features,
                                               struct error *error);

/*
 * What rows weigh where the past is to fade: half with each `half_life_ms` that a row lies before
 * the last one that is fitted or held out; on average over the fitted ones as much as before, so
 * that what is set against weights (L2, the least weight of a leaf) means the same. `ret_weights`
 * [table.count] may not be table.weights; 0 for rows that are left out.
 */
void fit_rows_fade(const struct row_table *table, const uint8_t *parts, int64_t half_life_ms,
                   double *ret_weights);

/* The factor on the positives' weights: `given`, or where that is 0 such that both classes weigh
 * the same. */
double fit_rows_factor(const struct fit_rows *rows, double given);

#endif
