/*
 * The simulator: thousands of runs in which everything goes wrong, each compared with one in which
 * nothing does. And the simulator tried: given a defect, it must find it.
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
#define DEFECT_SEEDS 200u

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

/* How many seeds it took; 0: it was not found. */
static uint64_t seeds_to_find(enum simulated_defect defect, bool has_broker)
{
    for (uint64_t seed = 1; seed <= DEFECT_SEEDS; seed++) {
        struct simulation_options options = {
            .seed = seed, .has_broker = has_broker, .defect = defect};
        struct simulation_result result;
        task_simulation_run(&options, &result);
        if (result.violation[0]) {
            printf("%s, %s: seed %llu: %s\n", simulated_defect_names[defect],
                   has_broker ? "broker" : "files", (unsigned long long)seed, result.violation);
            return seed;
        }
    }
    return 0;
}

struct defect_row {
    enum simulated_defect defect;
    bool is_in_files, is_in_broker;
};

static void each_defect_is_found(void **state)
{
    (void)state;
    static const struct defect_row rows[] = {
        {DEFECT_STORE_BEFORE_LOG, true, true},    {DEFECT_OUTPUTS_AFTER_FRAME, true, false},
        {DEFECT_SYNC_SKIPPED, true, false},       {DEFECT_POSITION_BEFORE_RECORDS, true, true},
        {DEFECT_POSITION_AHEAD, true, true},      {DEFECT_TRIMMED_EARLY, true, false},
        {DEFECT_DONE_BEFORE_COMMIT, false, true}, {DEFECT_OUTPUTS_NOT_CUT, true, false},
        {DEFECT_JOURNAL_LEFT_OUT, true, true},    {DEFECT_ABORT_NOT_REWOUND, true, true},
        {DEFECT_RECORD_LEFT_OUT, true, true},     {DEFECT_REPLAY_TOO_LATE, true, true},
        {DEFECT_NOT_FENCED, false, true},
    };
    static_assert(sizeof(rows) / sizeof(rows[0]) == SIMULATED_DEFECT_COUNT - 1, "all of them");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct defect_row *row = &rows[i];
        if ((row->is_in_files && seeds_to_find(row->defect, false) == 0) ||
            (row->is_in_broker && seeds_to_find(row->defect, true) == 0)) {
            fail_msg("not found in %u seeds: %s", DEFECT_SEEDS,
                     simulated_defect_names[row->defect]);
        }
    }
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
        cmocka_unit_test(each_defect_is_found),
    };
    int failed = cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
    plans_release();
    return failed;
}
