#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fakes/source_reading.h"

/* Every cut of a gzip file: what came whole, then one record that says so. */
static void cut_gzip_ends_with_a_defect(void **state)
{
    struct reading *reading = *state;
    char lines[2000];
    size_t length = 0;
    for (int i = 0; i < 60; i++) {
        length += (size_t)snprintf(lines + length, sizeof(lines) - length, "line %d %d\n", i,
                                   i * 7919 % 1000);
    }
    reading_write_gzip(reading->path, lines, length, "wb");
    size_t packed = 0;
    unsigned char *bytes = reading_read_file(reading->path, &packed);
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    for (size_t cut = 2; cut < packed; cut++) {
        reading_write(reading->path, bytes, cut, "wb");
        struct record_list list = reading_all(&options);
        assert_int_equal(list.last_result, SOURCE_END);
        assert_true(list.count > 0);
        size_t at = 0;
        for (size_t i = 0; i < list.count; i++) {
            assert_memory_equal(list.items[i].bytes, lines + at, list.items[i].length);
            at += list.items[i].length + 1;
            assert_int_equal(list.items[i].defect,
                             i + 1 == list.count ? REJECTION_TRUNCATED : REJECTION_NONE);
        }
        reading_free(&list);
        if (cut % 16 == 0) {
            reading_assert_resumes(&options);
        }
    }
    free(bytes);
}

/* Whatever its header names cannot be told; the bytes are there for who wants to look. */
static void gzip_that_is_damaged_before_the_csv_header_is_one_defect_and_more(void **state)
{
    struct reading *reading = *state;
    struct source_options options = reading_options(reading->path, INPUT_CSV);
    options.csv_has_header = true;
    reading_write_gzip(reading->path, "when,who\n1,a\n2,b\n", 17, "wb");
    size_t length = 0;
    unsigned char *bytes = reading_read_file(reading->path, &length);
    for (size_t cut = 2; cut <= 16; cut++) { /* The last is the first that has the header. */
        reading_write(reading->path, bytes, cut, "wb");
        struct source *source = reading_open(&options, (struct input_position){0});
        source_release(source);
        struct record_list list = {.count = 0};
        reading_more(source, &list, true);
        source_close(source);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.items[0].defect, REJECTION_TRUNCATED);
        assert_int_equal(list.last_result, SOURCE_END);
        assert_int_equal(list.items[0].position.ordinal, 0);
        reading_free(&list);
        reading_assert_resumes(&options);
    }
    /* A member is lost, and with it the header; the next one has lines. */
    bytes[10] = 7; /* No type of a block. */
    reading_write(reading->path, bytes, length, "wb");
    reading_write_gzip(reading->path, "3,c\n4,d\n", 8, "ab");
    struct record_list list = reading_all(&options);
    assert_true(list.count >= 3);
    for (size_t i = 0; i < list.count; i++) {
        assert_true(list.items[i].defect != REJECTION_NONE);
        assert_int_equal(list.items[i].position.ordinal, i);
    }
    assert_string_equal(list.items[list.count - 1].bytes, "4,d");
    assert_int_equal(list.items[list.count - 1].defect, REJECTION_NOT_PARSED);
    reading_free(&list);
    reading_assert_resumes(&options);
    free(bytes);
}

/* Each byte of the first of two members is damaged in turn. */
static void damaged_gzip_goes_on_at_the_next_member(void **state)
{
    struct reading *reading = *state;
    const char *first = "one\ntwo\nthree\nfour four four\n";
    reading_write_gzip(reading->path, first, strlen(first), "wb");
    size_t boundary = 0;
    free(reading_read_file(reading->path, &boundary));
    reading_write_gzip(reading->path, "five\nsix\n", 9, "ab");
    size_t packed = 0;
    unsigned char *bytes = reading_read_file(reading->path, &packed);
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    size_t damages = 0;
    for (size_t at = 10; at < boundary; at++) {
        bytes[at] ^= 0x10;
        reading_write(reading->path, bytes, packed, "wb");
        bytes[at] ^= 0x10;
        struct record_list list = reading_all(&options);
        size_t defects = 0;
        bool is_six_last = list.count > 0 && strcmp(list.items[list.count - 1].bytes, "six") == 0;
        for (size_t i = 0; i < list.count; i++) {
            defects += list.items[i].defect != REJECTION_NONE;
        }
        assert_true(defects > 0);
        damages += is_six_last;
        reading_free(&list);
        reading_assert_resumes(&options);
    }
    /* A damaged length may eat into the next member; nearly always it does not. */
    assert_true(damages * 10 >= (boundary - 10) * 8);
    free(bytes);
}

static void gzip_members_and_padding_are_one_stream(void **state)
{
    struct reading *reading = *state;
    reading_write_gzip(reading->path, "a\nb", 3, "wb");
    reading_write_gzip(reading->path, "c\n", 2, "ab");
    reading_write(reading->path, "\0\0\0\0", 4, "ab");
    struct source_options options = reading_options(reading->path, INPUT_JSONL);
    struct record_list list = reading_all(&options);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].bytes, "bc");
    reading_free(&list);
    reading_assert_resumes(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cut_gzip_ends_with_a_defect, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(
            gzip_that_is_damaged_before_the_csv_header_is_one_defect_and_more, reading_setup,
            reading_teardown),
        cmocka_unit_test_setup_teardown(damaged_gzip_goes_on_at_the_next_member, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(gzip_members_and_padding_are_one_stream, reading_setup,
                                        reading_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
