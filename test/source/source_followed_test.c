#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fakes/source_reading.h"
#include "test/source/avro_files.h"

static void followed_file_goes_on_as_it_grows(void **state)
{
    struct reading *reading = *state;
    reading_write(reading->path, "a\nb", 3, "wb");
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    options.is_followed = true;
    struct source *source = reading_open(&options, (struct input_position){0});
    reading_assert_next(source, "a");
    reading_assert_next(source, NULL); /* The line may not be whole yet. */
    source_release(source);
    reading_write(reading->path, "c\n", 2, "ab");
    reading_assert_next(source, "bc");
    reading_assert_next(source, NULL);
    assert_int_equal(source_position(source).bytes, 5);
    source_close(source);
}

/* In pieces of every size, so that it ends in a line, a quoted field, a block, a gzip member... */
static void followed_file_gives_the_same_however_it_grows(void **state)
{
    struct reading *reading = *state;
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
            write_people(reading->path, "deflate", 4, 5, 40);
        } else if (cases[i].is_packed) { /* Two members. */
            reading_write_gzip(reading->path, text, 16, "wb");
            reading_write_gzip(reading->path, text + 16, sizeof(text) - 1 - 16, "ab");
        } else {
            reading_write(reading->path, text, sizeof(text) - 1, "wb");
        }
        size_t length = 0;
        unsigned char *bytes = reading_read_file(reading->path, &length);
        struct source_options options = reading_options(reading->path, cases[i].format);
        options.csv_has_header = cases[i].format == INPUT_CSV;
        struct record_list whole = reading_all(&options);
        /* A header has to be there before a file is followed. */
        size_t header = cases[i].format == INPUT_AVRO  ? (size_t)whole.items[0].position.bytes
                        : cases[i].format != INPUT_CSV ? 0
                        : cases[i].is_packed           ? 40
                                                       : 4;
        options.is_followed = true;
        for (size_t piece = 1; piece < length; piece += 1 + piece / 8) {
            reading_write(reading->path, bytes, header, "wb");
            struct source *source = reading_open(&options, (struct input_position){0});
            struct record_list list = {.count = 0};
            for (size_t at = header; at < length; at += piece) {
                reading_more(source, &list, true);
                assert_int_equal(list.last_result, SOURCE_WAIT);
                reading_write(reading->path, bytes + at, at + piece < length ? piece : length - at,
                              "ab");
            }
            reading_more(source, &list, true);
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
            reading_free(&list);
        }
        reading_free(&whole);
        free(bytes);
    }
}

static void followed_file_is_read_again_when_replaced_or_cut(void **state)
{
    struct reading *reading = *state;
    char moved[4300];
    (void)snprintf(moved, sizeof(moved), "%s.1", reading->path);
    reading_write(reading->path, "h\na\nb", 5, "wb");
    struct source_options options = reading_options(reading->path, INPUT_CSV);
    options.is_followed = true;
    options.csv_has_header = true;
    struct source *source = reading_open(&options, (struct input_position){0});
    reading_assert_next(source, "a");
    reading_assert_next(source, NULL);
    assert_int_equal(rename(reading->path, moved), 0);
    reading_assert_next(source, NULL);
    reading_write(moved, "B\n", 2, "ab"); /* The writer finishes in the old file. */
    reading_write(reading->path, "h\nc\n", 4, "wb");
    reading_assert_next(source, "bB");
    reading_assert_next(source, "c");
    assert_int_equal(source_position(source).ordinal, 3);
    assert_int_equal(source_position(source).bytes, 4);
    reading_assert_next(source, NULL);
    reading_write(reading->path, "h\n", 2, "wb");
    reading_assert_next(source, NULL);
    reading_write(reading->path, "d\n", 2, "ab");
    reading_assert_next(source, "d");
    struct input_position end = source_position(source);
    source_close(source);
    reading_write(reading->path, "h\n", 2, "wb"); /* Cut while nobody was looking. */
    source = reading_open(&options, end);
    reading_assert_next(source, NULL);
    reading_write(reading->path, "e\n", 2, "ab");
    reading_assert_next(source, "e");
    source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(followed_file_goes_on_as_it_grows, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(followed_file_gives_the_same_however_it_grows,
                                        reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(followed_file_is_read_again_when_replaced_or_cut,
                                        reading_setup, reading_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
