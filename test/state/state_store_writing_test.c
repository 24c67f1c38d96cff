/* A store on disk while a write of it is under way, or has failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/state_store.h"
#include "test/fakes/fixture.h"

#define KEYS 20000u
#define PATH_BYTES 512

struct disk {
    char *directory;
    struct rocksdb_budget *budget;
    struct state_store *store;
};

static void must(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        print_error("%s\n", error->message);
    }
    assert_int_equal(status, STATUS_OK);
}

static int setup(void **state)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    struct error error;
    disk->directory = fixture_directory();
    must(rocksdb_budget_create(8u << 20, 1u << 16, &disk->budget, &error), &error);
    must(state_store_rocksdb_open(disk->directory, disk->budget, 0, &disk->store, &error), &error);
    *state = disk;
    return 0;
}

static int teardown(void **state)
{
    struct disk *disk = *state;
    disk->store->ops->close(disk->store);
    rocksdb_budget_destroy(disk->budget);
    fixture_remove(disk->directory);
    free(disk->directory);
    free(disk);
    return 0;
}

/* Every key holds `round`, but for those that the round deletes. */
struct round_puts {
    struct store_put puts[KEYS];
    uint32_t values[KEYS];
};

static bool is_deleted(uint32_t i, uint32_t round)
{
    return (i + round) % 7 == 0;
}

static struct store_key key_of(uint32_t i)
{
    return store_key_of_record((struct record_key){{i * UINT64_C(77777777777777), i}, 0});
}

static enum status write_round(struct state_store *store, uint32_t round, struct error *error)
{
    struct round_puts *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    for (uint32_t i = 0; i < KEYS; i++) {
        made->values[i] = round + i;
        made->puts[i] =
            (struct store_put){key_of(i), is_deleted(i, round) ? NULL : &made->values[i],
                               is_deleted(i, round) ? 0 : sizeof(uint32_t)};
    }
    enum status status = store->ops->write(store, made->puts, KEYS, round, error);
    memset(made, 0xee, sizeof(*made)); /* What was borrowed is free. */
    free(made);
    return status;
}

static void check_round(struct state_store *store, uint32_t round)
{
    struct store_key keys[256];
    struct store_value values[256];
    struct error error;
    for (uint32_t from = 0; from + 256 <= KEYS; from += 4096) {
        for (uint32_t i = 0; i < 256; i++) {
            keys[i] = key_of(from + i);
        }
        must(store->ops->get_many(store, keys, 256, values, &error), &error);
        for (uint32_t i = 0; i < 256; i++) {
            if (is_deleted(from + i, round)) {
                assert_null(values[i].bytes);
            } else {
                uint32_t expected = round + from + i;
                assert_int_equal(values[i].length, sizeof(expected));
                assert_memory_equal(values[i].bytes, &expected, sizeof(expected));
            }
        }
    }
}

static void what_is_being_written_is_read(void **state)
{
    struct state_store *store = ((struct disk *)*state)->store;
    for (uint32_t round = 1; round <= 12; round++) {
        struct error error;
        must(write_round(store, round, &error), &error);
        assert_int_equal(store->ops->position(store), round);
        uint64_t durable = store->ops->durable_position(store);
        assert_true(durable == round || durable == round - 1);
        check_round(store, round);
        if (round % 3 == 0) {
            must(store->ops->flush(store, &error), &error);
            assert_int_equal(store->ops->durable_position(store), round);
            check_round(store, round);
        }
    }
}

/* A folder of the file's name, with something in it, so that no file can be made there. */
static void a_write_that_failed_is_told_by_every_later_call(void **state)
{
    struct disk *disk = *state;
    struct state_store *store = disk->store;
    struct error error;
    must(write_round(store, 1, &error), &error);
    must(store->ops->flush(store, &error), &error);
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/slice.tmp", disk->directory);
    assert_int_equal(mkdir(path, 0700), 0);

    must(write_round(store, 2, &error), &error);
    assert_int_equal(store->ops->flush(store, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, disk->directory));
    assert_non_null(strstr(error.message, "writing"));
    assert_int_equal(store->ops->durable_position(store), 1);
    assert_int_equal(rmdir(path), 0);

    struct store_key key = key_of(1);
    struct store_value value;
    assert_int_equal(store->ops->get_many(store, &key, 1, &value, &error), STATUS_FATAL);
    assert_int_equal(write_round(store, 3, &error), STATUS_FATAL);
    assert_int_equal(store->ops->flush(store, &error), STATUS_FATAL);
    assert_int_equal(store->ops->durable_position(store), 1);

    store->ops->close(store);
    must(state_store_rocksdb_open(disk->directory, disk->budget, 0, &disk->store, &error), &error);
    assert_int_equal(disk->store->ops->position(disk->store), 1);
    check_round(disk->store, 1);
}

static void closing_waits_for_what_is_being_written(void **state)
{
    struct disk *disk = *state;
    struct error error;
    for (uint32_t round = 1; round <= 5; round++) {
        must(write_round(disk->store, round, &error), &error);
        disk->store->ops->close(disk->store);
        must(state_store_rocksdb_open(disk->directory, disk->budget, 0, &disk->store, &error),
             &error);
        assert_int_equal(disk->store->ops->position(disk->store), round);
        check_round(disk->store, round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_being_written_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_write_that_failed_is_told_by_every_later_call, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_waits_for_what_is_being_written, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
