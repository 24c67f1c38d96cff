/* Outcomes of users, against a look at all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/run/user_outcomes.h"
#include "test/fakes/random.h"

#define OUTCOMES 3000u

static const struct user_outcome *look_at_all(const struct user_outcome *all, uint64_t user,
                                              int64_t time_ms, int64_t within_ms)
{
    const struct user_outcome *first = NULL;
    for (uint32_t i = 0; i < OUTCOMES; i++) {
        bool is_in = all[i].user == user && all[i].time_ms > time_ms &&
                     all[i].time_ms <= time_ms + within_ms;
        if (is_in && (!first || all[i].time_ms < first->time_ms)) {
            first = &all[i];
        }
    }
    return first;
}

static void the_next_outcome_is_the_one_that_a_look_at_all_of_them_finds(void **state)
{
    (void)state;
    static struct user_outcome all[OUTCOMES];
    struct random random = {7};
    struct user_outcomes outcomes = {0};
    struct error error;
    uint32_t found = 0;
    assert_null(user_outcomes_next(&outcomes, 1, 0, 10));
    for (uint32_t i = 0; i < OUTCOMES; i++) {
        all[i] =
            (struct user_outcome){1 + random_below(&random, 200), random_below(&random, 500), i};
        assert_int_equal(user_outcomes_add(&outcomes, &all[i], &error), STATUS_OK);
    }
    user_outcomes_sort(&outcomes);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t user = random_below(&random, 203);
        int64_t time_ms = (int64_t)random_below(&random, 520) - 10;
        int64_t within_ms = 1 + (int64_t)random_below(&random, 40);
        const struct user_outcome *expected = look_at_all(all, user, time_ms, within_ms);
        const struct user_outcome *next = user_outcomes_next(&outcomes, user, time_ms, within_ms);
        assert_int_equal(next != NULL, expected != NULL);
        if (next) {
            assert_true(next->user == user && next->time_ms == expected->time_ms);
            assert_true(next->sequence == expected->sequence);
            found++;
        }
    }
    assert_true(found > 1000 && found < 19000);
    user_outcomes_release(&outcomes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_outcome_is_the_one_that_a_look_at_all_of_them_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
