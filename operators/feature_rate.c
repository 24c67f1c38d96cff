#include "operators/feature_counts.h"
#include "pipeline/base/fixed_math.h"

#define MINUTE_MS 60000.0
#define HOUR_MS 3600000.0
#define DAY_MS 86400000.0
#define WEEK_MS 604800000.0

/* What no float will show is nothing, before it becomes a subnormal number, which is slow. */
static double fade(double rate, double factor)
{
    double faded = rate * factor;
    return faded < 1e-30 ? 0.0 : faded;
}

void rates_advance(struct user_rates *rates, int64_t elapsed_ms)
{
    if (elapsed_ms == 0) {
        return;
    }
    double age = -(double)elapsed_ms;
    double hour = fixed_exp(age / HOUR_MS);
    double day = fixed_exp(age / DAY_MS);
    rates->events_1m *= fixed_exp(age / MINUTE_MS);
    rates->events_1h *= hour;
    rates->failures_1h = fade(rates->failures_1h, hour);
    rates->events_1d *= day;
    rates->cart_adds_1d = fade(rates->cart_adds_1d, day);
    rates->events_7d *= fixed_exp(age / WEEK_MS);
}

static void add_weighed(struct user_rates *rates, const struct feature_event *event,
                        const double weights[4])
{
    rates->events_1m += weights[0];
    rates->events_1h += weights[1];
    rates->events_1d += weights[2];
    rates->events_7d += weights[3];
    rates->failures_1h += feature_is_failure(event) ? weights[1] : 0.0;
    rates->cart_adds_1d += event->type == EVENT_ADD_TO_CART ? weights[2] : 0.0;
}

void rates_observe(struct user_rates *rates, const struct feature_event *event)
{
    static const double full[4] = {1.0, 1.0, 1.0, 1.0};
    if (event->time_ms == event->now_ms) {
        add_weighed(rates, event, full);
        return;
    }
    double age = -(double)(event->now_ms - event->time_ms);
    const double faded[4] = {fixed_exp(age / MINUTE_MS), fixed_exp(age / HOUR_MS),
                             fixed_exp(age / DAY_MS), fixed_exp(age / WEEK_MS)};
    add_weighed(rates, event, faded);
}

void rates_write(const struct user_rates *rates, float *row)
{
    row[FEATURE_RATE_EVENTS_1M] = (float)rates->events_1m;
    row[FEATURE_RATE_EVENTS_1H] = (float)rates->events_1h;
    row[FEATURE_RATE_EVENTS_1D] = (float)rates->events_1d;
    row[FEATURE_RATE_EVENTS_7D] = (float)rates->events_7d;
    row[FEATURE_RATE_CART_ADDS_1D] = (float)rates->cart_adds_1d;
    row[FEATURE_RATE_FAILURES_1H] = (float)rates->failures_1h;
    if (rates->events_7d >= 1e-6) {
        row[FEATURE_RATE_BURST] = (float)(rates->events_1h / rates->events_7d);
    }
}
