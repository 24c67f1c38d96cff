/* Items, ranks and the agenda: the simulation's parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/generate/agenda.h"
#include "pipeline/generate/catalogue.h"

#define DRAWS 200000

static void an_item_is_the_same_whenever_it_is_asked_for(void **state)
{
    (void)state;
    struct catalogue *cold = calloc(1, sizeof(*cold)), *warm = calloc(1, sizeof(*warm));
    catalogue_init(cold, 5, 1000000);
    catalogue_init(warm, 5, 1000000);
    for (uint64_t number = 0; number < 100000; number++) {
        (void)catalogue_item(warm, number * 7919 % 1000000);
    }
    for (uint64_t number = 0; number < 100000; number += 37) {
        struct item a = catalogue_item(cold, number), b = catalogue_item(warm, number);
        assert_int_equal(a.number, number);
        assert_int_equal(b.number, number);
        assert_int_equal(a.price, b.price);
        assert_int_equal(a.brand, b.brand);
        assert_int_equal(a.category, b.category);
        assert_true(a.price >= 500000 && a.brand < 1000 && a.category < CATALOGUE_CATEGORIES);
    }
    free(cold);
    free(warm);
}

static void draws_stay_in_the_category_and_in_the_catalogue(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 10, 2047, 2048, 2049, 50000, 1000000000};
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    struct random random = random_for(1, 2, 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        catalogue_init(catalogue, 5, sizes[i]);
        for (int k = 0; k < DRAWS / 10; k++) {
            uint32_t category = catalogue_draw_category(catalogue, &random);
            struct item item = catalogue_draw(catalogue, &random, category);
            assert_true(item.number < sizes[i]);
            if (sizes[i] >= CATALOGUE_BLOCK_ITEMS) {
                assert_int_equal(item.category, category);
            }
        }
    }
    free(catalogue);
}

static void popular_items_are_drawn_more_often(void **state)
{
    (void)state;
    struct catalogue *catalogue = calloc(1, sizeof(*catalogue));
    uint32_t *counts = calloc(20000, sizeof(*counts));
    struct random random = random_for(1, 2, 3);
    catalogue_init(catalogue, 5, 20000);
    for (int i = 0; i < DRAWS; i++) {
        counts[catalogue_draw(catalogue, &random, 0).number]++;
    }
    uint32_t first_block = 0;
    for (uint32_t i = 0; i < CATALOGUE_BLOCK_ITEMS; i++) {
        first_block += counts[i];
    }
    assert_true(counts[0] > counts[50] && counts[50] > 0);
    assert_true(first_block > DRAWS / 2);
    free(counts);
    free(catalogue);
}

static void ranks_follow_the_law(void **state)
{
    (void)state;
    static const double exponents[] = {0, 0.5, 0.8, 1.03, 2};
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        struct zipf zipf = zipf_make(1000, exponents[i]);
        struct random random = random_for(4, 5, i);
        size_t low = 0;
        for (int k = 0; k < DRAWS; k++) {
            uint64_t rank = zipf_draw(&zipf, &random);
            assert_true(rank < 1000);
            low += rank < 99;
        }
        /* Of the continuous law: the integral up to 100 over that up to 1001. */
        double power = 1 - exponents[i];
        double expected =
            (fixed_exp(power * fixed_log(100.0)) - 1) / (fixed_exp(power * fixed_log(1001.0)) - 1);
        double share = (double)low / DRAWS;
        assert_true(share > expected - 0.006 && share < expected + 0.006);
    }
}

static void agenda_goes_by_time_and_then_by_order_of_insertion(void **state)
{
    (void)state;
    struct agenda agenda = {0};
    struct random random = random_for(6, 7, 8);
    struct agenda_item item, last = {.time_ms = -1};
    assert_false(agenda_take(&agenda, &item));
    for (int i = 0; i < 20000; i++) {
        assert_true(agenda_add(&agenda, (int64_t)random_below(&random, 500), i, NULL));
        if (random_chance(&random, 0.3)) {
            assert_true(agenda_take(&agenda, &item));
        }
    }
    size_t left = agenda.count;
    for (; agenda_take(&agenda, &item); left--) {
        assert_true(item.time_ms > last.time_ms ||
                    (item.time_ms == last.time_ms && item.kind > last.kind));
        last = item;
    }
    assert_int_equal(left, 0);
    agenda_release(&agenda);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_the_same_whenever_it_is_asked_for),
        cmocka_unit_test(draws_stay_in_the_category_and_in_the_catalogue),
        cmocka_unit_test(popular_items_are_drawn_more_often),
        cmocka_unit_test(ranks_follow_the_law),
        cmocka_unit_test(agenda_goes_by_time_and_then_by_order_of_insertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
