/* Grows trees by libxgboost, one a round, from where the training stands. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/metrics.h"
#include "models/random_stream.h"
#include "models/train_trees_internal.h"

#define MARGIN_ONLY 1 /* Of booster_predict: before the link. */
/* A checkpoint holds all trees, so it is written the less often the more there are. */
#define LOST_SHARE 20 /* An interruption costs one tree in 20 at most. */
/* No chance is left to a weight of 0, which the library takes as 1e-6. */
#define DRAWN_WEIGHT 1e30f

static enum status set_number(const struct tree_training *training, void *booster, const char *name,
                              double value, struct error *error)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%.9g", value);
    return tree_training_check(training, training->library.booster_set(booster, name, text), error);
}

/* Of each tree. As many as the library would draw. */
static uint32_t drawn_features(const struct tree_train_options *options)
{
    float wanted = (float)options->column_share * (float)options->column_count;
    return wanted < 1 ? 1 : (uint32_t)wanted;
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
    /* In the middle of what the library takes for the same number of features. */
    uint32_t drawn = drawn_features(options);
    double column_share = drawn < options->column_count ? (drawn + 0.5) / options->column_count : 1;
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"nthread", options->threads},      {"eta", options->rate},
        {"max_depth", options->depth},      {"max_leaves", options->leaves},
        {"max_bin", options->bins},         {"min_child_weight", options->leaf_weight_min},
        {"lambda", options->lambda},        {"gamma", options->gamma},
        {"colsample_bytree", column_share}, {"base_score", training->base_rate},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        status = tree_training_check(
            training, training->library.booster_set(booster, texts[i][0], texts[i][1]), error);
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
    enum status status =
        tree_training_check(training,
                            training->library.booster_predict(booster, rows->matrix, MARGIN_ONLY, 0,
                                                              0, &count, &values),
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

static bool tell(const struct tree_training *training, double loss)
{
    const struct tree_train_options *options = training->options;
    const struct tree_progress *p = &training->progress;
    return !options->progress ||
           options->progress(options->context, p->stage, training->stages, p->round, loss);
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

static enum status weigh(const struct tree_training *training, const char *what,
                         const float *weights, uint32_t count, struct error *error)
{
    return tree_training_check(
        training, training->library.matrix_set_floats(training->fit.matrix, what, weights, count),
        error);
}

/* The library still draws, but as many as have a weight. */
static enum status draw_features(const struct tree_training *training, struct random_stream *stream,
                                 struct error *error)
{
    uint32_t count = training->options->column_count;
    uint32_t wanted = drawn_features(training->options);
    for (uint32_t i = 0; i < count; i++) { /* Selection sampling (Fan and others, 1962). */
        bool is_drawn = random_stream_below(stream, count - i) < wanted;
        wanted -= is_drawn;
        training->draw[i] = is_drawn ? DRAWN_WEIGHT : 0;
    }
    return weigh(training, "feature_weights", training->draw, count, error);
}

static enum status draw_rows(const struct tree_training *training, struct random_stream *stream,
                             struct error *error)
{
    const struct tree_rows_made *fit = &training->fit;
    for (uint32_t i = 0; i < fit->count; i++) {
        bool is_drawn = (double)random_stream_unit(stream) < training->options->row_share;
        training->draw[i] = is_drawn ? fit->weights[i] : 0;
    }
    return weigh(training, "weight", training->draw, fit->count, error);
}

/*
 * Draws the rows and features of the round's tree by the seed and the round alone, whichever tree
 * is the first that this process grows. The library's own draws would go on from those before.
 */
static enum status draw(const struct tree_training *training, uint32_t round, struct error *error)
{
    const struct tree_train_options *options = training->options;
    struct random_stream of_rows = random_stream_of(options->seed, 2 * (uint64_t)round);
    struct random_stream of_features = random_stream_of(options->seed, 2 * (uint64_t)round + 1);
    enum status status = STATUS_OK;
    if (options->row_share < 1) {
        status = draw_rows(training, &of_rows, error);
    }
    if (status == STATUS_OK && drawn_features(options) < options->column_count) {
        status = draw_features(training, &of_features, error);
    }
    return status;
}

/*
 * Lets the library choose the bounds of the bins, which it does once for a matrix at its first
 * tree, while all rows have their weights.
 */
static enum status choose_bins(const struct tree_training *training, struct error *error)
{
    void *booster = NULL;
    void *const matrices[] = {training->fit.matrix};
    enum status status = tree_training_check(
        training, training->library.booster_create(matrices, 1, &booster), error);
    if (status == STATUS_OK) {
        status = set_all(training, booster, error);
    }
    if (status == STATUS_OK) {
        status = set_number(training, booster, "max_depth", 1, error);
    }
    if (status == STATUS_OK) {
        status = tree_training_check(
            training, training->library.booster_update(booster, 0, training->fit.matrix), error);
    }
    if (booster) {
        (void)training->library.booster_free(booster);
    }
    return status;
}

static enum status serialize(const struct tree_training *training, void *booster,
                             struct tree_booster_bytes *ret_bytes, struct error *error)
{
    return tree_training_check(training,
                               training->library.booster_save(booster, "{\"format\": \"ubj\"}",
                                                              &ret_bytes->length,
                                                              &ret_bytes->bytes),
                               error);
}

/* A tree more; with `is_watched`, ret_loss is of the held-out rows, else NaN. */
static enum status grow_tree(struct tree_training *training, void *booster, bool is_watched,
                             double *ret_loss, struct error *error)
{
    uint32_t round = training->progress.round;
    enum status status = draw(training, round, error);
    *ret_loss = NAN;
    if (status == STATUS_OK) {
        status = tree_training_check(
            training, training->library.booster_update(booster, (int)round, training->fit.matrix),
            error);
    }
    if (status == STATUS_OK && is_watched) {
        status = held_loss(training, booster, ret_loss, error);
    }
    return status;
}

static enum status write_checkpoint(const struct tree_training *training, void *booster,
                                    struct error *error)
{
    struct tree_booster_bytes bytes;
    enum status status = serialize(training, booster, &bytes, error);
    return status == STATUS_OK
               ? tree_checkpoint_write(training->options->checkpoint, training->hash,
                                       &training->progress, &bytes, &training->held_out, error)
               : status;
}

/* Grows until there are `rounds` trees, or the least loss is too long ago. */
static enum status grow(struct tree_training *training, void *booster, uint32_t rounds,
                        bool is_watched, struct error *error)
{
    struct tree_progress *p = &training->progress;
    uint32_t patience = is_watched ? training->options->patience : 0;
    uint32_t written = p->round;
    while (p->round < rounds && (patience == 0 || p->round < p->best_round + patience)) {
        double loss;
        enum status status = grow_tree(training, booster, is_watched, &loss, error);
        if (status != STATUS_OK) {
            return status;
        }
        p->round++;
        if (patience > 0 && loss < p->best_loss) {
            p->best_loss = loss;
            p->best_round = p->round;
        }
        if (training->options->checkpoint && p->round - written > p->round / LOST_SHARE) {
            status = write_checkpoint(training, booster, error);
            written = p->round;
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (!tell(training, loss)) {
            return error_set(error, STATUS_FATAL, "training: stopped");
        }
    }
    return STATUS_OK;
}

/* With the trees that there are. */
static enum status make_booster(struct tree_training *training, void **ret_booster,
                                struct error *error)
{
    void *const matrices[] = {training->fit.matrix};
    struct tree_progress *p = &training->progress;
    enum status status =
        training->options->row_share < 1 ? choose_bins(training, error) : STATUS_OK;
    if (status == STATUS_OK) {
        status = tree_training_check(
            training, training->library.booster_create(matrices, 1, ret_booster), error);
    }
    if (status == STATUS_OK && p->round > 0) {
        status = tree_training_check(
            training, training->library.booster_load(*ret_booster, p->booster, p->booster_length),
            error);
    }
    free(p->booster);
    p->booster = NULL;
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
    struct tree_booster_bytes made;
    enum status status = tree_training_check(
        training,
        training->library.booster_set_texts(booster, "feature_name", names, options->column_count),
        error);
    free((void *)names);
    if (status == STATUS_OK) {
        status = serialize(training, booster, &made, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    void *copy = malloc(made.length + 1);
    if (!copy) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    memcpy(copy, made.bytes, made.length);
    free(fit->bytes);
    fit->bytes = copy;
    fit->length = made.length;
    return STATUS_OK;
}

/* Keeps the first `fit->trees` trees and takes the held-out rows' margins by them. */
static enum status keep_best(struct tree_training *training, void *booster, struct tree_fit *fit,
                             struct error *error)
{
    void *best = NULL;
    enum status status = tree_training_check(
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

enum status tree_training_fit(struct tree_training *training, bool is_watched, struct tree_fit *fit,
                              struct error *error)
{
    void *booster = NULL;
    enum status status = make_booster(training, &booster, error);
    if (status == STATUS_OK) {
        status = grow(training, booster, training->options->rounds_max, is_watched, error);
    }
    if (status == STATUS_OK) {
        fit->trees = training->progress.best_round;
        status = keep_best(training, booster, fit, error);
    }
    if (booster) {
        (void)training->library.booster_free(booster);
    }
    return status;
}

enum status tree_training_refit(struct tree_training *training, struct tree_fit *fit,
                                struct error *error)
{
    void *booster = NULL;
    enum status status = make_booster(training, &booster, error);
    if (status == STATUS_OK) {
        status = grow(training, booster, fit->trees, false, error);
    }
    if (status == STATUS_OK) {
        status = save(training, booster, fit, error);
    }
    if (booster) {
        (void)training->library.booster_free(booster);
    }
    return status;
}
