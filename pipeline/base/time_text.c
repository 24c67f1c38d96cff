#include "pipeline/base/time_text.h"

#include <ctype.h>

#include "pipeline/base/decimal_text.h"

/* Fliegel and Van Flandern's idea in H. Hinnant's form: years begin in March, 400 years repeat. */
int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* What was read so far. */
struct moment {
    int year, month, day; /* day is of the year while has_day_of_year */
    int hour, minute, second;
    int millisecond;
    int32_t offset_s;
    bool has_offset;
    bool has_day_of_year;
    bool is_twelve_hour;
    bool is_afternoon;
};

struct cursor {
    const char *at;
    const char *end;
};

static bool is_digit_at(const struct cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

/* Exactly `digits` digits. */
static bool read_fixed(struct cursor *cursor, int digits, int *ret)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (!is_digit_at(cursor)) {
            return false;
        }
        value = value * 10 + (*cursor->at++ - '0');
    }
    *ret = value;
    return true;
}

/* One digit to `digits` digits. */
static bool read_upto(struct cursor *cursor, int digits, int *ret)
{
    int value = 0;
    int count = 0;
    for (; count < digits && is_digit_at(cursor); count++) {
        value = value * 10 + (*cursor->at++ - '0');
    }
    *ret = value;
    return count > 0;
}

static bool read_char(struct cursor *cursor, char expected)
{
    if (cursor->at < cursor->end && *cursor->at == expected) {
        cursor->at++;
        return true;
    }
    return false;
}

/* One to nine digits, of which three count. */
static bool read_fraction(struct cursor *cursor, int *ret_millisecond)
{
    int value = 0;
    int count = 0;
    for (; count < 9 && is_digit_at(cursor); count++, cursor->at++) {
        value = count < 3 ? value * 10 + (*cursor->at - '0') : value;
    }
    *ret_millisecond = count == 1 ? value * 100 : count == 2 ? value * 10 : value;
    return count > 0;
}

static bool read_word(struct cursor *cursor, const char *word)
{
    const char *at = cursor->at;
    for (; *word; word++, at++) {
        if (at == cursor->end || tolower((unsigned char)*at) != tolower((unsigned char)*word)) {
            return false;
        }
    }
    cursor->at = at;
    return true;
}

/* Z, UTC, GMT, +03, +0330 or +03:30. */
static bool read_zone(struct cursor *cursor, struct moment *moment)
{
    moment->has_offset = true;
    moment->offset_s = 0;
    if (read_word(cursor, "UTC") || read_word(cursor, "GMT") || read_word(cursor, "Z")) {
        return true;
    }
    int sign = read_char(cursor, '+') ? 1 : read_char(cursor, '-') ? -1 : 0;
    int hours = 0;
    int minutes = 0;
    if (sign == 0 || !read_fixed(cursor, 2, &hours)) {
        return false;
    }
    if (read_char(cursor, ':') || is_digit_at(cursor)) {
        if (!read_fixed(cursor, 2, &minutes)) {
            return false;
        }
    }
    moment->offset_s = sign * (hours * 3600 + minutes * 60);
    return hours < 24 && minutes < 60;
}

static bool is_date(int year, int month, int day)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (month != 2 || day < 29 || is_leap);
}

static bool finish(const struct moment *moment, const struct time_zone *zone, int64_t *ret_ms)
{
    int64_t days = 0;
    int hour = moment->hour;
    if (moment->has_day_of_year) {
        if (moment->day < 1 || moment->day > 365 + is_date(moment->year, 2, 29)) {
            return false;
        }
        days = civil_days(moment->year, 1, 1) + moment->day - 1;
    } else {
        if (!is_date(moment->year, moment->month, moment->day)) {
            return false;
        }
        days = civil_days(moment->year, (unsigned)moment->month, (unsigned)moment->day);
    }
    if (moment->is_twelve_hour) {
        if (hour < 1 || hour > 12) {
            return false;
        }
        hour = hour % 12 + (moment->is_afternoon ? 12 : 0);
    }
    if (hour > 23 || moment->minute > 59 || moment->second > 60) {
        return false;
    }
    int32_t second_of_day = hour * 3600 + moment->minute * 60 + moment->second;
    int64_t local_s = days * 86400 + second_of_day;
    int32_t offset_s = moment->has_offset ? moment->offset_s
                       : zone             ? time_zone_offset_s(zone, local_s)
                                          : 0;
    *ret_ms = (local_s - offset_s) * 1000 + moment->millisecond;
    return true;
}

/* ---- ISO 8601 ---- */

/* After the date: hh:mm[:ss[.f]] or hhmm[ss[.f]]. */
static bool read_iso_clock(struct cursor *cursor, struct moment *moment)
{
    if (!read_fixed(cursor, 2, &moment->hour)) {
        return false;
    }
    bool is_extended = read_char(cursor, ':');
    if (!read_fixed(cursor, 2, &moment->minute)) {
        return false;
    }
    if (is_extended ? !read_char(cursor, ':') : !is_digit_at(cursor)) {
        return true;
    }
    if (!read_fixed(cursor, 2, &moment->second)) {
        return false;
    }
    if (read_char(cursor, '.') || read_char(cursor, ',')) {
        return read_fraction(cursor, &moment->millisecond);
    }
    return true;
}

static bool parse_iso(const struct time_zone *zone, struct cursor cursor, int64_t *ret_ms)
{
    struct moment moment = {0};
    if (!read_fixed(&cursor, 4, &moment.year)) {
        return false;
    }
    bool is_extended = read_char(&cursor, '-');
    if (!read_fixed(&cursor, 2, &moment.month) || (is_extended && !read_char(&cursor, '-')) ||
        !read_fixed(&cursor, 2, &moment.day)) {
        return false;
    }
    if (cursor.at < cursor.end) {
        if (!read_char(&cursor, 'T') && !read_char(&cursor, 't') && !read_char(&cursor, ' ')) {
            return false;
        }
        if (!read_iso_clock(&cursor, &moment)) {
            return false;
        }
    }
    if (cursor.at < cursor.end) {
        (void)read_char(&cursor, ' ');
        if (!read_zone(&cursor, &moment)) {
            return false;
        }
    }
    return cursor.at == cursor.end && finish(&moment, zone, ret_ms);
}

/* ---- Patterns ---- */

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};

/* Index of the English name, in full or its first three letters, that comes next; or -1. */
static int read_name(struct cursor *cursor, const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        char brief[4] = {names[i][0], names[i][1], names[i][2], '\0'};
        if (read_word(cursor, names[i]) || read_word(cursor, brief)) {
            return i;
        }
    }
    return -1;
}

static bool read_year_of_century(struct cursor *cursor, int *ret_year)
{
    if (!read_fixed(cursor, 2, ret_year)) {
        return false;
    }
    *ret_year += *ret_year < 69 ? 2000 : 1900; /* As POSIX has it. */
    return true;
}

static bool read_step(struct cursor *cursor, char field, struct moment *moment)
{
    switch (field) {
    case 'Y':
        return read_fixed(cursor, 4, &moment->year);
    case 'y':
        return read_year_of_century(cursor, &moment->year);
    case 'm':
        return read_upto(cursor, 2, &moment->month);
    case 'e':
        (void)read_char(cursor, ' ');
        return read_upto(cursor, 2, &moment->day);
    case 'd':
        return read_upto(cursor, 2, &moment->day);
    case 'j':
        return read_upto(cursor, 3, &moment->day);
    case 'b':
        moment->month = read_name(cursor, months, 12) + 1;
        return moment->month > 0;
    case 'a':
        return read_name(cursor, weekdays, 7) >= 0;
    case 'H':
    case 'I':
        return read_upto(cursor, 2, &moment->hour);
    case 'M':
        return read_upto(cursor, 2, &moment->minute);
    case 'S':
        return read_upto(cursor, 2, &moment->second);
    case 'f':
        return read_fraction(cursor, &moment->millisecond);
    case 'p':
        moment->is_afternoon = read_word(cursor, "PM");
        return moment->is_afternoon || read_word(cursor, "AM");
    default:
        return read_zone(cursor, moment);
    }
}

static bool parse_pattern(const struct time_format *format, const struct time_zone *zone,
                          struct cursor cursor, int64_t *ret_ms)
{
    struct moment moment = {0};
    for (uint32_t i = 0; i < format->step_count; i++) {
        const struct time_step *step = &format->steps[i];
        moment.has_day_of_year = moment.has_day_of_year || step->field == 'j';
        moment.is_twelve_hour = moment.is_twelve_hour || step->field == 'I';
        if (step->field != 0) {
            if (!read_step(&cursor, step->field, &moment)) {
                return false;
            }
        } else if (step->literal == ' ') {
            while (read_char(&cursor, ' ') || read_char(&cursor, '\t')) {
            }
        } else if (!read_char(&cursor, step->literal)) {
            return false;
        }
    }
    return cursor.at == cursor.end && finish(&moment, zone, ret_ms);
}

/* Writes the pattern's steps; %F, %T and the like are written out. */
static enum status compile_pattern(const char *text, struct time_format *format,
                                   struct error *error)
{
    for (const char *at = text; *at; at++) {
        struct time_step step = {0, *at};
        if (*at == '%') {
            at++;
            if (*at == 'F' || *at == 'T') {
                enum status status =
                    compile_pattern(*at == 'F' ? "%Y-%m-%d" : "%H:%M:%S", format, error);
                if (status != STATUS_OK) {
                    return status;
                }
                continue;
            }
            char letter = *at;
            letter = (char)(letter == 'B' || letter == 'h' ? 'b' : letter == 'A' ? 'a' : letter);
            step = letter == '%' ? (struct time_step){0, '%'} : (struct time_step){letter, 0};
            if (letter == '\0' || !strchr("YymdejbaHIMSfpz%", letter)) {
                return error_set(error, STATUS_INVALID,
                                 "expected %%Y %%y %%m %%d %%e %%j %%b %%a %%H %%I %%p %%M %%S %%f "
                                 "%%z %%F %%T or %%%% instead of \"%%%.1s\"",
                                 at);
            }
        } else if (*at == '\t') {
            step.literal = ' ';
        }
        if (format->step_count == TIME_PATTERN_STEPS_MAX) {
            return error_set(error, STATUS_INVALID, "expected at most %d parts",
                             TIME_PATTERN_STEPS_MAX);
        }
        format->steps[format->step_count++] = step;
    }
    return STATUS_OK;
}

static bool has_field(const struct time_format *format, const char *letters)
{
    for (uint32_t i = 0; i < format->step_count; i++) {
        if (format->steps[i].field != 0 && strchr(letters, format->steps[i].field)) {
            return true;
        }
    }
    return false;
}

enum status time_format_compile(const char *text, struct time_format *ret_format,
                                struct error *error)
{
    static const char *const names[] = {"iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"};
    struct time_format format = {TIME_PATTERN, 0, {{0, 0}}};
    for (int i = 0; i < 5; i++) {
        if (strcmp(text, names[i]) == 0) {
            format.notation = (enum time_notation)i;
            *ret_format = format;
            return STATUS_OK;
        }
    }
    if (strcmp(text, "log") == 0) {
        text = "%d/%b/%Y:%H:%M:%S %z";
    }
    if (!strchr(text, '%')) {
        return error_set(error, STATUS_INVALID,
                         "expected iso, epoch_s, epoch_ms, epoch_us, epoch_ns, log or a pattern "
                         "such as %%Y-%%m-%%d %%H:%%M:%%S");
    }
    enum status status = compile_pattern(text, &format, error);
    if (status != STATUS_OK) {
        return status;
    }
    bool has_day =
        has_field(&format, "j") || (has_field(&format, "mb") && has_field(&format, "de"));
    if (!has_field(&format, "Yy") || !has_day) {
        return error_set(error, STATUS_INVALID, "expected year, month and day in the pattern");
    }
    if (has_field(&format, "I") != has_field(&format, "p")) {
        return error_set(error, STATUS_INVALID, "expected %%I and %%p together");
    }
    *ret_format = format;
    return STATUS_OK;
}

/* ---- All notations ---- */

bool time_from_integer(const struct time_format *format, int64_t integer, int64_t *ret_ms)
{
    switch (format->notation) {
    case TIME_EPOCH_S:
        if (integer > INT64_MAX / 1000 || integer < INT64_MIN / 1000) {
            return false;
        }
        *ret_ms = integer * 1000;
        return true;
    case TIME_EPOCH_MS:
        *ret_ms = integer;
        return true;
    case TIME_EPOCH_US:
        *ret_ms = integer / 1000 - (integer % 1000 < 0);
        return true;
    case TIME_EPOCH_NS:
        *ret_ms = integer / 1000000 - (integer % 1000000 < 0);
        return true;
    default:
        return false;
    }
}

/* Decimal text of an epoch: read to nanoseconds as far as 64 bits go, so that cutting is exact. */
static bool parse_epoch(const struct time_format *format, struct text text, int64_t *ret_ms)
{
    static const int decimals[] = {
        [TIME_EPOCH_S] = 9, [TIME_EPOCH_MS] = 6, [TIME_EPOCH_US] = 3, [TIME_EPOCH_NS] = 0};
    int64_t value = 0;
    if (decimal_parse(text, &decimal_plain, decimals[format->notation], &value) != DECIMAL_OK) {
        return false;
    }
    *ret_ms = value / 1000000 - (value % 1000000 < 0);
    return true;
}

/* Plain digits, which is nearly always what there is. */
static bool parse_digits(struct text text, int64_t *ret)
{
    if (text.length == 0 || text.length > 18) {
        return false;
    }
    int64_t value = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    *ret = value;
    return true;
}

bool time_parse(const struct time_format *format, const struct time_zone *zone, struct text text,
                int64_t *ret_ms)
{
    if (text.length == 0) {
        return false;
    }
    struct cursor cursor = {text.data, text.data + text.length};
    int64_t integer = 0;
    switch (format->notation) {
    case TIME_ISO:
        return parse_iso(zone, cursor, ret_ms);
    case TIME_PATTERN:
        return parse_pattern(format, zone, cursor, ret_ms);
    default:
        return parse_digits(text, &integer) ? time_from_integer(format, integer, ret_ms)
                                            : parse_epoch(format, text, ret_ms);
    }
}
