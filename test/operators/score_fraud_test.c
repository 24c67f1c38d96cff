#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operators/extract_features.h"
#include "operators/fraud_plan.h"
#include "operators/score_fraud.h"
#include "test/fakes/fixture.h"
#include "test/fakes/scored_batch.h"
#include "test/fakes/stage_fixture.h"

#define ROWS 200u

struct scene {
    char *directory;
    char pack[4096];
    struct yaml_document *document;
    struct score_fraud_options options;
    struct fraud_plan *plan;
    struct stage *stage;
    struct event_batch batch;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->directory = fixture_directory();
    (void)snprintf(scene->pack, sizeof(scene->pack), "%s/pack", scene->directory);
    scored_batch_write_pack(scene->pack, 11, NULL);
    scored_batch_make(&scene->batch, ROWS, 7);
    *state = scene;
    return 0;
}

static void unload(struct scene *scene)
{
    stage_destroy(scene->stage);
    fraud_plan_unload(scene->plan);
    settings_release(&score_fraud_section, &scene->options);
    yaml_unload(scene->document);
    scene->stage = NULL;
    scene->plan = NULL;
    scene->document = NULL;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    unload(scene);
    event_batch_release(&scene->batch);
    fixture_remove(scene->directory);
    free(scene->directory);
    free(scene);
    return 0;
}

/* PACK in the text stands for the folder of the pack. */
static enum status load(struct scene *scene, const char *text, struct error *error)
{
    char yaml[8192];
    const char *mark = strstr(text, "PACK");
    int length = mark ? snprintf(yaml, sizeof(yaml), "%.*s%s%s", (int)(mark - text), text,
                                 scene->pack, mark + 4)
                      : snprintf(yaml, sizeof(yaml), "%s", text);
    unload(scene);
    enum status status = yaml_parse("shop.yaml", yaml, (size_t)length, &scene->document, error);
    assert_int_equal(status, STATUS_OK);
    status =
        settings_read(&score_fraud_section, yaml_root(scene->document), &scene->options, error);
    if (status == STATUS_OK) {
        status = fraud_plan_load(&scene->options, extract_features_set(), &scene->plan, error);
    }
    if (status == STATUS_OK) {
        status = score_fraud_create(scene->plan, extract_features_set(), &scene->stage, error);
    }
    return status;
}

static void run(struct scene *scene, const char *text)
{
    struct error error = {"none"};
    if (load(scene, text, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(scene->stage->ops->process(scene->stage, &scene->batch, &error), STATUS_OK);
}

static void set_feature(struct scene *scene, uint32_t row, const char *name, float value)
{
    int32_t column = feature_index(extract_features_set(), name);
    assert_true(column >= 0);
    scene->batch.features[(size_t)row * scene->batch.feature_stride + (size_t)column] = value;
    scene->batch.state[row] = ROW_LIVE;
}

static void expect_logit(const struct scene *scene, enum fraud_part part, uint32_t row, float logit)
{
    float found = scene->batch.fraud_logit[part][row];
    if (!(fabsf(found - logit) < 1e-5f)) {
        fail_msg("part %d of row %u: %g, %g expected", part, row, (double)found, (double)logit);
    }
}

static void a_rule_adds_once_then_by_its_slope_up_to_its_most(void **state)
{
    struct scene *scene = *state;
    const struct {
        float value, logit;
    } table[] = {{NAN, 0}, {0, 0}, {3, 0}, {4, 1.5f}, {5, 2.0f}, {100, 4}, {INFINITY, 4}};
    for (uint32_t i = 0; i < 7; i++) {
        set_feature(scene, i, "session_events", table[i].value);
    }
    run(scene, "rules: [{feature: session_events, above: 3, adds: 1, slope: 0.5, most: 4}]");
    for (uint32_t i = 0; i < 7; i++) {
        expect_logit(scene, FRAUD_RULES, i, table[i].logit);
    }
}

static void a_rule_looks_below_as_well(void **state)
{
    struct scene *scene = *state;
    set_feature(scene, 0, "session_events", 1);
    set_feature(scene, 1, "session_events", 2);
    run(scene, "rules: [{feature: session_events, below: 2, adds: 3}]");
    expect_logit(scene, FRAUD_RULES, 0, 3);
    expect_logit(scene, FRAUD_RULES, 1, 0);
}

static void a_deviation_is_measured_by_the_percentiles_of_the_pack(void **state)
{
    struct scene *scene = *state;
    const float values[] = {10, 15, 20, 1000}; /* The pack says 10 and 20. */
    const float logits[] = {0, 1, 2, 6};
    for (uint32_t i = 0; i < 4; i++) {
        set_feature(scene, i, "window_events_10m", values[i]);
    }
    run(scene, "pack: PACK\npack_weight: 0\n"
               "deviations: [{feature: window_events_10m, weight: 2}]");
    for (uint32_t i = 0; i < 4; i++) {
        expect_logit(scene, FRAUD_DEVIATION, i, logits[i]);
    }
    run(scene, "deviations: [{feature: window_events_10m, p99: 15, p999: 25, weight: 2}]");
    expect_logit(scene, FRAUD_DEVIATION, 2, 1);
}

#define WHOLE                                                                                      \
    "base_rate: 0.01\npack: PACK\npack_weight: 0.5\n"                                              \
    "rules:\n  - {name: busy, feature: session_events, above: 1, adds: 1, slope: 0.1}\n"           \
    "deviations:\n  - {feature: window_events_10m}\n  - {feature: rate_events_1h, weight: 0.3}\n"

static void parts_and_base_rate_sum_to_the_logit(void **state)
{
    struct scene *scene = *state;
    run(scene, WHOLE);
    for (uint32_t row = 0; row < ROWS; row++) {
        const struct event_batch *batch = &scene->batch;
        if (batch->state[row] != ROW_LIVE) {
            assert_true(isnan(batch->score[SCORE_FRAUD][row]));
            assert_true(isnan(batch->fraud_logit[FRAUD_MODEL][row]));
            continue;
        }
        double sum = log(0.01 / 0.99);
        for (int part = 0; part < FRAUD_PART_COUNT; part++) {
            sum += (double)batch->fraud_logit[part][row];
        }
        assert_true(fabs(sum - (double)batch->score_logit[SCORE_FRAUD][row]) < 1e-4);
        assert_true(fabs(1 / (1 + exp(-sum)) - (double)batch->score[SCORE_FRAUD][row]) < 1e-5);
    }
}

static void contributions_sum_to_the_logit(void **state)
{
    struct scene *scene = *state;
    run(scene, WHOLE);
    assert_true(scored_batch_explain_error(&scene->batch, SCORE_FRAUD) < 1e-4f);
}

static void score_of_a_row_does_not_depend_on_its_batch(void **state)
{
    struct scene *scene = *state;
    run(scene, WHOLE);
    struct event_batch other;
    struct error error;
    scored_batch_make(&other, ROWS, 1);
    uint64_t seed = 9;
    for (uint32_t count = 1; count <= ROWS; count += 7) {
        uint32_t from[ROWS];
        other.row_count = count;
        for (uint32_t row = 0; row < count; row++) {
            from[row] = (uint32_t)(fixture_random(&seed) % ROWS);
            scored_batch_copy_row(&scene->batch, from[row], &other, row);
        }
        assert_int_equal(scene->stage->ops->process(scene->stage, &other, &error), STATUS_OK);
        for (uint32_t row = 0; row < count; row++) {
            assert_memory_equal(&other.score_logit[SCORE_FRAUD][row],
                                &scene->batch.score_logit[SCORE_FRAUD][from[row]], sizeof(float));
        }
    }
    event_batch_release(&other);
}

static void spares_session_ends_that_no_rule_asks_for_and_no_timer_of_a_rule(void **state)
{
    struct scene *scene = *state;
    struct event_batch *batch = &scene->batch;
    struct error error;
    for (uint32_t row = 0; row < 3; row++) {
        set_feature(scene, row, "session_events", 5);
        batch->kind[row] = row == 0 ? ROW_EVENT : ROW_TIMER;
    }
    batch->timer_slot[1] = TIMER_SESSIONIZE;
    batch->timer_slot[2] = TIMER_INTERVENTIONS;
    run(scene, "rules: [{feature: session_events, above: 3, adds: 1}]");
    expect_logit(scene, FRAUD_RULES, 1, 1);
    scene->plan->spares_session_ends = true;
    assert_int_equal(scene->stage->ops->process(scene->stage, batch, &error), STATUS_OK);
    expect_logit(scene, FRAUD_RULES, 0, 1);
    assert_true(isnan(batch->score[SCORE_FRAUD][1]));
    expect_logit(scene, FRAUD_RULES, 2, 1);
}

static void refuses_with_line_and_nearest_name(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *text, *complaint;
    } table[] = {
        {"rules: [{feature: session_event, above: 1}]", "did you mean \"session_events\"?"},
        {"rules: [{feature: session_events}]", "either above or below"},
        {"rules: [{feature: session_events, above: 1, below: 2}]", "either above or below"},
        {"rules: [{feature: session_events, abov: 1}]", "abov"},
        {"rules: [{feature: session_events, above: .nan}]", "above"},
        {"rules:\n\n  - {feature: session_events, above: x}", "shop.yaml:3: above"},
        {"rules: [{feature: session_events, above: 2, most: 1000}]", "from 0 to 60"},
        {"rules: 5", "a list"},
        {"rules: [5]", "{feature: ...}"},
        {"deviations: [{feature: session_events}]", "or a pack that has percentiles"},
        {"deviations: [{feature: session_events, p99: 5}]", "both p99 and p999"},
        {"deviations: [{feature: session_events, p99: 5, p999: 5}]", "above p99"},
        {"deviations: [{feature: session_events, p99: 5, p999: 6, weight: -1}]", "weight"},
        {"pack: /nonexistent", "/nonexistent/manifest.yaml"},
        {"base_rate: 2", "base_rate"},
        {"backend: cuba", "backend"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct error error = {"accepted"};
        enum status status = load(scene, table[i].text, &error);
        if (status != STATUS_INVALID || !strstr(error.message, table[i].complaint)) {
            fail_msg("%s: \"%s\", %s expected", table[i].text, error.message, table[i].complaint);
        }
    }
}

static void hash_moves_with_whatever_moves_the_score(void **state)
{
    struct scene *scene = *state;
    static const char *const texts[] = {
        "base_rate: 0.01",
        "base_rate: 0.02",
        "rules: [{feature: session_events, above: 1, adds: 1}]",
        "rules: [{feature: session_events, above: 2, adds: 1}]",
        "rules: [{feature: session_events, above: 2, adds: 1.5}]",
        "rules: [{feature: user_events, above: 2, adds: 1.5}]",
        "pack: PACK",
        "pack: PACK\npack_weight: 0.5",
    };
    uint64_t hashes[8];
    for (size_t i = 0; i < 8; i++) {
        run(scene, texts[i]);
        hashes[i] = fraud_plan_hash(scene->plan);
        for (size_t j = 0; j < i; j++) {
            assert_true(hashes[i] != hashes[j]);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_rule_adds_once_then_by_its_slope_up_to_its_most),
        TEST(a_rule_looks_below_as_well),
        TEST(a_deviation_is_measured_by_the_percentiles_of_the_pack),
        TEST(parts_and_base_rate_sum_to_the_logit),
        TEST(contributions_sum_to_the_logit),
        TEST(score_of_a_row_does_not_depend_on_its_batch),
        TEST(spares_session_ends_that_no_rule_asks_for_and_no_timer_of_a_rule),
        TEST(refuses_with_line_and_nearest_name),
        TEST(hash_moves_with_whatever_moves_the_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
