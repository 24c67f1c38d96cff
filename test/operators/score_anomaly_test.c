#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "operators/extract_features.h"
#include "operators/score_anomaly.h"
#include "pipeline/state/record.h"
#include "test/fakes/stage_fixture.h"

#define EVENTS 1500u
#define TERMS 32u

struct seen {
    float logits[EVENTS];
    uint32_t count, explained;
    float worst; /* Distance of a row's terms from its logit. */
};

static void visit(void *context, const struct event_batch *batch)
{
    struct seen *seen = context;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        float logit = batch->score_logit[SCORE_ANOMALY][row];
        float score = batch->score[SCORE_ANOMALY][row];
        assert_true(isnan(logit) ? isnan(score) : score >= 0 && score <= 1);
        if (batch->kind[row] != ROW_EVENT) {
            assert_true(isnan(logit));
            continue;
        }
        assert_true(seen->count < EVENTS);
        seen->logits[seen->count++] = logit;
        if (isnan(logit)) {
            continue;
        }
        struct contribution terms[TERMS];
        const struct score_explainer *explainer = &batch->explainer[SCORE_ANOMALY];
        uint32_t count = explainer->explain(explainer->context, batch, row, terms, TERMS);
        float sum = 0;
        for (uint32_t k = 0; k < count; k++) {
            assert_non_null(terms[k].name);
            sum += terms[k].logit;
        }
        float distance = fabsf(sum - logit);
        seen->worst = distance > seen->worst ? distance : seen->worst;
        seen->explained++;
    }
}

static struct fixture_event events[EVENTS];

/* Prices of three users; one of event 1,200 is far above all others. */
static void make_events(void)
{
    static const char *const users[] = {"ada", "ben", "cyd"};
    uint64_t random = 7;
    for (uint32_t i = 0; i < EVENTS; i++) {
        events[i] = (struct fixture_event){
            .user = users[fixture_random(&random) % 3],
            .time_ms = INT64_C(1700000000000) + (int64_t)i * 1000,
            .type = i % 50 == 7 ? EVENT_SEARCH : EVENT_PRODUCT_VIEW,
            .price = i % 50 == 7 ? 0 : 10000000 + (int64_t)(fixture_random(&random) % 5000000),
            .quantity = 1 + (int64_t)(fixture_random(&random) % 3),
        };
    }
    events[1200].price = 900000000;
}

static char *names[] = {(char *)(uintptr_t) "price", (char *)(uintptr_t) "quantity",
                        (char *)(uintptr_t) "session_events"};

static struct score_anomaly_options options_of(enum anomaly_detector detector)
{
    return (struct score_anomaly_options){
        .detector = (int)detector,
        .inputs = {.items = names, .count = detector == ANOMALY_ROBUST_EWMA ? 1 : 2},
        .hold = 0,
        .sample = 128,
        .reservoir = 256,
        .depth = 6,
        .window = 100,
        .seed = 5,
    };
}

static uint64_t run(const struct score_anomaly_options *options, uint64_t cut_seed,
                    struct seen *seen)
{
    struct record_layout layout = {0};
    struct stage *features, *stage;
    struct extract_features_options extract = {.cart_lifetime_ms = 86400000};
    struct error error;
    memset(seen, 0, sizeof(*seen));
    assert_int_equal(extract_features_create(&extract, NULL, &layout, &features, &error),
                     STATUS_OK);
    assert_int_equal(score_anomaly_create(options, extract_features_set(), &layout, &stage, &error),
                     STATUS_OK);
    struct stage_fixture *fixture = stage_fixture_create(&(struct stage_fixture_options){
        .layout = &layout,
        .stages = {features, stage},
        .floor_ms = 60000,
        .lateness_ms = 5000,
        .feature_count = extract_features_set()->count,
        .visit = visit,
        .context = seen,
        .cut_seed = cut_seed,
    });
    stage_fixture_run(fixture, events, EVENTS);
    uint64_t hash = stage_fixture_state_hash(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
    stage_destroy(features);
    return hash;
}

static const enum anomaly_detector detectors[] = {ANOMALY_ROBUST_EWMA, ANOMALY_ISOLATION_FOREST,
                                                  ANOMALY_HALF_SPACE_TREES};

static void scores_and_state_do_not_depend_on_batches(void **state)
{
    (void)state;
    static struct seen first, other;
    for (size_t i = 0; i < 3; i++) {
        struct score_anomaly_options options = options_of(detectors[i]);
        uint64_t hash = run(&options, 1, &first);
        assert_int_equal(first.count, EVENTS);
        for (uint64_t seed = 2; seed < 8; seed++) {
            assert_true(run(&options, seed, &other) == hash);
            assert_memory_equal(first.logits, other.logits, sizeof(first.logits));
        }
    }
}

static void reasons_sum_to_the_score(void **state)
{
    (void)state;
    static struct seen seen;
    for (size_t i = 0; i < 3; i++) {
        struct score_anomaly_options options = options_of(detectors[i]);
        (void)run(&options, 1, &seen);
        assert_true(seen.explained > 1000);
        assert_true(seen.worst < 1e-4f);
    }
}

static void what_stands_out_is_among_the_highest_scores(void **state)
{
    (void)state;
    static struct seen seen;
    for (size_t i = 0; i < 2; i++) { /* Half-space trees tell it from most alone. */
        struct score_anomaly_options options = options_of(detectors[i]);
        uint32_t higher = 0;
        (void)run(&options, 1, &seen);
        for (uint32_t k = 600; k < EVENTS; k++) {
            bool lacks_price = k % 50 == 7; /* Which is odd as well. */
            higher += !lacks_price && seen.logits[k] > seen.logits[1200];
        }
        assert_true(higher <= 9); /* One in a hundred. */
    }
}

static void events_without_the_input_are_not_scored(void **state)
{
    (void)state;
    static struct seen seen;
    struct score_anomaly_options options = options_of(ANOMALY_ROBUST_EWMA);
    (void)run(&options, 1, &seen);
    for (uint32_t i = 500; i < EVENTS; i++) {
        assert_true(isnan(seen.logits[i]) == (i % 50 == 7));
    }
}

static void without_a_detector_nothing_is_scored_and_nothing_kept(void **state)
{
    (void)state;
    static struct seen seen;
    struct score_anomaly_options options = options_of(ANOMALY_NONE);
    struct record_layout layout = {0};
    struct stage *stage;
    struct error error;
    assert_int_equal(
        score_anomaly_create(&options, extract_features_set(), &layout, &stage, &error), STATUS_OK);
    assert_int_equal(layout.part_count, 0);
    stage_destroy(stage);
    (void)run(&options, 1, &seen);
    assert_int_equal(seen.explained, 0);
    assert_int_equal(score_anomaly_hash(&options), 0);
}

static void refused(struct score_anomaly_options options, const char *words)
{
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    struct error error;
    assert_int_equal(
        score_anomaly_create(&options, extract_features_set(), &layout, &stage, &error),
        STATUS_INVALID);
    assert_null(stage);
    if (!strstr(error.message, words)) {
        fail_msg("\"%s\" expected in \"%s\"", words, error.message);
    }
}

static void wrong_inputs_and_sizes_are_refused_by_name(void **state)
{
    (void)state;
    struct score_anomaly_options options = options_of(ANOMALY_ISOLATION_FOREST);
    char *wrong[] = {(char *)(uintptr_t) "prize"};
    char *empty[] = {(char *)(uintptr_t) "attributes."};
    options.inputs = (struct text_list){.items = wrong, .count = 1};
    refused(options, "did you mean price?");
    options.inputs.items = empty;
    refused(options, "\"attributes.\"");
    options.inputs.count = 0;
    refused(options, "1 to 16 expected");
    options = options_of(ANOMALY_ROBUST_EWMA);
    options.inputs.count = 2;
    refused(options, "1 expected");
    options = options_of(ANOMALY_HALF_SPACE_TREES);
    options.depth = 12;
    refused(options, "at most 65536");
}

static void the_hash_tells_every_setting_that_matters(void **state)
{
    (void)state;
    struct score_anomaly_options options = options_of(ANOMALY_ISOLATION_FOREST);
    uint64_t hash = score_anomaly_hash(&options);
    options.seed++;
    assert_true(score_anomaly_hash(&options) != hash);
    options = options_of(ANOMALY_ISOLATION_FOREST);
    options.inputs.count = 3;
    assert_true(score_anomaly_hash(&options) != hash);
}

static int setup(void **state)
{
    (void)state;
    make_events();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_and_state_do_not_depend_on_batches),
        cmocka_unit_test(reasons_sum_to_the_score),
        cmocka_unit_test(what_stands_out_is_among_the_highest_scores),
        cmocka_unit_test(events_without_the_input_are_not_scored),
        cmocka_unit_test(without_a_detector_nothing_is_scored_and_nothing_kept),
        cmocka_unit_test(wrong_inputs_and_sizes_are_refused_by_name),
        cmocka_unit_test(the_hash_tells_every_setting_that_matters),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
