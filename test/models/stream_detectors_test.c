#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/half_space_trees.h"
#include "models/stream_forest.h"
#include "test/fakes/random.h"

#define FEATURES 3u
#define ROWS 3000u

static float uniform(struct random *random)
{
    return (float)random_below(random, 1u << 24) * 0x1p-24f;
}

static void make_row(struct random *random, float *row)
{
    for (uint32_t f = 0; f < FEATURES; f++) {
        row[f] = uniform(random) + uniform(random) + uniform(random);
    }
}

/* A thirtieth of the rows lie far out; there is one burst of them at the end. */
static bool make_rows(float *rows, uint32_t i, struct random *random)
{
    bool is_far = i > 1000 && (i % 97 == 0 || i >= ROWS - 50);
    make_row(random, rows + (size_t)i * FEATURES);
    if (is_far) {
        rows[(size_t)i * FEATURES + i % 2] += 8;
    }
    return is_far;
}

/* ---- Forest over a reservoir ---- */

static const struct stream_forest_options forest_options = {
    .forest = {.trees = 50, .sample = 256, .seed = 3}, .reservoir = 512, .feature_count = FEATURES};

struct forest_run {
    float rows[ROWS * FEATURES];
    bool is_far[ROWS];
    float logits[ROWS];
};

/* Batches of random length; now and then the stream is thrown away and goes on from its state. */
static void run_forest(struct forest_run *run, uint64_t cut_seed, bool restarts)
{
    struct error error;
    struct random random = {17}, cuts = {cut_seed};
    struct stream_forest *stream;
    void *state = calloc(1, stream_forest_state_bytes(&forest_options));
    assert_int_equal(stream_forest_create(&forest_options, &stream, &error), STATUS_OK);
    uint32_t left = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        run->is_far[i] = make_rows(run->rows, i, &random);
        if (left-- == 0) {
            left = random_below(&cuts, 200);
            if (restarts && left % 3 == 0) {
                stream_forest_destroy(stream);
                assert_int_equal(stream_forest_create(&forest_options, &stream, &error), STATUS_OK);
            }
            assert_int_equal(stream_forest_begin(stream, state, &error), STATUS_OK);
        }
        const float *row = run->rows + (size_t)i * FEATURES;
        uint8_t forest;
        assert_int_equal(
            stream_forest_observe(stream, state, row, &run->logits[i], &forest, &error), STATUS_OK);
        if (!isnan(run->logits[i])) {
            float terms[FEATURES];
            float sum = stream_forest_explain(stream, forest, row, terms);
            for (uint32_t f = 0; f < FEATURES; f++) {
                sum += terms[f];
            }
            assert_true(fabsf(sum - run->logits[i]) < 1e-4f);
        }
    }
    stream_forest_destroy(stream);
    free(state);
}

static void batches_and_restarts_do_not_change_a_forests_scores(void **state)
{
    (void)state;
    static struct forest_run first, other;
    run_forest(&first, 1, false);
    for (uint64_t seed = 2; seed <= 5; seed++) {
        run_forest(&other, seed, true);
        assert_memory_equal(first.logits, other.logits, sizeof(first.logits));
    }
}

static void rows_far_out_score_above_all_others_even_in_a_burst(void **state)
{
    (void)state;
    static struct forest_run run;
    run_forest(&run, 1, false);
    uint32_t above = 0, pairs = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_true(isnan(run.logits[i]) == (i < STREAM_FOREST_WARM_UP));
        for (uint32_t j = 300; run.is_far[i] && j < ROWS; j++) {
            pairs += !run.is_far[j];
            above += !run.is_far[j] && run.logits[i] > run.logits[j];
        }
    }
    assert_true(pairs > 100000);
    assert_true(above > pairs / 100 * 98);
}

static void half_of_the_rows_score_below_the_median_of_those_before(void **state)
{
    (void)state;
    static struct forest_run run;
    run_forest(&run, 1, false);
    uint32_t low = 0, high = 0;
    for (uint32_t i = 1000; i < ROWS - 50; i++) {
        low += run.logits[i] < -7;
        high += run.logits[i] > -2 && !run.is_far[i];
    }
    assert_true(low > 800 && low < 1150);
    assert_true(high < 60);
}

static void a_reservoir_holds_early_and_late_rows_alike(void **state)
{
    (void)state;
    struct error error;
    struct stream_forest_options options = forest_options;
    options.feature_count = 1;
    options.forest.trees = 1;
    size_t bytes = stream_forest_state_bytes(&options);
    float *content = calloc(1, bytes);
    struct stream_forest *stream;
    assert_int_equal(stream_forest_create(&options, &stream, &error), STATUS_OK);
    for (uint32_t i = 1; i <= 20000; i++) {
        float row = (float)i, logit;
        uint8_t forest;
        if (i % 100 == 1) {
            assert_int_equal(stream_forest_begin(stream, content, &error), STATUS_OK);
        }
        assert_int_equal(stream_forest_observe(stream, content, &row, &logit, &forest, &error),
                         STATUS_OK);
    }
    uint32_t early = 0;
    const float *rows = content + 4; /* Behind two counters of 64 bits. */
    for (uint32_t i = 0; i < options.reservoir; i++) {
        assert_true(rows[i] >= 1 && rows[i] <= 20000);
        early += rows[i] <= 10000;
    }
    assert_true(early > 256 - 60 && early < 256 + 60);
    stream_forest_destroy(stream);
    free(content);
}

/* ---- Half-space trees ---- */

static const struct half_space_options half_space_options = {
    .trees = 25, .depth = 8, .window = 250, .feature_count = FEATURES, .seed = 3};

static struct half_space_trees *make_trees(void)
{
    struct half_space_trees *trees;
    struct error error;
    assert_int_equal(half_space_create(&half_space_options, &trees, &error), STATUS_OK);
    return trees;
}

static void a_place_where_no_row_was_is_emptiest(void **state)
{
    (void)state;
    struct half_space_trees *trees = make_trees();
    void *content = calloc(1, half_space_state_bytes(&half_space_options));
    struct random random = {5};
    float sum = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        float row[FEATURES];
        make_row(&random, row);
        float terms[FEATURES];
        float score = half_space_observe(trees, content, row, terms);
        assert_true(isnan(score) || fabsf(terms[0] + terms[1] + terms[2] - score) < 1e-4f);
        assert_true(isnan(score) == (i < 500));
        sum += isnan(score) ? 0 : score;
    }
    const float far[FEATURES] = {9, 9, 9};
    float score = half_space_observe(trees, content, far, NULL);
    assert_true(score > sum / 500 + 2 && score <= log2f(251) + 0.001f);
    free(content);
    half_space_destroy(trees);
}

/* The paper's forgetting: what fills a whole window is usual in the next. */
static void what_lasts_for_a_window_becomes_normal(void **state)
{
    (void)state;
    struct half_space_trees *trees = make_trees();
    void *content = calloc(1, half_space_state_bytes(&half_space_options));
    struct random random = {5};
    float first = NAN, last = NAN;
    for (uint32_t i = 0; i < 1500; i++) {
        float row[FEATURES];
        make_row(&random, row);
        row[0] += i >= 750 ? 3 : 0;
        last = half_space_observe(trees, content, row, NULL);
        first = i == 750 ? last : first;
    }
    assert_true(first > last + 2);
    free(content);
    half_space_destroy(trees);
}

static void a_copied_state_goes_on_alike(void **state)
{
    (void)state;
    struct half_space_trees *trees = make_trees();
    size_t bytes = half_space_state_bytes(&half_space_options);
    char *content = calloc(1, bytes), *copy = malloc(bytes);
    struct random random = {5};
    for (uint32_t i = 0; i < 2000; i++) {
        float row[FEATURES];
        make_row(&random, row);
        if (i % 131 == 0) {
            struct half_space_trees *again = make_trees();
            half_space_destroy(trees);
            trees = again;
            memcpy(copy, content, bytes);
        }
        float a = half_space_observe(trees, content, row, NULL);
        float b = half_space_observe(trees, copy, row, NULL);
        assert_memory_equal(&a, &b, sizeof(a));
    }
    assert_memory_equal(content, copy, bytes);
    free(content);
    free(copy);
    half_space_destroy(trees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_and_restarts_do_not_change_a_forests_scores),
        cmocka_unit_test(rows_far_out_score_above_all_others_even_in_a_burst),
        cmocka_unit_test(half_of_the_rows_score_below_the_median_of_those_before),
        cmocka_unit_test(a_reservoir_holds_early_and_late_rows_alike),
        cmocka_unit_test(a_place_where_no_row_was_is_emptiest),
        cmocka_unit_test(what_lasts_for_a_window_becomes_normal),
        cmocka_unit_test(a_copied_state_goes_on_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
