/*
 * A neural network made ready to score rows: weights in panels for the kernels, and room for a tile
 * of rows. A row's result depends neither on the other rows nor on the machine (kernel_network.h).
 */
#ifndef MODELS_NETWORK_MODEL_H
#define MODELS_NETWORK_MODEL_H

#include "models/model_pack.h"
#include "models/network_shape.h"

struct network_model;

struct network_source {
    const struct network_shape *shape;   /* Finished. */
    const float *parameters;             /* [shape.parameter_count] */
    const struct pack_feature *features; /* [shape.feature_count]: transform, mean, scale, limit. */
    const uint32_t *columns;             /* Of the rows, by feature. */
    const struct network_kernels *kernels; /* NULL: the fastest. */
};

/* Copies all it needs. STATUS_FATAL when memory is exhausted. One model a thread. */
MUST_CHECK enum status network_model_create(const struct network_source *source,
                                            struct network_model **ret_model, struct error *error);
void network_model_destroy(struct network_model *model); /* NULL is a no-op. */

/* Rows of floats, NaN for what is missing. */
struct network_rows {
    const float *features; /* Row-major. */
    uint32_t stride;
    const uint32_t *rows; /* Row i is rows[i]; NULL: i. */
    uint32_t count;
};

/*
 * outputs[i] = what the last layer gives for row i. With a cell, states[i] (network_state_bytes, no
 * two the same) is stepped by the row first; states NULL: each row is the first of its user, and
 * nothing is kept.
 */
void network_model_score(struct network_model *model, const struct network_rows *rows,
                         void *const *states, float *outputs);

/* The input vectors of the rows, `stride` floats each, at least network_padded(input_count). */
void network_model_inputs(const struct network_model *model, const struct network_rows *rows,
                          uint32_t first, uint32_t count, float *inputs, uint32_t stride);

const char *network_model_kernels(const struct network_model *model); /* Their name. */

/* panels[o / 16][k][o % 16] = weight[o * in + k], the last panel filled up with zeros. */
void network_panels(const float *weight, uint32_t out, uint32_t in, float *panels);

#endif
