/* When what failed is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_backoff.h"

#define MS UINT64_C(1000000)

static void pauses_grow_to_a_bound_and_are_not_the_same_for_all(void **state)
{
    (void)state;
    for (uint32_t failures = 0; failures < 40; failures++) {
        uint64_t least_ms =
            failures < 4 ? (uint64_t)KAFKA_RETRY_MS_MIN << failures : (uint64_t)KAFKA_RETRY_MS_MAX;
        uint64_t shortest_ns = UINT64_MAX;
        uint64_t longest_ns = 0;
        for (int32_t partition = 0; partition < 100; partition++) {
            uint64_t before_ns = clock_monotonic_ns();
            uint64_t retry_ns = kafka_retry_ns(failures, partition);
            uint64_t after_ns = clock_monotonic_ns();
            assert_true(retry_ns >= before_ns + least_ms * MS);
            assert_true(retry_ns <= after_ns + least_ms * MS * 3 / 2);
            uint64_t pause_ns = retry_ns - before_ns;
            shortest_ns = pause_ns < shortest_ns ? pause_ns : shortest_ns;
            longest_ns = pause_ns > longest_ns ? pause_ns : longest_ns;
        }
        /* Of a hundred, some come much later than others. */
        assert_true(longest_ns - shortest_ns > least_ms * MS / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_a_bound_and_are_not_the_same_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
