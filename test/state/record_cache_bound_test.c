/* What a cache does when its memory is full, and that it takes no more than it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/fakes/cache_layout.h"
#include "test/fakes/must.h"

#define KEYS_MAX 9000u

struct bounded {
    struct record_layout layout;
    struct state_store *store;
    struct record_cache *cache; /* Of 3 MiB: fewer than KEYS_MAX users. */
};

static int setup(void **state)
{
    struct bounded *bounded = calloc(1, sizeof(*bounded));
    struct error error;
    const struct record_cache_options options = {.bytes_max = 3u << 20, .slice_records = 100};
    assert_non_null(bounded);
    cache_test_layout(&bounded->layout);
    must(state_store_memory_open(&bounded->store, &error), &error);
    must(record_cache_create(&bounded->layout, bounded->store, &options, &bounded->cache, &error),
         &error);
    *state = bounded;
    return 0;
}

static int teardown(void **state)
{
    struct bounded *bounded = *state;
    record_cache_destroy(bounded->cache);
    bounded->store->ops->close(bounded->store);
    free(bounded);
    return 0;
}

/* Zero words are left out of what is kept; one in three is not zero. */
static void fill(const struct bounded *bounded, struct record *record)
{
    uint64_t *words = (uint64_t *)(void *)record->parts;
    uint32_t count = bounded->layout.bytes[record->key.kind] / 8;
    record->last_event_ms = 1;
    for (uint32_t i = 0; i < count; i += 3) {
        words[i] = 1;
    }
}

/* A cache full of one kind makes room for another one. */
static void memory_moves_between_kinds(void **state)
{
    struct bounded *bounded = *state;
    struct error error;
    uint64_t position = 0;
    for (int round = 0; round < 4; round++) {
        uint8_t kind = round % 2 ? ENTITY_ITEM : ENTITY_USER;
        for (uint32_t i = 0; i < 12000; i += 100) {
            struct record_key keys[100];
            struct record *records[100];
            for (uint32_t k = 0; k < 100; k++) {
                keys[k] = (struct record_key){{i + k, (uint64_t)round}, kind};
            }
            /* Old small ones leave slower than new large ones come. */
            enum status status = record_cache_take(bounded->cache, keys, 100, records, &error);
            if (status == STATUS_RETRY) {
                must(record_cache_write_back(bounded->cache, 100, &error), &error);
                status = record_cache_take(bounded->cache, keys, 100, records, &error);
            }
            must(status, &error);
            for (uint32_t k = 0; k < 100; k++) {
                fill(bounded, records[k]);
            }
            cache_commit_at(bounded->cache, ++position);
            must(record_cache_relieve(bounded->cache, &error), &error);
        }
        struct record_cache_stats stats = record_cache_stats(bounded->cache);
        assert_true(stats.resident > (kind == ENTITY_USER ? 1500 : 3500));
    }
}

static void a_cache_full_of_dirty_records_asks_to_retry(void **state)
{
    struct bounded *bounded = *state;
    struct error error;
    enum status status = STATUS_OK;
    uint32_t taken = 0;
    for (; taken < KEYS_MAX && status == STATUS_OK; taken++) {
        struct record_key key = {{taken, taken}, ENTITY_USER};
        struct record *record;
        status = record_cache_take(bounded->cache, &key, 1, &record, &error);
        if (status == STATUS_OK) {
            fill(bounded, record);
            cache_commit_at(bounded->cache, taken + 1);
        }
    }
    assert_int_equal(status, STATUS_RETRY);
    assert_int_equal(record_cache_taken(bounded->cache), 0);
    must(record_cache_write_back(bounded->cache, 0, &error), &error);
    struct record_key key = {{1, 1}, ENTITY_TASK};
    struct record *record;
    must(record_cache_take(bounded->cache, &key, 1, &record, &error), &error);
}

static void a_batch_that_can_never_fit_is_refused(void **state)
{
    struct bounded *bounded = *state;
    struct record_key *keys = calloc(KEYS_MAX, sizeof(*keys));
    struct record **records = calloc(KEYS_MAX, sizeof(struct record *));
    assert_non_null(keys);
    assert_non_null(records);
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        keys[i] = (struct record_key){{i, i}, ENTITY_USER};
    }
    struct error error;
    assert_int_equal(record_cache_take(bounded->cache, keys, KEYS_MAX, records, &error),
                     STATUS_RETRY);
    assert_int_equal(record_cache_taken(bounded->cache), 0);
    must(record_cache_take(bounded->cache, keys, 10, records, &error), &error);
    free(keys);
    free(records);
}

static void a_cache_that_is_too_small_is_refused(void **state)
{
    struct bounded *bounded = *state;
    const struct record_cache_options options = {.bytes_max = 1u << 20, .slice_records = 10};
    struct record_cache *cache = NULL;
    struct error error;
    assert_int_equal(
        record_cache_create(&bounded->layout, bounded->store, &options, &cache, &error),
        STATUS_INVALID);
    assert_null(cache);
}

/* Forgets what is written, so that nothing but the cache grows. */
static enum status null_get_many(struct state_store *store, const struct store_key *keys,
                                 uint32_t count, struct store_value *values, struct error *error)
{
    (void)store;
    (void)keys;
    (void)error;
    memset(values, 0, count * sizeof(*values));
    return STATUS_OK;
}

static enum status null_write(struct state_store *store, const struct store_put *puts,
                              uint32_t count, uint64_t log_position, struct error *error)
{
    (void)store;
    (void)puts;
    (void)count;
    (void)log_position;
    (void)error;
    return STATUS_OK;
}

static uint64_t null_position(struct state_store *store)
{
    (void)store;
    return 0;
}

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
    (void)fclose(file);
    return resident * 4096u;
}

static void memory_stays_within_the_bound(void **state)
{
    (void)state;
    static const struct state_store_ops ops = {
        .get_many = null_get_many, .write = null_write, .position = null_position};
    struct state_store store = {&ops};
    struct record_layout layout = {0};
    cache_test_layout(&layout);
    const struct record_cache_options options = {.bytes_max = 48u << 20, .slice_records = 4096};
    struct record_cache *cache;
    struct error error;
    static struct record_key keys[4000];
    static struct record *records[4000];
    memset(records, 1, sizeof(records));
    size_t before = resident_bytes();
    must(record_cache_create(&layout, &store, &options, &cache, &error), &error);
    for (uint64_t round = 1; round <= 60; round++) {
        for (uint32_t i = 0; i < 1500; i++) {
            uint8_t kind = (round / 15) % 2 ? ENTITY_ITEM : ENTITY_USER;
            keys[i] = (struct record_key){{round, i}, kind};
        }
        enum status status = record_cache_take(cache, keys, 1500, records, &error);
        if (status == STATUS_RETRY) {
            must(record_cache_write_back(cache, 0, &error), &error);
            status = record_cache_take(cache, keys, 1500, records, &error);
        }
        must(status, &error);
        for (uint32_t i = 0; i < 1500; i++) {
            memset(records[i]->parts, 1, layout.bytes[records[i]->key.kind]);
        }
        cache_commit_at(cache, round);
        must(record_cache_relieve(cache, &error), &error);
    }
    size_t grown = resident_bytes() - before;
    assert_true(record_cache_stats(cache).resident > 20000);
    assert_true(grown > options.bytes_max / 2);
    /* An eighth and some for the sanitizer's shadow of what was touched. */
    assert_true(grown <= options.bytes_max + options.bytes_max / 8 + (2u << 20));
    record_cache_destroy(cache);
}

static void preallocated_memory_is_there_from_the_start(void **state)
{
    struct bounded *bounded = *state;
    const size_t bytes = 64u << 20;
    for (int round = 0; round < 2; round++) {
        const struct record_cache_options options = {
            .bytes_max = bytes, .slice_records = 100, .is_preallocated = round == 1};
        struct record_cache *cache;
        struct error error;
        size_t before = resident_bytes();
        must(record_cache_create(&bounded->layout, bounded->store, &options, &cache, &error),
             &error);
        size_t grown = resident_bytes() - before;
        if (options.is_preallocated) {
            assert_true(grown >= bytes - bytes / 8);
        } else {
            assert_true(grown < bytes / 8);
        }
        record_cache_destroy(cache);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(memory_moves_between_kinds),
        TEST(a_cache_full_of_dirty_records_asks_to_retry),
        TEST(a_batch_that_can_never_fit_is_refused),
        TEST(a_cache_that_is_too_small_is_refused),
        cmocka_unit_test(memory_stays_within_the_bound),
        TEST(preallocated_memory_is_there_from_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
