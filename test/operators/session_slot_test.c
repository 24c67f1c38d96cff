/* One session's slot in the shopper's record: what it counts, and what two of them come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "operators/session_slot.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static void counts_every_type_exactly(void **state)
{
    (void)state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (!session_counts_type((uint8_t)type)) {
            continue;
        }
        const struct session_limits limits = {.length_ms_max = 10000,
                                              .event_count_max = SESSION_EVENTS_MAX};
        struct session_event event = {.type = (uint8_t)type};
        struct session_slot slot;
        session_open(&slot, 1, &event);
        uint32_t added = 1;
        for (; session_fits(&slot, &event, &limits); added++) {
            session_add(&slot, &event);
        }
        assert_true(added == SESSION_EVENTS_MAX || added == SESSION_RARE_MAX);
        for (int other = 0; other < EVENT_TYPE_COUNT; other++) {
            assert_int_equal(session_count_of(&slot, (enum event_type)other),
                             other == type ? added : 0);
        }
        struct session_slot second;
        session_open(&second, 2, &event);
        assert_false(session_fits_session(&slot, &second, &limits));
    }
}

static void merges_what_was_spent(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *codes[4]; /* Two purchases of each session; "": none. */
        int64_t expected;
        bool is_mixed;
    } table[] = {
        {"one currency", {"EUR", "EUR", "EUR", "EUR"}, 40, false},
        {"nothing bought in the first", {"", "", "USD", "USD"}, 20, false},
        {"nothing bought in the second", {"USD", "", "", ""}, 10, false},
        {"each its own", {"EUR", "EUR", "USD", "USD"}, 40, true},
        {"the first is mixed", {"EUR", "USD", "EUR", "EUR"}, 40, true},
        {"the second is mixed", {"EUR", "EUR", "EUR", "USD"}, 40, true},
        {"the second is mixed, nothing bought in the first", {"", "", "USD", "EUR"}, 20, true},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct session_slot slots[2];
        for (uint32_t j = 0; j < 4; j++) {
            struct session_event event = {.type = EVENT_SEARCH, .place = j + 1};
            if (table[i].codes[j][0] != '\0') {
                event = (struct session_event){
                    .type = EVENT_PURCHASE,
                    .spend = 10,
                    .is_priced = true,
                    .currency = session_currency_pack(text_of(table[i].codes[j]))};
            }
            if (j % 2 == 0) {
                session_open(&slots[j / 2], 1, &event);
            } else {
                session_add(&slots[j / 2], &event);
            }
        }
        session_merge(&slots[0], &slots[1], 9);
        assert_int_equal(session_cause_place(&slots[0]), 9);
        if (slots[0].spend != table[i].expected ||
            session_is(&slots[0], SLOT_MIXED) != table[i].is_mixed) {
            fail_msg("%s: %lld", table[i].name, (long long)slots[0].spend);
        }
    }
}

static void keeps_the_place_and_the_currency_whole(void **state)
{
    (void)state;
    const uint64_t place = UINT64_C(0xabfedcba987654); /* All of PLACE_BITS. */
    struct session_event event = {.type = EVENT_SEARCH, .place = place};
    struct session_slot slot;
    session_open(&slot, 1, &event);
    assert_true(session_cause_place(&slot) == place);
    static const char *const codes[] = {"AAA", "EUR", "ZZZ"};
    for (size_t i = 0; i < COUNT(codes); i++) {
        char code[3];
        assert_true(session_currency_unpack(session_currency_pack(text_of(codes[i])), code));
        assert_memory_equal(code, codes[i], 3);
    }
    static const char *const bad[] = {"", "EU", "eur", "EUR0", "E1R"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(session_currency_pack(text_of(bad[i])), 0);
    }
}

static void a_slot_of_the_older_version_keeps_all_but_what_came_last(void **state)
{
    (void)state;
    struct session_event event = {.type = EVENT_SEARCH, .place = 5, .time_ms = 1000, .hint = 3};
    struct session_slot slot;
    session_open(&slot, 77, &event);
    event.time_ms = 2000;
    session_add(&slot, &event);
    session_mark(&slot, SLOT_CHANGED, true);
    struct session_slot read = {.cause_high = 1};
    session_slot_upgrade(&slot, &read);
    assert_true(session_cause_place(&slot) == 5);
    assert_true(session_cause_place(&read) == PLACE_UNKNOWN);
    slot.cause_low = 0;
    assert_memory_equal(&read, &slot, sizeof(slot));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_every_type_exactly),
        cmocka_unit_test(merges_what_was_spent),
        cmocka_unit_test(keeps_the_place_and_the_currency_whole),
        cmocka_unit_test(a_slot_of_the_older_version_keeps_all_but_what_came_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
