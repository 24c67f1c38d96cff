#include "pipeline/run/fit.h"

#include <stdlib.h>

#include "models/fit_rows.h"
#include "models/pack_network_write.h"
#include "models/time_split.h"
#include "pipeline/run/fit_forest.h"
#include "pipeline/run/fit_network.h"

static struct tree_train_options tree_options(const struct train_config *config,
                                              const struct fit_listener *listener)
{
    const struct train_settings *made = &config->settings;
    const struct train_trees_settings *trees = &config->trees;
    return (struct tree_train_options){
        .names = config->names,
        .columns = config->columns,
        .column_count = config->column_count,
        .rounds_max = (uint32_t)trees->rounds,
        .patience = (uint32_t)trees->patience,
        .depth = (uint32_t)trees->depth,
        .leaves = (uint32_t)trees->leaves,
        .bins = (uint32_t)trees->bins,
        .threads = (uint32_t)trees->threads,
        .rate = trees->rate,
        .leaf_weight_min = trees->leaf_weight_min,
        .lambda = trees->lambda,
        .gamma = trees->gamma,
        .row_share = trees->row_share,
        .column_share = trees->column_share,
        .positive_weight = made->positive_weight,
        .seed = (uint64_t)made->seed,
        .is_refitted = made->is_refitted,
        .calibration = (enum calibration_method)made->calibration,
        /* The folds of a cross-validation are told to nobody, and have no checkpoint. */
        .checkpoint = listener->progress ? trees->checkpoint : NULL,
        .progress = listener->progress,
        .warn = listener->warn,
        .context = listener->context,
    };
}

static enum status make(const struct train_config *config, const struct row_table *table,
                        const uint8_t *parts, const struct fit_listener *listener,
                        struct fit *ret_fit, struct error *error)
{
    if (ret_fit->kind == TRAIN_TREES) {
        struct tree_train_options options = tree_options(config, listener);
        return train_trees(table, parts, &options, &ret_fit->trees, error);
    }
    if (ret_fit->kind == TRAIN_ISOLATION_FOREST) {
        return fit_forest_make(config, table, parts, listener, &ret_fit->forest, error);
    }
    if (train_kind_is_network(ret_fit->kind)) {
        return fit_network_make(config, table, parts, listener, &ret_fit->network, error);
    }
    struct train_options options = train_config_fit_options(config);
    options.progress = listener->progress;
    options.warn = listener->warn;
    options.context = listener->context;
    return train_logistic(table, parts, &options, &ret_fit->logistic, error);
}

enum status fit_make(const struct train_config *config, const struct row_table *table,
                     const uint8_t *parts, const struct fit_listener *listener, struct fit *ret_fit,
                     struct error *error)
{
    ret_fit->kind = (enum train_kind)config->settings.kind;
    if (config->settings.half_life_ms == 0) {
        return make(config, table, parts, listener, ret_fit, error);
    }
    struct row_table faded = *table;
    faded.weights = calloc((size_t)table->count + 1, sizeof(*faded.weights));
    if (!faded.weights) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    fit_rows_fade(table, parts, config->settings.half_life_ms, faded.weights);
    enum status status = make(config, &faded, parts, listener, ret_fit, error);
    free(faded.weights);
    return status;
}

void fit_release(struct fit *fit)
{
    logistic_fit_release(&fit->logistic);
    tree_fit_release(&fit->trees);
    isolation_fit_release(&fit->forest);
    network_fit_release(&fit->network);
}

enum status fit_logits(const struct fit *fit, const struct train_config *config,
                       const struct row_table *table, const uint32_t *chosen, uint32_t count,
                       float *logits, struct error *error)
{
    if (fit->kind == TRAIN_TREES) {
        struct tree_train_options options = tree_options(config, &(struct fit_listener){0});
        return tree_fit_logits(&fit->trees, table, &options, chosen, count, logits, error);
    }
    if (fit->kind == TRAIN_ISOLATION_FOREST) {
        return fit_forest_logits(&fit->forest, config, table, chosen, count, logits, error);
    }
    if (train_kind_is_network(fit->kind)) {
        return fit_network_logits(&fit->network, table, chosen, count, logits, error);
    }
    for (uint32_t i = 0; i < count; i++) {
        logits[i] = logistic_fit_logit(&fit->logistic, row_table_features(table, chosen[i]));
    }
    return STATUS_OK;
}

static enum status write_trees(const struct tree_fit *fit, const struct train_config *config,
                               const struct column_quantiles *quantiles, const char *directory,
                               const struct pack_text *text, struct error *error)
{
    uint32_t count = config->column_count;
    struct pack_feature *features = calloc(count, sizeof(*features));
    if (!features) {
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) { /* The writer only reads names. */
        features[i].name = (char *)(uintptr_t)config->names[config->columns[i]];
    }
    struct tensor tensors[] = {{.name = "p50", .data = quantiles->p50},
                               {.name = "p99", .data = quantiles->p99},
                               {.name = "p999", .data = quantiles->p999}};
    for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
        tensors[i].count = count;
        tensors[i].dimension_count = 1;
        tensors[i].shape[0] = count;
    }
    struct pack_metric metrics[3 + HELD_METRICS] = {
        {"fit_rows", fit->fit_rows}, {"held_rows", fit->held_rows}, {"trees", fit->trees}};
    const struct pack_file file = {PACK_MODEL_FILE, fit->bytes, fit->length};
    struct pack_content content = {
        .kind = "trees",
        .lines = "model: " PACK_MODEL_FILE "\n",
        .features = features,
        .feature_count = count,
        .calibration = &fit->calibration,
        .threshold = fit->threshold,
        .metrics = metrics,
        .metric_count = 3 + (fit->is_measured ? pack_held_metrics(&fit->held, metrics + 3) : 0),
        .tensors = tensors,
        .tensor_count = 3,
        .files = &file,
        .file_count = 1,
    };
    enum status status = pack_write_content(directory, text, &content, error);
    free(features);
    return status;
}

/* The columns of the pack's features. */
static const uint32_t *columns_of(const struct fit *fit, const struct train_config *config,
                                  uint32_t *ret_count)
{
    if (fit->kind == TRAIN_TREES || fit->kind == TRAIN_ISOLATION_FOREST) {
        *ret_count = config->column_count;
        return config->columns;
    }
    bool is_network = train_kind_is_network(fit->kind);
    *ret_count = is_network ? fit->network.feature_count : fit->logistic.feature_count;
    return is_network ? fit->network.columns : fit->logistic.columns;
}

enum status fit_write(const struct fit *fit, const struct train_config *config,
                      const struct row_table *table, const char *directory,
                      const struct pack_text *text, struct error *error)
{
    uint32_t count;
    const uint32_t *columns = columns_of(fit, config, &count);
    struct column_quantiles quantiles;
    enum status status = column_quantiles_make(table, columns, count, &quantiles, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct pack_quantiles population = {quantiles.p50, quantiles.p99, quantiles.p999};
    if (fit->kind == TRAIN_TREES) {
        status = write_trees(&fit->trees, config, &quantiles, directory, text, error);
    } else if (fit->kind == TRAIN_ISOLATION_FOREST) {
        status = fit_forest_write(&fit->forest, config, &quantiles, directory, text, error);
    } else if (train_kind_is_network(fit->kind)) {
        status = pack_network_write(directory, text, &fit->network, &population, error);
    } else {
        status = pack_write(directory, text, &fit->logistic, &population, error);
    }
    column_quantiles_release(&quantiles);
    return status;
}

static void print_held(const struct held_measures *held, const struct pack_calibration *calibration,
                       float threshold, FILE *out)
{
    (void)fprintf(out,
                  "held out: base rate %.4f, PR-AUC %.4f, ROC-AUC %.4f, log loss %.4f, "
                  "Brier %.5f, calibration error %.4f\n",
                  held->base_rate, held->pr_auc, held->roc_auc, held->log_loss, held->brier,
                  held->calibration_error);
    if (calibration->point_count > 0) {
        (void)fprintf(out, "calibration: %u points; threshold %.4f\n", calibration->point_count,
                      (double)threshold);
        return;
    }
    (void)fprintf(out, "calibration: slope %.4f, offset %.4f; threshold %.4f\n",
                  (double)calibration->slope, (double)calibration->offset, (double)threshold);
}

/* What fit_print says of each kind. */
struct printed {
    uint32_t fit_rows, held_rows;
    const struct held_measures *held; /* NULL: not measured. */
    const struct pack_calibration *calibration;
    float threshold;
};

static struct printed printed_of(const struct fit *fit)
{
    if (fit->kind == TRAIN_TREES) {
        const struct tree_fit *made = &fit->trees;
        return (struct printed){made->fit_rows, made->held_rows,
                                made->is_measured ? &made->held : NULL, &made->calibration,
                                made->threshold};
    }
    if (fit->kind == TRAIN_ISOLATION_FOREST) {
        const struct isolation_fit *made = &fit->forest;
        return (struct printed){made->fit_rows, made->held_rows,
                                made->is_measured ? &made->held : NULL, &made->calibration,
                                made->is_measured ? made->held.threshold : 0.5f};
    }
    if (train_kind_is_network(fit->kind)) {
        const struct network_fit *made = &fit->network;
        return (struct printed){made->fit_rows, made->held_rows,
                                made->is_measured ? &made->held : NULL, &made->calibration,
                                made->threshold};
    }
    const struct logistic_fit *made = &fit->logistic;
    return (struct printed){made->fit_rows, made->held_rows, made->is_measured ? &made->held : NULL,
                            &made->calibration, made->threshold};
}

void fit_print(const struct fit *fit, const struct train_config *config, const char *held_from,
               FILE *out)
{
    struct printed printed = printed_of(fit);
    uint32_t count;
    (void)columns_of(fit, config, &count);
    (void)fprintf(out, "fitted on %u rows, %u features; ", printed.fit_rows, count);
    if (fit->kind == TRAIN_TREES) {
        (void)fprintf(out, "%u trees", fit->trees.trees);
    } else if (fit->kind == TRAIN_ISOLATION_FOREST) {
        (void)fprintf(out, "%u trees", fit->forest.forest->tree_count);
    } else if (train_kind_is_network(fit->kind)) {
        (void)fprintf(out, "%zu parameters, epoch %u of %u", fit->network.shape.parameter_count,
                      fit->network.best_epoch, fit->network.epochs);
    } else {
        (void)fprintf(out, "l2 %g", fit->logistic.l2);
    }
    if (printed.held_rows > 0) {
        (void)fprintf(out, "; held out %u rows from %s on", printed.held_rows, held_from);
    }
    (void)fprintf(out, "\n");
    if (printed.held) {
        print_held(printed.held, printed.calibration, printed.threshold, out);
    }
}
