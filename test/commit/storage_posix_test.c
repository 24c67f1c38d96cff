#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pipeline/commit/storage.h"
#include "test/fakes/fixture.h"

struct place {
    char *folder;
    char path[4200];
    struct storage *storage;
    const struct storage_ops *ops;
};

static int set_up(void **state)
{
    static struct place place;
    place = (struct place){.folder = fixture_directory(), .storage = storage_posix()};
    place.ops = place.storage->ops;
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    fixture_remove(place->folder);
    free(place->folder);
    return 0;
}

static const char *path_of(struct place *place, const char *name)
{
    (void)snprintf(place->path, sizeof(place->path), "%s/%s", place->folder, name);
    return place->path;
}

static struct storage_file *must_open(struct place *place, const char *name)
{
    struct storage_file *file = NULL;
    struct error error = {""};
    if (place->ops->open(place->storage, path_of(place, name), &file, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return file;
}

static void writes_and_reads_back(void **state)
{
    struct place *place = *state;
    struct storage_file *file = must_open(place, "a/b//c/file");
    struct error error = {""};
    assert_int_equal(place->ops->write_at(file, 3, "hello", 5, &error), STATUS_OK);
    assert_int_equal(place->ops->sync(file, &error), STATUS_OK);
    uint64_t bytes = 0;
    assert_int_equal(place->ops->size(file, &bytes, &error), STATUS_OK);
    assert_int_equal(bytes, 8);
    assert_int_equal(place->ops->truncate(file, 6, &error), STATUS_OK);
    char text[16] = "";
    uint64_t got = 0;
    assert_int_equal(place->ops->read_at(file, 0, text, sizeof(text), &got, &error), STATUS_OK);
    assert_int_equal(got, 6);
    assert_memory_equal(text, "\0\0\0hel", 6);
    assert_int_equal(place->ops->read_at(file, 100, text, sizeof(text), &got, &error), STATUS_OK);
    assert_int_equal(got, 0);
    place->ops->close(file);
    place->ops->close(NULL);
    assert_int_equal(place->ops->sync_directory(place->storage, path_of(place, "a/b/c"), &error),
                     STATUS_OK);
}

static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Large writes go past the page cache but for their ends: no order of them may be seen. */
static void large_and_small_writes_at_any_place_read_back_as_written(void **state)
{
    enum { FILE_BYTES = 6 << 20, WRITES = 60 };
    struct place *place = *state;
    struct error error = {""};
    struct storage_file *file = must_open(place, "large");
    unsigned char *expected = calloc(2, FILE_BYTES);
    assert_non_null(expected);
    unsigned char *got_bytes = expected + FILE_BYTES;
    uint64_t size = 0;
    uint64_t random = 88172645463325252U;
    for (int i = 0; i < WRITES; i++) {
        uint64_t length = 1 + next_random(&random) % (i % 3 == 0 ? 9000 : 3 << 20);
        uint64_t offset = next_random(&random) % (FILE_BYTES - length);
        offset -= i % 4 == 1 ? offset % 4096 : 0;
        for (uint64_t at = offset; at < offset + length; at++) {
            expected[at] = (unsigned char)(next_random(&random) >> 32);
        }
        assert_int_equal(place->ops->write_at(file, offset, expected + offset, length, &error),
                         STATUS_OK);
        size = offset + length > size ? offset + length : size;
        if (i % 7 == 3) {
            size -= next_random(&random) % (size / 2);
            assert_int_equal(place->ops->truncate(file, size, &error), STATUS_OK);
            memset(expected + size, 0, FILE_BYTES - size);
        }
        uint64_t got = 0;
        assert_int_equal(place->ops->read_at(file, 0, got_bytes, FILE_BYTES, &got, &error),
                         STATUS_OK);
        assert_int_equal(got, size);
        assert_memory_equal(got_bytes, expected, size);
    }
    assert_int_equal(place->ops->sync(file, &error), STATUS_OK);
    place->ops->close(file);
    free(expected);
}

static void count_name(void *context, const char *name)
{
    int *counts = context;
    counts[strcmp(name, "one") == 0 ? 0 : strcmp(name, "two") == 0 ? 1 : 2]++;
}

static void lists_and_removes_names(void **state)
{
    struct place *place = *state;
    struct error error = {""};
    place->ops->close(must_open(place, "d/one"));
    place->ops->close(must_open(place, "d/two"));
    int counts[3] = {0};
    const struct storage_ops *ops = place->ops;
    assert_int_equal(ops->list(place->storage, path_of(place, "d"), count_name, counts, &error),
                     STATUS_OK);
    assert_true(counts[0] == 1 && counts[1] == 1 && counts[2] == 0);
    assert_int_equal(ops->remove(place->storage, path_of(place, "d/one"), &error), STATUS_OK);
    assert_int_equal(ops->remove(place->storage, path_of(place, "d/one"), &error), STATUS_OK);
    assert_int_equal(ops->list(place->storage, path_of(place, "d"), count_name, counts, &error),
                     STATUS_OK);
    assert_true(counts[0] == 1 && counts[1] == 2);
    assert_int_equal(ops->list(place->storage, path_of(place, "no"), count_name, counts, &error),
                     STATUS_OK);
    assert_int_equal(counts[2], 0);
}

static void names_path_and_cause_when_a_call_fails(void **state)
{
    struct place *place = *state;
    struct error error = {""};
    struct storage_file *file = NULL;
    place->ops->close(must_open(place, "file"));
    assert_int_equal(place->ops->open(place->storage, path_of(place, "file/below"), &file, &error),
                     STATUS_FATAL);
    assert_non_null(strstr(error.message, "/file/below: cannot be opened: Not a directory"));
    assert_int_equal(
        place->ops->open(place->storage, path_of(place, "file/no/where"), &file, &error),
        STATUS_FATAL);
    assert_non_null(strstr(error.message, "Not a directory"));
    assert_int_equal(place->ops->open(place->storage, place->folder, &file, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "Is a directory"));
    assert_int_equal(place->ops->sync_directory(place->storage, path_of(place, "none"), &error),
                     STATUS_FATAL);
    assert_non_null(strstr(error.message, "/none: cannot be opened: No such file"));
    int counts[3] = {0};
    assert_int_equal(
        place->ops->list(place->storage, path_of(place, "file"), count_name, counts, &error),
        STATUS_FATAL);
    assert_non_null(strstr(error.message, "/file: cannot be listed: Not a directory"));
    char *name = malloc(5000);
    assert_non_null(name);
    memset(name, 'n', 4999);
    name[4999] = '\0';
    assert_int_equal(place->ops->open(place->storage, name, &file, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "nnn"));
    free(name);
}

static void reports_a_full_disk(void **state)
{
    struct place *place = *state;
    struct error error = {""};
    struct storage_file *file = NULL;
    if (access("/dev/full", W_OK) != 0) {
        print_message("skipped: no /dev/full here\n");
        return;
    }
    assert_int_equal(place->ops->open(place->storage, "/dev/full", &file, &error), STATUS_OK);
    assert_int_equal(place->ops->write_at(file, 0, "x", 1, &error), STATUS_FATAL);
    assert_string_equal(error.message, "/dev/full: cannot be written: No space left on device");
    place->ops->close(file);
}

static void locks_a_file_against_others_until_closed(void **state)
{
    struct place *place = *state;
    struct error error = {""};
    struct storage_file *lock = NULL;
    struct storage_file *second = NULL;
    const char *path = path_of(place, "x/lock");
    assert_int_equal(place->ops->lock(place->storage, path, &lock, &error), STATUS_OK);
    assert_int_equal(place->ops->lock(place->storage, path, &second, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "x/lock: locked: another process is using it"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(place->ops->lock(place->storage, path, &second, NULL) == STATUS_FATAL ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    place->ops->close(lock);
    assert_int_equal(place->ops->lock(place->storage, path, &second, &error), STATUS_OK);
    place->ops->close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_and_reads_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_and_small_writes_at_any_place_read_back_as_written,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_and_removes_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_path_and_cause_when_a_call_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reports_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locks_a_file_against_others_until_closed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
