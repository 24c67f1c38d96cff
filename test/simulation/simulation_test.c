/*
 * The simulator: thousands of runs in which everything goes wrong, each compared with one in which
 * nothing does. That it finds what it looks for is tried by simulation_defects_test.c.
 *   simulation_test                     all of it
 *   simulation_test SEED [broker]       one seed, step by step
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/simulation/plans.h"
#include "test/simulation/simulation.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 60u
#else
#define SEEDS 500u
#endif
#define MORE_SEEDS 2000u /* for what is so rare that the first have not met it */

static struct simulation_result totals;

static void add_result(const struct simulation_result *result)
{
    for (int i = 0; i < SIMULATED_FAULT_COUNT; i++) {
        totals.hits[i] += result->hits[i];
    }
    totals.lives += result->lives;
    totals.steps += result->steps;
    totals.commits += result->commits;
    totals.events += result->events;
    totals.late += result->late;
    totals.diverted += result->diverted;
    totals.duplicates += result->duplicates;
    totals.dead_letters += result->dead_letters;
    totals.timers += result->timers;
    totals.ticks += result->ticks;
    totals.expired += result->expired;
    totals.outputs += result->outputs;
}

static void print_totals(void)
{
    printf("%llu lives, %llu steps, %llu commits; %llu events (%llu late, %llu diverted, %llu "
           "duplicates, %llu dead letters), %llu timers, %llu ticks, %llu records expired, %llu "
           "output records\n",
           (unsigned long long)totals.lives, (unsigned long long)totals.steps,
           (unsigned long long)totals.commits, (unsigned long long)totals.events,
           (unsigned long long)totals.late, (unsigned long long)totals.diverted,
           (unsigned long long)totals.duplicates, (unsigned long long)totals.dead_letters,
           (unsigned long long)totals.timers, (unsigned long long)totals.ticks,
           (unsigned long long)totals.expired, (unsigned long long)totals.outputs);
    for (int i = 0; i < SIMULATED_FAULT_COUNT; i++) {
        printf("%10llu %s\n", (unsigned long long)totals.hits[i], simulated_fault_names[i]);
    }
}

static void run_seed(uint64_t seed, bool has_broker)
{
    struct simulation_options options = {.seed = seed, .has_broker = has_broker};
    struct simulation_result result;
    task_simulation_run(&options, &result);
    add_result(&result);
    if (result.violation[0]) {
        fail_msg("seed %llu%s: %s", (unsigned long long)seed, has_broker ? " broker" : "",
                 result.violation);
    }
}

static void run_seeds(bool has_broker)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed, has_broker);
    }
}

static void files_are_as_undisturbed_whatever_happens(void **state)
{
    (void)state;
    run_seeds(false);
}

static void a_broker_has_what_it_would_have_undisturbed(void **state)
{
    (void)state;
    run_seeds(true);
}

/* The first fault that no run has met; SIMULATED_FAULT_COUNT: each has been met. */
static int first_never_met(void)
{
    int i = 0;
    while (i < SIMULATED_FAULT_COUNT && totals.hits[i] > 0) {
        i++;
    }
    return i;
}

static void everything_that_can_happen_has_happened(void **state)
{
    (void)state;
    for (uint64_t seed = SEEDS + 1;
         seed <= SEEDS + MORE_SEEDS && first_never_met() < SIMULATED_FAULT_COUNT; seed++) {
        run_seed(seed, false);
        run_seed(seed, true);
    }
    print_totals();
    int never = first_never_met();
    if (never < SIMULATED_FAULT_COUNT) {
        fail_msg("never: %s", simulated_fault_names[never]);
    }
    assert_true(totals.late > 0 && totals.diverted > 0 && totals.duplicates > 0);
    assert_true(totals.dead_letters > 0 && totals.timers > 0 && totals.ticks > 0);
    assert_true(totals.expired > 0);
}

static int run_one(uint64_t seed, bool has_broker)
{
    struct simulation_options options = {
        .seed = seed, .has_broker = has_broker, .is_verbose = true};
    struct simulation_result result;
    task_simulation_run(&options, &result);
    add_result(&result);
    print_totals();
    printf("seed %llu: %s\n", (unsigned long long)seed,
           result.violation[0] ? result.violation : "as undisturbed");
    plans_release();
    return result.violation[0] ? 1 : 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) {
        bool has_broker = argument_count > 2 && strcmp(arguments[2], "broker") == 0;
        return run_one(strtoull(arguments[1], NULL, 10), has_broker);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_as_undisturbed_whatever_happens),
        cmocka_unit_test(a_broker_has_what_it_would_have_undisturbed),
        cmocka_unit_test(everything_that_can_happen_has_happened),
    };
    int failed = cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
    plans_release();
    return failed;
}
