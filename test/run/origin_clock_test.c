#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/run/origin_clock.h"
#include "pipeline/run/partition_time.h"
#include "test/fakes/random.h"

#define MINUTE_MS INT64_C(60000)
#define TEN (ORIGIN_TIME_MIN + 600 * MINUTE_MS)

static struct origin_clock clock_of(uint32_t count)
{
    struct origin_clock clock = {.count = count};
    const struct origin_marks none = {{0}, 0};
    origin_clock_set(&clock, &none);
    return clock;
}

static void time_is_that_of_the_origin_that_is_furthest_behind(void **state)
{
    (void)state;
    struct origin_clock clock = clock_of(3);
    origin_clock_tell(&clock, 0, TEN + MINUTE_MS);
    origin_clock_tell(&clock, 1, TEN);
    origin_clock_tell(&clock, 2, TEN + 2 * MINUTE_MS);
    assert_int_equal(clock.time_ms, TEN);
    origin_clock_tell(&clock, 1, TEN + 3 * MINUTE_MS);
    assert_int_equal(clock.time_ms, TEN + MINUTE_MS);
}

static void an_origin_of_which_nothing_was_heard_holds_time_back(void **state)
{
    (void)state;
    struct origin_clock clock = clock_of(2);
    origin_clock_tell(&clock, 0, TEN);
    assert_int_equal(clock.time_ms, ORIGIN_TIME_MIN);
    origin_clock_tell(&clock, 1, ORIGIN_UNKNOWN);
    assert_int_equal(clock.time_ms, ORIGIN_TIME_MIN);
    origin_clock_tell(&clock, 1, TEN);
    assert_int_equal(clock.time_ms, TEN);
}

static void an_idle_origin_holds_nobody_back(void **state)
{
    (void)state;
    struct origin_clock clock = clock_of(2);
    origin_clock_tell(&clock, 0, TEN);
    origin_clock_tell(&clock, 1, ORIGIN_IDLE);
    assert_int_equal(clock.time_ms, TEN);
    assert_false(origin_clock_is_idle(&clock));
    origin_clock_tell(&clock, 1, TEN + MINUTE_MS);
    assert_int_equal(clock.time_ms, TEN);
}

/* In whichever order they fall idle. */
static void when_all_are_idle_it_is_the_latest_time_that_was_told(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 2; first++) {
        struct origin_clock clock = clock_of(2);
        origin_clock_tell(&clock, 0, TEN);
        origin_clock_tell(&clock, 1, TEN + 5 * MINUTE_MS);
        assert_int_equal(clock.time_ms, TEN);
        origin_clock_tell(&clock, first, ORIGIN_IDLE);
        assert_false(origin_clock_is_idle(&clock));
        origin_clock_tell(&clock, 1 - first, ORIGIN_IDLE);
        assert_true(origin_clock_is_idle(&clock));
        assert_int_equal(clock.time_ms, TEN + 5 * MINUTE_MS);
        /* One that has something again is the only one to tell the time. */
        origin_clock_tell(&clock, first, TEN + 9 * MINUTE_MS);
        assert_false(origin_clock_is_idle(&clock));
        assert_int_equal(clock.time_ms, TEN + 9 * MINUTE_MS);
    }
    struct origin_clock silent = clock_of(1);
    origin_clock_tell(&silent, 0, ORIGIN_IDLE);
    assert_int_equal(silent.time_ms, ORIGIN_TIME_MIN);
}

static void marks_of_the_version_before_are_taken_over(void **state)
{
    (void)state;
    struct origin_marks before = {.marks = {TEN, ORIGIN_IDLE}};
    struct origin_marks after = {.marks = {0}};
    assert_int_equal(origin_marks_part.version, 2);
    assert_true(origin_marks_part.upgrade(1, &before, sizeof(before.marks), &after));
    assert_memory_equal(&after, &before, sizeof(after));
    assert_false(origin_marks_part.upgrade(1, &before, sizeof(before.marks) - 8, &after));
    assert_false(origin_marks_part.upgrade(3, &before, sizeof(before.marks), &after));
}

/* The clock as its header says it, by looking at all marks each time. */
static int64_t expected_time(const int64_t *marks, uint32_t count, int64_t latest_ms)
{
    int64_t time_ms = ORIGIN_IDLE;
    for (uint32_t i = 0; i < count; i++) {
        if (marks[i] == ORIGIN_UNKNOWN) {
            return ORIGIN_TIME_MIN;
        }
        time_ms = marks[i] < time_ms ? marks[i] : time_ms;
    }
    int64_t idle_ms = latest_ms > 0 ? latest_ms : ORIGIN_TIME_MIN;
    return time_ms == ORIGIN_IDLE ? idle_ms : time_ms;
}

static void any_order_of_marks_gives_the_earliest_and_asking_changes_nothing(void **state)
{
    (void)state;
    struct random random = {7};
    for (int round = 0; round < 300; round++) {
        uint32_t count = 1 + (uint32_t)random_below(&random, 6);
        struct origin_clock clock = clock_of(count);
        int64_t marks[6] = {0};
        int64_t latest_ms = 0;
        for (int step = 0; step < 100; step++) {
            uint32_t origin = (uint32_t)random_below(&random, count);
            uint64_t kind = random_below(&random, 8);
            int64_t mark_ms = kind == 0   ? ORIGIN_UNKNOWN
                              : kind == 1 ? ORIGIN_IDLE
                                          : TEN + (int64_t)random_below(&random, 20);
            int64_t before_ms = clock.time_ms;
            int64_t after_ms = origin_clock_after(&clock, origin, mark_ms);
            assert_int_equal(clock.time_ms, before_ms);
            origin_clock_tell(&clock, origin, mark_ms);
            marks[origin] = mark_ms;
            latest_ms = kind > 1 && mark_ms > latest_ms ? mark_ms : latest_ms;
            assert_int_equal(after_ms, clock.time_ms);
            assert_int_equal(clock.time_ms, expected_time(marks, count, latest_ms));
            struct origin_clock again = {.count = count};
            origin_clock_set(&again, &clock.marks);
            assert_int_equal(again.time_ms, clock.time_ms);
            assert_int_equal(again.is_idle, clock.is_idle);
        }
    }
}

static void one_wrong_clock_does_not_set_the_time_of_a_partition(void **state)
{
    (void)state;
    struct partition_time time = {0};
    partition_time_move(&time, TEN + 9000 * MINUTE_MS, MINUTE_MS); /* The wrong one. */
    assert_true(time.is_provisional);
    partition_time_move(&time, TEN, MINUTE_MS); /* Begins it anew. */
    assert_true(time.is_provisional);
    assert_int_equal(time.newest_ms, TEN);
    partition_time_move(&time, TEN - MINUTE_MS, MINUTE_MS); /* Two agree. */
    assert_false(time.is_provisional);
    assert_int_equal(time.newest_ms, TEN);
    assert_false(partition_time_is_ahead(&time, TEN + MINUTE_MS, MINUTE_MS));
    assert_true(partition_time_is_ahead(&time, TEN + MINUTE_MS + 1, MINUTE_MS));
    assert_false(partition_time_restarts(&time, TEN + 3 * MINUTE_MS, MINUTE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_that_of_the_origin_that_is_furthest_behind),
        cmocka_unit_test(an_origin_of_which_nothing_was_heard_holds_time_back),
        cmocka_unit_test(an_idle_origin_holds_nobody_back),
        cmocka_unit_test(when_all_are_idle_it_is_the_latest_time_that_was_told),
        cmocka_unit_test(marks_of_the_version_before_are_taken_over),
        cmocka_unit_test(any_order_of_marks_gives_the_earliest_and_asking_changes_nothing),
        cmocka_unit_test(one_wrong_clock_does_not_set_the_time_of_a_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
