/*
 * Isotonic regression by pooling adjacent violators (Ayer and others, 1955), in its centred form
 * (Oron and Flournoy, "Centered Isotonic Regression", 2017): each pool becomes one point at its
 * mean, with straight lines between, so that scores of one pool keep their order. On the logit
 * scale; each pool is pulled a little to the base rate, so that pools of one class stay finite, and
 * those that do not rise any more are pooled again.
 */
#ifndef MODELS_ISOTONIC_FIT_H
#define MODELS_ISOTONIC_FIT_H

#include "models/held_out.h"

/*
 * Points from the held-out margins: at most CALIBRATION_POINTS_MAX, by joining the lightest pools.
 * No points (point_count 0) where all rows fall into one pool.
 */
MUST_CHECK enum status isotonic_fit(const struct held_out *held,
                                    struct pack_calibration *ret_calibration, struct error *error);

#endif
