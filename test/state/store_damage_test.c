/* A store on disk that is damaged, foreign or half made: refused, or made good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/fakes/must.h"
#include "test/fakes/raw_rocksdb.h"
#include "test/fakes/store_history.h"

static void a_store_of_a_newer_version_is_refused(void **state)
{
    struct store_disk *disk = *state;
    store_disk_open(disk, 0);
    store_disk_close(disk);
    const uint32_t newer = 2;
    raw_rocksdb_put(disk->directory, "mformat", &newer, sizeof(newer));
    store_assert_refused(disk, STATUS_FATAL,
                         "its format is 2 and this version reads 1: it was written by a newer");
}

static void foreign_data_is_refused(void **state)
{
    struct store_disk *disk = *state;
    const uint64_t position = 5;
    raw_rocksdb_put(disk->directory, "mposition", &position, sizeof(position));
    store_assert_refused(disk, STATUS_FATAL, "its format is 0");
}

static void damage(const char *directory, const char *ending, bool is_removed)
{
    DIR *folder = opendir(directory);
    assert_non_null(folder);
    uint32_t damaged = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char path[4096];
        if (!strstr(entry->d_name, ending)) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        damaged++;
        if (is_removed) {
            assert_int_equal(unlink(path), 0);
            continue;
        }
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        for (long at = 16; at < 2000; at += 8) {
            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            assert_int_not_equal(fputc(0x5a, file), EOF);
        }
        assert_int_equal(fclose(file), 0);
    }
    (void)closedir(folder);
    assert_true(damaged > 0);
}

static void fill(struct store_disk *disk)
{
    struct store_history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    struct error error;
    store_disk_open(disk, 0);
    store_run_history(disk->store, 1, history);
    must(disk->store->ops->flush(disk->store, &error), &error);
    store_disk_close(disk);
    free(history);
}

static void a_broken_manifest_is_refused(void **state)
{
    struct store_disk *disk = *state;
    fill(disk);
    damage(disk->directory, "MANIFEST", false);
    store_assert_refused(disk, STATUS_CORRUPT, "corrupt");
}

/* Whatever RocksDB says of a file names the folder, too. */
static void a_broken_store_in_a_folder_called_clock_is_not_said_to_be_locked(void **state)
{
    struct store_disk *disk = *state;
    struct store_disk clock = {.budget = disk->budget};
    struct state_store *store = NULL;
    struct error error;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/clock", disk->directory);
    clock.directory = path;
    fill(&clock);
    damage(path, "MANIFEST", false);
    assert_int_equal(state_store_rocksdb_open(path, disk->budget, 0, &store, &error),
                     STATUS_CORRUPT);
    assert_null(strstr(error.message, "locked"));
}

static void a_missing_file_is_refused(void **state)
{
    struct store_disk *disk = *state;
    fill(disk);
    damage(disk->directory, ".sst", true);
    store_assert_refused(disk, STATUS_CORRUPT, "corrupt");
}

static bool is_there(const char *directory, const char *name)
{
    char path[4096];
    struct stat info;
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return stat(path, &info) == 0;
}

static void a_store_without_its_entry_is_refused_and_left_as_it_is(void **state)
{
    struct store_disk *disk = *state;
    fill(disk);
    damage(disk->directory, "CURRENT", true);
    store_assert_refused(disk, STATUS_CORRUPT, "CURRENT");
    assert_false(is_there(disk->directory, "CURRENT"));
}

/* Killed while it made its first files: there was nothing in it. */
static void a_store_that_was_never_quite_made_is_made_anew(void **state)
{
    struct store_disk *disk = *state;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/MANIFEST-000001", disk->directory);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    store_disk_open(disk, 0);
}

/* Damage in a data block is met when the block is read. */
static void a_broken_block_is_an_error_when_it_is_read(void **state)
{
    struct store_disk *disk = *state;
    fill(disk);
    damage(disk->directory, ".sst", false);
    struct error error;
    enum status status =
        state_store_rocksdb_open(disk->directory, disk->budget, 0, &disk->store, &error);
    for (uint32_t i = 0; i < KEYS && status == STATUS_OK; i++) {
        struct store_key key = store_test_key(i);
        struct store_value value;
        status = disk->store->ops->get_many(disk->store, &key, 1, &value, &error);
    }
    assert_int_equal(status, STATUS_CORRUPT);
    assert_non_null(strstr(error.message, "corrupt"));
}

/* A crash between RocksDB's taking a file over and its forgetting our name of it. */
static void a_slice_left_by_a_crash_is_not_written_into(void **state)
{
    struct store_disk *disk = *state;
    struct random random = {7};
    struct store_history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    store_disk_open(disk, 0);
    store_write_some(disk->store, &random, history);
    store_disk_close(disk);
    DIR *folder = opendir(disk->directory);
    assert_non_null(folder);
    char path[4096];
    char slice[4096];
    off_t largest = 0; /* The one of the write; the other one has the format only. */
    (void)snprintf(slice, sizeof(slice), "%s/slice.tmp", disk->directory);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        struct stat info;
        (void)snprintf(path, sizeof(path), "%s/%s", disk->directory, entry->d_name);
        assert_int_equal(stat(path, &info), 0);
        if (strstr(entry->d_name, ".sst") && info.st_size > largest) {
            largest = info.st_size;
            (void)unlink(slice);
            assert_int_equal(link(path, slice), 0);
        }
    }
    (void)closedir(folder);
    assert_true(largest > 0);
    store_disk_open(disk, 0);
    store_write_some(disk->store, &random, history);
    store_disk_close(disk);
    store_disk_open(disk, 0);
    store_check_content(disk->store, history->values[history->writes]);
    free(history);
}

static void a_folder_that_cannot_be_made_is_refused(void **state)
{
    struct store_disk *disk = *state;
    struct state_store *store = NULL;
    struct error error;
    assert_int_equal(
        state_store_rocksdb_open("/proc/no/such/place", disk->budget, 0, &store, &error),
        STATUS_FATAL);
    assert_non_null(strstr(error.message, "/proc/no/such/place"));
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, store_disk_setup, store_disk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_disk(a_store_of_a_newer_version_is_refused),
        on_disk(foreign_data_is_refused),
        on_disk(a_broken_manifest_is_refused),
        on_disk(a_broken_store_in_a_folder_called_clock_is_not_said_to_be_locked),
        on_disk(a_missing_file_is_refused),
        on_disk(a_store_without_its_entry_is_refused_and_left_as_it_is),
        on_disk(a_store_that_was_never_quite_made_is_made_anew),
        on_disk(a_broken_block_is_an_error_when_it_is_read),
        on_disk(a_slice_left_by_a_crash_is_not_written_into),
        on_disk(a_folder_that_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
