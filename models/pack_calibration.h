/*
 * From a model's own logit to one whose chance is right on average. By default logit = slope *
 * margin + offset (Platt, "Probabilistic outputs for support vector machines", 1999); with points,
 * straight lines between them (isotonic regression, as made by isotonic_fit.h), so that the order
 * of scores is kept.
 */
#ifndef MODELS_PACK_CALIBRATION_H
#define MODELS_PACK_CALIBRATION_H

#include <stdint.h>

#include "pipeline/base/status.h"
#include "pipeline/config/yaml.h"

#define CALIBRATION_POINTS_MAX 256u

struct pack_calibration {
    float slope, offset; /* Without points. */
    uint32_t point_count;
    /* [point_count], each owned: margins rise, logits do not fall and rise on the whole. */
    float *margins, *logits;
};

/*
 * Reads {slope, offset} or {points}; `node` may be NULL: nothing is changed by it. STATUS_INVALID
 * with file, line and key.
 */
MUST_CHECK enum status pack_calibration_read(const struct yaml_node *node,
                                             struct pack_calibration *ret_calibration,
                                             struct error *error);
void pack_calibration_release(struct pack_calibration *calibration);

/* Hash of what it does. */
uint64_t pack_calibration_hash(const struct pack_calibration *calibration, uint64_t hash);

float pack_calibrate_by_points(const struct pack_calibration *calibration, float margin);

static inline float pack_calibrate(const struct pack_calibration *calibration, float margin)
{
    return calibration->point_count == 0 ? calibration->slope * margin + calibration->offset
                                         : pack_calibrate_by_points(calibration, margin);
}

/*
 * What terms that sum to margin - base are to be multiplied by, and the base to start from, so that
 * they sum to the calibrated logit of `margin`.
 */
void pack_calibrate_terms(const struct pack_calibration *calibration, float margin, float base,
                          float *ret_factor, float *ret_base);

#endif
