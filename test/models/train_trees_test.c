/* Training of trees by libxgboost, against what the rows were made from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/isotonic_fit.h"
#include "models/train_trees.h"
#include "models/tree_ensemble.h"
#include "pipeline/base/fixed_math.h"
#include "test/fakes/random.h"

#define FEATURES 4u
#define ROWS 6000u

static const char *const names[FEATURES] = {"unused", "corner", "missing", "noise"};
static const uint32_t columns[] = {2, 1, 3};

struct scene {
    struct row_table table;
    uint8_t parts[ROWS];
    double truth[ROWS]; /* Chance of a positive. */
};

static double unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Positive is likely where corner > 0.7, or a value is missing; a line cannot say so of both. */
static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct random random = {5};
    struct error error;
    assert_int_equal(row_table_init(&scene->table, FEATURES, ROWS, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        float x[FEATURES] = {(float)unit(&random), (float)unit(&random),
                             unit(&random) < 0.2 ? NAN : (float)unit(&random),
                             (float)unit(&random)};
        scene->truth[i] = (x[1] > 0.7f) != (isnan(x[2]) != 0) ? 0.8 : 0.1;
        struct table_row row = {.time_ms = i, .group_time_ms = i, .group = i + 1, .kind = NO_KIND};
        row.label = unit(&random) < scene->truth[i];
        assert_int_equal(row_table_add(&scene->table, &row, x, &error), STATUS_OK);
        scene->parts[i] = i < 3000 ? SPLIT_FIT : i < 4500 ? SPLIT_HELD : SPLIT_LEFT_OUT;
    }
    row_table_weigh(&scene->table);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    row_table_release(&scene->table);
    free(scene);
    return 0;
}

static struct tree_train_options make_options(void)
{
    return (struct tree_train_options){
        .names = names,
        .columns = columns,
        .column_count = 3,
        .rounds_max = 300,
        .patience = 20,
        .depth = 4,
        .bins = 64,
        .threads = 1,
        .rate = 0.2,
        .leaf_weight_min = 1,
        .lambda = 1,
        .row_share = 0.8,
        .column_share = 1,
        .positive_weight = 1,
        .seed = 7,
    };
}

static struct tree_fit train(struct scene *scene, const struct tree_train_options *options)
{
    struct tree_fit fit;
    struct error error;
    if (train_trees(&scene->table, scene->parts, options, &fit, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return fit;
}

/* Mean distance from the chances that the rows were drawn with, over rows no one has fitted. */
static double distance(const struct scene *scene, const struct tree_fit *fit,
                       const struct tree_train_options *options)
{
    static uint32_t chosen[ROWS];
    static float logits[ROWS];
    uint32_t count = 0;
    struct error error;
    for (uint32_t i = 0; i < ROWS; i++) {
        if (scene->parts[i] == SPLIT_LEFT_OUT) {
            chosen[count++] = i;
        }
    }
    assert_int_equal(tree_fit_logits(fit, &scene->table, options, chosen, count, logits, &error),
                     STATUS_OK);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += fabs((double)fixed_sigmoidf(logits[i]) - scene->truth[chosen[i]]);
    }
    return sum / count;
}

static void finds_the_chances_that_the_rows_were_drawn_with(void **state)
{
    struct scene *scene = *state;
    for (int method = CALIBRATE_PLATT; method < CALIBRATION_METHOD_COUNT; method++) {
        struct tree_train_options options = make_options();
        options.calibration = (enum calibration_method)method;
        struct tree_fit fit = train(scene, &options);
        assert_int_equal(fit.fit_rows, 3000);
        assert_int_equal(fit.held_rows, 1500);
        assert_true(fit.trees > 3 && fit.trees < 300);
        assert_true(fit.is_calibrated == (method != CALIBRATE_NONE));
        assert_true((fit.calibration.point_count > 0) == (method == CALIBRATE_ISOTONIC));
        double far = distance(scene, &fit, &options);
        if (!(far < 0.045)) { /* Of 20 seeds' trees, not calibrated, the farthest are 0.0442 off. */
            fail_msg("%s: %g away from the chances", calibration_method_names[method], far);
        }
        tree_fit_release(&fit);
    }
}

static void the_same_rows_and_seed_give_the_same_bytes(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.is_refitted = true;
    struct tree_fit a = train(scene, &options);
    struct tree_fit b = train(scene, &options);
    options.seed = 8;
    struct tree_fit c = train(scene, &options);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.bytes, b.bytes, a.length);
    assert_true(a.length != c.length || memcmp(a.bytes, c.bytes, a.length) != 0);
    tree_fit_release(&a);
    tree_fit_release(&b);
    tree_fit_release(&c);
}

static void rows_left_out_do_not_matter(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.is_refitted = true;
    struct tree_fit a = train(scene, &options);
    for (uint32_t i = 0; i < ROWS; i++) {
        if (scene->parts[i] == SPLIT_LEFT_OUT) {
            scene->table.rows[i].label ^= 1;
            scene->table.features[(size_t)i * FEATURES + 1] = -5;
        }
    }
    struct tree_fit b = train(scene, &options);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.bytes, b.bytes, a.length);
    tree_fit_release(&a);
    tree_fit_release(&b);
}

static void without_patience_all_trees_are_kept(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.patience = 0;
    options.rounds_max = 120;
    struct tree_fit fit = train(scene, &options);
    assert_int_equal(fit.trees, 120);
    tree_fit_release(&fit);
}

/* The rows hang on two splits: corner, and missing below each side. That is four leaves. */
static void bounded_leaves_are_spent_where_they_gain_most(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.patience = 0;
    options.rounds_max = 1;
    options.rate = 1;
    options.row_share = 1;
    options.depth = 32;
    double far[6];
    for (uint32_t leaves = 2; leaves < 6; leaves++) {
        options.leaves = leaves;
        struct tree_fit fit = train(scene, &options);
        struct tree_ensemble *ensemble;
        struct error error;
        assert_int_equal(tree_ensemble_read("fit", fit.bytes, fit.length, &ensemble, &error),
                         STATUS_OK);
        assert_int_equal(tree_ensemble_facts(ensemble)->tree_count, 1);
        assert_int_equal(tree_ensemble_facts(ensemble)->node_count, 2 * leaves - 1);
        far[leaves] = distance(scene, &fit, &options);
        tree_ensemble_unload(ensemble);
        tree_fit_release(&fit);
    }
    assert_true(far[2] > 0.15 && far[4] < 0.05 && far[4] < far[2]);
    options.leaves = 32;
    options.depth = 1; /* Holds beside the leaves. */
    struct tree_fit stump = train(scene, &options);
    assert_true(distance(scene, &stump, &options) > 0.15);
    tree_fit_release(&stump);
}

static void a_heavier_positive_class_is_calibrated_away(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.positive_weight = 5;
    struct tree_fit fit = train(scene, &options);
    assert_true(distance(scene, &fit, &options) < 0.06);
    options.calibration = CALIBRATE_NONE;
    struct tree_fit raw = train(scene, &options);
    assert_true(distance(scene, &raw, &options) > 0.1);
    tree_fit_release(&fit);
    tree_fit_release(&raw);
}

static bool stop_at_three(void *context, uint32_t stage, uint32_t stages, uint32_t round,
                          double loss)
{
    (void)context;
    (void)stages;
    return stage > 0 || round < 3 || !(loss > 0);
}

static void refuses_what_cannot_be_fitted(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    struct tree_fit fit;
    struct error error;
    options.progress = stop_at_three;
    assert_int_equal(train_trees(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_FATAL);
    assert_non_null(strstr(error.message, "stopped"));
    options.progress = NULL;
    scene->table.features[2] = INFINITY;
    assert_int_equal(train_trees(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "feature missing is infinite"));
    for (uint32_t i = 0; i < ROWS; i++) {
        scene->table.rows[i].label = 1;
    }
    assert_int_equal(train_trees(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "one class only: all 3000 rows are positive"));
    memset(scene->parts, SPLIT_HELD, sizeof(scene->parts));
    assert_int_equal(train_trees(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "no rows before"));
}

static void a_missing_library_is_named_with_what_to_install(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    struct tree_fit fit;
    struct error error;
    assert_int_equal(setenv("NUDGE_XGBOOST_LIBRARY", "/nowhere/libxgboost.so", 1), 0);
    assert_int_equal(train_trees(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_int_equal(unsetenv("NUDGE_XGBOOST_LIBRARY"), 0);
    assert_non_null(strstr(error.message, "libxgboost-dev"));
    assert_non_null(strstr(error.message, "/nowhere/libxgboost.so"));
}

/* Pools of violators by hand: margins 0 1 2 3 4, labels 0 1 0 1 1. */
static void isotonic_points_are_the_means_of_the_pools(void **state)
{
    (void)state;
    float margins[] = {4, 0, 2, 1, 3};
    float chances[5];
    uint8_t labels[] = {1, 0, 0, 1, 1};
    double weights[] = {1, 1, 1, 1, 1};
    struct held_out held = {5, margins, chances, labels, weights};
    struct pack_calibration made;
    struct error error;
    assert_int_equal(isotonic_fit(&held, &made, &error), STATUS_OK);
    /* {0}: 0 of 1; {1, 2}: 1 of 2 at 1.5; {3, 4}: 2 of 2 at 3.5. One row at 3/5 is mixed in. */
    const double expected[][2] = {{0, 0.6 / 2}, {1.5, 1.6 / 3}, {3.5, 2.6 / 3}};
    assert_int_equal(made.point_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        double chance = expected[i][1];
        assert_true(fabs((double)made.margins[i] - expected[i][0]) < 1e-6);
        assert_true(fabs((double)made.logits[i] - log(chance / (1 - chance))) < 1e-5);
    }
    pack_calibration_release(&made);
}

/* One row below 200 of which 20 are positive, and one above 100 of which 90 are. */
static void lone_rows_at_the_ends_do_not_move_the_many_beside_them(void **state)
{
    (void)state;
    enum { LOW = 200, HIGH = 100, COUNT = LOW + HIGH + 2 };
    float margins[COUNT];
    float chances[COUNT];
    uint8_t labels[COUNT];
    double weights[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        bool is_low = i < LOW;
        margins[i] = is_low ? -2 : 1;
        labels[i] = is_low ? i % 10 == 0 : i % 10 != 0;
        weights[i] = 1;
    }
    margins[COUNT - 2] = -5;
    labels[COUNT - 2] = 0;
    margins[COUNT - 1] = 4;
    labels[COUNT - 1] = 1;
    struct held_out held = {COUNT, margins, chances, labels, weights};
    struct pack_calibration made;
    struct error error;
    assert_int_equal(isotonic_fit(&held, &made, &error), STATUS_OK);
    for (uint32_t i = 1; i < made.point_count; i++) { /* No two chances are the same any more. */
        assert_true(made.logits[i] > made.logits[i - 1]);
    }
    const double expected[][2] = {{-2, 0.1}, {1, 0.9}};
    for (size_t i = 0; i < 2; i++) {
        double found = (double)fixed_sigmoidf(pack_calibrate(&made, (float)expected[i][0]));
        if (!(fabs(found - expected[i][1]) < 0.01)) {
            fail_msg("%g in place of %g", found, expected[i][1]);
        }
    }
    pack_calibration_release(&made);
}

static void isotonic_calibration_is_right_on_average_and_keeps_the_order(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct held_out held = {.count = COUNT,
                            .margins = calloc(COUNT, sizeof(float)),
                            .chances = calloc(COUNT, sizeof(float)),
                            .labels = calloc(COUNT, 1),
                            .weights = calloc(COUNT, sizeof(double))};
    struct random random = {5};
    struct error error;
    for (uint32_t i = 0; i < COUNT; i++) {
        double chance = 0.02 + 0.6 * unit(&random) * unit(&random);
        held.margins[i] = (float)(chance * chance * 40); /* No line on the logit scale. */
        held.labels[i] = unit(&random) < chance;
        held.weights[i] = 1;
    }
    struct pack_calibration made;
    assert_int_equal(isotonic_fit(&held, &made, &error), STATUS_OK);
    assert_in_range(made.point_count, 10, CALIBRATION_POINTS_MAX);
    double worst = 0;
    float last = -INFINITY;
    for (double chance = 0.05; chance < 0.5; chance += 0.001) {
        float logit = pack_calibrate(&made, (float)(chance * chance * 40));
        double off = fabs((double)fixed_sigmoidf(logit) - chance);
        worst = off > worst ? off : worst;
        assert_true(logit >= last);
        last = logit;
    }
    if (!(worst < 0.08)) {
        fail_msg("%g away", worst);
    }
    pack_calibration_release(&made);
    held_out_release(&held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_chances_that_the_rows_were_drawn_with, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_same_rows_and_seed_give_the_same_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rows_left_out_do_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(without_patience_all_trees_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(bounded_leaves_are_spent_where_they_gain_most, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_heavier_positive_class_is_calibrated_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_fitted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_library_is_named_with_what_to_install, setup,
                                        teardown),
        cmocka_unit_test(isotonic_points_are_the_means_of_the_pools),
        cmocka_unit_test(lone_rows_at_the_ends_do_not_move_the_many_beside_them),
        cmocka_unit_test(isotonic_calibration_is_right_on_average_and_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
