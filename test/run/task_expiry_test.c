/* Which records a pass over the store removes, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/run/task_expiry.h"
#include "test/fakes/must.h"

#define HOUR_MS INT64_C(3600000)
#define RETENTION_MS (16 * HOUR_MS)
#define USERS 3000u

struct fixture {
    struct record_layout layout;
    struct state_store *store;
    struct record_cache *cache;
    struct task_expiry expiry;
    uint64_t position;
    int64_t watermark_ms;
    uint32_t deleted[USERS]; /* Deletions in commits. */
};

static struct record_key key_of(uint32_t user)
{
    return (struct record_key){.kind = ENTITY_USER,
                               .id = {user * UINT64_C(0x9e3779b97f4a7c15), user}};
}

static int setup(void **state)
{
    static const struct record_part part = {
        .name = "core", .id = 1, .kind = ENTITY_USER, .bytes = 64};
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct record_cache_options options = {.bytes_max = 64u << 20, .slice_records = 512};
    struct error error;
    uint32_t offset;
    must(record_layout_add(&fixture->layout, &part, &offset, &error), &error);
    must(state_store_memory_open(&fixture->store, &error), &error);
    must(record_cache_create(&fixture->layout, fixture->store, &options, &fixture->cache, &error),
         &error);
    fixture->expiry.retention_ms = RETENTION_MS;
    fixture->watermark_ms = 1000 * HOUR_MS;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    task_expiry_release(&fixture->expiry);
    record_cache_destroy(fixture->cache);
    fixture->store->ops->close(fixture->store);
    free(fixture);
    return 0;
}

/* A transaction with an event of each of [from, to) at the watermark; is_timed: with a timer. */
static void commit_users(struct fixture *fixture, uint32_t from, uint32_t to, bool is_timed,
                         bool is_aborted)
{
    struct error error;
    for (uint32_t user = from; user < to; user++) {
        struct record_key key = key_of(user);
        struct record *record;
        must(record_cache_take(fixture->cache, &key, 1, &record, &error), &error);
        record->last_event_ms = fixture->watermark_ms;
        record->timer_ms[0] = is_timed ? fixture->watermark_ms + 1000 * HOUR_MS : TIMER_NONE;
    }
    const struct changelog_entry *entries;
    uint32_t count = record_cache_encode_changes(fixture->cache, &entries);
    uint32_t changed = count;
    must(task_expiry_add(&fixture->expiry, fixture->store, fixture->cache, fixture->watermark_ms,
                         &entries, &count, &error),
         &error);
    assert_int_equal(changed, to - from);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].bytes == NULL, i >= changed);
        fixture->deleted[entries[i].key.id.low] += i >= changed && !is_aborted;
    }
    if (is_aborted) {
        record_cache_abort(fixture->cache);
        task_expiry_forget(&fixture->expiry);
        return;
    }
    record_cache_commit(fixture->cache, ++fixture->position);
    must(task_expiry_finish(&fixture->expiry, fixture->store, fixture->cache, &error), &error);
}

static void pass_time(struct fixture *fixture, int64_t hours)
{
    for (int64_t i = 0; i < hours; i++) {
        fixture->watermark_ms += HOUR_MS;
        /* As many commits as a pass needs slices, and one more for what was dirty. */
        for (uint32_t j = 0; j < USERS / EXPIRY_SLICE_RECORDS + 4; j++) {
            commit_users(fixture, 0, 1, false, false);
        }
    }
}

static bool is_stored(struct fixture *fixture, uint32_t user)
{
    struct store_key key = store_key_of_record(key_of(user));
    struct store_value value;
    struct error error;
    must(fixture->store->ops->get_many(fixture->store, &key, 1, &value, &error), &error);
    return value.bytes != NULL;
}

static void removes_what_was_not_heard_of_for_the_retention_time_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    commit_users(fixture, 0, 2000, false, false);
    commit_users(fixture, 2000, 2100, true, false);
    pass_time(fixture, 8);
    commit_users(fixture, 2100, USERS, false, false);
    commit_users(fixture, 100, 200, false, false);
    pass_time(fixture, 7);
    for (uint32_t user = 0; user < USERS; user++) {
        assert_int_equal(fixture->deleted[user], 0);
    }
    pass_time(fixture, 3);
    for (uint32_t user = 0; user < USERS; user++) {
        bool goes = user > 0 && user < 2000 && (user < 100 || user >= 200);
        assert_int_equal(fixture->deleted[user], goes);
        assert_int_equal(is_stored(fixture, user), !goes);
    }
}

static void leaves_records_of_the_transaction_and_of_one_that_is_taken_back(void **state)
{
    struct fixture *fixture = *state;
    commit_users(fixture, 0, 300, false, false);
    pass_time(fixture, 15);
    fixture->watermark_ms += 3 * HOUR_MS;
    commit_users(fixture, 0, 1, false, false);  /* A pass is due: what is dirty is written. */
    commit_users(fixture, 0, 150, false, true); /* It finds the others, and is taken back. */
    assert_int_equal(fixture->expiry.count, 0);
    assert_true(is_stored(fixture, 200));
    fixture->watermark_ms += HOUR_MS;
    commit_users(fixture, 0, 1, false, false);
    commit_users(fixture, 0, 150, false, false); /* Back just now: none of them is removed. */
    for (uint32_t user = 0; user < 300; user++) {
        assert_int_equal(fixture->deleted[user], user >= 150);
        assert_int_equal(is_stored(fixture, user), user < 150);
    }
}

static void removes_nothing_without_a_retention_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->expiry.retention_ms = 0;
    commit_users(fixture, 0, 300, false, false);
    pass_time(fixture, 100);
    for (uint32_t user = 0; user < 300; user++) {
        assert_int_equal(fixture->deleted[user], 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(removes_what_was_not_heard_of_for_the_retention_time_and_nothing_else),
        TEST(leaves_records_of_the_transaction_and_of_one_that_is_taken_back),
        TEST(removes_nothing_without_a_retention_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
