/*
 * Our own kernels: the plain implementation of every kind, and for linear models this one:
 * transform, standardise, cut off, weigh and add in one pass over the row as it stands, no copy
 * made. Sums go in 16 lanes that are added up in a written order, by separate multiplications and
 * additions, so that the bits are the same on every x86-64 machine, whichever of the two
 * compilations below runs, and do not depend on the other rows.
 */
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/model_backend.h"
#include "models/pack_logistic.h"

#define LANES 16u

/* What is done to one lane's column; columns that the model does not use have zeros. */
struct lane_block {
    float mean[LANES], inverse[LANES], limit[LANES], weight[LANES], missing[LANES];
    uint32_t in_octaves[LANES]; /* All bits where the column is transformed, else 0. */
};

struct lanes_model {
    struct model model;
    const struct model_pack *pack; /* Borrowed. */
    uint32_t *columns;             /* [feature_count] */
    struct lane_block *blocks;     /* [block_count] */
    uint32_t block_count;
    uint32_t width;        /* Columns that may be read of a row. */
    uint32_t *log_columns; /* Columns transformed by log1p, which is not made for lanes. */
    uint32_t log_count;
    float *scratch; /* [block_count * LANES] a row, where it cannot be read in place. */
    float bias;
};

static void lanes_unload(struct model *base)
{
    struct lanes_model *model = (struct lanes_model *)base;
    free(model->columns);
    free(model->blocks);
    free(model->log_columns);
    free(model->scratch);
    free(model);
}

static void place_feature(struct lanes_model *model, const struct model_pack *pack, uint32_t index,
                          uint32_t column)
{
    const struct pack_feature *feature = &pack->features[index];
    const struct pack_logistic *body = pack_logistic_of(pack);
    struct lane_block *block = &model->blocks[column / LANES];
    uint32_t lane = column % LANES;
    block->mean[lane] = feature->mean;
    block->inverse[lane] = 1.0f / feature->scale;
    block->limit[lane] = feature->limit;
    block->weight[lane] = body->weights[index];
    block->missing[lane] = body->missing ? body->missing[index] : 0.0f;
    block->in_octaves[lane] = feature->transform == TRANSFORM_OCTAVES ? UINT32_MAX : 0;
    if (feature->transform == TRANSFORM_LOG1P) {
        model->log_columns[model->log_count++] = column;
    }
}

static inline __attribute__((always_inline)) void add_block(const struct lane_block *block,
                                                            const float *row, float *sums)
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        float x = row[lane];
        uint32_t bits = fixed_bits_of_float(x);
        uint32_t sign = bits & 0x80000000u;
        float magnitude = 1.0f + fixed_float_of_bits(bits & 0x7FFFFFFFu);
        int32_t steps = (int32_t)(fixed_bits_of_float(magnitude) - 0x3F800000u);
        uint32_t octaves = fixed_bits_of_float((float)steps * 0x1p-23f) | sign;
        uint32_t mask = block->in_octaves[lane];
        float t = fixed_float_of_bits((octaves & mask) | (bits & ~mask));
        float z = (t - block->mean[lane]) * block->inverse[lane];
        float limit = block->limit[lane];
        z = z < limit ? z : limit;
        z = z > -limit ? z : -limit;
        float term = block->weight[lane] * z;
        term = x == x ? term : block->missing[lane];
        sums[lane] += term;
    }
}

static inline __attribute__((always_inline)) float sum_row(const struct lane_block *blocks,
                                                           uint32_t block_count, const float *row)
{
    float sums[LANES] = {0};
    for (uint32_t i = 0; i < block_count; i++) {
        add_block(&blocks[i], row + (size_t)i * LANES, sums);
    }
    for (uint32_t half = LANES / 2; half > 0; half /= 2) {
        for (uint32_t lane = 0; lane < half; lane++) {
            sums[lane] += sums[lane + half];
        }
    }
    return sums[0];
}

typedef float row_sum(const struct lane_block *blocks, uint32_t block_count, const float *row);

__attribute__((target("avx2"))) static float sum_row_avx2(const struct lane_block *blocks,
                                                          uint32_t block_count, const float *row)
{
    return sum_row(blocks, block_count, row);
}

static float sum_row_plain(const struct lane_block *blocks, uint32_t block_count, const float *row)
{
    return sum_row(blocks, block_count, row);
}

static row_sum *choose_kernel(void)
{
    return __builtin_cpu_supports("avx2") ? sum_row_avx2 : sum_row_plain;
}

static const float *copy_row(struct lanes_model *model, const float *row)
{
    uint32_t lanes = model->block_count * LANES;
    uint32_t count = model->width < lanes ? model->width : lanes;
    memcpy(model->scratch, row, count * sizeof(float));
    for (uint32_t i = 0; i < model->log_count; i++) {
        float *x = &model->scratch[model->log_columns[i]];
        *x = feature_transform_apply(TRANSFORM_LOG1P, *x);
    }
    return model->scratch;
}

static enum status lanes_score(struct model *base, const float *features, uint32_t stride,
                               const uint32_t *rows, uint32_t count, float *logits,
                               struct error *error)
{
    (void)error;
    struct lanes_model *model = (struct lanes_model *)base;
    row_sum *kernel = choose_kernel();
    bool is_in_place = model->log_count == 0 && stride >= model->block_count * LANES;
    for (uint32_t i = 0; i < count; i++) {
        const float *row = features + (size_t)(rows ? rows[i] : i) * stride;
        row = is_in_place ? row : copy_row(model, row);
        logits[i] = kernel(model->blocks, model->block_count, row) + model->bias;
    }
    return STATUS_OK;
}

static void lanes_explain(struct model *base, const float *row, const void *state, float *terms,
                          float *ret_base)
{
    (void)state;
    const struct lanes_model *model = (const struct lanes_model *)base;
    pack_logistic_explain(model->pack, model->columns, row, terms, ret_base);
}

static const struct model_ops lanes_ops = {
    .score = lanes_score,
    .explain = lanes_explain,
    .unload = lanes_unload,
};

enum status lanes_load_logistic(const struct model_backend_ops *backend,
                                const struct model_pack *pack, const uint32_t *columns,
                                uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    struct lanes_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    assert(pack->feature_count > 0);
    uint32_t last = 0;
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        last = columns[i] > last ? columns[i] : last;
    }
    model->model.ops = &lanes_ops;
    model->pack = pack;
    model->width = width;
    model->block_count = last / LANES + 1;
    model->columns = calloc(pack->feature_count, sizeof(*model->columns));
    model->blocks = calloc(model->block_count, sizeof(*model->blocks));
    model->log_columns = calloc(pack->feature_count, sizeof(*model->log_columns));
    model->scratch = calloc((size_t)model->block_count * LANES, sizeof(float));
    if (!model->columns || !model->blocks || !model->log_columns || !model->scratch) {
        lanes_unload(&model->model);
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        model->columns[i] = columns[i];
        place_feature(model, pack, i, columns[i]);
    }
    model->bias = pack_logistic_of(pack)->bias;
    *ret_model = &model->model;
    return STATUS_OK;
}

static const char *lanes_profile(void)
{
    return "lanes 16";
}

/* The plain implementations are ours. */
static const struct model_loader loaders[] = {{NULL, NULL}};

const struct model_backend_ops backend_lanes = {
    .name = "lanes",
    .loaders = loaders,
    .profile = lanes_profile,
};
