/*
 * Times as people and programs write them, read into milliseconds since 1970-01-01T00:00:00Z.
 * Leap seconds do not exist (second 60 is the next minute's first), as in POSIX time.
 */
#ifndef PIPELINE_BASE_TIME_TEXT_H
#define PIPELINE_BASE_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"
#include "pipeline/base/time_zone.h"

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Month and day from 1. */
int64_t civil_days(int64_t year, unsigned month, unsigned day);

enum time_notation {
    TIME_ISO,     /* ISO 8601: date, or date and time by T or a space; fraction and zone at will. */
    TIME_EPOCH_S, /* Seconds since 1970, decimals allowed. */
    TIME_EPOCH_MS, /* Milliseconds. */
    TIME_EPOCH_US,
    TIME_EPOCH_NS,
    TIME_PATTERN, /* As strptime has it. */
};

#define TIME_PATTERN_STEPS_MAX 40

/* Small and constant once made; share it freely. */
struct time_format {
    enum time_notation notation;
    uint32_t step_count;
    struct time_step {
        char field;   /* Letter of the conversion; 0: the literal. */
        char literal; /* A space stands for any white space, also none. */
    } steps[TIME_PATTERN_STEPS_MAX];
};

/*
 * `text` is iso, epoch_s, epoch_ms, epoch_us, epoch_ns, log (an access log's time) or a pattern
 * with %Y %y %m %d %e %j %b %B %a %A %H %I %p %M %S %f (1 to 9 digits of a fraction) %z (+0330,
 * +03:30, Z, UTC, GMT) %F %T %%. STATUS_INVALID otherwise, with a message that says what is wrong.
 */
MUST_CHECK enum status time_format_compile(const char *text, struct time_format *ret_format,
                                           struct error *error);

/*
 * Reads the whole of `text`. A text that names no zone of its own is in `zone` (NULL: UTC). Parts
 * of a millisecond are cut off. False where it does not fit or there is no such date.
 */
bool time_parse(const struct time_format *format, const struct time_zone *zone, struct text text,
                int64_t *ret_ms);

/* An epoch's integer to milliseconds. False for notations that are no epochs, and beyond 64 bits.
 */
bool time_from_integer(const struct time_format *format, int64_t integer, int64_t *ret_ms);

#endif
