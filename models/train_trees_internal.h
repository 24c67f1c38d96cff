/* What the files of train_trees share. */
#ifndef MODELS_TRAIN_TREES_INTERNAL_H
#define MODELS_TRAIN_TREES_INTERNAL_H

#include "models/train_trees.h"
#include "models/train_trees_checkpoint.h"
#include "models/xgboost_library.h"

/* Rows handed to the library. */
struct tree_rows_made {
    void *matrix;   /* NULL: none. */
    float *weights; /* [count] Owned. */
    uint32_t count;
};

/* All that a training has at hand. */
struct tree_training {
    struct xgboost_library library;
    const struct row_table *table;
    const uint8_t *parts;
    const struct tree_train_options *options;
    double positive_factor, base_rate;
    struct tree_rows_made fit, held;
    struct held_out held_out;
    double *watch_weights; /* Of the held-out rows, positives weighed as in the fit. Owned. */
    float *draw;           /* [table.count, or column_count] a round's weights. Owned. */
    uint32_t stages;
    uint64_t hash;
    struct tree_progress progress;
};

/* What a call of the library's returned, as a status. */
MUST_CHECK enum status tree_training_check(const struct tree_training *training, int result,
                                           struct error *error);

/* Hands over the rows of `part`, and the held-out ones where asked for. */
MUST_CHECK enum status tree_rows_make(const struct tree_training *training, enum split_part part,
                                      bool with_held, struct tree_rows_made *made,
                                      struct error *error);
void tree_rows_free(const struct tree_training *training, struct tree_rows_made *made);

/*
 * Both go on from training.progress and leave there what was reached. STATUS_FATAL: stopped, the
 * library failed, a checkpoint that cannot be written.
 */

/* Stage 0: leaves the model in `fit`, and the margins of the held-out rows. `is_watched`: stops
 * early by their loss. */
MUST_CHECK enum status tree_training_fit(struct tree_training *training, bool is_watched,
                                         struct tree_fit *fit, struct error *error);

/* Stage 1: as many trees once more, on the rows that training.fit has by now. */
MUST_CHECK enum status tree_training_refit(struct tree_training *training, struct tree_fit *fit,
                                           struct error *error);

#endif
