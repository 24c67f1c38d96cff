/* Text, numbers and times as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/base/json_text.h"
#include "pipeline/base/number_text.h"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static void assert_json(const char *name, struct byte_buffer *json, const char *expected)
{
    byte_buffer_append_byte(json, '\0');
    assert_false(json->has_failed);
    if (strcmp((const char *)json->bytes, expected) != 0) {
        fail_msg("%s: %s, expected %s", name, (const char *)json->bytes, expected);
    }
    byte_buffer_release(json);
}

static void text_is_escaped_and_repaired(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct text value;
        const char *json;
    } rows[] = {
        {"empty", BYTES(""), "\"\""},
        {"plain, longer than a word", BYTES("abcdefghijklmnopq"), "\"abcdefghijklmnopq\""},
        {"quote and backslash", BYTES("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {"quote in a full word", BYTES("abcdefg\"hijklmno"), "\"abcdefg\\\"hijklmno\""},
        {"short escapes", BYTES("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {"other control characters", BYTES("\x00\x01\x1F"), "\"\\u0000\\u0001\\u001f\""},
        {"slash and delete stay", BYTES("/\x7F"), "\"/\x7F\""},
        {"two, three and four bytes", BYTES("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
         "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"lone continuation", BYTES("a\x80z"), "\"a\xEF\xBF\xBDz\""},
        {"cut at the end", BYTES("a\xE2\x82"), "\"a\xEF\xBF\xBD\""},
        {"cut in the middle", BYTES("\xF0\x9F\x98z"), "\"\xEF\xBF\xBDz\""},
        {"surrogate", BYTES("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"overlong", BYTES("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"beyond Unicode", BYTES("\xF4\x90\x80\x80"),
         "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct byte_buffer json = {0};
        json_append_text(&json, rows[i].value);
        assert_json(rows[i].name, &json, rows[i].json);
    }
}

/* A sequence may stand across the border of the pieces that text is taken in. */
static void long_text_keeps_every_sequence_whole(void **state)
{
    (void)state;
    static const struct text smile = BYTES("\xF0\x9F\x98\x80");
    char text[4200];
    for (uint32_t start = 4080; start < 4100; start++) {
        memset(text, 'a', sizeof(text));
        memcpy(text + start, smile.data, smile.length);
        struct byte_buffer json = {0};
        json_append_text(&json, (struct text){text, sizeof(text)});
        assert_int_equal(json.length, sizeof(text) + 2);
        assert_memory_equal(json.bytes + 1, text, sizeof(text));
        byte_buffer_release(&json);
    }
}

static void doubles_are_shortest(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0.0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100000, "100000"},
        {1234567.891, "1234567.891"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1.5e-7, "1.5e-07"},
        {1e15, "1000000000000000"},
        {9007199254740993.0, "9007199254740992"},
        {1e16, "1e+16"},
        {1.5e16, "1.5e+16"},
        {1e100, "1e+100"},
        {5e-324, "5e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {999999999999999.9, "999999999999999.9"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct byte_buffer json = {0};
        json_append_double(&json, rows[i].value);
        assert_json(rows[i].text, &json, rows[i].text);
    }
}

static void floats_are_shortest_as_floats(void **state)
{
    (void)state;
    static const struct {
        float value;
        const char *text;
    } rows[] = {
        {0.1f, "0.1"},
        {16777216.0f, "16777216"},
        {3.4028235e38f, "3.4028235e+38"},
        {1e-45f, "1e-45"},
        {0.3f, "0.3"},
        {8388607.5f, "8388607.5"},
        {20000000.0f, "20000000"},
        {NAN, "null"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct byte_buffer json = {0};
        json_append_float(&json, rows[i].value);
        assert_json(rows[i].text, &json, rows[i].text);
    }
}

static void times_are_iso_8601(void **state)
{
    (void)state;
    static const struct {
        int64_t time_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(1569888000007), "2019-10-01T00:00:00.007Z"},
        {INT64_C(951782399999), "2000-02-28T23:59:59.999Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(4107542399000), "2100-02-28T23:59:59.000Z"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000), "+010000-01-01T00:00:00.000Z"},
        {INT64_C(-62167219200001), "-000001-12-31T23:59:59.999Z"},
        {INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "+292278994-08-17T07:12:55.807Z"},
        {INT64_MIN, "-292275055-05-16T16:47:04.192Z"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[ISO_TIME_BYTES_MAX];
        size_t length = iso_time_format(rows[i].time_ms, text);
        if (length != strlen(rows[i].text) || memcmp(text, rows[i].text, length) != 0) {
            fail_msg("%.*s, expected %s", (int)length, text, rows[i].text);
        }
    }
}

static void bytes_are_base64(void **state)
{
    (void)state;
    static const struct {
        struct text bytes;
        const char *json;
    } rows[] = {
        {BYTES(""), "\"\""},
        {BYTES("f"), "\"Zg==\""},
        {BYTES("fo"), "\"Zm8=\""},
        {BYTES("foo"), "\"Zm9v\""},
        {BYTES("foob"), "\"Zm9vYg==\""},
        {BYTES("\xFB\xFF\x00"), "\"+/8A\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct byte_buffer json = {0};
        json_append_bytes(&json, rows[i].bytes.data, rows[i].bytes.length);
        assert_json(rows[i].json, &json, rows[i].json);
    }
}

static void names_put_commas_where_they_are_due(void **state)
{
    (void)state;
    struct byte_buffer json = {0};
    json_append_raw(&json, "{");
    json_append_name(&json, "a\"");
    json_append_long(&json, INT64_MIN);
    json_append_name(&json, "b");
    json_append_raw(&json, "[");
    json_append_separator(&json);
    json_append_bool(&json, true);
    json_append_separator(&json);
    json_append_time(&json, 0);
    json_append_raw(&json, "]");
    json_append_name(&json, "c");
    json_append_null(&json);
    json_append_raw(&json, "}");
    assert_json("object", &json,
                "{\"a\\\"\":-9223372036854775808,\"b\":[true,\"1970-01-01T00:00:00.000Z\"],"
                "\"c\":null}");
}

static void failure_sticks_to_the_buffer(void **state)
{
    (void)state;
    struct byte_buffer json = {.bytes_max = 10};
    json_append_raw(&json, "12345678");
    assert_false(json.has_failed);
    json_append_text(&json, text_of("too long"));
    assert_true(json.has_failed);
    size_t length = json.length;
    json_append_raw(&json, "");
    byte_buffer_append_byte(&json, '1');
    json_append_bool(&json, true);
    assert_true(json.has_failed);
    assert_int_equal(json.length, length);
    byte_buffer_release(&json);
    assert_false(json.has_failed);
    assert_int_equal(json.bytes_max, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped_and_repaired),
        cmocka_unit_test(long_text_keeps_every_sequence_whole),
        cmocka_unit_test(doubles_are_shortest),
        cmocka_unit_test(floats_are_shortest_as_floats),
        cmocka_unit_test(times_are_iso_8601),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(names_put_commas_where_they_are_due),
        cmocka_unit_test(failure_sticks_to_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
