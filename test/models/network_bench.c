/*
 * Nanoseconds a row of a GRU of 64 units on 64 inputs and of an MLP 48-64-32-1, by each set of
 * kernels of this machine, beside what a user would write: sgemm of OpenBLAS on one thread, with
 * the C library's expf and tanhf (GRU) or a comparison (MLP). Ratios are of one run.
 *
 * "as a worker" is the GRU on batches of which three events in ten are of a user who has been there
 * before, in waves as operators/intent_state.c makes them, each state in a record of its own.
 *
 *     network_bench                      everything, for people
 *     network_bench time gru|mlp         KERNELS BATCH NS-A-ROW, a line each, but for plain C
 *     network_bench write gru|mlp FILE   parameters, rows and what they give, as floats, to check
 *                                        others by (scripts/bench_models.py)
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

struct bench;
typedef void baseline(const struct bench *bench, const float *x, float *h, uint32_t rows,
                      float *outputs);

struct bench {
    const char *name;
    baseline *score; /* By sgemm. */
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

/* ---- As a worker sees it ---- */

#define USERS 100000u
#define RECORD_FLOATS 256u /* A record of 1 KiB, its state in the middle. */
#define EVENTS 16384u
#define REPEATS_IN_TEN 3u

struct worker {
    float *records;           /* [USERS][RECORD_FLOATS] */
    uint32_t users[EVENTS];   /* Of each event. */
    uint32_t batch_of[USERS]; /* The batch that counted ... */
    uint32_t count_of[USERS]; /* ... so many events of the user. */
    uint32_t waves;
    uint32_t first[EVENTS + 1], rows[EVENTS]; /* Of a batch: its events wave after wave. */
    uint32_t wave_of[EVENTS];
    void *states[EVENTS];
    float outputs[EVENTS];
    float *x, *h; /* Gathered for sgemm. */
};

static void draw_users(struct worker *worker, uint32_t batch)
{
    struct random random = {3};
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint32_t place = i % batch;
        bool is_repeat = place > 0 && random_below(&random, 10) < REPEATS_IN_TEN;
        worker->users[i] = is_repeat ? worker->users[i - 1 - random_below(&random, place)]
                                     : random_below(&random, USERS);
    }
    memset(worker->batch_of, 0xff, sizeof(worker->batch_of));
}

static void make_waves(struct worker *worker, uint32_t begin, uint32_t batch)
{
    uint32_t next[EVENTS + 1];
    worker->waves = 0;
    for (uint32_t i = 0; i < batch; i++) {
        uint32_t user = worker->users[begin + i];
        if (worker->batch_of[user] != begin) {
            worker->batch_of[user] = begin;
            worker->count_of[user] = 0;
        }
        uint32_t wave = worker->count_of[user]++;
        worker->wave_of[i] = wave;
        if (wave == worker->waves) {
            worker->first[++worker->waves] = 0;
        }
        worker->first[wave + 1]++;
    }
    worker->first[0] = 0;
    for (uint32_t wave = 0; wave < worker->waves; wave++) {
        worker->first[wave + 1] += worker->first[wave];
        next[wave] = worker->first[wave];
    }
    for (uint32_t i = 0; i < batch; i++) {
        worker->rows[next[worker->wave_of[i]]++] = i;
    }
}

static void step_wave(struct bench *bench, struct worker *worker, struct network_model *model,
                      const float *features, const uint32_t *rows, uint32_t begin, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t user = worker->users[begin + rows[i]];
        worker->states[i] = worker->records + user * RECORD_FLOATS + RECORD_FLOATS / 2;
    }
    if (model) {
        struct network_rows wave = {features, INPUTS, rows, count};
        network_model_score(model, &wave, worker->states, worker->outputs);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        memcpy(worker->x + (size_t)i * INPUTS, features + (size_t)rows[i] * INPUTS,
               INPUTS * sizeof(float));
        memcpy(worker->h + (size_t)i * HIDDEN, worker->states[i], HIDDEN * sizeof(float));
    }
    gru_by_sgemm(bench, worker->x, worker->h, count, worker->outputs);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(worker->states[i], worker->h + (size_t)i * HIDDEN, HIDDEN * sizeof(float));
    }
}

/* By sgemm where there is no model. */
static double time_worker(struct bench *bench, struct worker *worker, struct network_model *model,
                          uint32_t batch)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        draw_users(worker, batch);
        double start = seconds();
        for (uint32_t begin = 0; begin < EVENTS; begin += batch) {
            const float *features = bench->rows + (size_t)(begin % ROWS) * INPUTS;
            make_waves(worker, begin, batch);
            for (uint32_t wave = 0; wave < worker->waves; wave++) {
                uint32_t first = worker->first[wave];
                step_wave(bench, worker, model, features, worker->rows + first, begin,
                          worker->first[wave + 1] - first);
            }
        }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    return best * 1e9 / EVENTS;
}

static struct worker *make_worker(void)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker) {
        worker->records = calloc((size_t)USERS * RECORD_FLOATS, sizeof(float));
        worker->x = calloc((size_t)ROWS * INPUTS, sizeof(float));
        worker->h = calloc((size_t)ROWS * HIDDEN, sizeof(float));
    }
    if (!worker || !worker->records || !worker->x || !worker->h) {
        exit(1);
    }
    memset(worker->records, 0, (size_t)USERS * RECORD_FLOATS * sizeof(float)); /* Faults now. */
    return worker;
}

static void destroy_worker(struct worker *worker)
{
    free(worker->records);
    free(worker->x);
    free(worker->h);
    free(worker);
}

/* ---- What is compared ---- */

static struct network_model *make_model(const struct bench *bench,
                                        const struct network_kernels *kernels)
{
    struct pack_feature features[INPUTS];
    uint32_t columns[INPUTS];
    for (uint32_t i = 0; i < INPUTS; i++) {
        features[i] = (struct pack_feature){.scale = 1, .limit = 1e6f};
        columns[i] = i;
    }
    struct network_source source = {&bench->shape, bench->parameters, features, columns, kernels};
    struct network_model *model = NULL;
    if (network_model_create(&source, &model, NULL) != STATUS_OK) {
        exit(1);
    }
    return model;
}

/* The way of printing: a heading before, and the share of sgemm behind, for people alone. */
static void print_time(const struct bench *bench, const char *kernels, uint32_t batch, double time,
                       double by_blas, bool is_for_people)
{
    if (!is_for_people) {
        (void)printf("%s %u %.1f\n", kernels, batch, time);
        return;
    }
    (void)printf("%-16s %-16s %4u rows a call %8.0f ns a row", bench->name, kernels, batch, time);
    if (time == by_blas) {
        (void)printf("\n");
    } else {
        (void)printf(" %6.3f of sgemm\n", time / by_blas);
    }
}

static void compare_worker(struct bench *bench, bool is_for_people)
{
    double by_blas[BATCHES];
    struct worker *worker = make_worker();
    for (size_t b = 0; b < BATCHES; b++) {
        by_blas[b] = time_worker(bench, worker, NULL, batches[b]);
        print_time(bench, "worker-sgemm", batches[b], by_blas[b], by_blas[b], is_for_people);
    }
    for (uint32_t k = 1; network_kernels_at(k); k++) {
        struct network_model *model = make_model(bench, network_kernels_at(k));
        char name[32];
        (void)snprintf(name, sizeof(name), "worker-%s", network_model_kernels(model));
        for (size_t b = 0; b < BATCHES; b++) {
            double time = time_worker(bench, worker, model, batches[b]);
            print_time(bench, name, batches[b], time, by_blas[b], is_for_people);
        }
        network_model_destroy(model);
    }
    destroy_worker(worker);
}

/* The largest distance between what sgemm gives for each row, the first of its user, and we do. */
static double worst_difference(struct bench *bench)
{
    static float ours[ROWS];
    struct network_model *model = make_model(bench, NULL);
    struct network_rows rows = {bench->rows, INPUTS, NULL, ROWS};
    network_model_score(model, &rows, NULL, ours);
    network_model_destroy(model);
    memset(bench->h, 0, (size_t)ROWS * HIDDEN * sizeof(float));
    bench->score(bench, bench->rows, bench->h, ROWS, bench->outputs);
    double worst = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        worst = fmax(worst, fabs((double)ours[i] - (double)bench->outputs[i]));
    }
    return worst;
}

static void compare(struct bench *bench, bool is_for_people)
{
    double by_blas[BATCHES];
    double worst = worst_difference(bench);
    if (is_for_people) {
        (void)printf("%s: both agree to %.1g\n", bench->name, worst);
    }
    for (size_t b = 0; b < BATCHES; b++) {
        by_blas[b] = time_baseline(bench, bench->score, batches[b]);
        print_time(bench, "sgemm", batches[b], by_blas[b], by_blas[b], is_for_people);
    }
    for (uint32_t k = is_for_people ? 0 : 1; network_kernels_at(k); k++) {
        struct network_model *model = make_model(bench, network_kernels_at(k));
        for (size_t b = 0; b < BATCHES; b++) {
            double time = time_model(bench, model, batches[b]);
            print_time(bench, network_model_kernels(model), batches[b], time, by_blas[b],
                       is_for_people);
        }
        network_model_destroy(model);
    }
    if (bench->shape.cell == CELL_GRU) {
        compare_worker(bench, is_for_people);
    }
}

/* The parameters are laid out in the order of PyTorch's state_dict: cell, then layers. */
static int write_bench(struct bench *bench, const char *path)
{
    (void)worst_difference(bench);
    FILE *file = fopen(path, "wb");
    bool is_written =
        file &&
        fwrite(bench->parameters, sizeof(float), bench->shape.parameter_count, file) ==
            bench->shape.parameter_count &&
        fwrite(bench->rows, sizeof(float), (size_t)ROWS * INPUTS, file) == (size_t)ROWS * INPUTS &&
        fwrite(bench->outputs, sizeof(float), ROWS, file) == ROWS;
    if (file) {
        is_written = fclose(file) == 0 && is_written;
    }
    return is_written ? 0 : 1;
}

static int fill_both(struct bench *gru, struct bench *mlp)
{
    if (network_shape_init(&gru->shape, INPUTS, NULL) != STATUS_OK ||
        network_shape_init(&mlp->shape, 48, NULL) != STATUS_OK) {
        return 1;
    }
    *gru = (struct bench){.shape = gru->shape, .name = "GRU 64", .score = gru_by_sgemm};
    *mlp = (struct bench){.shape = mlp->shape, .name = "MLP 48-64-32-1", .score = mlp_by_sgemm};
    gru->shape.cell = CELL_GRU;
    gru->shape.hidden = HIDDEN;
    gru->shape.layer_count = 1;
    gru->shape.layers[0].size = 1;
    mlp->shape.layer_count = 3;
    mlp->shape.layers[0] = (struct network_layer){.size = 64, .activation = ACTIVATION_RELU};
    mlp->shape.layers[1] = (struct network_layer){.size = 32, .activation = ACTIVATION_RELU};
    mlp->shape.layers[2] = (struct network_layer){.size = 1};
    return fill(gru) == 0 && fill(mlp) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct bench gru;
    static struct bench mlp;
    openblas_set_num_threads(1);
    if (fill_both(&gru, &mlp) != 0) {
        return 1;
    }
    struct bench *chosen = argc > 2 && strcmp(argv[2], "mlp") == 0 ? &mlp : &gru;
    int result = 0;
    if (argc == 4 && strcmp(argv[1], "write") == 0) {
        result = write_bench(chosen, argv[3]);
    } else if (argc == 3 && strcmp(argv[1], "time") == 0) {
        compare(chosen, false);
    } else {
        (void)printf("OpenBLAS for %s\n", openblas_get_corename());
        compare(&gru, true);
        compare(&mlp, true);
    }
    release(&gru);
    release(&mlp);
    return result;
}
