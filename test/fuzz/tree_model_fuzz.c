/*
 * Whatever the bytes are: an ensemble or an error. An ensemble scores any row alike by every kernel
 * and gives reasons that sum to the margin.
 */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "models/tree_ensemble.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define ROWS 5u

static void fill_rows(const uint8_t *bytes, size_t length, float *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = bytes[(i * 31 + i / 7) % length];
        rows[i] = byte == 0x30 ? NAN : (float)byte - 60.0f;
    }
}

static void check_reasons(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                          const float *row, double margin)
{
    uint32_t features = tree_ensemble_facts(ensemble)->feature_count;
    float *values = calloc(features, sizeof(*values));
    float base = 0;
    assert(values);
    if (tree_ensemble_explain(ensemble, scratch, TREE_REASONS_PATH, row, 0, values, &base, NULL) ==
        STATUS_OK) {
        double sum = (double)base;
        double size = 1 + fabs(sum) + fabs(margin);
        for (uint32_t f = 0; f < features; f++) {
            sum += (double)values[f];
            size += fabs((double)values[f]);
        }
        assert(!isfinite(size) || fabs(sum - margin) <= 1e-4 * size);
    }
    free(values);
}

static void use(const struct tree_ensemble *ensemble, const uint8_t *bytes, size_t length)
{
    const struct tree_facts *facts = tree_ensemble_facts(ensemble);
    struct tree_scratch *scratch = NULL;
    size_t outputs = (size_t)ROWS * facts->output_count;
    float *rows = malloc((size_t)ROWS * facts->feature_count * sizeof(*rows));
    float *margins = malloc(2 * outputs * sizeof(*margins));
    assert(rows && margins);
    enum status status = tree_scratch_create(ensemble, &scratch, NULL);
    assert(status == STATUS_OK);
    fill_rows(bytes, length, rows, (size_t)ROWS * facts->feature_count);
    tree_ensemble_score_by(ensemble, scratch, TREE_KERNEL_PLAIN, rows, ROWS, facts->feature_count,
                           margins);
    for (enum tree_kernel kernel = TREE_KERNEL_AVX2; kernel < TREE_KERNEL_COUNT; kernel++) {
        if (tree_kernel_is_available(kernel)) {
            tree_ensemble_score_by(ensemble, scratch, kernel, rows, ROWS, facts->feature_count,
                                   margins + outputs);
            assert(memcmp(margins, margins + outputs, outputs * sizeof(*margins)) == 0);
        }
    }
    check_reasons(ensemble, scratch, rows, (double)margins[0]);
    tree_ensemble_link(ensemble, margins, ROWS, margins);
    tree_scratch_destroy(scratch);
    free(rows);
    free(margins);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct tree_ensemble *ensemble = NULL;
    struct error error;
    if (tree_ensemble_read("model", bytes, length, &ensemble, &error) == STATUS_OK) {
        use(ensemble, bytes, length);
    }
    tree_ensemble_unload(ensemble);
    return 0;
}
