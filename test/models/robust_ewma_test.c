#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/robust_ewma.h"
#include "test/fakes/random.h"

#define LENGTH 3000u

static const struct robust_ewma_options each = {.hold = 0};

static float noise(struct random *random)
{
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (float)random_below(random, 1u << 20) * 0x1p-20f;
    }
    return sum - 2;
}

static void make_series(float *values, uint64_t seed)
{
    struct random random = {seed};
    for (uint32_t i = 0; i < LENGTH; i++) {
        values[i] = 10 + noise(&random);
    }
}

static void run(const float *values, const struct robust_ewma_options *options, float *surprises)
{
    struct robust_ewma series;
    memset(&series, 0, sizeof(series));
    for (uint32_t i = 0; i < LENGTH; i++) {
        surprises[i] = robust_ewma_observe(&series, options, values[i], NULL);
    }
}

static uint32_t highest(const float *surprises)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < LENGTH; i++) {
        best = isnan(surprises[best]) || surprises[i] > surprises[best] ? i : best;
    }
    return best;
}

static void a_spike_surprises_most(void **state)
{
    (void)state;
    static float values[LENGTH], surprises[LENGTH];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make_series(values, seed);
        uint32_t at = 1000 + (uint32_t)seed * 50;
        values[at] = seed % 2 ? 30 : -5;
        run(values, &each, surprises);
        assert_int_equal(highest(surprises), at);
        assert_true(surprises[at] > 8);
    }
}

static void a_shift_of_the_level_surprises_while_it_is_new(void **state)
{
    (void)state;
    static float values[LENGTH], surprises[LENGTH];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make_series(values, seed);
        for (uint32_t i = 1500; i < LENGTH; i++) {
            values[i] += 4;
        }
        run(values, &each, surprises);
        uint32_t at = highest(surprises);
        assert_true(at >= 1500 && at < 1560);
    }
}

/* p is below a share of the time that is not much more than p says: what makes it a p. */
static void chance_alone_surprises_as_rarely_as_it_says(void **state)
{
    (void)state;
    static float values[LENGTH];
    uint32_t ranked = 0, rare[EWMA_PART_COUNT] = {0};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct robust_ewma series;
        memset(&series, 0, sizeof(series));
        make_series(values, seed);
        for (uint32_t i = 0; i < LENGTH; i++) {
            float parts[EWMA_PART_COUNT];
            (void)robust_ewma_observe(&series, &each, values[i], parts);
            if (i < 500) {
                continue;
            }
            ranked++;
            for (int part = 0; part < EWMA_PART_COUNT; part++) {
                rare[part] += parts[part] > logf(100);
            }
        }
    }
    assert_true(rare[EWMA_JUMP] < ranked / 100 * 3 / 2);
    assert_true(rare[EWMA_JUMP] > ranked / 100 / 2);
    assert_true(rare[EWMA_HEIGHT] < ranked / 100 * 3 / 2);
    assert_true(rare[EWMA_HEIGHT] > ranked / 100 / 2);
}

static void the_unit_of_the_values_does_not_matter(void **state)
{
    (void)state;
    static float values[LENGTH], surprises[LENGTH], other[LENGTH];
    make_series(values, 3);
    values[2000] = 40;
    run(values, &each, surprises);
    for (int exponent = -60; exponent <= 60; exponent += 12) {
        static float scaled[LENGTH];
        for (uint32_t i = 0; i < LENGTH; i++) {
            scaled[i] = ldexpf(values[i], exponent);
        }
        run(scaled, &each, other);
        assert_memory_equal(surprises, other, sizeof(other));
    }
}

static void parts_and_the_length_of_the_history_sum_to_the_surprise(void **state)
{
    (void)state;
    static float values[LENGTH];
    struct robust_ewma series;
    memset(&series, 0, sizeof(series));
    make_series(values, 4);
    for (uint32_t i = 0; i < LENGTH; i++) {
        float parts[EWMA_PART_COUNT];
        uint32_t before = series.ranked;
        float surprise = robust_ewma_observe(&series, &each, values[i], parts);
        assert_true(isnan(surprise) == (i < ROBUST_EWMA_WARM_UP));
        float sum = parts[0] + parts[1] + parts[2] - logf(1 + (float)before);
        assert_true(isnan(surprise) || fabsf(sum - surprise) < 1e-4f);
        for (int part = 0; part < EWMA_PART_COUNT; part++) {
            uint32_t counted = 0;
            for (int k = 0; k < ROBUST_EWMA_BUCKETS; k++) {
                counted += series.counts[part][k];
            }
            assert_int_equal(counted, series.ranked);
        }
    }
}

static void values_that_are_none_change_nothing(void **state)
{
    (void)state;
    static float values[LENGTH];
    struct robust_ewma series, before;
    memset(&series, 0, sizeof(series));
    make_series(values, 4);
    for (uint32_t i = 0; i < LENGTH; i++) {
        (void)robust_ewma_observe(&series, &each, values[i], NULL);
        memcpy(&before, &series, sizeof(series));
        const float none[] = {NAN, INFINITY, -INFINITY, 3e38f};
        assert_true(isnan(robust_ewma_observe(&series, &each, none[i % 4], NULL)));
        assert_memory_equal(&before, &series, sizeof(series));
    }
}

static void what_breaks_a_silence_surprises_and_what_is_steady_does_not(void **state)
{
    (void)state;
    static float values[LENGTH], surprises[LENGTH];
    for (uint32_t i = 0; i < LENGTH; i++) {
        values[i] = 7;
    }
    values[2500] = 7.001f;
    run(values, &each, surprises);
    for (uint32_t i = ROBUST_EWMA_WARM_UP; i < 2500; i++) {
        assert_true(surprises[i] < 0.01f);
    }
    assert_int_equal(highest(surprises), 2500);
    assert_true(surprises[2500] > 8);
}

static void after_a_surprise_only_a_greater_one_is_told(void **state)
{
    (void)state;
    static float values[LENGTH], free_of_hold[LENGTH], held[LENGTH];
    const struct robust_ewma_options options = {.hold = 100};
    make_series(values, 8);
    for (uint32_t i = 1000; i < 1020; i++) {
        values[i] = 30;
    }
    run(values, &each, free_of_hold);
    run(values, &options, held);
    float top = 0;
    uint32_t since = 0, told = 0;
    for (uint32_t i = ROBUST_EWMA_WARM_UP; i < LENGTH; i++) {
        bool is_told = since >= 100 || free_of_hold[i] > top;
        assert_true(is_told ? held[i] == free_of_hold[i] : isnan(held[i]));
        top = is_told ? free_of_hold[i] : top;
        since = is_told ? 0 : since + 1;
        told += is_told && i >= 1000 && i < 1020;
    }
    assert_true(told >= 1 && told < 10);
}

/* Counts are halved, never stuck: what was rare long ago does not become common. */
static void a_long_history_keeps_its_meaning(void **state)
{
    (void)state;
    struct robust_ewma series;
    memset(&series, 0, sizeof(series));
    struct random random = {5};
    for (uint32_t i = 0; i < 300000; i++) {
        (void)robust_ewma_observe(&series, &each, noise(&random), NULL);
    }
    assert_true(series.ranked <= UINT16_MAX);
    assert_true(robust_ewma_observe(&series, &each, 40, NULL) > 8);
}

/* The count makes room for it, so that what was usual before stays so. */
static void a_deviation_beyond_all_measure_leaves_the_usual_usual(void **state)
{
    (void)state;
    struct robust_ewma series;
    memset(&series, 0, sizeof(series));
    struct random random = {6};
    double sum = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        float parts[EWMA_PART_COUNT] = {0};
        float value = i == 1000 || i == 1100 ? 1e12f : noise(&random);
        (void)robust_ewma_observe(&series, &each, value, parts);
        sum += i >= 2500 ? (double)parts[EWMA_JUMP] : 0; /* The quick average has forgotten it. */
    }
    assert_true(sum / 500 > 0.7 && sum / 500 < 1.3); /* Of -ln p, which has a mean of 1. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spike_surprises_most),
        cmocka_unit_test(a_shift_of_the_level_surprises_while_it_is_new),
        cmocka_unit_test(chance_alone_surprises_as_rarely_as_it_says),
        cmocka_unit_test(the_unit_of_the_values_does_not_matter),
        cmocka_unit_test(parts_and_the_length_of_the_history_sum_to_the_surprise),
        cmocka_unit_test(values_that_are_none_change_nothing),
        cmocka_unit_test(what_breaks_a_silence_surprises_and_what_is_steady_does_not),
        cmocka_unit_test(after_a_surprise_only_a_greater_one_is_told),
        cmocka_unit_test(a_long_history_keeps_its_meaning),
        cmocka_unit_test(a_deviation_beyond_all_measure_leaves_the_usual_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
