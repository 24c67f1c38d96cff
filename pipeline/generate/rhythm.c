#include "pipeline/generate/rhythm.h"

#define HOUR_MS 3600000
#define DAY_MS 86400000
#define SAMPLES 1000

/* How busy the shop is, by hour of day (UTC) and by day of week from Thursday, 1 January 1970. */
static const double hour_weights[24] = {0.45, 0.30, 0.22, 0.18, 0.20, 0.30, 0.50, 0.75,
                                        0.95, 1.05, 1.10, 1.15, 1.20, 1.15, 1.10, 1.10,
                                        1.15, 1.25, 1.45, 1.65, 1.75, 1.60, 1.20, 0.80};
static const double day_weights[7] = {1.0, 0.95, 0.9, 1.1, 1.05, 1.0, 1.0};
#define WEIGHT_MAX (1.75 * 1.1)

static double weight_at(int64_t time_ms)
{
    return hour_weights[time_ms / HOUR_MS % 24] * day_weights[time_ms / DAY_MS % 7];
}

struct rhythm rhythm_make(double visits, int64_t start_ms, int64_t duration_ms)
{
    double weight = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double part = (i + 0.5) / SAMPLES;
        weight += weight_at(start_ms + (int64_t)(part * (double)duration_ms)) / SAMPLES;
    }
    return (struct rhythm){.visits_a_ms = visits / ((double)duration_ms * weight)};
}

/* By thinning (Lewis and Shedler 1979). */
int64_t rhythm_next(const struct rhythm *rhythm, struct random *random, int64_t time_ms)
{
    double at_ms = (double)time_ms;
    double mean_ms = 1.0 / (rhythm->visits_a_ms * WEIGHT_MAX);
    do {
        at_ms += random_exponential(random, mean_ms);
    } while (!random_chance(random, weight_at((int64_t)at_ms) / WEIGHT_MAX));
    return (int64_t)at_ms;
}
