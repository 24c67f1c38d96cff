/* extract_features by entity: in a task of all of them, of one, and where an event brings them
 * along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "operators/extract_features.h"
#include "operators/feature_entity.h"
#include "operators/feature_user.h"
#include "pipeline/event/event_batch.h"
#include "test/fakes/feature_events.h"
#include "test/fakes/session_columns.h"
#include "test/fakes/stage_fixture.h"

static void keeps_entities_only_where_asked(void **state)
{
    (void)state;
    struct extract_features_options options = feature_options_default();
    options.entity_mask = 1u << ENTITY_USER | 1u << ENTITY_CARD | 1u << ENTITY_ITEM;
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    assert_int_equal(extract_features_create(&options, NULL, &layout, &stage, NULL), STATUS_OK);
    assert_int_equal(layout.bytes[ENTITY_USER], USER_FEATURES_BYTES);
    assert_int_equal(layout.bytes[ENTITY_CARD], ENTITY_FEATURES_BYTES);
    assert_int_equal(layout.bytes[ENTITY_DEVICE], 0);
    assert_int_equal(layout.bytes[ENTITY_ITEM], 0);
    assert_true(USER_FEATURES_BYTES <= 440 && ENTITY_FEATURES_BYTES <= 128);
    stage_destroy(stage);
}

/* Of events alone, the columns of one mask of entities. */
struct seen_columns {
    struct carried_columns columns;
    uint64_t hash;
    uint32_t values;
};

static void see_columns(void *context, const struct event_batch *batch)
{
    struct seen_columns *seen = context;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        const float *features = batch->features + (size_t)row * batch->feature_stride;
        for (uint32_t i = 0; i < seen->columns.count && batch->state[row] == ROW_LIVE; i++) {
            float value = features[seen->columns.columns[i]];
            seen->values += isnan(value) ? 0u : 1u;
            struct text bytes = {(const char *)&value, sizeof(value)};
            seen->hash = hash64_combine(seen->hash, isnan(value) ? 1 : hash64(bytes));
        }
    }
}

static struct seen_columns run_for_columns(struct record_layout *layout, uint32_t mask,
                                           struct stage *first, struct stage *second,
                                           const struct fixture_event *events, uint32_t count)
{
    struct seen_columns seen = {0};
    extract_features_carried(mask, &seen.columns);
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = layout,
                                                             .stages = {first, second},
                                                             .floor_ms = 60000,
                                                             .lateness_ms = 5000,
                                                             .cut_seed = mask,
                                                             .feature_count = FEATURE_COUNT,
                                                             .visit = see_columns,
                                                             .context = &seen});
    stage_fixture_run(fixture, events, count);
    stage_fixture_destroy(fixture);
    return seen;
}

/* What the stage that stands in for sessions does of labels, without the user's record. */
static enum status set_labels(struct stage *stage, struct event_batch *batch, struct error *error)
{
    (void)stage;
    (void)error;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        if (batch->type[row] == EVENT_LABEL && event_has(batch, row, FIELD_TEXT)) {
            batch->text[FIELD_LABEL_VALUE][row] = batch->text[FIELD_TEXT][row];
            batch->present[row] |= UINT64_C(1) << FIELD_LABEL_VALUE;
        }
    }
    return STATUS_OK;
}

static void a_task_by_one_entity_gives_what_a_task_by_all_gives_for_it(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct fixture_event *events = feature_events_random(COUNT, 7);
    for (int i = 0; i < COUNT; i++) {
        events[i].id = NULL; /* So that none is a duplicate, which another stage would find. */
    }
    struct extract_features_options options = feature_options_default();
    for (int kind = ENTITY_DEVICE; kind <= ENTITY_ADDRESS; kind++) {
        struct error error;
        struct record_layout layout = {0};
        struct stage *sessions = session_columns_create(&layout);
        struct stage *all = NULL;
        assert_int_equal(extract_features_create(&options, NULL, &layout, &all, &error), STATUS_OK);
        struct seen_columns expected =
            run_for_columns(&layout, 1u << kind, sessions, all, events, COUNT);
        stage_destroy(all);
        stage_destroy(sessions);
        struct record_layout own = {0};
        struct stage *stage = NULL;
        assert_int_equal(
            extract_features_create_entity(&options, (enum entity_kind)kind, &own, &stage, &error),
            STATUS_OK);
        assert_int_equal(own.bytes[ENTITY_USER], 0);
        const struct stage_ops ops = {.process = set_labels, .info = &extract_features_info};
        struct stage labels = {&ops};
        struct seen_columns found =
            run_for_columns(&own, 1u << kind, &labels, stage, events, COUNT);
        stage_destroy(stage);
        assert_true(found.columns.count >= 6 && found.values > COUNT);
        assert_int_equal(found.values, expected.values);
        assert_int_equal(found.hash, expected.hash);
    }
    free(events);
}

/* Gives every other event values that count from 1 on. */
static enum status bring_values(struct stage *stage, struct event_batch *batch, struct error *error)
{
    (void)stage;
    (void)error;
    static float values[CARRIED_COLUMNS_MAX];
    for (uint32_t i = 0; i < CARRIED_COLUMNS_MAX; i++) {
        values[i] = (float)(i + 1);
    }
    for (uint32_t row = 0; row < batch->event_count; row++) {
        batch->carried[row] = batch->ordinal[row] % 2 ? values : NULL;
    }
    return STATUS_OK;
}

static void see_brought(void *context, const struct event_batch *batch)
{
    struct carried_columns *columns = context;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        const float *features = batch->features + (size_t)row * batch->feature_stride;
        bool has_values = batch->kind[row] == ROW_EVENT && batch->ordinal[row] % 2;
        for (uint32_t i = 0; i < columns->count && batch->state[row] == ROW_LIVE; i++) {
            float value = features[columns->columns[i]];
            assert_true(has_values ? value == (float)(i + 1) : isnan(value));
        }
    }
}

static void features_that_an_event_brings_along_stand_in_its_row(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    struct fixture_event *events = feature_events_random(COUNT, 8);
    struct extract_features_options options = feature_options_default();
    options.entity_mask = 0;
    options.carried_mask = 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL;
    struct carried_columns columns;
    extract_features_carried(options.carried_mask, &columns);
    assert_int_equal(columns.columns[0], FEATURE_CARD_PAYMENT_FAILED_10M);
    assert_int_equal(columns.count, 21);
    struct error error;
    struct record_layout layout = {0};
    struct stage *sessions = session_columns_create(&layout);
    struct stage *stage = NULL;
    assert_int_equal(extract_features_create(&options, NULL, &layout, &stage, &error), STATUS_OK);
    const struct stage_ops ops = {.process = bring_values, .info = &extract_features_info};
    struct stage bringer = {&ops};
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = &layout,
                                                             .stages = {sessions, &bringer, stage},
                                                             .floor_ms = 60000,
                                                             .feature_count = FEATURE_COUNT,
                                                             .visit = see_brought,
                                                             .context = &columns});
    stage_fixture_run(fixture, events, COUNT);
    stage_fixture_drain(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
    stage_destroy(sessions);
    free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_entities_only_where_asked),
        cmocka_unit_test(a_task_by_one_entity_gives_what_a_task_by_all_gives_for_it),
        cmocka_unit_test(features_that_an_event_brings_along_stand_in_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
