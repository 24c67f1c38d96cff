/* Packs made up for tests, in memory. */
#ifndef TEST_MODELS_MODEL_PACKS_H
#define TEST_MODELS_MODEL_PACKS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "models/pack_kind.h"
#include "models/pack_logistic.h"

#define MADE_FEATURES_MAX 160

struct made_pack {
    struct model_pack pack;
    struct pack_logistic body;
    struct pack_feature features[MADE_FEATURES_MAX];
    float weights[MADE_FEATURES_MAX], missing[MADE_FEATURES_MAX];
    uint32_t columns[MADE_FEATURES_MAX];
};

static inline double made_unit(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* Feature i stands in column i * step; every transform occurs, log1p where `has_log`. */
static inline void make_pack(struct made_pack *made, uint32_t count, uint32_t step, int has_log,
                             uint64_t seed)
{
    *made = (struct made_pack){0};
    for (uint32_t i = 0; i < count; i++) {
        enum feature_transform transform = i % 2 ? TRANSFORM_OCTAVES : TRANSFORM_NONE;
        transform = has_log && i % 5 == 0 ? TRANSFORM_LOG1P : transform;
        made->features[i] = (struct pack_feature){
            .name = (char *)(uintptr_t) "made",
            .transform = transform,
            .mean = (float)made_unit(&seed),
            .scale = 0.1f + (float)made_unit(&seed),
            .limit = 5.0f,
        };
        made->weights[i] = (float)made_unit(&seed) - 0.5f;
        made->missing[i] = (float)made_unit(&seed) - 0.5f;
        made->columns[i] = i * step;
    }
    made->body = (struct pack_logistic){made->weights, made->missing, 0.25f};
    made->pack = (struct model_pack){
        .kind = &pack_kind_logistic,
        .body = &made->body,
        .name = (char *)(uintptr_t) "made",
        .features = made->features,
        .feature_count = count,
        .calibration = {.slope = 0.9f, .offset = -0.3f},
    };
}

/* Values of every size and sign, a tenth of them missing, now and then infinite. */
static inline void make_rows(float *rows, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        double kind = made_unit(&seed);
        double size = made_unit(&seed);
        rows[i] = kind < 0.1    ? NAN
                  : kind < 0.12 ? (float)(size < 0.5 ? INFINITY : -INFINITY)
                  : kind < 0.4  ? (float)(1e6 * size)
                                : (float)(4 * size - 2);
    }
}

#endif
