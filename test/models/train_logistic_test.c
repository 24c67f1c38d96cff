#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/train_logistic.h"

#define FEATURES 6u
#define ROWS 3000u

static const char *const names[FEATURES] = {"strong",        "weak",  "skewed",
                                            "often_missing", "noise", "constant"};
static const uint32_t columns[FEATURES] = {0, 1, 2, 3, 4, 5};

struct scene {
    struct row_table table;
    uint8_t parts[ROWS];
    char warnings[4096];
};

static double unit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

static double bell(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += unit(state);
    }
    return sum;
}

static void fill(struct scene *scene, uint32_t count)
{
    uint64_t seed = 42;
    struct error error;
    assert_int_equal(row_table_init(&scene->table, FEATURES, ROWS, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) {
        float x[FEATURES] = {
            (float)bell(&seed),          (float)(3 * bell(&seed) + 10),
            (float)exp(2 * bell(&seed)), unit(&seed) < 0.4 ? NAN : (float)bell(&seed),
            (float)bell(&seed),          7.0f};
        double logit = -1 + 1.5 * (double)x[0] + 0.1 * (double)(x[1] - 10) +
                       (isnan(x[3]) ? 1.0 : -0.5 * (double)x[3]);
        struct table_row row = {.time_ms = i, .group = i + 1, .kind = NO_KIND};
        row.label = unit(&seed) < 1 / (1 + exp(-logit));
        assert_int_equal(row_table_add(&scene->table, &row, x, &error), STATUS_OK);
        scene->parts[i] = i % 4 == 3; /* A quarter is held out. */
    }
    row_table_weigh(&scene->table);
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    fill(scene, ROWS);
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

static void note_warning(void *context, const char *message)
{
    struct scene *scene = context;
    (void)strncat(scene->warnings, message, sizeof(scene->warnings) - strlen(scene->warnings) - 1);
}

static struct train_options make_options(struct scene *scene)
{
    return (struct train_options){
        .names = names,
        .columns = columns,
        .column_count = FEATURES,
        .transform = -1,
        .limit = 8,
        .l2 = {1e-4},
        .l2_count = 1,
        .positive_weight = 1,
        .iterations_max = 500,
        .warn = note_warning,
        .context = scene,
    };
}

static struct logistic_fit train(struct scene *scene, const struct train_options *options)
{
    struct logistic_fit fit;
    struct error error = {"none"};
    if (train_logistic(&scene->table, scene->parts, options, &fit, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return fit;
}

/* The penalised mean loss by the definition, before calibration. */
static double plain_loss(const struct scene *scene, const struct logistic_fit *fit, double l2)
{
    double loss = 0;
    double count = 0;
    struct logistic_fit uncalibrated = *fit;
    uncalibrated.calibration = (struct pack_calibration){.slope = 1};
    for (uint32_t i = 0; i < scene->table.count; i++) {
        if (scene->parts[i] == 0) {
            double m =
                (double)logistic_fit_logit(&uncalibrated, row_table_features(&scene->table, i));
            loss += log1p(exp(scene->table.rows[i].label ? -m : m));
            count++;
        }
    }
    loss /= count;
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        double w = (double)fit->weights[i];
        double m = (double)fit->missing[i];
        loss += 0.5 * l2 * (w * w + m * m);
    }
    return loss;
}

static void no_small_step_from_the_fit_lowers_the_loss(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    struct logistic_fit fit = train(scene, &options);
    double lowest = plain_loss(scene, &fit, options.l2[0]);
    float *const parameters[] = {&fit.weights[0], &fit.weights[1], &fit.weights[2],
                                 &fit.weights[3], &fit.missing[3], &fit.bias};
    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        float kept = *parameters[i];
        for (int side = -1; side <= 1; side += 2) {
            *parameters[i] = kept + 0.02f * (float)side;
            double loss = plain_loss(scene, &fit, options.l2[0]);
            if (!(loss > lowest)) {
                fail_msg("parameter %zu, step %d: %.9f, not above %.9f", i, side, loss, lowest);
            }
        }
        *parameters[i] = kept;
    }
    logistic_fit_release(&fit);
}

static void finds_the_law_that_made_the_labels(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    struct logistic_fit fit = train(scene, &options);
    assert_int_equal(fit.feature_count, 5);
    assert_true(fabs((double)(fit.weights[0] / fit.features[0].scale) - 1.5) < 0.2);
    assert_true(fabs((double)(fit.weights[1] / fit.features[1].scale) - 0.1) < 0.05);
    assert_true(fabs((double)(fit.weights[3] / fit.features[3].scale) + 0.5) < 0.2);
    assert_true(fit.missing[3] > 0.5f);
    assert_true(fit.held.roc_auc > 0.8 && fit.held.calibration_error < 0.05);
    assert_true(fabs((double)fit.calibration.slope - 1) < 0.2 &&
                fabs((double)fit.calibration.offset) < 0.3);
    assert_int_equal(fit.features[2].transform, TRANSFORM_OCTAVES);
    assert_int_equal(fit.features[0].transform, TRANSFORM_NONE);
    logistic_fit_release(&fit);
}

static void same_rows_and_options_give_the_same_bits(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    options.is_refitted = true;
    struct logistic_fit a = train(scene, &options);
    struct logistic_fit b = train(scene, &options);
    assert_memory_equal(a.weights, b.weights, a.feature_count * sizeof(float));
    assert_memory_equal(a.missing, b.missing, a.feature_count * sizeof(float));
    assert_memory_equal(&a.bias, &b.bias, sizeof(float));
    assert_memory_equal(&a.calibration.slope, &b.calibration.slope, sizeof(float));
    logistic_fit_release(&a);
    logistic_fit_release(&b);
}

static void l1_leaves_noise_without_weight(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    options.l1 = 0.02;
    struct logistic_fit fit = train(scene, &options);
    assert_true(fit.weights[4] == 0.0f);
    assert_true(fit.weights[0] > 0.5f);
    logistic_fit_release(&fit);
}

static void names_a_feature_that_does_not_vary(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    struct logistic_fit fit = train(scene, &options);
    assert_non_null(strstr(scene->warnings, "feature constant left out: it is the same"));
    logistic_fit_release(&fit);
}

static void chooses_the_strength_that_is_best_on_the_held_out_rows(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    options.l2[0] = 100;
    options.l2[1] = 0.001;
    options.l2_count = 2;
    struct logistic_fit fit = train(scene, &options);
    assert_true(fit.l2 == 0.001);
    logistic_fit_release(&fit);
}

static void refuses_what_cannot_be_learned_from(void **state)
{
    struct scene *scene = *state;
    struct train_options options = make_options(scene);
    struct logistic_fit fit;
    struct error error;
    for (uint32_t i = 4; i < scene->table.count; i++) {
        scene->parts[i] = 2;
    }
    assert_int_equal(train_logistic(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "rows for"));
    for (uint32_t i = 0; i < scene->table.count; i++) {
        scene->parts[i] = 0;
        scene->table.rows[i].label = 1;
    }
    assert_int_equal(train_logistic(&scene->table, scene->parts, &options, &fit, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "one class only"));
}

static void thinning_keeps_whole_groups_and_weighs_them(void **state)
{
    (void)state;
    struct row_table table;
    struct error error;
    assert_int_equal(row_table_init(&table, 1, 1000, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < 8000; i++) {
        struct table_row row = {.group = i / 4 + 1, .is_kept_whole = i < 40};
        float x = (float)i;
        assert_int_equal(row_table_add(&table, &row, &x, &error), STATUS_OK);
    }
    row_table_weigh(&table);
    uint32_t of_group[2001] = {0};
    double weight = 0;
    for (uint32_t i = 0; i < table.count; i++) {
        of_group[table.rows[i].group]++;
        weight += table.weights[i];
        assert_true(table.weights[i] == 1.0 || !table.rows[i].is_kept_whole);
    }
    for (uint32_t group = 1; group <= 2000; group++) {
        assert_true(of_group[group] == 0 || of_group[group] == 4);
        assert_true(of_group[group] == 4 || group > 10);
    }
    assert_true(weight > 6000 && weight < 10000);
    row_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_small_step_from_the_fit_lowers_the_loss, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(finds_the_law_that_made_the_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(same_rows_and_options_give_the_same_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(l1_leaves_noise_without_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(names_a_feature_that_does_not_vary, setup, teardown),
        cmocka_unit_test_setup_teardown(chooses_the_strength_that_is_best_on_the_held_out_rows,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_learned_from, setup, teardown),
        cmocka_unit_test(thinning_keeps_whole_groups_and_weighs_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
