#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "operators/emit_interventions.h"
#include "pipeline/output/output.h"
#include "test/fakes/stage_fixture.h"
#include "test/fuzz/expression_random.h"

#define START_MS INT64_C(1569888000000) /* 2019-10-01T00:00:00Z */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define GAP_MS (30 * MINUTE_MS)

/* ---- A stage that stands for all before: sessions by gap, features and scores from the event ----
 */

static uint32_t explain_score(void *context, const struct event_batch *batch, uint32_t row,
                              struct contribution *terms, uint32_t max)
{
    static const char *const names[] = {"a", "b", "c", "intercept", "d", "e", "f", "g"};
    (void)context;
    float logit = batch->score_logit[SCORE_FRAUD][row];
    float sum = 0;
    assert_true(max >= 8);
    for (int i = 0; i < 8; i++) {
        float part = i == 7 ? logit - sum : (i % 2 ? -0.25f : 0.5f) * (float)(i + 1);
        terms[i] = (struct contribution){names[i], (float)i, part};
        sum += part;
    }
    return 8;
}

struct fake_part {
    int64_t last_ms;
    uint64_t ordinal;
};
static uint32_t fake_offset;

static enum status fake_process(struct stage *stage, struct event_batch *batch, struct error *error)
{
    (void)stage;
    (void)error;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        struct record *record = batch->record[ENTITY_USER][row];
        bool is_event = batch->kind[row] == ROW_EVENT;
        batch->session_id[row] = 77;
        batch->session_flags[row] = 0;
        struct fake_part *kept = record_part_at(record, fake_offset);
        if (is_event) {
            kept->last_ms = batch->time_ms[row];
            kept->ordinal = batch->ordinal[row];
            record_set_timer(record, TIMER_SESSIONIZE, batch->time_ms[row] + GAP_MS,
                             batch->watermark_ms[row], batch->timer_floor_ms);
        } else if (batch->timer_slot[row] == TIMER_SESSIONIZE) {
            if (record->timer_ms[TIMER_SESSIONIZE] != batch->time_ms[row]) {
                batch->state[row] = ROW_VOID;
                continue;
            }
            record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
            batch->session_flags[row] = SESSION_ENDED;
            batch->session_last_ms[row] = kept->last_ms;
            batch->session_cause_ordinal[row] = kept->ordinal;
        }
        float price = is_event && event_has(batch, row, FIELD_PRICE)
                          ? (float)((double)batch->price[row] / 1e6)
                          : 0.0f;
        for (uint32_t k = 0; k < batch->feature_count; k++) {
            batch->features[(size_t)row * batch->feature_stride + k] = price + (float)k;
        }
        for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
            batch->score[kind][row] = is_event ? price / 100 : NAN;
            batch->score_logit[kind][row] = is_event ? price / 50 - 1 : NAN;
        }
        for (int part = 0; part < FRAUD_PART_COUNT; part++) {
            batch->fraud_logit[part][row] = NAN;
        }
    }
    batch->explainer[SCORE_FRAUD] =
        (struct score_explainer){.explain = explain_score, .version = "fake 1"};
    return STATUS_OK;
}

static void fake_destroy(struct stage *stage)
{
    (void)stage;
}

static const struct stage_ops fake_ops = {.process = fake_process, .destroy = fake_destroy};

/* ---- A run: rules, events, and what came out ---- */

static const enum topic watched[3] = {TOPIC_ALERTS, TOPIC_PROMOTIONS, TOPIC_DECISIONS};

struct run {
    struct rule_set *set;
    struct stage fake;
    struct stage *stage;
    struct record_layout layout;
    struct stage_fixture *fixture;
    char *bytes[3]; /* Of each topic: records, a line each. */
    size_t length[3], room[3];
    uint32_t count[3];
};

static void collect(void *context, const struct event_batch *batch)
{
    struct run *run = context;
    for (int k = 0; k < 3; k++) {
        for (uint64_t i = 0; i < output_batch_count(batch->outputs, watched[k]); i++) {
            struct output_record record = output_batch_get(batch->outputs, watched[k], i);
            if (run->length[k] + record.length + 2 > run->room[k]) {
                run->room[k] = 2 * (run->room[k] + record.length + 2);
                run->bytes[k] = realloc(run->bytes[k], run->room[k]);
                assert_non_null(run->bytes[k]);
            }
            memcpy(run->bytes[k] + run->length[k], record.bytes, record.length);
            run->length[k] += record.length;
            run->bytes[k][run->length[k]++] = '\n';
            run->bytes[k][run->length[k]] = '\0';
            run->count[k]++;
        }
    }
}

struct run_options {
    const char *rules;
    const char *fields; /* One listed field, or NULL. */
    int64_t lateness_ms;
    uint64_t cut_seed;
    uint32_t partition_count;
};

static void run_start(struct run *run, const struct run_options *options)
{
    struct yaml_document *document = NULL;
    struct error error = {""};
    *run = (struct run){.fake = {&fake_ops}};
    char *field = (char *)options->fields;
    assert_int_equal(yaml_parse("rules", options->rules, strlen(options->rules), &document, &error),
                     STATUS_OK);
    struct emit_interventions_options settings = {.rules = yaml_root(document),
                                                  .fields = {&field, field ? 1 : 0}};
    if (emit_interventions_rules(&settings, NULL, &random_feature_set, &run->set, &error) !=
        STATUS_OK) {
        print_error("%s\n", error.message);
        fail();
    }
    const struct record_part part = {.name = "fake",
                                     .id = PART_SESSIONIZE,
                                     .version = 1,
                                     .kind = ENTITY_USER,
                                     .bytes = sizeof(struct fake_part)};
    assert_int_equal(record_layout_add(&run->layout, &part, &fake_offset, &error), STATUS_OK);
    struct emit_interventions_context context = {
        .partition = "p0",
        .partition_count = options->partition_count ? options->partition_count : 1,
        .configuration = 5,
        .numeric_profile = "test profile"};
    assert_int_equal(emit_interventions_create(&settings, run->set, &random_feature_set, &context,
                                               &run->layout, &run->stage, &error),
                     STATUS_OK);
    yaml_unload(document);
    int64_t floor_ms = emit_interventions_timer_floor_ms(run->set);
    run->fixture = stage_fixture_create(
        &(struct stage_fixture_options){.layout = &run->layout,
                                        .stages = {&run->fake, run->stage},
                                        .lateness_ms = options->lateness_ms,
                                        .floor_ms = floor_ms < GAP_MS ? floor_ms : GAP_MS,
                                        .cut_seed = options->cut_seed,
                                        .feature_count = RANDOM_FEATURES,
                                        .visit = collect,
                                        .context = run});
}

static void run_end(struct run *run)
{
    stage_fixture_destroy(run->fixture);
    stage_destroy(run->stage);
    rule_set_destroy(run->set);
    for (int k = 0; k < 3; k++) {
        free(run->bytes[k]);
    }
}

static void run_events(struct run *run, const char *rules, const struct fixture_event *events,
                       uint32_t count)
{
    run_start(run, &(struct run_options){.rules = rules});
    stage_fixture_run(run->fixture, events, count);
    stage_fixture_drain(run->fixture);
}

static uint32_t occurrences(const char *text, const char *piece)
{
    uint32_t count = 0;
    for (const char *at = text; at && (at = strstr(at, piece)); at++) {
        count++;
    }
    return count;
}

static void assert_has(const char *text, const char *piece)
{
    if (!text || !strstr(text, piece)) {
        print_error("missing: %s\nin: %s\n", piece, text ? text : "(nothing)");
        fail();
    }
}

/* ---- The records ---- */

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
    struct run run;
    run_start(&run,
              &(struct run_options){
                  .rules = "- name: big\n  on: purchase\n  if: fraud_score >= 0.8\n"
                           "  alert: {severity: high, suggest: step_up,\n"
                           "          reason: \"{item} at {price:.2}, score {fraud_score}\"}\n",
                  .fields = "item"});
    stage_fixture_run(run.fixture, events, 2);
    assert_int_equal(run.count[0], 1);
    assert_int_equal(run.count[1], 0);
    assert_int_equal(run.count[2], 1);
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
        assert_has(run.bytes[0], expected[i]);
    }
    assert_null(strstr(run.bytes[0], "secret"));
    assert_null(strstr(run.bytes[0], "\"u\""));
    assert_has(run.bytes[2], "\"is_emitted\":true,\"suppressed_by\":null,\"arm\":\"treated\","
                             "\"propensity\":1");
    assert_has(run.bytes[2], "\"features\":[80,81,82,83,84,85]");
    assert_has(run.bytes[2], "\"numeric_profile\":\"test profile\"");
    assert_has(run.bytes[2], "\"condition\":\"fraud_score >= 0.8\"");
    assert_has(run.bytes[2],
               "\"limits\":{\"delay_ms\":null,\"cooldown_ms\":null,\"cap_count\":null,"
               "\"cap_window_ms\":null,\"budget_count\":null,\"budget_amount\":null,"
               "\"budget_currency\":null,\"budget_per\":null,"
               "\"holdout_share\":null}");
    /* Alert and decision have one id. */
    assert_memory_equal(run.bytes[0], run.bytes[2], strlen("{\"decision_id\":\"\"") + 32);
    run_end(&run);
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
    struct run run;
    run_events(&run, "- {name: a, on: any, alert: {reason: x}}\n", events, 1);
    assert_int_equal(run.count[0], 1);
    const char *terms = strstr(run.bytes[0], "\"terms\":[");
    const char *end = strstr(terms, "],");
    double sum = number_after(run.bytes[0], "\"intercept\":") + number_after(end, "\"others\":");
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
    assert_true(fabs(sum - number_after(run.bytes[0], "\"score\":\"fraud\",\"logit\":")) < 1e-5);
    run_end(&run);
}

static void a_promotion_says_what_it_offers_and_until_when(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_SEARCH, .query = "private words"}};
    struct run run;
    run_events(&run,
               "- {name: a, on: search, promotion: {kind: coupon, value: 7.5, currency: EUR, "
               "valid_for: 36h}}\n",
               events, 1);
    assert_int_equal(run.count[1], 1);
    assert_has(run.bytes[1], "\"action\":\"coupon\",\"value\":7.5,\"currency\":\"EUR\","
                             "\"percent\":null,\"valid_until\":\"2019-10-02T12:00:00.000Z\","
                             "\"reason\":null");
    assert_null(strstr(run.bytes[1], "private"));
    run_end(&run);
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
        struct run run;
        run_events(&run, rows[i].rules, events, 1);
        assert_int_equal(run.count[2], 1);
        assert_has(run.bytes[2], rows[i].expected);
        run_end(&run);
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
        struct run run;
        run_events(&run, rows[i].rules, events, 1);
        assert_int_equal(run.count[rows[i].topic], 1);
        assert_has(run.bytes[rows[i].topic], rows[i].expected[0]);
        assert_has(run.bytes[rows[i].topic], rows[i].expected[1]);
        run_end(&run);
    }
}

/* ---- Limits ---- */

#define OFFER(name, more)                                                                          \
    "- {name: " name ", on: search, " more                                                         \
    "promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}}\n"

static void each_limit_suppresses_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *rules;
        int64_t times_ms[6];
        uint32_t count;
        const char *expected; /* What became of each decision, in order; "+": emitted. */
    } rows[] = {
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
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fixture_event events[6];
        for (uint32_t k = 0; k < rows[i].count; k++) {
            events[k] = (struct fixture_event){
                .user = "u", .time_ms = START_MS + rows[i].times_ms[k], .type = EVENT_SEARCH};
        }
        struct run run;
        run_start(&run, &(struct run_options){.rules = rows[i].rules, .lateness_ms = 2 * DAY_MS});
        stage_fixture_run(run.fixture, events, rows[i].count);
        char got[256] = "";
        size_t length = 0;
        for (const char *at = run.bytes[2]; at && (at = strstr(at, "\"suppressed_by\":")); at++) {
            at += strlen("\"suppressed_by\":");
            char word[16] = "+";
            if (*at == '"') {
                (void)sscanf(at, "\"%15[a-z_]", word);
            }
            length += (size_t)snprintf(got + length, sizeof(got) - length, "%s ", word);
        }
        if (strcmp(got, rows[i].expected) != 0) {
            print_error("%s: expected %s, got %s\n", rows[i].name, rows[i].expected, got);
            fail();
        }
        struct emit_interventions_counters counters = emit_interventions_counters(run.stage);
        assert_int_equal(counters.decisions, run.count[2]);
        assert_int_equal(counters.alerts, run.count[0]);
        assert_int_equal(counters.promotions, run.count[1]);
        assert_int_equal(counters.suppressed[SUPPRESSED_CAP], occurrences(got, "cap"));
        assert_int_equal(counters.suppressed[SUPPRESSED_OUTRANKED], occurrences(got, "outranked"));
        run_end(&run);
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
    struct run run;
    run_start(&run, &(struct run_options){.rules = OFFER("a", "budget: {count: 10, per: total}, "),
                                          .partition_count = 3});
    stage_fixture_run(run.fixture, events, 8);
    assert_int_equal(run.count[1], 3);
    run_end(&run);
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
    struct run run;
    run_events(&run, OFFER("a", "holdout: {share: 0.25, salt: s}, cooldown: 1h, "), events, 800);
    uint32_t held = occurrences(run.bytes[2], "\"suppressed_by\":\"held_out\",\"arm\":\"held_out\","
                                              "\"propensity\":0.25,");
    assert_in_range(held, 100 - 35, 100 + 35); /* Four standard deviations of 8.7. */
    assert_int_equal(run.count[1], 400 - held);
    assert_int_equal(occurrences(run.bytes[2], "\"arm\":\"treated\",\"propensity\":0.75,"),
                     2 * (400 - held));
    /* A held-out user's cool-down runs as well, so both arms are eligible at the same times. */
    assert_int_equal(occurrences(run.bytes[2], "\"suppressed_by\":\"cooldown\""), 400);
    run_end(&run);
}

/* ---- Timers ---- */

#define CART_RULE                                                                                  \
    "- {name: cart, on: {idle_cart: 10m}, promotion: {kind: reminder, valid_for: 1d}}\n"

static void an_idle_cart_fires_when_nothing_touched_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *rules;
        struct {
            int64_t minute;
            enum event_type type;
            int64_t quantity;
        } events[5];
        uint32_t count;
        const char *expected; /* Times of promotions. */
    } rows[] = {
        {"left alone", CART_RULE, {{0, EVENT_ADD_TO_CART, 1}}, 1, "00:10 "},
        {"moved by a later addition",
         CART_RULE,
         {{0, EVENT_ADD_TO_CART, 1}, {8, EVENT_ADD_TO_CART, 1}},
         2,
         "00:18 "},
        {"a view does not touch it",
         CART_RULE,
         {{0, EVENT_ADD_TO_CART, 1}, {8, EVENT_PRODUCT_VIEW, 0}},
         2,
         "00:10 "},
        {"bought", CART_RULE, {{0, EVENT_ADD_TO_CART, 2}, {9, EVENT_PURCHASE, 1}}, 2, ""},
        {"emptied", CART_RULE, {{0, EVENT_ADD_TO_CART, 2}, {1, EVENT_REMOVE_FROM_CART, 2}}, 2, ""},
        {"emptied in part",
         CART_RULE,
         {{0, EVENT_ADD_TO_CART, 2}, {1, EVENT_REMOVE_FROM_CART, 1}},
         2,
         "00:11 "},
        {"twice",
         CART_RULE,
         {{0, EVENT_ADD_TO_CART, 1}, {60, EVENT_ADD_TO_CART, 1}},
         2,
         "00:10 01:10 "},
        {"two delays",
         CART_RULE "- {name: later, on: {idle_cart: 2h}, promotion: {kind: reminder, "
                   "valid_for: 1d}}\n",
         {{0, EVENT_ADD_TO_CART, 1}},
         1,
         "00:10 02:00 "},
        {"a late event from before does not touch it",
         CART_RULE,
         {{5, EVENT_ADD_TO_CART, 1}, {2, EVENT_ADD_TO_CART, 1}},
         2,
         "00:15 "},
        {"after the last purchase",
         "- {name: a, on: {after: {event: purchase, delay: 1h}}, promotion: {kind: reminder, "
         "valid_for: 1d}}\n",
         {{0, EVENT_PURCHASE, 1}, {30, EVENT_PURCHASE, 1}, {40, EVENT_SEARCH, 1}},
         3,
         "01:30 "},
        {"after the first purchase",
         "- {name: a, on: {after: {event: purchase, delay: 1h, from: first}}, promotion: {kind: "
         "reminder, valid_for: 1d}}\n",
         {{0, EVENT_PURCHASE, 1}, {30, EVENT_PURCHASE, 1}, {70, EVENT_PURCHASE, 1}},
         3,
         "01:00 02:10 "},
        {"a session's end",
         "- {name: a, on: session_end, promotion: {kind: reminder, valid_for: 1d}}\n",
         {{0, EVENT_SEARCH, 1}, {20, EVENT_SEARCH, 1}, {90, EVENT_SEARCH, 1}},
         3,
         "00:50 02:00 "},
        {"a condition on the timer's row",
         "- {name: a, on: {idle_cart: 10m}, if: missing(type) and hour() == 1, promotion: {kind: "
         "reminder, valid_for: 1d}}\n",
         {{0, EVENT_ADD_TO_CART, 1}, {60, EVENT_ADD_TO_CART, 1}},
         2,
         "01:10 "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct fixture_event events[5];
            for (uint32_t k = 0; k < rows[i].count; k++) {
                events[k] = (struct fixture_event){.user = "u",
                                                   .time_ms = START_MS +
                                                              rows[i].events[k].minute * MINUTE_MS,
                                                   .type = rows[i].events[k].type,
                                                   .quantity = rows[i].events[k].quantity};
            }
            struct run run;
            run_start(&run, &(struct run_options){.rules = rows[i].rules,
                                                  .lateness_ms = 5 * MINUTE_MS,
                                                  .cut_seed = seed});
            stage_fixture_run(run.fixture, events, rows[i].count);
            stage_fixture_drain(run.fixture);
            char got[128] = "";
            size_t length = 0;
            for (const char *at = run.bytes[1]; at && (at = strstr(at, "\"time\":\"")); at++) {
                length += (size_t)snprintf(got + length, sizeof(got) - length, "%.5s ",
                                           at + strlen("\"time\":\"2019-10-01T"));
            }
            if (strcmp(got, rows[i].expected) != 0) {
                print_error("%s: expected %s, got %s\n", rows[i].name, rows[i].expected, got);
                fail();
            }
            run_end(&run);
        }
    }
}

/* "ordinal cause_minute" of each decision, in order. */
static void causes_of(const struct run *run, char *got, size_t bytes)
{
    size_t length = 0;
    got[0] = '\0';
    for (const char *at = run->bytes[2]; at && (at = strstr(at, "\"ordinal\":")); at++) {
        const char *time = strstr(at, "\"cause_time\":\"");
        assert_non_null(time);
        length += (size_t)snprintf(got + length, bytes - length, "%d %.5s, ",
                                   atoi(at + strlen("\"ordinal\":")),
                                   time + strlen("\"cause_time\":\"2019-10-01T"));
    }
}

static void a_timer_names_the_event_that_set_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *rules;
        struct {
            int64_t minute;
            enum event_type type;
        } events[4];
        uint32_t count;
        const char *expected;
    } rows[] = {
        {"the last that touched the cart",
         CART_RULE,
         {{0, EVENT_ADD_TO_CART}, {8, EVENT_ADD_TO_CART}, {9, EVENT_SEARCH}},
         3,
         "1 00:08, "},
        {"not a late one from before",
         CART_RULE,
         {{5, EVENT_ADD_TO_CART}, {2, EVENT_ADD_TO_CART}},
         2,
         "0 00:05, "},
        {"the last of two at one time",
         CART_RULE,
         {{5, EVENT_ADD_TO_CART}, {5, EVENT_ADD_TO_CART}},
         2,
         "1 00:05, "},
        {"two rules, one cart",
         CART_RULE "- {name: later, on: {idle_cart: 2h}, promotion: {kind: reminder, "
                   "valid_for: 1d}}\n",
         {{0, EVENT_ADD_TO_CART}, {30, EVENT_SEARCH}},
         2,
         "0 00:00, 0 00:00, "},
        {"the latest that was waited from",
         "- {name: a, on: {after: {event: purchase, delay: 1h}}, alert: {reason: x}}\n",
         {{0, EVENT_PURCHASE}, {4, EVENT_PURCHASE}, {3, EVENT_PURCHASE}, {8, EVENT_SEARCH}},
         4,
         "1 00:04, "},
        {"the first that was waited from",
         "- {name: a, on: {after: {event: purchase, delay: 1h, from: first}}, alert: {reason: "
         "x}}\n",
         {{0, EVENT_PURCHASE}, {30, EVENT_PURCHASE}, {70, EVENT_PURCHASE}},
         3,
         "0 00:00, 2 01:10, "},
        {"the last of the session",
         "- {name: a, on: session_end, alert: {reason: x}}\n",
         {{0, EVENT_SEARCH}, {20, EVENT_SEARCH}, {90, EVENT_SEARCH}},
         3,
         "1 00:20, 2 01:30, "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct fixture_event events[4];
            for (uint32_t k = 0; k < rows[i].count; k++) {
                events[k] = (struct fixture_event){.user = "u",
                                                   .time_ms = START_MS +
                                                              rows[i].events[k].minute * MINUTE_MS,
                                                   .type = rows[i].events[k].type,
                                                   .quantity = 1};
            }
            struct run run;
            char got[256];
            run_start(&run, &(struct run_options){.rules = rows[i].rules,
                                                  .lateness_ms = 5 * MINUTE_MS,
                                                  .cut_seed = seed});
            stage_fixture_run(run.fixture, events, rows[i].count);
            stage_fixture_drain(run.fixture);
            causes_of(&run, got, sizeof(got));
            if (strcmp(got, rows[i].expected) != 0) {
                print_error("%s: expected %s, got %s\n", rows[i].name, rows[i].expected, got);
                fail();
            }
            run_end(&run);
        }
    }
}

/* ---- Batches ---- */

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
    struct run whole;
    run_start(&whole, &(struct run_options){.rules = busy_rules, .lateness_ms = 5 * MINUTE_MS});
    stage_fixture_run(whole.fixture, events, EVENTS);
    stage_fixture_drain(whole.fixture);
    assert_true(whole.count[0] > 500 && whole.count[1] > 100 && whole.count[2] > 1000);
    static const char *const causes[] = {"\"cause\":\"event\"", "\"cause\":\"idle_cart\"",
                                         "\"cause\":\"after\"", "\"cause\":\"session_end\"",
                                         "\"cooldown\"",        "\"cap\"",
                                         "\"outranked\"",       "\"budget\"",
                                         "\"held_out\""};
    for (size_t i = 0; i < sizeof(causes) / sizeof(*causes); i++) {
        assert_has(whole.bytes[2], causes[i]);
    }
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct run cut;
        run_start(&cut, &(struct run_options){
                            .rules = busy_rules, .lateness_ms = 5 * MINUTE_MS, .cut_seed = seed});
        stage_fixture_run(cut.fixture, events, EVENTS);
        stage_fixture_drain(cut.fixture);
        assert_true(stage_fixture_batches(cut.fixture) > stage_fixture_batches(whole.fixture));
        for (int k = 0; k < 3; k++) {
            assert_int_equal(cut.count[k], whole.count[k]);
            assert_int_equal(cut.length[k], whole.length[k]);
            assert_memory_equal(cut.bytes[k], whole.bytes[k], whole.length[k]);
        }
        assert_true(stage_fixture_state_hash(cut.fixture) ==
                    stage_fixture_state_hash(whole.fixture));
        run_end(&cut);
    }
    run_end(&whole);
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
    struct run run;
    run_events(&run, busy_rules, events, EVENTS);
    const char **ids = calloc(run.count[2], sizeof(*ids));
    assert_non_null(ids);
    uint32_t count = 0;
    for (const char *at = run.bytes[2]; (at = strstr(at, "{\"decision_id\":\"")); at++) {
        ids[count++] = at + strlen("{\"decision_id\":\"");
    }
    assert_int_equal(count, run.count[2]);
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(memcmp(ids[i - 1], ids[i], 32) != 0);
    }
    free(ids);
    run_end(&run);
}

static void rows_that_are_not_live_are_passed_over(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "u", .time_ms = START_MS, .type = EVENT_ADD_TO_CART, .is_diverted = true}};
    struct run run;
    run_events(&run, CART_RULE "- {name: a, on: any, alert: {reason: x}}\n", events, 1);
    assert_int_equal(run.count[2], 0);
    run_end(&run);
}

static void an_unknown_listed_field_is_refused(void **state)
{
    (void)state;
    char word[] = "itm";
    char *fields[] = {word};
    struct emit_interventions_options options = {.fields = {fields, 1}};
    struct rule_set *set = NULL;
    struct error error = {""};
    assert_int_equal(emit_interventions_rules(&options, NULL, &random_feature_set, &set, &error),
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
        cmocka_unit_test(a_score_that_was_not_computed_makes_way_for_the_next_best),
        cmocka_unit_test(a_decision_says_what_the_limits_of_its_rule_are),
        cmocka_unit_test(each_limit_suppresses_with_its_reason),
        cmocka_unit_test(budgets_are_split_between_partitions),
        cmocka_unit_test(held_out_users_get_a_decision_and_no_promotion),
        cmocka_unit_test(an_idle_cart_fires_when_nothing_touched_it),
        cmocka_unit_test(a_timer_names_the_event_that_set_it),
        cmocka_unit_test(any_cut_into_batches_gives_the_same),
        cmocka_unit_test(ids_of_decisions_are_unique),
        cmocka_unit_test(rows_that_are_not_live_are_passed_over),
        cmocka_unit_test(an_unknown_listed_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
