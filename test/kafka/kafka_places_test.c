/*
 * The order in which several topics are taken, and what is journaled of it. The oracle is a replay
 * that knows the records and the journal's numbers alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_places.h"

#define TOPICS 3u
#define RECORDS 400u

struct random {
    uint64_t state;
};

static uint32_t draw(struct random *random, uint32_t below)
{
    random->state = random->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(random->state >> 33) % below;
}

/* Topics whose records come little by little; times may be equal and go back. */
struct shop {
    int64_t times[TOPICS][RECORDS];
    uint32_t come[TOPICS]; /* Records that have come. */
};

struct taken {
    uint32_t topic;
    int64_t offset;
};

static void fill_shop(struct shop *shop, struct random *random)
{
    memset(shop, 0, sizeof(*shop));
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        for (uint32_t i = 0; i < RECORDS; i++) {
            shop->times[topic][i] = i * 2 + draw(random, 12);
        }
    }
}

/* The first by time, then by place, of those not at their end; TOPICS: none. */
static uint32_t first_of(const struct shop *shop, const int64_t *next, uint32_t at_end)
{
    uint32_t first = TOPICS;
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        if (at_end >> topic & 1) {
            continue;
        }
        if (first == TOPICS || shop->times[topic][next[topic]] < shop->times[first][next[first]]) {
            first = topic;
        }
    }
    return first;
}

static uint32_t ended_of(const struct shop *shop, const int64_t *next)
{
    uint32_t at_end = 0;
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        at_end |= next[topic] == (int64_t)shop->come[topic] ? 1u << topic : 0;
    }
    return at_end;
}

static uint32_t read_number(const unsigned char *bytes, size_t *at)
{
    uint32_t number = 0;
    for (int shift = 0;; shift += 7) {
        unsigned char byte = bytes[(*at)++];
        number |= (uint32_t)(byte & 127) << shift;
        if (byte < 128) {
            return number;
        }
    }
}

/* What a replay takes: `next` goes on from the place of the commit before. */
static void replay(const struct shop *shop, const unsigned char *bytes, size_t length,
                   uint32_t count, int64_t *next, struct taken *ret_taken)
{
    size_t at = 0;
    uint32_t change_at = length > 0 ? read_number(bytes, &at) : UINT32_MAX;
    uint32_t at_end = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == change_at) {
            at_end = read_number(bytes, &at);
            change_at = at < length ? read_number(bytes, &at) : UINT32_MAX;
        }
        uint32_t topic = first_of(shop, next, at_end);
        assert_true(topic < TOPICS);
        ret_taken[i] = (struct taken){topic, next[topic]++};
    }
    assert_int_equal(at, length);
}

/* One transaction, with records that are given back and taken again; returns how many are taken. */
static uint32_t run_transaction(struct shop *shop, struct kafka_places *places,
                                struct random *random, struct taken *ret_taken)
{
    uint32_t count = 0;
    for (uint32_t step = 0; step < 40; step++) {
        uint32_t topic = draw(random, TOPICS);
        shop->come[topic] += shop->come[topic] < RECORDS ? draw(random, 3) : 0;
        shop->come[topic] = shop->come[topic] < RECORDS ? shop->come[topic] : RECORDS;
        uint32_t at_end = ended_of(shop, places->now.offsets);
        uint32_t first = first_of(shop, places->now.offsets, at_end);
        if (first == TOPICS) {
            continue;
        }
        int64_t offset = places->now.offsets[first];
        assert_true(kafka_places_take(places, first, offset, at_end));
        if (draw(random, 4) == 0) {
            uint64_t ordinal = places->now.ordinal;
            kafka_places_untake(places, first, offset);
            assert_int_equal(places->now.ordinal, ordinal - 1);
            assert_true(kafka_places_take(places, first, offset, at_end));
        }
        ret_taken[count++] = (struct taken){first, offset};
    }
    /* The last one did not fit into the transaction: it is the first of the next. */
    if (count > 0 && draw(random, 2) == 0) {
        count--;
        kafka_places_untake(places, ret_taken[count].topic, ret_taken[count].offset);
    }
    return count;
}

static void replays_every_transaction_in_the_order_that_was_taken(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random random = {seed};
        struct shop *shop = malloc(sizeof(*shop));
        struct kafka_places *places = calloc(1, sizeof(*places));
        fill_shop(shop, &random);
        places->count = TOPICS;
        places->is_counting = true;
        int64_t next[TOPICS] = {0};
        for (int transaction = 0; transaction < 20; transaction++) {
            struct taken taken[64];
            struct taken again[64];
            unsigned char bytes[KAFKA_INTERLEAVING_BYTES_MAX];
            uint32_t count = run_transaction(shop, places, &random, taken);
            if (draw(&random, 4) == 0) {
                /* Taken back: the same place, and nothing of its order is left. */
                uint64_t ordinal = places->committed.ordinal;
                kafka_places_rewind(places);
                assert_int_equal(places->now.ordinal, ordinal);
                assert_memory_equal(places->now.offsets, next, sizeof(next));
                continue;
            }
            assert_int_equal(places->now.ordinal, places->committed.ordinal + count);
            size_t length = kafka_places_write(places, bytes);
            replay(shop, bytes, length, count, next, again);
            for (uint32_t i = 0; i < count; i++) {
                if (taken[i].topic != again[i].topic || taken[i].offset != again[i].offset) {
                    fail_msg("seed %llu, transaction %d, record %u", (unsigned long long)seed,
                             transaction, i);
                }
            }
            kafka_places_commit(places);
            assert_memory_equal(places->committed.offsets, next, sizeof(next));
        }
        free(places);
        free(shop);
    }
}

static void journals_nothing_of_one_topic_and_numbers_its_records_by_offset(void **state)
{
    (void)state;
    struct kafka_places *places = calloc(1, sizeof(*places));
    unsigned char bytes[KAFKA_INTERLEAVING_BYTES_MAX];
    places->count = 1;
    places->committed = (struct kafka_place){.ordinal = 70, .offsets = {70}};
    kafka_places_rewind(places);
    assert_true(kafka_places_take(places, 0, 70, 0));
    assert_true(kafka_places_take(places, 0, 75, 0)); /* A gap, as compaction and markers leave. */
    assert_int_equal(places->now.ordinal, 76);
    kafka_places_untake(places, 0, 75);
    assert_int_equal(places->now.ordinal, 75);
    assert_int_equal(kafka_places_write(places, bytes), 0);
    free(places);
}

static void refuses_a_record_whose_order_has_no_room_until_the_commit(void **state)
{
    (void)state;
    struct kafka_places *places = calloc(1, sizeof(*places));
    unsigned char bytes[KAFKA_INTERLEAVING_BYTES_MAX];
    places->count = 2;
    places->is_counting = true;
    uint32_t count = 0;
    while (kafka_places_take(places, count % 2, count / 2, count % 2 ? 1 : 2)) {
        count++;
    }
    assert_int_equal(count, KAFKA_PLACES_CHANGES_MAX);
    assert_true(kafka_places_write(places, bytes) <= sizeof(bytes));
    assert_int_equal(places->now.ordinal, count);
    kafka_places_commit(places);
    assert_true(kafka_places_take(places, 0, count / 2, 2));
    free(places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replays_every_transaction_in_the_order_that_was_taken),
        cmocka_unit_test(journals_nothing_of_one_topic_and_numbers_its_records_by_offset),
        cmocka_unit_test(refuses_a_record_whose_order_has_no_room_until_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
