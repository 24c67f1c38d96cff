/*
 * Steps down a gradient: plain (SGD), with momentum (Polyak, 1964), RMSprop (Tieleman and Hinton,
 * 2012), Adam (Kingma and Ba, 2015). Float arithmetic in a written order.
 */
#ifndef MODELS_OPTIMIZER_H
#define MODELS_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

enum optimizer_kind {
    OPTIMIZER_SGD,
    OPTIMIZER_MOMENTUM,
    OPTIMIZER_RMSPROP,
    OPTIMIZER_ADAM,
    OPTIMIZER_KIND_COUNT
};
extern const char *const optimizer_names[OPTIMIZER_KIND_COUNT + 1]; /* Ends with NULL. */

enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_STEP,   /* A tenth after half of the way, a hundredth after three quarters. */
    SCHEDULE_COSINE, /* Half a cosine down to 0. */
    SCHEDULE_KIND_COUNT
};
extern const char *const schedule_names[SCHEDULE_KIND_COUNT + 1]; /* Ends with NULL. */

struct optimizer {
    enum optimizer_kind kind;
    double momentum; /* Share of the first moment that stays: of momentum and Adam. */
    double decay;    /* The same of the second moment: of RMSprop and Adam. */
    size_t count;
    uint64_t steps;
    double first_power, second_power; /* momentum^steps and decay^steps. */
    float *first, *second;            /* [count] moments. Owned. */
};

MUST_CHECK enum status optimizer_init(struct optimizer *optimizer, enum optimizer_kind kind,
                                      double momentum, double decay, size_t count,
                                      struct error *error);
void optimizer_release(struct optimizer *optimizer);

/* parameters[i] moves against gradient[i]. */
void optimizer_step(struct optimizer *optimizer, double rate, const float *gradient,
                    float *parameters);

/* What the rate is multiplied by after a share of the way, in [0, 1]; it rises from 0 over the
 * first `warm_up` of it. */
double schedule_factor(enum schedule_kind kind, double warm_up, double share);

#endif
