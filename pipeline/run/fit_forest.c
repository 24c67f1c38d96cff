#include "pipeline/run/fit_forest.h"

#include <stdlib.h>

#include "models/pack_isolation_forest.h"
#include "models/time_split.h"

static struct isolation_train_options options_of(const struct train_config *config)
{
    return (struct isolation_train_options){
        .names = config->names,
        .columns = config->columns,
        .column_count = config->column_count,
        .forest = {.trees = (uint32_t)config->settings.forest_trees,
                   .sample = (uint32_t)config->settings.forest_sample,
                   .seed = (uint64_t)config->settings.seed},
    };
}

enum status fit_forest_make(const struct train_config *config, const struct row_table *table,
                            const uint8_t *parts, const struct fit_listener *listener,
                            struct isolation_fit *ret_fit, struct error *error)
{
    struct isolation_train_options options = options_of(config);
    options.warn = listener->warn;
    options.context = listener->context;
    return train_isolation(table, parts, &options, ret_fit, error);
}

enum status fit_forest_logits(const struct isolation_fit *fit, const struct train_config *config,
                              const struct row_table *table, const uint32_t *chosen, uint32_t count,
                              float *logits, struct error *error)
{
    struct isolation_train_options options = options_of(config);
    return isolation_fit_logits(fit, table, &options, chosen, count, logits, error);
}

static enum status write_floats(const struct isolation_fit *fit, const struct train_config *config,
                                const struct column_quantiles *quantiles,
                                struct pack_feature *features, const float *nodes,
                                const float *roots, const char *directory,
                                const struct pack_text *text, struct error *error)
{
    const struct isolation_forest *forest = fit->forest;
    uint32_t count = config->column_count;
    for (uint32_t i = 0; i < count; i++) { /* The writer only reads names. */
        features[i].name = (char *)(uintptr_t)config->names[config->columns[i]];
    }
    uint64_t node_floats = (uint64_t)forest->node_count * ISOLATION_NODE_FLOATS;
    const struct tensor tensors[] = {
        {"nodes", 2, {forest->node_count, ISOLATION_NODE_FLOATS}, node_floats, nodes},
        {"roots", 1, {forest->tree_count}, forest->tree_count, roots},
        {"p50", 1, {count}, count, quantiles->p50},
        {"p99", 1, {count}, count, quantiles->p99},
        {"p999", 1, {count}, count, quantiles->p999},
    };
    struct pack_metric metrics[2 + HELD_METRICS] = {{"fit_rows", fit->fit_rows},
                                                    {"held_rows", fit->held_rows}};
    const struct pack_content content = {
        .kind = "isolation_forest",
        .lines = "",
        .features = features,
        .feature_count = count,
        .calibration = &fit->calibration,
        .threshold = 0.5f,
        .metrics = metrics,
        .metric_count = 2 + (fit->is_measured ? pack_held_metrics(&fit->held, metrics + 2) : 0),
        .tensors = tensors,
        .tensor_count = sizeof(tensors) / sizeof(tensors[0]),
    };
    return pack_write_content(directory, text, &content, error);
}

enum status fit_forest_write(const struct isolation_fit *fit, const struct train_config *config,
                             const struct column_quantiles *quantiles, const char *directory,
                             const struct pack_text *text, struct error *error)
{
    struct pack_feature *features = calloc(config->column_count, sizeof(*features));
    float *nodes = isolation_nodes_as_floats(fit->forest);
    float *roots = isolation_roots_as_floats(fit->forest);
    enum status status =
        features && nodes && roots
            ? write_floats(fit, config, quantiles, features, nodes, roots, directory, text, error)
            : error_set(error, STATUS_FATAL, "training: out of memory");
    free(features);
    free(nodes);
    free(roots);
    return status;
}
