#include "test/fakes/store_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/state/record_cache.h"
#include "test/fakes/fixture.h"
#include "test/fakes/must.h"

void store_disk_open(struct store_disk *disk, int64_t retention_ms)
{
    struct error error;
    must(
        state_store_rocksdb_open(disk->directory, disk->budget, retention_ms, &disk->store, &error),
        &error);
}

void store_disk_close(struct store_disk *disk)
{
    if (disk->store) {
        disk->store->ops->close(disk->store);
    }
    disk->store = NULL;
}

int store_disk_setup(void **state)
{
    struct store_disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    struct error error;
    disk->directory = fixture_directory();
    must(rocksdb_budget_create(8u << 20, 1u << 16, &disk->budget, &error), &error);
    *state = disk;
    return 0;
}

int store_disk_teardown(void **state)
{
    struct store_disk *disk = *state;
    store_disk_close(disk);
    rocksdb_budget_destroy(disk->budget);
    fixture_remove(disk->directory);
    free(disk->directory);
    free(disk);
    return 0;
}

struct store_key store_test_key(uint32_t i)
{
    return store_key_of_record((struct record_key){{i * UINT64_C(77777777777777), i}, 0});
}

void store_assert_refused(const struct store_disk *disk, enum status why, const char *expected)
{
    struct state_store *store = NULL;
    struct error error;
    enum status status = state_store_rocksdb_open(disk->directory, disk->budget, 0, &store, &error);
    assert_int_equal(status, why);
    assert_null(store);
    if (!strstr(error.message, expected)) {
        print_error("%s\n", error.message);
    }
    assert_non_null(strstr(error.message, expected));
    assert_non_null(strstr(error.message, disk->directory));
}

void store_check_content(struct state_store *store, const uint32_t values[KEYS])
{
    struct error error;
    struct store_key keys[KEYS + 1];
    struct store_value found[KEYS + 1];
    for (uint32_t i = 0; i <= KEYS; i++) {
        keys[i] = store_test_key(KEYS - i); /* The first one was never written. */
    }
    must(store->ops->get_many(store, keys, KEYS + 1, found, &error), &error);
    assert_null(found[0].bytes);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct store_value value = found[KEYS - i];
        if (values[i] == 0) {
            assert_null(value.bytes);
            continue;
        }
        assert_non_null(value.bytes);
        assert_int_equal(value.length, values[i] % 50 == 0 ? 0 : 4 + values[i]);
        if (value.length > 0) {
            assert_memory_equal(value.bytes, &values[i], 4);
        }
    }
}

struct scan_check {
    struct store_key previous;
    uint32_t count;
};

static bool check_order(void *context, const struct store_key *key, struct store_value value)
{
    struct scan_check *check = context;
    assert_non_null(value.bytes);
    if (check->count++ > 0) {
        assert_true(memcmp(check->previous.bytes, key->bytes, key->length) < 0);
    }
    check->previous = *key;
    return check->count < KEYS / 2;
}

static void check_scan(struct state_store *store, const uint32_t values[KEYS])
{
    struct error error;
    struct scan_check check = {.count = 0};
    struct store_key from = {.bytes = {'r'}, .length = 1};
    struct store_key to = {.bytes = {'s'}, .length = 1};
    uint32_t expected = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        expected += values[i] != 0;
    }
    must(store->ops->scan(store, &from, &to, check_order, &check, &error), &error);
    assert_int_equal(check.count, expected < KEYS / 2 ? expected : KEYS / 2);
}

void store_write_some(struct state_store *store, struct random *random,
                      struct store_history *history)
{
    struct error error;
    static unsigned char bytes[WRITES_MAX + 8];
    struct store_put puts[KEYS];
    uint32_t number = ++history->writes;
    uint32_t *values = history->values[number];
    memcpy(values, history->values[number - 1], sizeof(history->values[0]));
    memcpy(bytes, &number, 4);
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t choice = random_below(random, 10);
        if (choice < 2) {
            values[i] = number;
            puts[count++] =
                (struct store_put){store_test_key(i), bytes, number % 50 ? 4 + number : 0};
        } else if (choice == 2) {
            values[i] = 0;
            puts[count++] = (struct store_put){store_test_key(i), NULL, 0};
        }
    }
    uint64_t position = history->positions[number - 1] + random_below(random, 3);
    history->positions[number] = position;
    must(store->ops->write(store, puts, count, position, &error), &error);
    assert_true(store->ops->position(store) == position);
    assert_true(store->ops->durable_position(store) <= position);
}

void store_run_history(struct state_store *store, uint64_t seed, struct store_history *history)
{
    struct random random = {seed};
    *history = (struct store_history){.writes = 0};
    for (uint32_t i = 0; i < WRITES_MAX; i++) {
        store_write_some(store, &random, history);
        if (i % 20 == 0) {
            store_check_content(store, history->values[history->writes]);
            check_scan(store, history->values[history->writes]);
        }
        if (random_below(&random, 60) == 0) {
            struct error error;
            must(store->ops->flush(store, &error), &error);
            assert_true(store->ops->durable_position(store) == store->ops->position(store));
        }
    }
}
