/*
 * How good scores are, with weights throughout: a weight is how often a row counts, so a bootstrap
 * replicate is the same rows under other weights. Scores may tie; ties count as one threshold.
 * Order of arithmetic is fixed: the same rows give the same bits. No state, any thread.
 */
#ifndef MODELS_METRICS_H
#define MODELS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"

/* Rows in the order of falling score, worked out once and used for many weights. */
struct ranking {
    uint32_t count;
    uint32_t *order;     /* [count] rows, highest score first. Owned. */
    uint8_t *ends_a_tie; /* [count] by place: the next score is lower. Owned. */
};

/* NaN ranks below every number. */
MUST_CHECK enum status ranking_make(const float *scores, uint32_t count,
                                    struct ranking *ret_ranking, struct error *error);
void ranking_release(struct ranking *ranking);

/*
 * Area under the ROC curve: the chance that a positive scores above a negative, ties by half. NaN
 * where a class is missing.
 */
double metric_roc_auc(const struct ranking *ranking, const uint8_t *labels, const double *weights);

/*
 * Average precision: the sum over thresholds of precision times the recall gained (no
 * interpolation). NaN where there is no positive.
 */
double metric_pr_auc(const struct ranking *ranking, const uint8_t *labels, const double *weights);

/* Both areas for the scores with their sign turned round, from the same ranking. */
double metric_pr_auc_reversed(const struct ranking *ranking, const uint8_t *labels,
                              const double *weights);

/* Share of the positives found where at most `rate` of the negatives score as high. */
double metric_recall_at(const struct ranking *ranking, const uint8_t *labels, const double *weights,
                        double rate);

/* Mean of -log(chance given to what happened); chances are kept 1e-7 off 0 and 1. */
double metric_log_loss(const float *chances, const uint8_t *labels, const double *weights,
                       uint32_t count);

/* Mean squared distance of chance and outcome (Brier, 1950). */
double metric_brier(const float *chances, const uint8_t *labels, const double *weights,
                    uint32_t count);

#define CALIBRATION_BINS 10

struct calibration_bin {
    double weight;   /* Of its rows. */
    double chance;   /* Mean given. */
    double observed; /* Share of positives. */
};

/*
 * Expected calibration error: rows by chance in ten bins of equal weight (ties stay together),
 * mean distance of chance given and share observed. `ret_bins` may be NULL; empty bins have no
 * weight.
 */
double metric_calibration_error(const struct ranking *ranking, const float *chances,
                                const uint8_t *labels, const double *weights,
                                struct calibration_bin ret_bins[CALIBRATION_BINS]);

/* Spearman's correlation of two columns over the rows where neither is NaN; NaN below 3 such rows
 * or where one is constant. */
MUST_CHECK enum status metric_rank_correlation(const float *a, const float *b, uint32_t count,
                                               double *ret_correlation, struct error *error);

/* The value below which a share `part` of the numbers lies; sorts `values`, which have no NaN. */
float metric_quantile(float *values, uint32_t count, double part);

#endif
