/* A model and its reference measured on the same rows, drawn together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "models/evaluate.h"
#include "test/fakes/random.h"

#define ROWS 300u

struct scene {
    struct row_table table;
    uint32_t chosen[ROWS], count; /* Every row but each seventh. */
    float good[ROWS], poor[ROWS]; /* Chances: the poor ones have more noise. */
};

static float unit(struct random *random)
{
    return (float)random_below(random, 1000) / 1000.0f;
}

/* Groups of three rows; chances that tie now and then. */
static void fill(struct scene *scene, uint64_t seed)
{
    struct random random = {seed};
    struct error error;
    memset(scene, 0, sizeof(*scene));
    assert_int_equal(row_table_init(&scene->table, 1, ROWS, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool is_positive = random_below(&random, 4) == 0;
        struct table_row row = {.time_ms = i, .group = 1 + i / 3, .label = is_positive};
        float feature = unit(&random);
        assert_int_equal(row_table_add(&scene->table, &row, &feature, &error), STATUS_OK);
        float signal = is_positive ? 0.3f : 0.0f;
        scene->good[i] = signal + floorf(unit(&random) * 20) / 40;
        scene->poor[i] = signal + floorf(unit(&random) * 20) / 28;
        if (i % 7 != 0) {
            scene->chosen[scene->count++] = i;
        }
    }
    row_table_weigh(&scene->table);
}

static struct eval_slice evaluated(const struct scene *scene, const float *model,
                                   const float *reference)
{
    const struct eval_options options = {.replicates = 60, .seed = 5};
    struct eval_slice slice;
    struct error error;
    assert_int_equal(evaluate_slice(&scene->table, scene->chosen, scene->count, model, reference,
                                    &options, "all", &slice, &error),
                     STATUS_OK);
    return slice;
}

static void assert_same(const struct eval_value *a, const struct eval_value *b)
{
    assert_memory_equal(a, b, sizeof(*a));
}

static void a_reference_is_measured_as_it_would_be_as_the_model(void **state)
{
    (void)state;
    static struct scene scene;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        fill(&scene, seed);
        struct eval_slice alone = evaluated(&scene, scene.poor, NULL);
        struct eval_slice beside = evaluated(&scene, scene.good, scene.poor);
        assert_false(alone.has_reference);
        assert_true(beside.has_reference);
        for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
            assert_same(&beside.reference.metric[m], &alone.metric[m]);
        }
        assert_memory_equal(beside.reference.recall, alone.recall, sizeof(alone.recall));
        assert_memory_equal(beside.reference.precision, alone.precision, sizeof(alone.precision));
        row_table_release(&scene.table);
    }
}

static void a_reference_changes_nothing_of_the_model(void **state)
{
    (void)state;
    static struct scene scene;
    fill(&scene, 3);
    struct eval_slice alone = evaluated(&scene, scene.good, NULL);
    struct eval_slice beside = evaluated(&scene, scene.good, scene.poor);
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        assert_same(&beside.metric[m], &alone.metric[m]);
        assert_true(isnan(alone.reference.metric[m].value));
        assert_true(isnan(alone.reference.gain[m].value));
    }
    row_table_release(&scene.table);
}

static void a_model_gains_nothing_over_itself(void **state)
{
    (void)state;
    static struct scene scene;
    fill(&scene, 4);
    struct eval_slice slice = evaluated(&scene, scene.good, scene.good);
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        const struct eval_value *gain = &slice.reference.gain[m];
        assert_true(gain->value == 0 && gain->low == 0 && gain->high == 0);
        assert_true(slice.metric[m].low < slice.metric[m].high);
    }
    row_table_release(&scene.table);
}

/* What is drawn together moves together: the gain is surer than either of the two. */
static void a_gain_is_the_difference_and_its_interval_that_of_the_same_draws(void **state)
{
    (void)state;
    static struct scene scene;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        fill(&scene, seed);
        struct eval_slice slice = evaluated(&scene, scene.good, scene.poor);
        struct eval_slice turned = evaluated(&scene, scene.poor, scene.good);
        for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
            const struct eval_value *gain = &slice.reference.gain[m];
            const struct eval_value *loss = &turned.reference.gain[m];
            assert_true(gain->value == slice.metric[m].value - slice.reference.metric[m].value);
            assert_true(gain->value == -loss->value);
            assert_true(gain->low <= gain->value && gain->value <= gain->high);
            assert_true(loss->low < loss->high);
        }
        const struct eval_value *brier = &slice.reference.gain[EVAL_BRIER];
        const struct eval_value *model = &slice.metric[EVAL_BRIER];
        const struct eval_value *other = &slice.reference.metric[EVAL_BRIER];
        assert_true(brier->high - brier->low < model->high - model->low + other->high - other->low);
        row_table_release(&scene.table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_is_measured_as_it_would_be_as_the_model),
        cmocka_unit_test(a_reference_changes_nothing_of_the_model),
        cmocka_unit_test(a_model_gains_nothing_over_itself),
        cmocka_unit_test(a_gain_is_the_difference_and_its_interval_that_of_the_same_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
