/* When a store that is found corrupt is made anew, and when that is given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_store.h"

#define NOW_NS UINT64_C(5000000000)

static enum status find_corrupt(struct kafka_store_health *health, uint64_t now_ns,
                                struct error *error)
{
    (void)error_set(error, STATUS_CORRUPT, "block 7 is broken");
    return kafka_store_found_corrupt(health, now_ns, error);
}

/* What an opening does where it finds is_corrupt set. */
static void remove_store(struct kafka_store_health *health)
{
    assert_true(health->is_corrupt);
    health->is_corrupt = false;
    health->is_rebuilding = true;
}

static void a_corrupt_store_is_made_anew(void **state)
{
    (void)state;
    struct kafka_store_health health = {0};
    struct error error;
    assert_int_equal(find_corrupt(&health, NOW_NS, &error), STATUS_OK);
    assert_true(health.is_corrupt);
    assert_non_null(strstr(health.why.message, "block 7 is broken"));
    remove_store(&health);
    kafka_store_opened(&health, NOW_NS);
    assert_false(health.is_rebuilding);
}

static void assert_given_up(struct kafka_store_health *health, uint64_t now_ns)
{
    struct error error;
    assert_int_equal(find_corrupt(health, now_ns, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "corrupt again right after it was made anew"));
    assert_non_null(strstr(error.message, "block 7 is broken"));
}

static void one_that_is_corrupt_before_it_is_restored_is_given_up(void **state)
{
    (void)state;
    struct kafka_store_health health = {0};
    struct error error;
    assert_int_equal(find_corrupt(&health, NOW_NS, &error), STATUS_OK);
    remove_store(&health);
    assert_given_up(&health, NOW_NS + 100 * KAFKA_REBUILD_NS); /* However long a restore takes. */
}

static void one_that_is_corrupt_again_soon_is_given_up_and_later_is_not(void **state)
{
    (void)state;
    struct kafka_store_health health = {0};
    struct error error;
    assert_int_equal(find_corrupt(&health, NOW_NS, &error), STATUS_OK);
    remove_store(&health);
    kafka_store_opened(&health, NOW_NS);
    kafka_store_opened(&health, 2 * NOW_NS); /* As a rebalance does: that is no rebuild. */
    assert_given_up(&health, NOW_NS + KAFKA_REBUILD_NS - 1);
    assert_int_equal(find_corrupt(&health, NOW_NS + KAFKA_REBUILD_NS, &error), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_corrupt_store_is_made_anew),
        cmocka_unit_test(one_that_is_corrupt_before_it_is_restored_is_given_up),
        cmocka_unit_test(one_that_is_corrupt_again_soon_is_given_up_and_later_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
