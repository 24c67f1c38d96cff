/*
 * The cache against a plain model over random transactions. The central property: after a crash,
 * the log replayed from the store's position gives the model's state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/state/timer_index.h"
#include "test/fakes/cache_layout.h"
#include "test/fakes/failing_store.h"
#include "test/fakes/fixture.h"
#include "test/fakes/must.h"
#include "test/fakes/random.h"

#define KEYS_MAX 9000u
#define TAKE_MAX 70u

struct model_record {
    uint64_t word; /* Fills the record's part, every third word; 0: never committed. */
    int64_t index_ms;
};

struct log_entry {
    struct record_key key;
    unsigned char *bytes; /* Owned. */
    uint32_t length;
    uint64_t position;
};

struct world {
    struct record_layout layout;
    struct random random;
    bool is_rocksdb;
    char *directory;
    struct rocksdb_budget *budget;
    struct state_store *store;
    struct failing_store failing;
    struct record_cache *cache;
    struct timer_index *timers; /* Fed along the way; entries_max is tiny. */
    struct model_record committed[KEYS_MAX], working[KEYS_MAX];
    uint32_t keys;
    struct log_entry *log; /* Owned. */
    size_t log_count, log_capacity;
    uint64_t position;
    int64_t now_ms;
};

static struct record_key key_of(uint32_t i)
{
    uint8_t kind = i == 0 ? ENTITY_TASK : i % 3 == 0 ? ENTITY_ITEM : ENTITY_USER;
    return (struct record_key){{i * UINT64_C(0x9e3779b97f4a7c15), i}, kind};
}

static uint32_t index_of(struct record_key key)
{
    return (uint32_t)key.id.low;
}

static void open_store(struct world *world)
{
    struct error error;
    if (world->is_rocksdb) {
        must(state_store_rocksdb_open(world->directory, world->budget, 0, &world->store, &error),
             &error);
    } else if (!world->store) {
        must(state_store_memory_open(&world->store, &error), &error);
    }
    failing_store_init(&world->failing, world->store);
}

static void open_cache(struct world *world)
{
    struct error error;
    const struct record_cache_options options = {.bytes_max = 3u << 20, .slice_records = 100};
    must(
        record_cache_create(&world->layout, &world->failing.store, &options, &world->cache, &error),
        &error);
    must(timer_index_create(&world->failing.store, world->cache, 8, &world->timers, &error),
         &error);
}

static struct world *new_world(uint64_t seed, bool is_rocksdb, uint32_t keys)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->random.state = seed;
    world->is_rocksdb = is_rocksdb;
    world->keys = keys;
    cache_test_layout(&world->layout);
    for (uint32_t i = 0; i < KEYS_MAX; i++) {
        world->committed[i].index_ms = TIMER_NONE;
    }
    if (is_rocksdb) {
        struct error error;
        world->directory = fixture_directory();
        must(rocksdb_budget_create(8u << 20, 1u << 16, &world->budget, &error), &error);
    }
    open_store(world);
    open_cache(world);
    return world;
}

static void free_world(struct world *world)
{
    timer_index_destroy(world->timers);
    record_cache_destroy(world->cache);
    world->store->ops->close(world->store);
    rocksdb_budget_destroy(world->budget);
    if (world->directory) {
        fixture_remove(world->directory);
    }
    free(world->directory);
    for (size_t i = 0; i < world->log_count; i++) {
        free(world->log[i].bytes);
    }
    free(world->log);
    free(world);
}

static void assert_is(const struct world *world, const struct record *record,
                      struct model_record expected)
{
    const uint64_t *words = (const uint64_t *)(const void *)record->parts;
    uint32_t count = world->layout.bytes[record->key.kind] / 8;
    assert_true(record->index_ms == expected.index_ms);
    assert_true(record->last_event_ms == (expected.word ? (int64_t)expected.word : INT64_MIN));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(words[i] == (i % 3 == 0 ? expected.word : 0));
    }
}

static void set(const struct world *world, struct record *record, struct model_record value)
{
    uint64_t *words = (uint64_t *)(void *)record->parts;
    uint32_t count = world->layout.bytes[record->key.kind] / 8;
    record->index_ms = value.index_ms;
    record->last_event_ms = (int64_t)value.word;
    for (uint32_t i = 0; i < count; i += 3) {
        words[i] = value.word;
    }
}

static void append_log(struct world *world, const struct changelog_entry *entry)
{
    if (world->log_count == world->log_capacity) {
        world->log_capacity = 2 * world->log_capacity + 64;
        world->log = realloc(world->log, world->log_capacity * sizeof(*world->log));
        assert_non_null(world->log);
    }
    struct log_entry *logged = &world->log[world->log_count++];
    *logged = (struct log_entry){entry->key, malloc(entry->length), entry->length, world->position};
    assert_non_null(logged->bytes);
    memcpy(logged->bytes, entry->bytes, entry->length);
}

/* Takes some keys, checks and changes them. False: the call failed and took nothing. */
static bool take_some(struct world *world)
{
    struct record_key keys[TAKE_MAX];
    struct record *records[TAKE_MAX];
    uint32_t count = 1 + random_below(&world->random, TAKE_MAX - 1);
    uint32_t range = random_below(&world->random, 2) ? world->keys : world->keys / 20 + 1;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = key_of(random_below(&world->random, range));
    }
    uint32_t taken_before = record_cache_taken(world->cache);
    struct error error;
    enum status status = record_cache_take(world->cache, keys, count, records, &error);
    if (status != STATUS_OK) {
        assert_true(status == STATUS_RETRY || world->failing.fail_at != 0);
        assert_int_equal(record_cache_taken(world->cache), taken_before);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct model_record *model = &world->working[index_of(keys[i])];
        assert_int_equal(index_of(records[i]->key), index_of(keys[i]));
        assert_is(world, records[i], *model);
        model->word = random_next(&world->random) | 1;
        model->index_ms = random_below(&world->random, 4) == 0
                              ? TIMER_NONE
                              : world->now_ms + random_below(&world->random, 50);
        set(world, records[i], *model);
    }
    return true;
}

static void check_changes(struct world *world, bool is_logged)
{
    const struct changelog_entry *entries;
    uint32_t count = record_cache_encode_changes(world->cache, &entries);
    assert_int_equal(count, record_cache_taken(world->cache));
    for (uint32_t i = 0; i < count && is_logged; i++) {
        append_log(world, &entries[i]);
    }
}

static void transaction(struct world *world)
{
    struct error error;
    memcpy(world->working, world->committed, sizeof(world->working));
    bool is_whole = true;
    for (uint32_t takes = 1 + random_below(&world->random, 3); takes > 0 && is_whole; takes--) {
        is_whole = take_some(world);
    }
    if (!is_whole || random_below(&world->random, 5) == 0) {
        check_changes(world, false);
        record_cache_abort(world->cache);
        if (!is_whole && world->failing.fail_at == 0) {
            must(record_cache_write_back(world->cache, 0, &error), &error);
        }
        return;
    }
    world->position += 1 + random_below(&world->random, 3);
    check_changes(world, true);
    record_cache_commit(world->cache, world->position);
    memcpy(world->committed, world->working, sizeof(world->working));
    world->now_ms += random_below(&world->random, 5);
}

static void crash_and_replay(struct world *world)
{
    timer_index_destroy(world->timers);
    record_cache_destroy(world->cache);
    if (world->is_rocksdb) {
        world->store->ops->close(world->store);
    } else {
        state_store_memory_crash(world->store, random_next(&world->random));
    }
    open_store(world);
    open_cache(world);
    uint64_t from = world->store->ops->position(world->store);
    assert_true(from <= world->position);
    for (size_t i = 0; i < world->log_count; i++) {
        const struct log_entry *logged = &world->log[i];
        if (logged->position > from) {
            struct error error;
            const struct changelog_entry entry = {logged->key, logged->bytes, logged->length};
            must(record_cache_apply(world->cache, &entry, logged->position, &error), &error);
        }
    }
}

/* All records are as in the model. */
static void check_all(struct world *world)
{
    struct error error;
    for (uint32_t i = 0; i < world->keys; i += 50) {
        for (uint32_t k = i; k < i + 50 && k < world->keys; k++) {
            struct record_key key = key_of(k);
            struct record *record;
            enum status status = record_cache_take(world->cache, &key, 1, &record, &error);
            if (status == STATUS_RETRY) {
                record_cache_abort(world->cache);
                must(record_cache_write_back(world->cache, 0, &error), &error);
                status = record_cache_take(world->cache, &key, 1, &record, &error);
            }
            must(status, &error);
            assert_is(world, record, world->committed[k]);
        }
        record_cache_abort(world->cache);
    }
}

struct timer_check {
    struct world *world;
    uint32_t count;
};

static bool check_timer(void *context, const struct store_key *key, struct store_value value)
{
    struct timer_check *check = context;
    struct timer_entry entry;
    assert_non_null(value.bytes);
    assert_true(store_key_read_timer(key, &entry.time_ms, &entry.key));
    assert_true(check->world->committed[index_of(entry.key)].index_ms == entry.time_ms);
    check->count++;
    return true;
}

/* With nothing dirty the store has one timer entry for each record that has one, no other. */
static void check_store_timers(struct world *world)
{
    struct error error;
    must(record_cache_write_back(world->cache, 0, &error), &error);
    struct timer_check check = {.world = world};
    struct store_key from = {.bytes = {'t'}, .length = 1};
    struct store_key to = {.bytes = {'u'}, .length = 1};
    must(world->store->ops->scan(world->store, &from, &to, check_timer, &check, &error), &error);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < world->keys; i++) {
        expected += world->committed[i].index_ms != TIMER_NONE;
    }
    assert_int_equal(check.count, expected);
    struct record_cache_stats stats = record_cache_stats(world->cache);
    assert_int_equal(stats.dirty, 0);
}

static void step(struct world *world)
{
    struct error error;
    uint32_t choice = random_below(&world->random, 100);
    if (choice < 75) {
        transaction(world);
    } else if (choice < 85) {
        must(record_cache_relieve(world->cache, &error), &error);
    } else if (choice < 92) {
        must(record_cache_write_back(world->cache, random_below(&world->random, 2000), &error),
             &error);
    } else if (choice < 96) {
        must(world->store->ops->flush(world->store, &error), &error);
        assert_true(world->store->ops->durable_position(world->store) ==
                    world->store->ops->position(world->store));
    } else if (choice < 98) {
        crash_and_replay(world);
    } else {
        check_store_timers(world);
    }
}

static void run_random(uint64_t seeds, uint32_t steps, bool is_rocksdb)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct world *world = new_world(seed, is_rocksdb, seed % 3 == 0 ? KEYS_MAX : 600);
        for (uint32_t i = 0; i < steps; i++) {
            step(world);
        }
        crash_and_replay(world);
        check_all(world);
        check_store_timers(world);
        check_all(world);
        free_world(world);
    }
}

static void replay_after_a_crash_gives_the_committed_state(void **state)
{
    (void)state;
    run_random(12, 150, false);
}

static void replay_after_a_crash_gives_the_committed_state_on_rocksdb(void **state)
{
    (void)state;
    run_random(3, 100, true);
}

static void a_failing_store_call_leaves_the_cache_consistent(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1; fail_at <= 40; fail_at++) {
        struct world *world = new_world(fail_at, false, 2000);
        struct error error;
        world->failing.fail_at = fail_at;
        for (uint32_t i = 0; i < 25; i++) {
            transaction(world);
            (void)!record_cache_write_back(world->cache, 100, &error);
        }
        assert_true(world->failing.calls >= fail_at);
        world->failing.fail_at = 0;
        check_all(world);
        check_store_timers(world);
        crash_and_replay(world);
        check_all(world);
        free_world(world);
    }
}

static void more_records_than_fit_are_evicted_and_come_back(void **state)
{
    (void)state;
    struct world *world = new_world(5, false, KEYS_MAX);
    for (uint32_t i = 0; i < 400; i++) {
        transaction(world);
    }
    check_all(world);
    struct record_cache_stats stats = record_cache_stats(world->cache);
    assert_true(stats.resident < KEYS_MAX * 3 / 4);
    assert_true(stats.resident > 1000);
    assert_true(stats.misses > stats.new_records);
    free_world(world);
}

/* A layout whose users have one part more, which the world's own layout does not know. */
static void write_with_unknown_part(struct world *world, uint32_t count)
{
    struct record_layout wider = {0};
    uint32_t offset;
    struct error error;
    const struct record_part extra = {
        .name = "extra", .id = 9, .kind = ENTITY_USER, .bytes = 512, .is_model = 1};
    cache_test_layout(&wider);
    wider.part_count = 1; /* Only the core, so that the budget has room. */
    wider.bytes[ENTITY_USER] = 1024;
    must(record_layout_add(&wider, &extra, &offset, &error), &error);
    struct record *record = calloc(1, sizeof(*record) + wider.bytes[ENTITY_USER]);
    unsigned char *bytes = malloc(record_encoded_bytes_max(&wider, ENTITY_USER, 0));
    assert_non_null(record);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < count; i++) {
        record_init(&wider, (struct record_key){{i, i}, ENTITY_USER}, record);
        memset(record_part_at(record, offset), 1 + (int)(i % 200), 512);
        const struct changelog_entry entry = {record->key, bytes,
                                              (uint32_t)record_encode(&wider, record, bytes)};
        must(record_cache_apply(world->cache, &entry, 1 + i, &error), &error);
    }
    free(record);
    free(bytes);
}

static void unknown_parts_survive_the_way_through_cache_and_store(void **state)
{
    (void)state;
    struct world *world = new_world(10, false, 10);
    struct error error;
    const uint32_t count = 6000; /* More than fit. */
    write_with_unknown_part(world, count);
    must(record_cache_write_back(world->cache, 0, &error), &error);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < count; i++) {
            struct record_key key = {{i, i}, ENTITY_USER};
            struct record *record;
            must(record_cache_take(world->cache, &key, 1, &record, &error), &error);
            assert_int_equal(record->unknown_bytes, 8 + 8 + 512);
            assert_int_equal(((unsigned char *)record->unknown_parts)[100], 1 + i % 200);
            record->parts[0] = 1;
            if (i % 3 == 0) {
                record_cache_abort(world->cache);
            } else {
                cache_commit_at(world->cache, 10000 + i + count * (uint32_t)round);
            }
            if (i % 50 == 0) {
                must(record_cache_write_back(world->cache, 0, &error), &error);
            }
        }
        must(record_cache_write_back(world->cache, 0, &error), &error);
    }
    struct record_cache_stats stats = record_cache_stats(world->cache);
    assert_true(stats.resident * 528 <= 3u << 20);
    free_world(world);
}

static void a_record_made_new_again_drops_its_unknown_parts(void **state)
{
    (void)state;
    struct world *world = new_world(11, false, 10);
    struct error error;
    write_with_unknown_part(world, 2);
    for (int round = 0; round < 2; round++) {
        struct record_key key = {{1, 1}, ENTITY_USER};
        struct record *record;
        must(record_cache_take(world->cache, &key, 1, &record, &error), &error);
        assert_true(record->unknown_bytes > 0);
        record_init(&world->layout, key, record);
        if (round == 0) {
            record_cache_abort(world->cache);
        } else {
            cache_commit_at(world->cache, 100);
        }
    }
    must(record_cache_write_back(world->cache, 0, &error), &error);
    free_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_after_a_crash_gives_the_committed_state),
        cmocka_unit_test(replay_after_a_crash_gives_the_committed_state_on_rocksdb),
        cmocka_unit_test(a_failing_store_call_leaves_the_cache_consistent),
        cmocka_unit_test(more_records_than_fit_are_evicted_and_come_back),
        cmocka_unit_test(unknown_parts_survive_the_way_through_cache_and_store),
        cmocka_unit_test(a_record_made_new_again_drops_its_unknown_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
