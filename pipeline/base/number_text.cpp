#include "pipeline/base/number_text.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

/* The digits of a number without point and trailing zeros: 0.DIGITS times ten to `point`. */
struct digits {
    char text[24];
    size_t count;
    int point;
    bool is_negative;
};

template <typename Number> static digits digits_of(Number value)
{
    char scientific[NUMBER_TEXT_BYTES_MAX]; /* -d.ddde+dd */
    const auto end = std::to_chars(scientific, scientific + sizeof(scientific), value,
                                   std::chars_format::scientific);
    assert(end.ec == std::errc());
    digits result = {};
    const char *next = scientific;
    result.is_negative = *next == '-';
    next += result.is_negative;
    for (; *next != 'e'; next++) {
        if (*next != '.') {
            result.text[result.count++] = *next;
        }
    }
    next++;
    next += *next == '+';
    int exponent = 0;
    std::from_chars(next, end.ptr, exponent);
    result.point = exponent + 1;
    return result;
}

static char *put(char *to, const char *from, size_t count)
{
    std::memcpy(to, from, count);
    return to + count;
}

static char *put_zeros(char *to, size_t count)
{
    std::memset(to, '0', count);
    return to + count;
}

static char *put_exponent(char *to, int exponent)
{
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    const int size = exponent < 0 ? -exponent : exponent;
    if (size < 10) {
        *to++ = '0';
    }
    return std::to_chars(to, to + 4, size).ptr;
}

static size_t lay_out(const digits &number, char *text)
{
    char *to = text;
    if (number.is_negative) {
        *to++ = '-';
    }
    if (number.point > 16 || number.point < -3) {
        *to++ = number.text[0];
        if (number.count > 1) {
            *to++ = '.';
            to = put(to, number.text + 1, number.count - 1);
        }
        to = put_exponent(to, number.point - 1);
    } else if (number.point <= 0) {
        to = put(to, "0.", 2);
        to = put_zeros(to, static_cast<size_t>(-number.point));
        to = put(to, number.text, number.count);
    } else if (static_cast<size_t>(number.point) >= number.count) {
        to = put(to, number.text, number.count);
        to = put_zeros(to, static_cast<size_t>(number.point) - number.count);
    } else {
        const size_t whole = static_cast<size_t>(number.point);
        to = put(to, number.text, whole);
        *to++ = '.';
        to = put(to, number.text + whole, number.count - whole);
    }
    return static_cast<size_t>(to - text);
}

/* Below `exact`, whole numbers are their own shortest text; most numbers written are such. */
template <typename Number> static size_t format(Number value, Number exact, char *text)
{
    assert(std::isfinite(value));
    if (value > -exact && value < exact) {
        const int64_t whole = static_cast<int64_t>(value);
        if (whole != 0 && static_cast<Number>(whole) == value) {
            return number_text_long(whole, text);
        }
        if (value == 0) {
            /* As a whole number, minus zero would lose its sign in many readers. */
            return static_cast<size_t>(
                (std::signbit(value) ? put(text, "-0.0", 4) : put(text, "0", 1)) - text);
        }
    }
    return lay_out(digits_of(value), text);
}

size_t number_text_long(int64_t value, char *text)
{
    return static_cast<size_t>(std::to_chars(text, text + NUMBER_TEXT_BYTES_MAX, value).ptr - text);
}

size_t number_text_double(double value, char *text)
{
    return format(value, 1e15, text);
}

size_t number_text_float(float value, char *text)
{
    return format(value, 8388608.0f, text);
}

/* Where the digits begin to count: the exponent of a number too large or too small for a double. */
static bool is_below_one(const char *text, const char *end)
{
    const char *exponent = std::find_if(text, end, [](char byte) { return (byte | 0x20) == 'e'; });
    if (exponent + 1 < end) {
        return exponent[1] == '-';
    }
    return text < end && text[0] == '0';
}

double number_text_read_double(const char *text, size_t length)
{
    const char *end = text + length;
    double value = 0;
    const auto read = std::from_chars(text, end, value);
    if (read.ptr != end || read.ec == std::errc::invalid_argument) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    if (read.ec == std::errc::result_out_of_range) {
        const bool is_negative = *text == '-';
        const double size =
            is_below_one(text + is_negative, end) ? 0.0 : std::numeric_limits<double>::infinity();
        return is_negative ? -size : size;
    }
    return value;
}

bool number_text_read_long(const char *text, size_t length, int64_t *ret_value)
{
    const auto read = std::from_chars(text, text + length, *ret_value);
    return read.ec == std::errc() && read.ptr == text + length;
}
