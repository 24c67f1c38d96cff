/* Files that are missing, damaged or cut are refused with file and record, never misread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/output_internal.h"
#include "pipeline/output/output_reader.h"
#include "test/fakes/fixture.h"
#include "test/fakes/output_file.h"
#include "test/fakes/output_sample.h"

#define RECORDS 5u
#define BLOCK_RECORDS 2u
#define FILE_BYTES_MAX 16384

struct fixture {
    char *directory;
    char path[4096];
    unsigned char content[FILE_BYTES_MAX];
    size_t length;
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof(*self));
    self->directory = fixture_directory();
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    fixture_remove(self->directory);
    free(self->directory);
    free(self);
    return 0;
}

static const struct output_schema *schema(void)
{
    return sample_topics()[0].schema;
}

/* Writes `count` records to a file and keeps its content. */
static void make_file(struct fixture *self, enum output_format format, uint32_t count)
{
    struct output_batch *batch = NULL;
    assert_int_equal(output_batch_create_for(sample_topics(), format, &batch, NULL), STATUS_OK);
    struct sample sample = sample_full();
    for (uint32_t i = 0; i < count; i++) {
        sample.number = i;
        sample_write(batch, TOPIC_ALERTS, &sample);
    }
    (void)snprintf(self->path, sizeof(self->path), "%s/0.%s", self->directory,
                   format == OUTPUT_AVRO ? "avro" : "jsonl");
    output_file_write(self->path, batch, TOPIC_ALERTS, schema(), BLOCK_RECORDS);
    output_batch_destroy(batch);
    FILE *file = fopen(self->path, "rb");
    assert_non_null(file);
    self->length = fread(self->content, 1, sizeof(self->content), file);
    assert_int_equal(fclose(file), 0);
}

static void cut_file(struct fixture *self, size_t length)
{
    FILE *file = fopen(self->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(self->content, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Reads to the end or the first failure; returns the number of records. */
static uint32_t read_all(const char *path, enum status *ret_status, struct error *error)
{
    struct output_reader *reader = NULL;
    uint32_t count = 0;
    error->message[0] = '\0';
    *ret_status = output_reader_open(path, schema(), &reader, error);
    while (*ret_status == STATUS_OK) {
        struct text json;
        *ret_status = output_reader_next(reader, &json, error);
        if (*ret_status == STATUS_OK && !json.data) {
            break;
        }
        count += *ret_status == STATUS_OK;
    }
    output_reader_close(reader);
    return count;
}

static void reads_all_records_of_both_formats(void **state)
{
    struct fixture *self = *state;
    for (int format = OUTPUT_JSONL; format <= OUTPUT_AVRO; format++) {
        for (uint32_t count = 0; count <= RECORDS; count++) {
            make_file(self, (enum output_format)format, count);
            enum status status;
            struct error error;
            assert_int_equal(read_all(self->path, &status, &error), count);
            assert_int_equal(status, STATUS_OK);
        }
    }
}

static void missing_and_foreign_files_are_refused_by_name(void **state)
{
    struct fixture *self = *state;
    enum status status;
    struct error error;
    char path[5000];
    static const char *const names[] = {"none.avro", "none.jsonl", "none.csv", "avro", ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", self->directory, names[i]);
        assert_int_equal(read_all(path, &status, &error), 0);
        assert_int_equal(status, STATUS_INVALID);
        assert_non_null(strstr(error.message, names[i]));
    }
    make_file(self, OUTPUT_JSONL, 1);
    (void)snprintf(path, sizeof(path), "%s/0.avro", self->directory);
    assert_int_equal(rename(self->path, path), 0);
    (void)read_all(path, &status, &error);
    assert_int_equal(status, STATUS_INVALID);
    assert_non_null(strstr(error.message, "not an Avro container"));
}

static void lines_cut_anywhere_but_at_an_end_are_refused(void **state)
{
    struct fixture *self = *state;
    make_file(self, OUTPUT_JSONL, RECORDS);
    uint32_t whole = 0;
    for (size_t length = 0; length <= self->length; length++) {
        bool is_end = length == 0 || self->content[length - 1] == '\n';
        whole += length > 0 && is_end;
        cut_file(self, length);
        enum status status;
        struct error error;
        assert_int_equal(read_all(self->path, &status, &error), whole);
        assert_int_equal(status, is_end ? STATUS_OK : STATUS_INVALID);
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "ends inside record %u", (unsigned)whole + 1);
        assert_true(is_end || strstr(error.message, expected));
    }
}

static void container_cut_inside_a_block_is_refused(void **state)
{
    struct fixture *self = *state;
    make_file(self, OUTPUT_AVRO, 0);
    size_t header = self->length;
    make_file(self, OUTPUT_AVRO, BLOCK_RECORDS);
    size_t block = self->length - header;
    make_file(self, OUTPUT_AVRO, 2 * BLOCK_RECORDS);
    /* Most of the header is the schema, where one byte is as good as another. */
    for (size_t length = 0; length <= self->length; length += length + 20 < header ? 11 : 1) {
        bool is_end = length == header || length == header + block || length == self->length;
        cut_file(self, length);
        enum status status;
        struct error error;
        uint32_t count = read_all(self->path, &status, &error);
        if ((status == STATUS_OK) != is_end) {
            fail_msg("cut at %zu of %zu: status %d, %u records, %s", length, self->length,
                     (int)status, (unsigned)count, error.message);
        }
        assert_int_equal(count, length < header + block ? 0
                                : length < self->length ? BLOCK_RECORDS
                                                        : 2 * BLOCK_RECORDS);
    }
}

static void block_without_its_sync_marker_is_refused(void **state)
{
    struct fixture *self = *state;
    make_file(self, OUTPUT_AVRO, 2 * BLOCK_RECORDS);
    self->content[self->length - 1] ^= 1;
    cut_file(self, self->length);
    enum status status;
    struct error error;
    assert_int_equal(read_all(self->path, &status, &error), BLOCK_RECORDS);
    assert_int_equal(status, STATUS_INVALID);
    assert_non_null(strstr(error.message, "after record 2"));
    assert_non_null(strstr(error.message, "sync marker"));
}

/* What is read from a damaged block is refused or is JSON; the sanitizers see the rest. */
static void damaged_bytes_never_do_harm(void **state)
{
    struct fixture *self = *state;
    make_file(self, OUTPUT_AVRO, BLOCK_RECORDS);
    for (size_t i = 0; i < self->length; i++) {
        static const unsigned char flips[] = {0x01, 0x80, 0xFF};
        unsigned char flip = flips[i % sizeof(flips)];
        self->content[i] ^= flip;
        cut_file(self, self->length);
        self->content[i] ^= flip;
        enum status status;
        struct error error;
        uint32_t count = read_all(self->path, &status, &error);
        assert_true(count <= BLOCK_RECORDS);
        assert_true(status == STATUS_OK ? count == BLOCK_RECORDS : error.message[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_all_records_of_both_formats, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_and_foreign_files_are_refused_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lines_cut_anywhere_but_at_an_end_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(container_cut_inside_a_block_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(block_without_its_sync_marker_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_bytes_never_do_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
