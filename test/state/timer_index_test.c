/* The timer index against a sorted model, with a heap far smaller than the number of timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/state/timer_index.h"
#include "test/fakes/failing_store.h"
#include "test/fakes/must.h"
#include "test/fakes/random.h"

#define KEYS 400u
#define TOUCHED_MAX 64u

struct world {
    struct record_layout layout;
    struct random random;
    uint32_t entries_max;
    struct state_store *store;
    struct failing_store failing;
    struct record_cache *cache;
    struct timer_index *index;
    int64_t index_ms[KEYS];   /* Committed. */
    int64_t working_ms[KEYS]; /* Of the running transaction. */
    int64_t now_ms;
    uint64_t position;
};

static struct record_key key_of(uint32_t i)
{
    return (struct record_key){{i % 7, i}, i % 2 ? ENTITY_USER : ENTITY_CARD};
}

static void open_index(struct world *world)
{
    struct error error;
    const struct record_cache_options options = {.bytes_max = 6u << 20, .slice_records = 20};
    failing_store_init(&world->failing, world->store);
    must(
        record_cache_create(&world->layout, &world->failing.store, &options, &world->cache, &error),
        &error);
    must(timer_index_create(&world->failing.store, world->cache, world->entries_max, &world->index,
                            &error),
         &error);
}

static struct world *new_world(uint64_t seed, uint32_t entries_max)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    struct error error;
    uint32_t offset;
    const struct record_part parts[] = {
        {.name = "user", .id = 1, .kind = ENTITY_USER, .bytes = 8},
        {.name = "card", .id = 1, .kind = ENTITY_CARD, .bytes = 8},
    };
    must(record_layout_add(&world->layout, &parts[0], &offset, &error), &error);
    must(record_layout_add(&world->layout, &parts[1], &offset, &error), &error);
    world->random.state = seed;
    world->entries_max = entries_max;
    for (uint32_t i = 0; i < KEYS; i++) {
        world->index_ms[i] = TIMER_NONE;
    }
    must(state_store_memory_open(&world->store, &error), &error);
    open_index(world);
    return world;
}

static void free_world(struct world *world)
{
    timer_index_destroy(world->index);
    record_cache_destroy(world->cache);
    world->store->ops->close(world->store);
    free(world);
}

static void crash(struct world *world)
{
    struct error error;
    /* Everything is in the store before, so that no log is needed here. */
    must(record_cache_write_back(world->cache, 0, &error), &error);
    must(world->store->ops->flush(world->store, &error), &error);
    timer_index_destroy(world->index);
    record_cache_destroy(world->cache);
    state_store_memory_crash(world->store, 0);
    open_index(world);
}

static struct record *take(struct world *world, uint32_t i)
{
    struct error error;
    struct record *record;
    struct record_key key = key_of(i);
    must(record_cache_take(world->cache, &key, 1, &record, &error), &error);
    return record;
}

static void move_timer(struct world *world, uint32_t i, int64_t due_ms)
{
    struct error error;
    take(world, i)->index_ms = due_ms;
    world->working_ms[i] = due_ms;
    must(timer_index_add(world->index, (struct timer_entry){due_ms, key_of(i)}, &error), &error);
}

static bool is_before(struct timer_entry a, struct timer_entry b)
{
    if (a.time_ms != b.time_ms) {
        return a.time_ms < b.time_ms;
    }
    return a.key.kind != b.key.kind ? a.key.kind < b.key.kind
                                    : key128_compare(a.key.id, b.key.id) < 0;
}

/* The earliest timer of the model. */
static struct timer_entry expected_next(const struct world *world, int64_t until_ms)
{
    struct timer_entry next = {.time_ms = TIMER_NONE};
    for (uint32_t i = 0; i < KEYS; i++) {
        struct timer_entry entry = {world->working_ms[i], key_of(i)};
        if (entry.time_ms <= until_ms && entry.time_ms != TIMER_NONE &&
            (next.time_ms == TIMER_NONE || is_before(entry, next))) {
            next = entry;
        }
    }
    return next;
}

/* Pops the stale ones and returns the next valid one. */
static struct timer_entry next_valid(struct world *world, int64_t until_ms)
{
    for (;;) {
        struct timer_entry entry;
        struct error error;
        must(timer_index_peek(world->index, until_ms, &entry, &error), &error);
        if (entry.time_ms == TIMER_NONE ||
            world->working_ms[(uint32_t)entry.key.id.low] == entry.time_ms) {
            return entry;
        }
        timer_index_pop(world->index);
    }
}

static void fire_until(struct world *world, int64_t until_ms)
{
    for (;;) {
        struct timer_entry expected = expected_next(world, until_ms);
        struct timer_entry next = next_valid(world, until_ms);
        assert_true(next.time_ms == expected.time_ms);
        if (next.time_ms == TIMER_NONE) {
            return;
        }
        assert_int_equal(next.key.kind, expected.key.kind);
        assert_true(next.key.id.low == expected.key.id.low);
        timer_index_pop(world->index);
        int64_t due_ms = random_below(&world->random, 3)
                             ? until_ms + 1 + random_below(&world->random, 30)
                             : TIMER_NONE;
        move_timer(world, (uint32_t)next.key.id.low, due_ms);
    }
}

static void transaction(struct world *world)
{
    memcpy(world->working_ms, world->index_ms, sizeof(world->working_ms));
    int64_t until_ms = world->now_ms + random_below(&world->random, 6);
    fire_until(world, until_ms);
    for (uint32_t k = random_below(&world->random, TOUCHED_MAX); k > 0; k--) {
        uint32_t i = random_below(&world->random, KEYS);
        if (world->working_ms[i] == TIMER_NONE) {
            uint32_t spread = random_below(&world->random, 5) ? 40 : 1000;
            move_timer(world, i, until_ms + 1 + random_below(&world->random, spread));
        }
    }
    if (random_below(&world->random, 4) == 0) {
        record_cache_abort(world->cache);
        timer_index_abort(world->index);
        return;
    }
    const struct changelog_entry *entries;
    (void)record_cache_encode_changes(world->cache, &entries);
    record_cache_commit(world->cache, ++world->position);
    timer_index_commit(world->index);
    memcpy(world->index_ms, world->working_ms, sizeof(world->index_ms));
    world->now_ms = until_ms;
}

static void timers_come_in_order_whatever_happens_in_between(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {8, 9, 16, 50, 100000};
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct world *world = new_world(seed, sizes[seed % 5]);
        for (uint32_t i = 0; i < 150; i++) {
            struct error error;
            uint32_t choice = random_below(&world->random, 10);
            if (choice < 7) {
                transaction(world);
            } else if (choice < 9) {
                must(record_cache_write_back(world->cache, random_below(&world->random, 100),
                                             &error),
                     &error);
            } else if (random_below(&world->random, 4) == 0) {
                crash(world);
            }
        }
        memcpy(world->working_ms, world->index_ms, sizeof(world->working_ms));
        fire_until(world, world->now_ms + 200);
        record_cache_abort(world->cache);
        timer_index_abort(world->index);
        free_world(world);
    }
}

/* A refill in the middle of a transaction must see what that transaction added. */
static void a_refill_sees_what_is_not_yet_committed(void **state)
{
    (void)state;
    struct world *world = new_world(1, 8);
    for (uint32_t i = 0; i < KEYS; i++) {
        world->working_ms[i] = TIMER_NONE;
    }
    for (uint32_t i = 0; i < 40; i++) {
        move_timer(world, i, 100 - i);
    }
    for (int64_t ms = 61; ms <= 100; ms++) {
        struct timer_entry entry = next_valid(world, 1000);
        assert_true(entry.time_ms == ms);
        timer_index_pop(world->index);
    }
    assert_true(next_valid(world, 1000).time_ms == TIMER_NONE);
    record_cache_abort(world->cache);
    timer_index_abort(world->index);
    free_world(world);
}

static void an_entry_added_twice_comes_once(void **state)
{
    (void)state;
    struct world *world = new_world(1, 8);
    struct error error;
    struct timer_entry entry;
    must(timer_index_peek(world->index, 10, &entry, &error), &error);
    const struct timer_entry twice = {5, key_of(1)};
    must(timer_index_add(world->index, twice, &error), &error);
    must(timer_index_add(world->index, twice, &error), &error);
    must(timer_index_peek(world->index, 10, &entry, &error), &error);
    assert_true(entry.time_ms == 5);
    timer_index_pop(world->index);
    must(timer_index_peek(world->index, 10, &entry, &error), &error);
    assert_true(entry.time_ms == TIMER_NONE);
    timer_index_abort(world->index);
    free_world(world);
}

static void a_timer_that_never_comes_is_not_kept(void **state)
{
    (void)state;
    struct world *world = new_world(1, 8);
    struct error error;
    const struct timer_entry never = {TIMER_NONE, key_of(1)};
    must(timer_index_add(world->index, never, &error), &error);
    struct timer_entry entry;
    must(timer_index_peek(world->index, TIMER_NONE, &entry, &error), &error);
    assert_true(entry.time_ms == TIMER_NONE);
    free_world(world);
}

static void a_failed_scan_can_be_repeated(void **state)
{
    (void)state;
    struct world *world = new_world(3, 8);
    struct error error;
    for (uint32_t i = 0; i < 20; i++) {
        transaction(world);
    }
    crash(world);
    memcpy(world->working_ms, world->index_ms, sizeof(world->working_ms));
    uint32_t failures = 0;
    for (uint64_t fail_at = 1; fail_at < 20; fail_at++) {
        struct timer_entry expected = expected_next(world, INT64_MAX - 1);
        struct timer_entry entry;
        world->failing.calls = 0;
        world->failing.fail_at = fail_at % 3;
        if (timer_index_peek(world->index, INT64_MAX - 1, &entry, &error) != STATUS_OK) {
            failures++;
            world->failing.fail_at = 0;
        }
        entry = next_valid(world, INT64_MAX - 1);
        assert_true(entry.time_ms == expected.time_ms);
        timer_index_pop(world->index);
        world->working_ms[(uint32_t)entry.key.id.low] = TIMER_NONE;
    }
    assert_true(failures > 0);
    timer_index_abort(world->index);
    free_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_come_in_order_whatever_happens_in_between),
        cmocka_unit_test(a_refill_sees_what_is_not_yet_committed),
        cmocka_unit_test(an_entry_added_twice_comes_once),
        cmocka_unit_test(a_timer_that_never_comes_is_not_kept),
        cmocka_unit_test(a_failed_scan_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
