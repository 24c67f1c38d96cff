/*
 * XGBoost's own model files, JSON (from 1.0 on) and UBJSON (from 1.6 on), as its
 * doc/model.schema describes them. Boosters gbtree and dart, one value a leaf.
 *
 * The margin counts base_score through the link of the objective: logit for logistic ones, log for
 * those that predict by exp. multi:softmax gives the classes' probabilities, as multi:softprob.
 */
#ifndef MODELS_IMPORT_XGBOOST_H
#define MODELS_IMPORT_XGBOOST_H

#include "models/tree_ensemble.h"

MUST_CHECK enum status import_xgboost_json(const char *name, const char *bytes, size_t length,
                                           struct tree_ensemble **ret_ensemble,
                                           struct error *error);
MUST_CHECK enum status import_xgboost_ubjson(const char *name, const unsigned char *bytes,
                                             size_t length, struct tree_ensemble **ret_ensemble,
                                             struct error *error);

#endif
