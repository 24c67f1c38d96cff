/*
 * Reasons sum to the margin, and the exact ones are the Shapley values of the game in which a
 * missing feature follows the shares of the training rows (computed here over all subsets).
 */
/* More than eight on a path take more than four points of the quadrature. */
#define RANDOM_FEATURES 10u
#include "test/models/tree_random.h"

#include <string.h>

#define SUBSETS (1u << RANDOM_FEATURES)

static double cover_of(const struct random_tree *tree, uint32_t at)
{
    const struct tree_input *node = &tree->nodes[at];
    if (node->kind == TREE_INPUT_LEAF) {
        return node->cover > 1e-12 ? node->cover : 1e-12;
    }
    return cover_of(tree, node->left) + cover_of(tree, node->right);
}

/* The expectation when only the features of `known` are. */
static double expect(const struct random_tree *tree, uint32_t at, const float *row, uint32_t known)
{
    const struct tree_input *node = &tree->nodes[at];
    if (node->kind == TREE_INPUT_LEAF) {
        return node->value;
    }
    if (known >> node->feature & 1u) {
        bool left = random_goes_left(node, row[node->feature]);
        return expect(tree, left ? node->left : node->right, row, known);
    }
    double share = cover_of(tree, node->left) / cover_of(tree, at);
    return share * expect(tree, node->left, row, known) +
           (1 - share) * expect(tree, node->right, row, known);
}

static double factorial(uint32_t n)
{
    return n < 2 ? 1 : n * factorial(n - 1);
}

static void shapley(const struct random_tree *trees, uint32_t count, const float *row,
                    double *values)
{
    double game[SUBSETS];
    for (uint32_t known = 0; known < SUBSETS; known++) {
        game[known] = 0;
        for (uint32_t t = 0; t < count; t++) {
            game[known] += expect(&trees[t], 0, row, known);
        }
    }
    for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
        values[f] = 0;
        for (uint32_t known = 0; known < SUBSETS; known++) {
            uint32_t size = (uint32_t)__builtin_popcount(known);
            if (!(known >> f & 1u)) {
                values[f] += factorial(size) * factorial(RANDOM_FEATURES - size - 1) /
                             factorial(RANDOM_FEATURES) * (game[known | 1u << f] - game[known]);
            }
        }
    }
}

static void exact_reasons_are_shapley_values(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct random random = {seed};
        double base[1] = {-0.5};
        uint32_t count = 4;
        struct random_tree *trees = calloc(count, sizeof(*trees));
        for (uint32_t t = 0; t < count; t++) {
            random_tree_grow(&random, &trees[t], random_below(&random, 25), t == 0);
        }
        struct tree_ensemble *ensemble = random_ensemble(trees, count, 1, base, 1);
        struct tree_scratch *scratch = NULL;
        assert_int_equal(tree_scratch_create(ensemble, &scratch, NULL), STATUS_OK);
        float row[RANDOM_FEATURES];
        for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
            row[f] = random_value(&random);
        }
        double wanted[RANDOM_FEATURES];
        float values[RANDOM_FEATURES];
        float expected;
        shapley(trees, count, row, wanted);
        assert_int_equal(tree_ensemble_explain(ensemble, scratch, TREE_REASONS_SHAPLEY, row, 0,
                                               values, &expected, NULL),
                         STATUS_OK);
        for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
            if (!(fabs((double)values[f] - wanted[f]) < 1e-6)) {
                fail_msg("seed %u, feature %u: %.9g, over all subsets %.9g", (unsigned)seed, f,
                         (double)values[f], wanted[f]);
            }
        }
        tree_scratch_destroy(scratch);
        tree_ensemble_unload(ensemble);
        free(trees);
    }
}

static void reasons_sum_to_the_margin(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct random random = {seed};
        double base[2] = {1.5, -3};
        uint32_t count = 30;
        struct random_tree *trees = calloc(count, sizeof(*trees));
        for (uint32_t t = 0; t < count; t++) {
            random_tree_grow(&random, &trees[t], random_below(&random, 100), t % 10 == 0);
            trees[t].output = t % 2;
        }
        struct tree_ensemble *ensemble = random_ensemble(trees, count, 2, base, 3);
        struct tree_scratch *scratch = NULL;
        assert_int_equal(tree_scratch_create(ensemble, &scratch, NULL), STATUS_OK);
        float row[RANDOM_FEATURES];
        for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
            row[f] = random_value(&random);
        }
        float margins[2];
        tree_ensemble_score(ensemble, scratch, row, 1, RANDOM_FEATURES, margins);
        for (uint32_t i = 0; i < 4; i++) {
            float values[RANDOM_FEATURES];
            float expected;
            enum tree_reasons reasons = i / 2 ? TREE_REASONS_SHAPLEY : TREE_REASONS_PATH;
            assert_int_equal(tree_ensemble_explain(ensemble, scratch, reasons, row, i % 2, values,
                                                   &expected, NULL),
                             STATUS_OK);
            double sum = (double)expected;
            for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
                sum += (double)values[f];
            }
            if (!(fabs(sum - (double)margins[i % 2]) < 1e-4)) {
                fail_msg("seed %u, reasons %u: sum %.9g, margin %.9g", (unsigned)seed, i / 2, sum,
                         (double)margins[i % 2]);
            }
        }
        tree_scratch_destroy(scratch);
        tree_ensemble_unload(ensemble);
        free(trees);
    }
}

static void path_reasons_follow_the_expectation(void **state)
{
    (void)state;
    /* x0 < 0: 1 (30 rows), else x1 < 0: 2 (60 rows), else 8 (10 rows). Expectations 2.3, 1 and
     * 200/70; by hand for x0 = 1, x1 = 1. */
    struct random_tree tree = {
        .nodes = {{.kind = TREE_INPUT_NUMBER, .feature = 0, .left = 1, .right = 2},
                  {.kind = TREE_INPUT_LEAF, .value = 1, .cover = 30},
                  {.kind = TREE_INPUT_NUMBER, .feature = 1, .left = 3, .right = 4},
                  {.kind = TREE_INPUT_LEAF, .value = 2, .cover = 60},
                  {.kind = TREE_INPUT_LEAF, .value = 8, .cover = 10}},
        .node_count = 5,
    };
    double base[1] = {0};
    struct tree_ensemble *ensemble = random_ensemble(&tree, 1, 1, base, 1);
    struct tree_scratch *scratch = NULL;
    float row[RANDOM_FEATURES] = {1, 1};
    float values[RANDOM_FEATURES];
    float expected;
    assert_int_equal(tree_scratch_create(ensemble, &scratch, NULL), STATUS_OK);
    assert_int_equal(tree_ensemble_explain(ensemble, scratch, TREE_REASONS_PATH, row, 0, values,
                                           &expected, NULL),
                     STATUS_OK);
    assert_true(fabs((double)expected - 2.3) < 1e-6);
    assert_true(fabs((double)values[0] - (200.0 / 70 - 2.3)) < 1e-6);
    assert_true(fabs((double)values[1] - (8 - 200.0 / 70)) < 1e-6);
    assert_true(values[2] == 0.0f);
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
}

static void refuses_where_covers_are_unknown(void **state)
{
    (void)state;
    struct random_tree tree = {
        .nodes = {{.kind = TREE_INPUT_NUMBER, .left = 1, .right = 2},
                  {.kind = TREE_INPUT_LEAF, .value = 1, .cover = -1},
                  {.kind = TREE_INPUT_LEAF, .value = 2, .cover = 1}},
        .node_count = 3,
    };
    double base[1] = {0};
    struct tree_ensemble *ensemble = random_ensemble(&tree, 1, 1, base, 1);
    struct tree_scratch *scratch = NULL;
    float row[RANDOM_FEATURES] = {0};
    float values[RANDOM_FEATURES];
    float expected;
    struct error error = {""};
    assert_false(tree_ensemble_facts(ensemble)->has_covers);
    assert_int_equal(tree_scratch_create(ensemble, &scratch, NULL), STATUS_OK);
    assert_int_equal(tree_ensemble_explain(ensemble, scratch, TREE_REASONS_SHAPLEY, row, 0, values,
                                           &expected, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "rows reached"));
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_reasons_are_shapley_values),
        cmocka_unit_test(reasons_sum_to_the_margin),
        cmocka_unit_test(path_reasons_follow_the_expectation),
        cmocka_unit_test(refuses_where_covers_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
