/*
 * The kind logistic: tensors weight [features], bias [1] and, optionally, missing [features]. The
 * logit is the sum and the bias, where the sum has weight times scaled value for each feature, or
 * `missing` (0 without the tensor) where the feature has no value.
 */
#ifndef MODELS_PACK_LOGISTIC_H
#define MODELS_PACK_LOGISTIC_H

#include "models/model_backend.h"
#include "models/model_pack.h"

struct pack_logistic {
    const float *weights; /* [feature_count], in the pack's tensors, as are the next ones. */
    const float *missing; /* NULL: a missing value adds nothing. */
    float bias;
};

static inline const struct pack_logistic *pack_logistic_of(const struct model_pack *pack)
{
    return pack->body;
}

/* What feature `index` adds to the sum, for the raw value `x`, which may be NaN. */
float pack_logistic_term(const struct model_pack *pack, uint32_t index, float x);

/* model_ops.explain for both backends: exact. `columns` is where the features stand in `row`. */
void pack_logistic_explain(const struct model_pack *pack, const uint32_t *columns, const float *row,
                           float *terms, float *ret_base);

/* The plain implementation; see backend_lanes.c. */
model_load_function lanes_load_logistic;

#endif
