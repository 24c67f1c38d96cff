/* The time that a training says is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "pipeline/run/time_left.h"

#define SECOND UINT64_C(1000000000)
#define START (5000 * SECOND) /* Of a clock that began long before. */
#define ROUNDS 100

/* Told at the end of each round, which takes three seconds; `done` rounds were done before. */
static void expect_the_rest(int done)
{
    struct time_left left = {0};
    for (int round = done + 1; round <= ROUNDS; round++) {
        uint64_t now = START + (uint64_t)(round - done) * 3 * SECOND;
        double found = time_left_s(&left, (double)round / ROUNDS, now);
        if (round == done + 1) {
            assert_true(isnan(found));
        } else if (!(fabs(found - 3.0 * (ROUNDS - round)) < 1e-6)) {
            fail_msg("%d rounds done before, round %d: %g s", done, round, found);
        }
    }
}

static void says_what_the_rounds_to_come_will_take(void **state)
{
    (void)state;
    expect_the_rest(0);
}

static void rounds_done_before_an_interruption_took_none_of_this_time(void **state)
{
    (void)state;
    expect_the_rest(1);
    expect_the_rest(60);
    expect_the_rest(98);
}

static void says_nothing_until_something_was_done(void **state)
{
    (void)state;
    struct time_left left = {0};
    assert_true(isnan(time_left_s(&left, 0.4, START)));
    assert_true(isnan(time_left_s(&left, 0.4, START + SECOND)));
    assert_true(fabs(time_left_s(&left, 0.5, START + 2 * SECOND) - 10) < 1e-9);
    assert_true(fabs(time_left_s(&left, 1, START + 12 * SECOND)) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_rounds_to_come_will_take),
        cmocka_unit_test(rounds_done_before_an_interruption_took_none_of_this_time),
        cmocka_unit_test(says_nothing_until_something_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
