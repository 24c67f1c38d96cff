/* What scoring costs a row: three linear models over 133 features, by backend and batch. */
#include <stdio.h>
#include <stdlib.h>

#include "models/model_backend.h"
#include "pipeline/base/clock.h"
#include "test/models/model_packs.h"

#define COLUMNS 133u
#define STRIDE 144u
#define ROWS 1024u
#define MODELS 3

static double measure(const struct model_backend_ops *backend, uint32_t batch, int has_log,
                      const float *rows, float *logits)
{
    static struct made_pack made[MODELS];
    struct model *models[MODELS];
    struct error error;
    for (int i = 0; i < MODELS; i++) {
        make_pack(&made[i], COLUMNS, 1, has_log, (uint64_t)i + 1);
        if (model_load(backend, &made[i].pack, made[i].columns, COLUMNS, &models[i], &error) !=
            STATUS_OK) {
            (void)fprintf(stderr, "%s\n", error.message);
            exit(1);
        }
    }
    double best = 1e9;
    for (int round = 0; round < 20; round++) {
        uint64_t begin = clock_thread_cpu_ns();
        for (uint32_t first = 0; first < ROWS; first += batch) {
            for (int i = 0; i < MODELS; i++) {
                if (model_score(models[i], rows + (size_t)first * STRIDE, STRIDE, NULL, batch,
                                logits, &error) != STATUS_OK) {
                    exit(1);
                }
            }
        }
        double ns = (double)(clock_thread_cpu_ns() - begin) / ROWS;
        best = ns < best ? ns : best;
    }
    for (int i = 0; i < MODELS; i++) {
        model_unload(models[i]);
    }
    return best;
}

int main(void)
{
    float *rows = aligned_alloc(64, (size_t)ROWS * STRIDE * sizeof(float));
    float *logits = calloc(ROWS, sizeof(float));
    if (!rows || !logits) {
        free(rows);
        free(logits);
        return 1;
    }
    make_rows(rows, (size_t)ROWS * STRIDE, 7);
    (void)printf("ns a row, %d linear models of %u features; %s\n", MODELS, COLUMNS,
                 backend_openblas.profile());
    (void)printf("%-24s %8s %8s %8s %8s\n", "batch", "1", "32", "128", "1024");
    for (int has_log = 0; has_log < 2; has_log++) {
        for (int i = 0; model_backends[i]; i++) {
            const uint32_t batches[] = {1, 32, 128, 1024};
            (void)printf("%-10s %-13s", model_backends[i]->name,
                         has_log ? "with log1p" : "octaves");
            for (size_t j = 0; j < 4; j++) {
                (void)printf(" %8.0f",
                             measure(model_backends[i], batches[j], has_log, rows, logits));
            }
            (void)printf("\n");
        }
    }
    free(rows);
    free(logits);
    return 0;
}
