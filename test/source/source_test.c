#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <csv.h>
#include <unistd.h>

#include "pipeline/limits.h"
#include "pipeline/source/csv_record.h"
#include "pipeline/source/source.h"
#include "test/fakes/source_reading.h"

struct text_case {
    const char *name;
    enum input_format format;
    bool has_header;
    const char *input;
    const char *records[6]; /* A defect is written as "!reason bytes". */
};

static const struct text_case text_cases[] = {
    {"lines", INPUT_JSONL, false, "a\nb\n", {"a", "b"}},
    {"no final newline", INPUT_JSONL, false, "a\nbc", {"a", "bc"}},
    {"carriage returns and empty lines",
     INPUT_JSONL,
     false,
     "\r\na\r\n\n\r\n\nb\r\n\n",
     {"a", "b"}},
    {"a lone carriage return at the end", INPUT_JSONL, false, "a\n\r", {"a"}},
    {"empty file", INPUT_JSONL, false, "", {NULL}},
    {"only empty lines", INPUT_JSONL, false, "\n\n\n", {NULL}},
    {"byte order mark", INPUT_JSONL, false, "\xef\xbb\xbf{}\n", {"{}"}},
    {"half a byte order mark", INPUT_JSONL, false, "\xef\xbb", {"\xef\xbb"}},
    {"byte order mark alone", INPUT_JSONL, false, "\xef\xbb\xbf", {NULL}},
    {"quotes mean nothing in lines", INPUT_COMBINED_LOG, false, "\"a\nb\"\n", {"\"a", "b\""}},
    {"header", INPUT_CSV, true, "h,i\n1,2\n3,4", {"1,2", "3,4"}},
    {"header alone", INPUT_CSV, true, "h,i\n", {NULL}},
    {"empty file with header wanted", INPUT_CSV, true, "", {NULL}},
    {"byte order mark and quoted header", INPUT_CSV, true, "\xef\xbb\xbf\"h\ni\"\r\n1\r\n", {"1"}},
    {"a quoted field over lines",
     INPUT_CSV,
     false,
     "1,\"a\nb\r\nc\"\n2,d\n",
     {"1,\"a\nb\r\nc\"", "2,d"}},
    {"doubled quotes", INPUT_CSV, false, "\"a\"\"\n\"\"b\",1\n2\n", {"\"a\"\"\n\"\"b\",1", "2"}},
    {"a quote inside a plain field", INPUT_CSV, false, "5\" disk,1\n2\n", {"5\" disk,1", "2"}},
    {"a quote that is never closed",
     INPUT_CSV,
     false,
     "\"a\nb\nc\n",
     {"!not_parsed \"a", "b", "c"}},
    {"a quote in the last line never closed", INPUT_CSV, false, "a\n\"b", {"a", "\"b"}},
};

static void assert_records(const struct text_case *row, const struct record_list *list)
{
    size_t expected_count = 0;
    while (expected_count < 6 && row->records[expected_count]) {
        expected_count++;
    }
    if (list->count != expected_count) {
        fail_msg("%s: %zu records, expected %zu", row->name, list->count, expected_count);
    }
    for (size_t i = 0; i < expected_count; i++) {
        char found[256];
        const struct record_copy *copy = &list->items[i];
        (void)snprintf(found, sizeof(found), "%s%s%s%s", copy->defect ? "!" : "",
                       copy->defect ? rejection_names[copy->defect] : "", copy->defect ? " " : "",
                       copy->bytes);
        if (strcmp(found, row->records[i]) != 0 || copy->position.ordinal != i) {
            fail_msg("%s: record %zu is \"%s\", expected \"%s\"", row->name, i, found,
                     row->records[i]);
        }
    }
}

static void splits_text_into_records(void **state)
{
    struct reading *reading = *state;
    for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]); i++) {
        const struct text_case *row = &text_cases[i];
        for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
            (is_gzip ? reading_write_gzip : reading_write)(reading->path, row->input,
                                                           strlen(row->input), "wb");
            struct source_options options = reading_options(reading->path, row->format);
            options.csv_has_header = row->has_header;
            struct source *source = reading_open(&options, (struct input_position){0});
            struct record_list list = {.count = 0};
            reading_more(source, &list, false);
            assert_int_equal(list.last_result, SOURCE_END);
            assert_records(row, &list);
            reading_free(&list);
            source_close(source);
            reading_assert_resumes(&options);
        }
    }
}

static void reads_header_names(void **state)
{
    struct reading *reading = *state;
    const char *input = "\"a \"\"b\"\"\";c;\n1;2;3\n";
    reading_write(reading->path, input, strlen(input), "wb");
    struct source_options options = reading_options(reading->path, INPUT_CSV);
    options.csv_has_header = true;
    options.csv_delimiter = ';';
    struct source *source = reading_open(&options, (struct input_position){0});
    const struct text_list *header = source_csv_header(source);
    assert_int_equal(header->count, 3);
    assert_string_equal(header->items[0], "a \"b\"");
    assert_string_equal(header->items[1], "c");
    assert_string_equal(header->items[2], "");
    source_close(source);
}

static void unread_record_comes_again_and_survives_release(void **state)
{
    struct reading *reading = *state;
    reading_write(reading->path, "one\ntwo\nthree\n", 14, "wb");
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    struct source *source = reading_open(&options, (struct input_position){0});
    struct raw_record record;
    enum source_result result;
    assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
    assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
    source_unread(source);
    assert_int_equal(source_position(source).ordinal, 1);
    assert_int_equal(source_position(source).bytes, 4);
    source_release(source);
    assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
    assert_true(text_is(record.bytes, "two"));
    assert_int_equal(source_position(source).ordinal, 2);
    source_close(source);
}

static void long_line_is_one_defect_and_reading_goes_on(void **state)
{
    struct reading *reading = *state;
    const size_t length = 10u * 1000 * 1000;
    char *line = malloc(length);
    memset(line, 'x', length);
    reading_write(reading->path, "a\n", 2, "wb");
    reading_write(reading->path, line, length, "ab");
    reading_write(reading->path, "\nb\n", 3, "ab");
    reading_write(reading->path, line, RAW_RECORD_BYTES_MAX, "ab");
    reading_write(reading->path, "\n", 1, "ab");
    reading_write(reading->path, line, RAW_RECORD_BYTES_MAX + 1, "ab");
    reading_write(reading->path, "\n\"c\n", 4, "ab");
    line[DEAD_LETTER_BYTES_MAX - 1] = '\r'; /* Inside of it, and at its end, which is none of it. */
    line[length - 1] = '\r';
    reading_write(reading->path, line, length, "ab");
    struct digest last;
    digest_of(line, length - 1, &last);
    line[DEAD_LETTER_BYTES_MAX - 1] = 'x';
    line[length - 1] = 'x';
    struct digest first;
    digest_of(line, length, &first);
    free(line);
    for (int is_csv = 0; is_csv < 2; is_csv++) {
        struct source_options options =
            reading_options(reading->path, is_csv ? INPUT_CSV : INPUT_JSONL);
        struct source *source = reading_open(&options, (struct input_position){0});
        struct record_list list = {.count = 0};
        reading_more(source, &list, false);
        assert_int_equal(list.count, 7);
        static const enum rejection_reason defects[2][7] = {
            {0, REJECTION_TOO_LONG, 0, 0, REJECTION_TOO_LONG, 0, REJECTION_TOO_LONG},
            {0, REJECTION_TOO_LONG, 0, 0, REJECTION_TOO_LONG, REJECTION_NOT_PARSED,
             REJECTION_TOO_LONG}};
        for (size_t i = 0; i < 7; i++) {
            assert_int_equal(list.items[i].defect, defects[is_csv][i]);
            assert_int_equal(list.items[i].position.ordinal, i);
            if (list.items[i].defect == REJECTION_TOO_LONG) {
                assert_int_equal(list.items[i].length, DEAD_LETTER_BYTES_MAX);
                assert_int_equal(list.items[i].bytes[DEAD_LETTER_BYTES_MAX - 2], 'x');
            } else {
                assert_int_equal(list.items[i].whole.length, 0);
            }
        }
        assert_int_equal(list.items[1].whole.length, length);
        assert_string_equal(list.items[1].whole.sha256, first.sha256);
        assert_int_equal(list.items[4].whole.length, RAW_RECORD_BYTES_MAX + 1);
        assert_int_equal(list.items[6].whole.length, length - 1);
        assert_string_equal(list.items[6].whole.sha256, last.sha256);
        assert_string_equal(list.items[2].bytes, "b");
        assert_int_equal(list.items[3].length, RAW_RECORD_BYTES_MAX);
        reading_free(&list);
        source_close(source);
        reading_assert_resumes(&options);
    }
}

static void file_that_was_shortened_is_refused(void **state)
{
    struct reading *reading = *state;
    reading_write(reading->path, "a\n", 2, "wb");
    struct input_position start = {.ordinal = 5, .bytes = 10};
    for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
        (is_gzip ? reading_write_gzip : reading_write)(reading->path, "a\n", 2, "wb");
        struct source_options options = reading_options(reading->path, INPUT_JSONL);
        struct source *source = NULL;
        struct error error = {""};
        assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, reading->path));
    }
}

static void missing_file_and_directory_are_refused_by_name(void **state)
{
    struct reading *reading = *state;
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    struct source *source = NULL;
    struct input_position start = {0};
    struct error error = {""};
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "No such file"));
    options.path = reading->directory;
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "is a directory"));
}

/* Records do not depend on where blocks of memory end: many lines, read without and with release.
 */
static void many_lines_come_as_written(void **state)
{
    struct reading *reading = *state;
    FILE *file = fopen(reading->path, "wb");
    for (unsigned i = 0; i < 40000; i++) {
        (void)fprintf(file, "%u %.*s\n", i, (int)(i * 2654435761u % 90),
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
    (void)fclose(file);
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    struct source *source = reading_open(&options, (struct input_position){0});
    struct raw_record record;
    struct raw_record first = {.defect = REJECTION_NONE};
    enum source_result result = SOURCE_RECORD;
    for (unsigned i = 0; i < 40000; i++) {
        char expected[32];
        (void)snprintf(expected, sizeof(expected), "%u ", i);
        assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
        assert_int_equal(result, SOURCE_RECORD);
        assert_int_equal(record.bytes.length, strlen(expected) + i * 2654435761u % 90);
        assert_memory_equal(record.bytes.data, expected, strlen(expected));
        if (i % 5000 == 0) {
            source_unread(source);
            source_release(source);
            assert_int_equal(source_next(source, &first, &result, NULL), STATUS_OK);
        }
        assert_memory_equal(first.bytes.data + first.bytes.length, "\n", 1);
    }
    assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
    assert_int_equal(result, SOURCE_END);
    source_close(source);
}

/* Who never releases is told to wait rather than given all memory. */
static void records_that_are_not_released_hold_bounded_memory(void **state)
{
    struct reading *reading = *state;
    const size_t length = 1000 * 1000;
    char *line = malloc(length);
    memset(line, 'x', length);
    line[length - 1] = '\n';
    FILE *file = fopen(reading->path, "wb");
    for (int i = 0; i < 90; i++) {
        (void)fwrite(line, 1, length, file);
    }
    (void)fclose(file);
    free(line);
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    struct source *source = reading_open(&options, (struct input_position){0});
    struct raw_record record;
    enum source_result result = SOURCE_RECORD;
    int records = 0;
    int waits = 0;
    while (result != SOURCE_END) {
        assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
        records += result == SOURCE_RECORD;
        if (result == SOURCE_WAIT) {
            assert_in_range(records, 20, 89);
            waits++;
            source_release(source);
        }
    }
    assert_int_equal(records, 90);
    assert_in_range(waits, 1, 4);
    source_close(source);
}

static void standard_input_waits_and_ends(void **state)
{
    (void)state;
    int ends[2];
    int kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    struct source_options options = reading_options("-", INPUT_JSONL);
    struct source *source = reading_open(&options, (struct input_position){0});
    reading_assert_next(source, NULL);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    reading_assert_next(source, "a");
    reading_assert_next(source, NULL);
    (void)close(ends[1]);
    reading_assert_next(source, "b");
    struct raw_record record;
    enum source_result result = SOURCE_RECORD;
    assert_int_equal(source_next(source, &record, &result, NULL), STATUS_OK);
    assert_int_equal(result, SOURCE_END);
    assert_true(source_progress(source) < 0);
    source_close(source);
    (void)close(ends[0]);
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    (void)close(kept);
}

/* What libcsv makes of a record, fields separated by 0x1f. */
static void add_field(void *field, size_t length, void *context)
{
    char *out = context;
    size_t used = strlen(out);
    memcpy(out + used, field, length);
    out[used + length] = '\x1f';
    out[used + length + 1] = '\0';
}

static void csv_fields_agree_with_libcsv(void **state)
{
    (void)state;
    /* All texts of seven characters out of these; libcsv trims spaces, so there are none. */
    static const char letters[] = "a\",;";
    for (unsigned number = 0; number < 1u << 14; number++) {
        char record[8] = "";
        for (int i = 0; i < 7; i++) {
            record[i] = letters[(number >> (2 * i)) & 3];
        }
        char expected[64] = "";
        struct csv_parser parser;
        assert_int_equal(csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI), 0);
        bool is_valid = csv_parse(&parser, record, 7, add_field, NULL, expected) == 7 &&
                        csv_fini(&parser, add_field, NULL, expected) == 0;
        csv_free(&parser);
        char found[64] = "";
        struct csv_cursor cursor = csv_cursor_of((struct text){record, 7}, ',');
        struct csv_field field;
        enum csv_result result;
        bool has_plain_quote = false;
        while ((result = csv_next_field(&cursor, &field)) == CSV_FIELD) {
            char plain[8];
            size_t length = field.text.length;
            if (field.has_doubled_quote) {
                length = csv_unquote(field.text, plain);
            } else {
                memcpy(plain, field.text.data, length);
                has_plain_quote = has_plain_quote || memchr(plain, '"', length) != NULL;
            }
            add_field(plain, length, found);
        }
        assert_int_equal(csv_is_open_after(record, 7, ',', false),
                         result == CSV_NOT_CLOSED || (result == CSV_AFTER_QUOTE &&
                                                      csv_is_open_after(record, 7, ',', false)));
        if (is_valid) {
            if (result != CSV_END || strcmp(found, expected) != 0) {
                fail_msg("%s: fields differ from libcsv's", record);
            }
        } else {
            /* libcsv, being strict, refuses quotes inside of plain fields; they are common. */
            assert_true(result != CSV_END || has_plain_quote);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(splits_text_into_records, reading_setup, reading_teardown),
        cmocka_unit_test(csv_fields_agree_with_libcsv),
        cmocka_unit_test_setup_teardown(reads_header_names, reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(unread_record_comes_again_and_survives_release,
                                        reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(file_that_was_shortened_is_refused, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(missing_file_and_directory_are_refused_by_name,
                                        reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(many_lines_come_as_written, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(records_that_are_not_released_hold_bounded_memory,
                                        reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(standard_input_waits_and_ends, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(long_line_is_one_defect_and_reading_goes_on, reading_setup,
                                        reading_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
