/* What single values of a row are, and operations on one text; taken by both evaluators. */
#include <math.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "operators/expression_internal.h"
#include "pipeline/base/fixed_math.h"

#define MISSING_WORD 31u

static const char *const outcome_words[] = {
    [OUTCOME_OPEN] = "open",           [OUTCOME_BOUNCED] = "bounced",
    [OUTCOME_BROWSED] = "browsed",     [OUTCOME_ABANDONED_CART] = "abandoned_cart",
    [OUTCOME_PURCHASED] = "purchased",
};
#define OUTCOME_COUNT (sizeof(outcome_words) / sizeof(*outcome_words))

static_assert(EVENT_TYPE_COUNT < MISSING_WORD, "a word's code is a bit of a 32-bit mask");
static_assert(OUTCOME_COUNT < MISSING_WORD, "a word's code is a bit of a 32-bit mask");

uint32_t expression_word_count(enum expression_words words)
{
    return words == WORDS_TYPE ? (uint32_t)EVENT_TYPE_COUNT : (uint32_t)OUTCOME_COUNT;
}

const char *expression_word(enum expression_words words, uint32_t code)
{
    if (code >= expression_word_count(words)) {
        return NULL;
    }
    return words == WORDS_TYPE ? event_types[code].name : outcome_words[code];
}

uint32_t expression_word_code(const struct event_batch *batch, uint32_t row,
                              enum expression_words words)
{
    if (words == WORDS_TYPE) {
        return batch->type[row] < EVENT_TYPE_COUNT ? batch->type[row] : MISSING_WORD;
    }
    return batch->session_id[row] != 0 && batch->session_outcome[row] < OUTCOME_COUNT
               ? batch->session_outcome[row]
               : MISSING_WORD;
}

float expression_field_number(const struct event_batch *batch, uint32_t row, enum event_field field)
{
    if (!event_has(batch, row, field)) {
        return NAN;
    }
    switch (field) {
    case FIELD_PRICE:
        return (float)((double)batch->price[row] / 1e6);
    case FIELD_QUANTITY:
        return (float)batch->quantity[row];
    case FIELD_STOCK:
        return (float)batch->stock[row];
    case FIELD_ORDER_LINE:
        return (float)batch->order_line[row];
    default:
        assert(!"a field that is no number");
        return NAN;
    }
}

/* An empty text that is present must not look missing. */
static struct text as_present(struct text value)
{
    return value.data ? value : (struct text){"", 0};
}

struct text expression_field_text(const struct event_batch *batch, uint32_t row,
                                  enum event_field field)
{
    if (!event_has(batch, row, field)) {
        return (struct text){NULL, 0};
    }
    return as_present(batch->text[field][row]);
}

struct text expression_attribute(const struct event_batch *batch, uint32_t row,
                                 const struct expression_literal *name)
{
    if (!event_has(batch, row, FIELD_ATTRIBUTES)) {
        return (struct text){NULL, 0};
    }
    const struct attribute_list *list = &batch->attributes[row];
    for (uint32_t i = 0; i < list->count; i++) {
        if (text_equal(list->items[i].name, expression_literal_text(name))) {
            return as_present(list->items[i].value);
        }
    }
    return (struct text){NULL, 0};
}

bool expression_flag_value(const struct event_batch *batch, uint32_t row, enum expression_flag flag)
{
    switch (flag) {
    case FLAG_LATE:
        return batch->kind[row] == ROW_EVENT && batch->is_late[row];
    case FLAG_SESSION_NEW:
        return batch->session_flags[row] & SESSION_IS_NEW;
    case FLAG_SESSION_LATE:
        return batch->session_flags[row] & SESSION_IS_LATE;
    case FLAG_SESSION_ENDED:
        return batch->session_flags[row] & SESSION_ENDED;
    }
    return false;
}

float expression_class_score(const struct event_batch *batch, uint32_t row, uint32_t index)
{
    const struct class_scores *scores = &batch->classes[index & 0xffff];
    uint32_t k = index >> 16;
    return scores->values && k < scores->count ? scores->values[(size_t)row * scores->count + k]
                                               : NAN;
}

float expression_session_duration(const struct event_batch *batch, uint32_t row)
{
    if (batch->session_id[row] == 0) {
        return NAN;
    }
    int64_t duration_ms = batch->time_ms[row] - batch->session_start_ms[row];
    return (float)((double)duration_ms / 1000.0);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Day of month and month; after Hinnant, "chrono-compatible low-level date algorithms" (2013). */
static void civil_of_days(int64_t days, int *ret_month, int *ret_day)
{
    int64_t shifted = days + 719468; /* From 0000-03-01, so that leap days end years. */
    int64_t era = floor_divide(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
}

float expression_clock_value(int64_t time_ms, enum expression_clock clock, int32_t offset_minutes)
{
    int64_t minutes = floor_divide(time_ms, 60000) + offset_minutes;
    int64_t days = floor_divide(minutes, 1440);
    int month = 0;
    int day = 0;
    switch (clock) {
    case CLOCK_MINUTE:
        return (float)(minutes - floor_divide(minutes, 60) * 60);
    case CLOCK_HOUR:
        return (float)floor_divide(minutes - days * 1440, 60);
    case CLOCK_WEEKDAY: /* 1970-01-01 was a Thursday, day 4 of ISO 8601. */
        return (float)(days + 3 - floor_divide(days + 3, 7) * 7 + 1);
    case CLOCK_DAY:
        civil_of_days(days, &month, &day);
        return (float)day;
    case CLOCK_MONTH:
        civil_of_days(days, &month, &day);
        return (float)month;
    }
    return NAN;
}

float expression_log1p(float value)
{
    return expression_finite(value > -1.0f ? fixed_log1pf(value) : NAN);
}

/* Lower case by Unicode's simple mapping, byte for byte where the text is not valid UTF-8. */
struct text expression_lower(struct text value, struct arena *scratch)
{
    if (!value.data || value.length == 0) {
        return value;
    }
    /* A letter of two bytes may have a twin of three. */
    char *bytes = arena_take(scratch, (size_t)value.length * 2 + 4);
    if (!bytes) {
        return (struct text){NULL, 0};
    }
    uint32_t length = 0;
    for (uint32_t i = 0; i < value.length;) {
        unsigned char byte = (unsigned char)value.data[i];
        if (byte < 0x80) {
            bytes[length++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
            i++;
            continue;
        }
        utf8proc_int32_t point = -1;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)value.data + i,
                                                 (utf8proc_ssize_t)(value.length - i), &point);
        if (step <= 0) {
            bytes[length++] = value.data[i++];
            continue;
        }
        length += (uint32_t)utf8proc_encode_char(utf8proc_tolower(point),
                                                 (utf8proc_uint8_t *)bytes + length);
        i += (uint32_t)step;
    }
    return (struct text){bytes, length};
}

/* A decimal number, all of the text; anything else is missing. */
float expression_text_number(struct text value)
{
    char digits[64];
    if (!value.data || value.length == 0 || value.length >= sizeof(digits)) {
        return NAN;
    }
    for (uint32_t i = 0; i < value.length; i++) {
        /* strtof would read hexadecimal, "inf" and leading spaces as well. */
        if (!strchr("0123456789+-.eE", value.data[i]) || value.data[i] == '\0') {
            return NAN;
        }
        digits[i] = value.data[i];
    }
    digits[value.length] = '\0';
    char *end = NULL;
    float number = strtof(digits, &end);
    return *end == '\0' ? expression_finite(number) : NAN;
}

/* In characters: bytes that do not go on with one. */
float expression_text_length(struct text value)
{
    if (!value.data) {
        return NAN;
    }
    uint32_t characters = 0;
    for (uint32_t i = 0; i < value.length; i++) {
        characters += ((unsigned char)value.data[i] & 0xC0) != 0x80;
    }
    return (float)characters;
}

/* Knuth, Morris, Pratt (1977): no text makes it slow. */
bool expression_contains(struct text value, const struct expression_literal *literal)
{
    if (!value.data || literal->length > value.length) {
        return false;
    }
    uint32_t matched = 0;
    for (uint32_t i = 0; i < value.length && matched < literal->length; i++) {
        while (matched > 0 && value.data[i] != literal->bytes[matched]) {
            matched = literal->failure[matched - 1];
        }
        matched += value.data[i] == literal->bytes[matched];
    }
    return matched == literal->length;
}
