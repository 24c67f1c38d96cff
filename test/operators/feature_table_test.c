/* The tables behind extract_features: features, settings, funnel, sketches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operators/extract_features.h"
#include "operators/feature_funnel.h"
#include "operators/feature_sketch.h"
#include "operators/feature_table.h"
#include "operators/feature_user.h"
#include "test/fakes/stage_fixture.h"

static void names_each_feature_once_and_defines_it(void **state)
{
    (void)state;
    const struct feature_set *set = extract_features_set();
    assert_true(set->count >= 60 && set->count == FEATURE_COUNT && set->hash != 0);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct feature_info *info = &set->features[i];
        assert_int_equal(feature_index(set, info->name), i);
        assert_true(strlen(info->doc) > 10 && strlen(info->missing) > 4 && strlen(info->unit) > 0);
        assert_true(info->doc[strlen(info->doc) - 1] != '.');
        for (const char *c = info->name; *c; c++) {
            assert_true(islower(*c) || isdigit(*c) || *c == '_');
        }
    }
}

static void lists_similar_features_that_exist(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < similar_feature_count; i++) {
        assert_true(feature_index(extract_features_set(), similar_features[i].first) >= 0);
        assert_true(feature_index(extract_features_set(), similar_features[i].second) >= 0);
    }
}

static void describes_every_feature_as_text_and_markdown(void **state)
{
    (void)state;
    for (int is_markdown = 0; is_markdown < 2; is_markdown++) {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        assert_non_null(out);
        extract_features_describe(is_markdown, out);
        assert_int_equal(fclose(out), 0);
        for (int i = 0; i < FEATURE_COUNT; i++) {
            assert_non_null(strstr(text, feature_table[i].name));
        }
        free(text);
    }
}

static void finds_a_purchase_likelier_the_further_the_funnel(void **state)
{
    (void)state;
    struct markov markov;
    funnel_default_markov(&markov);
    static struct funnel_table table;
    assert_int_equal(funnel_table_init(&table, &markov, NULL), STATUS_OK);
    assert_true(table.buy[EVENT_PRODUCT_VIEW] < table.buy[EVENT_ADD_TO_CART]);
    assert_true(table.buy[EVENT_ADD_TO_CART] < table.buy[EVENT_CHECKOUT]);
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        assert_true(table.buy[i] > 0 && table.buy[i] < 1 && table.leave[i] > 0);
    }
}

static void takes_over_what_an_earlier_version_kept(void **state)
{
    (void)state;
    static struct user_features old, read;
    memset(&old, 0xAB, sizeof(old)); /* Padding, too, which the new members stand in. */
    old.session.last_type = 3;
    old.session.events = 7;
    assert_false(user_features_upgrade(1, &old, sizeof(old), &read));
    assert_false(user_features_upgrade(2, &old, sizeof(old) - 8, &read));
    assert_true(user_features_upgrade(2, &old, sizeof(old), &read));
    assert_int_equal(read.session.last_type, 3);
    assert_int_equal(read.session.events, 7);
    assert_true(read.newest_ms == old.newest_ms);
    assert_int_equal(read.session.earlier_types[0], 0);
    assert_int_equal(read.session.earlier_types[1], 0);
    assert_int_equal(read.session.unused, 0);
}

static void counts_distinct_values_within_the_stated_error(void **state)
{
    (void)state;
    static struct sketch_table table;
    sketch_table_init(&table);
    const struct {
        unsigned bits;
        uint32_t distinct;
        double error; /* Standard. */
    } cases[] = {{32, 1, 0.16},  {32, 10, 0.16},  {32, 32, 0.16},  {64, 10, 0.13},
                 {64, 96, 0.13}, {128, 50, 0.09}, {128, 192, 0.09}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double squares = 0;
        uint64_t random = 42 + i;
        for (int trial = 0; trial < 400; trial++) {
            uint32_t of32 = 0;
            uint64_t of64 = 0, of128[2] = {0, 0};
            for (uint32_t n = 0; n < cases[i].distinct; n++) {
                uint64_t value = fixture_random(&random) | 1;
                sketch_add32(&of32, value);
                sketch_add64(&of64, value);
                sketch_add128(of128, value);
            }
            float have = cases[i].bits == 32   ? sketch_count32(&table, of32)
                         : cases[i].bits == 64 ? sketch_count64(&table, of64)
                                               : sketch_count128(&table, of128);
            squares += ((double)have - cases[i].distinct) * ((double)have - cases[i].distinct);
        }
        double error = sqrt(squares / 400) / cases[i].distinct;
        print_message("m = %u, %u values: standard error %.3f\n", cases[i].bits, cases[i].distinct,
                      error);
        assert_true(error <= cases[i].error);
    }
}

static void reads_its_settings_with_their_defaults(void **state)
{
    (void)state;
    struct extract_features_options options;
    struct error error = {{0}};
    if (settings_read(&extract_features_section, NULL, &options, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(options.cart_lifetime_ms, INT64_C(14) * 86400000);
    assert_int_equal(options.bad_labels.count, 2);
    assert_string_equal(options.bad_labels.items[0], "chargeback");
    assert_int_equal(options.entity_mask, 0);
    assert_true(extract_features_timer_floor_ms(&options) == INT64_MAX);
    settings_release(&extract_features_section, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_feature_once_and_defines_it),
        cmocka_unit_test(lists_similar_features_that_exist),
        cmocka_unit_test(describes_every_feature_as_text_and_markdown),
        cmocka_unit_test(finds_a_purchase_likelier_the_further_the_funnel),
        cmocka_unit_test(takes_over_what_an_earlier_version_kept),
        cmocka_unit_test(counts_distinct_values_within_the_stated_error),
        cmocka_unit_test(reads_its_settings_with_their_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
