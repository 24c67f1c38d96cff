#include "models/held_out.h"

#include <stdlib.h>

#include "models/isotonic_fit.h"
#include "models/lbfgs.h"
#include "models/loss.h"
#include "models/metrics.h"
#include "pipeline/base/fixed_math.h"

const char *const calibration_method_names[CALIBRATION_METHOD_COUNT + 1] = {"platt", "isotonic",
                                                                            "none", NULL};

enum status held_out_make(const struct row_table *table, const uint8_t *parts, enum split_part part,
                          struct held_out *ret_held, struct error *error)
{
    size_t room = (size_t)table->count + 1;
    struct held_out held = {
        .margins = calloc(room, sizeof(float)),
        .chances = calloc(room, sizeof(float)),
        .labels = calloc(room, 1),
        .weights = calloc(room, sizeof(double)),
    };
    if (!held.margins || !held.chances || !held.labels || !held.weights) {
        held_out_release(&held);
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < table->count; i++) {
        if (parts[i] == part) {
            held.labels[held.count] = table->rows[i].label;
            held.weights[held.count++] = table->weights[i];
        }
    }
    *ret_held = held;
    return STATUS_OK;
}

void held_out_release(struct held_out *held)
{
    free(held->margins);
    free(held->chances);
    free(held->labels);
    free(held->weights);
    *held = (struct held_out){0};
}

bool held_out_has_both_classes(const struct held_out *held)
{
    uint32_t positives = 0;
    for (uint32_t i = 0; i < held->count; i++) {
        positives += held->labels[i];
    }
    return positives > 0 && positives < held->count;
}

/* Platt's two parameters, with a weak pull (one row's worth) to those that change nothing. */
static double calibration_loss(void *context, const double *x, double *gradient)
{
    const struct held_out *held = context;
    double loss = 0.5 * ((x[0] - 1) * (x[0] - 1) + x[1] * x[1]);
    gradient[0] = x[0] - 1;
    gradient[1] = x[1];
    for (uint32_t i = 0; i < held->count; i++) {
        double margin = x[0] * (double)held->margins[i] + x[1];
        double sign = held->labels[i] ? 1.0 : -1.0;
        loss += held->weights[i] * logistic_loss(sign * margin);
        double pull = -sign * held->weights[i] * fixed_sigmoid(-sign * margin);
        gradient[0] += pull * (double)held->margins[i];
        gradient[1] += pull;
    }
    return loss;
}

static enum status fit_platt(const struct held_out *held, struct pack_calibration *ret_calibration,
                             struct error *error)
{
    double x[2] = {1, 0};
    struct lbfgs_problem problem = {
        .count = 2,
        .evaluate = calibration_loss,
        .context = (void *)(uintptr_t)held,
        .iterations_max = 200,
        .tolerance = 1e-8,
    };
    struct lbfgs_result result;
    enum status status = lbfgs_minimise(&problem, x, &result, error);
    if (status == STATUS_OK) {
        *ret_calibration = (struct pack_calibration){.slope = (float)x[0], .offset = (float)x[1]};
    }
    return status;
}

static enum status calibrate(const struct held_out *held, enum calibration_method method,
                             struct pack_calibration *ret_calibration, bool *ret_is_calibrated,
                             struct error *error)
{
    struct pack_calibration made = {.slope = 1};
    enum status status = STATUS_OK;
    if (method == CALIBRATE_PLATT) {
        status = fit_platt(held, &made, error);
    } else if (method == CALIBRATE_ISOTONIC) {
        status = isotonic_fit(held, &made, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *ret_is_calibrated = method == CALIBRATE_PLATT      ? made.slope > 0
                         : method == CALIBRATE_ISOTONIC ? made.point_count > 0
                                                        : false;
    *ret_calibration = *ret_is_calibrated ? made : (struct pack_calibration){.slope = 1};
    return STATUS_OK;
}

void held_out_apply(struct held_out *held, const struct pack_calibration *calibration)
{
    for (uint32_t i = 0; i < held->count; i++) {
        held->chances[i] = fixed_sigmoidf(pack_calibrate(calibration, held->margins[i]));
    }
}

/* The chance above which F1 is best. */
static float best_threshold(const struct held_out *held, const struct ranking *ranking)
{
    double positives = 0;
    for (uint32_t i = 0; i < held->count; i++) {
        positives += held->labels[i] ? held->weights[i] : 0;
    }
    double found = 0;
    double above = 0;
    double best = -1;
    float threshold = 0.5f;
    for (uint32_t i = 0; i < ranking->count; i++) {
        uint32_t row = ranking->order[i];
        above += held->weights[row];
        found += held->labels[row] ? held->weights[row] : 0;
        double f1 = 2 * found / (above + positives);
        if (ranking->ends_a_tie[i] && f1 > best) {
            best = f1;
            threshold = held->chances[row];
        }
    }
    return threshold;
}

enum status held_out_measure(const struct held_out *held, struct held_measures *ret_measures,
                             struct error *error)
{
    struct ranking ranking;
    enum status status = ranking_make(held->chances, held->count, &ranking, error);
    if (status != STATUS_OK) {
        return status;
    }
    double positives = 0;
    double all = 0;
    for (uint32_t i = 0; i < held->count; i++) {
        positives += held->labels[i] ? held->weights[i] : 0;
        all += held->weights[i];
    }
    const float *chances = held->chances;
    const uint8_t *labels = held->labels;
    const double *weights = held->weights;
    *ret_measures = (struct held_measures){
        .base_rate = positives / all,
        .log_loss = metric_log_loss(chances, labels, weights, held->count),
        .brier = metric_brier(chances, labels, weights, held->count),
        .roc_auc = metric_roc_auc(&ranking, labels, weights),
        .pr_auc = metric_pr_auc(&ranking, labels, weights),
        .calibration_error = metric_calibration_error(&ranking, chances, labels, weights, NULL),
        .threshold = best_threshold(held, &ranking),
    };
    ranking_release(&ranking);
    return STATUS_OK;
}

enum status held_out_judge(struct held_out *held, enum calibration_method method,
                           struct pack_calibration *ret_calibration, bool *ret_is_calibrated,
                           struct held_measures *ret_measures, struct error *error)
{
    enum status status = calibrate(held, method, ret_calibration, ret_is_calibrated, error);
    if (status != STATUS_OK) {
        return status;
    }
    held_out_apply(held, ret_calibration);
    return held_out_measure(held, ret_measures, error);
}
