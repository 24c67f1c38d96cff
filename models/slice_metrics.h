/*
 * Measures chances against labels by slice, also at a threshold, and how far the slices are apart.
 *
 * Where rows of a group (a session) are not independent, intervals come from drawing groups with
 * replacement over all rows at once, so that slices which share sessions, and the gaps between
 * slices, are drawn together. A figure of a slice that is too small for it is NaN.
 *
 * The gaps are the usual ones of group fairness: demographic parity (Calders and others, 2009), as
 * difference and as ratio; equal opportunity and equalized odds (Hardt, Price and Srebro, 2016);
 * predictive equality and predictive parity (Chouldechova, 2017); and how far chances and outcomes
 * differ on average. Each is the largest less the smallest of the slices compared (the ratio:
 * smallest by largest), so a difference is never below 0, and small slices widen it. Its interval
 * is of the difference between those two slices, which may well be below 0 (of the ratio above 1):
 * then chance alone may have made the gap.
 */
#ifndef MODELS_SLICE_METRICS_H
#define MODELS_SLICE_METRICS_H

#include "models/evaluate.h"

/* X(ENUM, "name in JSON", "heading") */
#define SLICE_METRICS(X)                                                                           \
    X(BASE_RATE, "base_rate", "base rate")                                                         \
    X(SELECTION_RATE, "selection_rate", "selected")                                                \
    X(PR_AUC, "pr_auc", "PR-AUC")                                                                  \
    X(ROC_AUC, "roc_auc", "ROC-AUC")                                                               \
    X(LOG_LOSS, "log_loss", "log loss")                                                            \
    X(BRIER, "brier", "Brier")                                                                     \
    X(CALIBRATION_ERROR, "calibration_error", "cal.error")                                         \
    X(CALIBRATION_BIAS, "calibration_bias", "bias") /* Mean chance less share of positives. */     \
    X(ACCURACY, "accuracy", "accuracy")                                                            \
    X(PRECISION, "precision", "precision")                                                         \
    X(RECALL, "recall", "recall") /* The true-positive rate. */                                    \
    X(FALSE_POSITIVE_RATE, "false_positive_rate", "f.p. rate")                                     \
    X(F1, "f1", "F1")
#define SLICE_METRIC_ENUM(name, json, heading) SLICE_##name,
enum slice_metric { SLICE_METRICS(SLICE_METRIC_ENUM) SLICE_METRIC_COUNT };
#undef SLICE_METRIC_ENUM
extern const char *const slice_metric_names[SLICE_METRIC_COUNT]; /* As in JSON. */
extern const char *const slice_metric_headings[SLICE_METRIC_COUNT];

struct slice_measure {
    uint32_t row_count, group_count, positive_count, selected_count; /* Not weighed. */
    struct eval_value metric[SLICE_METRIC_COUNT];
};

/* X(ENUM, "name in JSON", "name") */
#define SLICE_GAPS(X)                                                                              \
    X(DEMOGRAPHIC_PARITY, "demographic_parity_difference",                                         \
      "demographic parity difference (selection rate)")                                            \
    X(DEMOGRAPHIC_PARITY_RATIO, "demographic_parity_ratio",                                        \
      "demographic parity ratio (selection rate)")                                                 \
    X(EQUAL_OPPORTUNITY, "equal_opportunity_difference", "equal opportunity difference (recall)")  \
    X(PREDICTIVE_EQUALITY, "false_positive_rate_difference",                                       \
      "predictive equality difference (false-positive rate)")                                      \
    X(EQUALIZED_ODDS, "equalized_odds_difference",                                                 \
      "equalized odds difference (larger of the two)")                                             \
    X(PREDICTIVE_PARITY, "predictive_parity_difference",                                           \
      "predictive parity difference (precision)")                                                  \
    X(CALIBRATION, "calibration_difference",                                                       \
      "calibration difference (mean chance less share of positives)")
#define SLICE_GAP_ENUM(name, json, title) GAP_##name,
enum slice_gap { SLICE_GAPS(SLICE_GAP_ENUM) SLICE_GAP_COUNT };
#undef SLICE_GAP_ENUM
extern const char *const slice_gap_names[SLICE_GAP_COUNT];
extern const char *const slice_gap_titles[SLICE_GAP_COUNT];

struct slice_gap_value {
    struct eval_value value;  /* NaN below two slices that have the figure. */
    enum slice_metric metric; /* The figure; of equalized odds that of the larger difference. */
    uint32_t lowest, highest; /* Slices. */
    uint32_t compared_count;  /* Slices that have the figure. */
};

struct slice_options {
    float threshold;     /* Selected are the rows whose chance is not below it. */
    uint32_t groups_min; /* Slices of fewer groups have no figures but counts. */
    uint32_t class_min;  /* Rows that a figure's class must have: positives for recall, PR-AUC and
                            F1, negatives for the false-positive rate, both for ROC-AUC, selected
                            ones for precision. */
    uint32_t replicates; /* 0: no intervals. */
    uint64_t seed;
};

/*
 * Rows `chosen` [count] of the table, row chosen[i] in slice slice_of[i] < slice_count; `chances`
 * is [table.count]. ret_measures[slice_count]; ret_gaps [SLICE_GAP_COUNT] over the slices that
 * is_compared [slice_count] says, may be NULL.
 */
MUST_CHECK enum status slice_metrics_measure(const struct row_table *table, const uint32_t *chosen,
                                             uint32_t count, const float *chances,
                                             const uint16_t *slice_of, uint32_t slice_count,
                                             const struct slice_options *options,
                                             struct slice_measure *ret_measures,
                                             const bool *is_compared,
                                             struct slice_gap_value *ret_gaps, struct error *error);

#endif
