#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipeline/base/decimal_text.h"

static void reads_decimals_as_python_does(void **state)
{
    (void)state;
    FILE *file = fopen("test/data/decimal_text.tsv", "r");
    assert_non_null(file);
    char line[256];
    uint32_t rows = 0;
    for (; fgets(line, sizeof(line), file); rows++) {
        char text[64];
        char point[2];
        char group[2];
        char factor[16];
        long long expected = 0;
        assert_int_equal(sscanf(line, "%63[^\t]\t%1[^\t]\t%1[^\t]\t%15s\t%lld", text, point, group,
                                factor, &expected),
                         5);
        struct decimal_notation notation = decimal_plain;
        notation.point = point[0];
        notation.group = (char)(group[0] == '-' ? 0 : group[0] == '_' ? ' ' : group[0]);
        assert_true(decimal_set_factor(text_of(factor), &notation));
        int64_t value = 0;
        if (decimal_parse(text_of(text), &notation, 6, &value) != DECIMAL_OK || value != expected) {
            fail_msg("%s: %lld instead", line, (long long)value);
        }
    }
    (void)fclose(file);
    assert_true(rows > 1000);
}

static void refuses_what_is_no_number_or_too_large(void **state)
{
    (void)state;
    struct {
        const char *text;
        enum decimal_result expected;
    } rows[] = {
        {"", DECIMAL_SYNTAX},
        {"-", DECIMAL_SYNTAX},
        {".", DECIMAL_SYNTAX},
        {"1,5", DECIMAL_SYNTAX},
        {"1.2.3", DECIMAL_SYNTAX},
        {"nan", DECIMAL_SYNTAX},
        {"inf", DECIMAL_SYNTAX},
        {"0x10", DECIMAL_SYNTAX},
        {"1e", DECIMAL_SYNTAX},
        {"1e99999", DECIMAL_SYNTAX},
        {" 1", DECIMAL_SYNTAX},
        {"12 EUR", DECIMAL_SYNTAX},
        {"1e30", DECIMAL_RANGE},
        {"9223372036854.775807", DECIMAL_OK},
        {"9223372036854.775808", DECIMAL_RANGE},
        {"99999999999999999999999999999999999999999", DECIMAL_RANGE},
        {"0.00000000000000000000000000000000000000000000001", DECIMAL_OK},
        {"0e9999", DECIMAL_OK},
        {"1e-9999", DECIMAL_OK},
        {".5", DECIMAL_OK},
        {"5.", DECIMAL_OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 0;
        enum decimal_result result =
            decimal_parse(text_of(rows[i].text), &decimal_plain, 6, &value);
        if (result != rows[i].expected) {
            fail_msg("\"%s\": %d instead of %d", rows[i].text, (int)result, (int)rows[i].expected);
        }
    }
}

static void takes_groups_of_three_only(void **state)
{
    (void)state;
    struct decimal_notation notation = {.point = ',', .group = '.', .factor_digits = 1};
    int64_t value = 0;
    assert_int_equal(decimal_parse(text_of("1.234,56"), &notation, 2, &value), DECIMAL_OK);
    assert_int_equal(value, 123456);
    assert_int_equal(decimal_parse(text_of("1.23"), &notation, 2, &value), DECIMAL_SYNTAX);
    assert_int_equal(decimal_parse(text_of("1234.567"), &notation, 2, &value), DECIMAL_SYNTAX);
    notation.group = ' ';
    assert_int_equal(decimal_parse(text_of("1\xC2\xA0"
                                           "234\xE2\x80\xAF"
                                           "567,5"),
                                   &notation, 1, &value),
                     DECIMAL_OK);
    assert_int_equal(value, 12345675);
}

static void rounds_halves_to_even(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t expected;
    } rows[] = {
        {"0.5", 0},  {"1.5", 2}, {"2.5", 2}, {"-2.5", -2}, {"2.50000000000000000000000000001", 3},
        {"-3.5", -4}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 0;
        assert_int_equal(decimal_parse(text_of(rows[i].text), &decimal_plain, 0, &value),
                         DECIMAL_OK);
        assert_int_equal(value, rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_decimals_as_python_does),
        cmocka_unit_test(refuses_what_is_no_number_or_too_large),
        cmocka_unit_test(takes_groups_of_three_only),
        cmocka_unit_test(rounds_halves_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
