/* The parts of the memory that a process may have fit into it together, for any number of tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/run/memory_plan.h"

#define MEBIBYTE (INT64_C(1) << 20)

static int64_t planned_bytes(const struct memory_plan *plan, uint32_t tasks)
{
    /* Outputs stand in a buffer that may have doubled. */
    size_t of_task = plan->cache_bytes + plan->filter_bytes + 2 * plan->output_bytes;
    return (int64_t)(plan->block_cache_bytes + tasks * of_task);
}

static void parts_fit_into_the_whole(void **state)
{
    (void)state;
    for (int64_t memory = 128 * MEBIBYTE; memory <= 64 * 1024 * MEBIBYTE; memory += memory / 3) {
        for (uint32_t tasks = 1; tasks <= 64; tasks++) {
            struct memory_plan plan = memory_plan_make(memory, tasks);
            assert_true(plan.cache_bytes > 0 && plan.block_cache_bytes > 0);
            assert_true(plan.filter_bytes > 0 && plan.output_bytes > 0);
            assert_true(planned_bytes(&plan, tasks) <= memory * 9 / 10);
        }
    }
}

static void what_there_is_is_used(void **state)
{
    (void)state;
    struct memory_plan plan = memory_plan_make(4096 * MEBIBYTE, 1);
    assert_true((int64_t)plan.cache_bytes > 2800 * MEBIBYTE);
    assert_true((int64_t)plan.output_bytes == 32 * MEBIBYTE);
    struct memory_plan shared = memory_plan_make(4096 * MEBIBYTE, 8);
    assert_true(shared.cache_bytes * 8 < plan.cache_bytes);
    assert_true(shared.cache_bytes * 8 > plan.cache_bytes * 9 / 10);
    assert_true(shared.output_bytes < plan.output_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_fit_into_the_whole),
        cmocka_unit_test(what_there_is_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
