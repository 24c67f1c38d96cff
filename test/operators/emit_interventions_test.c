#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fakes/rule_run.h"
#include "test/fuzz/expression_random.h"

static void an_alert_says_what_when_who_and_why(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_SEARCH},
        {.user = "u",
         .time_ms = START_MS + 5,
         .type = EVENT_PURCHASE,
         .id = "e7",
         .price = 80000000,
         .item = "shoe",
         .card = "secret card"},
    };
    struct rule_run run;
    rule_run_start(
        &run, &(struct rule_run_options){
                  .rules = "- name: big\n  on: purchase\n  if: fraud_score >= 0.8\n"
                           "  alert: {severity: high, suggest: step_up,\n"
                           "          reason: \"{item} at {price:.2}, score {fraud_score}\"}\n",
                  .fields = "item"});
    stage_fixture_run(run.fixture, events, 2);
    assert_int_equal(run.count[RUN_ALERTS], 1);
    assert_int_equal(run.count[RUN_PROMOTIONS], 0);
    assert_int_equal(run.count[RUN_DECISIONS], 1);
    static const char *const expected[] = {
        "\"cause\":\"event\"",
        "\"event_id\":\"e7\"",
        "\"partition\":\"p0\"",
        "\"ordinal\":1,\"cause_time\":\"2019-10-01T00:00:00.005Z\"",
        "\"time\":\"2019-10-01T00:00:00.005Z\"",
        "\"rule\":\"big\"",
        "\"severity\":\"high\"",
        "\"reason\":\"shoe at 80.00, score 0.8\"",
        "\"step\":\"step_up\"",
        "\"session_id\":\"000000000000004d\"",
        "\"fraud\":0.8",
        "\"score\":\"fraud\"",
        "\"logit\":0.6",
        "\"intercept\":-1,",
        "\"model\":\"fake 1\"",
        ("\"terms\":[{\"name\":\"g\",\"value\":7,\"logit\":-4.4},{\"name\":\"f\",\"value\":6,"
         "\"logit\":3.5},"),
        "\"fields\":{\"item\":\"shoe\"}",
        "\"feature_set\":\"0000000000000007\"",
        "\"configuration\":\"0000000000000005\"",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        rule_run_assert_has(run.bytes[RUN_ALERTS], expected[i]);
    }
    assert_null(strstr(run.bytes[RUN_ALERTS], "secret"));
    assert_null(strstr(run.bytes[RUN_ALERTS], "\"u\""));
    rule_run_assert_has(run.bytes[RUN_DECISIONS],
                        "\"is_emitted\":true,\"suppressed_by\":null,\"arm\":\"treated\","
                        "\"propensity\":1");
    rule_run_assert_has(run.bytes[RUN_DECISIONS], "\"features\":[80,81,82,83,84,85]");
    rule_run_assert_has(run.bytes[RUN_DECISIONS], "\"numeric_profile\":\"test profile\"");
    rule_run_assert_has(run.bytes[RUN_DECISIONS], "\"condition\":\"fraud_score >= 0.8\"");
    rule_run_assert_has(run.bytes[RUN_DECISIONS],
                        "\"limits\":{\"delay_ms\":null,\"cooldown_ms\":null,\"cap_count\":null,"
                        "\"cap_window_ms\":null,\"budget_count\":null,\"budget_amount\":null,"
                        "\"budget_currency\":null,\"budget_per\":null,"
                        "\"holdout_share\":null}");
    /* Alert and decision have one id. */
    assert_memory_equal(run.bytes[RUN_ALERTS], run.bytes[RUN_DECISIONS],
                        strlen("{\"decision_id\":\"\"") + 32);
    rule_run_end(&run);
}

/* Reads "name":NUMBER. */
static double number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

static void the_terms_and_the_rest_sum_to_the_logit(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_PURCHASE, .price = 73000000}};
    struct rule_run run;
    rule_run_events(&run, "- {name: a, on: any, alert: {reason: x}}\n", events, 1);
    assert_int_equal(run.count[RUN_ALERTS], 1);
    const char *terms = strstr(run.bytes[RUN_ALERTS], "\"terms\":[");
    const char *end = strstr(terms, "],");
    double sum =
        number_after(run.bytes[RUN_ALERTS], "\"intercept\":") + number_after(end, "\"others\":");
    uint32_t count = 0;
    double last = INFINITY;
    for (const char *at = terms; (at = strstr(at, "\"logit\":")) && at < end; at++) {
        double logit = number_after(at, "\"logit\":");
        assert_true(fabs(logit) <= last);
        last = fabs(logit);
        sum += logit;
        count++;
    }
    assert_int_equal(count, REASON_TERMS);
    assert_true(fabs(sum - number_after(run.bytes[RUN_ALERTS], "\"score\":\"fraud\",\"logit\":")) <
                1e-5);
    rule_run_end(&run);
}

static void a_promotion_says_what_it_offers_and_until_when(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_SEARCH, .query = "private words"}};
    struct rule_run run;
    rule_run_events(&run,
                    "- {name: a, on: search, promotion: {kind: coupon, value: 7.5, currency: EUR, "
                    "valid_for: 36h}}\n",
                    events, 1);
    assert_int_equal(run.count[RUN_PROMOTIONS], 1);
    rule_run_assert_has(run.bytes[RUN_PROMOTIONS],
                        "\"action\":\"coupon\",\"value\":7.5,\"currency\":\"EUR\","
                        "\"percent\":null,\"valid_until\":\"2019-10-02T12:00:00.000Z\","
                        "\"reason\":null");
    assert_null(strstr(run.bytes[RUN_PROMOTIONS], "private"));
    rule_run_end(&run);
}

static void a_decision_says_what_the_limits_of_its_rule_are(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_ADD_TO_CART, .quantity = 1}};
    static const struct {
        const char *rules;
        const char *expected;
    } rows[] = {
        {"- {name: a, on: {idle_cart: 10m}, cooldown: 2h, cap: {count: 3, per: 30d},\n"
         "   budget: {amount: 12.5, per: day}, holdout: {share: 0.25, salt: s},\n"
         "   promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}}\n",
         "\"limits\":{\"delay_ms\":600000,\"cooldown_ms\":7200000,\"cap_count\":3,"
         "\"cap_window_ms\":2592000000,\"budget_count\":null,\"budget_amount\":12.5,"
         "\"budget_currency\":\"EUR\",\"budget_per\":\"day\",\"holdout_share\":0.25}"},
        {"- {name: a, on: any, budget: {count: 4, per: total}, alert: {reason: x}}\n",
         "\"cap_window_ms\":null,\"budget_count\":4,\"budget_amount\":null,"
         "\"budget_currency\":null,\"budget_per\":\"total\",\"holdout_share\":null}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rule_run run;
        rule_run_events(&run, rows[i].rules, events, 1);
        assert_int_equal(run.count[RUN_DECISIONS], 1);
        rule_run_assert_has(run.bytes[RUN_DECISIONS], rows[i].expected);
        rule_run_end(&run);
    }
}

/* Only fraud has terms here; it is computed for events and not for timers. */
static void a_score_that_was_not_computed_makes_way_for_the_next_best(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_SEARCH, .price = 10000000}};
    static const struct {
        const char *rules;
        int topic;
        const char *expected[2];
    } rows[] = {
        {"- {name: a, on: search, promotion: {kind: reminder, valid_for: 36h}}\n",
         1,
         {"\"score\":\"fraud\",\"logit\":-0.8,\"intercept\":-1,\"terms\":[{\"name\":\"g\"",
          "\"model\":\"fake 1\""}},
        {"- {name: a, on: search, if: abandon_score < 2, alert: {reason: x}}\n",
         0,
         {"\"score\":\"fraud\",\"logit\":-0.8,", "\"model\":\"fake 1\""}},
        {"- {name: a, on: session_end, promotion: {kind: reminder, valid_for: 36h}}\n",
         1,
         {"\"score\":\"purchase\",\"logit\":null,\"intercept\":null,\"terms\":[],"
          "\"others\":null,\"model\":null",
          ""}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct rule_run run;
        rule_run_events(&run, rows[i].rules, events, 1);
        assert_int_equal(run.count[rows[i].topic], 1);
        rule_run_assert_has(run.bytes[rows[i].topic], rows[i].expected[0]);
        rule_run_assert_has(run.bytes[rows[i].topic], rows[i].expected[1]);
        rule_run_end(&run);
    }
}

static void rows_that_are_not_live_are_passed_over(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_ADD_TO_CART, .is_diverted = true}};
    struct rule_run run;
    rule_run_events(&run,
                    "- {name: cart, on: {idle_cart: 10m}, alert: {reason: x}}\n- {name: a, on: "
                    "any, alert: {reason: x}}\n",
                    events, 1);
    assert_int_equal(run.count[RUN_DECISIONS], 0);
    rule_run_end(&run);
}

static void an_unknown_listed_field_is_refused(void **state)
{
    (void)state;
    char word[] = "itm";
    char *fields[] = {word};
    struct emit_interventions_options options = {.fields = {fields, 1}};
    struct rule_set *set = NULL;
    struct error error = {""};
    assert_int_equal(
        emit_interventions_rules(&options, NULL, &random_feature_set, NULL, &set, &error),
        STATUS_INVALID);
    assert_string_equal(error.message,
                        "\"itm\": expected a text field of the event; did you mean \"item\"?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_says_what_when_who_and_why),
        cmocka_unit_test(the_terms_and_the_rest_sum_to_the_logit),
        cmocka_unit_test(a_promotion_says_what_it_offers_and_until_when),
        cmocka_unit_test(a_decision_says_what_the_limits_of_its_rule_are),
        cmocka_unit_test(a_score_that_was_not_computed_makes_way_for_the_next_best),
        cmocka_unit_test(rows_that_are_not_live_are_passed_over),
        cmocka_unit_test(an_unknown_listed_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
