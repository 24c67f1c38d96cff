/* The writer in both formats, on a table with a field of each type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/output/output_internal.h"
#include "test/fakes/note_output.h"
#include "test/fakes/output_sample.h"

static struct output_batch *make_batch(enum output_format format)
{
    struct output_batch *batch = NULL;
    assert_int_equal(output_batch_create_for(sample_topics(), format, &batch, NULL), STATUS_OK);
    return batch;
}

static void assert_record(const struct output_batch *batch, uint64_t index, const void *bytes,
                          size_t length)
{
    struct output_record record = output_batch_get(batch, TOPIC_ALERTS, index);
    assert_int_equal(record.length, length);
    assert_memory_equal(record.bytes, bytes, length);
}

static void writes_each_type_as_json(void **state)
{
    (void)state;
    struct output_batch *batch = make_batch(OUTPUT_JSONL);
    struct sample sample = sample_full();
    sample_write(batch, TOPIC_ALERTS, &sample);
    static const char expected[] =
        "{\"text\":\"a\\\"b\\\\c\\n\\u0001\xC3\xBC\",\"long\":-42,\"double\":0.1,\"float\":0.1,"
        "\"bool\":true,\"time\":\"2019-10-01T00:00:00.007Z\",\"bytes\":\"AAEC/w==\","
        "\"record\":{\"name\":\"n\",\"value\":2.5},"
        "\"records\":[{\"name\":\"x\",\"value\":1},{\"name\":\"y\",\"value\":null}],"
        "\"floats\":[1.5,null,-0.25],\"longs\":{\"purchase\":2,\"search\":1},"
        "\"texts\":{\"k\":\"v\"},\"maybe_text\":null,\"maybe_record\":null,"
        "\"key\":\"0123456789abcdef00000000000000ff\",\"id\":\"00000000deadbeef\"}";
    assert_record(batch, 0, expected, sizeof(expected) - 1);
    output_batch_destroy(batch);
}

static void writes_each_type_as_avro(void **state)
{
    (void)state;
    struct output_batch *batch = make_batch(OUTPUT_AVRO);
    struct sample sample = sample_full();
    sample_write(batch, TOPIC_ALERTS, &sample);
    static const unsigned char expected[] =
        "\x12"
        "a\"b\\c\n\x01\xC3\xBC" /* text, 9 bytes */
        "\x53"                  /* long -42 */
        "\x9A\x99\x99\x99\x99\x99\xB9\x3F"
        "\xCD\xCC\xCC\x3D"
        "\x01"
        "\x8E\xE0\xEE\xC9\xB0\x5B" /* time */
        "\x08\x00\x01\x02\xFF"
        "\x02n\x02\x00\x00\x20\x40" /* record: name, union branch 1, 2.5 */
        "\x04\x02x\x02\x00\x00\x80\x3F\x02y\x00\x00"
        "\x06\x00\x00\xC0\x3F\x00\x00\xC0\x7F\x00\x00\x80\xBE\x00"
        "\x04\x10purchase\x04\x0Csearch\x02\x00"
        "\x02\x02k\x02v\x00"
        "\x00\x00"
        "\x40"
        "0123456789abcdef00000000000000ff"
        "\x20"
        "00000000deadbeef";
    assert_record(batch, 0, expected, sizeof(expected) - 1);
    output_batch_destroy(batch);
}

static void numbers_that_are_not_finite_have_one_encoding(void **state)
{
    (void)state;
    struct output_batch *batch = make_batch(OUTPUT_AVRO);
    uint32_t bits[] = {0x7FC00000, 0xFFC00001, 0x7F800001, 0x7F800000, 0xFF800000};
    struct sample sample = sample_full();
    sample.float_count = 1;
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        memcpy(&sample.floats[0], &bits[i], sizeof(bits[i]));
        sample_write(batch, TOPIC_ALERTS, &sample);
        struct output_record first = output_batch_get(batch, TOPIC_ALERTS, 0);
        assert_record(batch, i, first.bytes, first.length);
    }
    output_batch_destroy(batch);
}

static void record_keeps_key_and_event_time(void **state)
{
    (void)state;
    struct output_batch *batch = make_batch(OUTPUT_AVRO);
    struct sample sample = sample_full();
    for (uint64_t i = 0; i < 5; i++) {
        sample.key.low = i;
        sample.time_ms = -(int64_t)i;
        sample_write(batch, TOPIC_SESSIONS, &sample);
    }
    for (uint64_t i = 0; i < 5; i++) {
        struct output_record record = output_batch_get(batch, TOPIC_SESSIONS, i);
        assert_int_equal(record.key.high, sample.key.high);
        assert_int_equal(record.key.low, i);
        assert_int_equal(record.time_ms, -(int64_t)i);
    }
    assert_int_equal(output_batch_count(batch, TOPIC_ALERTS), 0);
    output_batch_destroy(batch);
}

static void records_of_two_topics_may_be_open_at_once(void **state)
{
    (void)state;
    struct output_batch *batch = note_batch_create(OUTPUT_JSONL);
    struct key128 key = {1, 2};
    struct output_writer *late = output_begin(batch, TOPIC_LATE_EVENTS, key, 1);
    struct output_writer *dead = output_begin(batch, TOPIC_DEAD_LETTERS, key, 2);
    output_long(late, 3);
    output_long(dead, 4);
    output_end(late);
    output_end(dead);
    struct output_record record = output_batch_get(batch, TOPIC_LATE_EVENTS, 0);
    assert_int_equal(record.length, strlen("{\"n\":3}"));
    assert_memory_equal(record.bytes, "{\"n\":3}", record.length);
    record = output_batch_get(batch, TOPIC_DEAD_LETTERS, 0);
    assert_int_equal(record.length, strlen("{\"n\":4}"));
    assert_memory_equal(record.bytes, "{\"n\":4}", record.length);
    output_batch_destroy(batch);
}

static void reset_forgets_records_and_failure(void **state)
{
    (void)state;
    struct output_batch *batch = make_batch(OUTPUT_JSONL);
    struct sample sample = sample_full();
    output_batch_set_bytes_max(batch, 100);
    sample_write(batch, TOPIC_ALERTS, &sample);
    assert_true(output_batch_failed(batch));
    output_batch_reset(batch);
    assert_false(output_batch_failed(batch));
    output_batch_set_bytes_max(batch, OUTPUT_BYTES_MAX);
    sample_write(batch, TOPIC_ALERTS, &sample);
    assert_false(output_batch_failed(batch));
    assert_int_equal(output_batch_count(batch, TOPIC_ALERTS), 1);
    output_batch_reset(batch);
    assert_int_equal(output_batch_count(batch, TOPIC_ALERTS), 0);
    assert_int_equal(output_batch_bytes(batch), 0);
    output_batch_destroy(batch);
}

/* Room may run out at any byte; whole records stay, the one that did not fit is not counted. */
static void running_out_of_room_at_any_byte_is_reported(void **state)
{
    (void)state;
    for (int format = OUTPUT_JSONL; format <= OUTPUT_AVRO; format++) {
        struct sample sample = sample_full();
        struct output_batch *batch = make_batch((enum output_format)format);
        sample_write(batch, TOPIC_ALERTS, &sample);
        uint64_t whole = output_batch_bytes(batch);
        output_batch_destroy(batch);
        for (uint64_t bytes_max = 1; bytes_max < 2 * whole; bytes_max++) {
            batch = make_batch((enum output_format)format);
            output_batch_set_bytes_max(batch, bytes_max);
            sample_write(batch, TOPIC_ALERTS, &sample);
            sample_write(batch, TOPIC_ALERTS, &sample);
            assert_true(output_batch_failed(batch));
            uint64_t count = output_batch_count(batch, TOPIC_ALERTS);
            assert_true(count <= bytes_max / whole);
            assert_true(count == 0 || output_batch_get(batch, TOPIC_ALERTS, 0).length == whole);
            output_batch_destroy(batch);
        }
    }
}

static void wrong_type(struct output_writer *writer)
{
    output_long(writer, 1);
}

static void null_in_a_field_without_null(struct output_writer *writer)
{
    output_null(writer);
}

static void end_too_early(struct output_writer *writer)
{
    output_text(writer, text_of("a"));
    output_end(writer);
}

static void nan_in_a_field_without_null(struct output_writer *writer)
{
    output_text(writer, text_of("a"));
    output_long(writer, 1);
    output_double(writer, (double)NAN);
}

static void second_record_of_a_topic(struct output_writer *writer)
{
    /* The first writer of a batch is that of its first topic. */
    (void)output_begin((struct output_batch *)writer, TOPIC_ALERTS, (struct key128){0}, 0);
}

/* Writes up to the field "records" and opens an array of one there. */
static void open_array(struct output_writer *writer)
{
    output_text(writer, text_of("a"));
    output_long(writer, 1);
    output_double(writer, 1);
    output_float(writer, 1);
    output_bool(writer, true);
    output_time(writer, 1);
    output_bytes(writer, "", 0);
    output_record_begin(writer);
    output_text(writer, text_of("n"));
    output_null(writer);
    output_record_end(writer);
    output_array_begin(writer, 1);
}

static void fewer_elements_than_said(struct output_writer *writer)
{
    open_array(writer);
    output_array_end(writer);
}

static void value_instead_of_a_record(struct output_writer *writer)
{
    open_array(writer);
    output_text(writer, text_of("a"));
}

static void record_end_with_fields_left(struct output_writer *writer)
{
    open_array(writer);
    output_record_begin(writer);
    output_record_end(writer);
}

static void map_value_without_a_name(struct output_writer *writer)
{
    open_array(writer);
    output_record_begin(writer);
    output_text(writer, text_of("n"));
    output_null(writer);
    output_record_end(writer);
    output_array_end(writer);
    output_float_array(writer, NULL, 0);
    output_map_begin(writer, 1);
    output_long(writer, 1);
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*misuse)(struct output_writer *writer);
    } rows[] = {
        {"wrong type", wrong_type},
        {"null where there is none", null_in_a_field_without_null},
        {"fields left at the end", end_too_early},
        {"NaN where there is no null", nan_in_a_field_without_null},
        {"two records of a topic at once", second_record_of_a_topic},
        {"fewer elements than said", fewer_elements_than_said},
        {"a value as an element", value_instead_of_a_record},
        {"fields left at a record's end", record_end_with_fields_left},
        {"map value without a name", map_value_without_a_name},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        pid_t child = fork();
        if (child == 0) {
            if (!freopen("/dev/null", "w", stderr)) {
                _exit(1);
            }
            struct output_batch *batch = make_batch(OUTPUT_JSONL);
            rows[i].misuse(output_begin(batch, TOPIC_ALERTS, (struct key128){0}, 0));
            _exit(0);
        }
        int result;
        assert_int_equal(waitpid(child, &result, 0), child);
        if (!WIFSIGNALED(result) || WTERMSIG(result) != SIGABRT) {
            fail_msg("%s: not stopped", rows[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_type_as_json),
        cmocka_unit_test(writes_each_type_as_avro),
        cmocka_unit_test(numbers_that_are_not_finite_have_one_encoding),
        cmocka_unit_test(record_keeps_key_and_event_time),
        cmocka_unit_test(records_of_two_topics_may_be_open_at_once),
        cmocka_unit_test(reset_forgets_records_and_failure),
        cmocka_unit_test(running_out_of_room_at_any_byte_is_reported),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
