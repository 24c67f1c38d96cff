#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/isolation_forest.h"
#include "test/fakes/random.h"

#define ROWS 400u
#define FEATURES 3u

static float uniform(struct random *random)
{
    return (float)random_below(random, 1u << 24) * 0x1p-24f;
}

/* A ball of rows around the middle; the last row lies far out in feature 1. */
static void make_rows(float rows[ROWS][FEATURES], uint64_t seed)
{
    struct random random = {seed};
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t f = 0; f < FEATURES; f++) {
            rows[i][f] = uniform(&random) + uniform(&random) + uniform(&random);
        }
    }
    rows[ROWS - 1][1] = 9;
}

static struct isolation_forest *build(const float *rows, uint32_t count, uint32_t features,
                                      uint64_t seed)
{
    const struct isolation_options options = {.trees = 50, .sample = 512, .seed = seed};
    struct isolation_forest *forest;
    struct error error;
    assert_int_equal(isolation_forest_build(rows, count, features, &options, &forest, &error),
                     STATUS_OK);
    return forest;
}

static void expected_path_is_that_of_rows_cut_at_random(void **state)
{
    (void)state;
    double path[301] = {0}; /* Mean over all places that the first cut can fall between rows. */
    for (uint32_t n = 2; n <= 300; n++) {
        double sum = 0;
        for (uint32_t left = 1; left < n; left++) {
            sum += (double)left / n * path[left] + (double)(n - left) / n * path[n - left];
        }
        path[n] = 1 + sum / (n - 1);
        assert_true(fabs(isolation_expected_path(n) - path[n]) < 1e-6);
    }
    assert_true(isolation_expected_path(0) == 0 && isolation_expected_path(1) == 0);
}

static void a_row_that_stands_alone_has_a_short_path(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        float rows[ROWS][FEATURES];
        make_rows(rows, seed);
        struct isolation_forest *forest = build(&rows[0][0], ROWS, FEATURES, seed);
        float out = isolation_forest_path(forest, rows[ROWS - 1]);
        uint32_t longer = 0;
        for (uint32_t i = 0; i + 1 < ROWS; i++) {
            longer += isolation_forest_path(forest, rows[i]) > out;
        }
        assert_true(longer >= ROWS - ROWS / 50); /* The corners of the ball are rare, too. */
        isolation_forest_destroy(forest);
    }
}

static void reasons_sum_to_the_path_and_name_what_is_odd(void **state)
{
    (void)state;
    float rows[ROWS][FEATURES];
    make_rows(rows, 5);
    rows[3][0] = NAN;
    struct isolation_forest *forest = build(&rows[0][0], ROWS, FEATURES, 7);
    for (uint32_t i = 0; i < ROWS; i++) {
        float terms[FEATURES];
        float sum = isolation_forest_explain(forest, rows[i], terms);
        for (uint32_t f = 0; f < FEATURES; f++) {
            sum += terms[f];
        }
        assert_true(fabsf(sum - isolation_forest_path(forest, rows[i])) < 1e-4f);
        if (i == ROWS - 1) {
            assert_true(terms[1] < 2 * terms[0] && terms[1] < 2 * terms[2] && terms[1] < -1);
        }
    }
    isolation_forest_destroy(forest);
}

static void the_seed_alone_decides_which_cuts_are_made(void **state)
{
    (void)state;
    float rows[ROWS][FEATURES];
    make_rows(rows, 5);
    struct isolation_forest *a = build(&rows[0][0], ROWS, FEATURES, 1);
    struct isolation_forest *b = build(&rows[0][0], ROWS, FEATURES, 1);
    struct isolation_forest *c = build(&rows[0][0], ROWS, FEATURES, 2);
    assert_int_equal(a->node_count, b->node_count);
    assert_memory_equal(a->nodes, b->nodes, a->node_count * sizeof(*a->nodes));
    assert_memory_equal(a->roots, b->roots, a->tree_count * sizeof(*a->roots));
    assert_true(a->node_count != c->node_count ||
                memcmp(a->nodes, c->nodes, a->node_count * sizeof(*a->nodes)) != 0);
    isolation_forest_destroy(a);
    isolation_forest_destroy(b);
    isolation_forest_destroy(c);
}

/* Rows of the sample that end in each leaf, counted by walking, give the means that nodes carry. */
static void a_nodes_path_is_the_mean_over_the_rows_that_come_by(void **state)
{
    (void)state;
    float rows[64][FEATURES];
    struct random random = {9};
    for (uint32_t i = 0; i < 64; i++) {
        for (uint32_t f = 0; f < FEATURES; f++) {
            rows[i][f] = (float)random_below(&random, 12);
        }
    }
    struct isolation_forest *forest = build(&rows[0][0], 64, FEATURES, 3); /* All are sampled. */
    double *sum = calloc(forest->node_count, sizeof(*sum));
    uint32_t *seen = calloc(forest->node_count, sizeof(*seen));
    for (uint32_t tree = 0; tree < forest->tree_count; tree++) {
        for (uint32_t i = 0; i < 64; i++) {
            uint32_t way[32];
            uint32_t length = 0;
            way[0] = forest->roots[tree];
            while (forest->nodes[way[length]].feature != ISOLATION_LEAF) {
                const struct isolation_node *node = &forest->nodes[way[length]];
                way[++length] = rows[i][node->feature] < node->cut ? node->left : node->left + 1;
            }
            for (uint32_t k = 0; k <= length; k++) {
                sum[way[k]] += (double)forest->nodes[way[length]].path;
                seen[way[k]]++;
            }
        }
    }
    for (uint32_t i = 0; i < forest->node_count; i++) {
        assert_true(seen[i] > 0); /* Both sides of a cut have rows. */
        assert_true(fabs(sum[i] / seen[i] - (double)forest->nodes[i].path) < 1e-4);
    }
    free(sum);
    free(seen);
    isolation_forest_destroy(forest);
}

static void rows_that_are_all_alike_or_missing_are_not_cut(void **state)
{
    (void)state;
    float rows[10][2];
    for (uint32_t i = 0; i < 10; i++) {
        rows[i][0] = 4;
        rows[i][1] = NAN;
    }
    struct isolation_forest *forest = build(&rows[0][0], 10, 2, 1);
    assert_int_equal(forest->node_count, forest->tree_count);
    assert_true(fabsf(isolation_forest_path(forest, rows[0]) - (float)isolation_expected_path(10)) <
                1e-5f);
    isolation_forest_destroy(forest);
}

static void values_at_the_ends_of_floats_are_cut(void **state)
{
    (void)state;
    float rows[4][1] = {{-3e38f}, {3e38f}, {0}, {1e-44f}};
    struct isolation_forest *forest = build(&rows[0][0], 4, 1, 1);
    for (uint32_t i = 0; i < forest->node_count; i++) {
        assert_true(isfinite(forest->nodes[i].cut) && isfinite(forest->nodes[i].path));
    }
    isolation_forest_destroy(forest);
}

static void arrays_that_are_no_forest_are_refused(void **state)
{
    (void)state;
    float rows[ROWS][FEATURES];
    make_rows(rows, 5);
    struct isolation_forest *forest = build(&rows[0][0], ROWS, FEATURES, 1);
    struct isolation_forest *copy = NULL;
    struct error error;
    assert_int_equal(isolation_forest_make(forest, &copy, &error), STATUS_OK);
    assert_true(isolation_forest_path(copy, rows[7]) == isolation_forest_path(forest, rows[7]));
    isolation_forest_destroy(copy);
    const struct isolation_node good = forest->nodes[0];
    const struct isolation_node bad[] = {
        {.cut = good.cut, .path = good.path, .feature = good.feature, .left = 0},
        {.cut = good.cut,
         .path = good.path,
         .feature = good.feature,
         .left = forest->node_count - 1},
        {.cut = good.cut, .path = good.path, .feature = FEATURES, .left = good.left},
        {.cut = good.cut, .path = good.path, .feature = -2, .left = good.left},
        {.cut = NAN, .path = good.path, .feature = good.feature, .left = good.left},
        {.cut = good.cut, .path = -1, .feature = good.feature, .left = good.left},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        forest->nodes[0] = bad[i];
        assert_int_equal(isolation_forest_make(forest, &copy, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "node 0"));
    }
    forest->nodes[0] = good;
    forest->roots[2] = forest->node_count;
    assert_int_equal(isolation_forest_make(forest, &copy, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "tree 2"));
    isolation_forest_destroy(forest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_path_is_that_of_rows_cut_at_random),
        cmocka_unit_test(a_row_that_stands_alone_has_a_short_path),
        cmocka_unit_test(reasons_sum_to_the_path_and_name_what_is_odd),
        cmocka_unit_test(the_seed_alone_decides_which_cuts_are_made),
        cmocka_unit_test(a_nodes_path_is_the_mean_over_the_rows_that_come_by),
        cmocka_unit_test(rows_that_are_all_alike_or_missing_are_not_cut),
        cmocka_unit_test(values_at_the_ends_of_floats_are_cut),
        cmocka_unit_test(arrays_that_are_no_forest_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
