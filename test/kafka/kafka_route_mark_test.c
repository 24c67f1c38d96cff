#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_route_mark.h"
#include "test/fakes/random.h"

static void marks_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct kafka_route_mark marks[] = {
        {.partition = 0, .offset = 0, .timestamp_ms = -1, .mark_ms = 0, .topic = {"t", 1}},
        {.flags = KAFKA_ROUTE_MARKER | KAFKA_ROUTE_ENDED,
         .partition = 255,
         .offset = INT64_MAX,
         .timestamp_ms = 1780272000000,
         .mark_ms = INT64_MAX,
         .topic = {"clicks", 6}},
        {.flags = KAFKA_ROUTE_CUT | KAFKA_ROUTE_AHEAD,
         .partition = 7,
         .offset = 12,
         .whole = {.length = 3000000,
                   .sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
         .topic = {"a.b_c-d", 7}},
    };
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX];
        struct kafka_route_mark back;
        size_t length = kafka_route_mark_write(&marks[i], bytes);
        assert_true(kafka_route_mark_read(bytes, length, &back));
        assert_int_equal(back.flags, marks[i].flags);
        assert_int_equal(back.partition, marks[i].partition);
        assert_int_equal(back.offset, marks[i].offset);
        assert_int_equal(back.timestamp_ms, marks[i].timestamp_ms);
        assert_int_equal(back.mark_ms, marks[i].mark_ms);
        assert_int_equal(back.topic.length, marks[i].topic.length);
        assert_memory_equal(back.topic.data, marks[i].topic.data, back.topic.length);
        assert_int_equal(back.whole.length, marks[i].whole.length);
        assert_string_equal(back.whole.sha256, marks[i].whole.sha256);
    }
}

/* Other versions, in a group that is being upgraded, read the same bytes. */
static void a_mark_is_laid_out_as_its_header_says(void **state)
{
    (void)state;
    const struct kafka_route_mark mark = {.flags = KAFKA_ROUTE_AHEAD,
                                          .partition = 0x01020304,
                                          .offset = 0x0102030405060708,
                                          .timestamp_ms = 0x1112131415161718,
                                          .mark_ms = 0x2122232425262728,
                                          .topic = {"xy", 2}};
    static const unsigned char expected[] = {1,    4,    4,    3,    2,    1,    8,    7,
                                             6,    5,    4,    3,    2,    1,    0x18, 0x17,
                                             0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27,
                                             0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 'x',  'y'};
    unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX];
    assert_int_equal(kafka_route_mark_write(&mark, bytes), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void what_is_no_mark_is_refused(void **state)
{
    (void)state;
    const struct kafka_route_mark mark = {.flags = KAFKA_ROUTE_CUT, .topic = {"clicks", 6}};
    unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX + 1] = {0};
    struct kafka_route_mark back;
    size_t length = kafka_route_mark_write(&mark, bytes);
    for (size_t shorter = 0; shorter + 6 <= length; shorter++) {
        assert_false(kafka_route_mark_read(bytes, shorter, &back));
    }
    assert_true(kafka_route_mark_read(bytes, length - 1, &back));
    assert_false(kafka_route_mark_read(bytes, sizeof(bytes), &back)); /* Too long a name. */
    bytes[0] = 2;
    assert_false(kafka_route_mark_read(bytes, length, &back));
    bytes[0] = 1;
    bytes[13] = 0x80; /* A negative offset. */
    assert_false(kafka_route_mark_read(bytes, length, &back));
}

/* Whatever the bytes are, what is read stays inside them; the sanitizers look on. */
static void any_bytes_can_be_read(void **state)
{
    (void)state;
    struct random random = {1};
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX];
        size_t length = random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)random_below(&random, 256);
        }
        bytes[0] = 1;
        struct kafka_route_mark mark;
        if (kafka_route_mark_read(bytes, length, &mark)) {
            assert_in_range(mark.topic.length, 1, 249);
            assert_ptr_equal(mark.topic.data + mark.topic.length, bytes + length);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_come_back_as_they_were),
        cmocka_unit_test(a_mark_is_laid_out_as_its_header_says),
        cmocka_unit_test(what_is_no_mark_is_refused),
        cmocka_unit_test(any_bytes_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
