/* Both stores against a sorted array: what they hold, and what is there after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/state/record_cache.h"
#include "test/fakes/must.h"
#include "test/fakes/store_history.h"

/* Which write the store stands at: the position says, or the content where positions repeat. */
static void check_is_prefix(struct state_store *store, const struct store_history *history,
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
            struct store_key one = store_test_key(i);
            must(store->ops->get_many(store, &one, 1, &value, &error), &error);
            uint32_t expected = history->values[write][i];
            is_same = (value.bytes != NULL) == (expected != 0) &&
                      (!value.bytes || value.length == (expected % 50 ? 4 + expected : 0));
        }
        matches += is_same;
    }
    assert_int_equal(matches, 1);
}

static void memory_store_is_a_sorted_map_that_crashes_to_a_prefix(void **state)
{
    (void)state;
    struct store_history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    bool has_lost = false;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct state_store *store;
        struct error error;
        must(state_store_memory_open(&store, &error), &error);
        store_run_history(store, seed, history);
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
    struct store_disk *disk = *state;
    struct store_history *history = calloc(1, sizeof(*history));
    assert_non_null(history);
    store_disk_open(disk, 0);
    store_run_history(disk->store, 4, history);
    uint64_t durable = disk->store->ops->durable_position(disk->store);
    assert_true(durable > 0);
    store_disk_close(disk);
    store_disk_open(disk, 0);
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
    struct store_disk disk = {.directory = directory};
    struct error error;
    struct store_history *history = calloc(1, sizeof(*history));
    must(rocksdb_budget_create(8u << 20, 1u << 16, &disk.budget, &error), &error);
    store_disk_open(&disk, 0);
    if (is_writing) {
        store_run_history(disk.store, 9, history);
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
    struct store_disk *disk = *state;
    struct helper helper = start_helper("write", disk->directory);
    uint64_t durable = 0;
    assert_int_equal(read(helper.from, &durable, sizeof(durable)), sizeof(durable));
    assert_true(durable > 0);
    assert_int_equal(kill(helper.process, SIGKILL), 0);
    end_helper(&helper);
    /* The same writes once more, for what they should have left. */
    struct store_history *history = calloc(1, sizeof(*history));
    struct state_store *memory;
    struct error error;
    assert_non_null(history);
    must(state_store_memory_open(&memory, &error), &error);
    store_run_history(memory, 9, history);
    memory->ops->close(memory);
    store_disk_open(disk, 0);
    check_is_prefix(disk->store, history, durable);
    free(history);
}

static void a_store_that_is_open_elsewhere_is_refused(void **state)
{
    struct store_disk *disk = *state;
    struct helper helper = start_helper("hold", disk->directory);
    uint64_t durable;
    assert_int_equal(read(helper.from, &durable, sizeof(durable)), sizeof(durable));
    store_assert_refused(disk, STATUS_FATAL, "locked: another process has it open");
    end_helper(&helper);
    store_disk_open(disk, 0);
    store_assert_refused(disk, STATUS_FATAL, "locked");
}

static void must_write_keys(struct store_disk *disk, uint32_t from, uint32_t count,
                            uint64_t position)
{
    struct error error;
    struct store_put *puts = calloc(count, sizeof(*puts));
    assert_non_null(puts);
    for (uint32_t i = 0; i < count; i++) {
        puts[i] = (struct store_put){.key = store_test_key(from + i), .bytes = "v", .length = 1};
    }
    must(disk->store->ops->write(disk->store, puts, count, position, &error), &error);
    free(puts);
}

/* The filter of new keys learns those of an opened store over several writes. */
static void a_store_opened_again_finds_every_key_while_its_filter_fills(void **state)
{
    enum { OLD_KEYS = 100000, SAMPLES = 3000 };
    struct store_disk *disk = *state;
    struct error error;
    struct random random = {11};
    store_disk_open(disk, 0);
    must_write_keys(disk, 0, OLD_KEYS, 1);
    store_disk_close(disk);
    store_disk_open(disk, 0);
    for (uint32_t write = 0; write < 6; write++) {
        must_write_keys(disk, OLD_KEYS + 10 * write, 10, 2 + write);
        uint32_t there = OLD_KEYS + 10 * (write + 1);
        for (uint32_t i = 0; i < SAMPLES; i++) {
            uint32_t number = random_below(&random, 2 * OLD_KEYS);
            struct store_key key = store_test_key(number);
            struct store_value value;
            must(disk->store->ops->get_many(disk->store, &key, 1, &value, &error), &error);
            assert_int_equal(value.bytes != NULL, number < there);
        }
    }
}

/* Writes a record with that last event and timer mask, and a timer entry at the same time. */
static void write_aged(struct store_disk *disk, uint32_t i, int64_t last_event_ms,
                       unsigned char timers)
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

static bool has(struct store_disk *disk, struct store_key key)
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
    struct store_disk *disk = *state;
    struct error error;
    store_disk_open(disk, 100);
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
    store_disk_close(disk);
    store_disk_open(disk, 100);
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

#define on_disk(test) cmocka_unit_test_setup_teardown(test, store_disk_setup, store_disk_teardown)

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
        on_disk(compaction_drops_records_past_their_retention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
