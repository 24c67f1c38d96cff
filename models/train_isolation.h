/*
 * Fits an isolation forest to rows without looking at their labels; where there are labels, the
 * held-out rows say how well it ranks them.
 */
#ifndef MODELS_TRAIN_ISOLATION_H
#define MODELS_TRAIN_ISOLATION_H

#include "models/held_out.h"
#include "models/isolation_forest.h"

struct isolation_train_options {
    const char *const *names; /* [table.feature_count] */
    const uint32_t *columns;  /* [column_count] of the table's features that are in use. */
    uint32_t column_count;
    struct isolation_options forest;
    void (*warn)(void *context, const char *message); /* Of features that say nothing; or NULL. */
    void *context;
};

struct isolation_fit {
    struct isolation_forest *forest;
    struct pack_calibration calibration; /* See path_scale.h. */
    uint32_t fit_rows, held_rows;
    bool is_measured; /* Both classes are among the held-out rows. */
    struct held_measures held;
};

/* `parts` [table.count] is enum split_part. STATUS_INVALID: fewer than two rows to fit, or
 * no feature that varies. */
MUST_CHECK enum status train_isolation(const struct row_table *table, const uint8_t *parts,
                                       const struct isolation_train_options *options,
                                       struct isolation_fit *ret_fit, struct error *error);
void isolation_fit_release(struct isolation_fit *fit);

/* The calibrated logits of rows `chosen` [count] of the table. */
MUST_CHECK enum status isolation_fit_logits(const struct isolation_fit *fit,
                                            const struct row_table *table,
                                            const struct isolation_train_options *options,
                                            const uint32_t *chosen, uint32_t count, float *logits,
                                            struct error *error);

#endif
