#include "test/fakes/source_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "test/fakes/fixture.h"

int reading_setup(void **state)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    reading->directory = fixture_directory();
    (void)snprintf(reading->path, sizeof(reading->path), "%s/input", reading->directory);
    *state = reading;
    return 0;
}

int reading_teardown(void **state)
{
    struct reading *reading = *state;
    fixture_remove(reading->directory);
    free(reading->directory);
    free(reading);
    return 0;
}

void reading_write(const char *path, const void *bytes, size_t length, const char *mode)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

void reading_write_gzip(const char *path, const void *bytes, size_t length, const char *mode)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)length), (int)length);
    assert_int_equal(gzclose(file), Z_OK);
}

unsigned char *reading_read_file(const char *path, size_t *ret_length)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char *bytes = malloc(1u << 20);
    *ret_length = fread(bytes, 1, 1u << 20, file);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

struct source_options reading_options(const char *path, enum input_format format)
{
    return (struct source_options){.path = path, .format = format, .csv_delimiter = ','};
}

struct source *reading_open(const struct source_options *options, struct input_position start)
{
    struct source *source = NULL;
    struct error error = {""};
    enum status status = source_open(options, &start, &source, &error);
    if (status != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return source;
}

void reading_more(struct source *source, struct record_list *list, bool releases)
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

struct record_list reading_all(const struct source_options *options)
{
    struct record_list list = {.count = 0};
    struct source *source = reading_open(options, (struct input_position){0});
    reading_more(source, &list, true);
    source_close(source);
    return list;
}

void reading_free(struct record_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].bytes);
    }
    list->count = 0;
}

void reading_assert_resumes(const struct source_options *options)
{
    struct record_list all = reading_all(options);
    assert_int_equal(all.last_result, SOURCE_END);
    for (size_t from = 0; from < 2 * all.count; from++) {
        const struct record_copy *at = &all.items[from / 2];
        struct record_list rest = {.count = 0};
        struct source *source = reading_open(options, from % 2 ? at->after : at->position);
        size_t skipped = from / 2 + from % 2;
        reading_more(source, &rest, false);
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
        reading_free(&rest);
    }
    reading_free(&all);
}

void reading_assert_next(struct source *source, const char *expected)
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
