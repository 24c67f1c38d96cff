#include "pipeline/base/decimal_text.h"

__extension__ typedef unsigned __int128 wide;

/* With a factor of nine digits the product stays below 10^37, which 128 bits hold. */
#define DIGITS_MAX 28

const struct decimal_notation decimal_plain = {.point = '.', .factor_digits = 1};

/* digits x 10^exponent, and whether non-zero digits beyond DIGITS_MAX were dropped. */
struct parts {
    wide digits;
    int exponent;
    bool is_negative;
    bool is_cut;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static wide power_of_ten(int exponent)
{
    wide power = 1;
    while (exponent-- > 0) {
        power *= 10;
    }
    return power;
}

static enum decimal_result round_parts(const struct parts *parts,
                                       const struct decimal_notation *notation, int scale,
                                       int64_t *ret_value)
{
    wide value = parts->digits * notation->factor_digits;
    int exponent = parts->exponent + notation->factor_exponent + scale;
    if (value == 0) {
        *ret_value = 0;
        return DECIMAL_OK;
    }
    if (exponent > 0) {
        if (exponent > 19 || value > (wide)INT64_MAX) {
            return DECIMAL_RANGE;
        }
        value *= power_of_ten(exponent); /* Below 2^63 x 10^19, which is below 2^127. */
    } else if (exponent < -37) {
        value = 0; /* Less than half of the last place. */
    } else if (exponent < 0) {
        wide unit = power_of_ten(-exponent);
        wide rest = value % unit;
        value /= unit;
        bool is_above_half = rest > unit - rest || (rest == unit - rest && parts->is_cut);
        bool is_half = rest == unit - rest && !parts->is_cut;
        value += is_above_half || (is_half && (value & 1));
    }
    if (value > (wide)INT64_MAX) {
        return DECIMAL_RANGE;
    }
    *ret_value = parts->is_negative ? -(int64_t)value : (int64_t)value;
    return DECIMAL_OK;
}

static void take_digit(struct parts *parts, char digit, bool is_fraction, int *significant)
{
    if (*significant >= DIGITS_MAX) {
        parts->is_cut = parts->is_cut || digit != '0';
        parts->exponent += !is_fraction;
        return;
    }
    parts->digits = parts->digits * 10 + (unsigned)(digit - '0');
    *significant += parts->digits != 0;
    parts->exponent -= is_fraction;
}

/* Length of a group separator at `at`, or 0. */
static uint32_t group_length(char group, const char *at, uint32_t left)
{
    if (group == 0 || left == 0) {
        return 0;
    }
    if (at[0] == group) {
        return 1;
    }
    bool is_no_break = left >= 2 && memcmp(at, "\xC2\xA0", 2) == 0;
    bool is_narrow = left >= 3 && memcmp(at, "\xE2\x80\xAF", 3) == 0;
    return group != ' ' ? 0 : is_no_break ? 2 : is_narrow ? 3 : 0;
}

/* Reads the digits before the point. Groups, once begun, have three digits each. */
static bool take_integer(const char **at, const char *end, char group, struct parts *parts,
                         int *significant, bool *ret_any)
{
    uint32_t in_group = 0;
    bool is_grouped = false;
    *ret_any = false;
    while (*at < end) {
        if (is_digit(**at)) {
            take_digit(parts, **at, false, significant);
            in_group++;
            (*at)++;
            *ret_any = true;
            continue;
        }
        uint32_t separator = group_length(group, *at, (uint32_t)(end - *at));
        if (separator == 0) {
            break;
        }
        if (is_grouped ? in_group != 3 : in_group < 1 || in_group > 3) {
            return false;
        }
        is_grouped = true;
        in_group = 0;
        *at += separator;
    }
    return !is_grouped || in_group == 3;
}

static bool take_exponent(const char **at, const char *end, struct parts *parts)
{
    if (*at == end || ((**at | 0x20) != 'e')) {
        return true;
    }
    (*at)++;
    bool is_negative = *at < end && **at == '-';
    *at += *at < end && (**at == '-' || **at == '+');
    int exponent = 0;
    int count = 0;
    for (; *at < end && is_digit(**at); (*at)++, count++) {
        exponent = count < 4 ? exponent * 10 + (**at - '0') : exponent;
    }
    parts->exponent += is_negative ? -exponent : exponent;
    return count >= 1 && count <= 4;
}

static bool read_parts(struct text text, const struct decimal_notation *notation,
                       struct parts *ret_parts)
{
    if (text.length == 0) {
        return false;
    }
    const char *at = text.data;
    const char *end = text.data + text.length;
    struct parts parts = {0};
    int significant = 0;
    bool has_integer = false;
    bool has_fraction = false;
    if (at < end && (*at == '-' || *at == '+')) {
        parts.is_negative = *at++ == '-';
    }
    if (!take_integer(&at, end, notation->group, &parts, &significant, &has_integer)) {
        return false;
    }
    if (at < end && *at == notation->point) {
        for (at++; at < end && is_digit(*at); at++) {
            take_digit(&parts, *at, true, &significant);
            has_fraction = true;
        }
    }
    if ((!has_integer && !has_fraction) || !take_exponent(&at, end, &parts) || at != end) {
        return false;
    }
    *ret_parts = parts;
    return true;
}

enum decimal_result decimal_parse(struct text text, const struct decimal_notation *notation,
                                  int scale, int64_t *ret_value)
{
    struct parts parts;
    if (!read_parts(text, notation, &parts)) {
        return DECIMAL_SYNTAX;
    }
    return round_parts(&parts, notation, scale, ret_value);
}

enum decimal_result decimal_scale(int64_t integer, const struct decimal_notation *notation,
                                  int scale, int64_t *ret_value)
{
    struct parts parts = {.is_negative = integer < 0};
    parts.digits = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
    return round_parts(&parts, notation, scale, ret_value);
}

bool decimal_set_factor(struct text text, struct decimal_notation *notation)
{
    struct parts parts;
    if (!read_parts(text, &decimal_plain, &parts) || parts.is_negative || parts.digits == 0 ||
        parts.is_cut) {
        return false;
    }
    while (parts.digits % 10 == 0) {
        parts.digits /= 10;
        parts.exponent++;
    }
    if (parts.digits > DECIMAL_FACTOR_MAX || parts.exponent > 18 || parts.exponent < -18) {
        return false;
    }
    notation->factor_digits = (uint32_t)parts.digits;
    notation->factor_exponent = parts.exponent;
    return true;
}
