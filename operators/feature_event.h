/* One row as the families of features see it, and the small sums that they share. */
#ifndef OPERATORS_FEATURE_EVENT_H
#define OPERATORS_FEATURE_EVENT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "operators/feature_table.h"
#include "pipeline/event/event_batch.h"

/* How an event stands to the user's newest session. */
enum session_step {
    SESSION_STEP_NONE,  /* No activity. */
    SESSION_STEP_OPENS, /* Its session becomes the newest: a new one, or one that is resumed. */
    SESSION_STEP_SAME,
    SESSION_STEP_OLDER, /* It belongs to an older one, or to none. */
};

struct feature_event {
    int64_t time_ms;   /* Of the row, never negative. */
    int64_t newest_ms; /* Of the user's activity before this row; -1: none. */
    int64_t now_ms;    /* See feature_table.c. */
    enum event_type type;
    enum session_step session_step;
    bool is_activity;
    bool is_forward;
    bool has_price;
    bool has_referrer;
    bool is_bad_label;
    uint8_t session_flags;
    uint16_t pieces;
    int64_t price; /* Millionths, 0 where missing. */
    int64_t amount;
    int64_t session_start_ms;
    uint64_t session_id;
    uint32_t session_events;
    uint64_t user, item, category, device, address, card; /* Hashes; 0: missing. */
};

#define MILLIONTHS 1e6

static inline bool feature_is_failure(const struct feature_event *event)
{
    return event->type == EVENT_PAYMENT_FAILED || event->type == EVENT_LOGIN_FAILED;
}

static inline bool feature_is_payment(const struct feature_event *event)
{
    return event->type == EVENT_PURCHASE && event->has_price;
}

/* Whether the event's amount is one of money that moves or is about to. */
static inline bool feature_has_amount(const struct feature_event *event)
{
    return event->has_price &&
           (event->type == EVENT_PURCHASE || event->type == EVENT_PAYMENT_FAILED ||
            event->type == EVENT_CHECKOUT || event->type == EVENT_REFUND);
}

/* Counters stop at their greatest value. */
static inline void feature_count8(uint8_t *counter)
{
    *counter = (uint8_t)(*counter + (*counter < UINT8_MAX));
}

static inline void feature_count16(uint16_t *counter)
{
    *counter = (uint16_t)(*counter + (*counter < UINT16_MAX));
}

static inline void feature_count32(uint32_t *counter)
{
    *counter += *counter < UINT32_MAX;
}

static inline int64_t feature_add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum; /* Neither is negative. */
}

/* Whole seconds since 1970, in [1, 2^32): 0 is left to say "never". */
static inline uint32_t feature_second(int64_t time_ms)
{
    int64_t second = time_ms / 1000;
    second = second < 1 ? 1 : second;
    return second > UINT32_MAX ? UINT32_MAX : (uint32_t)second;
}

/* Whole seconds from `then` to now; NaN where `then` never was. */
static inline float feature_since(int64_t now_ms, uint32_t then)
{
    if (then == 0) {
        return NAN;
    }
    uint32_t now = feature_second(now_ms);
    return now > then ? (float)(now - then) : 0.0f;
}

/* a / b, or NaN where b is 0. */
static inline float feature_ratio(double a, double b)
{
    return b != 0.0 ? (float)(a / b) : NAN;
}

/* Mean and sum of squared deviations, one value at a time (Welford, 1962). `n` counts `value`. */
static inline void feature_welford(double *mean, double *squares, double value, uint32_t n)
{
    double deviation = value - *mean;
    *mean += deviation / (double)n;
    *squares += deviation * (value - *mean);
}

static inline double feature_spread(double squares, uint32_t n)
{
    return sqrt(squares / (double)n);
}

#endif
