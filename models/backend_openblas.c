/*
 * The reference backend. OpenBLAS sums in an order that depends on the shape of the product, so
 * every call multiplies a tile of the same shape, the last one filled up with zeros: the result of
 * a row then depends neither on the number of rows nor on their neighbours.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "models/model_backend.h"
#include "models/model_pack.h"

#define TILE_ROWS 32u

/* More columns than one, so that the product is a matrix product with a kernel of fixed shape. */
#define OUTPUT_COLUMNS 4u

struct model {
    uint32_t feature_count;
    uint32_t *columns;             /* Of the rows, by feature. */
    uint32_t stride;               /* Values, then indicators of missing ones, rounded up. */
    float *weights;                /* [stride][OUTPUT_COLUMNS], the first column in use. */
    float *tile;                   /* [TILE_ROWS][stride] */
    float *products;               /* [TILE_ROWS][OUTPUT_COLUMNS] */
    struct pack_feature *features; /* Copies; names are not. */
    float bias, slope, offset;
};

static void openblas_unload(struct model *model)
{
    if (model) {
        free(model->weights);
        free(model->tile);
        free(model->products);
        free(model->features);
        free(model->columns);
        free(model);
    }
}

static enum status openblas_load(const struct model_pack *pack, const uint32_t *columns,
                                 uint32_t width, struct model **ret_model, struct error *error)
{
    if (openblas_get_parallel() == 0) {
        return error_set(error, STATUS_INVALID,
                         "openblas: built for one thread only, which is not safe with several "
                         "workers; install libopenblas0-pthread");
    }
    openblas_set_num_threads(1);
    struct model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "model %s: out of memory", pack->name);
    }
    model->feature_count = pack->feature_count;
    model->stride = (2 * pack->feature_count + 15u) & ~15u;
    model->weights = calloc((size_t)model->stride * OUTPUT_COLUMNS, sizeof(float));
    model->tile = calloc((size_t)model->stride * TILE_ROWS, sizeof(float));
    model->products = calloc((size_t)TILE_ROWS * OUTPUT_COLUMNS, sizeof(float));
    model->features = calloc(pack->feature_count, sizeof(*model->features));
    model->columns = calloc(pack->feature_count, sizeof(*model->columns));
    if (!model->weights || !model->tile || !model->products || !model->features ||
        !model->columns) {
        openblas_unload(model);
        return error_set(error, STATUS_FATAL, "model %s: out of memory", pack->name);
    }
    assert(pack->weights); /* The pack was checked at load. */
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        model->weights[(size_t)i * OUTPUT_COLUMNS] = pack->weights[i];
        model->weights[(size_t)(pack->feature_count + i) * OUTPUT_COLUMNS] =
            pack->missing ? pack->missing[i] : 0.0f;
        model->features[i] = pack->features[i];
        assert(columns[i] < width);
        model->columns[i] = columns[i];
    }
    model->bias = pack->bias;
    model->slope = pack->slope;
    model->offset = pack->offset;
    *ret_model = model;
    return STATUS_OK;
}

static void fill_row(const struct model *model, const float *features, float *row)
{
    for (uint32_t i = 0; i < model->feature_count; i++) {
        float x = features[model->columns[i]];
        bool is_missing = isnan(x);
        row[i] = is_missing ? 0.0f : pack_feature_scale(&model->features[i], x);
        row[model->feature_count + i] = is_missing ? 1.0f : 0.0f;
    }
}

static enum status openblas_score(struct model *model, const float *features, uint32_t stride,
                                  const uint32_t *rows, uint32_t count, float *logits,
                                  struct error *error)
{
    (void)error;
    for (uint32_t first = 0; first < count; first += TILE_ROWS) {
        uint32_t used = count - first < TILE_ROWS ? count - first : TILE_ROWS;
        for (uint32_t i = 0; i < used; i++) {
            uint32_t row = rows ? rows[first + i] : first + i;
            fill_row(model, features + (size_t)row * stride,
                     model->tile + (size_t)i * model->stride);
        }
        memset(model->tile + (size_t)used * model->stride, 0,
               (size_t)(TILE_ROWS - used) * model->stride * sizeof(float));
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TILE_ROWS, OUTPUT_COLUMNS,
                    (blasint)model->stride, 1.0f, model->tile, (blasint)model->stride,
                    model->weights, OUTPUT_COLUMNS, 0.0f, model->products, OUTPUT_COLUMNS);
        for (uint32_t i = 0; i < used; i++) {
            float sum = model->products[(size_t)i * OUTPUT_COLUMNS] + model->bias;
            logits[first + i] = model->slope * sum + model->offset;
        }
    }
    return STATUS_OK;
}

static const char *openblas_profile(void)
{
    static _Thread_local char profile[128];
    (void)snprintf(profile, sizeof(profile), "openblas %s tile %u", openblas_get_corename(),
                   TILE_ROWS);
    return profile;
}

const struct model_backend_ops backend_openblas = {
    .name = "openblas",
    .load = openblas_load,
    .score = openblas_score,
    .unload = openblas_unload,
    .profile = openblas_profile,
};
