/*
 * LightGBM's text model (Booster.save_model; versions v2 to v4 of the format), boosting gbdt, dart,
 * goss and rf, constant leaves. Thresholds are doubles there and rows floats here: a threshold
 * becomes the least float above it, so that every float goes the way it would go there.
 */
#ifndef MODELS_IMPORT_LIGHTGBM_H
#define MODELS_IMPORT_LIGHTGBM_H

#include "models/tree_ensemble.h"

MUST_CHECK enum status import_lightgbm(const char *name, const char *bytes, size_t length,
                                       struct tree_ensemble **ret_ensemble, struct error *error);

#endif
