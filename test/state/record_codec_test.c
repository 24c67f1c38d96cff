#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/state/record_codec.h"
#include "test/fakes/random.h"

static void add_part(struct record_layout *layout, struct record_part part)
{
    uint32_t offset;
    struct error error;
    part.name = "part";
    assert_int_equal(record_layout_add(layout, &part, &offset, &error), STATUS_OK);
}

static struct record *new_record(const struct record_layout *layout, uint8_t kind)
{
    struct record *record = calloc(1, sizeof(*record) + layout->bytes[kind]);
    assert_non_null(record);
    record_init(layout, (struct record_key){{7, 9}, kind}, record);
    return record;
}

static void free_record(struct record *record)
{
    free(record->unknown_parts);
    free(record);
}

struct encoded {
    unsigned char *bytes;
    size_t length;
};

static struct encoded encode(const struct record_layout *layout, const struct record *record)
{
    size_t max = record_encoded_bytes_max(layout, record->key.kind, record->unknown_bytes);
    struct encoded encoded = {malloc(max), 0};
    assert_non_null(encoded.bytes);
    encoded.length = record_encode(layout, record, encoded.bytes);
    assert_true(encoded.length <= max);
    return encoded;
}

static enum status decode(const struct record_layout *layout, struct encoded encoded,
                          struct record *record, struct record_decode_counts *counts)
{
    struct error error;
    /* A copy of the exact size, so that a read beyond it is seen. */
    unsigned char *bytes = malloc(encoded.length + !encoded.length);
    assert_non_null(bytes);
    memcpy(bytes, encoded.bytes, encoded.length);
    enum status status = record_decode(layout, bytes, encoded.length, record, counts, &error);
    free(bytes);
    return status;
}

static void random_layout(struct random *random, struct record_layout *layout)
{
    *layout = (struct record_layout){0};
    uint32_t parts = 1 + random_below(random, 6);
    for (uint32_t i = 0; i < parts; i++) {
        add_part(layout, (struct record_part){.id = (uint16_t)(i + 1),
                                              .version = (uint16_t)random_below(random, 3),
                                              .kind = ENTITY_USER,
                                              .bytes = 8 * (1 + random_below(random, 21)),
                                              .writer_hash = random_below(random, 2)});
    }
}

static void fill_words(struct random *random, unsigned char *bytes, uint32_t length)
{
    uint32_t density = random_below(random, 5);
    for (uint32_t at = 0; at < length; at += 8) {
        uint64_t word = random_below(random, 4) < density ? random_next(random) : 0;
        memcpy(bytes + at, &word, 8);
    }
}

static void fill_record(struct random *random, const struct record_layout *layout,
                        struct record *record)
{
    record->epoch = (uint32_t)random_next(random);
    record->last_event_ms = (int64_t)random_next(random);
    record->index_ms = (int64_t)random_next(random);
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        record->timer_ms[slot] =
            random_below(random, 2) ? TIMER_NONE : (int64_t)random_next(random) / 2;
    }
    fill_words(random, record->parts, layout->bytes[ENTITY_USER]);
}

static void assert_same_record(const struct record_layout *layout, const struct record *a,
                               const struct record *b)
{
    assert_int_equal(a->epoch, b->epoch);
    assert_true(a->last_event_ms == b->last_event_ms && a->index_ms == b->index_ms);
    assert_memory_equal(a->timer_ms, b->timer_ms, sizeof(a->timer_ms));
    assert_memory_equal(a->parts, b->parts, layout->bytes[a->key.kind]);
    assert_int_equal(a->unknown_bytes, b->unknown_bytes);
    if (a->unknown_bytes > 0) {
        assert_memory_equal(a->unknown_parts, b->unknown_parts, a->unknown_bytes);
    }
}

static void random_records_come_back_as_they_were(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct random random = {seed};
        struct record_layout layout;
        random_layout(&random, &layout);
        struct record *record = new_record(&layout, ENTITY_USER);
        struct record *back = new_record(&layout, ENTITY_USER);
        memset(back->parts, 0xee, layout.bytes[ENTITY_USER]);
        fill_record(&random, &layout, record);
        struct encoded encoded = encode(&layout, record);
        struct record_decode_counts counts = {0};
        assert_int_equal(decode(&layout, encoded, back, &counts), STATUS_OK);
        assert_same_record(&layout, record, back);
        assert_int_equal(counts.parts_cold + counts.parts_unknown + counts.parts_upgraded, 0);
        struct encoded again = encode(&layout, back);
        assert_int_equal(again.length, encoded.length);
        assert_memory_equal(again.bytes, encoded.bytes, encoded.length);
        free(again.bytes);
        free(encoded.bytes);
        free_record(record);
        free_record(back);
    }
}

static void a_record_costs_what_is_in_use(void **state)
{
    (void)state;
    struct record_layout layout = {0};
    add_part(&layout, (struct record_part){.id = 1, .kind = ENTITY_USER, .bytes = 1024});
    struct record *record = new_record(&layout, ENTITY_USER);
    struct encoded encoded = encode(&layout, record);
    assert_int_equal(encoded.length, 25);
    free(encoded.bytes);
    record->parts[800] = 1;
    record->timer_ms[TIMER_INTENT] = 5;
    encoded = encode(&layout, record);
    assert_int_equal(encoded.length, 25 + 8 + 8 + 16 + 8);
    free(encoded.bytes);
    free_record(record);
}

/* A layout with the parts 1 and 2, and one that knows only part 1. */
static void two_layouts(struct record_layout *both, struct record_layout *one)
{
    *both = *one = (struct record_layout){0};
    struct record_part first = {.id = 1, .version = 1, .kind = ENTITY_USER, .bytes = 24};
    struct record_part second = {
        .id = 2, .version = 3, .kind = ENTITY_USER, .bytes = 40, .writer_hash = 77};
    add_part(both, first);
    add_part(both, second);
    add_part(one, first);
}

static void unknown_parts_are_carried_along(void **state)
{
    (void)state;
    struct record_layout both;
    struct record_layout one;
    two_layouts(&both, &one);
    struct random random = {1};
    struct record *record = new_record(&both, ENTITY_USER);
    memset(record->parts, 0x11, 64);
    struct encoded encoded = encode(&both, record);
    struct record *narrow = new_record(&one, ENTITY_USER);
    struct record_decode_counts counts = {0};
    assert_int_equal(decode(&one, encoded, narrow, &counts), STATUS_OK);
    assert_int_equal(counts.parts_unknown, 1);
    narrow->parts[0] = (unsigned char)random_below(&random, 256);
    struct encoded carried = encode(&one, narrow);
    struct record *back = new_record(&both, ENTITY_USER);
    assert_int_equal(decode(&both, carried, back, &counts), STATUS_OK);
    assert_memory_equal(back->parts + 24, record->parts + 24, 40);
    assert_int_equal(back->parts[0], narrow->parts[0]);
    assert_int_equal(back->unknown_bytes, 0);
    free(encoded.bytes);
    free(carried.bytes);
    free_record(record);
    free_record(narrow);
    free_record(back);
}

static bool widen(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    if (version != 1 || length != 16) {
        memset(part, 0xff, 24); /* Must be undone. */
        return 0;
    }
    memcpy((unsigned char *)part + 8, bytes, length);
    return 1;
}

static void versions_and_writers_that_differ_are_upgraded_or_cold(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct record_part writer, reader;
        uint64_t cold, upgraded;
    } rows[] = {
        {"same", {.version = 2, .bytes = 24}, {.version = 2, .bytes = 24}, 0, 0},
        {"upgraded",
         {.version = 1, .bytes = 16},
         {.version = 2, .bytes = 24, .upgrade = widen},
         0,
         1},
        {"upgrade refuses",
         {.version = 9, .bytes = 16},
         {.version = 2, .bytes = 24, .upgrade = widen},
         1,
         0},
        {"no upgrade", {.version = 1, .bytes = 16}, {.version = 2, .bytes = 24}, 1, 0},
        {"other writer",
         {.version = 2, .bytes = 24, .writer_hash = 5},
         {.version = 2, .bytes = 24, .writer_hash = 6},
         1,
         0},
        {"other length", {.version = 2, .bytes = 32}, {.version = 2, .bytes = 24}, 1, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].name);
        struct record_layout writer = {0};
        struct record_layout reader = {0};
        struct record_part part = rows[i].writer;
        part.id = 4;
        add_part(&writer, part);
        part = rows[i].reader;
        part.id = 4;
        add_part(&reader, part);
        struct record *record = new_record(&writer, ENTITY_USER);
        memset(record->parts, 0x22, rows[i].writer.bytes);
        struct encoded encoded = encode(&writer, record);
        struct record *back = new_record(&reader, ENTITY_USER);
        struct record_decode_counts counts = {0};
        assert_int_equal(decode(&reader, encoded, back, &counts), STATUS_OK);
        assert_int_equal(counts.parts_cold, rows[i].cold);
        assert_int_equal(counts.parts_upgraded, rows[i].upgraded);
        assert_int_equal(back->parts[16], rows[i].cold ? 0 : 0x22);
        assert_int_equal(back->parts[0], rows[i].cold || rows[i].upgraded ? 0 : 0x22);
        free(encoded.bytes);
        free_record(record);
        free_record(back);
    }
}

static void every_cut_of_a_record_is_refused(void **state)
{
    (void)state;
    struct record_layout both;
    struct record_layout one;
    two_layouts(&both, &one);
    struct random random = {3};
    struct record *record = new_record(&both, ENTITY_USER);
    fill_record(&random, &both, record);
    memset(record->parts, 0x33, 64);
    struct encoded encoded = encode(&both, record);
    struct record *back = new_record(&one, ENTITY_USER);
    struct record_decode_counts counts = {0};
    for (size_t length = 0; length < encoded.length; length++) {
        struct encoded cut = {encoded.bytes, length};
        assert_int_equal(decode(&both, cut, record, &counts), STATUS_FATAL);
        assert_int_equal(decode(&one, cut, back, &counts), STATUS_FATAL);
        assert_null(back->unknown_parts);
    }
    free(encoded.bytes);
    free_record(record);
    free_record(back);
}

static void broken_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
        unsigned char value;
    } rows[] = {
        {"newer format", 0, 2},
        {"flags", 1, 1},
        {"part count too high", 2, 3},
        {"part count too low", 2, 1},
        {"timer slot 4", 24, 0x10},
        {"length no multiple of 8", 29, 23},
        {"length beyond maximum", 32, 1},
        {"length 0", 29, 0},
        {"bitmap beyond length", 33, 0xf},
    };
    struct record_layout both;
    struct record_layout one;
    two_layouts(&both, &one);
    struct record *record = new_record(&both, ENTITY_USER);
    memset(record->parts, 0x44, 64);
    struct encoded encoded = encode(&both, record);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].name);
        unsigned char before = encoded.bytes[rows[i].at];
        assert_int_not_equal(before, rows[i].value);
        encoded.bytes[rows[i].at] = rows[i].value;
        struct record_decode_counts counts = {0};
        assert_int_equal(decode(&both, encoded, record, &counts), STATUS_FATAL);
        encoded.bytes[rows[i].at] = before;
    }
    free(encoded.bytes);
    free_record(record);
}

static void a_part_that_stands_there_twice_is_refused(void **state)
{
    (void)state;
    struct record_layout both;
    struct record_layout one;
    two_layouts(&both, &one);
    struct record *record = new_record(&one, ENTITY_USER);
    memset(record->parts, 0x44, 24);
    struct encoded encoded = encode(&one, record);
    struct encoded twice = {malloc(2 * encoded.length), 2 * encoded.length - 25};
    assert_non_null(twice.bytes);
    memcpy(twice.bytes, encoded.bytes, encoded.length);
    memcpy(twice.bytes + encoded.length, encoded.bytes + 25, encoded.length - 25);
    twice.bytes[2] = 2;
    struct record_decode_counts counts = {0};
    assert_int_equal(decode(&one, twice, record, &counts), STATUS_FATAL);
    free(encoded.bytes);
    free(twice.bytes);
    free_record(record);
}

static void random_bytes_never_break_the_decoder(void **state)
{
    (void)state;
    struct record_layout both;
    struct record_layout one;
    two_layouts(&both, &one);
    struct record *record = new_record(&both, ENTITY_USER);
    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct random random = {seed};
        fill_record(&random, &both, record);
        struct encoded encoded = encode(&both, record);
        for (uint32_t i = random_below(&random, 4); i > 0; i--) {
            encoded.bytes[random_below(&random, (uint32_t)encoded.length)] =
                (unsigned char)random_next(&random);
        }
        struct record *back = new_record(&one, ENTITY_USER);
        struct record_decode_counts counts = {0};
        (void)decode(&one, encoded, back, &counts);
        free_record(back);
        free(encoded.bytes);
    }
    free_record(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_records_come_back_as_they_were),
        cmocka_unit_test(a_record_costs_what_is_in_use),
        cmocka_unit_test(unknown_parts_are_carried_along),
        cmocka_unit_test(versions_and_writers_that_differ_are_upgraded_or_cold),
        cmocka_unit_test(every_cut_of_a_record_is_refused),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(a_part_that_stands_there_twice_is_refused),
        cmocka_unit_test(random_bytes_never_break_the_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
