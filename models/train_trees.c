#include "models/train_trees.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "models/fit_rows.h"
#include "models/train_trees_internal.h"
#include "models/tree_ensemble.h"

enum status tree_training_check(const struct tree_training *training, int result,
                                struct error *error)
{
    return result == 0 ? STATUS_OK
                       : error_set(error, STATUS_FATAL, "training trees: libxgboost: %s",
                                   training->library.last_error());
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

/* What both stages need. */
static enum status prepare(struct tree_training *training, struct tree_fit *fit,
                           struct error *error)
{
    const struct tree_train_options *options = training->options;
    enum status status = count_classes(training, error);
    if (status == STATUS_OK) {
        status =
            held_out_make(training->table, training->parts, SPLIT_HELD, &training->held_out, error);
    }
    if (status == STATUS_OK) {
        status = weigh_held(training, error);
    }
    if (status == STATUS_OK) {
        status = tree_rows_make(training, SPLIT_FIT, false, &training->fit, error);
    }
    if (status == STATUS_OK) {
        status = tree_rows_make(training, SPLIT_HELD, false, &training->held, error);
    }
    uint32_t rows = training->table->count;
    uint32_t room = rows > options->column_count ? rows : options->column_count;
    training->draw = calloc((size_t)room + 1, sizeof(float));
    if (status == STATUS_OK && !training->draw) {
        status = error_set(error, STATUS_FATAL, "training: out of memory");
    }
    training->stages = options->is_refitted && training->held_out.count > 0 ? 2 : 1;
    training->progress =
        (struct tree_progress){.best_round = options->rounds_max, .best_loss = INFINITY};
    fit->fit_rows = training->fit.count;
    fit->held_rows = training->held_out.count;
    return status;
}

static enum status fit_first(struct tree_training *training, bool is_watched, struct tree_fit *fit,
                             struct error *error)
{
    struct tree_progress *p = &training->progress;
    enum status status = tree_training_fit(training, is_watched, fit, error);
    if (status == STATUS_OK && training->stages > 1) {
        p->stage = 1;
        p->round = 0;
        if (training->options->checkpoint) {
            status =
                tree_checkpoint_write(training->options->checkpoint, training->hash, p,
                                      &(struct tree_booster_bytes){0}, &training->held_out, error);
        }
    }
    return status;
}

static enum status refit(struct tree_training *training, struct tree_fit *fit, struct error *error)
{
    tree_rows_free(training, &training->fit);
    enum status status = tree_rows_make(training, SPLIT_FIT, true, &training->fit, error);
    return status == STATUS_OK ? tree_training_refit(training, fit, error) : status;
}

static enum status fit_all(struct tree_training *training, struct tree_fit *fit,
                           struct error *error)
{
    const struct tree_train_options *options = training->options;
    bool is_watched = held_out_has_both_classes(&training->held_out);
    enum status status = STATUS_OK;
    if (training->progress.stage == 0) {
        status = fit_first(training, is_watched, fit, error);
    }
    fit->trees = training->progress.best_round;
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

static enum status train(struct tree_training *training, struct tree_fit *fit, struct error *error)
{
    const char *checkpoint = training->options->checkpoint;
    enum status status = prepare(training, fit, error);
    if (status == STATUS_OK && checkpoint) {
        training->hash = tree_training_hash(training);
        status = tree_checkpoint_read(checkpoint, training->hash, &training->progress,
                                      &training->held_out, error);
    }
    if (status == STATUS_OK) {
        status = fit_all(training, fit, error);
    }
    if (status == STATUS_OK && checkpoint) {
        (void)unlink(checkpoint);
    }
    return status;
}

static void release(struct tree_training *training)
{
    tree_rows_free(training, &training->fit);
    tree_rows_free(training, &training->held);
    held_out_release(&training->held_out);
    free(training->watch_weights);
    free(training->draw);
    free(training->progress.booster);
    xgboost_library_close(&training->library);
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
    status = train(&training, &fit, error);
    release(&training);
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
