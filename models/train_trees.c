#include "models/train_trees.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/fit_rows.h"
#include "models/metrics.h"
#include "models/tree_ensemble.h"
#include "models/xgboost_library.h"
#include "pipeline/base/fixed_math.h"

#define MARGIN_ONLY 1 /* Of booster_predict: before the link. */

/* Rows handed to the library. */
struct tree_rows_made {
    void *matrix;
    uint32_t count;
};

struct tree_training {
    struct xgboost_library library;
    const struct row_table *table;
    const uint8_t *parts;
    const struct tree_train_options *options;
    double positive_factor, base_rate;
    struct tree_rows_made fit, held;
    struct held_out held_out;
    double *watch_weights; /* Of the held-out rows, positives weighed as in the fit. Owned. */
    uint32_t stage, stages;
};

static enum status check(const struct tree_training *training, int result, struct error *error)
{
    return result == 0 ? STATUS_OK
                       : error_set(error, STATUS_FATAL, "training trees: libxgboost: %s",
                                   training->library.last_error());
}

static bool is_in(uint8_t part, enum split_part wanted, bool with_held)
{
    return part == wanted || (with_held && part == SPLIT_HELD);
}

static enum status count_classes(struct tree_training *training, struct error *error)
{
    struct fit_rows rows;
    enum status status = fit_rows_count(training->table, training->parts, 0, &rows, error);
    if (status == STATUS_OK) {
        training->positive_factor = fit_rows_factor(&rows, training->options->positive_weight);
        double positive = rows.weights[1] * training->positive_factor;
        training->base_rate = positive / (positive + rows.weights[0]);
        const struct tree_train_options *options = training->options;
        const struct fit_features features = {options->names, options->columns,
                                              options->column_count, options->warn,
                                              options->context};
        status = fit_rows_check_features(training->table, training->parts, &features, error);
    }
    return status;
}

struct gathered {
    float *values, *labels, *weights;
    uint32_t count;
};

static enum status gather(const struct tree_training *training, enum split_part part,
                          bool with_held, struct gathered *ret, struct error *error)
{
    const struct row_table *table = training->table;
    const struct tree_train_options *options = training->options;
    uint32_t width = options->column_count;
    for (uint32_t i = 0; i < table->count; i++) {
        if (!is_in(training->parts[i], part, with_held)) {
            continue;
        }
        const float *row = row_table_features(table, i);
        float *to = ret->values + (size_t)ret->count * width;
        for (uint32_t c = 0; c < width; c++) {
            to[c] = row[options->columns[c]];
            if (isinf(to[c])) {
                return error_set(error, STATUS_INVALID, "training: feature %s is infinite in a row",
                                 options->names[options->columns[c]]);
            }
        }
        double factor = table->rows[i].label ? training->positive_factor : 1.0;
        ret->labels[ret->count] = table->rows[i].label;
        ret->weights[ret->count++] = (float)(table->weights[i] * factor);
    }
    return STATUS_OK;
}

static enum status hand_over(const struct tree_training *training, const struct gathered *rows,
                             struct tree_rows_made *made, struct error *error)
{
    const struct xgboost_library *library = &training->library;
    enum status status =
        check(training,
              library->matrix_create(rows->values, rows->count, training->options->column_count,
                                     NAN, &made->matrix),
              error);
    if (status == STATUS_OK) {
        status = check(training,
                       library->matrix_set_floats(made->matrix, "label", rows->labels, rows->count),
                       error);
    }
    if (status == STATUS_OK) {
        status = check(
            training,
            library->matrix_set_floats(made->matrix, "weight", rows->weights, rows->count), error);
    }
    made->count = rows->count;
    return status;
}

static enum status make_rows(const struct tree_training *training, enum split_part part,
                             bool with_held, struct tree_rows_made *made, struct error *error)
{
    size_t room = (size_t)training->table->count + 1;
    struct gathered rows = {
        .values = calloc(room * training->options->column_count, sizeof(float)),
        .labels = calloc(room, sizeof(float)),
        .weights = calloc(room, sizeof(float)),
    };
    enum status status = rows.values && rows.labels && rows.weights
                             ? gather(training, part, with_held, &rows, error)
                             : error_set(error, STATUS_FATAL, "training: out of memory");
    if (status == STATUS_OK && rows.count > 0) {
        status = hand_over(training, &rows, made, error);
    }
    free(rows.values);
    free(rows.labels);
    free(rows.weights);
    return status;
}

static void free_rows(const struct tree_training *training, struct tree_rows_made *made)
{
    if (made->matrix) {
        (void)training->library.matrix_free(made->matrix);
    }
    *made = (struct tree_rows_made){0};
}

static enum status set_number(const struct tree_training *training, void *booster, const char *name,
                              double value, struct error *error)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.9g", value);
    return check(training, training->library.booster_set(booster, name, text), error);
}

static enum status set_all(const struct tree_training *training, void *booster, struct error *error)
{
    const struct tree_train_options *options = training->options;
    const char *const texts[][2] = {
        {"objective", "binary:logistic"},
        {"booster", "gbtree"},
        {"tree_method", "hist"},
        {"grow_policy", options->leaves > 0 ? "lossguide" : "depthwise"},
        {"disable_default_eval_metric", "1"},
        {"verbosity", "0"}};
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"nthread", options->threads},
        {"seed", (double)(options->seed % 2147483647u)},
        {"eta", options->rate},
        {"max_depth", options->depth},
        {"max_leaves", options->leaves},
        {"max_bin", options->bins},
        {"min_child_weight", options->leaf_weight_min},
        {"lambda", options->lambda},
        {"gamma", options->gamma},
        {"subsample", options->row_share},
        {"colsample_bytree", options->column_share},
        {"base_score", training->base_rate},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        status = check(training, training->library.booster_set(booster, texts[i][0], texts[i][1]),
                       error);
    }
    for (size_t i = 0; status == STATUS_OK && i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        status = set_number(training, booster, numbers[i].name, numbers[i].value, error);
    }
    return status;
}

static enum status predict(const struct tree_training *training, void *booster,
                           const struct tree_rows_made *rows, float *margins, struct error *error)
{
    uint64_t count = 0;
    const float *values = NULL;
    enum status status = check(training,
                               training->library.booster_predict(booster, rows->matrix, MARGIN_ONLY,
                                                                 0, 0, &count, &values),
                               error);
    if (status == STATUS_OK && count != rows->count) {
        return error_set(error, STATUS_FATAL,
                         "training trees: libxgboost: %" PRIu64 " predictions, %u expected", count,
                         rows->count);
    }
    if (status == STATUS_OK) {
        memcpy(margins, values, rows->count * sizeof(*margins));
    }
    return status;
}

static bool tell(const struct tree_training *training, uint32_t round, double loss)
{
    const struct tree_train_options *options = training->options;
    return !options->progress ||
           options->progress(options->context, training->stage, training->stages, round, loss);
}

static enum status weigh_held(struct tree_training *training, struct error *error)
{
    const struct held_out *held = &training->held_out;
    training->watch_weights = calloc((size_t)held->count + 1, sizeof(double));
    if (!training->watch_weights) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < held->count; i++) {
        double factor = held->labels[i] ? training->positive_factor : 1.0;
        training->watch_weights[i] = held->weights[i] * factor;
    }
    return STATUS_OK;
}

/* The loss that is fitted, on the held-out rows. */
static enum status held_loss(struct tree_training *training, void *booster, double *ret_loss,
                             struct error *error)
{
    struct held_out *held = &training->held_out;
    enum status status = predict(training, booster, &training->held, held->margins, error);
    if (status == STATUS_OK) {
        held_out_apply(held, &(struct pack_calibration){.slope = 1});
        *ret_loss =
            metric_log_loss(held->chances, held->labels, training->watch_weights, held->count);
    }
    return status;
}

/* Grows at most `rounds` trees; ret_best is how many of them gave the least loss. */
static enum status grow(struct tree_training *training, void *booster, uint32_t rounds,
                        bool is_watched, uint32_t *ret_best, struct error *error)
{
    bool is_stopped_early = is_watched && training->options->patience > 0;
    double best_loss = INFINITY;
    *ret_best = rounds;
    for (uint32_t round = 0; round < rounds; round++) {
        double loss = NAN;
        enum status status = check(
            training, training->library.booster_update(booster, (int)round, training->fit.matrix),
            error);
        if (status == STATUS_OK && is_watched) {
            status = held_loss(training, booster, &loss, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (!tell(training, round + 1, loss)) {
            return error_set(error, STATUS_FATAL, "training: stopped");
        }
        if (is_stopped_early && loss < best_loss) {
            best_loss = loss;
            *ret_best = round + 1;
        }
        if (is_stopped_early && round + 1 >= *ret_best + training->options->patience) {
            break;
        }
    }
    training->stage++;
    return STATUS_OK;
}

static enum status make_booster(const struct tree_training *training, void **ret_booster,
                                struct error *error)
{
    void *const matrices[] = {training->fit.matrix};
    enum status status =
        check(training, training->library.booster_create(matrices, 1, ret_booster), error);
    return status == STATUS_OK ? set_all(training, *ret_booster, error) : status;
}

static enum status save(const struct tree_training *training, void *booster, struct tree_fit *fit,
                        struct error *error)
{
    const struct tree_train_options *options = training->options;
    const char **names = (const char **)calloc(options->column_count, sizeof(*names));
    if (!names) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < options->column_count; i++) {
        names[i] = options->names[options->columns[i]];
    }
    uint64_t length = 0;
    const char *bytes = NULL;
    enum status status = check(
        training,
        training->library.booster_set_texts(booster, "feature_name", names, options->column_count),
        error);
    free((void *)names);
    if (status == STATUS_OK) {
        status =
            check(training,
                  training->library.booster_save(booster, "{\"format\": \"ubj\"}", &length, &bytes),
                  error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    void *copy = malloc(length + 1);
    if (!copy) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    memcpy(copy, bytes, length);
    free(fit->bytes);
    fit->bytes = copy;
    fit->length = length;
    return STATUS_OK;
}

/* Keeps the first `fit->trees` trees and takes the held-out rows' margins by them. */
static enum status keep_best(struct tree_training *training, void *booster, struct tree_fit *fit,
                             struct error *error)
{
    void *best = NULL;
    enum status status = check(
        training, training->library.booster_slice(booster, 0, (int)fit->trees, 1, &best), error);
    if (status == STATUS_OK) {
        status = save(training, best, fit, error);
    }
    if (status == STATUS_OK && training->held.matrix) {
        status = predict(training, best, &training->held, training->held_out.margins, error);
    }
    if (best) {
        (void)training->library.booster_free(best);
    }
    return status;
}

static enum status fit_first(struct tree_training *training, bool is_watched, struct tree_fit *fit,
                             struct error *error)
{
    void *booster = NULL;
    enum status status = make_booster(training, &booster, error);
    if (status == STATUS_OK) {
        status =
            grow(training, booster, training->options->rounds_max, is_watched, &fit->trees, error);
    }
    if (status == STATUS_OK) {
        status = keep_best(training, booster, fit, error);
    }
    if (booster) {
        (void)training->library.booster_free(booster);
    }
    return status;
}

static enum status calibrate(struct tree_training *training, struct tree_fit *fit,
                             struct error *error)
{
    struct held_out *held = &training->held_out;
    enum status status = held_out_judge(held, training->options->calibration, &fit->calibration,
                                        &fit->is_calibrated, &fit->held, error);
    if (status == STATUS_OK) {
        fit->is_measured = true;
        fit->threshold = fit->held.threshold;
    }
    return status;
}

static enum status refit(struct tree_training *training, struct tree_fit *fit, struct error *error)
{
    void *booster = NULL;
    uint32_t all = 0;
    free_rows(training, &training->fit);
    enum status status = make_rows(training, SPLIT_FIT, true, &training->fit, error);
    if (status == STATUS_OK) {
        status = make_booster(training, &booster, error);
    }
    if (status == STATUS_OK) {
        status = grow(training, booster, fit->trees, false, &all, error);
    }
    if (status == STATUS_OK) {
        status = save(training, booster, fit, error);
    }
    if (booster) {
        (void)training->library.booster_free(booster);
    }
    return status;
}

static enum status fit_all(struct tree_training *training, struct tree_fit *fit,
                           struct error *error)
{
    enum status status = count_classes(training, error);
    if (status == STATUS_OK) {
        status =
            held_out_make(training->table, training->parts, SPLIT_HELD, &training->held_out, error);
    }
    if (status == STATUS_OK) {
        status = weigh_held(training, error);
    }
    if (status == STATUS_OK) {
        status = make_rows(training, SPLIT_FIT, false, &training->fit, error);
    }
    if (status == STATUS_OK) {
        status = make_rows(training, SPLIT_HELD, false, &training->held, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct tree_train_options *options = training->options;
    bool is_watched = held_out_has_both_classes(&training->held_out);
    training->stages = options->is_refitted && training->held_out.count > 0 ? 2 : 1;
    fit->fit_rows = training->fit.count;
    fit->held_rows = training->held_out.count;
    status = fit_first(training, is_watched, fit, error);
    if (status == STATUS_OK && is_watched) {
        status = calibrate(training, fit, error);
    } else if (status == STATUS_OK && options->warn) {
        options->warn(options->context, "the held-out rows have one class only: neither stopped "
                                        "early nor calibrated");
    }
    if (status == STATUS_OK && training->stages > 1) {
        status = refit(training, fit, error);
    }
    return status;
}

enum status train_trees(const struct row_table *table, const uint8_t *parts,
                        const struct tree_train_options *options, struct tree_fit *ret_fit,
                        struct error *error)
{
    struct tree_training training = {.table = table, .parts = parts, .options = options};
    struct tree_fit fit = {.calibration = {.slope = 1}, .threshold = 0.5f};
    enum status status = xgboost_library_open(&training.library, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = fit_all(&training, &fit, error);
    free_rows(&training, &training.fit);
    free_rows(&training, &training.held);
    held_out_release(&training.held_out);
    free(training.watch_weights);
    xgboost_library_close(&training.library);
    if (status != STATUS_OK) {
        tree_fit_release(&fit);
        return status;
    }
    *ret_fit = fit;
    return STATUS_OK;
}

void tree_fit_release(struct tree_fit *fit)
{
    free(fit->bytes);
    pack_calibration_release(&fit->calibration);
    *fit = (struct tree_fit){0};
}

enum status tree_fit_logits(const struct tree_fit *fit, const struct row_table *table,
                            const struct tree_train_options *options, const uint32_t *chosen,
                            uint32_t count, float *logits, struct error *error)
{
    struct tree_ensemble *ensemble = NULL;
    struct tree_scratch *scratch = NULL;
    enum status status = tree_ensemble_read("the model", fit->bytes, fit->length, &ensemble, error);
    if (status == STATUS_OK) {
        status = tree_scratch_create(ensemble, &scratch, error);
    }
    if (status == STATUS_OK) {
        tree_ensemble_score_picked(ensemble, scratch, table->features, table->feature_count,
                                   options->columns, chosen, count, logits);
        for (uint32_t i = 0; i < count; i++) {
            logits[i] = pack_calibrate(&fit->calibration, logits[i]);
        }
    }
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
    return status;
}
