/* The rows of a training as numbers to sum over: standardised, with indicators of what is missing.
 */
#ifndef MODELS_TRAIN_MATRIX_H
#define MODELS_TRAIN_MATRIX_H

#include "models/train_logistic.h"

struct train_matrix {
    uint32_t row_count;
    uint32_t width;  /* Values, then indicators, then zeros up to a multiple of 8. */
    float *values;   /* [row_count][width] */
    uint8_t *labels; /* [row_count], as are the next ones. */
    uint8_t *parts;  /* SPLIT_FIT or SPLIT_HELD. */
    double *weights;
    int32_t *indicator; /* [fit.feature_count] column of the missing indicator; -1: none. */
};

/*
 * Fills columns, features (transform, mean, scale, limit) and feature_count of `fit`, and allocates
 * its weights. Features that do not vary among the rows to be fitted are left out, with a warning.
 */
MUST_CHECK enum status train_matrix_make(const struct row_table *table, const uint8_t *parts,
                                         const struct train_options *options,
                                         struct logistic_fit *fit, struct train_matrix *ret_matrix,
                                         struct error *error);
void train_matrix_release(struct train_matrix *matrix);

/* The sum of row[j] * x[j], in eight partial sums. `width` is a multiple of 8. */
double train_matrix_dot(const float *row, const double *x, uint32_t width);

/* sum[j] += factor * row[j] */
void train_matrix_add(double *sum, double factor, const float *row, uint32_t width);

#endif
