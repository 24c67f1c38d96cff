/* When commits are asked for before their time, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_haste.h"

#define MS UINT64_C(1000000)
#define STEP_NS (MS / 10)

/* A task as its worker sees it: what is asked for while a commit is on its way is lost. */
struct fake_task {
    struct kafka_haste haste;
    uint64_t now_ns;
    uint64_t outputs, sent; /* Records made, and those that the last commit took along. */
    uint64_t done_ns;       /* When the commit that is on its way is done; 0: none is. */
    uint32_t commits;
    uint64_t task_count; /* Of its worker. */
    uint32_t under_way;  /* Likewise. */
};

static bool ask(struct fake_task *task)
{
    const struct kafka_haste_view view = {
        .is_committing = task->done_ns > 0,
        .is_committed = task->done_ns == 0 && task->sent == task->outputs,
        .outputs = task->outputs,
        .now_ns = task->now_ns,
        .task_count = task->task_count,
        .under_way = task->under_way,
    };
    return kafka_haste_asks(&task->haste, &view);
}

static void step(struct fake_task *task, uint64_t commit_ns)
{
    task->now_ns += STEP_NS;
    if (task->done_ns > 0 && task->now_ns >= task->done_ns) {
        task->done_ns = 0;
        task->commits++;
        kafka_haste_committed(&task->haste, task->sent, task->now_ns);
    } else if (ask(task) && task->done_ns == 0) {
        task->done_ns = task->now_ns + commit_ns;
        task->sent = task->outputs;
    }
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* There is something to output again so long after the first commit was asked for. */
static void check_next_commit(uint64_t task_count, uint64_t commit_ns, uint64_t output_ns)
{
    struct fake_task task = {.now_ns = 1000 * MS, .outputs = 1, .task_count = task_count};
    step(&task, commit_ns);
    assert_true(task.done_ns > 0);
    uint64_t asked_ns = task.now_ns;
    while (task.commits == 0) {
        task.outputs = task.now_ns - asked_ns >= output_ns ? 2 : 1;
        step(&task, commit_ns);
    }
    task.outputs = 2;
    uint64_t due_ns = later(asked_ns + KAFKA_HASTE_NS * task_count, task.now_ns + KAFKA_SETTLE_NS);
    while (task.done_ns == 0) {
        assert_true(task.now_ns <= due_ns);
        step(&task, commit_ns);
    }
}

/* However long the commit before took, and whenever in it there was something to output. */
static void what_comes_while_a_commit_is_on_its_way_goes_with_the_next_one_at_once(void **state)
{
    (void)state;
    for (uint64_t task_count = 1; task_count <= 6; task_count++) {
        for (uint64_t commit_ns = STEP_NS; commit_ns < 30 * MS; commit_ns += 7 * STEP_NS) {
            for (uint64_t output_ns = 0; output_ns < commit_ns; output_ns += MS) {
                check_next_commit(task_count, commit_ns, output_ns);
            }
        }
    }
}

static void a_worker_with_many_tasks_hastens_each_of_them_less_often(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= 20; count++) {
        struct kafka_haste haste = {.hastened_ns = 1000 * MS};
        struct kafka_haste_view view = {.outputs = 1, .task_count = count};
        view.now_ns = 1000 * MS + count * KAFKA_HASTE_NS - 1;
        assert_false(kafka_haste_asks(&haste, &view));
        view.now_ns++;
        assert_true(kafka_haste_asks(&haste, &view));
        assert_false(kafka_haste_asks(&haste, &view));
    }
}

static void nothing_to_output_or_to_commit_is_nothing_to_hasten(void **state)
{
    (void)state;
    struct kafka_haste haste = {.outputs_committed = 7};
    struct kafka_haste_view view = {.outputs = 7, .now_ns = 1000 * MS, .task_count = 1};
    assert_false(kafka_haste_asks(&haste, &view)); /* Only records changed. */
    view.outputs = 8;
    view.is_committed = true;
    assert_false(kafka_haste_asks(&haste, &view));
    view.is_committed = false;
    assert_true(kafka_haste_asks(&haste, &view));
}

static void who_only_waits_for_slow_brokers_does_not_hasten(void **state)
{
    (void)state;
    struct kafka_haste haste = {0};
    struct kafka_haste_view view = {.outputs = 1, .now_ns = 1000 * MS, .task_count = 1};
    view.behind = KAFKA_HASTE_BEHIND + 1;
    assert_false(kafka_haste_asks(&haste, &view));
    view.behind--; /* A transaction's end in the topic is no record that will come. */
    assert_true(kafka_haste_asks(&haste, &view));
}

/* ---- all tasks of a worker ---- */

#define TASKS_MAX 6u

static uint32_t count_under_way(const struct fake_task *tasks, uint64_t count, uint64_t now_ns)
{
    uint32_t under_way = 0;
    for (uint64_t i = 0; i < count; i++) {
        under_way += tasks[i].done_ns > 0 && kafka_haste_is_under_way(&tasks[i].haste, now_ns);
    }
    return under_way;
}

/*
 * Each of them always has something to output; commits take 5 ms, those of the first `slow` tasks
 * 900. Returns the fewest commits in a second of a task that is not slow.
 */
static uint32_t run_worker(uint64_t count, uint64_t slow, uint32_t *ret_most_at_once)
{
    struct fake_task tasks[TASKS_MAX] = {0};
    *ret_most_at_once = 0;
    for (uint64_t now_ns = 1000 * MS; now_ns < 2000 * MS; now_ns += STEP_NS) {
        for (uint64_t i = 0; i < count; i++) {
            tasks[i].now_ns = now_ns - STEP_NS;
            tasks[i].task_count = count;
            tasks[i].outputs++;
            tasks[i].under_way = count_under_way(tasks, count, now_ns);
            step(&tasks[i], i < slow ? 900 * MS : 5 * MS);
            uint32_t under_way = count_under_way(tasks, count, now_ns);
            *ret_most_at_once = under_way > *ret_most_at_once ? under_way : *ret_most_at_once;
        }
    }
    uint32_t fewest = UINT32_MAX;
    for (uint64_t i = slow; i < count; i++) {
        fewest = tasks[i].commits < fewest ? tasks[i].commits : fewest;
    }
    return fewest;
}

static void a_workers_commits_are_staggered_and_each_task_has_its_turn(void **state)
{
    (void)state;
    for (uint64_t count = 1; count <= TASKS_MAX; count++) {
        uint32_t most;
        uint32_t fewest = run_worker(count, 0, &most);
        assert_int_equal(most, count < KAFKA_HASTE_AT_ONCE ? count : KAFKA_HASTE_AT_ONCE);
        /* 8 ms: of a commit, and what may lie between two. */
        assert_true(fewest >= 1000 / (8 * (count + KAFKA_HASTE_AT_ONCE) / KAFKA_HASTE_AT_ONCE));
    }
}

/* Partitions whose broker is away must not make the others wait. */
static void commits_that_hang_are_not_waited_for(void **state)
{
    (void)state;
    for (uint64_t slow = 1; slow <= 3; slow++) {
        uint32_t most;
        assert_true(run_worker(slow + 2, slow, &most) >= 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_a_commit_is_on_its_way_goes_with_the_next_one_at_once),
        cmocka_unit_test(a_worker_with_many_tasks_hastens_each_of_them_less_often),
        cmocka_unit_test(nothing_to_output_or_to_commit_is_nothing_to_hasten),
        cmocka_unit_test(who_only_waits_for_slow_brokers_does_not_hasten),
        cmocka_unit_test(a_workers_commits_are_staggered_and_each_task_has_its_turn),
        cmocka_unit_test(commits_that_hang_are_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
