/*
 * A short run of a task over files and a store in memory, in which each call of the disk and each
 * call of the store fails in turn: the run ends with an error that says why or has not needed the
 * call, and the next run comes to the same outputs and records as one that nothing disturbed. The
 * simulator does this at random; here none is left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/run/task.h"
#include "test/fakes/storage_fake.h"
#include "test/simulation/plans.h"
#include "test/simulation/simulated_store.h"
#include "test/simulation/small_task.h"

/* What outlives a run. */
struct shop {
    struct script script;
    struct storage_fake *disk;
    struct state_store *memory;
};

static struct shop *open_shop(void)
{
    struct shop *shop = calloc(1, sizeof(*shop));
    struct error error;
    assert_non_null(shop);
    small_script_make(&shop->script, 11);
    shop->disk = storage_fake_create();
    assert_int_equal(state_store_memory_open(&shop->memory, &error), STATUS_OK);
    return shop;
}

static void close_shop(struct shop *shop)
{
    shop->memory->ops->close(shop->memory);
    storage_fake_destroy(shop->disk);
    free(shop);
}

/* One run and the world around it. */
struct run {
    struct small_task small;
    struct simulated_store store;
};

static enum status build(struct shop *shop, struct run *run, struct task_parts *parts,
                         struct error *error)
{
    struct commit_log_file_options log = {.storage = storage_fake_storage(shop->disk),
                                          .output_directory = "out",
                                          .log_directory = "log",
                                          .is_synced = true,
                                          .segment_bytes = 4096};
    parts->store = &run->store.store;
    return small_task_build(&run->small, &shop->script, &log, parts, error);
}

/* The `store_call`-th call of the store fails; 0: none. Returns how many there were. */
static enum status run_shop(struct shop *shop, uint64_t store_call, uint64_t *ret_store_calls,
                            struct error *error)
{
    struct run run = {.small = {.layout = {.part_count = 0}}};
    struct task_parts parts = {0};
    simulated_store_init(&run.store, shop->memory, shop->disk);
    run.store.fault_at = store_call;
    run.store.fault = STORE_FAIL;
    enum status status = build(shop, &run, &parts, error);
    if (status != STATUS_OK) {
        task_parts_release(&parts);
        return status;
    }
    struct task_options options = small_task_options();
    options.intake.batch_events_max = 7;
    options.cache.slice_records = 4;
    options.cache.records_max = 24;
    options.timer_entries_max = 8;
    options.transaction_records_max = 8;
    struct task *task = NULL;
    enum task_state state = TASK_BUSY;
    status = task_create(&options, &parts, &task, error);
    while (status == STATUS_OK && state != TASK_FINISHED) {
        status = task_step(task, &state, error);
        task_request_commit(task); /* Small ones, so that there are many. */
        if (status == STATUS_OK && task_is_committed(task)) {
            status = task_flush(task, error);
        }
    }
    if (status == STATUS_OK) {
        status = task_flush(task, error);
    }
    *ret_store_calls = run.store.calls;
    task_destroy(task);
    return status;
}

static bool hash_record(void *context, const struct store_key *key, struct store_value value)
{
    uint64_t *hash = context;
    /* The task's own record holds when things were begun, which a second run may do again. */
    if (key->length > 1 && key->bytes[1] != ENTITY_TASK) {
        *hash = hash64_combine(*hash, hash64((struct text){(const char *)key->bytes, key->length}));
        *hash = hash64_combine(*hash, hash64((struct text){value.bytes, value.length}));
    }
    return true;
}

/* Of all outputs and of all records. */
static uint64_t hash_of(const struct shop *shop)
{
    uint64_t hash = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        char path[128];
        uint64_t bytes = 0;
        (void)snprintf(path, sizeof(path), "out/%s/0.jsonl", output_topics[topic].name);
        const unsigned char *content = storage_fake_content(shop->disk, path, &bytes);
        hash = hash64_combine(
            hash, hash64((struct text){(const char *)content, content ? (uint32_t)bytes : 0}));
    }
    struct store_key from = {.bytes = {'r'}, .length = 1};
    struct store_key to = {.bytes = {'r' + 1}, .length = 1};
    struct error error;
    assert_int_equal(shop->memory->ops->scan(shop->memory, &from, &to, hash_record, &hash, &error),
                     STATUS_OK);
    return hash;
}

/* The call fails; then the same run again, without. Returns whether it was reached. */
static bool fail_at(uint64_t storage_call, uint64_t store_call, uint64_t expected_hash)
{
    struct shop *shop = open_shop();
    struct error error = {0};
    uint64_t store_calls = 0;
    storage_fake_fault_at(shop->disk, storage_call, STORAGE_FAIL);
    enum status status = run_shop(shop, store_call, &store_calls, &error);
    bool was_reached = storage_call > 0 ? storage_fake_calls(shop->disk) >= storage_call
                                        : status != STATUS_OK || store_calls >= store_call;
    storage_fake_fault_at(shop->disk, 0, STORAGE_FAIL);
    if (status != STATUS_OK && (status != STATUS_FATAL || error.message[0] == '\0')) {
        fail_msg("call %llu: status %d: %s", (unsigned long long)(storage_call + store_call),
                 status, error.message);
    }
    status = run_shop(shop, 0, &store_calls, &error);
    if (status != STATUS_OK || hash_of(shop) != expected_hash) {
        fail_msg("%s call %llu: the run after it: %s", storage_call > 0 ? "disk" : "store",
                 (unsigned long long)(storage_call + store_call),
                 status == STATUS_OK ? "other outputs or records" : error.message);
    }
    close_shop(shop);
    return was_reached;
}

static uint64_t undisturbed_hash(void)
{
    struct shop *shop = open_shop();
    struct error error = {0};
    uint64_t calls = 0;
    if (run_shop(shop, 0, &calls, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    uint64_t hash = hash_of(shop);
    close_shop(shop);
    return hash;
}

static void each_call_of_the_disk_can_fail(void **state)
{
    (void)state;
    uint64_t expected_hash = undisturbed_hash();
    uint64_t nth = 1;
    while (fail_at(nth, 0, expected_hash)) {
        nth++;
    }
    print_message("%llu calls, each failed once\n", (unsigned long long)nth - 1);
    assert_true(nth > 100);
}

static void each_call_of_the_store_can_fail(void **state)
{
    (void)state;
    uint64_t expected_hash = undisturbed_hash();
    uint64_t nth = 1;
    while (fail_at(0, nth, expected_hash)) {
        nth++;
    }
    print_message("%llu calls, each failed once\n", (unsigned long long)nth - 1);
    assert_true(nth > 30);
}

static int release_plans(void **state)
{
    (void)state;
    plans_release();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_of_the_disk_can_fail),
        cmocka_unit_test(each_call_of_the_store_can_fail),
    };
    return cmocka_run_group_tests_name("storage failure", tests, NULL, release_plans);
}
