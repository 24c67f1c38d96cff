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
#include "operators/predict_intent.h"
#include "pipeline/state/record.h"
#include "test/fakes/fixture.h"
#include "test/fakes/scored_batch.h"
#include "test/fakes/stage_fixture.h"

#define ROWS 200u

struct scene {
    char *directory;
    char purchase[4096], abandon[4096];
    struct predict_intent_packs packs;
    struct stage *stage;
    struct event_batch batch;
};

static void load(struct scene *scene, char *purchase, char *abandon)
{
    struct predict_intent_options options = {.purchase_pack = purchase, .abandon_pack = abandon};
    struct record_layout layout = {0};
    struct error error;
    assert_int_equal(predict_intent_load(&options, &scene->packs, &error), STATUS_OK);
    assert_int_equal(predict_intent_create(&scene->packs, extract_features_set(), &layout,
                                           &scene->stage, &error),
                     STATUS_OK);
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->directory = fixture_directory();
    (void)snprintf(scene->purchase, sizeof(scene->purchase), "%s/purchase", scene->directory);
    (void)snprintf(scene->abandon, sizeof(scene->abandon), "%s/abandon", scene->directory);
    scored_batch_write_pack(scene->purchase, 11, NULL);
    scored_batch_write_pack(scene->abandon, 12, NULL);
    scored_batch_make(&scene->batch, ROWS, 7);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    stage_destroy(scene->stage);
    predict_intent_unload(&scene->packs);
    event_batch_release(&scene->batch);
    fixture_remove(scene->directory);
    free(scene->directory);
    free(scene);
    return 0;
}

static void process(const struct scene *scene, struct event_batch *batch)
{
    struct error error;
    assert_int_equal(scene->stage->ops->process(scene->stage, batch, &error), STATUS_OK);
}

static void score_of_a_row_does_not_depend_on_its_batch(void **state)
{
    struct scene *scene = *state;
    load(scene, scene->purchase, scene->abandon);
    process(scene, &scene->batch);
    struct event_batch other;
    scored_batch_make(&other, ROWS, 1);
    uint64_t seed = 3;
    for (uint32_t count = 1; count <= ROWS; count++) {
        uint32_t from[ROWS];
        other.row_count = count;
        for (uint32_t row = 0; row < count; row++) {
            from[row] = (uint32_t)(fixture_random(&seed) % ROWS);
            scored_batch_copy_row(&scene->batch, from[row], &other, row);
        }
        process(scene, &other);
        for (uint32_t row = 0; row < count; row++) {
            for (int kind = SCORE_PURCHASE; kind <= SCORE_ABANDON; kind++) {
                assert_memory_equal(&other.score[kind][row], &scene->batch.score[kind][from[row]],
                                    sizeof(float));
            }
        }
    }
    event_batch_release(&other);
}

static void contributions_sum_to_the_logit(void **state)
{
    struct scene *scene = *state;
    load(scene, scene->purchase, scene->abandon);
    process(scene, &scene->batch);
    assert_true(scored_batch_explain_error(&scene->batch, SCORE_PURCHASE) < 1e-4f);
    assert_true(scored_batch_explain_error(&scene->batch, SCORE_ABANDON) < 1e-4f);
    assert_non_null(strstr(scene->batch.explainer[SCORE_PURCHASE].version, "random 1 "));
}

static void explains_at_most_as_many_terms_as_there_is_room_for(void **state)
{
    struct scene *scene = *state;
    load(scene, scene->purchase, NULL);
    process(scene, &scene->batch);
    const struct score_explainer *explainer = &scene->batch.explainer[SCORE_PURCHASE];
    struct contribution terms[4] = {{.name = "untouched"}, {0}, {0}, {.name = "untouched"}};
    assert_int_equal(explainer->explain(explainer->context, &scene->batch, 0, terms, 3), 3);
    assert_string_equal(terms[3].name, "untouched");
    assert_int_equal(explainer->explain(explainer->context, &scene->batch, 0, terms, 0), 0);
}

static void scores_are_chances_on_live_rows_and_missing_elsewhere(void **state)
{
    struct scene *scene = *state;
    load(scene, scene->purchase, scene->abandon);
    process(scene, &scene->batch);
    int32_t cart = feature_index(extract_features_set(), "cart_pieces");
    assert_true(cart >= 0);
    uint32_t with_cart = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
        float pieces =
            scene->batch.features[(size_t)row * scene->batch.feature_stride + (size_t)cart];
        bool is_live = scene->batch.state[row] == ROW_LIVE;
        float purchase = scene->batch.score[SCORE_PURCHASE][row];
        float abandon = scene->batch.score[SCORE_ABANDON][row];
        assert_int_equal(is_live, purchase >= 0 && purchase <= 1);
        assert_int_equal(is_live && pieces > 0, abandon >= 0 && abandon <= 1);
        with_cart += is_live && pieces > 0;
    }
    assert_in_range(with_cart, 10, ROWS - 10);
}

static void without_packs_nothing_is_scored(void **state)
{
    struct scene *scene = *state;
    load(scene, NULL, NULL);
    process(scene, &scene->batch);
    for (uint32_t row = 0; row < ROWS; row++) {
        assert_true(isnan(scene->batch.score[SCORE_PURCHASE][row]));
        assert_true(isnan(scene->batch.score_logit[SCORE_ABANDON][row]));
    }
    assert_null(scene->batch.explainer[SCORE_PURCHASE].explain);
}

static void refuses_a_pack_with_a_feature_that_is_not_there(void **state)
{
    struct scene *scene = *state;
    scored_batch_write_pack(scene->purchase, 1, "session_event");
    struct predict_intent_options options = {.purchase_pack = scene->purchase};
    struct error error;
    struct stage *stage;
    struct record_layout layout = {0};
    assert_int_equal(predict_intent_load(&options, &scene->packs, &error), STATUS_OK);
    assert_int_equal(
        predict_intent_create(&scene->packs, extract_features_set(), &layout, &stage, &error),
        STATUS_INVALID);
    assert_non_null(
        strstr(error.message, "no feature session_event; did you mean session_events?"));
}

static void refuses_a_folder_that_is_not_there(void **state)
{
    struct scene *scene = *state;
    char nowhere[] = "/nonexistent/pack";
    struct predict_intent_options options = {.abandon_pack = nowhere};
    struct error error;
    assert_int_equal(predict_intent_load(&options, &scene->packs, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "/nonexistent/pack/manifest.yaml"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(score_of_a_row_does_not_depend_on_its_batch),
        TEST(contributions_sum_to_the_logit),
        TEST(explains_at_most_as_many_terms_as_there_is_room_for),
        TEST(scores_are_chances_on_live_rows_and_missing_elsewhere),
        TEST(without_packs_nothing_is_scored),
        TEST(refuses_a_pack_with_a_feature_that_is_not_there),
        TEST(refuses_a_folder_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
