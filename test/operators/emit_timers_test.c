#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fakes/rule_run.h"

#define CART_RULE                                                                                  \
    "- {name: cart, on: {idle_cart: 10m}, promotion: {kind: reminder, valid_for: 1d}}\n"

/* What events of one user, in their order, and a rule lead to. */
struct timer_case {
    const char *name;
    const char *rules;
    struct {
        int64_t minute;
        enum event_type type;
        int64_t quantity;
        const char *id;
    } events[5];
    uint32_t count;
    const char *expected; /* As the test's reader of outputs puts it. */
};

/* Starts a run, which is the caller's to end, and leaves no timer in it. */
static void run_case(struct rule_run *run, const struct timer_case *row, uint64_t cut_seed)
{
    struct fixture_event events[5];
    for (uint32_t i = 0; i < row->count; i++) {
        events[i] = (struct fixture_event){.user = "u",
                                           .time_ms = START_MS + row->events[i].minute * MINUTE_MS,
                                           .type = row->events[i].type,
                                           .id = row->events[i].id,
                                           .quantity = row->events[i].quantity};
    }
    rule_run_start(run, &(struct rule_run_options){.rules = row->rules,
                                                   .lateness_ms = 5 * MINUTE_MS,
                                                   .cut_seed = cut_seed});
    stage_fixture_run(run->fixture, events, row->count);
    stage_fixture_drain(run->fixture);
}

/* What a test reads from a run's outputs, as text. */
typedef void reader(const struct rule_run *run, char *got, size_t bytes);
/* What else must hold at the end. */
typedef void checker(const struct rule_run *run);

static void try_cases(const struct timer_case *cases, size_t count, reader *read, checker *check)
{
    for (size_t i = 0; i < count; i++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct rule_run run;
            char got[256];
            run_case(&run, &cases[i], seed);
            read(&run, got, sizeof(got));
            if (strcmp(got, cases[i].expected) != 0) {
                print_error("%s: expected %s, got %s\n", cases[i].name, cases[i].expected, got);
                fail();
            }
            if (check) {
                check(&run);
            }
            rule_run_end(&run);
        }
    }
}

static const struct timer_case timer_cases[] = {
    {"left alone", CART_RULE, {{0, EVENT_ADD_TO_CART, 1, NULL}}, 1, "00:10 "},
    {"moved by a later addition",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {8, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "00:18 "},
    {"a view does not touch it",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {8, EVENT_PRODUCT_VIEW, 0, NULL}},
     2,
     "00:10 "},
    {"bought", CART_RULE, {{0, EVENT_ADD_TO_CART, 2, NULL}, {9, EVENT_PURCHASE, 1, NULL}}, 2, ""},
    {"emptied",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 2, NULL}, {1, EVENT_REMOVE_FROM_CART, 2, NULL}},
     2,
     ""},
    {"emptied in part",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 2, NULL}, {1, EVENT_REMOVE_FROM_CART, 1, NULL}},
     2,
     "00:11 "},
    {"twice",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {60, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "00:10 01:10 "},
    {"two delays",
     CART_RULE "- {name: later, on: {idle_cart: 2h}, promotion: {kind: reminder, "
               "valid_for: 1d}}\n",
     {{0, EVENT_ADD_TO_CART, 1, NULL}},
     1,
     "00:10 02:00 "},
    {"a late event from before does not touch it",
     CART_RULE,
     {{5, EVENT_ADD_TO_CART, 1, NULL}, {2, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "00:15 "},
    {"after the last purchase",
     "- {name: a, on: {after: {event: purchase, delay: 1h}}, promotion: {kind: reminder, "
     "valid_for: 1d}}\n",
     {{0, EVENT_PURCHASE, 1, NULL}, {30, EVENT_PURCHASE, 1, NULL}, {40, EVENT_SEARCH, 1, NULL}},
     3,
     "01:30 "},
    {"after the first purchase",
     "- {name: a, on: {after: {event: purchase, delay: 1h, from: first}}, promotion: {kind: "
     "reminder, valid_for: 1d}}\n",
     {{0, EVENT_PURCHASE, 1, NULL}, {30, EVENT_PURCHASE, 1, NULL}, {70, EVENT_PURCHASE, 1, NULL}},
     3,
     "01:00 02:10 "},
    {"a session's end",
     "- {name: a, on: session_end, promotion: {kind: reminder, valid_for: 1d}}\n",
     {{0, EVENT_SEARCH, 1, NULL}, {20, EVENT_SEARCH, 1, NULL}, {90, EVENT_SEARCH, 1, NULL}},
     3,
     "00:50 02:00 "},
    {"a condition on the timer's row",
     "- {name: a, on: {idle_cart: 10m}, if: missing(type) and hour() == 1, promotion: {kind: "
     "reminder, valid_for: 1d}}\n",
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {60, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "01:10 "},
};

/* The time of each promotion, in order. */
static void times_of(const struct rule_run *run, char *got, size_t bytes)
{
    size_t length = 0;
    got[0] = '\0';
    for (const char *at = run->bytes[RUN_PROMOTIONS]; at && (at = strstr(at, "\"time\":\""));
         at++) {
        length += (size_t)snprintf(got + length, bytes - length, "%.5s ",
                                   at + strlen("\"time\":\"2019-10-01T"));
    }
}

static void an_idle_cart_fires_when_nothing_touched_it(void **state)
{
    (void)state;
    try_cases(timer_cases, sizeof(timer_cases) / sizeof(*timer_cases), times_of, NULL);
}

/* "ordinal cause_minute" of each decision, in order. */
static void causes_of(const struct rule_run *run, char *got, size_t bytes)
{
    size_t length = 0;
    got[0] = '\0';
    for (const char *at = run->bytes[RUN_DECISIONS]; at && (at = strstr(at, "\"ordinal\":"));
         at++) {
        const char *time = strstr(at, "\"cause_time\":\"");
        assert_non_null(time);
        length += (size_t)snprintf(got + length, bytes - length, "%d %.5s, ",
                                   atoi(at + strlen("\"ordinal\":")),
                                   time + strlen("\"cause_time\":\"2019-10-01T"));
    }
}

static const struct timer_case cause_cases[] = {
    {"the last that touched the cart",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {8, EVENT_ADD_TO_CART, 1, NULL}, {9, EVENT_SEARCH, 1, NULL}},
     3,
     "1 00:08, "},
    {"not a late one from before",
     CART_RULE,
     {{5, EVENT_ADD_TO_CART, 1, NULL}, {2, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "0 00:05, "},
    {"the last of two at one time",
     CART_RULE,
     {{5, EVENT_ADD_TO_CART, 1, NULL}, {5, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "1 00:05, "},
    {"two rules, one cart",
     CART_RULE "- {name: later, on: {idle_cart: 2h}, promotion: {kind: reminder, "
               "valid_for: 1d}}\n",
     {{0, EVENT_ADD_TO_CART, 1, NULL}, {30, EVENT_SEARCH, 1, NULL}},
     2,
     "0 00:00, 0 00:00, "},
    {"the latest that was waited from",
     "- {name: a, on: {after: {event: purchase, delay: 1h}}, alert: {reason: x}}\n",
     {{0, EVENT_PURCHASE, 1, NULL},
      {4, EVENT_PURCHASE, 1, NULL},
      {3, EVENT_PURCHASE, 1, NULL},
      {8, EVENT_SEARCH, 1, NULL}},
     4,
     "1 00:04, "},
    {"the first that was waited from",
     "- {name: a, on: {after: {event: purchase, delay: 1h, from: first}}, alert: {reason: "
     "x}}\n",
     {{0, EVENT_PURCHASE, 1, NULL}, {30, EVENT_PURCHASE, 1, NULL}, {70, EVENT_PURCHASE, 1, NULL}},
     3,
     "0 00:00, 2 01:10, "},
    {"the last of the session",
     "- {name: a, on: session_end, alert: {reason: x}}\n",
     {{0, EVENT_SEARCH, 1, NULL}, {20, EVENT_SEARCH, 1, NULL}, {90, EVENT_SEARCH, 1, NULL}},
     3,
     "1 00:20, 2 01:30, "},
};

static void a_timer_names_the_event_that_set_it(void **state)
{
    (void)state;
    try_cases(cause_cases, sizeof(cause_cases) / sizeof(*cause_cases), causes_of, NULL);
}

#define AFTER(name, type)                                                                          \
    "- {name: " name ", on: {after: {event: " type ", delay: 1h}}, alert: {reason: x}}\n"
#define LONG_ID "a longer one than what is kept of an id"

static const struct timer_case id_cases[] = {
    {"the last that touched the cart",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, "a"}, {8, EVENT_ADD_TO_CART, 1, "b"}, {9, EVENT_SEARCH, 1, "c"}},
     3,
     "\"b\" "},
    {"not a late one from before",
     CART_RULE,
     {{5, EVENT_ADD_TO_CART, 1, "a"}, {2, EVENT_ADD_TO_CART, 1, "b"}},
     2,
     "\"a\" "},
    {"the last one has none",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, "a"}, {8, EVENT_ADD_TO_CART, 1, NULL}},
     2,
     "null "},
    {"too long to be kept", CART_RULE, {{0, EVENT_ADD_TO_CART, 1, LONG_ID}}, 1, "null "},
    {"two delays of one cart",
     CART_RULE "- {name: later, on: {idle_cart: 2h}, promotion: {kind: reminder, "
               "valid_for: 1d}}\n",
     {{0, EVENT_ADD_TO_CART, 1, "a"}, {30, EVENT_SEARCH, 1, "b"}},
     2,
     "\"a\" \"a\" "},
    {"a cart, then another",
     CART_RULE,
     {{0, EVENT_ADD_TO_CART, 1, "a"},
      {60, EVENT_PURCHASE, 1, "b"},
      {90, EVENT_ADD_TO_CART, 1, NULL}},
     3,
     "\"a\" null "},
    {"the latest that was waited from",
     AFTER("a", "purchase"),
     {{0, EVENT_PURCHASE, 1, "a"}, {4, EVENT_PURCHASE, 1, "b"}, {3, EVENT_PURCHASE, 1, "c"}},
     3,
     "\"b\" "},
    {"the first that was waited from",
     "- {name: a, on: {after: {event: purchase, delay: 1h, from: first}}, alert: {reason: "
     "x}}\n",
     {{0, EVENT_PURCHASE, 1, "a"}, {30, EVENT_PURCHASE, 1, "b"}, {70, EVENT_PURCHASE, 1, "c"}},
     3,
     "\"a\" \"c\" "},
    {"of three deadlines two",
     AFTER("a", "purchase") AFTER("b", "login") AFTER("c", "search"),
     {{0, EVENT_PURCHASE, 1, "a"}, {1, EVENT_LOGIN, 1, "b"}, {2, EVENT_SEARCH, 1, "c"}},
     3,
     "\"a\" \"b\" null "},
    {"the last of the session",
     "- {name: a, on: session_end, alert: {reason: x}}\n",
     {{0, EVENT_SEARCH, 1, "a"}, {20, EVENT_SEARCH, 1, "b"}, {90, EVENT_SEARCH, 1, NULL}},
     3,
     "\"b\" null "},
};

/* The event_id of each decision, in order. */
static void ids_of(const struct rule_run *run, char *got, size_t bytes)
{
    size_t length = 0;
    got[0] = '\0';
    for (const char *at = run->bytes[RUN_DECISIONS]; at && (at = strstr(at, "\"event_id\":"));
         at++) {
        const char *id = at + strlen("\"event_id\":");
        length +=
            (size_t)snprintf(got + length, bytes - length, "%.*s ", (int)strcspn(id, ","), id);
    }
}

static bool is_zero(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        if (at[i] != 0) {
            return false;
        }
    }
    return true;
}

static uint32_t offset_of_ids(const struct record_layout *layout)
{
    for (uint32_t i = 0; i < layout->part_count; i++) {
        if (layout->parts[i].id == PART_EVENT_IDS) {
            return layout->offsets[i];
        }
    }
    fail();
    return 0;
}

static void no_id_is_left(const struct rule_run *run)
{
    struct record *user = stage_fixture_record(run->fixture, ENTITY_USER, "u");
    assert_true(
        is_zero(record_part_at(user, offset_of_ids(&run->layout)), sizeof(struct event_ids)));
}

static void a_timer_names_the_id_of_that_event_and_keeps_it_no_longer(void **state)
{
    (void)state;
    try_cases(id_cases, sizeof(id_cases) / sizeof(*id_cases), ids_of, no_id_is_left);
}

static void a_deadline_without_a_place_is_counted(void **state)
{
    (void)state;
    /* One rule more than a shopper has places for deadlines. */
    char rules[2048];
    size_t length = 0;
    for (int i = 0; i <= LIMIT_PLACES; i++) {
        length += (size_t)snprintf(rules + length, sizeof(rules) - length,
                                   "- {name: r%d, on: {after: {event: purchase, delay: 1h}}, "
                                   "alert: {reason: x}}\n",
                                   i);
    }
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_PURCHASE},
        {.user = "v", .time_ms = START_MS + 1, .type = EVENT_PURCHASE}};
    struct rule_run run;
    rule_run_events(&run, rules, events, 2);
    assert_int_equal(run.count[RUN_ALERTS], 2 * LIMIT_PLACES);
    assert_int_equal(emit_interventions_counters(run.stage, stage_fixture_task_record(run.fixture))
                         ->deadlines_without_place,
                     2);
    rule_run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_cart_fires_when_nothing_touched_it),
        cmocka_unit_test(a_timer_names_the_event_that_set_it),
        cmocka_unit_test(a_timer_names_the_id_of_that_event_and_keeps_it_no_longer),
        cmocka_unit_test(a_deadline_without_a_place_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
