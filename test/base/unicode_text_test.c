#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "pipeline/base/unicode_text.h"

struct clean_row {
    const char *name;
    const char *input;
    const char *expected; /* NULL: refused */
};

static void trims_validates_and_normalises(void **state)
{
    (void)state;
    static const struct clean_row rows[] = {
        {"nothing to do", "shoes", "shoes"},
        {"empty", "", ""},
        {"blanks only", " \t\r\n", ""},
        {"blanks at both ends", "  red shoes \n", "red shoes"},
        {"no-break space and byte order mark", "\xEF\xBB\xBF\xC2\xA0x\xE3\x80\x80", "x"},
        {"composes", "Cafe\xCC\x81", "Caf\xC3\xA9"},
        {"is composed already", "Caf\xC3\xA9", "Caf\xC3\xA9"},
        {"orders marks", "a\xCC\x82\xCC\xA3", "\xE1\xBA\xAD"},
        {"singleton", "\xE2\x84\xAB", "\xC3\x85"},
        {"Hangul", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"},
        {"Persian", "\xDB\x8C\xD8\xAE\xDA\x86\xD8\xA7\xD9\x84",
         "\xDB\x8C\xD8\xAE\xDA\x86\xD8\xA7\xD9\x84"},
        {"Persian with madda apart", "\xD8\xA7\xD9\x93\xD8\xA8", "\xD8\xA2\xD8\xA8"},
        {"lone continuation", "a\x80", NULL},
        {"overlong", "\xC0\xAF", NULL},
        {"surrogate", "\xED\xA0\x80", NULL},
        {"beyond Unicode", "\xF4\x90\x80\x80", NULL},
        {"cut short", "ab\xE2\x82", NULL},
    };
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text cleaned = {0};
        enum unicode_result result =
            text_clean(text_of(rows[i].input), UNICODE_NFC, &arena, &cleaned);
        bool is_right = rows[i].expected
                            ? result == UNICODE_OK && text_is(cleaned, rows[i].expected)
                            : result == UNICODE_INVALID;
        if (!is_right) {
            fail_msg("%s: \"%.*s\"", rows[i].name, (int)cleaned.length, cleaned.data);
        }
    }
    arena_release(&arena);
}

/* Letters that take part in compositions, blanks, and others. */
static uint32_t random_code(uint32_t *seed)
{
    static const uint32_t picks[] = {' ',   'a',   'e',    0x301,  0x323,  0x327,   0xA0,   0xE9,
                                     0x3B1, 0x345, 0x627,  0x653,  0x6CC,  0x1100,  0x1161, 0x11A8,
                                     0x915, 0x93C, 0x2126, 0x2003, 0xFEFF, 0x1D15E, 0xAC00, 0x958};
    *seed = *seed * 1664525u + 1013904223u;
    uint32_t pick = *seed >> 8;
    if (pick % 4 == 0) {
        uint32_t code = (pick / 4) % 0x30000;
        return code >= 0xD800 && code <= 0xDFFF ? 'x' : code;
    }
    return picks[pick / 4 % (sizeof(picks) / sizeof(picks[0]))];
}

static void agrees_with_the_long_way_and_changes_nothing_twice(void **state)
{
    (void)state;
    uint32_t seed = 1;
    struct arena arena;
    arena_init(&arena, 4096);
    for (int run = 0; run < 20000; run++) {
        char bytes[64];
        utf8proc_ssize_t length = 0;
        for (int i = 0; i < 8; i++) {
            length += utf8proc_encode_char((utf8proc_int32_t)random_code(&seed),
                                           (utf8proc_uint8_t *)bytes + length);
        }
        struct text trimmed = text_trim((struct text){bytes, (uint32_t)length});
        struct text once = {0};
        struct text twice = {0};
        assert_int_equal(
            text_clean((struct text){bytes, (uint32_t)length}, UNICODE_NFC, &arena, &once),
            UNICODE_OK);
        assert_int_equal(text_clean(once, UNICODE_NFC, &arena, &twice), UNICODE_OK);
        assert_true(text_equal(once, twice));
        char terminated[64];
        memcpy(terminated, trimmed.data, trimmed.length);
        terminated[trimmed.length] = '\0';
        if (memchr(terminated, 0, trimmed.length)) {
            continue;
        }
        utf8proc_uint8_t *normal = utf8proc_NFC((const utf8proc_uint8_t *)terminated);
        assert_non_null(normal);
        if (!text_is(once, (const char *)normal)) {
            fail_msg("seed %u: not in normal form C", seed);
        }
        free(normal);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

/* Each code point by itself: validated, and its normal form right. */
static void knows_every_code_point(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    for (uint32_t code = 1; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) {
            continue;
        }
        char bytes[8] = {'x'};
        utf8proc_ssize_t length =
            1 + utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)bytes + 1);
        bytes[length++] = 'x';
        bytes[length] = '\0';
        struct text cleaned = {0};
        assert_int_equal(
            text_clean((struct text){bytes, (uint32_t)length}, UNICODE_NFC, &arena, &cleaned),
            UNICODE_OK);
        utf8proc_int32_t decomposed[8];
        utf8proc_ssize_t count =
            utf8proc_decompose((const utf8proc_uint8_t *)bytes, length, decomposed, 8,
                               UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        count = utf8proc_reencode(decomposed, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        if (!text_equal(cleaned, (struct text){(const char *)decomposed, (uint32_t)count})) {
            fail_msg("U+%04X", code);
        }
        arena_reset(&arena);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trims_validates_and_normalises),
        cmocka_unit_test(agrees_with_the_long_way_and_changes_nothing_twice),
        cmocka_unit_test(knows_every_code_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
