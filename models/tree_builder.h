/*
 * Makes an ensemble of the trees that a reader has found in a file, and checks that they are trees.
 */
#ifndef MODELS_TREE_BUILDER_H
#define MODELS_TREE_BUILDER_H

#include "models/tree_ensemble.h"

enum tree_input_kind { TREE_INPUT_LEAF, TREE_INPUT_NUMBER, TREE_INPUT_CATEGORY };

struct tree_input {
    enum tree_input_kind kind;
    uint32_t feature;
    uint32_t left; /* Index in the tree. */
    uint32_t right;
    bool missing_left;
    bool zero_is_missing; /* Of TREE_INPUT_NUMBER. */
    float threshold;      /* Less than this goes left. Not NaN. */
    const uint32_t *set;  /* Borrowed during the call; see struct tree_column. */
    uint32_t set_words;
    bool set_left;
    bool rounds_up;
    double value; /* Of a leaf. */
    double
        cover; /* Of a leaf: weight of the training rows that reached it, or negative: unknown. */
};

struct tree_settings {
    const char *maker;          /* Static. */
    const char *objective;      /* Copied. */
    char *const *feature_names; /* Copied; or NULL. */
    uint32_t feature_count;
    uint32_t output_count;
    enum tree_link link;
    double link_scale;
    const double *base; /* [output_count] */
    double divisor;
};

struct tree_builder;

/* `name` stands for the file in messages and must outlive the builder. */
MUST_CHECK enum status tree_builder_create(const char *name, const struct tree_settings *settings,
                                           struct tree_builder **ret_builder, struct error *error);
void tree_builder_destroy(struct tree_builder *builder); /* NULL is a no-op. */

/*
 * Adds a tree; nodes[0] is its root. Nodes that cannot be reached are left out. STATUS_INVALID
 * names tree, node and field.
 */
MUST_CHECK enum status tree_builder_add(struct tree_builder *builder,
                                        const struct tree_input *nodes, uint32_t node_count,
                                        uint32_t output, struct error *error);

/* The builder is empty afterwards, fit only to be destroyed. */
MUST_CHECK enum status tree_builder_finish(struct tree_builder *builder,
                                           struct tree_ensemble **ret_ensemble,
                                           struct error *error);

#endif
