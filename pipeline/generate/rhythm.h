/* When visits begin: a Poisson process whose rate follows the hour of the day and the day of week.
 */
#ifndef PIPELINE_GENERATE_RHYTHM_H
#define PIPELINE_GENERATE_RHYTHM_H

#include "pipeline/generate/random.h"

struct rhythm {
    double visits_a_ms; /* At weight 1. */
};

/* So that about `visits` of them begin in the time from start_ms on. */
struct rhythm rhythm_make(double visits, int64_t start_ms, int64_t duration_ms);

/* The next one after time_ms. */
int64_t rhythm_next(const struct rhythm *rhythm, struct random *random, int64_t time_ms);

#endif
