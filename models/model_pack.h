/*
 * A model pack: a folder with manifest.yaml, which says what the model is and what it needs, and
 * weights.safetensors, which holds its numbers. Loaded once, constant, shared by threads. What is
 * common to all kinds stands here; what a kind adds in models/pack_KIND.h, and how a kind is added
 * in pack_kind.h.
 *
 * manifest.yaml:
 *   format: 1
 *   kind: logistic               # logistic, trees, mean, mlp, gru, lstm, isolation_forest
 *   name, version, target, trained_from, trained_to, data_hash, seed: text that decisions and
 *                                # reports quote; only name and version are required
 *   features:                    # in the order of the tensors' columns
 *     - {name: session_events, transform: log1p, mean: 1.2, scale: 0.8, limit: 6}
 *   calibration: {slope: 1, offset: 0}
 *   threshold: 0.5
 *   metrics: {...}               # as training measured them; not read
 *   training: {...}              # its settings; not read
 * and the keys of its kind.
 *
 * A feature's value x becomes clamp((t(x) - mean) / scale, -limit, limit), for kinds that scale
 * their features. The transform t is
 *   none
 *   log1p    sign(x) log(1 + |x|)
 *   octaves  sign(x) log2(1 + |x|) with straight lines between the powers of two, which takes
 *            three instructions and is the same on every machine
 *
 * Calibration makes of the model's own logit the one that is used: slope times it plus offset
 * (Platt, 1999), or, with points: [[logit, calibrated logit], ...], straight lines between the
 * points, beyond them as steep as from the first to the last (isotonic; see pack_calibration.h).
 *
 * Tensors p50, p99 and p999 [features], optional: quantiles of the raw features in the population
 * that the pack was trained on, NaN-free; score_fraud measures deviations by them.
 */
#ifndef MODELS_MODEL_PACK_H
#define MODELS_MODEL_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "models/pack_calibration.h"
#include "models/tensor_file.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/status.h"

#define PACK_FEATURES_MAX 1024u

struct pack_kind_ops;

enum feature_transform { TRANSFORM_NONE, TRANSFORM_LOG1P, TRANSFORM_OCTAVES, TRANSFORM_COUNT };
extern const char *const feature_transform_names[TRANSFORM_COUNT];

/* What a score is: the chance of a logit, or of a model that predicts no chance the value itself,
 * which the named function makes of the margin that stands in the logit's place. */
enum pack_output {
    PACK_OUTPUT_CHANCE, /* 1 / (1 + exp(-logit)) */
    PACK_OUTPUT_VALUE,  /* margin */
    PACK_OUTPUT_EXP,    /* exp(margin) */
    PACK_OUTPUT_SQUARE, /* sign(margin) margin^2 */
    PACK_OUTPUT_STEP,   /* 1 where margin > 0, else 0 */
};

struct pack_feature {
    char *name; /* Owned. */
    enum feature_transform transform;
    float mean, scale, limit;
};

/* Of a model of several classes, or of several values: the others beside the pack's own. */
struct pack_classes {
    char **names;      /* [count]. Owned. As the manifest's `classes` say, else "0", "1" ... */
    uint32_t count;    /* 0: the model gives one score alone; else 2 or more. */
    uint32_t chosen;   /* The pack's own. */
    bool are_disjoint; /* A row is of one class, so the chances sum to 1. */
};

struct model_pack {
    const struct pack_kind_ops *kind; /* Static. */
    void *body;                       /* Owned: what the kind keeps, such as struct pack_trees. */
    char *name, *version, *target;    /* Owned; target may be NULL. */
    char *trained_from, *trained_to;  /* Owned: times as text; NULL: the manifest does not say. */
    char *label;                      /* Owned: "NAME VERSION HASH", what decisions quote. */
    struct pack_feature *features;    /* Owned. */
    uint32_t feature_count;
    struct pack_calibration calibration;
    enum pack_output output; /* Other than a chance of some packs of kind trees alone. */
    struct pack_classes classes;
    float threshold;
    struct tensor_file *tensors;   /* Owned; NULL where the pack has no weights.safetensors. */
    const float *p50, *p99, *p999; /* [feature_count]. All or none of them NULL. */
    uint64_t body_hash;            /* Of what the kind reads beside manifest and weights. */
    uint64_t hash;                 /* Of all. */
};

/*
 * Refused, naming file, line and field: missing files, another format, unknown kinds or keys, wrong
 * shapes, weights that are not finite, a scale that is not positive, repeated features, and what
 * the kind refuses.
 */
MUST_CHECK enum status model_pack_load(const char *directory, struct model_pack **ret_pack,
                                       struct error *error);
void model_pack_unload(struct model_pack *pack); /* NULL is a no-op. */

/* The score of a calibrated logit. */
static inline float model_pack_score(const struct model_pack *pack, float logit)
{
    switch (pack->output) {
    case PACK_OUTPUT_VALUE:
        return logit;
    case PACK_OUTPUT_EXP:
        return (float)fixed_exp((double)logit);
    case PACK_OUTPUT_SQUARE:
        return logit < 0 ? -logit * logit : logit * logit;
    case PACK_OUTPUT_STEP:
        return logit > 0 ? 1.0f : 0.0f;
    case PACK_OUTPUT_CHANCE:
        break;
    }
    return fixed_sigmoidf(logit);
}

static inline float octaves_of(float x)
{
    float magnitude = 1.0f + (x < 0 ? -x : x);
    float octaves = (float)(int32_t)(fixed_bits_of_float(magnitude) - 0x3F800000u) * 0x1p-23f;
    return x < 0 ? -octaves : octaves;
}

static inline float feature_transform_apply(enum feature_transform transform, float x)
{
    if (transform == TRANSFORM_OCTAVES) {
        return octaves_of(x);
    }
    if (transform == TRANSFORM_LOG1P) {
        return x < 0 ? -fixed_log1pf(-x) : fixed_log1pf(x);
    }
    return x;
}

/* What the model sees for the raw value `x`, which is not NaN. */
static inline float pack_feature_scale(const struct pack_feature *feature, float x)
{
    float z =
        (feature_transform_apply(feature->transform, x) - feature->mean) * (1.0f / feature->scale);
    z = z < feature->limit ? z : feature->limit;
    return z > -feature->limit ? z : -feature->limit;
}

/*
 * Finds each feature of the pack among `names`; ret_columns[i] is its place. STATUS_INVALID names
 * the feature that is not there and the nearest one that is.
 */
MUST_CHECK enum status model_pack_match(const struct model_pack *pack, const char *const *names,
                                        uint32_t name_count, uint32_t *ret_columns,
                                        struct error *error);

#endif
