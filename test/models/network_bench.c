/*
 * Nanoseconds a row of a GRU of 64 units on 64 inputs and of an MLP 48-64-32-1, by each set of
 * kernels of this machine, beside what a user would write: sgemm of OpenBLAS on one thread, with
 * the C library's expf and tanhf (GRU) or a comparison (MLP). Ratios are of one run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cblas.h>

#include "models/network_model.h"
#include "test/fakes/random.h"

#define ROWS 2048u
#define ROUNDS 7
#define HIDDEN 64u
#define INPUTS 64u
#define GATES (3 * HIDDEN)

static const uint32_t batches[] = {1, 8, 32, 128, 512};
#define BATCHES (sizeof(batches) / sizeof(batches[0]))

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static float number(struct random *random)
{
    return (float)(random_next(random) >> 40) * 0x1p-24f - 0.5f;
}

struct bench {
    struct network_shape shape;
    float *parameters; /* [shape.parameter_count] */
    float *rows;       /* [ROWS][INPUTS] */
    float *h;          /* [ROWS][HIDDEN] */
    void *states[ROWS];
    float outputs[ROWS];
    float *scratch;
};

/* One step of PyTorch's equations by two products. */
static void gru_by_sgemm(const struct bench *bench, const float *x, float *h, uint32_t rows,
                         float *outputs)
{
    const struct network_shape *shape = &bench->shape;
    const float *p = bench->parameters;
    float *gx = bench->scratch;
    float *gh = gx + (size_t)ROWS * GATES;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, GATES, INPUTS, 1, x, INPUTS,
                p + shape->weight_ih, INPUTS, 0, gx, GATES);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, GATES, HIDDEN, 1, h, HIDDEN,
                p + shape->weight_hh, HIDDEN, 0, gh, GATES);
    for (uint32_t row = 0; row < rows; row++) {
        const float *a = gx + (size_t)row * GATES;
        const float *b = gh + (size_t)row * GATES;
        const float *bi = p + shape->bias_ih;
        const float *bh = p + shape->bias_hh;
        float *state = h + (size_t)row * HIDDEN;
        for (uint32_t i = 0; i < HIDDEN; i++) {
            uint32_t j = i + HIDDEN;
            uint32_t k = j + HIDDEN;
            float r = 1 / (1 + expf(-(a[i] + bi[i] + b[i] + bh[i])));
            float z = 1 / (1 + expf(-(a[j] + bi[j] + b[j] + bh[j])));
            float n = tanhf(a[k] + bi[k] + r * (b[k] + bh[k]));
            state[i] = (1 - z) * n + z * state[i];
        }
        outputs[row] = p[shape->layers[0].bias];
        for (uint32_t i = 0; i < HIDDEN; i++) {
            outputs[row] += state[i] * p[shape->layers[0].weight + i];
        }
    }
}

static void mlp_by_sgemm(const struct bench *bench, const float *x, float *h, uint32_t rows,
                         float *outputs)
{
    const float *from = x;
    float *to = bench->scratch;
    (void)h;
    for (uint32_t i = 0; i < bench->shape.layer_count; i++) {
        const struct network_layer *layer = &bench->shape.layers[i];
        const float *bias = bench->parameters + layer->bias;
        uint32_t stride = i == 0 ? INPUTS : layer->inputs;
        to = i + 1 == bench->shape.layer_count ? outputs : to;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)layer->size,
                    (blasint)layer->inputs, 1, from, (blasint)stride,
                    bench->parameters + layer->weight, (blasint)layer->inputs, 0, to,
                    (blasint)layer->size);
        for (uint32_t row = 0; row < rows; row++) {
            float *y = to + (size_t)row * layer->size;
            for (uint32_t j = 0; j < layer->size; j++) {
                y[j] += bias[j];
                y[j] = layer->activation == ACTIVATION_RELU && !(y[j] > 0) ? 0 : y[j];
            }
        }
        from = to;
        to += (size_t)ROWS * layer->size;
    }
}

typedef void baseline(const struct bench *bench, const float *x, float *h, uint32_t rows,
                      float *outputs);

static double time_baseline(struct bench *bench, baseline *score, uint32_t batch)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i < ROWS; i += batch) {
            score(bench, bench->rows + (size_t)i * INPUTS, bench->h + (size_t)i * HIDDEN, batch,
                  bench->outputs + i);
        }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    return best * 1e9 / ROWS;
}

static double time_model(struct bench *bench, struct network_model *model, uint32_t batch)
{
    double best = INFINITY;
    bool has_state = bench->shape.cell != CELL_NONE;
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i < ROWS; i += batch) {
            struct network_rows rows = {bench->rows + (size_t)i * INPUTS, INPUTS, NULL, batch};
            network_model_score(model, &rows, has_state ? bench->states + i : NULL,
                                bench->outputs + i);
        }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    return best * 1e9 / ROWS;
}

static int fill(struct bench *bench)
{
    struct random random = {1};
    if (network_shape_finish(&bench->shape, NULL) != STATUS_OK) {
        return 1;
    }
    bench->parameters = malloc(bench->shape.parameter_count * sizeof(float));
    bench->rows = malloc((size_t)ROWS * INPUTS * sizeof(float));
    bench->h = calloc((size_t)ROWS * HIDDEN, sizeof(float));
    bench->scratch = malloc((size_t)ROWS * GATES * 2 * sizeof(float));
    if (!bench->parameters || !bench->rows || !bench->h || !bench->scratch) {
        return 1;
    }
    for (size_t i = 0; i < bench->shape.parameter_count; i++) {
        bench->parameters[i] = number(&random) * 0.3f;
    }
    for (size_t i = 0; i < (size_t)ROWS * INPUTS; i++) {
        bench->rows[i] = 4 * number(&random);
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        bench->states[i] = bench->h + (size_t)i * HIDDEN;
    }
    return 0;
}

static void release(struct bench *bench)
{
    free(bench->parameters);
    free(bench->rows);
    free(bench->h);
    free(bench->scratch);
    network_shape_release(&bench->shape);
}

static int compare(struct bench *bench, const char *name, baseline *score)
{
    double by_blas[BATCHES];
    struct pack_feature features[INPUTS];
    uint32_t columns[INPUTS];
    if (fill(bench) != 0) {
        return 1;
    }
    for (uint32_t i = 0; i < INPUTS; i++) {
        features[i] = (struct pack_feature){.scale = 1, .limit = 1e6f};
        columns[i] = i;
    }
    for (size_t b = 0; b < BATCHES; b++) {
        by_blas[b] = time_baseline(bench, score, batches[b]);
        (void)printf("%s %-8s %4u rows a call %8.0f ns a row\n", name, "sgemm", batches[b],
                     by_blas[b]);
    }
    for (uint32_t k = 0; network_kernels_at(k); k++) {
        struct network_source source = {&bench->shape, bench->parameters, features, columns,
                                        network_kernels_at(k)};
        struct network_model *model = NULL;
        if (network_model_create(&source, &model, NULL) != STATUS_OK) {
            return 1;
        }
        for (size_t b = 0; b < BATCHES; b++) {
            double time = time_model(bench, model, batches[b]);
            (void)printf("%s %-8s %4u rows a call %8.0f ns a row %6.3f of sgemm\n", name,
                         network_model_kernels(model), batches[b], time, time / by_blas[b]);
        }
        network_model_destroy(model);
    }
    return 0;
}

int main(void)
{
    static struct bench gru;
    static struct bench mlp;
    openblas_set_num_threads(1);
    (void)printf("OpenBLAS for %s\n", openblas_get_corename());
    if (network_shape_init(&gru.shape, INPUTS, NULL) != STATUS_OK ||
        network_shape_init(&mlp.shape, 48, NULL) != STATUS_OK) {
        return 1;
    }
    gru.shape.cell = CELL_GRU;
    gru.shape.hidden = HIDDEN;
    gru.shape.layer_count = 1;
    gru.shape.layers[0].size = 1;
    mlp.shape.layer_count = 3;
    mlp.shape.layers[0] = (struct network_layer){.size = 64, .activation = ACTIVATION_RELU};
    mlp.shape.layers[1] = (struct network_layer){.size = 32, .activation = ACTIVATION_RELU};
    mlp.shape.layers[2] = (struct network_layer){.size = 1};
    int result = compare(&gru, "GRU 64", gru_by_sgemm);
    result = result == 0 ? compare(&mlp, "MLP 48-64-32-1", mlp_by_sgemm) : result;
    release(&gru);
    release(&mlp);
    return result;
}
