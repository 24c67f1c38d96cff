/* Families user, rate and window: how much of what, so far, fading, and by windows. */
#ifndef OPERATORS_FEATURE_COUNTS_H
#define OPERATORS_FEATURE_COUNTS_H

#include "operators/feature_event.h"
#include "operators/feature_window.h"

struct user_totals {
    uint32_t events;
    uint16_t sessions, views, cart_adds, purchases, refunds, bad_labels;
    uint16_t promotions_shown, promotions_accepted;
};

void totals_observe(struct user_totals *totals, const struct feature_event *event);
void totals_write(const struct user_totals *totals, float *row);

/* Sums of exp(-age / T) as of the user's newest activity. */
struct user_rates {
    double events_1m, events_1h, events_1d, events_7d;
    double cart_adds_1d;
    double failures_1h;
};

/* Lets `elapsed_ms` go by. */
void rates_advance(struct user_rates *rates, int64_t elapsed_ms);
void rates_observe(struct user_rates *rates, const struct feature_event *event);
void rates_write(const struct user_rates *rates, float *row);

struct user_windows {
    struct {
        float spend;
        uint16_t events;
        uint8_t purchases, refunds;
    } of_30d[WINDOW_BUCKETS];
    struct {
        float spend;
        uint16_t events;
        uint8_t purchases, failures;
    } of_1d[WINDOW_BUCKETS];
    struct {
        uint16_t events;
        uint8_t payments_failed, logins_failed;
    } of_10m[WINDOW_BUCKETS];
    struct {
        uint16_t views;
        uint8_t purchases, sessions;
    } of_7d[WINDOW_BUCKETS];
    struct {
        uint16_t events;
        uint8_t payments_failed, logins_failed;
    } of_1h[WINDOW_BUCKETS];
    uint8_t events_1m[WINDOW_BUCKETS];
};

/* Moves the newest time; both times are not negative and `to_ms` is not older. */
void windows_advance(struct user_windows *windows, int64_t from_ms, int64_t to_ms);
void windows_observe(struct user_windows *windows, const struct feature_event *event);
void windows_write(const struct user_windows *windows, float *row);

#endif
