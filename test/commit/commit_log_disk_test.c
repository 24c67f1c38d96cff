/* The log and its outputs on a real disk: Avro C reads what several runs appended. */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <avro.h>
#include <cmocka.h>

#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/storage.h"
#include "test/fakes/fixture.h"

static void write_dead_letter(struct output_batch *batch, int64_t ordinal)
{
    struct output_writer *writer =
        output_begin(batch, TOPIC_DEAD_LETTERS, (struct key128){0}, ordinal);
    output_text(writer, text_of("file.csv"));
    output_text(writer, text_of("0"));
    output_long(writer, ordinal);
    output_long(writer, 0);
    output_text(writer, text_of("unreadable"));
    output_null(writer);
    output_null(writer);
    output_long(writer, 0);
    output_text(writer, text_of(""));
    output_end(writer);
}

/* Commits `counts[i]` dead letters each, opening the log anew every time. */
static void commit_dead_letters(const char *folder, const int *counts, size_t commits)
{
    char output_directory[4200];
    char log_directory[4200];
    (void)snprintf(output_directory, sizeof(output_directory), "%s/out", folder);
    (void)snprintf(log_directory, sizeof(log_directory), "%s/state/log", folder);
    struct commit_log_file_options options = {.storage = storage_posix(),
                                              .output_directory = output_directory,
                                              .log_directory = log_directory,
                                              .partition = "0",
                                              .format = OUTPUT_AVRO,
                                              .is_synced = true,
                                              .segment_bytes = 4096};
    struct output_batch *batch = NULL;
    struct error error = {""};
    assert_int_equal(output_batch_create(OUTPUT_AVRO, &batch, &error), STATUS_OK);
    int64_t ordinal = 0;
    for (size_t i = 0; i < commits; i++) {
        struct commit_log *log = NULL;
        struct commit_point point = {0};
        struct recovery_visitor visitor = {.record = NULL};
        assert_int_equal(commit_log_file_open(&options, &log, &error), STATUS_OK);
        assert_int_equal(log->ops->recover(log, 0, &visitor, &point, &error), STATUS_OK);
        assert_int_equal(point.log_position, i);
        output_batch_reset(batch);
        for (int j = 0; j < counts[i]; j++) {
            write_dead_letter(batch, ordinal++);
        }
        struct commit_content content = {.outputs = batch, .position.ordinal = (uint64_t)ordinal};
        assert_int_equal(log->ops->start(log, &content, &error), STATUS_OK);
        log->ops->close(log);
    }
    output_batch_destroy(batch);
}

static int64_t read_with_avro(const char *path)
{
    avro_file_reader_t reader;
    if (avro_file_reader(path, &reader) != 0) {
        fail_msg("%s", avro_strerror());
    }
    avro_schema_t schema = avro_file_reader_get_writer_schema(reader);
    assert_string_equal(avro_schema_name(schema), "dead_letter");
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    int64_t count = 0;
    while (avro_file_reader_read_value(reader, &value) == 0) {
        avro_value_t field = {0};
        int64_t ordinal = -1;
        int missing = avro_value_get_by_name(&value, "ordinal", &field, NULL);
        assert(missing == 0 && field.iface);
        assert_int_equal(avro_value_get_long(&field, &ordinal), 0);
        assert_int_equal(ordinal, count);
        count++;
    }
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    avro_file_reader_close(reader);
    return count;
}

static void writes_containers_that_avro_reads(void **state)
{
    (void)state;
    char *folder = fixture_directory();
    const int counts[] = {2, 0, 1, 500};
    commit_dead_letters(folder, counts, 4);
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/out/dead_letters/0.avro", folder);
    assert_int_equal(read_with_avro(path), 503);
    struct stat info;
    (void)snprintf(path, sizeof(path), "%s/out/alerts", folder);
    assert_int_equal(stat(path, &info), -1);
    fixture_remove(folder);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_containers_that_avro_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
