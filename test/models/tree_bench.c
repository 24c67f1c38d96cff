/*
 * Nanoseconds a row of 200 trees of depth 6 on 48 features, one value in ten missing: node by node,
 * as the field's reference code does it, and by each kernel of this machine, at batches as a worker
 * sees them. With a model file of your own:
 *     tree_bench [MODEL]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "models/tree_builder.h"
#include "test/fakes/random.h"

#define TREES 200u
#define DEPTH 6u
#define FEATURES 48u
#define NODES ((2u << DEPTH) - 1)
#define ROWS 4096u
#define ROUNDS 5

/* A node as most libraries have it. */
struct plain_node {
    float threshold; /* Or the leaf's value. */
    int32_t left, right;
    uint32_t feature;
    bool missing_left;
};

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static float uniform(struct random *random)
{
    return (float)(random_next(random) >> 40) * 0x1p-24f;
}

static struct tree_ensemble *make_ensemble(struct random *random, struct plain_node *plain)
{
    static const double base[1] = {0};
    struct tree_settings settings = {.maker = "bench",
                                     .objective = "",
                                     .feature_count = FEATURES,
                                     .output_count = 1,
                                     .link_scale = 1,
                                     .base = base,
                                     .divisor = 1};
    struct tree_builder *builder = NULL;
    struct tree_ensemble *ensemble = NULL;
    if (tree_builder_create("bench", &settings, &builder, NULL) != STATUS_OK) {
        exit(1);
    }
    for (uint32_t t = 0; t < TREES; t++) {
        struct tree_input nodes[NODES];
        for (uint32_t i = 0; i < NODES; i++) {
            bool is_leaf = i >= NODES / 2;
            nodes[i] = (struct tree_input){
                .kind = is_leaf ? TREE_INPUT_LEAF : TREE_INPUT_NUMBER,
                .feature = random_below(random, FEATURES),
                .left = 2 * i + 1,
                .right = 2 * i + 2,
                .missing_left = random_below(random, 2) != 0,
                .threshold = uniform(random),
                .value = (double)(uniform(random) - 0.5f),
                .cover = 1,
            };
            plain[t * NODES + i] =
                (struct plain_node){is_leaf ? (float)nodes[i].value : nodes[i].threshold,
                                    is_leaf ? -1 : (int32_t)(2 * i + 1), (int32_t)(2 * i + 2),
                                    nodes[i].feature, nodes[i].missing_left};
        }
        if (tree_builder_add(builder, nodes, NODES, 0, NULL) != STATUS_OK) {
            exit(1);
        }
    }
    if (tree_builder_finish(builder, &ensemble, NULL) != STATUS_OK) {
        exit(1);
    }
    tree_builder_destroy(builder);
    return ensemble;
}

static float score_by_node(const struct plain_node *trees, const float *row)
{
    float sum = 0;
    for (uint32_t t = 0; t < TREES; t++) {
        const struct plain_node *tree = trees + (size_t)t * NODES;
        const struct plain_node *node = tree;
        while (node->left >= 0) {
            float x = row[node->feature];
            bool left = isnan(x) ? node->missing_left : x < node->threshold;
            node = &tree[left ? node->left : node->right];
        }
        sum += node->threshold;
    }
    return sum;
}

static double time_by_node(const struct plain_node *plain, const float *rows, float *margins)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i < ROWS; i++) {
            margins[i] = score_by_node(plain, rows + (size_t)i * FEATURES);
        }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    return best * 1e9 / ROWS;
}

static double time_kernel(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                          enum tree_kernel kernel, uint32_t batch, const float *rows,
                          uint32_t stride, float *margins)
{
    uint32_t outputs = tree_ensemble_facts(ensemble)->output_count;
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        for (uint32_t i = 0; i + batch <= ROWS; i += batch) {
            tree_ensemble_score_by(ensemble, scratch, kernel, rows + (size_t)i * stride, batch,
                                   stride, margins + (size_t)i * outputs);
        }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    uint32_t scored = ROWS / batch * batch;
    return best * 1e9 / scored;
}

static double time_reasons(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                           enum tree_reasons reasons, uint32_t count, const float *rows,
                           uint32_t stride)
{
    float *contributions = calloc(stride, sizeof(*contributions));
    float base;
    double start = seconds();
    for (uint32_t i = 0; contributions && i < count; i++) {
        (void)!tree_ensemble_explain(ensemble, scratch, reasons, rows + (size_t)i * stride, 0,
                                     contributions, &base, NULL);
    }
    double time = seconds() - start;
    free(contributions);
    return time * 1e9 / count;
}

static float *make_rows(struct random *random, uint32_t features)
{
    float *rows = malloc((size_t)ROWS * features * sizeof(*rows));
    for (size_t i = 0; rows && i < (size_t)ROWS * features; i++) {
        rows[i] = random_below(random, 10) == 0 ? NAN : uniform(random);
    }
    return rows;
}

static void compare(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                    const float *rows, float *margins, double by_node)
{
    static const uint32_t batches[] = {1, 2, 4, 6, 8, 16, 32, 128, 512};
    uint32_t features = tree_ensemble_facts(ensemble)->feature_count;
    for (enum tree_kernel kernel = TREE_KERNEL_PLAIN; kernel < TREE_KERNEL_COUNT; kernel++) {
        for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
            if (tree_kernel_is_available(kernel)) {
                double time =
                    time_kernel(ensemble, scratch, kernel, batches[b], rows, features, margins);
                (void)printf("%-10s %6u rows a call %10.0f ns a row  %6.3f of by node\n",
                             tree_kernel_names[kernel], batches[b], time, time / by_node);
            }
        }
    }
    (void)printf("reasons by path %25.0f ns a row\n",
                 time_reasons(ensemble, scratch, TREE_REASONS_PATH, 400, rows, features));
    (void)printf("reasons by Shapley value %16.0f ns a row\n",
                 time_reasons(ensemble, scratch, TREE_REASONS_SHAPLEY, 400, rows, features));
}

int main(int argument_count, char **arguments)
{
    struct random random = {1};
    struct error error = {""};
    struct plain_node *plain = calloc((size_t)TREES * NODES, sizeof(*plain));
    struct tree_ensemble *ensemble = NULL;
    struct tree_scratch *scratch = NULL;
    float *rows = NULL;
    float *margins = NULL;
    double by_node = NAN;
    int result = 1;
    if (!plain) {
        goto cleanup;
    }
    if (argument_count == 1) {
        ensemble = make_ensemble(&random, plain);
    } else if (tree_ensemble_load(arguments[1], &ensemble, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        goto cleanup;
    }
    rows = make_rows(&random, tree_ensemble_facts(ensemble)->feature_count);
    margins = malloc((size_t)ROWS * tree_ensemble_facts(ensemble)->output_count * sizeof(float));
    if (!rows || !margins || tree_scratch_create(ensemble, &scratch, &error) != STATUS_OK) {
        goto cleanup;
    }
    if (argument_count == 1) {
        by_node = time_by_node(plain, rows, margins);
        (void)printf("%-10s %30.0f ns a row\n", "by node", by_node);
    }
    compare(ensemble, scratch, rows, margins, by_node);
    result = 0;
cleanup:
    free(rows);
    free(margins);
    free(plain);
    tree_scratch_destroy(scratch);
    tree_ensemble_unload(ensemble);
    return result;
}
