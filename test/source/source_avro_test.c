#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/limits.h"
#include "test/fakes/source_reading.h"
#include "test/source/avro_files.h"

static void splits_avro_blocks_into_records(void **state)
{
    struct reading *reading = *state;
    static const struct {
        const char *codec;
        size_t block_bytes;
    } kinds[] = {{"null", 100}, {"null", 16384}, {"deflate", 100}, {"deflate", 16384}};
    for (size_t kind = 0; kind < 4; kind++) {
        write_people(reading->path, kinds[kind].codec, 40, 20, kinds[kind].block_bytes);
        struct source_options options = reading_options(reading->path, INPUT_AVRO);
        struct source *source = reading_open(&options, (struct input_position){0});
        assert_non_null(strstr(source_avro_schema(source), "person"));
        struct record_list list = {.count = 0};
        reading_more(source, &list, true);
        assert_int_equal(list.count, 40);
        for (size_t i = 0; i < list.count; i++) {
            assert_int_equal(list.items[i].defect, REJECTION_NONE);
            assert_int_equal(list.items[i].length, i % 2 ? (i < 64 ? 23 : 24) : 22);
            assert_int_equal(list.items[i].position.ordinal, i);
        }
        reading_free(&list);
        source_close(source);
        reading_assert_resumes(&options);
    }
}

/* How far the file's header reaches. */
static size_t header_bytes(const struct source_options *options)
{
    struct source *source = reading_open(options, (struct input_position){0});
    size_t header = (size_t)source_position(source).bytes;
    source_close(source);
    return header;
}

/* Each byte of the blocks is damaged in turn: what is not hit comes as it was, and all is said. */
static void bad_avro_block_is_one_record_and_reading_goes_on(void **state)
{
    struct reading *reading = *state;
    write_people(reading->path, "null", 12, 20, 100);
    size_t length = 0;
    unsigned char *bytes = reading_read_file(reading->path, &length);
    struct source_options options = reading_options(reading->path, INPUT_AVRO);
    size_t header = header_bytes(&options);
    struct record_list good = reading_all(&options);
    size_t blocks = 0;
    for (size_t i = 0; i < good.count; i++) {
        blocks += good.items[i].position.skip == 0;
    }
    assert_in_range(blocks, 3, 11);
    for (size_t at = header; at < length; at++) {
        bytes[at] ^= 0x55;
        reading_write(reading->path, bytes, length, "wb");
        bytes[at] ^= 0x55;
        struct record_list list = reading_all(&options);
        assert_int_equal(list.last_result, SOURCE_END);
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
        reading_free(&list);
        reading_assert_resumes(&options);
    }
    reading_free(&good);
    free(bytes);
}

/* A marker is found wherever it lies, also across two reads, and memory stays bounded meanwhile. */
static void marker_behind_a_long_bad_block_is_found(void **state)
{
    struct reading *reading = *state;
    write_people(reading->path, "null", 2, 5, 16384);
    size_t length = 0;
    unsigned char *bytes = reading_read_file(reading->path, &length);
    struct source_options options = reading_options(reading->path, INPUT_AVRO);
    size_t header = header_bytes(&options);
    const size_t block_end = 512u * 1024;
    char *garbage = malloc(block_end + 64);
    memset(garbage, 0x01, block_end + 64); /* A count of -1. */
    for (size_t marker_at = block_end - 17; marker_at < block_end + 3; marker_at++) {
        reading_write(reading->path, bytes, header, "wb");
        reading_write(reading->path, garbage, marker_at - header, "ab");
        reading_write(reading->path, bytes + header - 16, 16, "ab");
        reading_write(reading->path, bytes + header, length - header, "ab");
        struct record_list list = reading_all(&options);
        assert_int_equal(list.count, 3);
        assert_int_equal(list.items[0].defect, REJECTION_BAD_BLOCK);
        assert_int_equal(list.items[0].length, DEAD_LETTER_BYTES_MAX);
        assert_int_equal(list.items[0].after.bytes, marker_at + 16);
        struct digest whole;
        size_t whole_length = 0;
        unsigned char *all = reading_read_file(reading->path, &whole_length);
        digest_of(all + header, marker_at + 16 - header, &whole);
        free(all);
        assert_int_equal(list.items[0].whole.length, whole.length);
        assert_string_equal(list.items[0].whole.sha256, whole.sha256);
        assert_int_equal(list.items[2].defect, REJECTION_NONE);
        reading_free(&list);
        reading_assert_resumes(&options);
    }
    free(garbage);
    free(bytes);
}

/* Cut anywhere: whole blocks come, then one record says that the file was cut. */
static void cut_avro_file_ends_with_a_defect(void **state)
{
    struct reading *reading = *state;
    write_people(reading->path, "deflate", 12, 20, 100);
    size_t length = 0;
    unsigned char *bytes = reading_read_file(reading->path, &length);
    struct source_options options = reading_options(reading->path, INPUT_AVRO);
    size_t header = header_bytes(&options);
    for (size_t cut = 0; cut <= length; cut++) {
        reading_write(reading->path, bytes, cut, "wb");
        struct source *source = NULL;
        struct input_position start = {0};
        struct error error = {""};
        enum status status = source_open(&options, &start, &source, &error);
        assert_int_equal(status, STATUS_OK);
        struct record_list list = {.count = 0};
        reading_more(source, &list, true);
        source_close(source);
        if (cut > 0 && cut < header) {
            assert_int_equal(list.count, 1);
            assert_int_equal(list.items[0].length, cut);
            reading_assert_resumes(&options);
        }
        for (size_t i = 0; i < list.count; i++) {
            bool is_last = i + 1 == list.count;
            assert_true(list.items[i].defect == REJECTION_NONE ||
                        (is_last && list.items[i].defect == REJECTION_TRUNCATED));
        }
        reading_free(&list);
    }
    free(bytes);
}

static void refuses_what_is_no_avro_container(void **state)
{
    struct reading *reading = *state;
    reading_write(reading->path, "{\"a\":1}\n", 8, "wb");
    struct source_options options = reading_options(reading->path, INPUT_AVRO);
    struct source *source = NULL;
    struct input_position start = {0};
    struct error error = {""};
    assert_int_equal(source_open(&options, &start, &source, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "is no Avro container"));
    assert_non_null(strstr(error.message, reading->path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(splits_avro_blocks_into_records, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(bad_avro_block_is_one_record_and_reading_goes_on,
                                        reading_setup, reading_teardown),
        cmocka_unit_test_setup_teardown(marker_behind_a_long_bad_block_is_found, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(cut_avro_file_ends_with_a_defect, reading_setup,
                                        reading_teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_avro_container, reading_setup,
                                        reading_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
