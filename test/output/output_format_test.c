/* Both formats against readers that others wrote: Python's json, and Avro C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/output_internal.h"
#include "pipeline/output/output_reader.h"
#include "test/fakes/avro_value_json.h"
#include "test/fakes/fixture.h"
#include "test/fakes/output_file.h"
#include "test/fakes/output_random.h"

#define SAMPLES 2000
#define SEED 20191001

struct fixture {
    char *directory;
    struct arena arena;
    struct output_batch *json;
    struct output_batch *avro;
    struct sample *samples;
    char json_path[4096];
    char avro_path[4096];
    char expected_path[4096];
};

static int setup(void **state)
{
    struct fixture *self = calloc(1, sizeof(*self));
    self->directory = fixture_directory();
    arena_init(&self->arena, 1 << 20);
    self->samples = arena_array(&self->arena, struct sample, SAMPLES);
    struct random random = {SEED};
    for (int i = 0; i < SAMPLES; i++) {
        self->samples[i] = sample_random(&random, &self->arena);
    }
    assert_int_equal(output_batch_create_for(sample_topics(), OUTPUT_JSONL, &self->json, NULL), 0);
    assert_int_equal(output_batch_create_for(sample_topics(), OUTPUT_AVRO, &self->avro, NULL), 0);
    for (int i = 0; i < SAMPLES; i++) {
        sample_write(self->json, TOPIC_ALERTS, &self->samples[i]);
        sample_write(self->avro, TOPIC_ALERTS, &self->samples[i]);
    }
    (void)snprintf(self->json_path, sizeof(self->json_path), "%s/0.jsonl", self->directory);
    (void)snprintf(self->avro_path, sizeof(self->avro_path), "%s/0.avro", self->directory);
    (void)snprintf(self->expected_path, sizeof(self->expected_path), "%s/wanted", self->directory);
    const struct output_schema *schema = sample_topics()[TOPIC_ALERTS].schema;
    output_file_write(self->json_path, self->json, TOPIC_ALERTS, schema, 1);
    output_file_write(self->avro_path, self->avro, TOPIC_ALERTS, schema, 100);
    *state = self;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *self = *state;
    output_batch_destroy(self->json);
    output_batch_destroy(self->avro);
    arena_release(&self->arena);
    fixture_remove(self->directory);
    free(self->directory);
    free(self);
    return 0;
}

static void put_hex(FILE *file, struct text text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        (void)fprintf(file, "%02x", (unsigned)(unsigned char)text.data[i]);
    }
}

static void put_float_bits(FILE *file, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    (void)fprintf(file, "%x", (unsigned)bits);
}

static void put_term(FILE *file, const struct sample_term *term)
{
    put_hex(file, term->name);
    (void)fputc('=', file);
    put_float_bits(file, term->value);
}

static void put_lists(FILE *file, const struct sample *sample)
{
    (void)fputs("\trecords:", file);
    for (uint32_t i = 0; i < sample->record_count; i++) {
        (void)fputs(i > 0 ? "," : "", file);
        put_term(file, &sample->records[i]);
    }
    (void)fputs("\tfloats:", file);
    for (uint32_t i = 0; i < sample->float_count; i++) {
        (void)fputs(i > 0 ? "," : "", file);
        put_float_bits(file, sample->floats[i]);
    }
    (void)fputs("\tlongs:", file);
    for (uint32_t i = 0; i < sample->long_count; i++) {
        (void)fputs(i > 0 ? "," : "", file);
        put_hex(file, sample->longs[i].name);
        (void)fprintf(file, "=%lld", (long long)sample->longs[i].number);
    }
    (void)fputs("\ttexts:", file);
    for (uint32_t i = 0; i < sample->text_count; i++) {
        (void)fputs(i > 0 ? "," : "", file);
        put_hex(file, sample->texts[i].name);
        (void)fputc('=', file);
        put_hex(file, sample->texts[i].text);
    }
}

static void put_expected(FILE *file, const struct sample *sample)
{
    uint64_t bits;
    memcpy(&bits, &sample->real, sizeof(bits));
    (void)fputs("text:", file);
    put_hex(file, sample->text);
    (void)fprintf(file, "\tlong:%lld\tdouble:%llx\tfloat:", (long long)sample->number,
                  (unsigned long long)bits);
    put_float_bits(file, sample->small_real);
    (void)fprintf(file, "\tbool:%d\ttime:%lld\tbytes:", sample->flag, (long long)sample->time_ms);
    put_hex(file, sample->bytes);
    (void)fputs("\trecord:", file);
    put_term(file, &sample->record);
    put_lists(file, sample);
    (void)fputs("\tmaybe_text:", file);
    if (sample->maybe_text.data) {
        put_hex(file, sample->maybe_text);
    } else {
        (void)fputc('-', file);
    }
    (void)fprintf(file, "\tmaybe_record:%d\tkey:%016llx%016llx\tid:%016llx\n",
                  sample->has_maybe_record, (unsigned long long)sample->key.high,
                  (unsigned long long)sample->key.low, (unsigned long long)sample->id);
}

static void json_reads_back_as_it_was_written(void **state)
{
    struct fixture *self = *state;
    FILE *file = fopen(self->expected_path, "w");
    assert_non_null(file);
    for (int i = 0; i < SAMPLES; i++) {
        put_expected(file, &self->samples[i]);
    }
    assert_int_equal(fclose(file), 0);
    char command[16384];
    (void)snprintf(command, sizeof(command), "python3 test/output/json_oracle.py %s %s",
                   self->json_path, self->expected_path);
    print_message("seed %d\n", SEED);
    /* NOLINTNEXTLINE(bugprone-command-processor): the arguments are this test's own. */
    assert_int_equal(system(command), 0);
}

static void avro_reads_back_as_the_same_json(void **state)
{
    struct fixture *self = *state;
    struct output_reader *lines;
    struct output_reader *avro;
    const struct output_schema *schema = sample_topics()[TOPIC_ALERTS].schema;
    assert_int_equal(output_reader_open(self->json_path, schema, &lines, NULL), STATUS_OK);
    assert_int_equal(output_reader_open(self->avro_path, schema, &avro, NULL), STATUS_OK);
    for (int i = 0; i <= SAMPLES; i++) {
        struct text a;
        struct text b;
        struct error error;
        assert_int_equal(output_reader_next(lines, &a, &error), STATUS_OK);
        assert_int_equal(output_reader_next(avro, &b, &error), STATUS_OK);
        if (!text_equal(a, b)) {
            fail_msg("record %d, seed %d\n%.*s\n%.*s", i, SEED, (int)a.length, a.data,
                     (int)b.length, b.data);
        }
        assert_int_equal(i == SAMPLES, a.data == NULL);
        assert_int_equal(i == SAMPLES, b.data == NULL);
    }
    output_reader_close(lines);
    output_reader_close(avro);
}

static void avro_c_reads_what_the_reader_reads(void **state)
{
    struct fixture *self = *state;
    const struct output_schema *schema = sample_topics()[TOPIC_ALERTS].schema;
    avro_file_reader_t file;
    assert_int_equal(avro_file_reader(self->avro_path, &file), 0);
    avro_schema_t type = avro_file_reader_get_writer_schema(file);
    avro_value_iface_t *iface = avro_generic_class_from_schema(type);
    avro_value_t value;
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    struct byte_buffer json = {0};
    for (uint64_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(avro_file_reader_read_value(file, &value), 0);
        json.length = 0;
        assert_true(avro_value_json(&value, schema, &json));
        struct output_record line = output_batch_get(self->json, TOPIC_ALERTS, i);
        assert_int_equal(json.length, line.length);
        assert_memory_equal(json.bytes, line.bytes, line.length);
        (void)avro_value_reset(&value);
    }
    assert_int_equal(avro_file_reader_read_value(file, &value), EOF);
    byte_buffer_release(&json);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(type);
    (void)avro_file_reader_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_reads_back_as_it_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(avro_reads_back_as_the_same_json, setup, teardown),
        cmocka_unit_test_setup_teardown(avro_c_reads_what_the_reader_reads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
