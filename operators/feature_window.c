#include "operators/feature_window.h"

#include "operators/feature_counts.h"

static void advance(void *ring, size_t bucket_bytes, int64_t width_ms, int64_t from_ms,
                    int64_t to_ms)
{
    window_advance(ring, bucket_bytes, from_ms / width_ms, to_ms / width_ms);
}

void windows_advance(struct user_windows *windows, int64_t from_ms, int64_t to_ms)
{
    if (from_ms / WINDOW_1M_MS == to_ms / WINDOW_1M_MS) {
        return; /* Every other bucket ends where one of these does. */
    }
    advance(windows->events_1m, sizeof(windows->events_1m[0]), WINDOW_1M_MS, from_ms, to_ms);
    advance(windows->of_10m, sizeof(windows->of_10m[0]), WINDOW_10M_MS, from_ms, to_ms);
    advance(windows->of_1h, sizeof(windows->of_1h[0]), WINDOW_1H_MS, from_ms, to_ms);
    advance(windows->of_1d, sizeof(windows->of_1d[0]), WINDOW_1D_MS, from_ms, to_ms);
    advance(windows->of_7d, sizeof(windows->of_7d[0]), WINDOW_7D_MS, from_ms, to_ms);
    advance(windows->of_30d, sizeof(windows->of_30d[0]), WINDOW_30D_MS, from_ms, to_ms);
}

static void count_short(struct user_windows *windows, const struct feature_event *event)
{
    int place = window_place(event->time_ms, event->now_ms, WINDOW_1M_MS);
    if (place >= 0) {
        feature_count8(&windows->events_1m[place]);
    }
    place = window_place(event->time_ms, event->now_ms, WINDOW_10M_MS);
    if (place >= 0) {
        feature_count16(&windows->of_10m[place].events);
        if (event->type == EVENT_PAYMENT_FAILED) {
            feature_count8(&windows->of_10m[place].payments_failed);
        } else if (event->type == EVENT_LOGIN_FAILED) {
            feature_count8(&windows->of_10m[place].logins_failed);
        }
    }
}

static void count_hour(struct user_windows *windows, const struct feature_event *event)
{
    int place = window_place(event->time_ms, event->now_ms, WINDOW_1H_MS);
    if (place < 0) {
        return;
    }
    feature_count16(&windows->of_1h[place].events);
    if (event->type == EVENT_PAYMENT_FAILED) {
        feature_count8(&windows->of_1h[place].payments_failed);
    } else if (event->type == EVENT_LOGIN_FAILED) {
        feature_count8(&windows->of_1h[place].logins_failed);
    }
}

static void count_day(struct user_windows *windows, const struct feature_event *event)
{
    int place = window_place(event->time_ms, event->now_ms, WINDOW_1D_MS);
    if (place < 0) {
        return;
    }
    feature_count16(&windows->of_1d[place].events);
    if (event->type == EVENT_PURCHASE) {
        feature_count8(&windows->of_1d[place].purchases);
        windows->of_1d[place].spend += (float)((double)event->amount / MILLIONTHS);
    } else if (feature_is_failure(event)) {
        feature_count8(&windows->of_1d[place].failures);
    }
}

static void count_long(struct user_windows *windows, const struct feature_event *event)
{
    int place = window_place(event->time_ms, event->now_ms, WINDOW_7D_MS);
    if (place >= 0) {
        if (event->session_flags & SESSION_IS_NEW) {
            feature_count8(&windows->of_7d[place].sessions);
        }
        if (event->type == EVENT_PRODUCT_VIEW) {
            feature_count16(&windows->of_7d[place].views);
        } else if (event->type == EVENT_PURCHASE) {
            feature_count8(&windows->of_7d[place].purchases);
        }
    }
    place = window_place(event->time_ms, event->now_ms, WINDOW_30D_MS);
    if (place >= 0) {
        feature_count16(&windows->of_30d[place].events);
        if (event->type == EVENT_PURCHASE) {
            feature_count8(&windows->of_30d[place].purchases);
            windows->of_30d[place].spend += (float)((double)event->amount / MILLIONTHS);
        } else if (event->type == EVENT_REFUND) {
            feature_count8(&windows->of_30d[place].refunds);
        }
    }
}

void windows_observe(struct user_windows *windows, const struct feature_event *event)
{
    count_short(windows, event);
    count_hour(windows, event);
    count_day(windows, event);
    count_long(windows, event);
}

#define SUM(ring, member)                                                                          \
    ((ring)[0].member + (ring)[1].member + (ring)[2].member + (ring)[3].member)

/* Spends are added in double, so that the order of the buckets' places cannot be seen. */
#define SUM_SPEND(ring)                                                                            \
    ((float)(((double)(ring)[0].spend + (double)(ring)[1].spend) +                                 \
             ((double)(ring)[2].spend + (double)(ring)[3].spend)))

void windows_write(const struct user_windows *windows, float *row)
{
    const uint8_t *minute = windows->events_1m;
    row[FEATURE_WINDOW_EVENTS_1M] = (float)(minute[0] + minute[1] + minute[2] + minute[3]);
    row[FEATURE_WINDOW_EVENTS_10M] = (float)SUM(windows->of_10m, events);
    row[FEATURE_WINDOW_EVENTS_1H] = (float)SUM(windows->of_1h, events);
    row[FEATURE_WINDOW_EVENTS_1D] = (float)SUM(windows->of_1d, events);
    row[FEATURE_WINDOW_EVENTS_30D] = (float)SUM(windows->of_30d, events);
    row[FEATURE_WINDOW_VIEWS_7D] = (float)SUM(windows->of_7d, views);
    row[FEATURE_WINDOW_PAYMENT_FAILED_10M] = (float)SUM(windows->of_10m, payments_failed);
    row[FEATURE_WINDOW_PAYMENT_FAILED_1H] = (float)SUM(windows->of_1h, payments_failed);
    row[FEATURE_WINDOW_LOGIN_FAILED_10M] = (float)SUM(windows->of_10m, logins_failed);
    row[FEATURE_WINDOW_LOGIN_FAILED_1H] = (float)SUM(windows->of_1h, logins_failed);
    row[FEATURE_WINDOW_FAILURES_1D] = (float)SUM(windows->of_1d, failures);
    row[FEATURE_WINDOW_PURCHASES_1D] = (float)SUM(windows->of_1d, purchases);
    row[FEATURE_WINDOW_PURCHASES_7D] = (float)SUM(windows->of_7d, purchases);
    row[FEATURE_WINDOW_PURCHASES_30D] = (float)SUM(windows->of_30d, purchases);
    if (SUM(windows->of_1d, purchases) > 0) {
        row[FEATURE_WINDOW_SPEND_1D] = SUM_SPEND(windows->of_1d);
    }
    if (SUM(windows->of_30d, purchases) > 0) {
        row[FEATURE_WINDOW_SPEND_30D] = SUM_SPEND(windows->of_30d);
    }
    row[FEATURE_WINDOW_SESSIONS_7D] = (float)SUM(windows->of_7d, sessions);
    row[FEATURE_WINDOW_REFUNDS_30D] = (float)SUM(windows->of_30d, refunds);
}
