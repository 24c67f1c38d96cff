/* The mapping trees of a training file. */
#include <stddef.h>

#include "pipeline/run/train_config_internal.h"

#define OPTION(member) offsetof(struct train_trees_settings, member)
static const struct setting settings[] = {
    NUMBER("rounds", SETTING_INTEGER, rounds, "500", 1, 20000, "Trees, at most"),
    NUMBER(
        "patience", SETTING_INTEGER, patience, "50", 0, 20000,
        "Trees without a better held-out log loss after which it stops; 0: all are grown and kept"),
    NUMBER("depth", SETTING_INTEGER, depth, "6", 1, 32, "Splits between root and leaf, at most"),
    NUMBER("leaves", SETTING_INTEGER, leaves, "0", 0, 65536,
           "Leaves of a tree, at most, the leaf whose split gains most divided first; depth still "
           "holds; 0: no bound, and level by level"),
    NUMBER("learning_rate", SETTING_NUMBER, rate, "0.1", 1e-5, 1, "Share of each tree that counts"),
    NUMBER("leaf_weight_min", SETTING_NUMBER, leaf_weight_min, "1", 0, 1e9,
           "Least sum of second derivatives in a leaf"),
    NUMBER("l2", SETTING_NUMBER, lambda, "1", 0, 1e9, "Strength of L2 on the leaves"),
    NUMBER("gain_min", SETTING_NUMBER, gamma, "0", 0, 1e9, "Least gain of a split"),
    NUMBER("row_share", SETTING_NUMBER, row_share, "1", 0.01, 1, "Share of rows drawn for a tree"),
    NUMBER("feature_share", SETTING_NUMBER, column_share, "1", 0.01, 1,
           "Share of features drawn for a tree"),
    NUMBER("bins", SETTING_INTEGER, bins, "256", 2, 65536, "Bins of each feature's values"),
    NUMBER("threads", SETTING_INTEGER, threads, "1", 1, 256,
           "With more than one the same rows may give other bits"),
    {.name = "checkpoint",
     .type = SETTING_PATH,
     .offset = OPTION(checkpoint),
     .doc = "File by which an interrupted training goes on; written as trees are grown, removed at "
            "the end"},
};

const struct setting_section train_trees_section = {
    .name = "trees",
    .doc = "Boosted trees, fitted by libxgboost",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct train_trees_settings),
};
