/*
 * The reference backend for linear models. OpenBLAS sums in an order that depends on the shape of
 * the product, so every call multiplies a tile of the same shape, the last one filled up with
 * zeros: the result of a row then depends neither on the number of rows nor on their neighbours.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "models/model_backend.h"
#include "models/pack_kind.h"
#include "models/pack_logistic.h"

#define TILE_ROWS 32u

/* More columns than one, so that the product is a matrix product with a kernel of fixed shape. */
#define OUTPUT_COLUMNS 4u

struct openblas_model {
    struct model model;
    const struct model_pack *pack; /* Borrowed. */
    uint32_t *columns;             /* Of the rows, by feature. */
    uint32_t stride;               /* Values, then indicators of missing ones, rounded up. */
    float *weights;                /* [stride][OUTPUT_COLUMNS], the first column in use. */
    float *tile;                   /* [TILE_ROWS][stride] */
    float *products;               /* [TILE_ROWS][OUTPUT_COLUMNS] */
    float bias;
};

static void openblas_unload(struct model *base)
{
    struct openblas_model *model = (struct openblas_model *)base;
    free(model->weights);
    free(model->tile);
    free(model->products);
    free(model->columns);
    free(model);
}

static void fill_row(const struct openblas_model *model, const float *features, float *row)
{
    const struct model_pack *pack = model->pack;
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        float x = features[model->columns[i]];
        bool is_missing = isnan(x);
        row[i] = is_missing ? 0.0f : pack_feature_scale(&pack->features[i], x);
        row[pack->feature_count + i] = is_missing ? 1.0f : 0.0f;
    }
}

static enum status openblas_score(struct model *base, const float *features, uint32_t stride,
                                  const uint32_t *rows, uint32_t count, float *logits,
                                  struct error *error)
{
    (void)error;
    struct openblas_model *model = (struct openblas_model *)base;
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
            logits[first + i] = model->products[(size_t)i * OUTPUT_COLUMNS] + model->bias;
        }
    }
    return STATUS_OK;
}

static void openblas_explain(struct model *base, const float *row, const void *state, float *terms,
                             float *ret_base)
{
    (void)state;
    const struct openblas_model *model = (const struct openblas_model *)base;
    pack_logistic_explain(model->pack, model->columns, row, terms, ret_base);
}

static const struct model_ops openblas_ops = {
    .score = openblas_score,
    .explain = openblas_explain,
    .unload = openblas_unload,
};

static bool allocate(struct openblas_model *model, uint32_t feature_count)
{
    model->stride = (2 * feature_count + 15u) & ~15u;
    model->weights = calloc((size_t)model->stride * OUTPUT_COLUMNS, sizeof(float));
    model->tile = calloc((size_t)model->stride * TILE_ROWS, sizeof(float));
    model->products = calloc((size_t)TILE_ROWS * OUTPUT_COLUMNS, sizeof(float));
    model->columns = calloc(feature_count, sizeof(*model->columns));
    return model->weights && model->tile && model->products && model->columns;
}

static enum status load_logistic(const struct model_backend_ops *backend,
                                 const struct model_pack *pack, const uint32_t *columns,
                                 uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    (void)width;
    if (openblas_get_parallel() == 0) {
        return error_set(error, STATUS_INVALID,
                         "openblas: built for one thread only, which is not safe with several "
                         "workers; install libopenblas0-pthread");
    }
    openblas_set_num_threads(1);
    struct openblas_model *model = calloc(1, sizeof(*model));
    if (!model || !allocate(model, pack->feature_count)) {
        if (model) {
            openblas_unload(&model->model);
        }
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    const struct pack_logistic *body = pack_logistic_of(pack);
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        model->weights[(size_t)i * OUTPUT_COLUMNS] = body->weights[i];
        model->weights[(size_t)(pack->feature_count + i) * OUTPUT_COLUMNS] =
            body->missing ? body->missing[i] : 0.0f;
        model->columns[i] = columns[i];
    }
    model->model.ops = &openblas_ops;
    model->pack = pack;
    model->bias = body->bias;
    *ret_model = &model->model;
    return STATUS_OK;
}

static const char *openblas_profile(void)
{
    static _Thread_local char profile[128];
    (void)snprintf(profile, sizeof(profile), "openblas %s tile %u", openblas_get_corename(),
                   TILE_ROWS);
    return profile;
}

static const struct model_loader loaders[] = {
    {&pack_kind_logistic, load_logistic},
    {NULL, NULL},
};

const struct model_backend_ops backend_openblas = {
    .name = "openblas",
    .loaders = loaders,
    .profile = openblas_profile,
};
