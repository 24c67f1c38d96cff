#include "models/train_logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/fit_rows.h"
#include "models/lbfgs.h"
#include "models/loss.h"
#include "models/metrics.h"
#include "models/train_matrix.h"
#include "pipeline/base/fixed_math.h"

#define TOLERANCE 1e-6

struct training {
    const struct row_table *table;
    const uint8_t *parts;
    const struct train_options *options;
    struct logistic_fit *fit;
    struct train_matrix matrix;
    double *l1;         /* [parameters] */
    double *parameters; /* Values, missing indicators, bias. */
    double l2;
    bool uses_held; /* Fits the held-out rows too. */
    double positive_factor;
    uint32_t stage, stages;
    bool is_stopped;
};

static double row_weight(const struct training *training, uint32_t i)
{
    const struct train_matrix *matrix = &training->matrix;
    double factor = matrix->labels[i] ? training->positive_factor : 1.0;
    return matrix->weights[i] * factor;
}

static bool is_in_use(const struct training *training, uint32_t i)
{
    return training->uses_held || training->matrix.parts[i] == SPLIT_FIT;
}

static double evaluate(void *context, const double *x, double *gradient)
{
    struct training *training = context;
    const struct train_matrix *matrix = &training->matrix;
    uint32_t width = matrix->width;
    memset(gradient, 0, ((size_t)width + 1) * sizeof(double));
    double loss = 0;
    double weight = 0;
    for (uint32_t i = 0; i < matrix->row_count; i++) {
        if (!is_in_use(training, i)) {
            continue;
        }
        const float *row = matrix->values + (size_t)i * width;
        double margin = x[width] + train_matrix_dot(row, x, width);
        double w = row_weight(training, i);
        double sign = matrix->labels[i] ? 1.0 : -1.0;
        loss += w * logistic_loss(sign * margin);
        weight += w;
        double pull = -sign * w * fixed_sigmoid(-sign * margin);
        train_matrix_add(gradient, pull, row, width);
        gradient[width] += pull;
    }
    double value = loss / weight;
    for (uint32_t j = 0; j <= width; j++) {
        gradient[j] /= weight;
    }
    for (uint32_t j = 0; j < width; j++) {
        value += 0.5 * training->l2 * x[j] * x[j];
        gradient[j] += training->l2 * x[j];
    }
    return value;
}

static bool tell_progress(void *context, uint32_t iteration, double value, double gradient_norm)
{
    struct training *training = context;
    const struct train_options *options = training->options;
    (void)gradient_norm;
    if (options->progress &&
        !options->progress(options->context, training->stage, training->stages, iteration, value)) {
        training->is_stopped = true;
    }
    return !training->is_stopped;
}

static enum status fit_once(struct training *training, double l2, struct lbfgs_result *ret_result,
                            struct error *error)
{
    training->l2 = l2;
    struct lbfgs_problem problem = {
        .count = training->matrix.width + 1,
        .evaluate = evaluate,
        .progress = tell_progress,
        .context = training,
        .l1 = training->options->l1 > 0 ? training->l1 : NULL,
        .iterations_max = training->options->iterations_max,
        .tolerance = TOLERANCE,
    };
    enum status status = lbfgs_minimise(&problem, training->parameters, ret_result, error);
    training->stage++;
    if (status == STATUS_OK && training->is_stopped) {
        status = error_set(error, STATUS_FATAL, "training: stopped");
    }
    return status;
}

static void held_score(const struct training *training, struct held_out *held)
{
    const struct train_matrix *matrix = &training->matrix;
    uint32_t width = matrix->width;
    uint32_t place = 0;
    for (uint32_t i = 0; i < matrix->row_count; i++) {
        if (matrix->parts[i] == SPLIT_HELD) {
            const float *row = matrix->values + (size_t)i * width;
            held->margins[place++] = (float)(training->parameters[width] +
                                             train_matrix_dot(row, training->parameters, width));
        }
    }
}

/* From the strongest to the weakest, each starting where the last one ended. */
static enum status choose_strength(struct training *training, struct held_out *held,
                                   struct error *error)
{
    const struct train_options *options = training->options;
    size_t bytes = ((size_t)training->matrix.width + 1) * sizeof(double);
    double *best = malloc(bytes);
    if (!best) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    double best_loss = INFINITY;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < options->l2_count; i++) {
        struct lbfgs_result result;
        status = fit_once(training, options->l2[i], &result, error);
        if (status != STATUS_OK) {
            break;
        }
        held_score(training, held);
        held_out_apply(held, &(struct pack_calibration){.slope = 1});
        double loss = held->count > 0
                          ? metric_log_loss(held->chances, held->labels, held->weights, held->count)
                          : result.value;
        if (!(loss >= best_loss)) {
            best_loss = loss;
            training->fit->l2 = options->l2[i];
            training->fit->fit_loss = result.value;
            memcpy(best, training->parameters, bytes);
        }
    }
    memcpy(training->parameters, best, bytes);
    free(best);
    return status;
}

static void keep_parameters(struct training *training)
{
    struct logistic_fit *fit = training->fit;
    const struct train_matrix *matrix = &training->matrix;
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        fit->weights[i] = (float)training->parameters[i];
        int32_t indicator = matrix->indicator[i];
        fit->missing[i] = indicator >= 0 ? (float)training->parameters[indicator] : 0.0f;
    }
    fit->bias = (float)training->parameters[matrix->width];
}

static enum status calibrate(struct training *training, struct held_out *held, struct error *error)
{
    struct logistic_fit *fit = training->fit;
    held_score(training, held);
    enum status status = held_out_judge(held, training->options->calibration, &fit->calibration,
                                        &fit->is_calibrated, &fit->held, error);
    if (status == STATUS_OK) {
        fit->is_measured = true;
        fit->threshold = fit->held.threshold;
    }
    return status;
}

static enum status fit_all(struct training *training, struct error *error)
{
    struct logistic_fit *fit = training->fit;
    struct held_out held;
    enum status status = held_out_make(training->table, training->parts, SPLIT_HELD, &held, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = choose_strength(training, &held, error);
    fit->calibration = (struct pack_calibration){.slope = 1};
    fit->threshold = 0.5f;
    fit->held_rows = held.count;
    fit->fit_rows = training->matrix.row_count - held.count;
    if (status == STATUS_OK && held_out_has_both_classes(&held)) {
        status = calibrate(training, &held, error);
    } else if (status == STATUS_OK && training->options->warn) {
        training->options->warn(training->options->context,
                                "the held-out rows have one class only: not calibrated");
    }
    if (status == STATUS_OK && training->options->is_refitted && held.count > 0) {
        struct lbfgs_result result;
        training->uses_held = true;
        status = fit_once(training, fit->l2, &result, error);
    }
    if (status == STATUS_OK) {
        keep_parameters(training);
    }
    held_out_release(&held);
    return status;
}

enum status train_logistic(const struct row_table *table, const uint8_t *parts,
                           const struct train_options *options, struct logistic_fit *ret_fit,
                           struct error *error)
{
    *ret_fit = (struct logistic_fit){0};
    struct training training = {
        .table = table,
        .parts = parts,
        .options = options,
        .fit = ret_fit,
        .stages = options->l2_count + options->is_refitted,
    };
    struct fit_rows rows = {0};
    enum status status = fit_rows_count(table, parts, 0, &rows, error);
    if (status == STATUS_OK) {
        status = train_matrix_make(table, parts, options, ret_fit, &training.matrix, error);
    }
    if (status == STATUS_OK) { /* Again, now that it is known how many vary. */
        status = fit_rows_count(table, parts, ret_fit->feature_count, &rows, error);
    }
    if (status == STATUS_OK) {
        size_t count = (size_t)training.matrix.width + 1;
        training.parameters = calloc(count, sizeof(double));
        training.l1 = calloc(count, sizeof(double));
        if (!training.parameters || !training.l1) {
            status = error_set(error, STATUS_FATAL, "training: out of memory");
        }
    }
    if (status == STATUS_OK) {
        for (uint32_t i = 0; i < training.matrix.width; i++) {
            training.l1[i] = options->l1;
        }
        training.positive_factor = fit_rows_factor(&rows, options->positive_weight);
        status = fit_all(&training, error);
    }
    train_matrix_release(&training.matrix);
    free(training.parameters);
    free(training.l1);
    if (status != STATUS_OK) {
        logistic_fit_release(ret_fit);
    }
    return status;
}

void logistic_fit_release(struct logistic_fit *fit)
{
    free(fit->columns);
    free(fit->features);
    free(fit->weights);
    free(fit->missing);
    pack_calibration_release(&fit->calibration);
    *fit = (struct logistic_fit){0};
}

float logistic_fit_logit(const struct logistic_fit *fit, const float *features)
{
    float sum = fit->bias;
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        float x = features[fit->columns[i]];
        sum +=
            isnan(x) ? fit->missing[i] : fit->weights[i] * pack_feature_scale(&fit->features[i], x);
    }
    return pack_calibrate(&fit->calibration, sum);
}
