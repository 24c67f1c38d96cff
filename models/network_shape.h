/*
 * The shape of a neural network: what becomes of each feature, an optional recurrent cell, dense
 * layers, and where each parameter stands in one flat array of floats, in PyTorch's layouts.
 *
 * The input vector is: the numeric features, in order of the features; 1 or 0 for "is missing" for
 * each of them that has an indicator; the rows of the embedded features' tables. It goes through
 * the cell, if there is one, whose new state goes through the layers; the last layer has one output
 * and no activation.
 */
#ifndef MODELS_NETWORK_SHAPE_H
#define MODELS_NETWORK_SHAPE_H

#include <stdbool.h>

#include "models/kernel_network.h"
#include "pipeline/base/status.h"

#define NETWORK_LAYERS_MAX 8u
#define NETWORK_SIZE_MAX 1024u   /* Of a layer. */
#define NETWORK_INPUTS_MAX 4096u /* Of the input vector. */
#define NETWORK_BINS_MAX 63u
#define NETWORK_ROWS_MAX 65536u /* Of an embedding's table. */
#define NETWORK_WIDTH_MAX 64u   /* Of its rows. */
#define NETWORK_STATE_BYTES_MAX 512u
#define NETWORK_NAME_BYTES 128u /* Of a tensor. */

enum network_cell { CELL_NONE, CELL_GRU, CELL_LSTM };

struct network_input {
    bool has_indicator; /* Numeric: "is missing" is an input, too. */
    float fill;         /* Numeric: what a missing value is, after transform and standardising. */
    uint32_t rows;      /* Of its table; 0: numeric. */
    uint32_t width;     /* Floats a row. */
    uint32_t missing;   /* Row of a missing value. */
    uint32_t unknown;   /* Row of a value below 0 or beyond the last row. */
    uint32_t first;     /* Row of id 0. */
    uint32_t bin_count; /* Above 0: the id is the number of bins that are <= the value ... */
    float bins[NETWORK_BINS_MAX]; /* ... else the value without its fraction. */
    char *tensor;                 /* Owned: the table's name in a file; NULL: the default. */
    uint32_t place;               /* In the input vector. */
    uint32_t indicator;           /* Place of the indicator. */
    size_t table;                 /* Place in the parameters. */
};

struct network_layer {
    uint32_t size;
    enum activation activation;
    bool has_norm; /* Layer norm between the product and the activation. */
    float dropout; /* In training: share of the outputs that are left out. */
    char *tensor;  /* Owned: prefix of the names in a file; NULL: the default. */
    char *norm;    /* Owned: the same of the norm. */
    uint32_t inputs;
    size_t weight, bias;           /* [size][inputs], [size]: places in the parameters. */
    size_t norm_weight, norm_bias; /* [size] */
};

struct network_shape {
    enum network_cell cell;
    uint32_t hidden; /* Of the cell. */
    char *tensor;    /* Owned: prefix of the cell's names in a file; NULL: the default. */
    float norm_epsilon;
    uint32_t layer_count;
    struct network_layer layers[NETWORK_LAYERS_MAX];
    uint32_t feature_count;
    struct network_input *inputs; /* [feature_count]. Owned. */
    /* Below: filled in by network_shape_finish. */
    uint32_t numeric_count;   /* The first of the input vector. */
    uint32_t indicator_count; /* The next. */
    uint32_t input_count;     /* Of the input vector. */
    /* Places in the parameters: [gates * hidden][input_count], [gates * hidden][hidden] and twice
     * [gates * hidden]; gates r, z, n or i, f, g, o. */
    size_t weight_ih, weight_hh, bias_ih, bias_hh;
    size_t parameter_count;
};

static inline uint32_t network_gates(const struct network_shape *shape)
{
    return shape->cell == CELL_GRU ? 3 : 4;
}

/* Bytes of state a user: h, and c behind it of an LSTM; 0 without a cell. */
static inline uint32_t network_state_bytes(const struct network_shape *shape)
{
    return shape->cell == CELL_NONE
               ? 0
               : shape->hidden * (shape->cell == CELL_LSTM ? 2u : 1u) * (uint32_t)sizeof(float);
}

/* Room for the features, all numeric without indicator. STATUS_FATAL without memory. */
MUST_CHECK enum status network_shape_init(struct network_shape *shape, uint32_t feature_count,
                                          struct error *error);
void network_shape_release(struct network_shape *shape);
MUST_CHECK enum status network_shape_copy(const struct network_shape *shape,
                                          struct network_shape *ret_copy, struct error *error);

/* Computes the places. STATUS_INVALID where something is out of its range, by name. */
MUST_CHECK enum status network_shape_finish(struct network_shape *shape, struct error *error);

/* One array of parameters. */
struct network_tensor {
    char name[NETWORK_NAME_BYTES];
    uint32_t dimension_count; /* 1 or 2. */
    uint64_t dimensions[2];
    size_t place, count;
    uint32_t fan_in, fan_out; /* Of a weight; 0 of a bias. */
    bool is_norm_weight;      /* Starts at 1. */
    bool is_table;
};

/* Calls `take` for each, in the order of the parameters, until one returns another status than OK.
 * `names` are the features' names, for the default names of tables: embeddings.NAME.weight. */
MUST_CHECK enum status network_shape_tensors(
    const struct network_shape *shape, const char *const *names,
    enum status (*take)(void *context, const struct network_tensor *tensor, struct error *error),
    void *context, struct error *error);

/* The row of an embedded feature's table for a raw value, which may be NaN. */
static inline uint32_t network_input_row(const struct network_input *input, float x)
{
    if (x != x) {
        return input->missing;
    }
    if (input->bin_count > 0) {
        uint32_t id = 0;
        for (uint32_t i = 0; i < input->bin_count; i++) {
            id += input->bins[i] <= x;
        }
        return input->first + id;
    }
    return x >= 0.0f && x < (float)(input->rows - input->first) ? input->first + (uint32_t)x
                                                                : input->unknown;
}

#endif
