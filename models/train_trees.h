/*
 * Fits boosted trees to a table of rows by libxgboost (Chen and Guestrin, "XGBoost", 2016), with
 * early stopping by the log loss of held-out rows, and calibrates them there. One thread unless
 * asked for more, so that the same rows, options and library give the same bytes; so does a
 * training that was interrupted and goes on from its checkpoint.
 */
#ifndef MODELS_TRAIN_TREES_H
#define MODELS_TRAIN_TREES_H

#include "models/held_out.h"
#include "models/row_table.h"

struct tree_train_options {
    const char *const *names; /* Borrowed: [table.feature_count]. */
    const uint32_t *columns;  /* Borrowed: features in use. */
    uint32_t column_count;
    uint32_t rounds_max; /* Trees, at most. */
    uint32_t patience;   /* Rounds without a better loss before it stops; 0: all are kept. */
    uint32_t depth, bins, threads;
    uint32_t leaves; /* Of a tree, at most, grown leaf by leaf; 0: level by level down to depth. */
    double rate, leaf_weight_min, lambda, gamma;
    double row_share, column_share; /* Drawn for each tree. */
    double positive_weight;         /* Factor on the positives; 0: both classes weigh the same. */
    uint64_t seed;
    bool is_refitted; /* Again on all rows, with as many trees as were best. */
    enum calibration_method calibration;
    const char *checkpoint; /* Borrowed: a file, written as trees are grown, gone on from where it
                               is there, removed at the end. NULL: none. */
    /* Told as it goes on; may be NULL. False: stop, STATUS_FATAL; the checkpoint stays. */
    bool (*progress)(void *context, uint32_t stage, uint32_t stages, uint32_t round, double loss);
    /* Told of what is odd; may be NULL. */
    void (*warn)(void *context, const char *message);
    void *context;
};

struct tree_fit {
    void *bytes; /* The model in UBJSON, features by name. Owned. */
    size_t length;
    uint32_t trees;
    struct pack_calibration calibration; /* Owned. */
    float threshold;
    struct held_measures held; /* After calibration, where is_measured. */
    bool is_measured, is_calibrated;
    uint32_t fit_rows, held_rows;
};

/*
 * `parts` [table.count] is enum split_part. STATUS_INVALID: no library, one class only, values that
 * are infinite, rows that are none, a checkpoint of another training.
 */
MUST_CHECK enum status train_trees(const struct row_table *table, const uint8_t *parts,
                                   const struct tree_train_options *options,
                                   struct tree_fit *ret_fit, struct error *error);
void tree_fit_release(struct tree_fit *fit);

/* The calibrated logits of rows `chosen` [count] of the table. */
MUST_CHECK enum status tree_fit_logits(const struct tree_fit *fit, const struct row_table *table,
                                       const struct tree_train_options *options,
                                       const uint32_t *chosen, uint32_t count, float *logits,
                                       struct error *error);

#endif
