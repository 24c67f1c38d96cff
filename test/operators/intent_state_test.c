/* Recurrent packs in the pipeline: sessions, waves, cuts of batches, other packs, reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/model_backend.h"
#include "operators/extract_features.h"
#include "operators/predict_intent.h"
#include "operators/sessionize.h"
#include "pipeline/state/record.h"
#include "test/fakes/fixture.h"
#include "test/fakes/network_pack.h"
#include "test/fakes/stage_fixture.h"

#define EVENTS 1500u
#define ROWS_MAX (3 * EVENTS)
#define FEATURES_HERE 160u

/* What was seen of one row. */
struct seen_row {
    uint64_t session;
    int64_t session_start_ms;
    float logit;
    bool is_event, is_label;
    float features[FEATURES_HERE];
};

struct scene {
    char *directory;
    char path[4096];
    struct predict_intent_packs packs;
    struct record_layout layout;
    struct stage *stages[3];
    struct seen_row *rows; /* [ROWS_MAX] */
    uint32_t count, explained;
    bool spares_session_ends;
    double worst; /* Distance of a sum of reasons from its logit. */
};

static void start(struct scene *scene, const char *kind, uint32_t hidden)
{
    struct error error;
    struct sessionize_options sessions;
    struct extract_features_options features;
    network_pack_write(scene->path, kind, hidden, 5);
    struct predict_intent_options options = {.purchase_pack = scene->path};
    assert_int_equal(settings_read(&sessionize_section, NULL, &sessions, &error), STATUS_OK);
    assert_int_equal(settings_read(&extract_features_section, NULL, &features, &error), STATUS_OK);
    assert_int_equal(predict_intent_load(&options, &scene->packs, &error), STATUS_OK);
    scene->packs.spares_session_ends = scene->spares_session_ends;
    assert_int_equal(sessionize_create(&sessions, &scene->layout, &scene->stages[0], &error),
                     STATUS_OK);
    assert_int_equal(
        extract_features_create(&features, NULL, &scene->layout, &scene->stages[1], &error),
        STATUS_OK);
    enum status status = predict_intent_create(&scene->packs, extract_features_set(),
                                               &scene->layout, &scene->stages[2], &error);
    if (status != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    settings_release(&sessionize_section, &sessions);
    settings_release(&extract_features_section, &features);
    scene->count = 0;
}

static void stop(struct scene *scene)
{
    for (int i = 0; i < 3; i++) {
        stage_destroy(scene->stages[i]);
    }
    predict_intent_unload(&scene->packs);
    scene->layout = (struct record_layout){0};
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    if (!scene) {
        return -1;
    }
    scene->rows = calloc(ROWS_MAX, sizeof(*scene->rows));
    scene->directory = fixture_directory();
    (void)snprintf(scene->path, sizeof(scene->path), "%s/pack", scene->directory);
    *state = scene;
    return scene->rows ? 0 : -1;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    fixture_remove(scene->directory);
    free(scene->directory);
    free(scene->rows);
    free(scene);
    return 0;
}

static void explain_row(struct scene *scene, const struct event_batch *batch, uint32_t row)
{
    struct contribution terms[32];
    const struct score_explainer *explainer = &batch->explainer[SCORE_PURCHASE];
    uint32_t count = explainer->explain(explainer->context, batch, row, terms, 32);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)terms[i].logit;
    }
    double off = fabs(sum - (double)batch->score_logit[SCORE_PURCHASE][row]);
    scene->worst = off > scene->worst ? off : scene->worst;
    scene->explained++;
}

static void visit(void *context, const struct event_batch *batch)
{
    struct scene *scene = context;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        assert_true(scene->count < ROWS_MAX && batch->feature_count <= FEATURES_HERE);
        struct seen_row *seen = &scene->rows[scene->count++];
        seen->session = batch->session_id[row];
        seen->session_start_ms = batch->session_start_ms[row];
        seen->logit = batch->score_logit[SCORE_PURCHASE][row];
        seen->is_event = batch->kind[row] == ROW_EVENT;
        seen->is_label = batch->type[row] == EVENT_LABEL;
        memcpy(seen->features, batch->features + (size_t)row * batch->feature_stride,
               batch->feature_count * sizeof(float));
        if (scene->count % 16 == 0) {
            explain_row(scene, batch, row);
        }
    }
}

/* A few users who come in bursts, so that a batch has many events of one; some come late. */
static void make_events(struct fixture_event *events, bool has_late)
{
    static const char *const users[] = {"a", "b", "c", "d", "e", "f", "g"};
    static const enum event_type types[] = {EVENT_PRODUCT_VIEW, EVENT_ADD_TO_CART, EVENT_SEARCH,
                                            EVENT_CHECKOUT, EVENT_LABEL};
    uint64_t seed = 77;
    int64_t now_ms = 1700000000000;
    uint32_t user = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint64_t random = fixture_random(&seed);
        user = random % 4 == 0 ? (uint32_t)(random >> 8) % 7 : user;
        now_ms += (int64_t)(random >> 16 & 0x3FFF);
        now_ms += (random >> 40) % 60 == 0 ? 2400000 : 0;
        int64_t late_ms = has_late && (random >> 48) % 9 == 0 ? 600000 : 0;
        events[i] = (struct fixture_event){.user = users[user],
                                           .time_ms = now_ms - late_ms,
                                           .type = types[(random >> 32) % 40 / 9],
                                           .price = 5000000,
                                           .quantity = 1,
                                           .item = "i"};
    }
}

/* Returns the hash of all state at the end. */
static uint64_t run(struct scene *scene, uint64_t cut_seed, bool has_late, uint32_t *ret_batches)
{
    static struct fixture_event events[EVENTS];
    make_events(events, has_late);
    struct stage_fixture *fixture = stage_fixture_create(&(struct stage_fixture_options){
        .layout = &scene->layout,
        .stages = {scene->stages[0], scene->stages[1], scene->stages[2]},
        .floor_ms = 60000,
        .lateness_ms = 5000,
        .feature_count = extract_features_set()->count,
        .visit = visit,
        .context = scene,
        .cut_seed = cut_seed,
    });
    stage_fixture_run(fixture, events, EVENTS);
    stage_fixture_drain(fixture);
    uint64_t hash = stage_fixture_state_hash(fixture);
    *ret_batches = stage_fixture_batches(fixture);
    stage_fixture_destroy(fixture);
    return hash;
}

static void scores_and_state_do_not_depend_on_the_cuts(void **state)
{
    struct scene *scene = *state;
    static const char *const kinds[] = {"gru", "lstm"};
    float *expected = calloc(ROWS_MAX, sizeof(*expected));
    assert_non_null(expected);
    for (int kind = 0; kind < 2; kind++) {
        uint64_t hash = 0;
        uint32_t rows = 0;
        for (uint64_t cut_seed = 0; cut_seed < 8; cut_seed++) {
            uint32_t batches;
            start(scene, kinds[kind], 11);
            uint64_t ended = run(scene, cut_seed, true, &batches);
            for (uint32_t i = 0; i < scene->count; i++) {
                expected[i] = cut_seed == 0 ? scene->rows[i].logit : expected[i];
                assert_memory_equal(&expected[i], &scene->rows[i].logit, sizeof(float));
            }
            rows = cut_seed == 0 ? scene->count : rows;
            hash = cut_seed == 0 ? ended : hash;
            assert_int_equal(rows, scene->count);
            assert_true(hash == ended && rows > EVENTS / 2);
            assert_true(batches > 3);
            stop(scene);
        }
    }
    assert_true(scene->explained > 100 && scene->worst < 1e-4);
    free(expected);
}

/* One session after the other, from zeros, as a training sees them. */
static void scores_are_those_of_each_session_stepped_by_itself(void **state)
{
    struct scene *scene = *state;
    uint32_t batches;
    start(scene, "gru", 11);
    (void)run(scene, 3, false, &batches);
    const struct feature_set *set = extract_features_set();
    const char *names[FEATURES_HERE];
    uint32_t columns[16];
    struct model *model;
    struct error error;
    for (uint32_t i = 0; i < set->count; i++) {
        names[i] = set->features[i].name;
    }
    const struct model_pack *pack = scene->packs.purchase;
    assert_int_equal(model_pack_match(pack, names, set->count, columns, &error), STATUS_OK);
    assert_int_equal(model_load(&backend_lanes, pack, columns, set->count, &model, &error),
                     STATUS_OK);
    bool *is_done = calloc(scene->count, sizeof(*is_done));
    uint32_t compared = 0;
    uint32_t sessions = 0;
    assert_non_null(is_done);
    for (uint32_t first = 0; first < scene->count; first++) {
        float memory[MODEL_STATE_BYTES_MAX / sizeof(float)] = {0};
        for (uint32_t i = first; i < scene->count && !is_done[first]; i++) {
            struct seen_row *row = &scene->rows[i];
            bool is_step = row->is_event && !row->is_label && row->session != 0 &&
                           row->session == scene->rows[first].session && !is_done[i];
            if (is_step) {
                void *states[] = {memory};
                float logit;
                assert_int_equal(model_step(model, row->features, FEATURES_HERE, NULL, 1, states,
                                            &logit, &error),
                                 STATUS_OK);
                assert_memory_equal(&logit, &row->logit, sizeof(logit));
                sessions += i == first;
                compared++;
                is_done[i] = i != first;
            }
        }
    }
    assert_true(compared > EVENTS * 3 / 4 && sessions > 20 && compared > 3 * sessions);
    free(is_done);
    model_unload(model);
    stop(scene);
}

static void timers_and_labels_leave_no_trace(void **state)
{
    struct scene *scene = *state;
    uint32_t batches;
    start(scene, "gru", 11);
    (void)run(scene, 0, false, &batches);
    uint32_t others = 0;
    for (uint32_t i = 0; i < scene->count; i++) {
        others += !scene->rows[i].is_event || scene->rows[i].is_label;
        assert_true(!isnan(scene->rows[i].logit));
    }
    assert_true(others > 50); /* Those between were compared by the test above. */
    stop(scene);
}

static void a_session_end_that_nobody_asks_for_is_spared_and_nothing_else_differs(void **state)
{
    struct scene *scene = *state;
    uint32_t batches;
    float *scored = calloc(ROWS_MAX, sizeof(*scored));
    assert_non_null(scored);
    start(scene, "gru", 11);
    uint64_t hash = run(scene, 2, true, &batches);
    uint32_t count = scene->count;
    for (uint32_t i = 0; i < count; i++) {
        scored[i] = scene->rows[i].logit;
    }
    stop(scene);
    scene->spares_session_ends = true;
    start(scene, "gru", 11);
    assert_true(run(scene, 2, true, &batches) == hash);
    assert_int_equal(scene->count, count);
    uint32_t spared = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct seen_row *row = &scene->rows[i];
        if (row->is_event) {
            assert_memory_equal(&row->logit, &scored[i], sizeof(float));
        } else {
            assert_true(isnan(row->logit));
            spared++;
        }
    }
    assert_true(spared > 50);
    free(scored);
    stop(scene);
}

static void a_state_that_has_no_room_is_refused_by_name(void **state)
{
    struct scene *scene = *state;
    struct error error;
    network_pack_write(scene->path, "gru", 128, 5);
    struct predict_intent_options options = {.purchase_pack = scene->path};
    assert_int_equal(predict_intent_load(&options, &scene->packs, &error), STATUS_OK);
    assert_int_equal(predict_intent_create(&scene->packs, extract_features_set(), &scene->layout,
                                           &scene->stages[0], &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "pack network"));
    predict_intent_unload(&scene->packs);
}

static void another_pack_starts_cold(void **state)
{
    struct scene *scene = *state;
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        start(scene, "gru", i == 0 ? 11 : 12);
        for (uint32_t part = 0; part < scene->layout.part_count; part++) {
            if (scene->layout.parts[part].id == PART_INTENT) {
                hashes[i] = scene->layout.parts[part].writer_hash;
                assert_true(scene->layout.parts[part].is_model);
                assert_int_equal(scene->layout.parts[part].bytes, 16 + (11 + i) * 4 + 4 * !i);
            }
        }
        assert_true(hashes[i] == scene->packs.purchase->hash);
        stop(scene);
    }
    assert_true(hashes[0] != hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scores_and_state_do_not_depend_on_the_cuts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(scores_are_those_of_each_session_stepped_by_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(timers_and_labels_leave_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_session_end_that_nobody_asks_for_is_spared_and_nothing_else_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_has_no_room_is_refused_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_pack_starts_cold, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
