/* The ring against a plain model: what is in a piece stays, wherever the ring moves it to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/state/record_ring.h"
#include "test/fakes/random.h"

#define OWNERS 4000u
#define LENGTH_MAX 700u
#define CAPACITY ((size_t)1 << 20)

struct owner {
    unsigned char *bytes; /* NULL: has no piece. */
    uint32_t length;
    unsigned char fill;
    bool is_needed;     /* Never gives its piece up. */
    bool is_referenced; /* Gives it up when asked again. */
};

struct world {
    struct random random;
    struct record_ring ring;
    unsigned char *memory;
    struct owner owners[OWNERS];
    size_t live_bytes;
    uint32_t moves, evictions;
};

static void let_go(struct world *world, struct owner *owner)
{
    record_ring_give(&world->ring, owner->bytes);
    world->live_bytes -= record_ring_bytes(owner->length);
    owner->bytes = NULL;
}

static bool keeps(void *context, uint32_t index, bool may_evict)
{
    struct world *world = context;
    struct owner *owner = &world->owners[index];
    assert_non_null(owner->bytes);
    if (!may_evict || owner->is_needed) {
        return true;
    }
    if (owner->is_referenced) {
        owner->is_referenced = false;
        return true;
    }
    let_go(world, owner);
    world->evictions++;
    return false;
}

static void moved(void *context, uint32_t index, unsigned char *bytes)
{
    struct world *world = context;
    assert_non_null(world->owners[index].bytes);
    world->owners[index].bytes = bytes;
    world->moves++;
}

static struct world *new_world(uint64_t seed, size_t capacity)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->random.state = seed;
    world->memory = aligned_alloc(RING_ALIGN, capacity);
    assert_non_null(world->memory);
    const struct record_ring_owner owner = {keeps, moved, world, (const char *)world->owners,
                                            sizeof(world->owners[0])};
    record_ring_init(&world->ring, world->memory, capacity, &owner);
    return world;
}

static void free_world(struct world *world)
{
    free(world->memory);
    free(world);
}

static void fill(struct world *world, struct owner *owner, uint32_t length)
{
    owner->length = length;
    owner->fill = (unsigned char)random_next(&world->random);
    memset(owner->bytes, owner->fill, length);
}

/* False when nothing is free for it. */
static bool take(struct world *world, uint32_t index, uint32_t length)
{
    struct owner *owner = &world->owners[index];
    unsigned char *bytes = record_ring_take(&world->ring, index, length);
    if (!bytes) {
        return false;
    }
    owner->bytes = bytes;
    owner->is_needed = random_below(&world->random, 4) == 0;
    owner->is_referenced = random_below(&world->random, 2) == 0;
    world->live_bytes += record_ring_bytes(length);
    fill(world, owner, length);
    return true;
}

static void check(const struct world *world)
{
    assert_int_equal(world->ring.live_bytes, world->live_bytes);
    for (uint32_t i = 0; i < OWNERS; i++) {
        const struct owner *owner = &world->owners[i];
        for (uint32_t k = 0; owner->bytes && k < owner->length; k++) {
            assert_int_equal(owner->bytes[k], owner->fill);
        }
        assert_true(!owner->bytes ||
                    (owner->bytes >= world->memory &&
                     owner->bytes + owner->length <= world->memory + world->ring.capacity));
    }
}

static void change(struct world *world, struct owner *owner, uint32_t length)
{
    size_t before = record_ring_bytes(owner->length);
    bool is_smaller = record_ring_bytes(length) <= before;
    assert_int_equal(record_ring_refit(&world->ring, owner->bytes, length), is_smaller);
    if (is_smaller) {
        world->live_bytes -= before - record_ring_bytes(length);
        fill(world, owner, length);
    }
}

static void step(struct world *world, uint32_t owners)
{
    uint32_t index = random_below(&world->random, owners);
    struct owner *owner = &world->owners[index];
    uint32_t length = 1 + random_below(&world->random, LENGTH_MAX);
    uint32_t choice = random_below(&world->random, 100);
    if (!owner->bytes) {
        (void)take(world, index, length);
    } else if (choice < 30) {
        let_go(world, owner);
    } else if (choice < 70) {
        change(world, owner, length);
    } else if (choice == 99) {
        (void)record_ring_evict(&world->ring);
    } else {
        owner->is_needed = random_below(&world->random, 4) == 0;
        owner->is_referenced = true;
    }
}

static void pieces_keep_their_bytes_wherever_they_move(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = new_world(seed, CAPACITY);
        uint32_t owners = seed % 2 ? OWNERS : OWNERS / 8;
        for (uint32_t i = 0; i < 60000; i++) {
            step(world, owners);
            if (i % 2000 == 0) {
                check(world);
            }
        }
        check(world);
        assert_true(world->moves > 1000);
        free_world(world);
    }
}

/* Few pieces that change all the time do not spread over all of the memory. */
static void little_in_use_touches_little_memory(void **state)
{
    (void)state;
    struct world *world = new_world(3, 8 * CAPACITY);
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t index = random_below(&world->random, 300);
        if (world->owners[index].bytes) {
            let_go(world, &world->owners[index]);
        }
        assert_true(take(world, index, 100 + random_below(&world->random, 100)));
    }
    check(world);
    assert_true(world->evictions == 0);
    assert_true(world->ring.touched < 2 * CAPACITY);
    free_world(world);
}

static void what_nobody_gives_up_leaves_no_room_and_is_as_it_was(void **state)
{
    (void)state;
    struct world *world = new_world(4, CAPACITY);
    uint32_t count = 0;
    while (take(world, count, LENGTH_MAX)) {
        world->owners[count++].is_needed = true;
    }
    assert_int_equal(count, CAPACITY / record_ring_bytes(LENGTH_MAX));
    assert_false(record_ring_evict(&world->ring));
    check(world);
    /* One that may leave makes room for just one. */
    world->owners[count / 2].is_needed = false;
    assert_true(take(world, count, LENGTH_MAX));
    world->owners[count].is_needed = true;
    assert_null(world->owners[count / 2].bytes);
    assert_false(take(world, count + 1, LENGTH_MAX));
    check(world);
    free_world(world);
}

static void what_was_used_again_stays_longer(void **state)
{
    (void)state;
    struct world *world = new_world(5, CAPACITY);
    uint32_t next = 0;
    while (world->evictions == 0) {
        assert_true(take(world, next, 500));
        world->owners[next].is_needed = false;
        world->owners[next].is_referenced = next % 2 == 0;
        next++;
    }
    while (world->evictions < next / 4) {
        assert_true(take(world, next, 500));
        world->owners[next++].is_needed = true;
    }
    for (uint32_t i = 0; i < next; i += 2) {
        assert_non_null(world->owners[i].bytes);
    }
    check(world);
    free_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_keep_their_bytes_wherever_they_move),
        cmocka_unit_test(little_in_use_touches_little_memory),
        cmocka_unit_test(what_nobody_gives_up_leaves_no_room_and_is_as_it_was),
        cmocka_unit_test(what_was_used_again_stays_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
