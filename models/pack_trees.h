/*
 * The kind trees: boosted trees or a random forest made by XGBoost or LightGBM, see
 * tree_ensemble.h. The manifest's own keys:
 *
 *   model: model.ubj     # the file, beside the manifest: XGBoost's JSON or UBJSON, LightGBM's text
 *   reasons: shapley     # or path, which is many times as fast; see tree_ensemble.h
 *
 *   class: leave         # of a model with several outputs, which of them it is: by its number from
 *                        # 0, or by its name in
 *   classes: [browse, buy, leave]   # the names of the outputs, in the file's order
 *   output: chance       # or value: what a regression, a ranking or a count predicts; see
 *                        # pack_trees_output.h for what is made of which objective
 *
 * A model that gives no chance (a ranking, a regression, a hinge) is taken with output: value, or
 * as a chance where the manifest has a calibration; then the margin is the logit before it.
 * Features that the file names must be those of the manifest, in any order; without `features` in
 * the manifest they are the file's. Where the file names none, the manifest's stand in the file's
 * order.
 */
#ifndef MODELS_PACK_TREES_H
#define MODELS_PACK_TREES_H

#include "models/model_pack.h"
#include "models/pack_trees_output.h"
#include "models/tree_ensemble.h"

struct pack_trees {
    struct tree_ensemble *ensemble; /* Owned. */
    uint32_t *places;               /* [file's features] in the pack's. Owned. */
    struct pack_trees_output output;
    enum tree_reasons reasons;
};

static inline const struct pack_trees *pack_trees_of(const struct model_pack *pack)
{
    return pack->body;
}

#endif
