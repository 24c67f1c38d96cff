#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fakes/rule_run.h"

#define EVENTS 3000

static void random_events(struct fixture_event *events, uint64_t seed)
{
    static char users[40][8];
    static const enum event_type types[] = {EVENT_SEARCH,           EVENT_ADD_TO_CART,
                                            EVENT_REMOVE_FROM_CART, EVENT_PURCHASE,
                                            EVENT_PRODUCT_VIEW,     EVENT_CHECKOUT};
    int64_t time_ms = START_MS;
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint64_t number = fixture_random(&seed);
        uint32_t user = (uint32_t)(number % 40);
        (void)snprintf(users[user], sizeof(users[0]), "u%u", user);
        time_ms += (int64_t)(number >> 8) % (4 * MINUTE_MS);
        bool late = (number >> 32) % 10 == 0;
        events[i] = (struct fixture_event){
            .user = users[user],
            .time_ms = time_ms - (late ? (int64_t)(number >> 36) % (9 * MINUTE_MS) : 0),
            .type = types[(number >> 20) % 6],
            .price = (int64_t)((number >> 24) % 100) * 1000000,
            .quantity = (int64_t)((number >> 44) % 3)};
    }
}

static const char busy_rules[] =
    "- {name: big, on: [purchase, checkout], if: fraud_score > 0.7, cooldown: 20m,\n"
    "   alert: {reason: \"{price} {type}\"}}\n"
    "- {name: any, on: any, if: \"price in [1, 2, 3]\", alert: {reason: x}}\n"
    "- {name: s1, on: search, cap: {count: 2, per: 3h}, holdout: {share: 0.2, salt: a},\n"
    "   promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}}\n"
    "- {name: s2, on: search, priority: 3, if: price > 60, budget: {count: 9, per: day},\n"
    "   promotion: {kind: reminder, valid_for: 1d}}\n"
    "- {name: cart, on: {idle_cart: 10m}, cooldown: 30m, promotion: {kind: reminder, valid_for: "
    "1d}}\n"
    "- {name: cart2, on: {idle_cart: 45m}, alert: {reason: x}}\n"
    "- {name: after, on: {after: {event: purchase, delay: 1h}}, alert: {reason: x}}\n"
    "- {name: first, on: {after: {event: search, delay: 15m, from: first}}, alert: {reason: x}}\n"
    "- {name: end, on: session_end, if: hour() > 12, alert: {reason: x}}\n";

static void any_cut_into_batches_gives_the_same(void **state)
{
    (void)state;
    static struct fixture_event events[EVENTS];
    random_events(events, 42);
    struct rule_run whole;
    rule_run_start(&whole,
                   &(struct rule_run_options){.rules = busy_rules, .lateness_ms = 5 * MINUTE_MS});
    stage_fixture_run(whole.fixture, events, EVENTS);
    stage_fixture_drain(whole.fixture);
    assert_true(whole.count[RUN_ALERTS] > 500 && whole.count[RUN_PROMOTIONS] > 100 &&
                whole.count[RUN_DECISIONS] > 1000);
    static const char *const causes[] = {"\"cause\":\"event\"", "\"cause\":\"idle_cart\"",
                                         "\"cause\":\"after\"", "\"cause\":\"session_end\"",
                                         "\"cooldown\"",        "\"cap\"",
                                         "\"outranked\"",       "\"budget\"",
                                         "\"held_out\""};
    for (size_t i = 0; i < sizeof(causes) / sizeof(*causes); i++) {
        rule_run_assert_has(whole.bytes[RUN_DECISIONS], causes[i]);
    }
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct rule_run cut;
        rule_run_start(&cut, &(struct rule_run_options){.rules = busy_rules,
                                                        .lateness_ms = 5 * MINUTE_MS,
                                                        .cut_seed = seed});
        stage_fixture_run(cut.fixture, events, EVENTS);
        stage_fixture_drain(cut.fixture);
        assert_true(stage_fixture_batches(cut.fixture) > stage_fixture_batches(whole.fixture));
        for (int k = 0; k < RUN_TOPICS; k++) {
            assert_int_equal(cut.count[k], whole.count[k]);
            assert_int_equal(cut.length[k], whole.length[k]);
            assert_memory_equal(cut.bytes[k], whole.bytes[k], whole.length[k]);
        }
        assert_true(stage_fixture_state_hash(cut.fixture) ==
                    stage_fixture_state_hash(whole.fixture));
        rule_run_end(&cut);
    }
    rule_run_end(&whole);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(*(const char *const *)a, *(const char *const *)b, 32);
}

static void ids_of_decisions_are_unique(void **state)
{
    (void)state;
    static struct fixture_event events[EVENTS];
    random_events(events, 7);
    struct rule_run run;
    rule_run_events(&run, busy_rules, events, EVENTS);
    const char **ids = calloc(run.count[RUN_DECISIONS], sizeof(*ids));
    assert_non_null(ids);
    uint32_t count = 0;
    for (const char *at = run.bytes[RUN_DECISIONS]; (at = strstr(at, "{\"decision_id\":\""));
         at++) {
        ids[count++] = at + strlen("{\"decision_id\":\"");
    }
    assert_int_equal(count, run.count[RUN_DECISIONS]);
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(memcmp(ids[i - 1], ids[i], 32) != 0);
    }
    free(ids);
    rule_run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_into_batches_gives_the_same),
        cmocka_unit_test(ids_of_decisions_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
