/*
 * The file that `nudge train` and `nudge eval` read: which pipeline makes the rows, what is to be
 * predicted, which rows and features, and how it is fitted: section train. Section eval says what
 * `nudge eval` divides the rows by. `nudge train --settings` prints their tables.
 */
#ifndef PIPELINE_RUN_TRAIN_CONFIG_H
#define PIPELINE_RUN_TRAIN_CONFIG_H

#include "models/train_logistic.h"
#include "models/train_network.h"
#include "pipeline/run/eval_slices.h"
#include "pipeline/run/labelled_rows.h"
#include "pipeline/run/table_rows.h"

enum train_kind {
    TRAIN_LOGISTIC,
    TRAIN_TREES,
    TRAIN_MLP,
    TRAIN_GRU,
    TRAIN_LSTM,
    TRAIN_ISOLATION_FOREST,
    TRAIN_KIND_COUNT
};
extern const char *const train_kind_names[TRAIN_KIND_COUNT + 1]; /* Ends: NULL. */

struct train_settings {
    char *pipeline, *name, *version, *output, *truth, *from, *until;
    struct text_list input;
    int kind, target, label_by, truth_positive, truth_by, transform, calibration;
    const struct yaml_node *trees;   /* See train_trees_section. */
    const struct yaml_node *network; /* See network_read.h. */
    const struct yaml_node *descent; /* See train_descent_section. */
    struct text_list label_values, leave_out_kinds, event_types, prefixes;
    struct text_list features, leave_out_features, leave_out_families, l2;
    int64_t rows_max, seed, within_ms, gap_ms, held_gap_ms, half_life_ms, iterations, folds,
        forest_trees, forest_sample;
    int64_t markov_order;
    double held_share, limit, l1, positive_weight;
    bool is_refitted;
};

struct train_trees_settings {
    int64_t rounds, patience, depth, leaves, bins, threads;
    double rate, leaf_weight_min, lambda, gamma, row_share, column_share;
    char *checkpoint;
};

struct train_descent_settings {
    int loss, optimizer, schedule, start;
    double focus, rate, momentum, decay, warm_up, l2, dropout, clip;
    int64_t epochs, batch, steps, patience;
    char *checkpoint;
};

/* The shape of kinds mlp, gru and lstm; the last layer is not among the layers. */
struct train_network {
    enum network_cell cell;
    uint32_t hidden;
    struct train_layer layers[NETWORK_LAYERS_MAX];
    uint32_t layer_count;
    struct train_embedding embeddings[TRAIN_EMBEDDINGS_MAX];
    uint32_t embedding_count;
};

extern const struct setting_section train_section;
extern const struct setting_section train_descent_section;
extern const struct setting_section train_trees_section;

/* What the command line puts in place of the file's. NULL or 0: as in the file. */
struct train_overrides {
    const char *const *files; /* [file_count] */
    size_t file_count;
    const char *truth;
    const char *output;
    const char *from, *until; /* Times as text. */
};

struct train_config {
    struct yaml_document *document;
    struct train_settings settings;
    struct train_trees_settings trees;
    struct train_descent_settings descent;
    struct train_network network;
    struct eval_settings eval;
    bool has_threshold;             /* eval.threshold is set. */
    struct config config;           /* Zero where the target is a table. */
    struct table_names table_names; /* Of the table. */
    struct row_options rows;        /* from_ms and until_ms as the file has them. */
    struct truth_file *truth;
    char **files; /* Owned, each owned. */
    uint32_t file_count;
    char *output;                    /* Owned: where the pack goes; NULL: nowhere. */
    const char *names[FEATURES_MAX]; /* Of the features of a row. */
    uint32_t name_count;
    uint32_t columns[FEATURES_MAX];
    uint32_t column_count;
    double l2[STRENGTHS_MAX];
    uint32_t l2_count;
};

/* STATUS_INVALID with file, line, key, value, what was expected and the nearest right name. */
MUST_CHECK enum status train_config_load(const char *path, const struct train_overrides *overrides,
                                         struct train_config *ret_config, struct error *error);
void train_config_release(struct train_config *config);

static inline bool train_kind_is_network(int kind)
{
    return kind == TRAIN_MLP || kind == TRAIN_GRU || kind == TRAIN_LSTM;
}

/* Milliseconds since 1970 of a text in ISO 8601. False where it is none. */
bool train_time_parse(const char *text, int64_t *ret_ms);

/* The rows that the file asks for, under `options`: from a table, or by running the pipeline. */
MUST_CHECK enum status train_config_rows(const struct train_config *config,
                                         const struct row_options *options,
                                         struct row_table *ret_table, struct row_counts *ret_counts,
                                         struct error *error);

/* Whether column `index` is an id: no number, so only in use where it is named. */
bool train_config_is_id(const struct train_config *config, uint32_t index);

/* The options of a fit over the features that are in use. */
struct train_options train_config_fit_options(const struct train_config *config);

#endif
