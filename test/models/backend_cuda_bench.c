/*
 * A GPU beside the CPU, nanoseconds a row by the size of the batch, and the size from which on the
 * GPU is the faster one. The GPU's times include the way there and back. backend_cuda_bench PLUGIN
 * from the repository's root; ends with 3 where there is no GPU
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend_cuda.h"
#include "models/pack_kind.h"
#include "models/pack_trees.h"
#include "pipeline/base/clock.h"
#include "test/fakes/random.h"

#define ROWS 1024u
#define STRIDE 64u
#define BATCHES 11 /* 1, 2, 4 ... 1024 */
#define SECONDS_NS 100000000u

static float rows[ROWS * STRIDE];
static float states[ROWS][MODEL_STATE_BYTES_MAX / sizeof(float)];
static uint32_t columns[STRIDE];

static void stop_at(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
}

/* The least of many, so that what else the machine does counts little. */
static double time_row(struct model *model, uint32_t batch)
{
    float logits[ROWS];
    void *places[ROWS];
    struct error error;
    for (uint32_t i = 0; i < batch; i++) {
        places[i] = states[i];
    }
    uint64_t best = UINT64_MAX;
    for (uint64_t begin = clock_monotonic_ns(); clock_monotonic_ns() - begin < SECONDS_NS;) {
        uint64_t from = clock_monotonic_ns();
        stop_at(model->state_bytes > 0
                    ? model_step(model, rows, STRIDE, NULL, batch, places, logits, &error)
                    : model_score(model, rows, STRIDE, NULL, batch, logits, &error),
                &error);
        uint64_t time = clock_monotonic_ns() - from;
        best = time < best ? time : best;
    }
    return (double)best / batch;
}

static void compare(const struct model_pack *pack, const char *name)
{
    struct error error;
    struct model *cpu;
    struct model *gpu;
    stop_at(model_load(&backend_lanes, pack, columns, STRIDE, &cpu, &error), &error);
    stop_at(model_load(&backend_cuda, pack, columns, STRIDE, &gpu, &error), &error);
    uint32_t crossover = 0;
    for (uint32_t i = 0; i < BATCHES; i++) {
        double on_cpu = time_row(cpu, 1u << i);
        double on_gpu = time_row(gpu, 1u << i);
        crossover = on_gpu >= on_cpu ? 0 : crossover > 0 ? crossover : 1u << i;
        (void)printf("%-16s %6u %12.1f %12.1f %8.2f\n", name, 1u << i, on_cpu, on_gpu,
                     on_cpu / on_gpu);
    }
    if (crossover > 0) {
        (void)printf("%s: the GPU is faster from %u rows on\n", name, crossover);
    } else {
        (void)printf("%s: the GPU is not faster with %u rows\n", name, 1u << (BATCHES - 1));
    }
    model_unload(cpu);
    model_unload(gpu);
}

static void compare_network(const char *name)
{
    char path[256];
    struct error error;
    struct model_pack *pack;
    (void)snprintf(path, sizeof(path), "test/models/networks/%s", name);
    stop_at(model_pack_load(path, &pack, &error), &error);
    compare(pack, name);
    model_pack_unload(pack);
}

static void compare_trees(const char *name)
{
    char path[256];
    struct error error;
    struct pack_trees body = {.places = columns, .output = {.count = 1, .scale = 1.0f}};
    struct pack_feature features[STRIDE] = {{0}};
    (void)snprintf(path, sizeof(path), "test/models/trees/%s", name);
    stop_at(tree_ensemble_load(path, &body.ensemble, &error), &error);
    const struct model_pack pack = {
        .kind = &pack_kind_trees,
        .body = &body,
        .name = (char *)(uintptr_t)name,
        .features = features,
        .feature_count = tree_ensemble_facts(body.ensemble)->feature_count,
        .calibration = {.slope = 1},
    };
    compare(&pack, name);
    tree_ensemble_unload(body.ensemble);
}

int main(int argc, char **argv)
{
    struct error error;
    if (argc != 2) {
        (void)fprintf(stderr, "backend_cuda_bench PLUGIN\n");
        return 2;
    }
    if (backend_cuda_open(argv[1], &error) != STATUS_OK) {
        (void)fprintf(stderr, "no GPU here: %s\n", error.message);
        return 3;
    }
    struct cuda_facts facts;
    backend_cuda_facts(&facts);
    struct random random = {7};
    for (size_t i = 0; i < ROWS * STRIDE; i++) {
        rows[i] = (float)random_below(&random, 1u << 20) * 0x1p-18f - 2.0f;
    }
    for (uint32_t i = 0; i < STRIDE; i++) {
        columns[i] = i;
    }
    (void)printf("%s, beside one core\n%-16s %6s %12s %12s %8s\n", facts.device, "model", "rows",
                 "CPU ns/row", "GPU ns/row", "faster");
    compare_network("literature");
    compare_network("deep");
    compare_network("gru");
    compare_network("lstm");
    compare_trees("xgb_binary.json");
    compare_trees("lgb_forest.txt");
    return 0;
}
