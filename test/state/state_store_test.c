/* Both stores against a sorted array, and what only the one on disk has to refuse. */
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
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/rocksdb_options.h"
#include "pipeline/state/state_store.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"
#include "test/fakes/raw_rocksdb.h"

#define KEYS 300u
#define WRITES_MAX 400u

static void must(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        print_error("%s\n", error->message);
    }
    assert_int_equal(status, STATUS_OK);
}

/* A folder, a budget and a store in it. */
struct disk {
    char *directory;
    struct rocksdb_budget *budget;
    struct state_store *store;
};

static void disk_open(struct disk *disk, int64_t retention_ms)
{
    struct error error;
    must(
        state_store_rocksdb_open(disk->directory, disk->budget, retention_ms, &disk->store, &error),
        &error);
}

static void disk_close(struct disk *disk)
{
    if (disk->store) {
        disk->store->ops->close(disk->store);
    }
    disk->store = NULL;
}

static int setup(void **state)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    struct error error;
    disk->directory = fixture_directory();
    must(rocksdb_budget_create(8u << 20, 1u << 16, &disk->budget, &error), &error);
    *state = disk;
    return 0;
}

static int teardown(void **state)
{
    struct disk *disk = *state;
    disk_close(disk);
    rocksdb_budget_destroy(disk->budget);
    fixture_remove(disk->directory);
    free(disk->directory);
    free(disk);
    return 0;
}

static struct store_key key_of(uint32_t i)
{
    return store_key_of_record((struct record_key){{i * UINT64_C(77777777777777), i}, 0});
}

/* What key i holds after each write: the number of that write, or 0. */
struct history {
    uint32_t values[WRITES_MAX + 1][KEYS];
    uint64_t positions[WRITES_MAX + 1];
    uint32_t writes;
};

static void check_content(struct state_store *store, const uint32_t values[KEYS])
{
    struct error error;
    struct store_key keys[KEYS + 1];
    struct store_value found[KEYS + 1];
    for (uint32_t i = 0; i <= KEYS; i++) {
        keys[i] = key_of(KEYS - i); /* The first one was never written. */
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

static void write_some(struct state_store *store, struct random *random, struct history *history)
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
            puts[count++] = (struct store_put){key_of(i), bytes, number % 50 ? 4 + number : 0};
        } else if (choice == 2) {
            values[i] = 0;
            puts[count++] = (struct store_put){key_of(i), NULL, 0};
        }
    }
    uint64_t position = history->positions[number - 1] + random_below(random, 3);
    history->positions[number] = position;
    must(store->ops->write(store, puts, count, position, &error), &error);
    assert_true(store->ops->position(store) == position);
    assert_true(store->ops->durable_position(store) <= position);
}

/* Which write the store stands at: the position says, or the content where positions repeat. */
static void check_is_prefix(struct state_store *store, const struct history *history,
                            uint64_t durable_before)
{
    uint64_t position = store->ops->position(store);
    assert_true(position >= durable_before);
    uint32_t matches = 0;
    for (uint32_t write = 0; write <= history->writes && matches == 0; write++) {
        if (history->positions[write] != position) {
            continue;
        }
        bool is_same = true;
        for (uint32_t i = 0; i < KEYS && is_same; i++) {
            struct error error;
            struct store_value value;
            struct store_key one = key_of(i);
            must(store->ops->get_many(store, &one, 1, &value, &error), &error);
            uint32_t expected = history->values[write][i];
            is_same = (value.bytes != NULL) == (expected != 0) &&
                      (!value.bytes || value.length == (expected % 50 ? 4 + expected : 0));
        }
        matches += is_same;
    }
    assert_int_equal(matches, 1);
}

static void run_history(struct state_store *store, uint64_t seed, struct history *history)
{
    struct random random = {seed};
    *history = (struct history){.writes = 0};
    for (uint32_t i = 0; i < WRITES_MAX; i++) {
        write_some(store, &random, history);
        if (i % 20 == 0) {
            check_content(store, history->values[history->writes]);
            check_scan(store, history->values[history->writes]);
        }
        if (random_below(&random, 60) == 0) {
            struct error error;
            must(store->ops->flush(store, &error), &error);
            assert_true(store->ops->durable_position(store) == store->ops->position(store));
        }
    }
}

static void memory_store_is_a_sorted_map_that_crashes_to_a_prefix(void **state)
{
    (void)state;
    struct history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    bool has_lost = false;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct state_store *store;
        struct error error;
        must(state_store_memory_open(&store, &error), &error);
        run_history(store, seed, history);
        uint64_t durable = store->ops->durable_position(store);
        uint64_t newest = store->ops->position(store);
        state_store_memory_crash(store, seed);
        has_lost = has_lost || store->ops->position(store) < newest;
        check_is_prefix(store, history, durable);
        assert_true(store->ops->durable_position(store) == store->ops->position(store));
        store->ops->close(store);
    }
    assert_true(has_lost);
    free(history);
}

static void rocksdb_store_is_a_sorted_map_that_is_there_again_when_opened(void **state)
{
    struct disk *disk = *state;
    struct history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    disk_open(disk, 0);
    run_history(disk->store, 4, history);
    uint64_t durable = disk->store->ops->durable_position(disk->store);
    assert_true(durable > 0);
    disk_close(disk);
    disk_open(disk, 0);
    check_is_prefix(disk->store, history, durable);
    free(history);
}

/* This program again, as another process: what `role` does to the folder; see main(). */
struct helper {
    pid_t process;
    int to, from; /* Its standard input and output. */
};

static struct helper start_helper(const char *role, const char *directory)
{
    int to[2];
    int from[2];
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    pid_t process = fork();
    if (process == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        (void)close(to[1]);
        (void)close(from[0]);
        (void)execl("/proc/self/exe", "state_store_test", role, directory, (char *)NULL);
        _exit(1);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    return (struct helper){process, to[1], from[0]};
}

static void end_helper(struct helper *helper)
{
    (void)close(helper->to);
    (void)close(helper->from);
    assert_int_equal(waitpid(helper->process, NULL, 0), helper->process);
}

/* The other process: opens the store, writes with seed 9 where told to, says how far it got, and
 * dies without closing once its input ends. */
static int help(bool is_writing, char *directory)
{
    struct disk disk = {.directory = directory};
    struct error error;
    struct history *history = calloc(1, sizeof(*history));
    must(rocksdb_budget_create(8u << 20, 1u << 16, &disk.budget, &error), &error);
    disk_open(&disk, 0);
    if (is_writing) {
        run_history(disk.store, 9, history);
    }
    uint64_t durable = disk.store->ops->durable_position(disk.store);
    char byte;
    (void)!write(STDOUT_FILENO, &durable, sizeof(durable));
    (void)!read(STDIN_FILENO, &byte, 1);
    _exit(0);
}

/* Killed without a word: what was said to be durable is there, and nothing but a prefix. */
static void rocksdb_store_keeps_what_was_durable_when_it_is_killed(void **state)
{
    struct disk *disk = *state;
    struct helper helper = start_helper("write", disk->directory);
    uint64_t durable = 0;
    assert_int_equal(read(helper.from, &durable, sizeof(durable)), sizeof(durable));
    assert_true(durable > 0);
    assert_int_equal(kill(helper.process, SIGKILL), 0);
    end_helper(&helper);
    /* The same writes once more, for what they should have left. */
    struct history *history = calloc(1, sizeof(*history));
    struct state_store *memory;
    struct error error;
    assert_non_null(history);
    must(state_store_memory_open(&memory, &error), &error);
    run_history(memory, 9, history);
    memory->ops->close(memory);
    disk_open(disk, 0);
    check_is_prefix(disk->store, history, durable);
    free(history);
}

static void assert_refused_as(const struct disk *disk, enum status why, const char *expected)
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

/* As it is. */
static void assert_refused(const struct disk *disk, const char *expected)
{
    assert_refused_as(disk, STATUS_FATAL, expected);
}

/* It is broken: whoever can make it anew may do so. */
static void assert_found_corrupt(const struct disk *disk, const char *expected)
{
    assert_refused_as(disk, STATUS_CORRUPT, expected);
}

static void a_store_that_is_open_elsewhere_is_refused(void **state)
{
    struct disk *disk = *state;
    struct helper helper = start_helper("hold", disk->directory);
    uint64_t durable;
    assert_int_equal(read(helper.from, &durable, sizeof(durable)), sizeof(durable));
    assert_refused(disk, "locked: another process has it open");
    end_helper(&helper);
    disk_open(disk, 0);
    assert_refused(disk, "locked");
}

static void a_store_of_a_newer_version_is_refused(void **state)
{
    struct disk *disk = *state;
    disk_open(disk, 0);
    disk_close(disk);
    const uint32_t newer = 2;
    raw_rocksdb_put(disk->directory, "mformat", &newer, sizeof(newer));
    assert_refused(disk, "its format is 2 and this version reads 1: it was written by a newer");
}

static void foreign_data_is_refused(void **state)
{
    struct disk *disk = *state;
    const uint64_t position = 5;
    raw_rocksdb_put(disk->directory, "mposition", &position, sizeof(position));
    assert_refused(disk, "its format is 0");
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

static void fill(struct disk *disk)
{
    struct history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    struct error error;
    disk_open(disk, 0);
    run_history(disk->store, 1, history);
    must(disk->store->ops->flush(disk->store, &error), &error);
    disk_close(disk);
    free(history);
}

static void a_broken_manifest_is_refused(void **state)
{
    struct disk *disk = *state;
    fill(disk);
    damage(disk->directory, "MANIFEST", false);
    assert_found_corrupt(disk, "corrupt");
}

/* Whatever RocksDB says of a file names the folder, too. */
static void a_broken_store_in_a_folder_called_clock_is_not_said_to_be_locked(void **state)
{
    struct disk *disk = *state;
    struct disk clock = {.budget = disk->budget};
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
    struct disk *disk = *state;
    fill(disk);
    damage(disk->directory, ".sst", true);
    assert_found_corrupt(disk, "corrupt");
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
    struct disk *disk = *state;
    fill(disk);
    damage(disk->directory, "CURRENT", true);
    assert_found_corrupt(disk, "CURRENT");
    assert_false(is_there(disk->directory, "CURRENT"));
}

/* Killed while it made its first files: there was nothing in it. */
static void a_store_that_was_never_quite_made_is_made_anew(void **state)
{
    struct disk *disk = *state;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/MANIFEST-000001", disk->directory);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    disk_open(disk, 0);
}

/* Damage in a data block is met when the block is read. */
static void a_broken_block_is_an_error_when_it_is_read(void **state)
{
    struct disk *disk = *state;
    fill(disk);
    damage(disk->directory, ".sst", false);
    struct error error;
    enum status status =
        state_store_rocksdb_open(disk->directory, disk->budget, 0, &disk->store, &error);
    for (uint32_t i = 0; i < KEYS && status == STATUS_OK; i++) {
        struct store_key key = key_of(i);
        struct store_value value;
        status = disk->store->ops->get_many(disk->store, &key, 1, &value, &error);
    }
    assert_int_equal(status, STATUS_CORRUPT);
    assert_non_null(strstr(error.message, "corrupt"));
}

static void must_write_keys(struct disk *disk, uint32_t from, uint32_t count, uint64_t position)
{
    struct error error;
    struct store_put *puts = calloc(count, sizeof(*puts));
    assert_non_null(puts);
    for (uint32_t i = 0; i < count; i++) {
        puts[i] = (struct store_put){.key = key_of(from + i), .bytes = "v", .length = 1};
    }
    must(disk->store->ops->write(disk->store, puts, count, position, &error), &error);
    free(puts);
}

/* The filter of new keys learns those of an opened store over several writes. */
static void a_store_opened_again_finds_every_key_while_its_filter_fills(void **state)
{
    enum { OLD_KEYS = 100000, SAMPLES = 3000 };
    struct disk *disk = *state;
    struct error error;
    struct random random = {11};
    disk_open(disk, 0);
    must_write_keys(disk, 0, OLD_KEYS, 1);
    disk_close(disk);
    disk_open(disk, 0);
    for (uint32_t write = 0; write < 6; write++) {
        must_write_keys(disk, OLD_KEYS + 10 * write, 10, 2 + write);
        uint32_t there = OLD_KEYS + 10 * (write + 1);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            uint32_t number = random_below(&random, 2 * OLD_KEYS);
            struct store_key key = key_of(number);
            struct store_value value;
            must(disk->store->ops->get_many(disk->store, &key, 1, &value, &error), &error);
            assert_int_equal(value.bytes != NULL, number < there);
        }
    }
}

/* A crash between RocksDB's taking a file over and its forgetting our name of it. */
static void a_slice_left_by_a_crash_is_not_written_into(void **state)
{
    struct disk *disk = *state;
    struct random random = {7};
    struct history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    disk_open(disk, 0);
    write_some(disk->store, &random, history);
    disk_close(disk);
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
    disk_open(disk, 0);
    write_some(disk->store, &random, history);
    disk_close(disk);
    disk_open(disk, 0);
    check_content(disk->store, history->values[history->writes]);
    free(history);
}

static void a_folder_that_cannot_be_made_is_refused(void **state)
{
    struct disk *disk = *state;
    struct state_store *store = NULL;
    struct error error;
    assert_int_equal(
        state_store_rocksdb_open("/proc/no/such/place", disk->budget, 0, &store, &error),
        STATUS_FATAL);
    assert_non_null(strstr(error.message, "/proc/no/such/place"));
}

/* Writes a record with that last event and timer mask, and a timer entry at the same time. */
static void write_aged(struct disk *disk, uint32_t i, int64_t last_event_ms, unsigned char timers)
{
    unsigned char bytes[25] = {1};
    struct error error;
    memcpy(bytes + RECORD_LAST_EVENT_AT, &last_event_ms, 8);
    bytes[RECORD_TIMER_MASK_AT] = timers;
    struct record_key key = {{i, i}, ENTITY_USER};
    const struct store_put puts[] = {
        {store_key_of_record(key), bytes, sizeof(bytes)},
        {store_key_of_timer(last_event_ms, key), bytes, 0},
    };
    must(disk->store->ops->write(disk->store, puts, 2, i + 1, &error), &error);
}

static bool has(struct disk *disk, struct store_key key)
{
    struct error error;
    struct store_value value;
    must(disk->store->ops->get_many(disk->store, &key, 1, &value, &error), &error);
    return value.bytes != NULL;
}

static void compaction_drops_records_past_their_retention(void **state)
{
    static const struct {
        const char *name;
        int64_t last_event_ms;
        unsigned char timers;
        bool is_kept, is_timer_kept;
    } rows[] = {
        {"long ago", 100, 0, false, false},
        {"just long enough ago", 899, 0, false, false},
        {"at the edge", 900, 0, true, true},
        {"recent", 5000, 0, true, true},
        {"long ago with a timer", 100, 2, true, false},
        {"no event yet", INT64_MIN, 0, true, false},
        {"end of time", INT64_MAX, 0, true, true},
    };
    struct disk *disk = *state;
    struct error error;
    disk_open(disk, 100);
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_aged(disk, i, rows[i].last_event_ms, rows[i].timers);
    }
    must(disk->store->ops->flush(disk->store, &error), &error);
    state_store_rocksdb_watermark(disk->store, 1000);
    state_store_rocksdb_watermark(disk->store, INT64_MAX); /* A drain forgets nobody. */
    must(state_store_rocksdb_compact(disk->store, &error), &error);
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].name);
        struct record_key key = {{i, i}, ENTITY_USER};
        assert_int_equal(has(disk, store_key_of_record(key)), rows[i].is_kept);
        assert_int_equal(has(disk, store_key_of_timer(rows[i].last_event_ms, key)),
                         rows[i].is_timer_kept);
    }
    disk_close(disk);
    disk_open(disk, 100);
    assert_true(disk->store->ops->position(disk->store) == sizeof(rows) / sizeof(rows[0]));
}

static void timer_keys_are_in_order_of_time(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, -5, -1, 0, 1, 256, INT64_MAX};
    struct store_key previous = {.length = 0};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct record_key key = {{UINT64_MAX - i, 3}, ENTITY_CARD};
        struct store_key made = store_key_of_timer(times[i], key);
        assert_true(i == 0 || memcmp(previous.bytes, made.bytes, made.length) < 0);
        int64_t time_ms;
        struct record_key back;
        assert_true(store_key_read_timer(&made, &time_ms, &back));
        assert_true(time_ms == times[i] && back.id.high == key.id.high && back.id.low == 3);
        assert_int_equal(back.kind, ENTITY_CARD);
        previous = made;
    }
    struct store_key record = store_key_of_record((struct record_key){{1, 2}, 0});
    int64_t time_ms;
    struct record_key back;
    assert_false(store_key_read_timer(&record, &time_ms, &back));
    previous.bytes[9] = ENTITY_KIND_COUNT;
    assert_false(store_key_read_timer(&previous, &time_ms, &back));
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    if (argc == 3) {
        return help(strcmp(argv[1], "write") == 0, argv[2]);
    }
    const struct CMUnitTest tests[] = {
        on_disk(a_store_that_is_open_elsewhere_is_refused),
        on_disk(rocksdb_store_keeps_what_was_durable_when_it_is_killed),
        on_disk(a_store_opened_again_finds_every_key_while_its_filter_fills),
        cmocka_unit_test(memory_store_is_a_sorted_map_that_crashes_to_a_prefix),
        cmocka_unit_test(timer_keys_are_in_order_of_time),
        on_disk(rocksdb_store_is_a_sorted_map_that_is_there_again_when_opened),
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
        on_disk(compaction_drops_records_past_their_retention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
