#include "pipeline/base/iso_time.h"

#include <stdio.h>

#define DAY_MS INT64_C(86400000)

struct civil_day {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* Hinnant, "chrono-compatible low-level date algorithms", civil_from_days. */
static struct civil_day civil_day_of(int64_t days)
{
    days += 719468; /* From 0000-03-01. */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_day){
        .year = (int64_t)year_of_era + era * 400 + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

static void put_digits(char *text, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

static size_t put_year(char *text, int64_t year)
{
    if (year >= 0 && year <= 9999) {
        put_digits(text, (unsigned)year, 4);
        return 4;
    }
    return (size_t)snprintf(text, ISO_TIME_BYTES_MAX, "%+07lld", (long long)year);
}

size_t iso_time_format(int64_t time_ms, char *text)
{
    int64_t days = time_ms / DAY_MS - (time_ms % DAY_MS < 0);
    unsigned ms = (unsigned)((time_ms % DAY_MS + DAY_MS) % DAY_MS);
    struct civil_day date = civil_day_of(days);
    size_t year_length = put_year(text, date.year);
    char *rest = text + year_length;
    rest[0] = '-';
    put_digits(rest + 1, date.month, 2);
    rest[3] = '-';
    put_digits(rest + 4, date.day, 2);
    rest[6] = 'T';
    put_digits(rest + 7, ms / 3600000, 2);
    rest[9] = ':';
    put_digits(rest + 10, ms / 60000 % 60, 2);
    rest[12] = ':';
    put_digits(rest + 13, ms / 1000 % 60, 2);
    rest[15] = '.';
    put_digits(rest + 16, ms % 1000, 3);
    rest[19] = 'Z';
    return year_length + 20;
}
