/*
 * Fits a logistic regression to a table of rows: standardises the features, chooses the strength of
 * L2 by the log loss on held-out rows, calibrates there, fits again on all rows.
 * Double precision in a fixed order: the same rows and options give the same bits.
 */
#ifndef MODELS_TRAIN_LOGISTIC_H
#define MODELS_TRAIN_LOGISTIC_H

#include "models/held_out.h"
#include "models/model_pack.h"
#include "models/row_table.h"

#define STRENGTHS_MAX 16

struct train_options {
    const char *const *names; /* Borrowed: [table.feature_count]. */
    const uint32_t *columns;  /* Borrowed: features in use. */
    uint32_t column_count;
    int transform;            /* enum feature_transform, or -1: by how skewed the feature is. */
    float limit;              /* Standardised values are cut off there. */
    double l2[STRENGTHS_MAX]; /* Half the factor of the squared weights, against the mean loss. */
    uint32_t l2_count;
    double l1;
    double positive_weight; /* Factor on the positives' weights; 0: both classes weigh the same. */
    uint32_t iterations_max;
    bool is_refitted;
    enum calibration_method calibration;
    /* Told as it goes on; may be NULL. `stage` of `stages` fits. False: stop, STATUS_FATAL. */
    bool (*progress)(void *context, uint32_t stage, uint32_t stages, uint32_t iteration,
                     double loss);
    /* Told of features left out and the like; may be NULL. */
    void (*warn)(void *context, const char *message);
    void *context;
};

/* What was fitted; arrays are in the order of `features`. */
struct logistic_fit {
    uint32_t feature_count;        /* Of options.column_count, less those left out. */
    uint32_t *columns;             /* Of the table. */
    struct pack_feature *features; /* Names are borrowed from the options. */
    float *weights;
    float *missing; /* What a missing value adds to the logit. */
    float bias;
    struct pack_calibration calibration; /* Owned. */
    float threshold;                     /* Where F1 on the held-out rows is best. */
    double l2;
    double fit_loss;           /* Mean log loss. */
    struct held_measures held; /* After calibration, where is_measured. */
    bool is_measured, is_calibrated;
    uint32_t fit_rows, held_rows;
};

/*
 * `parts` [table.count] is enum split_part.
 * STATUS_INVALID: one class only, fewer rows than features, no feature that varies.
 */
MUST_CHECK enum status train_logistic(const struct row_table *table, const uint8_t *parts,
                                      const struct train_options *options,
                                      struct logistic_fit *ret_fit, struct error *error);
void logistic_fit_release(struct logistic_fit *fit);

/* The calibrated logit of a row of the table's width. */
float logistic_fit_logit(const struct logistic_fit *fit, const float *features);

#endif
