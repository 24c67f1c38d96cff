/* The records that the task writes: dead letters, late events, scored events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/base/json_tree.h"
#include "pipeline/limits.h"
#include "pipeline/output/topic_records.h"

struct fixture {
    struct event_batch events;
    struct output_batch *outputs;
    struct arena arena;
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof(*self));
    assert_int_equal(event_batch_init(&self->events, 3, NULL), STATUS_OK);
    assert_int_equal(output_batch_create(OUTPUT_JSONL, &self->outputs, NULL), STATUS_OK);
    arena_init(&self->arena, 4096);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    event_batch_release(&self->events);
    output_batch_destroy(self->outputs);
    arena_release(&self->arena);
    free(self);
    return 0;
}

static const struct json_value *only_record(struct fixture *self, enum topic topic)
{
    assert_int_equal(output_batch_count(self->outputs, topic), 1);
    struct output_record record = output_batch_get(self->outputs, topic, 0);
    struct text json = {(const char *)record.bytes, record.length};
    const struct json_value *value = NULL;
    assert_int_equal(json_tree_parse(json, &self->arena, &value, NULL), STATUS_OK);
    assert_int_equal(value->count, output_topics[topic].schema->field_count);
    return value;
}

static void assert_text(const struct json_value *record, const char *name, const char *expected)
{
    struct text text = json_member_text(record, name);
    if (!text_is(text, expected)) {
        fail_msg("%s is \"%.*s\", expected \"%s\"", name, (int)text.length, text.data, expected);
    }
}

static void assert_null_member(const struct json_value *record, const char *name)
{
    const struct json_value *member = json_member(record, name);
    if (!member || member->kind != JSON_NULL) {
        fail_msg("%s is not null", name);
    }
}

static const struct input_place place = {
    .source = {"clicks.csv", 10},
    .partition = {"0", 1},
    .ordinal = 41,
    .byte_position = 4096,
    .cause = 41,
};

static void dead_letter_names_place_reason_and_bytes(void **state)
{
    struct fixture *self = *state;
    struct rejection rejection = {REJECTION_NEGATIVE_PRICE, "price -1, expected 0 or more"};
    dead_letter_write(self->outputs, &place, &rejection, text_of("abc"), NULL, true, 5);
    const struct json_value *record = only_record(self, TOPIC_DEAD_LETTERS);
    assert_text(record, "source", "clicks.csv");
    assert_text(record, "partition", "0");
    assert_true(json_member_number(record, "ordinal", 0) == 41);
    assert_true(json_member_number(record, "byte_position", 0) == 4096);
    assert_text(record, "reason", "negative_price");
    assert_text(record, "detail", "price -1, expected 0 or more");
    assert_text(record, "content", "YWJj");
    assert_true(json_member_number(record, "length", 0) == 3);
    assert_text(record, "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(output_batch_get(self->outputs, TOPIC_DEAD_LETTERS, 0).time_ms, 5);
}

static void dead_letter_cuts_long_content_but_hashes_all_of_it(void **state)
{
    struct fixture *self = *state;
    uint32_t length = DEAD_LETTER_BYTES_MAX + 1;
    char *bytes = calloc(1, length);
    struct rejection rejection = {.reason = REJECTION_TOO_LONG};
    dead_letter_write(self->outputs, &place, &rejection, (struct text){bytes, length}, NULL, true,
                      0);
    const struct json_value *record = only_record(self, TOPIC_DEAD_LETTERS);
    assert_int_equal(json_member_text(record, "content").length,
                     (DEAD_LETTER_BYTES_MAX + 2) / 3 * 4);
    assert_true(json_member_number(record, "length", 0) == length);
    /* Of as many zeros, by another program. */
    assert_text(record, "sha256",
                "b27a032984ea8a6bec700c3d6f63f8fcfbf8ff8ef87e972891feda4eea4aad0c");
    assert_null_member(record, "detail");
    free(bytes);
}

static void dead_letter_without_content_and_bytes(void **state)
{
    struct fixture *self = *state;
    struct rejection rejection = {.reason = REJECTION_NOT_PARSED};
    dead_letter_write(self->outputs, &place, &rejection, (struct text){0}, NULL, false, 0);
    const struct json_value *record = only_record(self, TOPIC_DEAD_LETTERS);
    assert_null_member(record, "content");
    assert_text(record, "sha256",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static struct event_topics topics = {{"clicks"}};

static void fill_event(struct event_batch *events, uint32_t row)
{
    events->time_ms[row] = 1000;
    events->watermark_ms[row] = 61000;
    events->type[row] = EVENT_ADD_TO_CART;
    events->ordinal[row] = 900; /* Of the topic that it was sent on to. */
    events->place[row] = place_of_origin(event_topics_number(&topics, text_of("carts")), 3, 7);
    events->places = (struct event_places){"0", &topics};
    events->user_key[row] = (struct key128){1, 2};
    events->session_id[row] = 0xAB;
    events->present[row] = UINT64_C(1) << FIELD_ITEM;
    events->text[FIELD_ITEM][row] = text_of("shoe");
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        events->score[kind][row] = NAN;
    }
}

static void late_event_that_was_processed_has_its_session(void **state)
{
    struct fixture *self = *state;
    fill_event(&self->events, 1);
    late_event_write(self->outputs, &self->events, 1);
    const struct json_value *record = only_record(self, TOPIC_LATE_EVENTS);
    assert_null_member(record, "event_id");
    assert_text(record, "topic", "carts");
    assert_text(record, "partition", "3");
    assert_true(json_member_number(record, "ordinal", 0) == 7);
    assert_text(record, "user", "00000000000000010000000000000002");
    assert_text(record, "time", "1970-01-01T00:00:01.000Z");
    assert_text(record, "watermark", "1970-01-01T00:01:01.000Z");
    assert_true(json_member_number(record, "lateness_ms", 0) == 60000);
    assert_text(record, "type", "add_to_cart");
    assert_text(record, "item", "shoe");
    assert_text(record, "session_id", "00000000000000ab");
    assert_text(record, "action", "processed");
}

static void late_event_that_was_diverted_has_no_session(void **state)
{
    struct fixture *self = *state;
    fill_event(&self->events, 1);
    self->events.state[1] = ROW_DIVERTED;
    late_event_write(self->outputs, &self->events, 1);
    const struct json_value *record = only_record(self, TOPIC_LATE_EVENTS);
    assert_null_member(record, "session_id");
    assert_text(record, "action", "diverted");
}

static void scored_event_has_its_row_of_features(void **state)
{
    struct fixture *self = *state;
    fill_event(&self->events, 2);
    float *features = self->events.features + 2 * (size_t)self->events.feature_stride;
    features[0] = 0.5f;
    features[1] = NAN;
    features[2] = -3;
    self->events.score[SCORE_FRAUD][2] = 0.25f;
    struct scored_event_context context = {
        .feature_set_hash = 0xFE,
        .configuration_epoch = 3,
        .numeric_profile = text_of("openblas"),
        .sampling_rate = 0.01,
    };
    scored_event_write(self->outputs, &context, &self->events, 2);
    const struct json_value *record = only_record(self, TOPIC_SCORED_EVENTS);
    const struct json_value *vector = json_member(record, "features");
    assert_int_equal(vector->count, 3);
    assert_true(vector->first->number == 0.5);
    assert_int_equal(vector->first->next->kind, JSON_NULL);
    assert_true(vector->first->next->next->number == -3);
    assert_text(record, "feature_set", "00000000000000fe");
    const struct json_value *scores = json_member(record, "scores");
    assert_true(json_member_number(scores, "fraud", 0) == 0.25);
    assert_null_member(scores, "purchase");
    assert_true(json_member_number(record, "sampling_rate", 0) == 0.01);
}

/* Scores are written by enum score_kind, the table by name: both must be in the same order. */
static void scores_stand_in_the_order_of_their_kinds(void **state)
{
    struct fixture *self = *state;
    fill_event(&self->events, 0);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        self->events.score[kind][0] = (float)kind;
    }
    struct scored_event_context context = {.numeric_profile = text_of("n"), .sampling_rate = 1};
    scored_event_write(self->outputs, &context, &self->events, 0);
    const struct json_value *scores = json_member(only_record(self, TOPIC_SCORED_EVENTS), "scores");
    assert_int_equal(scores->count, SCORE_KIND_COUNT);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        assert_true(json_member_number(scores, score_names[kind], -1) == kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dead_letter_names_place_reason_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(dead_letter_cuts_long_content_but_hashes_all_of_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(dead_letter_without_content_and_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(late_event_that_was_processed_has_its_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(late_event_that_was_diverted_has_no_session, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(scored_event_has_its_row_of_features, setup, teardown),
        cmocka_unit_test_setup_teardown(scores_stand_in_the_order_of_their_kinds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
