#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <csv.h>
#include <unistd.h>
#include <zlib.h>

#include "pipeline/limits.h"
#include "pipeline/source/csv_record.h"
#include "pipeline/source/source.h"
#include "test/fakes/fixture.h"
#include "test/source/avro_files.h"

#define RECORDS_MAX 128

struct record_copy {
    char *bytes;
    uint32_t length;
    struct input_position position;
    struct input_position after;
    enum rejection_reason defect;
    struct digest whole; /* Length 0: the bytes are all. */
};

struct record_list {
    struct record_copy items[RECORDS_MAX];
    size_t count;
    enum source_result last_result;
};

struct fixture {
    char *directory;
    char path[4200];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/input", fixture->directory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

static void write_file(const char *path, const void *bytes, size_t length, const char *mode)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_gzip(const char *path, const void *bytes, size_t length, const char *mode)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)length), (int)length);
    assert_int_equal(gzclose(file), Z_OK);
}

static struct source_options options_of(const char *path, enum input_format format)
{
    return (struct source_options){.path = path, .format = format, .csv_delimiter = ','};
}

static struct source *open_at(const struct source_options *options, struct input_position start)
{
    struct source *source = NULL;
    struct error error = {""};
    enum status status = source_open(options, &start, &source, &error);
    if (status != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return source;
}

/* Appends all that comes until end or wait. */
static void read_more(struct source *source, struct record_list *list, bool releases)
{
    struct error error = {""};
    for (;;) {
        struct raw_record record;
        enum source_result result = SOURCE_END;
        assert_int_equal(source_next(source, &record, &result, &error), STATUS_OK);
        list->last_result = result;
        if (result != SOURCE_RECORD) {
            return;
        }
        assert_true(list->count < RECORDS_MAX);
        struct record_copy *copy = &list->items[list->count++];
        *copy = (struct record_copy){.bytes = malloc(record.bytes.length + 1u),
                                     .length = record.bytes.length,
                                     .position = record.position,
                                     .after = source_position(source),
                                     .defect = record.defect};
        if (record.whole) {
            copy->whole = *record.whole;
        }
        memcpy(copy->bytes, record.bytes.length ? record.bytes.data : "", record.bytes.length);
        copy->bytes[record.bytes.length] = '\0';
        if (releases) {
            source_release(source);
        }
    }
}

static void free_records(struct record_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].bytes);
    }
    list->count = 0;
}

/* Each record, each position: opening there gives exactly the records that follow. */
static void assert_resumes_everywhere(const struct source_options *options)
{
    struct record_list all = {.count = 0};
    struct source *source = open_at(options, (struct input_position){0});
    read_more(source, &all, true);
    assert_int_equal(all.last_result, SOURCE_END);
    source_close(source);
    for (size_t from = 0; from < 2 * all.count; from++) {
        const struct record_copy *at = &all.items[from / 2];
        struct record_list rest = {.count = 0};
        source = open_at(options, from % 2 ? at->after : at->position);
        size_t skipped = from / 2 + from % 2;
        read_more(source, &rest, false);
        assert_int_equal(rest.count, all.count - skipped);
        for (size_t i = 0; i < rest.count; i++) {
            const struct record_copy *expected = &all.items[skipped + i];
            assert_int_equal(rest.items[i].length, expected->length);
            assert_memory_equal(rest.items[i].bytes, expected->bytes, expected->length);
            assert_int_equal(rest.items[i].defect, expected->defect);
            assert_int_equal(rest.items[i].position.ordinal, expected->position.ordinal);
            assert_int_equal(rest.items[i].position.bytes, expected->position.bytes);
            assert_int_equal(rest.items[i].position.skip, expected->position.skip);
        }
        source_close(source);
        free_records(&rest);
    }
    free_records(&all);
}

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
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]); i++) {
        const struct text_case *row = &text_cases[i];
        for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
            (is_gzip ? write_gzip : write_file)(fixture->path, row->input, strlen(row->input),
                                                "wb");
            struct source_options options = options_of(fixture->path, row->format);
            options.csv_has_header = row->has_header;
            struct source *source = open_at(&options, (struct input_position){0});
            struct record_list list = {.count = 0};
            read_more(source, &list, false);
            assert_int_equal(list.last_result, SOURCE_END);
            assert_records(row, &list);
            free_records(&list);
            source_close(source);
            assert_resumes_everywhere(&options);
        }
    }
}

static void reads_header_names(void **state)
{
    struct fixture *fixture = *state;
    const char *input = "\"a \"\"b\"\"\";c;\n1;2;3\n";
    write_file(fixture->path, input, strlen(input), "wb");
    struct source_options options = options_of(fixture->path, INPUT_CSV);
    options.csv_has_header = true;
    options.csv_delimiter = ';';
    struct source *source = open_at(&options, (struct input_position){0});
    const struct text_list *header = source_csv_header(source);
    assert_int_equal(header->count, 3);
    assert_string_equal(header->items[0], "a \"b\"");
    assert_string_equal(header->items[1], "c");
    assert_string_equal(header->items[2], "");
    source_close(source);
}

static void unread_record_comes_again_and_survives_release(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "one\ntwo\nthree\n", 14, "wb");
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    struct source *source = open_at(&options, (struct input_position){0});
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
    struct fixture *fixture = *state;
    const size_t length = 10u * 1000 * 1000;
    char *line = malloc(length);
    memset(line, 'x', length);
    write_file(fixture->path, "a\n", 2, "wb");
    write_file(fixture->path, line, length, "ab");
    write_file(fixture->path, "\nb\n", 3, "ab");
    write_file(fixture->path, line, RAW_RECORD_BYTES_MAX, "ab");
    write_file(fixture->path, "\n", 1, "ab");
    write_file(fixture->path, line, RAW_RECORD_BYTES_MAX + 1, "ab");
    write_file(fixture->path, "\n\"c\n", 4, "ab");
    line[DEAD_LETTER_BYTES_MAX - 1] = '\r'; /* Inside of it, and at its end, which is none of it. */
    line[length - 1] = '\r';
    write_file(fixture->path, line, length, "ab");
    struct digest last;
    digest_of(line, length - 1, &last);
    line[DEAD_LETTER_BYTES_MAX - 1] = 'x';
    line[length - 1] = 'x';
    struct digest first;
    digest_of(line, length, &first);
    free(line);
    for (int is_csv = 0; is_csv < 2; is_csv++) {
        struct source_options options = options_of(fixture->path, is_csv ? INPUT_CSV : INPUT_JSONL);
        struct source *source = open_at(&options, (struct input_position){0});
        struct record_list list = {.count = 0};
        read_more(source, &list, false);
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
        free_records(&list);
        source_close(source);
        assert_resumes_everywhere(&options);
    }
}

static unsigned char *read_file(const char *path, size_t *ret_length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char *bytes = malloc(1u << 20);
    *ret_length = fread(bytes, 1, 1u << 20, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void splits_avro_blocks_into_records(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *codec;
        size_t block_bytes;
    } kinds[] = {{"null", 100}, {"null", 16384}, {"deflate", 100}, {"deflate", 16384}};
    for (size_t kind = 0; kind < 4; kind++) {
        write_people(fixture->path, kinds[kind].codec, 40, 20, kinds[kind].block_bytes);
        struct source_options options = options_of(fixture->path, INPUT_AVRO);
        struct source *source = open_at(&options, (struct input_position){0});
        assert_non_null(strstr(source_avro_schema(source), "person"));
        struct record_list list = {.count = 0};
        read_more(source, &list, true);
        assert_int_equal(list.count, 40);
        for (size_t i = 0; i < list.count; i++) {
            assert_int_equal(list.items[i].defect, REJECTION_NONE);
            assert_int_equal(list.items[i].length, i % 2 ? (i < 64 ? 23 : 24) : 22);
            assert_int_equal(list.items[i].position.ordinal, i);
        }
        free_records(&list);
        source_close(source);
        assert_resumes_everywhere(&options);
    }
}

/* Each byte of the blocks is damaged in turn: what is not hit comes as it was, and all is said. */
static void bad_avro_block_is_one_record_and_reading_goes_on(void **state)
{
    struct fixture *fixture = *state;
    write_people(fixture->path, "null", 12, 20, 100);
    size_t length = 0;
    unsigned char *bytes = read_file(fixture->path, &length);
    struct source_options options = options_of(fixture->path, INPUT_AVRO);
    struct source *source = open_at(&options, (struct input_position){0});
    struct record_list good = {.count = 0};
    size_t header = (size_t)source_position(source).bytes;
    read_more(source, &good, true);
    source_close(source);
    size_t blocks = 0;
    for (size_t i = 0; i < good.count; i++) {
        blocks += good.items[i].position.skip == 0;
    }
    assert_in_range(blocks, 3, 11);
    for (size_t at = header; at < length; at++) {
        bytes[at] ^= 0x55;
        write_file(fixture->path, bytes, length, "wb");
        bytes[at] ^= 0x55;
        struct record_list list = {.count = 0};
        source = open_at(&options, (struct input_position){0});
        read_more(source, &list, true);
        assert_int_equal(list.last_result, SOURCE_END);
        source_close(source);
        size_t defects = 0;
        for (size_t i = 0; i < list.count; i++) {
            defects += list.items[i].defect != REJECTION_NONE;
            assert_int_equal(list.items[i].position.ordinal, i);
        }
        /* A damaged name goes unnoticed; a damaged marker costs its own block and the next. */
        assert_in_range(defects, 0, 2);
        if (defects > 0) {
            assert_in_range(list.count, 12 - 2 * 5 + 1, 12 + 1);
        }
        free_records(&list);
        assert_resumes_everywhere(&options);
    }
    free_records(&good);
    free(bytes);
}

/* A marker is found wherever it lies, also across two reads, and memory stays bounded meanwhile. */
static void marker_behind_a_long_bad_block_is_found(void **state)
{
    struct fixture *fixture = *state;
    write_people(fixture->path, "null", 2, 5, 16384);
    size_t length = 0;
    unsigned char *bytes = read_file(fixture->path, &length);
    struct source_options options = options_of(fixture->path, INPUT_AVRO);
    struct source *source = open_at(&options, (struct input_position){0});
    size_t header = (size_t)source_position(source).bytes;
    source_close(source);
    const size_t block_end = 512u * 1024;
    char *garbage = malloc(block_end + 64);
    memset(garbage, 0x01, block_end + 64); /* A count of -1. */
    for (size_t marker_at = block_end - 17; marker_at < block_end + 3; marker_at++) {
        write_file(fixture->path, bytes, header, "wb");
        write_file(fixture->path, garbage, marker_at - header, "ab");
        write_file(fixture->path, bytes + header - 16, 16, "ab");
        write_file(fixture->path, bytes + header, length - header, "ab");
        struct record_list list = {.count = 0};
        source = open_at(&options, (struct input_position){0});
        read_more(source, &list, true);
        source_close(source);
        assert_int_equal(list.count, 3);
        assert_int_equal(list.items[0].defect, REJECTION_BAD_BLOCK);
        assert_int_equal(list.items[0].length, DEAD_LETTER_BYTES_MAX);
        assert_int_equal(list.items[0].after.bytes, marker_at + 16);
        struct digest whole;
        size_t whole_length = 0;
        unsigned char *all = read_file(fixture->path, &whole_length);
        digest_of(all + header, marker_at + 16 - header, &whole);
        free(all);
        assert_int_equal(list.items[0].whole.length, whole.length);
        assert_string_equal(list.items[0].whole.sha256, whole.sha256);
        assert_int_equal(list.items[2].defect, REJECTION_NONE);
        free_records(&list);
        assert_resumes_everywhere(&options);
    }
    free(garbage);
    free(bytes);
}

/* Cut anywhere: whole blocks come, then one record says that the file was cut. */
static void cut_avro_file_ends_with_a_defect(void **state)
{
    struct fixture *fixture = *state;
    write_people(fixture->path, "deflate", 12, 20, 100);
    size_t length = 0;
    unsigned char *bytes = read_file(fixture->path, &length);
    struct source_options options = options_of(fixture->path, INPUT_AVRO);
    struct source *source = open_at(&options, (struct input_position){0});
    size_t header = (size_t)source_position(source).bytes;
    source_close(source);
    for (size_t cut = 0; cut <= length; cut++) {
        write_file(fixture->path, bytes, cut, "wb");
        struct input_position start = {0};
        struct error error = {""};
        enum status status = source_open(&options, &start, &source, &error);
        assert_int_equal(status, STATUS_OK);
        struct record_list list = {.count = 0};
        read_more(source, &list, true);
        source_close(source);
        if (cut > 0 && cut < header) {
            assert_int_equal(list.count, 1);
            assert_int_equal(list.items[0].length, cut);
            assert_resumes_everywhere(&options);
        }
        for (size_t i = 0; i < list.count; i++) {
            bool is_last = i + 1 == list.count;
            assert_true(list.items[i].defect == REJECTION_NONE ||
                        (is_last && list.items[i].defect == REJECTION_TRUNCATED));
        }
        free_records(&list);
    }
    free(bytes);
}

static void refuses_what_is_no_avro_container(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "{\"a\":1}\n", 8, "wb");
    struct source_options options = options_of(fixture->path, INPUT_AVRO);
    struct source *source = NULL;
    struct input_position start = {0};
    struct error error = {""};
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "is no Avro container"));
    assert_non_null(strstr(error.message, fixture->path));
}

static void assert_next(struct source *source, const char *expected)
{
    struct raw_record record;
    enum source_result result = SOURCE_END;
    struct error error = {""};
    assert_int_equal(source_next(source, &record, &result, &error), STATUS_OK);
    if (!expected) {
        assert_int_equal(result, SOURCE_WAIT);
        return;
    }
    if (result != SOURCE_RECORD || !text_is(record.bytes, expected)) {
        fail_msg("expected \"%s\"", expected);
    }
}

static void followed_file_goes_on_as_it_grows(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "a\nb", 3, "wb");
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    options.is_followed = true;
    struct source *source = open_at(&options, (struct input_position){0});
    assert_next(source, "a");
    assert_next(source, NULL); /* The line may not be whole yet. */
    source_release(source);
    write_file(fixture->path, "c\n", 2, "ab");
    assert_next(source, "bc");
    assert_next(source, NULL);
    assert_int_equal(source_position(source).bytes, 5);
    source_close(source);
}

/* In pieces of every size, so that it ends in a line, a quoted field, a block, a gzip member... */
static void followed_file_gives_the_same_however_it_grows(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "a,b\n1,\"x\ny\"\n2,\"\"\"\"\r\n\n3,z\n4,\"last\"\n";
    static const struct {
        enum input_format format;
        bool is_packed;
    } cases[] = {{INPUT_JSONL, false},
                 {INPUT_CSV, false},
                 {INPUT_CSV, true},
                 {INPUT_JSONL, true},
                 {INPUT_AVRO, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].format == INPUT_AVRO) {
            write_people(fixture->path, "deflate", 4, 5, 40);
        } else if (cases[i].is_packed) { /* Two members. */
            write_gzip(fixture->path, text, 16, "wb");
            write_gzip(fixture->path, text + 16, sizeof(text) - 1 - 16, "ab");
        } else {
            write_file(fixture->path, text, sizeof(text) - 1, "wb");
        }
        size_t length = 0;
        unsigned char *bytes = read_file(fixture->path, &length);
        struct source_options options = options_of(fixture->path, cases[i].format);
        options.csv_has_header = cases[i].format == INPUT_CSV;
        struct record_list whole = {.count = 0};
        struct source *source = open_at(&options, (struct input_position){0});
        read_more(source, &whole, true);
        /* A header has to be there before a file is followed. */
        size_t header = cases[i].format == INPUT_AVRO  ? (size_t)whole.items[0].position.bytes
                        : cases[i].format != INPUT_CSV ? 0
                        : cases[i].is_packed           ? 40
                                                       : 4;
        source_close(source);
        options.is_followed = true;
        for (size_t piece = 1; piece < length; piece += 1 + piece / 8) {
            write_file(fixture->path, bytes, header, "wb");
            source = open_at(&options, (struct input_position){0});
            struct record_list list = {.count = 0};
            for (size_t at = header; at < length; at += piece) {
                read_more(source, &list, true);
                assert_int_equal(list.last_result, SOURCE_WAIT);
                write_file(fixture->path, bytes + at, at + piece < length ? piece : length - at,
                           "ab");
            }
            read_more(source, &list, true);
            source_close(source);
            assert_int_equal(list.count, whole.count);
            for (size_t k = 0; k < whole.count; k++) {
                assert_string_equal(list.items[k].bytes, whole.items[k].bytes);
                assert_int_equal(list.items[k].defect, REJECTION_NONE);
                assert_memory_equal(&list.items[k].position, &whole.items[k].position,
                                    sizeof(struct input_position));
                assert_memory_equal(&list.items[k].after, &whole.items[k].after,
                                    sizeof(struct input_position));
            }
            free_records(&list);
        }
        free_records(&whole);
        free(bytes);
    }
}

static void followed_file_is_read_again_when_replaced_or_cut(void **state)
{
    struct fixture *fixture = *state;
    char moved[4300];
    (void)snprintf(moved, sizeof(moved), "%s.1", fixture->path);
    write_file(fixture->path, "h\na\nb", 5, "wb");
    struct source_options options = options_of(fixture->path, INPUT_CSV);
    options.is_followed = true;
    options.csv_has_header = true;
    struct source *source = open_at(&options, (struct input_position){0});
    assert_next(source, "a");
    assert_next(source, NULL);
    assert_int_equal(rename(fixture->path, moved), 0);
    assert_next(source, NULL);
    write_file(moved, "B\n", 2, "ab"); /* The writer finishes in the old file. */
    write_file(fixture->path, "h\nc\n", 4, "wb");
    assert_next(source, "bB");
    assert_next(source, "c");
    assert_int_equal(source_position(source).ordinal, 3);
    assert_int_equal(source_position(source).bytes, 4);
    assert_next(source, NULL);
    write_file(fixture->path, "h\n", 2, "wb");
    assert_next(source, NULL);
    write_file(fixture->path, "d\n", 2, "ab");
    assert_next(source, "d");
    struct input_position end = source_position(source);
    source_close(source);
    write_file(fixture->path, "h\n", 2, "wb"); /* Cut while nobody was looking. */
    source = open_at(&options, end);
    assert_next(source, NULL);
    write_file(fixture->path, "e\n", 2, "ab");
    assert_next(source, "e");
    source_close(source);
}

static void file_that_was_shortened_is_refused(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "a\n", 2, "wb");
    struct input_position start = {.ordinal = 5, .bytes = 10};
    for (int is_gzip = 0; is_gzip < 2; is_gzip++) {
        (is_gzip ? write_gzip : write_file)(fixture->path, "a\n", 2, "wb");
        struct source_options options = options_of(fixture->path, INPUT_JSONL);
        struct source *source = NULL;
        struct error error = {""};
        assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, fixture->path));
    }
}

static void missing_file_and_directory_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    struct source *source = NULL;
    struct input_position start = {0};
    struct error error = {""};
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "No such file"));
    options.path = fixture->directory;
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "is a directory"));
}

/* Every cut of a gzip file: what came whole, then one record that says so. */
static void cut_gzip_ends_with_a_defect(void **state)
{
    struct fixture *fixture = *state;
    char lines[2000];
    size_t length = 0;
    for (int i = 0; i < 60; i++) {
        length += (size_t)snprintf(lines + length, sizeof(lines) - length, "line %d %d\n", i,
                                   i * 7919 % 1000);
    }
    write_gzip(fixture->path, lines, length, "wb");
    size_t packed = 0;
    unsigned char *bytes = read_file(fixture->path, &packed);
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    for (size_t cut = 2; cut < packed; cut++) {
        write_file(fixture->path, bytes, cut, "wb");
        struct source *source = open_at(&options, (struct input_position){0});
        struct record_list list = {.count = 0};
        read_more(source, &list, true);
        assert_int_equal(list.last_result, SOURCE_END);
        assert_true(list.count > 0);
        size_t at = 0;
        for (size_t i = 0; i < list.count; i++) {
            assert_memory_equal(list.items[i].bytes, lines + at, list.items[i].length);
            at += list.items[i].length + 1;
            assert_int_equal(list.items[i].defect,
                             i + 1 == list.count ? REJECTION_TRUNCATED : REJECTION_NONE);
        }
        free_records(&list);
        source_close(source);
        if (cut % 16 == 0) {
            assert_resumes_everywhere(&options);
        }
    }
    free(bytes);
}

/* Each byte of the first of two members is damaged in turn. */
/* Whatever its header names cannot be told; the bytes are there for who wants to look. */
static void gzip_that_is_damaged_before_the_csv_header_is_one_defect_and_more(void **state)
{
    struct fixture *fixture = *state;
    struct source_options options = options_of(fixture->path, INPUT_CSV);
    options.csv_has_header = true;
    write_gzip(fixture->path, "when,who\n1,a\n2,b\n", 17, "wb");
    size_t length = 0;
    unsigned char *bytes = read_file(fixture->path, &length);
    for (size_t cut = 2; cut <= 16; cut++) { /* The last is the first that has the header. */
        write_file(fixture->path, bytes, cut, "wb");
        struct source *source = open_at(&options, (struct input_position){0});
        source_release(source);
        struct record_list list = {.count = 0};
        read_more(source, &list, true);
        source_close(source);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].defect, REJECTION_TRUNCATED);
        assert_int_equal(list.last_result, SOURCE_END);
        assert_int_equal(list.items[0].position.ordinal, 0);
        free_records(&list);
        assert_resumes_everywhere(&options);
    }
    /* A member is lost, and with it the header; the next one has lines. */
    bytes[10] = 7; /* No type of a block. */
    write_file(fixture->path, bytes, length, "wb");
    write_gzip(fixture->path, "3,c\n4,d\n", 8, "ab");
    struct source *source = open_at(&options, (struct input_position){0});
    struct record_list list = {.count = 0};
    read_more(source, &list, true);
    source_close(source);
    assert_true(list.count >= 3);
    for (size_t i = 0; i < list.count; i++) {
        assert_true(list.items[i].defect != REJECTION_NONE);
        assert_int_equal(list.items[i].position.ordinal, i);
    }
    assert_string_equal(list.items[list.count - 1].bytes, "4,d");
    assert_int_equal(list.items[list.count - 1].defect, REJECTION_NOT_PARSED);
    free_records(&list);
    assert_resumes_everywhere(&options);
    free(bytes);
}

static void damaged_gzip_goes_on_at_the_next_member(void **state)
{
    struct fixture *fixture = *state;
    const char *first = "one\ntwo\nthree\nfour four four\n";
    write_gzip(fixture->path, first, strlen(first), "wb");
    size_t boundary = 0;
    free(read_file(fixture->path, &boundary));
    write_gzip(fixture->path, "five\nsix\n", 9, "ab");
    size_t packed = 0;
    unsigned char *bytes = read_file(fixture->path, &packed);
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    size_t damages = 0;
    for (size_t at = 10; at < boundary; at++) {
        bytes[at] ^= 0x10;
        write_file(fixture->path, bytes, packed, "wb");
        bytes[at] ^= 0x10;
        struct source *source = open_at(&options, (struct input_position){0});
        struct record_list list = {.count = 0};
        read_more(source, &list, true);
        size_t defects = 0;
        bool is_six_last = list.count > 0 && strcmp(list.items[list.count - 1].bytes, "six") == 0;
        for (size_t i = 0; i < list.count; i++) {
            defects += list.items[i].defect != REJECTION_NONE;
        }
        assert_true(defects > 0);
        damages += is_six_last;
        free_records(&list);
        source_close(source);
        assert_resumes_everywhere(&options);
    }
    /* A damaged length may eat into the next member; nearly always it does not. */
    assert_true(damages * 10 >= (boundary - 10) * 8);
    free(bytes);
}

static void gzip_members_and_padding_are_one_stream(void **state)
{
    struct fixture *fixture = *state;
    write_gzip(fixture->path, "a\nb", 3, "wb");
    write_gzip(fixture->path, "c\n", 2, "ab");
    write_file(fixture->path, "\0\0\0\0", 4, "ab");
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    struct source *source = open_at(&options, (struct input_position){0});
    struct record_list list = {.count = 0};
    read_more(source, &list, true);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].bytes, "bc");
    free_records(&list);
    source_close(source);
    assert_resumes_everywhere(&options);
}

/* Records do not depend on where blocks of memory end: many lines, read without and with release.
 */
static void many_lines_come_as_written(void **state)
{
    struct fixture *fixture = *state;
    FILE *file = fopen(fixture->path, "wb");
    for (unsigned i = 0; i < 40000; i++) {
        (void)fprintf(file, "%u %.*s\n", i, (int)(i * 2654435761u % 90),
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    }
    (void)fclose(file);
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    struct source *source = open_at(&options, (struct input_position){0});
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
    struct fixture *fixture = *state;
    const size_t length = 1000 * 1000;
    char *line = malloc(length);
    memset(line, 'x', length);
    line[length - 1] = '\n';
    FILE *file = fopen(fixture->path, "wb");
    for (int i = 0; i < 90; i++) {
        (void)fwrite(line, 1, length, file);
    }
    (void)fclose(file);
    free(line);
    struct source_options options = options_of(fixture->path, INPUT_JSONL);
    struct source *source = open_at(&options, (struct input_position){0});
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
    struct source_options options = options_of("-", INPUT_JSONL);
    struct source *source = open_at(&options, (struct input_position){0});
    assert_next(source, NULL);
    assert_int_equal(write(ends[1], "a\nb", 3), 3);
    assert_next(source, "a");
    assert_next(source, NULL);
    (void)close(ends[1]);
    assert_next(source, "b");
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
        cmocka_unit_test_setup_teardown(splits_text_into_records, setup, teardown),
        cmocka_unit_test(csv_fields_agree_with_libcsv),
        cmocka_unit_test_setup_teardown(reads_header_names, setup, teardown),
        cmocka_unit_test_setup_teardown(unread_record_comes_again_and_survives_release, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(splits_avro_blocks_into_records, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_avro_block_is_one_record_and_reading_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(marker_behind_a_long_bad_block_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_avro_file_ends_with_a_defect, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_avro_container, setup, teardown),
        cmocka_unit_test_setup_teardown(followed_file_goes_on_as_it_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(followed_file_gives_the_same_however_it_grows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(followed_file_is_read_again_when_replaced_or_cut, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(file_that_was_shortened_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_file_and_directory_are_refused_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(cut_gzip_ends_with_a_defect, setup, teardown),
        cmocka_unit_test_setup_teardown(
            gzip_that_is_damaged_before_the_csv_header_is_one_defect_and_more, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_gzip_goes_on_at_the_next_member, setup, teardown),
        cmocka_unit_test_setup_teardown(gzip_members_and_padding_are_one_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(many_lines_come_as_written, setup, teardown),
        cmocka_unit_test_setup_teardown(records_that_are_not_released_hold_bounded_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(standard_input_waits_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(long_line_is_one_defect_and_reading_goes_on, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
