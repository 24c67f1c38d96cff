/*
 * Nanoseconds a row of the same 200 trees of depth 6 on 48 features, one value in ten missing: by
 * libxgboost's C interface, which fitted them, in the faster of its two ways (a matrix in place, or
 * copied), and by us. One thread each, on the clock of the wall; ratios are what counts.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/tree_ensemble.h"
#include "models/xgboost_library.h"
#include "pipeline/base/clock.h"
#include "test/fakes/random.h"

#define TREES 200
#define FEATURES 48u
#define ROWS 16384u
#define SCORED 4096u
#define ROUNDS 5

typedef int predict_dense(void *booster, const char *values, const char *config, void *proxy,
                          const uint64_t **ret_shape, uint64_t *ret_dimensions,
                          const float **ret_values);

struct bench {
    struct xgboost_library library;
    predict_dense *in_place;
    void *booster;
    struct tree_ensemble *ensemble;
    struct tree_scratch *scratch;
    float *rows, *labels;
    float margins[SCORED];
    double worst; /* Distance between the two. */
};

static void must(int result)
{
    if (result != 0) {
        (void)fprintf(stderr, "libxgboost failed\n");
        exit(1);
    }
}

/* Labels are nearly noise, so that the trees grow to their full depth. */
static void make_rows(struct bench *bench)
{
    struct random random = {1};
    bench->rows = calloc((size_t)ROWS * FEATURES, sizeof(float));
    bench->labels = calloc(ROWS, sizeof(float));
    for (size_t i = 0; i < (size_t)ROWS * FEATURES; i++) {
        float value = (float)(random_next(&random) >> 40) * 0x1p-24f;
        bench->rows[i] = random_below(&random, 10) == 0 ? NAN : value;
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        bool is_high = bench->rows[(size_t)i * FEATURES] > 0.5f;
        bench->labels[i] = random_below(&random, 10) < (is_high ? 6u : 4u) ? 1.0f : 0.0f;
    }
}

static void fit(struct bench *bench)
{
    const struct xgboost_library *library = &bench->library;
    static const char *const settings[][2] = {{"objective", "binary:logistic"},
                                              {"tree_method", "hist"},
                                              {"max_depth", "6"},
                                              {"min_child_weight", "0"},
                                              {"nthread", "1"},
                                              {"disable_default_eval_metric", "1"}};
    void *matrix;
    must(library->matrix_create(bench->rows, ROWS, FEATURES, NAN, &matrix));
    must(library->matrix_set_floats(matrix, "label", bench->labels, ROWS));
    must(library->booster_create(&matrix, 1, &bench->booster));
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        must(library->booster_set(bench->booster, settings[i][0], settings[i][1]));
    }
    for (int round = 0; round < TREES; round++) {
        must(library->booster_update(bench->booster, round, matrix));
    }
    uint64_t length;
    const char *bytes;
    struct error error;
    must(library->booster_save(bench->booster, "{\"format\": \"ubj\"}", &length, &bytes));
    if (tree_ensemble_read("fitted", bytes, length, &bench->ensemble, &error) != STATUS_OK ||
        tree_scratch_create(bench->ensemble, &bench->scratch, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    must(library->matrix_free(matrix));
}

typedef void score_rows(struct bench *bench, uint32_t first, uint32_t count);

static void score_in_place(struct bench *bench, uint32_t first, uint32_t count)
{
    static const char config[] =
        "{\"type\": 1, \"training\": false, \"iteration_begin\": 0, \"iteration_end\": 0, "
        "\"missing\": NaN, \"strict_shape\": false, \"cache_id\": 0}";
    char values[160];
    const uint64_t *shape;
    uint64_t dimensions;
    const float *result;
    (void)snprintf(values, sizeof(values),
                   "{\"data\": [%" PRIuPTR ", true], \"shape\": [%u, %u], \"typestr\": \"<f4\", "
                   "\"version\": 3}",
                   (uintptr_t)(bench->rows + (size_t)first * FEATURES), count, FEATURES);
    must(bench->in_place(bench->booster, values, config, NULL, &shape, &dimensions, &result));
    memcpy(bench->margins + first, result, count * sizeof(float));
}

static void score_copied(struct bench *bench, uint32_t first, uint32_t count)
{
    void *matrix;
    uint64_t length;
    const float *result;
    must(bench->library.matrix_create(bench->rows + (size_t)first * FEATURES, count, FEATURES, NAN,
                                      &matrix));
    must(bench->library.booster_predict(bench->booster, matrix, 1, 0, 0, &length, &result));
    memcpy(bench->margins + first, result, count * sizeof(float));
    must(bench->library.matrix_free(matrix));
}

static void score_ours(struct bench *bench, uint32_t first, uint32_t count)
{
    tree_ensemble_score(bench->ensemble, bench->scratch, bench->rows + (size_t)first * FEATURES,
                        count, FEATURES, bench->margins + first);
}

static double measure(struct bench *bench, score_rows *score, uint32_t batch)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = clock_monotonic_ns();
        for (uint32_t first = 0; first + batch <= SCORED; first += batch) {
            score(bench, first, batch);
        }
        double ns = (double)(clock_monotonic_ns() - begin) / (SCORED / batch * batch);
        best = ns < best ? ns : best;
    }
    return best;
}

static void compare(struct bench *bench)
{
    static float theirs[SCORED];
    score_in_place(bench, 0, SCORED);
    memcpy(theirs, bench->margins, sizeof(theirs));
    score_ours(bench, 0, SCORED);
    for (uint32_t i = 0; i < SCORED; i++) {
        double off = fabs((double)theirs[i] - (double)bench->margins[i]);
        bench->worst = off > bench->worst ? off : bench->worst;
    }
}

int main(void)
{
    static struct bench bench;
    struct error error;
    if (xgboost_library_open(&bench.library, &error) != STATUS_OK) {
        (void)printf("skipped: %s\n", error.message);
        return 0;
    }
    void *found = dlsym(bench.library.file, "XGBoosterPredictFromDense");
    if (!found) {
        return 1;
    }
    memcpy((void *)&bench.in_place, &found, sizeof(found));
    make_rows(&bench);
    fit(&bench);
    compare(&bench);
    const struct tree_facts *facts = tree_ensemble_facts(bench.ensemble);
    (void)printf("libxgboost %d.%d.%d, %u trees, depth %u, %u nodes; kernel %s; margins agree to "
                 "%.1g\n",
                 bench.library.version[0], bench.library.version[1], bench.library.version[2],
                 facts->tree_count, facts->depth, facts->node_count,
                 tree_kernel_names[tree_kernel_best()], bench.worst);
    (void)printf("ns a row %10s %12s %12s %12s\n", "libxgboost", "in place", "ours",
                 "times as fast");
    static const uint32_t batches[] = {1, 8, 32, 128, 512};
    for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
        double copied = measure(&bench, score_copied, batches[i]);
        double in_place = measure(&bench, score_in_place, batches[i]);
        double ours = measure(&bench, score_ours, batches[i]);
        double theirs = copied < in_place ? copied : in_place;
        (void)printf("%8u %10.0f %12.0f %12.0f %12.1f\n", batches[i], copied, in_place, ours,
                     theirs / ours);
    }
    must(bench.library.booster_free(bench.booster));
    tree_scratch_destroy(bench.scratch);
    tree_ensemble_unload(bench.ensemble);
    free(bench.rows);
    free(bench.labels);
    return 0;
}
