/* A row's margin is that of a walk node by node, whatever the kernel, the batch and the stride. */
#include "test/models/tree_random.h"

#include <stdio.h>

#include "pipeline/base/fixed_math.h"

#define TREES_MAX 37u
#define ROWS 61u
#define STRIDE (RANDOM_FEATURES + 2)
#define OUTPUTS_MAX 3u

struct fixture {
    struct random_tree *trees;
    struct tree_ensemble *ensemble;
    struct tree_scratch *scratch;
    uint32_t tree_count, outputs;
    float rows[ROWS * STRIDE];
    float wanted[ROWS * OUTPUTS_MAX];
};

static void expect_margins(struct fixture *fixture, const double *base, double divisor)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        double sums[OUTPUTS_MAX] = {0};
        for (uint32_t t = 0; t < fixture->tree_count; t++) {
            const struct random_tree *tree = &fixture->trees[t];
            sums[tree->output] += random_tree_walk(tree, &fixture->rows[(size_t)i * STRIDE]);
        }
        for (uint32_t c = 0; c < fixture->outputs; c++) {
            fixture->wanted[i * fixture->outputs + c] = (float)(base[c] + sums[c] / divisor);
        }
    }
}

static void make(struct fixture *fixture, uint64_t seed)
{
    struct random random = {seed};
    double base[OUTPUTS_MAX];
    double divisor = seed % 2 ? 1 : 7;
    fixture->trees = calloc(TREES_MAX, sizeof(*fixture->trees));
    fixture->tree_count = 1 + random_below(&random, TREES_MAX);
    fixture->outputs = 1 + random_below(&random, OUTPUTS_MAX);
    for (uint32_t t = 0; t < fixture->tree_count; t++) {
        /* Half of the ensembles have only shallow trees, which the vector kernels take. */
        uint32_t splits = random_below(&random, seed % 4 < 2 ? 7 : 60);
        random_tree_grow(&random, &fixture->trees[t], splits, random_below(&random, 8) == 0);
        fixture->trees[t].output = random_below(&random, fixture->outputs);
    }
    for (uint32_t c = 0; c < fixture->outputs; c++) {
        base[c] = (double)random_below(&random, 100) / 8 - 5;
    }
    for (uint32_t i = 0; i < ROWS * STRIDE; i++) {
        fixture->rows[i] = random_value(&random);
    }
    fixture->ensemble =
        random_ensemble(fixture->trees, fixture->tree_count, fixture->outputs, base, divisor);
    assert_int_equal(tree_scratch_create(fixture->ensemble, &fixture->scratch, NULL), STATUS_OK);
    expect_margins(fixture, base, divisor);
}

static void unmake(struct fixture *fixture)
{
    tree_scratch_destroy(fixture->scratch);
    tree_ensemble_unload(fixture->ensemble);
    free(fixture->trees);
}

static void check_batches(struct fixture *fixture, enum tree_kernel kernel, uint32_t batch,
                          uint64_t seed)
{
    float margins[ROWS * OUTPUTS_MAX];
    for (uint32_t i = 0; i < ROWS; i += batch) {
        uint32_t rows = ROWS - i < batch ? ROWS - i : batch;
        tree_ensemble_score_by(fixture->ensemble, fixture->scratch, kernel,
                               &fixture->rows[(size_t)i * STRIDE], rows, STRIDE,
                               &margins[(size_t)i * fixture->outputs]);
    }
    for (uint32_t i = 0; i < ROWS * fixture->outputs; i++) {
        if (fixed_bits_of_float(margins[i]) != fixed_bits_of_float(fixture->wanted[i])) {
            fail_msg("seed %u, kernel %s, batch %u: row %u: %a, by node %a", (unsigned)seed,
                     tree_kernel_names[kernel], batch, i / fixture->outputs, (double)margins[i],
                     (double)fixture->wanted[i]);
        }
    }
}

static void every_kernel_and_batch_gives_the_bits_of_a_walk(void **state)
{
    (void)state;
    static const uint32_t batches[] = {1, 2, 3, 4, 6, 7, 8, 15, 16, 17, 31, 33, ROWS};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture fixture = {0};
        make(&fixture, seed);
        for (enum tree_kernel kernel = TREE_KERNEL_PLAIN; kernel < TREE_KERNEL_COUNT; kernel++) {
            for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
                if (tree_kernel_is_available(kernel)) {
                    check_batches(&fixture, kernel, batches[b], seed);
                }
            }
        }
        unmake(&fixture);
    }
}

static void picked_rows_and_columns_score_as_if_they_stood_alone(void **state)
{
    (void)state;
    static const uint32_t columns[RANDOM_FEATURES] = {8, 0, 5, 3, 1, 7, 2};
    struct fixture fixture = {0};
    make(&fixture, 5);
    float wide[ROWS * STRIDE];
    uint32_t rows[ROWS];
    float margins[ROWS * OUTPUTS_MAX];
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = (i * 17 + 3) % ROWS; /* Each once. */
        for (uint32_t f = 0; f < STRIDE; f++) {
            wide[i * STRIDE + f] = 1e9f;
        }
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t f = 0; f < RANDOM_FEATURES; f++) {
            wide[rows[i] * STRIDE + columns[f]] = fixture.rows[i * STRIDE + f];
        }
    }
    tree_ensemble_score_picked(fixture.ensemble, fixture.scratch, wide, STRIDE, columns, rows, ROWS,
                               margins);
    for (uint32_t i = 0; i < ROWS * fixture.outputs; i++) {
        assert_int_equal(fixed_bits_of_float(margins[i]), fixed_bits_of_float(fixture.wanted[i]));
    }
    unmake(&fixture);
}

static void full_trees_of_every_depth_are_walked_alike(void **state)
{
    (void)state;
    for (uint32_t depth = 0; depth <= 7; depth++) {
        struct random random = {depth + 1};
        struct fixture fixture = {.tree_count = 9, .outputs = 1};
        double base[1] = {0.25};
        fixture.trees = calloc(fixture.tree_count, sizeof(*fixture.trees));
        for (uint32_t t = 0; t < fixture.tree_count; t++) {
            struct random_tree *tree = &fixture.trees[t];
            tree->node_count = (2u << depth) - 1;
            for (uint32_t i = 0; i < tree->node_count; i++) {
                tree->nodes[i] = (struct tree_input){.kind = TREE_INPUT_LEAF, .value = i};
                if (i < tree->node_count / 2) {
                    random_split(&random, tree, i);
                    tree->nodes[i].left = 2 * i + 1;
                    tree->nodes[i].right = 2 * i + 2;
                }
            }
        }
        for (uint32_t i = 0; i < ROWS * STRIDE; i++) {
            fixture.rows[i] = random_value(&random);
        }
        fixture.ensemble = random_ensemble(fixture.trees, fixture.tree_count, 1, base, 1);
        assert_int_equal(tree_scratch_create(fixture.ensemble, &fixture.scratch, NULL), STATUS_OK);
        expect_margins(&fixture, base, 1);
        for (enum tree_kernel kernel = TREE_KERNEL_PLAIN; kernel < TREE_KERNEL_COUNT; kernel++) {
            if (tree_kernel_is_available(kernel)) {
                check_batches(&fixture, kernel, 16, depth);
            }
        }
        unmake(&fixture);
    }
}

static void the_best_kernel_is_one_that_the_machine_has(void **state)
{
    (void)state;
    assert_true(tree_kernel_is_available(TREE_KERNEL_PLAIN));
    assert_true(tree_kernel_is_available(tree_kernel_best()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_and_batch_gives_the_bits_of_a_walk),
        cmocka_unit_test(picked_rows_and_columns_score_as_if_they_stood_alone),
        cmocka_unit_test(full_trees_of_every_depth_are_walked_alike),
        cmocka_unit_test(the_best_kernel_is_one_that_the_machine_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
