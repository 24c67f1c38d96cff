/* The writer in both formats, on a table with a field of each type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/output_internal.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_each_type_as_json),
        cmocka_unit_test(writes_each_type_as_avro),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
