/*
 * The GPU's kernels, written once for nvcc and for a stand-in on the CPU. A kernel is what one
 * block of threads does: steps that each go over all of their items, in any order, with a barrier
 * between them. EACH_ITEM is such a step. On the device its items are dealt out to the block's
 * threads; on the CPU it is a loop, so that the same code runs under sanitizers and against the
 * CPU's backend.
 *
 * Each result is made by the same operations in the same order as on the CPU (kernel_network.h,
 * kernel_trees.h), products and sums fused where they are fused there and nowhere else, so that it
 * has the same bits: nvcc must be given -fmad=false, and neither fast division nor fast roots.
 */
#ifndef MODELS_BACKEND_CUDA_KERNELS_H
#define MODELS_BACKEND_CUDA_KERNELS_H

#include <math.h>

#include "models/backend_cuda_plugin.h"

#define CUDA_LANES 16u
#define CUDA_GROUP 4u      /* Rows that one thread has in hand at a time. */
#define CUDA_TILE_ROWS 16u /* Rows of a block of threads; fewer where shared memory is short. */

#if defined(__CUDACC__)
#define KERNEL_PART static __device__ __forceinline__
#define EACH_ITEM(index, count)                                                                    \
    __syncthreads();                                                                               \
    for (uint32_t index = threadIdx.x; index < (count); index += blockDim.x)
#define fused(a, b, c) __fmaf_rn(a, b, c)
#define divided(a, b) __fdiv_rn(a, b)
#define root_of(a) __fsqrt_rn(a)
#else
#define KERNEL_PART static inline
/* From the last to the first, unlike any machine: what depends on an order fails the tests. */
#define EACH_ITEM(index, count) for (uint32_t index = (count); index-- > 0;)
#define fused(a, b, c) __builtin_fmaf(a, b, c)
#define divided(a, b) ((a) / (b))
#define root_of(a) sqrtf(a)
#endif

/* ---- Functions: as kernel_network_body.h has them ---- */

KERNEL_PART float least(float a, float b)
{
    return a < b ? a : b;
}

KERNEL_PART float most(float a, float b)
{
    return a > b ? a : b;
}

KERNEL_PART float tanh_of(float x)
{
    x = most(least(x, 7.90531110763549805f), -7.90531110763549805f);
    float square = x * x;
    float p = -2.76076847742355e-16f;
    p = fused(p, square, 2.00018790482477e-13f);
    p = fused(p, square, -8.60467152213735e-11f);
    p = fused(p, square, 5.12229709037114e-08f);
    p = fused(p, square, 1.48572235717979e-05f);
    p = fused(p, square, 6.37261928875436e-04f);
    p = fused(p, square, 4.89352455891786e-03f);
    p = p * x;
    float q = 1.19825839466702e-06f;
    q = fused(q, square, 1.18534705686654e-04f);
    q = fused(q, square, 2.26843463243900e-03f);
    q = fused(q, square, 4.89352518554385e-03f);
    return divided(p, q);
}

KERNEL_PART float sigmoid_of(float x)
{
    return fused(tanh_of(x * 0.5f), 0.5f, 0.5f);
}

KERNEL_PART float erf_of(float x)
{
    x = most(least(x, 4.0f), -4.0f);
    float square = x * x;
    float p = -2.72614225801306e-10f;
    p = fused(p, square, 2.77068142495902e-08f);
    p = fused(p, square, -2.10102402082508e-06f);
    p = fused(p, square, -5.69250639462346e-05f);
    p = fused(p, square, -7.34990630326855e-04f);
    p = fused(p, square, -2.95459980854025e-03f);
    p = fused(p, square, -1.60960333262415e-02f);
    p = p * x;
    float q = -1.45660718464996e-05f;
    q = fused(q, square, -2.13374055278905e-04f);
    q = fused(q, square, -1.68282697438203e-03f);
    q = fused(q, square, -7.37332916720468e-03f);
    q = fused(q, square, -1.42647390514189e-02f);
    return divided(p, q);
}

KERNEL_PART float activated(uint32_t activation, float x)
{
    switch (activation) {
    case CUDA_RELU:
        return most(x, 0.0f);
    case CUDA_TANH:
        return tanh_of(x);
    case CUDA_SIGMOID:
        return sigmoid_of(x);
    case CUDA_GELU: {
        float half = x * 0.5f;
        return fused(half, erf_of(x * 0.70710678118654752f), half);
    }
    default:
        return x;
    }
}

/* ---- Networks ---- */

/* A block's room in shared memory, for `rows` rows (a multiple of CUDA_GROUP), in floats. */
struct network_room {
    uint32_t inputs, h, c, gates, first, second, partial, total;
    uint32_t widest;
};

static inline struct network_room network_room_of(const struct cuda_network *network, uint32_t rows)
{
    struct network_room room = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (uint32_t i = 0; i < network->layer_count; i++) {
        uint32_t padded = network->layers[i].padded;
        room.widest = padded > room.widest ? padded : room.widest;
    }
    uint32_t gates = network->cell == CUDA_CELL_NONE ? 0 : 4;
    room.h = room.inputs + rows * network->input_padded;
    room.c = room.h + (gates ? rows * network->hidden_padded : 0);
    room.gates = room.c + (network->cell == CUDA_CELL_LSTM ? rows * network->hidden_padded : 0);
    room.first = room.gates + gates * rows * network->hidden_padded;
    room.second = room.first + rows * room.widest;
    room.partial = room.second + rows * room.widest;
    room.total = room.partial + rows * CUDA_LANES;
    return room;
}

/* The most rows for which the room fits `bytes` of shared memory; 0: not even the fewest do. */
static inline uint32_t network_tile_rows(const struct cuda_network *network, size_t bytes)
{
    uint32_t rows = CUDA_TILE_ROWS;
    while (rows >= CUDA_GROUP && network_room_of(network, rows).total * sizeof(float) > bytes) {
        rows /= 2;
    }
    return rows >= CUDA_GROUP ? rows : 0;
}

struct network_work {
    const struct cuda_network *network; /* Its arrays in device memory. */
    struct network_room room;
    uint32_t tile_rows; /* Rows a block has room for. */
    const float *inputs;
    float *h, *c; /* In place: before and after. */
    float *outputs;
    uint32_t rows;
};

struct product_work {
    const float *x;
    uint32_t x_row, steps;
    const float *panels, *bias; /* bias NULL: y goes on from what it is. */
    float *y;
    uint32_t y_row, columns;
};

/* y[row][j] = bias[j] + x[row] times column j; one item is a column of CUDA_GROUP rows. */
KERNEL_PART void product_step(const struct product_work *p, uint32_t groups)
{
    EACH_ITEM(item, groups * p->columns)
    {
        uint32_t j = item % p->columns;
        uint32_t row = item / p->columns * CUDA_GROUP;
        const float *weights =
            p->panels + (size_t)(j / CUDA_LANES) * p->steps * CUDA_LANES + j % CUDA_LANES;
        const float *x = p->x + (size_t)row * p->x_row;
        float *y = p->y + (size_t)row * p->y_row + j;
        float sums[CUDA_GROUP];
        for (uint32_t r = 0; r < CUDA_GROUP; r++) {
            sums[r] = p->bias ? p->bias[j] : y[(size_t)r * p->y_row];
        }
        for (uint32_t k = 0; k < p->steps; k++) {
            float weight = weights[(size_t)k * CUDA_LANES];
            for (uint32_t r = 0; r < CUDA_GROUP; r++) {
                sums[r] = fused(x[(size_t)r * p->x_row + k], weight, sums[r]);
            }
        }
        for (uint32_t r = 0; r < CUDA_GROUP; r++) {
            y[(size_t)r * p->y_row] = sums[r];
        }
    }
}

/* Rows beyond the last are zeros, so that what is computed of them is defined. */
KERNEL_PART void load_rows(float *to, const float *from, uint32_t width, uint32_t first,
                           uint32_t rows, uint32_t tile_rows)
{
    EACH_ITEM(item, tile_rows * width)
    {
        uint32_t row = first + item / width;
        to[item] = row < rows ? from[(size_t)row * width + item % width] : 0.0f;
    }
}

KERNEL_PART void store_rows(float *to, const float *from, uint32_t width, uint32_t first,
                            uint32_t rows, uint32_t tile_rows)
{
    EACH_ITEM(item, tile_rows * width)
    {
        uint32_t row = first + item / width;
        if (row < rows) {
            to[(size_t)row * width + item % width] = from[item];
        }
    }
}

KERNEL_PART void gru_step(const float *gates, float *h, uint32_t padded, uint32_t tile_rows)
{
    EACH_ITEM(item, tile_rows * padded)
    {
        uint32_t i = item % padded;
        const float *gate = gates + (size_t)(item / padded) * 4 * padded;
        float r = sigmoid_of(gate[i]);
        float z = sigmoid_of(gate[padded + i]);
        float n = tanh_of(fused(r, gate[3 * padded + i], gate[2 * padded + i]));
        h[item] = fused(z, h[item] - n, n);
    }
}

KERNEL_PART void lstm_step(const float *gates, float *h, float *c, uint32_t padded,
                           uint32_t tile_rows)
{
    EACH_ITEM(item, tile_rows * padded)
    {
        uint32_t j = item % padded;
        const float *gate = gates + (size_t)(item / padded) * 4 * padded;
        float i = sigmoid_of(gate[j]);
        float f = sigmoid_of(gate[padded + j]);
        float g = tanh_of(gate[2 * padded + j]);
        float o = sigmoid_of(gate[3 * padded + j]);
        float cell = fused(f, c[item], i * g);
        c[item] = cell;
        h[item] = o * tanh_of(cell);
    }
}

KERNEL_PART void cell_step(const struct network_work *work, float *shared, uint32_t first)
{
    const struct cuda_network *network = work->network;
    uint32_t padded = network->hidden_padded;
    uint32_t groups = work->tile_rows / CUDA_GROUP;
    int is_gru = network->cell == CUDA_CELL_GRU;
    float *h = shared + work->room.h;
    float *c = shared + work->room.c;
    float *gates = shared + work->room.gates;
    load_rows(h, work->h, padded, first, work->rows, work->tile_rows);
    if (!is_gru) {
        load_rows(c, work->c, padded, first, work->rows, work->tile_rows);
    }
    struct product_work product = {shared + work->room.inputs,
                                   network->input_padded,
                                   network->input_count,
                                   network->input_panels,
                                   network->gate_bias,
                                   gates,
                                   4 * padded,
                                   (is_gru ? 3 : 4) * padded};
    product_step(&product, groups);
    product.x = h;
    product.x_row = padded;
    product.steps = network->hidden;
    product.panels = network->hidden_panels;
    product.bias = NULL;
    product.columns = (is_gru ? 2 : 4) * padded;
    product_step(&product, groups);
    if (is_gru) {
        product.panels = network->hidden_panels + (size_t)2 * padded * network->hidden;
        product.bias = network->inner_bias;
        product.y = gates + 3 * padded;
        product.columns = padded;
        product_step(&product, groups);
        gru_step(gates, h, padded, work->tile_rows);
    } else {
        lstm_step(gates, h, c, padded, work->tile_rows);
        store_rows(work->c, c, padded, first, work->rows, work->tile_rows);
    }
    store_rows(work->h, h, padded, first, work->rows, work->tile_rows);
}

/* The sum of 16 lanes, by halves. */
KERNEL_PART float lanes_sum(const float *lanes)
{
    float sum[CUDA_LANES];
    for (uint32_t i = 0; i < CUDA_LANES; i++) {
        sum[i] = lanes[i];
    }
    for (uint32_t half = CUDA_LANES / 2; half > 0; half /= 2) {
        for (uint32_t i = 0; i < half; i++) {
            sum[i] += sum[i + half];
        }
    }
    return sum[0];
}

KERNEL_PART void normalize_step(const struct cuda_layer *layer, float epsilon, float *y,
                                float *partial, uint32_t tile_rows)
{
    uint32_t whole = layer->size & ~(CUDA_LANES - 1);
    uint32_t rest = layer->size - whole;
    EACH_ITEM(item, tile_rows * CUDA_LANES)
    {
        uint32_t lane = item % CUDA_LANES;
        const float *x = y + (size_t)(item / CUDA_LANES) * layer->padded;
        float sum = lane < rest ? x[whole + lane] : 0.0f;
        for (uint32_t i = 0; i < whole; i += CUDA_LANES) {
            sum = sum + x[i + lane];
        }
        partial[item] = sum;
    }
    /* The mean of each row takes the place of its first sum, once all have been read. */
    EACH_ITEM(row, tile_rows)
    {
        float *sums = partial + row * CUDA_LANES;
        sums[0] = divided(lanes_sum(sums), (float)layer->size);
    }
    EACH_ITEM(item, tile_rows * layer->size)
    {
        uint32_t row = item / layer->size;
        float *x = y + (size_t)row * layer->padded + item % layer->size;
        *x = *x - partial[row * CUDA_LANES];
    }
    EACH_ITEM(item, tile_rows * CUDA_LANES)
    {
        uint32_t lane = item % CUDA_LANES;
        const float *off = y + (size_t)(item / CUDA_LANES) * layer->padded;
        float squares = lane < rest ? off[whole + lane] * off[whole + lane] : 0.0f;
        for (uint32_t i = 0; i < whole; i += CUDA_LANES) {
            squares = fused(off[i + lane], off[i + lane], squares);
        }
        partial[item] = squares;
    }
    EACH_ITEM(row, tile_rows)
    {
        float *sums = partial + row * CUDA_LANES;
        float variance = divided(lanes_sum(sums), (float)layer->size);
        sums[0] = divided(1.0f, root_of(variance + epsilon));
    }
    EACH_ITEM(item, tile_rows * layer->size)
    {
        uint32_t row = item / layer->size;
        uint32_t i = item % layer->size;
        float *x = y + (size_t)row * layer->padded + i;
        float off = *x * partial[row * CUDA_LANES];
        *x = fused(off, layer->norm_weight[i], layer->norm_bias[i]);
    }
}

KERNEL_PART void activate_step(uint32_t activation, float *y, uint32_t count)
{
    EACH_ITEM(item, count)
    {
        y[item] = activated(activation, y[item]);
    }
}

/* The kernel: rows [block * tile_rows, ...) of the work. `shared` has room.total floats. */
KERNEL_PART void network_block(const struct network_work *work, uint32_t block, float *shared)
{
    const struct cuda_network *network = work->network;
    uint32_t first = block * work->tile_rows;
    load_rows(shared + work->room.inputs, work->inputs, network->input_padded, first, work->rows,
              work->tile_rows);
    const float *x = shared + work->room.inputs;
    uint32_t x_row = network->input_padded;
    if (network->cell != CUDA_CELL_NONE) {
        cell_step(work, shared, first);
        x = shared + work->room.h;
        x_row = network->hidden_padded;
    }
    for (uint32_t i = 0; i < network->layer_count; i++) {
        const struct cuda_layer *layer = &network->layers[i];
        float *y = shared + (i & 1 ? work->room.second : work->room.first);
        const struct product_work product = {x,           x_row, layer->inputs, layer->panels,
                                             layer->bias, y,     layer->padded, layer->padded};
        product_step(&product, work->tile_rows / CUDA_GROUP);
        if (layer->norm_weight) {
            normalize_step(layer, network->norm_epsilon, y, shared + work->room.partial,
                           work->tile_rows);
        }
        if (layer->activation != CUDA_NONE) {
            activate_step(layer->activation, y, work->tile_rows * layer->padded);
        }
        x = y;
        x_row = layer->padded;
    }
    EACH_ITEM(row, work->tile_rows)
    {
        if (first + row < work->rows) {
            work->outputs[first + row] = x[(size_t)row * x_row];
        }
    }
}

/* ---- Trees ---- */

struct trees_work {
    struct cuda_trees trees; /* Its arrays in device memory. */
    const float *tiles;      /* [rows / 16][column_count][16] */
    float *values;           /* [rows][tree_count]: room for the leaves. */
    double *sums;            /* [rows] */
};

/* The kernel: row `block`. Its trees are walked side by side, and summed up in their order. */
KERNEL_PART void trees_block(const struct trees_work *work, uint32_t block)
{
    const struct cuda_trees *trees = &work->trees;
    const float *lane = work->tiles +
                        (size_t)(block / CUDA_LANES) * trees->column_count * CUDA_LANES +
                        block % CUDA_LANES;
    float *values = work->values + (size_t)block * trees->tree_count;
    EACH_ITEM(tree, trees->tree_count)
    {
        uint32_t at = trees->roots[tree];
        for (;;) {
            const struct cuda_tree_node *node = &trees->nodes[at];
            float x = lane[(size_t)node->column * CUDA_LANES];
            uint32_t next = node->left + (x < node->threshold ? 0 : 1);
            if (next == at) { /* Leaves lead to themselves. */
                break;
            }
            at = next;
        }
        values[tree] = trees->nodes[at].value;
    }
    EACH_ITEM(one, 1)
    {
        double sum = 0;
        for (uint32_t tree = 0; tree < trees->tree_count; tree++) {
            sum += (double)values[tree];
        }
        work->sums[block + one] = sum;
    }
}

#endif
