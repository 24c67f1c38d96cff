#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "test/fakes/rule_run.h"

#define OFFER(name, more)                                                                          \
    "- {name: " name ", on: search, " more                                                         \
    "promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}}\n"

struct limit_case {
    const char *name;
    const char *rules;
    int64_t times_ms[6];
    uint32_t count;
    const char *expected; /* What became of each decision, in order; "+": emitted. */
};

static const struct limit_case limit_cases[] = {
    {"no limit", OFFER("a", ""), {0, 0, 1}, 3, "+ + + "},
    {"cool-down",
     OFFER("a", "cooldown: 10s, "),
     {0, 9999, 10000, 19999},
     4,
     "+ cooldown + cooldown "},
    {"cool-down counts from what was emitted",
     OFFER("a", "cooldown: 10s, "),
     {0, 6000, 12000},
     3,
     "+ cooldown + "},
    {"a late event is within the cool-down",
     OFFER("a", "cooldown: 10s, "),
     {20000, 5000, 30000},
     3,
     "+ cooldown + "},
    {"cap",
     OFFER("a", "cap: {count: 2, per: 10s}, "),
     {0, 1000, 2000, 9999, 10000, 10001},
     6,
     "+ + cap cap + + "},
    {"cap and cool-down",
     OFFER("a", "cooldown: 2s, cap: {count: 2, per: 10s}, "),
     {0, 1000, 2000, 4000, 10000},
     5,
     "+ cooldown + cap + "},
    {"budget by count",
     OFFER("a", "budget: {count: 2, per: total}, "),
     {0, 1000, 2000, 3 * DAY_MS},
     4,
     "+ + budget budget "},
    {"budget of a day",
     OFFER("a", "budget: {count: 1, per: day}, "),
     {0, 1000, DAY_MS - 1, DAY_MS, DAY_MS + 1},
     5,
     "+ budget budget + budget "},
    {"a late event does not open yesterday's budget",
     OFFER("a", "budget: {count: 1, per: day}, "),
     {0, DAY_MS, DAY_MS - 1},
     3,
     "+ + budget "},
    {"budget by amount",
     OFFER("a", "budget: {amount: 12, per: day}, "),
     {0, 1, 2},
     3,
     "+ + budget "},
    {"two promotions", OFFER("b", "") OFFER("a", ""), {0, 1}, 2, "+ outranked + outranked "},
    {"priority before name",
     OFFER("a", "") OFFER("b", "priority: 1, cooldown: 1s, "),
     {0, 1, 1500},
     3,
     "+ outranked cooldown + + outranked "},
    {"a promotion without budget makes way",
     OFFER("a", "budget: {count: 1, per: total}, ") OFFER("b", ""),
     {0, 1},
     2,
     "+ outranked budget + "},
    {"alerts are all emitted",
     "- {name: a, on: search, alert: {reason: x}}\n- {name: b, on: any, alert: {reason: "
     "x}}\n" OFFER("c", ""),
     {0},
     1,
     "+ + + "},
};

static void each_limit_suppresses_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(limit_cases) / sizeof(*limit_cases); i++) {
        const struct limit_case *row = &limit_cases[i];
        struct fixture_event events[6];
        for (uint32_t k = 0; k < row->count; k++) {
            events[k] = (struct fixture_event){
                .user = "u", .time_ms = START_MS + row->times_ms[k], .type = EVENT_SEARCH};
        }
        struct rule_run run;
        rule_run_start(&run,
                       &(struct rule_run_options){.rules = row->rules, .lateness_ms = 2 * DAY_MS});
        stage_fixture_run(run.fixture, events, row->count);
        char got[256] = "";
        size_t length = 0;
        for (const char *at = run.bytes[RUN_DECISIONS];
             at && (at = strstr(at, "\"suppressed_by\":")); at++) {
            at += strlen("\"suppressed_by\":");
            char word[16] = "+";
            if (*at == '"') {
                (void)sscanf(at, "\"%15[a-z_]", word);
            }
            length += (size_t)snprintf(got + length, sizeof(got) - length, "%s ", word);
        }
        if (strcmp(got, row->expected) != 0) {
            print_error("%s: expected %s, got %s\n", row->name, row->expected, got);
            fail();
        }
        const struct emit_interventions_counters *counters =
            emit_interventions_counters(run.stage, stage_fixture_task_record(run.fixture));
        for (int reason = SUPPRESSED_NOT + 1; reason < SUPPRESSION_COUNT; reason++) {
            assert_int_equal(counters->suppressed[reason],
                             rule_run_count_of(got, suppression_names[reason]));
        }
        assert_int_equal(counters->suppressed[SUPPRESSED_NOT], 0);
        assert_int_equal(counters->deadlines_without_place, 0);
        rule_run_end(&run);
    }
}

static void budgets_are_split_between_partitions(void **state)
{
    (void)state;
    struct fixture_event events[8];
    for (int i = 0; i < 8; i++) {
        events[i] = (struct fixture_event){
            .user = i % 2 ? "u" : "v", .time_ms = START_MS + i, .type = EVENT_SEARCH};
    }
    struct rule_run run;
    rule_run_start(
        &run, &(struct rule_run_options){.rules = OFFER("a", "budget: {count: 10, per: total}, "),
                                         .partition_count = 3});
    stage_fixture_run(run.fixture, events, 8);
    assert_int_equal(run.count[RUN_PROMOTIONS], 3);
    rule_run_end(&run);
}

static void held_out_users_get_a_decision_and_no_promotion(void **state)
{
    (void)state;
    static char names[400][8];
    static struct fixture_event events[800];
    for (uint32_t i = 0; i < 800; i++) {
        (void)snprintf(names[i % 400], sizeof(names[0]), "u%u", i % 400);
        events[i] = (struct fixture_event){
            .user = names[i % 400], .time_ms = START_MS + i, .type = EVENT_SEARCH};
    }
    struct rule_run run;
    rule_run_events(&run, OFFER("a", "holdout: {share: 0.25, salt: s}, cooldown: 1h, "), events,
                    800);
    uint32_t held = rule_run_count_of(run.bytes[RUN_DECISIONS],
                                      "\"suppressed_by\":\"held_out\",\"arm\":\"held_out\","
                                      "\"propensity\":0.25,");
    assert_in_range(held, 100 - 35, 100 + 35); /* Four standard deviations of 8.7. */
    assert_int_equal(run.count[RUN_PROMOTIONS], 400 - held);
    assert_int_equal(
        rule_run_count_of(run.bytes[RUN_DECISIONS], "\"arm\":\"treated\",\"propensity\":0.75,"),
        2 * (400 - held));
    /* A held-out user's cool-down runs as well, so both arms are eligible at the same times. */
    assert_int_equal(rule_run_count_of(run.bytes[RUN_DECISIONS], "\"suppressed_by\":\"cooldown\""),
                     400);
    rule_run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_suppresses_with_its_reason),
        cmocka_unit_test(budgets_are_split_between_partitions),
        cmocka_unit_test(held_out_users_get_a_decision_and_no_promotion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
