/*
 * The kind mean: the mean of the calibrated logits of several packs, then a calibration of its own.
 * The manifest's own key:
 *
 *   packs: [../intent_trees, ../intent_gru]   # 2 to 8 folders, relative to the manifest
 *
 * Its features are those of its packs, each once, in the order in which they first occur. A mean of
 * means is refused.
 */
#ifndef MODELS_PACK_MEAN_H
#define MODELS_PACK_MEAN_H

#include "models/model_pack.h"

#define MEAN_PACKS_MAX 8u

struct pack_mean {
    struct model_pack *packs[MEAN_PACKS_MAX]; /* Owned. */
    uint32_t *places[MEAN_PACKS_MAX];         /* Of each pack's features in the mean's. Owned. */
    uint32_t count;
};

static inline const struct pack_mean *pack_mean_of(const struct model_pack *pack)
{
    return pack->body;
}

#endif
