/* JSON text as a tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "pipeline/base/json_text.h"
#include "pipeline/base/json_tree.h"
#include "pipeline/base/number_text.h"
#include "test/fakes/output_random.h"

static int setup(void **state)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    arena_init(arena, 4096);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    free(*state);
    return 0;
}

static const struct json_value *parse(struct arena *arena, const char *json)
{
    const struct json_value *value = NULL;
    struct error error = {""};
    if (json_tree_parse(text_of(json), arena, &value, &error) != STATUS_OK) {
        fail_msg("%s: %s", json, error.message);
    }
    return value;
}

static void members_are_found_by_name(void **state)
{
    const struct json_value *root = parse(
        *state,
        " { \"a\" : [1, 2.5e1 ,\"x\"], \"b\":{\"c\":true,\"d\":null}, \"e\":\"\", \"f\":-7 } ");
    assert_int_equal(root->kind, JSON_OBJECT);
    assert_int_equal(root->count, 4);
    const struct json_value *array = json_member(root, "a");
    assert_int_equal(array->kind, JSON_ARRAY);
    assert_int_equal(array->count, 3);
    assert_true(array->first->number == 1);
    assert_true(array->first->next->number == 25);
    assert_true(text_is(array->first->next->text, "2.5e1"));
    assert_true(text_is(array->first->next->next->text, "x"));
    assert_null(array->first->next->next->next);
    assert_true(json_member(json_member(root, "b"), "c")->flag);
    assert_int_equal(json_member(json_member(root, "b"), "d")->kind, JSON_NULL);
    assert_non_null(json_member_text(root, "e").data);
    assert_int_equal(json_member_text(root, "e").length, 0);
    assert_null(json_member_text(root, "f").data);
    assert_null(json_member(root, "none"));
    assert_null(json_member(json_member(root, "none"), "c"));
    assert_true(json_member_number(root, "f", 0) == -7);
    assert_true(json_member_number(root, "a", 9) == 9);
}

static void escapes_become_their_characters(void **state)
{
    const struct json_value *value =
        parse(*state, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\xC3\xA9\"");
    assert_true(
        text_is(value->text, "\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xA9"));
}

static void numbers_keep_their_value(void **state)
{
    static const struct {
        const char *json;
        double number;
        bool is_long;
    } rows[] = {
        {"0", 0, true},
        {"-0", -0.0, true},
        {"9223372036854775807", 9223372036854775807.0, true},
        {"9223372036854775808", 9223372036854775808.0, false},
        {"-9223372036854775808", -9223372036854775808.0, true},
        {"1.0", 1, false},
        {"1E+2", 100, false},
        {"1e-2", 0.01, false},
        {"1e400", INFINITY, false},
        {"-1e400", -INFINITY, false},
        {"1e-400", 0, false},
        {"0.1", 0.1, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct json_value *value = parse(*state, rows[i].json);
        int64_t number = 0;
        if (value->number != rows[i].number || json_as_long(value, &number) != rows[i].is_long) {
            fail_msg("%s: %g", rows[i].json, value->number);
        }
    }
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *json;
        const char *message;
    } rows[] = {
        {"", "expected a value at byte 0"},
        {"  ", "expected a value at byte 2"},
        {"{", "expected a name in quotes at byte 1"},
        {"{\"a\" 1}", "expected a colon at byte 5"},
        {"{\"a\":1,}", "expected a name in quotes at byte 7"},
        {"[1,]", "expected a value at byte 3"},
        {"[1 2]", "expected a comma or the closing bracket at byte 3"},
        {"[1]]", "expected nothing more at byte 3"},
        {"01", "expected nothing more at byte 1"},
        {"+1", "expected a value at byte 0"},
        {"-", "expected a value at byte 1"},
        {".5", "expected a value at byte 0"},
        {"1.", "expected digits after the point at byte 2"},
        {"1e", "expected digits of the exponent at byte 2"},
        {"nul", "expected a value at byte 0"},
        {"NaN", "expected a value at byte 0"},
        {"\"a", "expected the end of a string at byte 2"},
        {"\"\\", "expected an escape at byte 2"},
        {"\"\\x\"", "expected an escape at byte 2"},
        {"\"\\u12g4\"", "expected four hexadecimal digits at byte 5"},
        {"\"\\ud800\"", "expected both halves of a surrogate pair at byte 7"},
        {"\"\\ud800\\u0041\"", "expected both halves of a surrogate pair at byte 13"},
        {"\"\\udc00\"", "expected both halves of a surrogate pair at byte 7"},
        {"\"\n\"", "expected UTF-8 without control characters at byte 1"},
        {"\"\xC0\x80\"", "expected UTF-8 without control characters at byte 1"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "expected less nesting at byte 33"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct json_value *value = NULL;
        struct error error = {""};
        enum status status = json_tree_parse(text_of(rows[i].json), *state, &value, &error);
        if (status != STATUS_INVALID || !strstr(error.message, rows[i].message)) {
            fail_msg("%s: %s, expected %s", rows[i].json, error.message, rows[i].message);
        }
        assert_null(value);
    }
}

/* The text stands in memory of its own size, so that reading past it is seen by the sanitizer. */
static void no_part_of_a_document_is_one(void **state)
{
    static const char json[] = "{\"a\":[1.5e3,\"\\u00e9\\n\xE2\x82\xAC\",true,null,{\"b\":{}}]}";
    for (size_t length = 0; length < sizeof(json); length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, json, length);
        copy = realloc(copy, length ? length : 1);
        const struct json_value *value = NULL;
        struct text text = {copy, (uint32_t)length};
        enum status status = json_tree_parse(text, *state, &value, NULL);
        assert_int_equal(status == STATUS_OK, length == sizeof(json) - 1);
        free(copy);
    }
}

static void text_that_was_escaped_comes_back(void **state)
{
    for (uint32_t code = 0; code < 0x80; code++) {
        char bytes[3] = {'a', (char)code, 'z'};
        struct byte_buffer json = {0};
        json_append_text(&json, (struct text){bytes, 3});
        const struct json_value *value = NULL;
        struct text text = {(const char *)json.bytes, (uint32_t)json.length};
        assert_int_equal(json_tree_parse(text, *state, &value, NULL), STATUS_OK);
        assert_true(text_equal(value->text, (struct text){bytes, 3}));
        byte_buffer_release(&json);
    }
}

static void doubles_come_back_bit_by_bit(void **state)
{
    struct random random = {7};
    for (int i = 0; i < 20000; i++) {
        double value = random_double(&random, false);
        char text[NUMBER_TEXT_BYTES_MAX];
        size_t length = number_text_double(value, text);
        double read = number_text_read_double(text, length);
        /* The sign tells minus zero from zero. */
        if (read != value || signbit(read) != signbit(value)) {
            fail_msg("%a became %.*s (seed 7)", value, (int)length, text);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(escapes_become_their_characters),
        cmocka_unit_test(numbers_keep_their_value),
        cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(no_part_of_a_document_is_one),
        cmocka_unit_test(text_that_was_escaped_comes_back),
        cmocka_unit_test(doubles_come_back_bit_by_bit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
