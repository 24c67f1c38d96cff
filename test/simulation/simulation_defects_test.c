/* The simulation would see what it looks for: each defect that the task or its parts could have is
 * put in, and found. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "test/simulation/plans.h"
#include "test/simulation/simulation.h"

#define SEEDS 200u

/* How many seeds it took; 0: it was not found. */
static uint64_t seeds_to_find(enum simulated_defect defect, bool has_broker)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
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
            fail_msg("not found in %u seeds: %s", SEEDS, simulated_defect_names[row->defect]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_defect_is_found)};
    int failed = cmocka_run_group_tests_name("simulation_defects", tests, NULL, NULL);
    plans_release();
    return failed;
}
