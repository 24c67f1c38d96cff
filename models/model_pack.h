/*
 * A model pack: a folder with manifest.yaml, which says what the model is and what it needs, and
 * weights.safetensors, which holds its numbers. Loaded once, constant, shared by threads.
 *
 * manifest.yaml:
 *   format: 1
 *   kind: logistic               # what the backend makes of the tensors
 *   name, version, target, trained_from, trained_to, data_hash, seed: text that decisions and
 *                                # reports quote; only name and version are required
 *   features:                    # in the order of the tensors' columns
 *     - {name: session_events, transform: log1p, mean: 1.2, scale: 0.8, limit: 6}
 *   calibration: {slope: 1, offset: 0}
 *   threshold: 0.5
 *   metrics: {...}               # as training measured them; not read
 *
 * A feature's value x becomes clamp((t(x) - mean) / scale, -limit, limit); a missing one becomes 0.
 * The transform t is `none` or `log1p` (sign(x) log(1 + |x|)).
 *
 * logistic: tensors weight [features] and bias [1]; logit = slope * (weight . x + bias) + offset.
 */
#ifndef MODELS_MODEL_PACK_H
#define MODELS_MODEL_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "models/tensor_file.h"
#include "pipeline/base/status.h"

#define PACK_FEATURES_MAX 1024u

enum pack_kind { PACK_LOGISTIC, PACK_KIND_COUNT };
extern const char *const pack_kind_names[PACK_KIND_COUNT];

enum feature_transform { TRANSFORM_NONE, TRANSFORM_LOG1P, TRANSFORM_COUNT };
extern const char *const feature_transform_names[TRANSFORM_COUNT];

struct pack_feature {
    char *name; /* Owned. */
    enum feature_transform transform;
    float mean, scale, limit;
};

struct model_pack {
    enum pack_kind kind;
    char *name, *version, *target; /* Owned; target may be NULL. */
    char *label;                   /* Owned: "NAME VERSION HASH", what decisions quote. */
    struct pack_feature *features; /* Owned. */
    uint32_t feature_count;
    float slope, offset; /* Calibration on the logit scale. */
    float threshold;
    struct tensor_file *tensors; /* Owned. */
    uint64_t hash;               /* Of manifest and weights. */
};

/*
 * Refused, naming file, line and field: missing files, another format, unknown kinds or keys, wrong
 * shapes, weights that are not finite, a scale that is not positive, repeated features.
 */
MUST_CHECK enum status model_pack_load(const char *directory, struct model_pack **ret_pack,
                                       struct error *error);
void model_pack_unload(struct model_pack *pack); /* NULL is a no-op. */

/* The value that the model sees for the raw value `x` of feature `index`. */
float model_pack_prepare(const struct model_pack *pack, uint32_t index, float x);

/*
 * Finds each feature of the pack among `names`; ret_columns[i] is its place. STATUS_INVALID names
 * the feature that is not there and the nearest one that is.
 */
MUST_CHECK enum status model_pack_match(const struct model_pack *pack, const char *const *names,
                                        uint32_t name_count, uint32_t *ret_columns,
                                        struct error *error);

#endif
