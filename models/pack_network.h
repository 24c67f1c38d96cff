/*
 * The kinds mlp, gru and lstm: a neural network whose shape stands in the manifest under `network`
 * (network_read.h) and whose parameters are the tensors of a PyTorch state_dict. Features are
 * scaled as those of every pack.
 */
#ifndef MODELS_PACK_NETWORK_H
#define MODELS_PACK_NETWORK_H

#include "models/model_pack.h"
#include "models/network_shape.h"

struct pack_network {
    struct network_shape shape;
    float *parameters; /* [shape.parameter_count]. Owned. */
};

static inline const struct pack_network *pack_network_of(const struct model_pack *pack)
{
    return pack->body;
}

#endif
