#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/base/little_endian.h"
#include "pipeline/commit/commit_frame.h"

static const uint64_t committed[TOPIC_COUNT] = {[TOPIC_ALERTS] = 10, [TOPIC_DECISIONS] = 7};

/* A frame with all that there is: outputs, journal with and without payload, records. */
static struct byte_buffer encode(void)
{
    static const struct journal_entry journal[] = {
        {.ordinal = 3, .value = -5, .kind = JOURNAL_EPOCH, .payload = {"hash", 4}},
        {.ordinal = 4, .value = INT64_MAX, .kind = JOURNAL_DRAIN},
    };
    static const struct changelog_entry records[] = {
        {.key = {.id = {1, 2}, .kind = ENTITY_CARD}, .bytes = "record", .length = 6},
        {.key = {.id = {UINT64_MAX, 0}, .kind = ENTITY_USER}, .bytes = NULL, .length = 0},
    };
    const struct commit_content content = {.records = records,
                                           .record_count = 2,
                                           .journal = journal,
                                           .journal_count = 2,
                                           .position = {.ordinal = 9, .bytes = 99, .skip = 1}};
    struct byte_buffer frame = {0};
    struct error error = {""};
    assert_int_equal(commit_frame_encode(&frame, 42, &content, committed, &error), STATUS_OK);
    return frame;
}

static void gives_back_what_was_put_in(void **state)
{
    (void)state;
    struct byte_buffer bytes = encode();
    struct frame_header header;
    assert_true(frame_header_read(bytes.bytes, &header));
    assert_int_equal(header.log_position, 42);
    assert_int_equal(header.payload_bytes, bytes.length - FRAME_HEADER_BYTES);
    assert_true(frame_header_matches(&header, bytes.bytes + FRAME_HEADER_BYTES));
    struct commit_frame frame;
    assert_int_equal(
        commit_frame_decode(bytes.bytes + FRAME_HEADER_BYTES, header.payload_bytes, &frame, NULL),
        STATUS_OK);
    assert_int_equal(frame.position.ordinal, 9);
    assert_int_equal(frame.position.bytes, 99);
    assert_int_equal(frame.position.skip, 1);
    assert_memory_equal(frame.output_bytes, committed, sizeof(committed));
    struct journal_entry journal;
    assert_true(commit_frame_next_journal(&frame, &journal));
    assert_int_equal(journal.ordinal, 3);
    assert_int_equal(journal.value, -5);
    assert_int_equal(journal.kind, JOURNAL_EPOCH);
    assert_true(text_is(journal.payload, "hash"));
    assert_true(commit_frame_next_journal(&frame, &journal));
    assert_int_equal(journal.value, INT64_MAX);
    assert_int_equal(journal.payload.length, 0);
    assert_false(commit_frame_next_journal(&frame, &journal));
    struct changelog_entry record;
    assert_true(commit_frame_next_record(&frame, &record));
    assert_int_equal(record.key.id.high, 1);
    assert_int_equal(record.key.id.low, 2);
    assert_int_equal(record.key.kind, ENTITY_CARD);
    assert_int_equal(record.length, 6);
    assert_memory_equal(record.bytes, "record", 6);
    assert_true(commit_frame_next_record(&frame, &record));
    assert_true(record.key.id.high == UINT64_MAX);
    assert_int_equal(record.length, 0);
    assert_false(commit_frame_next_record(&frame, &record));
    byte_buffer_release(&bytes);
}

static void notices_each_bit_that_is_flipped(void **state)
{
    (void)state;
    struct byte_buffer bytes = encode();
    for (size_t bit = 0; bit < 8 * bytes.length; bit++) {
        bytes.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        struct frame_header header;
        bool is_good = frame_header_read(bytes.bytes, &header) &&
                       header.payload_bytes == bytes.length - FRAME_HEADER_BYTES &&
                       frame_header_matches(&header, bytes.bytes + FRAME_HEADER_BYTES);
        if (is_good) {
            fail_msg("bit %zu", bit);
        }
        bytes.bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    byte_buffer_release(&bytes);
}

static void refuses_a_payload_that_is_cut_anywhere(void **state)
{
    (void)state;
    struct byte_buffer bytes = encode();
    uint32_t length = (uint32_t)bytes.length - FRAME_HEADER_BYTES;
    for (uint32_t cut = 0; cut < length; cut++) {
        /* In memory of its own, so that a read behind the end is caught. */
        unsigned char *payload = malloc(cut ? cut : 1);
        assert_non_null(payload);
        memcpy(payload, bytes.bytes + FRAME_HEADER_BYTES, cut);
        struct commit_frame frame;
        struct error error = {""};
        assert_int_equal(commit_frame_decode(payload, cut, &frame, &error), STATUS_FATAL);
        assert_true(error.message[0] != '\0');
        free(payload);
    }
    byte_buffer_release(&bytes);
}

static void refuses_payloads_of_another_form(void **state)
{
    (void)state;
    const struct {
        const char *outputs; /* What stands behind the position. */
        size_t length;
        const char *expected;
    } rows[] = {
        {"\x01\x06"
         "future\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         24, "\"future\" that this version does not know"},
        {"\x02\x06"
         "alerts\x01\0\0\0\0\0\0\0\x06"
         "alerts\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         39, "\"alerts\" twice"},
        {"\0\0\0\0\0\0\0\0\0\x01", 10, "1 bytes follow"},
        {"\0\xff\xff\xff\xff", 5, "journal is cut"},
        {"\0\0\0\0\0\xff\xff\xff\xff", 9, "records is cut"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char payload[100] = {0};
        memcpy(payload + 24, rows[i].outputs, rows[i].length);
        struct commit_frame frame;
        struct error error = {""};
        enum status status =
            commit_frame_decode(payload, 24 + (uint32_t)rows[i].length, &frame, &error);
        if (status != STATUS_FATAL || !strstr(error.message, rows[i].expected)) {
            fail_msg("row %zu: status %d, %s", i, (int)status, error.message);
        }
    }
}

static void encodes_again_into_the_same_buffer(void **state)
{
    (void)state;
    struct byte_buffer first = encode();
    struct byte_buffer again = encode();
    const struct commit_content empty = {.position = {.ordinal = 1}};
    const uint64_t none[TOPIC_COUNT] = {0};
    assert_int_equal(commit_frame_encode(&again, 1, &empty, none, NULL), STATUS_OK);
    assert_int_equal(again.length, FRAME_HEADER_BYTES + 24 + 1 + 4 + 4);
    assert_true(first.length > again.length);
    byte_buffer_release(&first);
    byte_buffer_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_in),
        cmocka_unit_test(notices_each_bit_that_is_flipped),
        cmocka_unit_test(refuses_a_payload_that_is_cut_anywhere),
        cmocka_unit_test(refuses_payloads_of_another_form),
        cmocka_unit_test(encodes_again_into_the_same_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
