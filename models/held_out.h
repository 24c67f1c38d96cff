/*
 * Rows kept out of a fit, by which its output is calibrated and measured. Double precision in a
 * fixed order.
 */
#ifndef MODELS_HELD_OUT_H
#define MODELS_HELD_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "models/pack_calibration.h"
#include "models/row_table.h"
#include "models/time_split.h"

enum calibration_method {
    CALIBRATE_PLATT,    /* A slope and an offset (Platt, 1999). */
    CALIBRATE_ISOTONIC, /* Points; see isotonic_fit.h. Wants a thousand rows and more. */
    CALIBRATE_NONE,
    CALIBRATION_METHOD_COUNT
};
extern const char *const calibration_method_names[CALIBRATION_METHOD_COUNT + 1]; /* Ends: NULL. */

struct held_out {
    uint32_t count;
    float *margins; /* [count], as all are: logits before calibration, filled in by the caller. */
    float *chances; /* After calibration; filled in by held_out_apply(). */
    uint8_t *labels;
    double *weights;
};

struct held_measures {
    double base_rate, log_loss, brier, roc_auc, pr_auc, calibration_error;
    float threshold; /* Where F1 is best. */
};

/* Labels and weights of the rows whose part is `part`, in the order of the table. */
MUST_CHECK enum status held_out_make(const struct row_table *table, const uint8_t *parts,
                                     enum split_part part, struct held_out *ret_held,
                                     struct error *error);
void held_out_release(struct held_out *held);

bool held_out_has_both_classes(const struct held_out *held);

/* chances = those of the calibrated margins. */
void held_out_apply(struct held_out *held, const struct pack_calibration *calibration);

/* Of the chances; there must be rows. */
MUST_CHECK enum status held_out_measure(const struct held_out *held,
                                        struct held_measures *ret_measures, struct error *error);

/*
 * All at once: the calibration that the margins ask for, and measures of the chances that come of
 * it. A calibration that would turn the order round is left out: then `ret_calibration` changes
 * nothing and ret_is_calibrated is false.
 */
MUST_CHECK enum status held_out_judge(struct held_out *held, enum calibration_method method,
                                      struct pack_calibration *ret_calibration,
                                      bool *ret_is_calibrated, struct held_measures *ret_measures,
                                      struct error *error);

#endif
