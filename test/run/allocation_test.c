/*
 * Memory that runs out at each allocation in turn, from the making of a task to its end: a clean
 * failure each time, nothing lost, and the next run comes to the right outputs. The allocation
 * functions of the program are replaced at link time; those of shared libraries are not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/commit/storage.h"
#include "pipeline/run/task.h"
#include "test/fakes/fixture.h"
#include "test/simulation/plans.h"
#include "test/simulation/script.h"

static uint64_t allocations;
static uint64_t fails_at; /* 0: none. */

static bool fails(void)
{
    allocations++;
    return allocations == fails_at;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* ---- a small run with real files ---- */

struct shop {
    struct script script;
    struct scripted_input input;
    struct record_layout layout;
    char output[256];
    char log[256];
};

static enum status build(struct shop *shop, struct task_parts *parts, struct error *error)
{
    shop->layout = (struct record_layout){0};
    parts->layout = &shop->layout;
    scripted_input_init(&shop->input, &shop->script);
    parts->input = &shop->input.input;
    struct stage_context context = {.partition = "0", .partition_count = 1, .entity_mask = 1};
    struct commit_log_file_options options = {.storage = storage_posix(),
                                              .output_directory = shop->output,
                                              .log_directory = shop->log,
                                              .partition = "0",
                                              .format = OUTPUT_JSONL,
                                              .segment_bytes = 1u << 16};
    enum status status =
        record_layout_add(&shop->layout, &task_progress_part, &parts->progress_offset, error);
    if (status == STATUS_OK) {
        status = output_batch_create(OUTPUT_JSONL, &parts->outputs, error);
    }
    if (status == STATUS_OK) {
        status = stage_plan_create_stages(plans_get(0), &context, &shop->layout, parts->stages,
                                          &parts->stage_count, error);
    }
    if (status == STATUS_OK) {
        status = commit_log_file_open(&options, &parts->log, error);
    }
    return status == STATUS_OK ? state_store_memory_open(&parts->store, error) : status;
}

static enum status run_shop(struct shop *shop, struct error *error)
{
    struct task_parts parts = {0};
    enum status status = build(shop, &parts, error);
    if (status != STATUS_OK) {
        task_parts_release(&parts);
        return status;
    }
    struct task_options options = {
        .intake = {.source_name = "script",
                   .partition = "0",
                   .allowed_lateness_ms = 5000,
                   .max_ahead_ms = INT64_C(864000000),
                   .timer_floor_ms = stage_plan_timer_floor_ms(plans_get(0)),
                   .entity_mask = 1,
                   .batch_events_max = 20},
        .cache = {.bytes_max = 8u << 20, .slice_records = 8, .records_max = 32},
        .timer_entries_max = 64,
        .transaction_records_max = 32,
        .feature_count = stage_plan_features(plans_get(0))->count,
        .plan_hash = 7,
        .numeric_profile = "test",
        .scored_events_share = 0.2,
        .is_finite = true,
    };
    struct task *task = NULL;
    enum task_state state = TASK_BUSY;
    status = task_create(&options, &parts, &task, error);
    while (status == STATUS_OK && state != TASK_FINISHED) {
        status = task_step(task, &state, error);
    }
    task_destroy(task);
    return status;
}

/* Of all output files. */
static uint64_t hash_outputs(const struct shop *shop)
{
    static char bytes[1u << 22];
    uint64_t hash = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s/0.jsonl", shop->output,
                       output_topics[topic].name);
        FILE *file = fopen(path, "rb");
        size_t length = file ? fread(bytes, 1, sizeof(bytes), file) : 0;
        assert_true(length < sizeof(bytes));
        if (file) {
            (void)fclose(file);
        }
        hash = hash64_combine(hash, hash64((struct text){bytes, (uint32_t)length}));
    }
    return hash;
}

static struct shop *open_shop(char **ret_directory)
{
    struct shop *shop = calloc(1, sizeof(*shop));
    assert_non_null(shop);
    script_make(&shop->script, 5, 1);
    shop->script.event_count = 60;
    shop->script.tick_count = 0;
    *ret_directory = fixture_directory();
    (void)snprintf(shop->output, sizeof(shop->output), "%s/out", *ret_directory);
    (void)snprintf(shop->log, sizeof(shop->log), "%s/log", *ret_directory);
    return shop;
}

static void close_shop(struct shop *shop, char *directory)
{
    fixture_remove(directory);
    free(directory);
    free(shop);
}

/* One allocation fails; then the same run again, without. Returns whether it was reached. */
static bool fail_at(uint64_t nth, uint64_t expected_hash)
{
    char *directory = NULL;
    struct shop *shop = open_shop(&directory);
    struct error error = {0};
    allocations = 0;
    fails_at = nth;
    enum status status = run_shop(shop, &error);
    bool was_reached = allocations >= nth;
    fails_at = 0;
    if (was_reached && status != STATUS_OK && !strstr(error.message, "memory")) {
        fail_msg("allocation %llu: %s", (unsigned long long)nth, error.message);
    }
    status = run_shop(shop, &error);
    if (status != STATUS_OK || hash_outputs(shop) != expected_hash) {
        fail_msg("allocation %llu: the run after it: %s", (unsigned long long)nth,
                 status == STATUS_OK ? "other outputs" : error.message);
    }
    close_shop(shop, directory);
    return was_reached;
}

static void each_allocation_can_fail(void **state)
{
    (void)state;
    char *directory = NULL;
    struct error error = {0};
    (void)plans_get(0);
    struct shop *shop = open_shop(&directory);
    assert_int_equal(run_shop(shop, &error), STATUS_OK);
    uint64_t expected_hash = hash_outputs(shop);
    close_shop(shop, directory);
    uint64_t nth = 1;
    while (fail_at(nth, expected_hash)) {
        nth++;
    }
    printf("%llu allocations, each failed once\n", (unsigned long long)nth - 1);
    assert_true(nth > 100);
    plans_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_can_fail)};
    return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
