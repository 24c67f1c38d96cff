#include "models/tree_ensemble.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/kernel_trees.h"
#include "models/tree_layout.h"
#include "models/tree_shapley.h"
#include "pipeline/base/fixed_math.h"

const char *const tree_kernel_names[TREE_KERNEL_COUNT] = {"plain", "avx2", "avx512"};

/* Fewer rows than these are scored faster one by one than as a tile with empty lanes. */
static const uint32_t tile_rows_min[TREE_KERNEL_COUNT] = {1, 7, 4};

void tree_ensemble_unload(struct tree_ensemble *ensemble)
{
    if (!ensemble) {
        return;
    }
    for (uint32_t i = 0; ensemble->feature_names && ensemble->feature_names[i]; i++) {
        free(ensemble->feature_names[i]);
    }
    free(ensemble->feature_names);
    free(ensemble->objective);
    free(ensemble->base);
    free(ensemble->columns);
    free(ensemble->sets);
    free(ensemble->nodes);
    free(ensemble->roots);
    free(ensemble->outputs);
    free(ensemble->blocks);
    free(ensemble->splits);
    free(ensemble->leaves);
    free(ensemble->shares);
    free(ensemble->means);
    free(ensemble);
}

const struct tree_facts *tree_ensemble_facts(const struct tree_ensemble *ensemble)
{
    return &ensemble->facts;
}

/* Aligned and zero; whole cache lines. */
static void *take_lines(size_t bytes)
{
    size_t whole = (bytes + 63) / 64 * 64;
    void *lines = aligned_alloc(64, whole);
    if (lines) {
        memset(lines, 0, whole);
    }
    return lines;
}

enum status tree_scratch_create(const struct tree_ensemble *ensemble,
                                struct tree_scratch **ret_scratch, struct error *error)
{
    struct tree_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch) {
        const struct tree_facts *facts = &ensemble->facts;
        scratch->tile = take_lines((size_t)ensemble->column_count * TREE_TILE_ROWS * sizeof(float));
        scratch->sums = take_lines((size_t)facts->output_count * TREE_TILE_ROWS * sizeof(double));
        scratch->contributions = calloc(facts->feature_count, sizeof(double));
        scratch->shapley = tree_shapley_create(ensemble);
    }
    if (!scratch || !scratch->tile || !scratch->sums || !scratch->contributions ||
        !scratch->shapley) {
        tree_scratch_destroy(scratch);
        return error_set(error, STATUS_FATAL, "scoring by trees: out of memory");
    }
    *ret_scratch = scratch;
    return STATUS_OK;
}

void tree_scratch_destroy(struct tree_scratch *scratch)
{
    if (!scratch) {
        return;
    }
    free(scratch->tile);
    free(scratch->sums);
    free(scratch->contributions);
    tree_shapley_destroy(scratch->shapley);
    free(scratch);
}

bool tree_kernel_is_available(enum tree_kernel kernel)
{
#if defined(__x86_64__)
    if (kernel == TREE_KERNEL_AVX2) {
        return __builtin_cpu_supports("avx2") != 0;
    }
    if (kernel == TREE_KERNEL_AVX512) {
        return __builtin_cpu_supports("avx512f") != 0;
    }
#endif
    return kernel == TREE_KERNEL_PLAIN;
}

enum tree_kernel tree_kernel_best(void)
{
    enum tree_kernel kernel = TREE_KERNEL_AVX512;
    while (!tree_kernel_is_available(kernel)) {
        kernel--;
    }
    return kernel;
}

static tree_kernel_function *function_of(enum tree_kernel kernel, uint32_t rows)
{
    if (rows < tile_rows_min[kernel]) {
        return kernel_trees_plain;
    }
#if defined(__x86_64__)
    if (kernel == TREE_KERNEL_AVX2) {
        return kernel_trees_avx2;
    }
    if (kernel == TREE_KERNEL_AVX512) {
        return kernel_trees_avx512;
    }
#endif
    return kernel_trees_plain;
}

static void score_tile(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                       enum tree_kernel kernel, const struct tree_rows *from, uint32_t first,
                       uint32_t rows, float *margins)
{
    uint32_t output_count = ensemble->facts.output_count;
    memset(scratch->sums, 0, (size_t)output_count * TREE_TILE_ROWS * sizeof(double));
    tree_columns_fill(ensemble, from, first, rows, scratch->tile);
    function_of(kernel, rows)(ensemble, scratch->tile, rows, scratch->sums);
    for (uint32_t i = 0; i < rows; i++) {
        for (uint32_t c = 0; c < output_count; c++) {
            double sum = scratch->sums[(size_t)c * TREE_TILE_ROWS + i];
            margins[(size_t)i * output_count + c] =
                (float)(ensemble->base[c] + sum / ensemble->divisor);
        }
    }
}

static void score_rows(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                       enum tree_kernel kernel, const struct tree_rows *from, uint32_t rows,
                       float *margins)
{
    for (uint32_t first = 0; first < rows; first += TREE_TILE_ROWS) {
        uint32_t rest = rows - first;
        score_tile(ensemble, scratch, kernel, from, first,
                   rest < TREE_TILE_ROWS ? rest : TREE_TILE_ROWS,
                   margins + (size_t)first * ensemble->facts.output_count);
    }
}

void tree_ensemble_score_by(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                            enum tree_kernel kernel, const float *features, uint32_t rows,
                            uint32_t stride, float *margins)
{
    assert(tree_kernel_is_available(kernel));
    assert(rows <= 1 || stride >= ensemble->facts.feature_count);
    struct tree_rows from = {.features = features, .stride = stride};
    score_rows(ensemble, scratch, kernel, &from, rows, margins);
}

void tree_ensemble_score(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                         const float *features, uint32_t rows, uint32_t stride, float *margins)
{
    tree_ensemble_score_by(ensemble, scratch, tree_kernel_best(), features, rows, stride, margins);
}

void tree_ensemble_score_picked(const struct tree_ensemble *ensemble, struct tree_scratch *scratch,
                                const float *features, uint32_t stride, const uint32_t *columns,
                                const uint32_t *rows, uint32_t count, float *margins)
{
    struct tree_rows from = {features, stride, columns, rows};
    score_rows(ensemble, scratch, tree_kernel_best(), &from, count, margins);
}

static void softmax(const float *margins, uint32_t count, float *values)
{
    float largest = margins[0];
    for (uint32_t c = 1; c < count; c++) {
        largest = margins[c] > largest ? margins[c] : largest;
    }
    double sum = 0;
    for (uint32_t c = 0; c < count; c++) {
        double power = fixed_exp((double)margins[c] - (double)largest);
        values[c] = (float)power;
        sum += power;
    }
    for (uint32_t c = 0; c < count; c++) {
        values[c] = (float)((double)values[c] / sum);
    }
}

static double link_value(const struct tree_facts *facts, double margin)
{
    switch (facts->link) {
    case TREE_LINK_SIGMOID:
        return fixed_sigmoid(facts->link_scale * margin);
    case TREE_LINK_EXP:
        return fixed_exp(margin);
    case TREE_LINK_STEP:
        return margin > 0 ? 1 : 0;
    case TREE_LINK_SQUARE:
        return margin < 0 ? -margin * margin : margin * margin;
    case TREE_LINK_SOFTPLUS:
        return margin > 0 ? margin + fixed_log1p(fixed_exp(-margin))
                          : fixed_log1p(fixed_exp(margin));
    case TREE_LINK_IDENTITY:
    case TREE_LINK_SOFTMAX:
    case TREE_LINK_COUNT:
        break;
    }
    return margin;
}

void tree_ensemble_link(const struct tree_ensemble *ensemble, const float *margins, uint32_t rows,
                        float *values)
{
    const struct tree_facts *facts = &ensemble->facts;
    size_t count = (size_t)rows * facts->output_count;
    if (facts->link == TREE_LINK_SOFTMAX) {
        for (size_t i = 0; i < count; i += facts->output_count) {
            softmax(margins + i, facts->output_count, values + i);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)link_value(facts, (double)margins[i]);
    }
}
