/*
 * Measures chances against labels on slices of rows, with the base rate, the best single feature
 * and a reference model beside the model, and intervals by bootstrap over groups (sessions are
 * drawn, not rows).
 */
#ifndef MODELS_EVALUATE_H
#define MODELS_EVALUATE_H

#include "models/metrics.h"
#include "models/row_table.h"

enum eval_metric {
    EVAL_PR_AUC,
    EVAL_ROC_AUC,
    EVAL_LOG_LOSS,
    EVAL_BRIER,
    EVAL_CALIBRATION,
    EVAL_METRIC_COUNT
};
extern const char *const eval_metric_names[EVAL_METRIC_COUNT]; /* As in JSON. */

struct eval_value {
    double value, low, high; /* The interval holds 95% of the replicates; NaN without any. */
};

/* Sets the interval from the replicates' values [count], which it sorts; NaN ones are left out. */
void eval_value_interval(double *values, uint32_t count, struct eval_value *value);

struct eval_feature {
    uint32_t column;  /* UINT32_MAX: none that varies. */
    bool is_reversed; /* Low values speak for the positive class. */
    double pr_auc, roc_auc;
};

#define EVAL_CURVE_POINTS 101
#define EVAL_TOPS 3
#define EVAL_TIME_BINS 40

extern const uint32_t eval_tops[EVAL_TOPS]; /* 10, 100 and 1,000 rows. */

/* Rows of a fortieth of the time from the first to the last. */
struct eval_time_bin {
    uint32_t row_count;
    double chance, observed; /* Mean given; share of positives. NaN without rows. */
};

/* Another model on the same rows, drawn together with the model in each replicate. */
struct eval_reference {
    struct eval_value metric[EVAL_METRIC_COUNT];
    struct eval_value gain[EVAL_METRIC_COUNT]; /* The model's metric less the reference's. */
    double precision[EVAL_CURVE_POINTS], recall[EVAL_CURVE_POINTS]; /* As the model's. */
};

struct eval_slice {
    char name[48];
    uint32_t row_count, group_count, positive_count;
    double base_rate;
    double base_log_loss, base_brier; /* Of giving each row the base rate. */
    struct eval_value metric[EVAL_METRIC_COUNT];
    struct eval_feature best_by_pr, best_by_roc; /* Chosen on these very rows: hard to beat. */
    struct calibration_bin bins[CALIBRATION_BINS];
    double recall_at_permille; /* Recall where 0.1% of the negatives score as high. */
    double recall_at_percent;
    /* Curves over recall 0, 0.01 ... 1: precision; and over the false-positive rate: recall. */
    double precision[EVAL_CURVE_POINTS], recall[EVAL_CURVE_POINTS];
    /* Recall over the share of rows looked at, 0, 0.01 ... 1, the highest chances first. */
    double gain[EVAL_CURVE_POINTS];
    /* Share of positives among the eval_tops[i] rows with the highest chances, of rows that tie at
     * the end a share; NaN where there are fewer. */
    double precision_at_top[EVAL_TOPS];
    int64_t first_ms, last_ms; /* Event time of its rows. */
    struct eval_time_bin times[EVAL_TIME_BINS];
    bool has_reference;
    struct eval_reference reference;
};

struct eval_options {
    uint32_t replicates; /* 0: no intervals. */
    uint64_t seed;
};

/*
 * Rows `chosen` [count] of the table; `chances` is [table.count], by row, and so is `reference`,
 * those of the reference model; NULL: there is none. Slices without both classes have NaN where a
 * metric needs both.
 */
MUST_CHECK enum status evaluate_slice(const struct row_table *table, const uint32_t *chosen,
                                      uint32_t count, const float *chances, const float *reference,
                                      const struct eval_options *options, const char *name,
                                      struct eval_slice *ret_slice, struct error *error);

#endif
