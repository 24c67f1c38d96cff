/*
 * Whatever becomes of the files of a store: it is what it was after some write, or it is said to be
 * corrupt. Never other values, never another failure, so that who can make it anew knows when to.
 */
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

#include "pipeline/state/record_cache.h"
#include "pipeline/state/rocksdb_options.h"
#include "pipeline/state/state_store.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define KEYS 400u
#define WRITES 24u
#define VALUE_BYTES 64u
#define FILES_MAX 64
#define PATH_BYTES 4096
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 2u
#else
#define ROUNDS 3u
#endif

enum damage { FLIPPED, ZEROED, CUT, EMPTIED, REMOVED, DAMAGES };

static const char *const damage_names[DAMAGES] = {"flipped", "zeroed", "cut", "emptied", "removed"};

/* A folder with a store in it, copied for each trial. */
struct shelf {
    char *original;
    char *copy;
    struct rocksdb_budget *budget;
    char files[FILES_MAX][64];
    uint32_t file_count;
};

static void must(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        print_error("%s\n", error->message);
    }
    assert_int_equal(status, STATUS_OK);
}

/* Write n, the first is 1, sets every key of which the number divided by n leaves 0. */
static uint32_t value_after(uint32_t writes, uint32_t key)
{
    for (uint32_t write = writes; write > 0; write--) {
        if (key % write == 0) {
            return write;
        }
    }
    return 0;
}

static struct store_key key_of(uint32_t i)
{
    return store_key_of_record((struct record_key){{i * UINT64_C(77777777777777), i}, 0});
}

static void write_one(struct state_store *store, uint32_t write)
{
    struct store_put puts[KEYS];
    unsigned char value[VALUE_BYTES];
    uint32_t count = 0;
    struct error error;
    memset(value, (int)write, sizeof(value));
    for (uint32_t key = 0; key < KEYS; key += write) {
        puts[count++] = (struct store_put){key_of(key), value, sizeof(value)};
    }
    must(store->ops->write(store, puts, count, write, &error), &error);
}

static void list_files(struct shelf *shelf)
{
    DIR *folder = opendir(shelf->original);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "LOCK") != 0) {
            assert_true(shelf->file_count < FILES_MAX);
            (void)snprintf(shelf->files[shelf->file_count++], sizeof(shelf->files[0]), "%.63s",
                           entry->d_name);
        }
    }
    (void)closedir(folder);
    assert_true(shelf->file_count > 8);
}

static int setup(void **state)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));
    struct state_store *store;
    struct error error;
    assert_non_null(shelf);
    shelf->original = fixture_directory();
    must(rocksdb_budget_create(8u << 20, 1u << 16, &shelf->budget, &error), &error);
    for (uint32_t write = 1; write <= WRITES; write++) {
        if (write % 8 == 1) { /* A manifest has the files of one opening more than the last. */
            must(state_store_rocksdb_open(shelf->original, shelf->budget, 0, &store, &error),
                 &error);
        }
        write_one(store, write);
        if (write % 8 == 0) {
            store->ops->close(store);
        }
    }
    list_files(shelf);
    *state = shelf;
    return 0;
}

static int teardown(void **state)
{
    struct shelf *shelf = *state;
    rocksdb_budget_destroy(shelf->budget);
    fixture_remove(shelf->original);
    free(shelf->original);
    free(shelf);
    return 0;
}

static unsigned char *read_file(const char *path, size_t *ret_bytes)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(stat(path, &info), 0);
    size_t bytes = (size_t)info.st_size;
    unsigned char *content = malloc(bytes + 1);
    assert_non_null(content);
    assert_int_equal(fread(content, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    *ret_bytes = bytes;
    return content;
}

static size_t spoil(struct random *random, enum damage damage, unsigned char *content, size_t bytes)
{
    size_t at = bytes > 0 ? random_below(random, (uint32_t)bytes) : 0;
    for (size_t i = at; damage == ZEROED && i < bytes && i < at + 512; i++) {
        content[i] = 0;
    }
    if (damage == FLIPPED && bytes > 0) {
        content[at] ^= (unsigned char)(1u << random_below(random, 8));
    }
    return damage == CUT ? at : damage == EMPTIED ? 0 : bytes;
}

/* A copy of the store, whose file `number` is damaged. */
static void make_copy(struct shelf *shelf, struct random *random, uint32_t number,
                      enum damage damage)
{
    shelf->copy = fixture_directory();
    for (uint32_t i = 0; i < shelf->file_count; i++) {
        char path[PATH_BYTES];
        size_t bytes;
        (void)snprintf(path, sizeof(path), "%s/%s", shelf->original, shelf->files[i]);
        unsigned char *content = read_file(path, &bytes);
        if (i == number) {
            bytes = spoil(random, damage, content, bytes);
        }
        if (i != number || damage != REMOVED) {
            (void)snprintf(path, sizeof(path), "%s/%s", shelf->copy, shelf->files[i]);
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            assert_int_equal(fwrite(content, 1, bytes, file), bytes);
            assert_int_equal(fclose(file), 0);
        }
        free(content);
    }
}

static bool count_key(void *context, const struct store_key *key, struct store_value value)
{
    (void)key;
    (void)value;
    (*(uint32_t *)context)++;
    return true;
}

/* Reads all of it, and writes; STATUS_OK: it is what it was after some write. */
static enum status use(struct state_store *store, struct error *error)
{
    uint32_t writes = (uint32_t)store->ops->position(store);
    struct store_key keys[KEYS];
    struct store_value values[KEYS];
    const struct store_key from = {.bytes = {'r'}, .length = 1};
    const struct store_key to = {.bytes = {'s'}, .length = 1};
    uint32_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = key_of(i);
    }
    enum status status = store->ops->get_many(store, keys, KEYS, values, error);
    assert_true(writes <= WRITES);
    for (uint32_t i = 0; i < KEYS && status == STATUS_OK; i++) {
        uint32_t expected = value_after(writes, i);
        assert_int_equal(values[i].bytes != NULL, expected != 0);
        for (uint32_t byte = 0; expected != 0 && byte < VALUE_BYTES; byte++) {
            assert_int_equal(((const unsigned char *)values[i].bytes)[byte], expected);
        }
    }
    if (status == STATUS_OK) {
        status = store->ops->scan(store, &from, &to, count_key, &count, error);
        assert_true(status != STATUS_OK || count == (writes > 0 ? KEYS : 0));
    }
    struct store_put put = {key_of(0), "x", 1};
    for (uint32_t i = 0; i < 12 && status == STATUS_OK; i++) {
        status = store->ops->write(store, &put, 1, WRITES + 1 + i, error);
    }
    return status;
}

static void a_damaged_store_is_as_it_was_or_corrupt(void **state)
{
    struct shelf *shelf = *state;
    struct random random = {5};
    uint32_t corrupt = 0;
    uint32_t whole = 0;
    for (uint32_t trial = 0; trial < ROUNDS * DAMAGES * shelf->file_count; trial++) {
        enum damage damage = (enum damage)(trial % DAMAGES);
        uint32_t number = trial / DAMAGES % shelf->file_count;
        struct state_store *store = NULL;
        struct error error = {""};
        make_copy(shelf, &random, number, damage);
        enum status status =
            state_store_rocksdb_open(shelf->copy, shelf->budget, 0, &store, &error);
        if (status == STATUS_OK) {
            status = use(store, &error);
            store->ops->close(store);
        }
        if (status != STATUS_OK && status != STATUS_CORRUPT) {
            print_error("%s, %s: %s\n", shelf->files[number], damage_names[damage], error.message);
            fail();
        }
        corrupt += status == STATUS_CORRUPT;
        whole += status == STATUS_OK;
        fixture_remove(shelf->copy);
        free(shelf->copy);
    }
    printf("%u corrupt, %u as they were\n", corrupt, whole);
    assert_true(corrupt > 0 && whole > 0);
}

/* Turns a bit in the middle of the store's largest file, in place. */
static void turn_bit(const char *directory)
{
    char largest[PATH_BYTES] = "";
    off_t bytes = 0;
    DIR *folder = opendir(directory);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        char path[PATH_BYTES];
        struct stat info;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (strstr(path, ".sst") && stat(path, &info) == 0 && info.st_size > bytes) {
            bytes = info.st_size;
            memcpy(largest, path, sizeof(path));
        }
    }
    (void)closedir(folder);
    FILE *file = fopen(largest, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, bytes / 2, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, bytes / 2, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 4, file), byte ^ 4);
    assert_int_equal(fclose(file), 0);
}

/* It breaks while the store is open, in a block that nobody reads but compaction. */
static void a_store_that_compaction_finds_broken_is_corrupt(void **state)
{
    struct shelf *shelf = *state;
    struct random random = {6};
    struct state_store *store;
    struct error error = {""};
    struct store_put puts[KEYS];
    for (uint32_t i = 0; i < KEYS; i++) {
        puts[i] = (struct store_put){key_of(KEYS + i), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 31};
    }
    make_copy(shelf, &random, shelf->file_count, FLIPPED);
    must(state_store_rocksdb_open(shelf->copy, shelf->budget, 0, &store, &error), &error);
    must(store->ops->write(store, puts, 1, WRITES + 1, &error), &error);
    turn_bit(shelf->copy);
    enum status status = STATUS_OK;
    for (uint32_t i = 2; i < 100 && status == STATUS_OK; i++) {
        status = store->ops->write(store, puts, KEYS, WRITES + i, &error);
    }
    print_message("%s\n", error.message);
    assert_int_equal(status, STATUS_CORRUPT);
    store->ops->close(store);
    fixture_remove(shelf->copy);
    free(shelf->copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_damaged_store_is_as_it_was_or_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_compaction_finds_broken_is_corrupt, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
