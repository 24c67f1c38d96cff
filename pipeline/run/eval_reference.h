/*
 * The model that every other one is measured beside: a logistic regression on the same features,
 * made as `nudge train` makes one (kind: logistic) of the same file, from the rows of the training
 * period: those that lie before the measured ones. Or a pack of the user's choice. Where neither
 * can be had it says why.
 */
#ifndef PIPELINE_RUN_EVAL_REFERENCE_H
#define PIPELINE_RUN_EVAL_REFERENCE_H

#include "pipeline/run/train_config.h"

struct eval_reference_model {
    float *chances;       /* [rows of the table]; NULL: there is none. Owned. */
    struct error why_not; /* Where there is none. */
    char *pack;           /* Label of the pack; NULL: fitted here, as the rest says. Owned. */
    uint32_t feature_count;
    uint32_t fit_rows, held_rows;
    uint32_t positive_count; /* Of both. */
    bool is_calibrated;      /* On the held-out rows. */
    double l2;
    int64_t first_ms, last_ms; /* Event times of these rows. */
};

/*
 * Fits it to the rows that the training file asks for before its `until`, and before `measured_ms`,
 * from which the sessions of `table` begin; INT64_MIN: nothing lies before them. Features are
 * `columns` [column_count] but for ids, which are no numbers. Reads the input once more.
 */
MUST_CHECK enum status eval_reference_fit(const struct train_config *config, int64_t measured_ms,
                                          const uint32_t *columns, uint32_t column_count,
                                          const struct row_table *table,
                                          struct eval_reference_model *ret_reference,
                                          struct error *error);

/* A pack in its place. STATUS_INVALID where it does not fit the features, is stepped or predicts no
 * chance. */
MUST_CHECK enum status eval_reference_load(const struct train_config *config, const char *folder,
                                           const struct row_table *table,
                                           struct eval_reference_model *ret_reference,
                                           struct error *error);

void eval_reference_release(struct eval_reference_model *reference);

#endif
