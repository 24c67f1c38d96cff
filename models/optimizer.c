#include "models/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "pipeline/base/fixed_math.h"

#define SMALLEST 1e-8f

const char *const optimizer_names[OPTIMIZER_KIND_COUNT + 1] = {"sgd", "momentum", "rmsprop", "adam",
                                                               NULL};
const char *const schedule_names[SCHEDULE_KIND_COUNT + 1] = {"constant", "step", "cosine", NULL};

enum status optimizer_init(struct optimizer *optimizer, enum optimizer_kind kind, double momentum,
                           double decay, size_t count, struct error *error)
{
    *optimizer = (struct optimizer){.kind = kind,
                                    .momentum = momentum,
                                    .decay = decay,
                                    .count = count,
                                    .first_power = 1,
                                    .second_power = 1,
                                    .first = calloc(count + 1, sizeof(float)),
                                    .second = calloc(count + 1, sizeof(float))};
    if (!optimizer->first || !optimizer->second) {
        optimizer_release(optimizer);
        return error_set(error, STATUS_FATAL, "training: out of memory");
    }
    return STATUS_OK;
}

void optimizer_release(struct optimizer *optimizer)
{
    free(optimizer->first);
    free(optimizer->second);
    *optimizer = (struct optimizer){0};
}

static void adam_step(struct optimizer *self, float rate, const float *gradient, float *parameters)
{
    float keep = (float)self->momentum;
    float keep_square = (float)self->decay;
    float scale = (float)(1 / (1 - self->first_power));
    float scale_square = (float)(1 / (1 - self->second_power));
    for (size_t i = 0; i < self->count; i++) {
        float g = gradient[i];
        self->first[i] = keep * self->first[i] + (1 - keep) * g;
        self->second[i] = keep_square * self->second[i] + (1 - keep_square) * (g * g);
        parameters[i] -=
            rate * (self->first[i] * scale) / (sqrtf(self->second[i] * scale_square) + SMALLEST);
    }
}

void optimizer_step(struct optimizer *self, double rate_given, const float *gradient,
                    float *parameters)
{
    float rate = (float)rate_given;
    float keep = (float)self->momentum;
    float keep_square = (float)self->decay;
    self->steps++;
    self->first_power *= self->momentum;
    self->second_power *= self->decay;
    switch (self->kind) {
    case OPTIMIZER_ADAM:
        adam_step(self, rate, gradient, parameters);
        return;
    case OPTIMIZER_RMSPROP:
        for (size_t i = 0; i < self->count; i++) {
            float g = gradient[i];
            self->second[i] = keep_square * self->second[i] + (1 - keep_square) * (g * g);
            parameters[i] -= rate * g / (sqrtf(self->second[i]) + SMALLEST);
        }
        return;
    case OPTIMIZER_MOMENTUM:
        for (size_t i = 0; i < self->count; i++) {
            self->first[i] = keep * self->first[i] + gradient[i];
            parameters[i] -= rate * self->first[i];
        }
        return;
    default:
        for (size_t i = 0; i < self->count; i++) {
            parameters[i] -= rate * gradient[i];
        }
    }
}

double schedule_factor(enum schedule_kind kind, double warm_up, double share)
{
    double factor = 1;
    if (kind == SCHEDULE_COSINE) {
        factor = 0.5 * (1 + fixed_cos(share * 3.14159265358979323846));
    } else if (kind == SCHEDULE_STEP && share >= 0.5) {
        factor = share >= 0.75 ? 0.01 : 0.1;
    }
    return share < warm_up ? factor * share / warm_up : factor;
}
