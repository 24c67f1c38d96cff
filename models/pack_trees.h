/*
 * The kind trees: boosted trees or a random forest made by XGBoost or LightGBM, see
 * tree_ensemble.h. The manifest's own keys:
 *
 *   model: model.ubj     # the file, beside the manifest: XGBoost's JSON or UBJSON, LightGBM's text
 *   reasons: shapley     # or path, which is many times as fast; see tree_ensemble.h
 *
 * The model must have one output, for two classes: its logit is the margin times the scale of the
 * file's link. One that has no link to a chance (a ranking, a regression, logitraw) is taken where
 * the manifest has a calibration; then the margin is the logit before it. Features that the file
 * names must be those of the manifest, in any order; without `features` in the manifest they are
 * the file's. Where the file names none, the manifest's stand in the file's order.
 */
#ifndef MODELS_PACK_TREES_H
#define MODELS_PACK_TREES_H

#include "models/model_pack.h"
#include "models/tree_ensemble.h"

struct pack_trees {
    struct tree_ensemble *ensemble; /* Owned. */
    uint32_t *places;               /* [file's features] in the pack's. Owned. */
    float scale;                    /* Logit for one of the margin. */
    enum tree_reasons reasons;
};

static inline const struct pack_trees *pack_trees_of(const struct model_pack *pack)
{
    return pack->body;
}

#endif
