#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/base/time_text.h"

/* Rows of a table: fields parted by tabs. */
static bool next_row(FILE *file, char *line, size_t bytes, char **fields, int count)
{
    if (!fgets(line, (int)bytes, file)) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < count; i++) {
        fields[i] = line;
        line += strcspn(line, "\t");
        line += *line ? (*line = '\0', 1) : 0;
    }
    return true;
}

static void reads_times_as_python_does(void **state)
{
    (void)state;
    FILE *file = fopen("test/data/time_text.tsv", "r");
    assert_non_null(file);
    char line[256];
    char *fields[4];
    char zone_name[64] = "";
    struct time_zone *zone = NULL;
    uint32_t rows = 0;
    for (; next_row(file, line, sizeof(line), fields, 4); rows++) {
        struct time_format format;
        struct error error = {""};
        if (strcmp(zone_name, fields[1]) != 0) {
            time_zone_destroy(zone);
            zone = NULL;
            if (time_zone_create(fields[1], &zone, &error) != STATUS_OK) {
                fail_msg("%s: %s", fields[1], error.message);
            }
            (void)snprintf(zone_name, sizeof(zone_name), "%s", fields[1]);
        }
        assert_int_equal(time_format_compile(fields[0], &format, &error), STATUS_OK);
        int64_t ms = -1;
        int64_t expected = strtoll(fields[3], NULL, 10);
        if (!time_parse(&format, zone, text_of(fields[2]), &ms) || ms != expected) {
            fail_msg("%s %s \"%s\": %lld instead of %lld", fields[0], fields[1], fields[2],
                     (long long)ms, (long long)expected);
        }
    }
    time_zone_destroy(zone);
    (void)fclose(file);
    assert_true(rows > 3000);
}

struct time_row {
    const char *format;
    const char *text;
    int64_t expected; /* -1: refused */
};

static void reads_and_refuses_single_times(void **state)
{
    (void)state;
    static const struct time_row rows[] = {
        {"iso", "2019-10-01 00:00:00 UTC", 1569888000000},
        {"iso", "2019-10-01T00:00:00Z", 1569888000000},
        {"iso", "2019-10-01T03:30:00.5+03:30", 1569888000500},
        {"iso", "2019-10-01T03:30:00,123456+0330", 1569888000123},
        {"iso", "20191001T000000Z", 1569888000000},
        {"iso", "2019-10-01", 1569888000000},
        {"iso", "2019-10-01T00:00", 1569888000000},
        {"iso", "2020-02-29", 1582934400000},
        {"iso", "2019-02-29", -1},
        {"iso", "2019-13-01", -1},
        {"iso", "2019-10-01T24:00:00", -1},
        {"iso", "2019-10-01T00:00:00+3", -1},
        {"iso", "2019-10-01T00:00:00Z tail", -1},
        {"iso", "", -1},
        {"iso", "1569888000", -1},
        {"iso", "2016-12-31T23:59:60Z", 1483228800000},
        {"log", "26/Jan/2019:19:45:25 +0330", 1548519325000},
        {"log", "26/Foo/2019:19:45:25 +0330", -1},
        {"%d.%m.%Y %H:%M", "1.10.2019   00:00", 1569888000000},
        {"%d.%m.%Y %H:%M", "31.04.2019 00:00", -1},
        {"%I %p %F", "12 am 2019-10-01", 1569888000000},
        {"%I %p %F", "13 am 2019-10-01", -1},
        {"%j %Y", "366 2019", -1},
        {"epoch_s", "1569888000", 1569888000000},
        {"epoch_s", "1569888000.9999", 1569888000999},
        {"epoch_s", "-0.5", -500},
        {"epoch_s", "1.569888e9", 1569888000000},
        {"epoch_s", "soon", -1},
        {"epoch_s", "", -1},
        {"epoch_ms", "1569888000001", 1569888000001},
        {"epoch_ns", "1569888000001999999", 1569888000001},
        {"epoch_s", "99999999999999999999", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct time_format format;
        int64_t ms = -1;
        assert_int_equal(time_format_compile(rows[i].format, &format, NULL), STATUS_OK);
        bool is_read = time_parse(&format, NULL, text_of(rows[i].text), &ms);
        if (is_read != (rows[i].expected != -1) || (is_read && ms != rows[i].expected)) {
            fail_msg("%s \"%s\": %lld instead of %lld", rows[i].format, rows[i].text, (long long)ms,
                     (long long)rows[i].expected);
        }
    }
}

static void refuses_formats_that_are_none(void **state)
{
    (void)state;
    static const char *const formats[] = {"epoch", "YYYY-MM-DD", "%Y-%m-%q",      "%Y",
                                          "%H:%M", "%",          "%Y-%m-%d %I:%M"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct time_format format;
        struct error error = {""};
        assert_int_equal(time_format_compile(formats[i], &format, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "expected"));
    }
}

static void knows_fixed_zones_and_refuses_others(void **state)
{
    (void)state;
    struct {
        const char *name;
        int32_t offset_s; /* -1: refused */
    } rows[] = {
        {"UTC", 0}, {"+03:30", 12600}, {"+0330", 12600},     {"-05", -18000},
        {"+3", -1}, {"+24:00", -1},    {"Mars/Olympus", -1}, {"../../../etc/passwd", -1},
        {"", -1},   {"+03:", -1},      {"/etc/passwd", -1},  {"Europe", -1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct time_zone *zone = NULL;
        struct error error = {""};
        enum status status = time_zone_create(rows[i].name, &zone, &error);
        if ((status == STATUS_OK) != (rows[i].offset_s != -1)) {
            fail_msg("\"%s\": %s", rows[i].name, error.message);
        }
        if (zone) {
            assert_int_equal(time_zone_offset_s(zone, 1569888000), rows[i].offset_s);
        } else {
            assert_int_equal(status, STATUS_INVALID);
        }
        time_zone_destroy(zone);
    }
}

/* Every cut of a real file, and every byte of it changed, is read or refused, never more. */
static void survives_damaged_zone_files(void **state)
{
    (void)state;
    FILE *file = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    assert_non_null(file);
    unsigned char bytes[8192];
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    assert_true(length > 100 && length < sizeof(bytes));
    for (size_t cut = 0; cut < length; cut += 7) {
        unsigned char *exact = malloc(cut + 1);
        struct time_zone *zone = NULL;
        assert_non_null(exact);
        memcpy(exact, bytes, cut);
        assert_int_equal(time_zone_parse(exact, cut, &zone, NULL), STATUS_INVALID);
        free(exact);
    }
    for (size_t at = 0; at < length; at += 3) {
        struct time_zone *zone = NULL;
        bytes[at] ^= 0x81;
        if (time_zone_parse(bytes, length, &zone, NULL) == STATUS_OK) {
            (void)time_zone_offset_s(zone, 1569888000);
        }
        time_zone_destroy(zone);
        bytes[at] ^= 0x81;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times_as_python_does),
        cmocka_unit_test(reads_and_refuses_single_times),
        cmocka_unit_test(refuses_formats_that_are_none),
        cmocka_unit_test(knows_fixed_zones_and_refuses_others),
        cmocka_unit_test(survives_damaged_zone_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
