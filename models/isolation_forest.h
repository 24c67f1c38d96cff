/*
 * Isolation forest (Liu, Ting, Zhou, "Isolation forest", 2008): trees that cut a random feature at
 * a random place until a row stands alone. What is rare and different stands alone after few cuts,
 * so a short path is an anomaly. Built from a sample without labels, then constant; shared by
 * threads. Which rows and which cuts are taken depends on the seed alone.
 *
 * Reasons: each cut on a row's way changes the length that is to be expected of its path; what all
 * cuts on a feature change, over all trees, is the feature's share. Shares and the expected length
 * at the roots sum to the path.
 */
#ifndef MODELS_ISOLATION_FOREST_H
#define MODELS_ISOLATION_FOREST_H

#include <stdint.h>

#include "pipeline/base/status.h"

#define ISOLATION_TREES_MAX 1000u
#define ISOLATION_SAMPLE_MAX 4096u
#define ISOLATION_FEATURES_MAX 1024u

struct isolation_options {
    uint32_t trees;  /* 1 to ISOLATION_TREES_MAX. */
    uint32_t sample; /* Rows a tree, 2 to ISOLATION_SAMPLE_MAX; fewer where there are fewer. */
    uint64_t seed;
};

struct isolation_node {
    float cut;       /* A value below it goes left; others, and missing ones, right. */
    float path;      /* Mean length of the path of the tree's own rows that come by. */
    int32_t feature; /* ISOLATION_LEAF: none. */
    uint32_t left;   /* Index of the left child, right follows; of a leaf 0. */
};
#define ISOLATION_LEAF (-1)

struct isolation_forest {
    uint32_t tree_count, feature_count;
    uint32_t node_count;          /* Of all trees. */
    uint32_t *roots;              /* [tree_count]. Owned. */
    struct isolation_node *nodes; /* Children stand behind their parent. Owned. */
};

/* rows: [row_count][feature_count], at least two, NaN: missing. STATUS_FATAL: out of memory. */
MUST_CHECK enum status isolation_forest_build(const float *rows, uint32_t row_count,
                                              uint32_t feature_count,
                                              const struct isolation_options *options,
                                              struct isolation_forest **ret_forest,
                                              struct error *error);

/*
 * From arrays as the struct has them, which are copied. STATUS_INVALID names what is wrong with
 * them: a child that does not stand behind its parent, a feature that is none, a path that is not
 * finite or negative.
 */
MUST_CHECK enum status isolation_forest_make(const struct isolation_forest *given,
                                             struct isolation_forest **ret_forest,
                                             struct error *error);
void isolation_forest_destroy(struct isolation_forest *forest); /* NULL is a no-op. */

/* Mean length of the row's path over the trees. */
float isolation_forest_path(const struct isolation_forest *forest, const float *row);

/* terms[feature_count] and the return value sum to the row's path. */
float isolation_forest_explain(const struct isolation_forest *forest, const float *row,
                               float *terms);

/* The path that is to be expected in a tree of `rows` rows; the paper's c(n). */
double isolation_expected_path(uint32_t rows);

#endif
