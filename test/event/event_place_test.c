/* Where an event stands, in one word: what fits comes back, and what does not is never named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipeline/event/event_place.h"

static void what_fits_is_read_as_it_was_made(void **state)
{
    (void)state;
    static const uint64_t offsets[] = {0, 1, 1000003, UINT64_C(1) << 40, PLACE_OFFSET_MAX};
    struct event_topics topics = {{"a", "clicks.eu"}};
    const struct event_places places = {"own", &topics};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
        for (uint32_t partition = 0; partition <= PLACE_ORIGINS_MAX; partition++) {
            char buffer[12];
            char expected[12];
            (void)snprintf(expected, sizeof(expected), "%u", partition);
            bool is_own = partition == PLACE_ORIGINS_MAX;
            uint64_t place =
                is_own ? place_make(1, offsets[i]) : place_of_origin(1, partition, offsets[i]);
            assert_true(place != PLACE_UNKNOWN && place >> PLACE_BITS == 0);
            assert_true(place_offset(place) == offsets[i]);
            assert_true(text_is(place_topic(&places, place), "clicks.eu"));
            assert_true(
                text_is(place_partition(&places, place, buffer), is_own ? "own" : expected));
        }
    }
}

static void what_does_not_fit_is_unknown(void **state)
{
    (void)state;
    assert_true(place_make(0, PLACE_OFFSET_MAX + 1) == PLACE_UNKNOWN);
    assert_true(place_make(0, UINT64_MAX) == PLACE_UNKNOWN);
    assert_true(place_of_origin(0, 0, PLACE_OFFSET_MAX + 1) == PLACE_UNKNOWN);
    assert_true(place_of_origin(0, PLACE_ORIGINS_MAX, 5) == PLACE_UNKNOWN);
    assert_true(place_of_origin(0, UINT32_MAX, 5) == PLACE_UNKNOWN);
}

static void topics_are_numbered_as_they_come_and_those_without_a_number_have_no_name(void **state)
{
    (void)state;
    struct event_topics topics = {{{0}}};
    const struct event_places places = {"0", &topics};
    char name[PLACE_TOPIC_BYTES + 1];
    memset(name, 'x', sizeof(name));
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PLACE_TOPICS_MAX + 3; i++) {
            /* Each the beginning of the next one. */
            uint32_t number = event_topics_number(&topics, (struct text){name, i + 1});
            assert_int_equal(number, i < PLACE_TOPICS_MAX ? i : PLACE_TOPIC_OTHER);
            struct text found = place_topic(&places, place_make(number, 9));
            if (i < PLACE_TOPICS_MAX) {
                assert_int_equal(found.length, i + 1);
            } else {
                assert_null(found.data);
            }
        }
    }
    struct event_topics empty = {{{0}}};
    assert_int_equal(event_topics_number(&empty, (struct text){name, PLACE_TOPIC_BYTES}),
                     PLACE_TOPIC_OTHER);
    assert_int_equal(event_topics_number(&empty, (struct text){NULL, 0}), PLACE_TOPIC_OTHER);
    assert_int_equal(event_topics_number(&empty, (struct text){name, PLACE_TOPIC_BYTES - 1}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_read_as_it_was_made),
        cmocka_unit_test(what_does_not_fit_is_unknown),
        cmocka_unit_test(topics_are_numbered_as_they_come_and_those_without_a_number_have_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
