#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_records.h"

static void keys_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct record_key keys[] = {
        {.kind = ENTITY_USER, .id = {0, 0}},
        {.kind = ENTITY_TASK, .id = {UINT64_MAX, 1}},
        {.kind = ENTITY_CARD, .id = {0x0102030405060708u, 0x090a0b0c0d0e0f10u}},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        unsigned char bytes[KAFKA_RECORD_KEY_BYTES];
        struct record_key back;
        kafka_record_key_write(keys[i], bytes);
        assert_true(kafka_record_key_read(bytes, sizeof(bytes), &back));
        assert_int_equal(back.kind, keys[i].kind);
        assert_int_equal(key128_compare(back.id, keys[i].id), 0);
    }
}

/* Compaction and people compare the bytes, so their order is that of the documentation. */
static void a_key_is_kind_then_id_most_significant_byte_first(void **state)
{
    (void)state;
    const struct record_key key = {.kind = ENTITY_CARD,
                                   .id = {0x0102030405060708u, 0x090a0b0c0d0e0f10u}};
    static const unsigned char expected[] = {2, 1,  2,  3,  4,  5,  6,  7, 8,
                                             9, 10, 11, 12, 13, 14, 15, 16};
    unsigned char bytes[KAFKA_RECORD_KEY_BYTES];
    kafka_record_key_write(key, bytes);
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void other_bytes_are_no_key(void **state)
{
    (void)state;
    unsigned char bytes[KAFKA_RECORD_KEY_BYTES + 1] = {0};
    struct record_key key;
    assert_false(kafka_record_key_read(NULL, 0, &key));
    assert_false(kafka_record_key_read(bytes, KAFKA_RECORD_KEY_BYTES - 1, &key));
    assert_false(kafka_record_key_read(bytes, KAFKA_RECORD_KEY_BYTES + 1, &key));
    bytes[0] = ENTITY_KIND_COUNT;
    assert_false(kafka_record_key_read(bytes, KAFKA_RECORD_KEY_BYTES, &key));
}

static void journal_entries_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct journal_entry entries[] = {
        {.kind = JOURNAL_TICK, .ordinal = 7, .value = INT64_MIN},
        {.kind = JOURNAL_EPOCH, .ordinal = UINT64_MAX, .value = 3, .payload = {"12345678", 8}},
    };
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        unsigned char bytes[KAFKA_JOURNAL_BYTES_MAX];
        struct journal_entry back;
        size_t length = kafka_journal_write(&entries[i], bytes);
        assert_true(kafka_journal_read(bytes, length, &back));
        assert_int_equal(back.kind, entries[i].kind);
        assert_true(back.ordinal == entries[i].ordinal);
        assert_true(back.value == entries[i].value);
        assert_int_equal(back.payload.length, entries[i].payload.length);
        assert_memory_equal(back.payload.data,
                            entries[i].payload.data ? entries[i].payload.data : "",
                            back.payload.length);
    }
}

static void cut_journal_entries_are_refused(void **state)
{
    (void)state;
    unsigned char bytes[KAFKA_JOURNAL_BYTES_MAX] = {JOURNAL_TICK};
    struct journal_entry entry;
    for (size_t length = 0; length < 17; length++) {
        assert_false(kafka_journal_read(bytes, length, &entry));
    }
    assert_true(kafka_journal_read(bytes, 17, &entry));
    assert_false(kafka_journal_read(bytes, KAFKA_JOURNAL_BYTES_MAX + 1, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back_as_they_were),
        cmocka_unit_test(a_key_is_kind_then_id_most_significant_byte_first),
        cmocka_unit_test(other_bytes_are_no_key),
        cmocka_unit_test(journal_entries_come_back_as_they_were),
        cmocka_unit_test(cut_journal_entries_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
