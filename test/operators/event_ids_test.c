/* The ids of the events that timers go back to: what is kept of them, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "operators/event_ids.h"

#define UUID "0f8fad5b-d9cb-469f-a165-70867728950e"

struct kept_case {
    const char *name;
    const char *id;
    uint32_t words; /* Of 8 bytes that are not 0, beside the owner's. */
    bool is_kept;
};

static const struct kept_case kept_cases[] = {
    {"short", "v1-0", 1, true},
    {"a UUID", UUID, 2, true},
    {"a UUID in capitals", "0F8FAD5B-D9CB-469F-A165-70867728950E", 2, true},
    {"a UUID without dashes", "0f8fad5bd9cb469fa16570867728950e", 2, true},
    {"the same in capitals", "0F8FAD5BD9CB469FA16570867728950E", 2, true},
    {"digits alone", "00000000000000001234567890123456", 1, true},
    {"of two cases", "0f8fad5bd9cb469fa16570867728950E", 4, true},
    {"32 bytes that are no digits", "0f8fad5bd9cb469fa16570867728950g", 4, true},
    {"as long as a UUID", "0f8fad5b-d9cb-469f-a165-70867728950g", 0, false},
    {"dashes elsewhere", "0f8fad5bd-9cb-469f-a165-70867728950e", 0, false},
    {"a UUID of two cases", "0f8fad5b-d9cb-469f-a165-70867728950E", 0, false},
    {"letters whose low bits are digits'", "qqqqqqqq-qqqq-qqqq-qqqq-qqqqqqqqqqqq", 0, false},
    {"33 bytes", "123456789012345678901234567890123", 0, false},
    {"empty", "", 0, false},
};

static void an_id_is_read_as_it_was_written_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(kept_cases) / sizeof(*kept_cases); i++) {
        const struct kept_case *row = &kept_cases[i];
        struct event_ids ids;
        memset(&ids, 0, sizeof(ids));
        event_ids_keep_cart(&ids, text_of("what was there before, 32 bytes "));
        event_ids_keep_cart(&ids, text_of(row->id));
        char buffer[EVENT_ID_TEXT_MAX];
        struct text found = event_ids_cart(&ids, buffer);
        uint64_t words[EVENT_ID_BYTES_MAX / 8];
        uint32_t used = 0;
        memcpy(words, ids.cart.bytes, sizeof(words));
        for (uint32_t k = 0; k < EVENT_ID_BYTES_MAX / 8; k++) {
            used += words[k] != 0;
        }
        if ((found.data != NULL) != row->is_kept || used != row->words ||
            (row->is_kept && !text_is(found, row->id))) {
            fail_msg("%s: %u words, read as %.*s", row->name, used, (int)found.length, found.data);
        }
    }
}

static void assert_session(const struct event_ids *ids, uint64_t session, const char *expected)
{
    char buffer[EVENT_ID_TEXT_MAX];
    struct text found = event_ids_session(ids, session, buffer);
    if (expected ? !text_is(found, expected) : found.data != NULL) {
        fail_msg("session %llu: %.*s", (unsigned long long)session, (int)found.length, found.data);
    }
}

static void the_two_sessions_that_were_opened_last_keep_theirs(void **state)
{
    (void)state;
    const uint64_t first = 1 << 8, second = 2 << 8, third = 3 << 8;
    struct event_ids ids = {0};
    event_ids_keep_session(&ids, first, text_of("a"));
    event_ids_keep_session(&ids, second, text_of("b"));
    event_ids_keep_session(&ids, first, text_of("c"));
    assert_session(&ids, first, "c");
    assert_session(&ids, second, "b");
    event_ids_keep_session(&ids, third, text_of(UUID));
    assert_session(&ids, third, UUID);
    assert_session(&ids, second, "b");
    assert_session(&ids, first, NULL);
    event_ids_keep_session(&ids, second, (struct text){NULL, 0});
    assert_session(&ids, second, NULL);
    event_ids_forget_session(&ids, third);
    assert_session(&ids, third, NULL);
    const struct event_ids nothing = {0};
    assert_memory_equal(&ids, &nothing, sizeof(ids));
}

static void deadlines_have_theirs_while_there_are_places(void **state)
{
    (void)state;
    char buffer[EVENT_ID_TEXT_MAX];
    struct event_ids ids = {0};
    event_ids_keep_deadline(&ids, 5, text_of("a"));
    event_ids_keep_deadline(&ids, 6, text_of("b"));
    event_ids_keep_deadline(&ids, 7, text_of("c"));
    event_ids_keep_deadline(&ids, 5, text_of("d"));
    assert_true(text_is(event_ids_deadline(&ids, 5, buffer), "d"));
    assert_true(text_is(event_ids_deadline(&ids, 6, buffer), "b"));
    assert_null(event_ids_deadline(&ids, 7, buffer).data);
    event_ids_keep_deadline(&ids, 5, (struct text){NULL, 0});
    event_ids_keep_deadline(&ids, 7, text_of("e"));
    assert_null(event_ids_deadline(&ids, 5, buffer).data);
    assert_true(text_is(event_ids_deadline(&ids, 7, buffer), "e"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_read_as_it_was_written_or_not_at_all),
        cmocka_unit_test(the_two_sessions_that_were_opened_last_keep_theirs),
        cmocka_unit_test(deadlines_have_theirs_while_there_are_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
