#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/state/key_filter.h"
#include "pipeline/state/record_cache.h"

#define KEYS 20000u

static struct store_key key_of(uint32_t number)
{
    uint64_t spread = (number + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
    return store_key_of_record((struct record_key){.id = {.high = spread, .low = number},
                                                   .kind = (uint8_t)(number % ENTITY_KIND_COUNT)});
}

static uint32_t count_maybes(const struct key_filter *filter, uint32_t from, uint32_t count)
{
    static struct store_key keys[KEYS];
    static bool may_be[KEYS];
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = key_of(from + i);
    }
    key_filter_ask(filter, keys, count, may_be);
    uint32_t maybes = 0;
    for (uint32_t i = 0; i < count; i++) {
        maybes += may_be[i];
    }
    return maybes;
}

static void never_denies_a_key_that_was_added(void **state)
{
    (void)state;
    /* Also far beyond its room. */
    const size_t sizes[] = {0, 64, 4096, KEYS * 10 / 8, KEYS * 4};
    for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
        struct key_filter *filter = key_filter_create(sizes[size]);
        assert_non_null(filter);
        for (uint32_t i = 0; i < KEYS; i++) {
            struct store_key key = key_of(i);
            key_filter_add(filter, &key);
        }
        assert_int_equal(count_maybes(filter, 0, KEYS), KEYS);
        key_filter_destroy(filter);
    }
}

static void denies_nearly_all_others_at_ten_bits_a_key(void **state)
{
    (void)state;
    struct key_filter *filter = key_filter_create((size_t)KEYS * 10 / 8);
    assert_non_null(filter);
    assert_int_equal(count_maybes(filter, 0, KEYS), 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct store_key key = key_of(i);
        key_filter_add(filter, &key);
    }
    uint32_t wrong = count_maybes(filter, KEYS, KEYS);
    assert_in_range(wrong, 1, KEYS / 50);
    key_filter_destroy(filter);
    key_filter_destroy(NULL);
}

static void adds_of_puts_those_of_its_kind_that_are_no_deletions(void **state)
{
    (void)state;
    /* Of each length, so that the last few are never forgotten. */
    for (uint32_t count = 0; count < 40; count++) {
        struct key_filter *filter = key_filter_create(1u << 16);
        assert_non_null(filter);
        struct store_put puts[40];
        for (uint32_t i = 0; i < count; i++) {
            struct record_key owner = {.id = {.low = i}};
            puts[i] =
                (struct store_put){.key = i % 3 == 1 ? store_key_of_timer(i, owner) : key_of(i),
                                   .bytes = i % 3 == 2 ? NULL : "x"};
        }
        key_filter_add_puts(filter, puts, count, 'r');
        for (uint32_t i = 0; i < count; i++) {
            bool may_be = false;
            key_filter_ask(filter, &puts[i].key, 1, &may_be);
            assert_int_equal(may_be, i % 3 == 0);
        }
        key_filter_destroy(filter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_denies_a_key_that_was_added),
        cmocka_unit_test(denies_nearly_all_others_at_ten_bits_a_key),
        cmocka_unit_test(adds_of_puts_those_of_its_kind_that_are_no_deletions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
