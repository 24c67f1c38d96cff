#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "pipeline/kafka/kafka_hop_mark.h"
#include "test/fakes/random.h"

static void headers_come_back_as_they_were(void **state)
{
    (void)state;
    struct kafka_hop_mark marks[] = {
        {.partition = 0, .mark_ms = 0},
        {.flags = KAFKA_HOP_MARKER | KAFKA_HOP_ENDED, .partition = 255, .mark_ms = INT64_MAX},
        {.flags = KAFKA_HOP_ENDED,
         .partition = 7,
         .mark_ms = 1780272000000,
         .columns_hash = UINT64_MAX,
         .count = 5,
         .values = {0.0f, -1.5f, 3e38f, INFINITY, 1e-40f}},
        {.count = KAFKA_HOP_VALUES_MAX},
    };
    for (uint32_t i = 0; i < KAFKA_HOP_VALUES_MAX; i++) {
        marks[3].values[i] = (float)i / 3.0f;
    }
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
        struct kafka_hop_mark back;
        size_t length = kafka_hop_mark_write(&marks[i], bytes);
        assert_int_equal(kafka_hop_mark_read(bytes, length, &back), KAFKA_HOP_READ);
        assert_int_equal(back.flags, marks[i].flags);
        assert_int_equal(back.partition, marks[i].partition);
        assert_int_equal(back.mark_ms, marks[i].mark_ms);
        assert_int_equal(back.columns_hash, marks[i].columns_hash);
        assert_int_equal(back.count, marks[i].count);
        assert_memory_equal(back.values, marks[i].values, back.count * sizeof(float));
    }
}

static void a_missing_feature_is_missing_at_the_other_end(void **state)
{
    (void)state;
    const struct kafka_hop_mark mark = {.count = 3, .values = {1.0f, NAN, 2.0f}};
    unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
    struct kafka_hop_mark back;
    size_t length = kafka_hop_mark_write(&mark, bytes);
    assert_int_equal(kafka_hop_mark_read(bytes, length, &back), KAFKA_HOP_READ);
    assert_true(back.values[0] == 1.0f && isnan(back.values[1]) && back.values[2] == 2.0f);
}

/* Other versions, in a group that is being upgraded, read the same bytes. */
static void a_header_is_laid_out_as_its_comment_says(void **state)
{
    (void)state;
    const struct kafka_hop_mark mark = {.flags = KAFKA_HOP_ENDED,
                                        .partition = 0x01020304,
                                        .mark_ms = 0x1112131415161718,
                                        .columns_hash = 0x2122232425262728,
                                        .count = 2,
                                        .values = {1.0f, -2.0f}};
    static const unsigned char expected[] = {1,    2,    2,    0,    4,    3,    2,    1,
                                             0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
                                             0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
                                             0,    0,    0x80, 0x3f, 0,    0,    0,    0xc0};
    unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
    assert_int_equal(kafka_hop_mark_write(&mark, bytes), sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void what_is_cut_or_too_long_is_no_header(void **state)
{
    (void)state;
    const struct kafka_hop_mark mark = {.count = 6};
    unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX + 1] = {0};
    struct kafka_hop_mark back;
    size_t length = kafka_hop_mark_write(&mark, bytes);
    for (size_t other = 0; other < sizeof(bytes); other++) {
        assert_int_equal(kafka_hop_mark_read(bytes, other, &back),
                         other == length ? KAFKA_HOP_READ : KAFKA_HOP_NONE);
    }
    bytes[3] = 1; /* 262 features. */
    assert_int_equal(kafka_hop_mark_read(bytes, length, &back), KAFKA_HOP_NONE);
    bytes[3] = 0;
    bytes[15] = 0x80; /* A negative time. */
    assert_int_equal(kafka_hop_mark_read(bytes, length, &back), KAFKA_HOP_NONE);
}

static void another_version_is_told_from_what_is_no_header(void **state)
{
    (void)state;
    const struct kafka_hop_mark mark = {.count = 6};
    unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
    struct kafka_hop_mark back;
    size_t length = kafka_hop_mark_write(&mark, bytes);
    bytes[0] = KAFKA_HOP_VERSION + 1;
    assert_int_equal(kafka_hop_mark_read(bytes, length, &back), KAFKA_HOP_OTHER_VERSION);
    assert_int_equal(kafka_hop_mark_read(bytes, 1, &back), KAFKA_HOP_OTHER_VERSION);
    assert_int_equal(kafka_hop_mark_read(bytes, 0, &back), KAFKA_HOP_NONE);
}

/* Whatever the bytes are, what is read stays inside them; the sanitizers look on. */
static void any_bytes_can_be_read(void **state)
{
    (void)state;
    struct random random = {1};
    for (int round = 0; round < 20000; round++) {
        unsigned char bytes[KAFKA_HOP_MARK_BYTES_MAX];
        size_t length = random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (unsigned char)random_below(&random, 256);
        }
        bytes[0] = 1;
        bytes[3] = 0;
        struct kafka_hop_mark mark;
        if (kafka_hop_mark_read(bytes, length, &mark) == KAFKA_HOP_READ) {
            assert_int_equal(length, 24 + 4 * mark.count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back_as_they_were),
        cmocka_unit_test(a_missing_feature_is_missing_at_the_other_end),
        cmocka_unit_test(a_header_is_laid_out_as_its_comment_says),
        cmocka_unit_test(what_is_cut_or_too_long_is_no_header),
        cmocka_unit_test(another_version_is_told_from_what_is_no_header),
        cmocka_unit_test(any_bytes_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
