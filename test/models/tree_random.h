/* Random trees, kept as the test made them, and walked node by node as the makers define it. */
#ifndef TEST_MODELS_TREE_RANDOM_H
#define TEST_MODELS_TREE_RANDOM_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "models/tree_builder.h"
#include "test/fakes/random.h"

#ifndef RANDOM_FEATURES
#define RANDOM_FEATURES 7u
#endif
#define RANDOM_NODES_MAX 400u

struct random_tree {
    struct tree_input nodes[RANDOM_NODES_MAX];
    uint32_t sets[RANDOM_NODES_MAX];
    uint32_t node_count;
    uint32_t output;
};

/* Small whole numbers, halves, the edges of zero, infinities and missing values. */
static inline float random_value(struct random *random)
{
    static const float odd[] = {0.0f,   -0.0f,    1e-36f,    -1e-34f, 0.5f, -0.5f,
                                31.0f,  INFINITY, -INFINITY, NAN,     NAN,  33.0f,
                                1e-35f, 3e38f,    1.9f,      -1.0f,   70.0f};
    uint32_t which = random_below(random, 40);
    return which < sizeof(odd) / sizeof(odd[0]) ? odd[which]
                                                : (float)random_below(random, 12) - 4.0f;
}

static inline void random_split(struct random *random, struct random_tree *tree, uint32_t i)
{
    struct tree_input *node = &tree->nodes[i];
    node->kind = random_below(random, 4) == 0 ? TREE_INPUT_CATEGORY : TREE_INPUT_NUMBER;
    node->feature = random_below(random, RANDOM_FEATURES);
    node->missing_left = random_below(random, 2) != 0;
    if (node->kind == TREE_INPUT_CATEGORY) {
        tree->sets[i] = (uint32_t)random_next(random);
        node->set = &tree->sets[i];
        node->set_words = 1;
        node->set_left = random_below(random, 2) != 0;
        node->rounds_up = random_below(random, 2) != 0;
        return;
    }
    node->zero_is_missing = random_below(random, 3) == 0;
    do {
        node->threshold = random_value(random);
    } while (!(node->threshold > -INFINITY));
}

/* Splits leaves taken at random, so that some trees are bushy and some are long. */
static inline void random_tree_grow(struct random *random, struct random_tree *tree,
                                    uint32_t splits, bool is_long)
{
    tree->nodes[0] = (struct tree_input){.kind = TREE_INPUT_LEAF};
    tree->node_count = 1;
    for (uint32_t s = 0; s < splits; s++) {
        uint32_t at = tree->node_count - 1;
        while (!is_long) {
            at = random_below(random, tree->node_count);
            if (tree->nodes[at].kind == TREE_INPUT_LEAF) {
                break;
            }
        }
        random_split(random, tree, at);
        tree->nodes[at].left = tree->node_count + 1;
        tree->nodes[at].right = tree->node_count;
        tree->nodes[tree->node_count++] = (struct tree_input){.kind = TREE_INPUT_LEAF};
        tree->nodes[tree->node_count++] = (struct tree_input){.kind = TREE_INPUT_LEAF};
    }
    for (uint32_t i = 0; i < tree->node_count; i++) {
        if (tree->nodes[i].kind == TREE_INPUT_LEAF) {
            tree->nodes[i].value = (double)(float)((double)(random_next(random) >> 11) * 0x1p-53);
            tree->nodes[i].cover = (double)random_below(random, 20); /* Some of them 0. */
        }
    }
}

static inline bool random_goes_left(const struct tree_input *node, float x)
{
    bool is_missing = isnan(x);
    if (node->kind == TREE_INPUT_NUMBER) {
        is_missing |= node->zero_is_missing && x >= -1e-35f && x <= 1e-35f;
        return is_missing ? node->missing_left : x < node->threshold;
    }
    if (is_missing) {
        return node->missing_left;
    }
    double whole = trunc((double)x);
    bool can_be = whole >= 0 && whole < 32 && (x >= 0 || node->rounds_up);
    bool is_member = can_be && (*node->set >> (uint32_t)whole & 1u) != 0;
    return is_member ? node->set_left : !node->set_left;
}

static inline double random_tree_walk(const struct random_tree *tree, const float *row)
{
    const struct tree_input *node = &tree->nodes[0];
    while (node->kind != TREE_INPUT_LEAF) {
        bool left = random_goes_left(node, row[node->feature]);
        node = &tree->nodes[left ? node->left : node->right];
    }
    return node->value;
}

static inline struct tree_ensemble *random_ensemble(struct random_tree *trees, uint32_t count,
                                                    uint32_t outputs, const double *base,
                                                    double divisor)
{
    struct tree_settings settings = {.maker = "test",
                                     .objective = "",
                                     .feature_count = RANDOM_FEATURES,
                                     .output_count = outputs,
                                     .link_scale = 1,
                                     .base = base,
                                     .divisor = divisor};
    struct tree_builder *builder = NULL;
    struct tree_ensemble *ensemble = NULL;
    struct error error = {""};
    assert_int_equal(tree_builder_create("test", &settings, &builder, &error), STATUS_OK);
    for (uint32_t t = 0; t < count; t++) {
        if (tree_builder_add(builder, trees[t].nodes, trees[t].node_count, trees[t].output,
                             &error) != STATUS_OK) {
            fail_msg("%s", error.message);
        }
    }
    assert_int_equal(tree_builder_finish(builder, &ensemble, &error), STATUS_OK);
    tree_builder_destroy(builder);
    return ensemble;
}

#endif
