#include "models/isolation_forest.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/random_stream.h"
#include "pipeline/base/fixed_math.h"

#define DEPTH_MAX 16 /* Enough for ISOLATION_SAMPLE_MAX rows. */
#define TRIES_AT_RANDOM 16
static_assert(ISOLATION_SAMPLE_MAX <= 1u << (DEPTH_MAX - 1),
              "trees are as deep as log2 of a sample");

double isolation_expected_path(uint32_t rows)
{
    if (rows < 2) {
        return 0;
    }
    double harmonic = 0;
    if (rows <= 64) {
        for (uint32_t i = 1; i < rows; i++) {
            harmonic += 1.0 / i;
        }
    } else { /* Euler and Mascheroni's constant, and the next two terms. */
        double n = rows - 1;
        harmonic = fixed_log(n) + 0.57721566490153286 + 1 / (2 * n) - 1 / (12 * n * n);
    }
    return 2 * harmonic - 2 * ((double)rows - 1) / (double)rows;
}

struct builder {
    const float *rows;
    uint32_t feature_count;
    uint32_t depth_limit;
    struct random_stream random;
    uint32_t *taken; /* [sample] rows of the tree, in parts by node. */
    struct isolation_forest *forest;
};

/* Least and greatest of the rows that have a value. False where there is nothing between them. */
static bool find_range(const struct builder *builder, uint32_t begin, uint32_t end,
                       uint32_t feature, float *ret_low, float *ret_high)
{
    float low = INFINITY, high = -INFINITY;
    for (uint32_t i = begin; i < end; i++) {
        float x = builder->rows[(size_t)builder->taken[i] * builder->feature_count + feature];
        low = x < low ? x : low; /* Not so for NaN. */
        high = x > high ? x : high;
    }
    *ret_low = low;
    *ret_high = high;
    return low < high && isfinite(low) && isfinite(high);
}

/* A feature and a place between its rows' values. False where no feature can be cut. Features are
 * asked at random; where many cannot be cut, the rest in a row from a random one on. */
static bool choose_cut(struct builder *builder, uint32_t begin, uint32_t end,
                       struct isolation_node *node)
{
    uint32_t feature = 0;
    for (uint32_t i = 0; i < TRIES_AT_RANDOM + builder->feature_count; i++) {
        feature = i <= TRIES_AT_RANDOM
                      ? random_stream_below(&builder->random, builder->feature_count)
                      : (feature + 1) % builder->feature_count;
        float low, high;
        if (!find_range(builder, begin, end, feature, &low, &high)) {
            continue;
        }
        float share = random_stream_unit(&builder->random);
        float cut = low + share * (high - low); /* Of halves, lest the span is no float. */
        cut = isfinite(cut) ? cut : 0.5f * low + 0.5f * high;
        node->cut = cut > low ? cut : high; /* So that both sides have a row. */
        node->feature = (int32_t)feature;
        return true;
    }
    return false;
}

/* Moves the rows of the left side to the front; returns where the right one begins. */
static uint32_t part_rows(struct builder *builder, uint32_t begin, uint32_t end,
                          const struct isolation_node *node)
{
    uint32_t middle = begin;
    for (uint32_t i = begin; i < end; i++) {
        uint32_t row = builder->taken[i];
        if (builder->rows[(size_t)row * builder->feature_count + (uint32_t)node->feature] <
            node->cut) {
            builder->taken[i] = builder->taken[middle];
            builder->taken[middle++] = row;
        }
    }
    return middle;
}

struct part {
    uint32_t node, begin, end, depth;
};

static void grow(struct builder *builder, uint32_t root, uint32_t row_count)
{
    struct isolation_forest *forest = builder->forest;
    struct part stack[DEPTH_MAX * 2 + 2];
    uint32_t waiting = 0;
    stack[waiting++] = (struct part){root, 0, row_count, 0};
    while (waiting > 0) {
        struct part part = stack[--waiting];
        struct isolation_node *node = &forest->nodes[part.node];
        uint32_t count = part.end - part.begin;
        *node = (struct isolation_node){.feature = ISOLATION_LEAF};
        if (count < 2 || part.depth == builder->depth_limit ||
            !choose_cut(builder, part.begin, part.end, node)) {
            node->path = (float)(part.depth + isolation_expected_path(count));
            continue;
        }
        uint32_t middle = part_rows(builder, part.begin, part.end, node);
        node->left = forest->node_count;
        forest->node_count += 2;
        node->path = (float)(middle - part.begin) / (float)count; /* Share of the left, for now. */
        stack[waiting++] = (struct part){node->left + 1, middle, part.end, part.depth + 1};
        stack[waiting++] = (struct part){node->left, part.begin, middle, part.depth + 1};
    }
    for (uint32_t i = forest->node_count; i-- > root;) { /* Children stand behind their parent. */
        struct isolation_node *node = &forest->nodes[i];
        if (node->feature != ISOLATION_LEAF) {
            float left = forest->nodes[node->left].path, right = forest->nodes[node->left + 1].path;
            node->path = node->path * left + (1.0f - node->path) * right;
        }
    }
}

/* The first `count` of a shuffle of all rows (Fisher, Yates). */
static void take_sample(struct builder *builder, uint32_t *all, uint32_t row_count, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = i + random_stream_below(&builder->random, row_count - i);
        uint32_t row = all[other];
        all[other] = all[i];
        all[i] = row;
        builder->taken[i] = row;
    }
}

static struct isolation_forest *allocate(uint32_t trees, uint32_t nodes, uint32_t features)
{
    struct isolation_forest *forest = calloc(1, sizeof(*forest));
    if (!forest) {
        return NULL;
    }
    forest->tree_count = trees;
    forest->feature_count = features;
    forest->roots = calloc(trees, sizeof(*forest->roots));
    forest->nodes = calloc(nodes, sizeof(*forest->nodes));
    if (!forest->roots || !forest->nodes) {
        isolation_forest_destroy(forest);
        return NULL;
    }
    return forest;
}

static uint32_t depth_limit(uint32_t sample)
{
    uint32_t depth = 0;
    while (1u << depth < sample) {
        depth++;
    }
    return depth;
}

enum status isolation_forest_build(const float *rows, uint32_t row_count, uint32_t feature_count,
                                   const struct isolation_options *options,
                                   struct isolation_forest **ret_forest, struct error *error)
{
    assert(row_count >= 2 && feature_count >= 1 && feature_count <= ISOLATION_FEATURES_MAX);
    assert(options->trees >= 1 && options->trees <= ISOLATION_TREES_MAX);
    assert(options->sample >= 2 && options->sample <= ISOLATION_SAMPLE_MAX);
    uint32_t sample = options->sample < row_count ? options->sample : row_count;
    struct builder builder = {
        .rows = rows,
        .feature_count = feature_count,
        .depth_limit = depth_limit(sample),
        .taken = calloc(sample, sizeof(uint32_t)),
        .forest = allocate(options->trees, options->trees * (2 * sample - 1), feature_count),
    };
    uint32_t *all = calloc(row_count, sizeof(*all));
    bool is_made = builder.taken && builder.forest && all;
    for (uint32_t tree = 0; is_made && tree < options->trees; tree++) {
        for (uint32_t i = 0; i < row_count; i++) {
            all[i] = i;
        }
        builder.random = random_stream_of(options->seed, tree);
        take_sample(&builder, all, row_count, sample);
        uint32_t root = builder.forest->node_count++;
        builder.forest->roots[tree] = root;
        grow(&builder, root, sample);
    }
    free(all);
    free(builder.taken);
    if (!is_made) {
        isolation_forest_destroy(builder.forest);
        return error_set(error, STATUS_FATAL, "isolation forest: out of memory");
    }
    *ret_forest = builder.forest;
    return STATUS_OK;
}

static enum status check_node(const struct isolation_forest *given, uint32_t index,
                              struct error *error)
{
    const struct isolation_node *node = &given->nodes[index];
    if (!isfinite(node->cut) || !isfinite(node->path) || node->path < 0) {
        return error_set(error, STATUS_INVALID,
                         "node %u: a finite cut and a path from 0 on expected", index);
    }
    if (node->feature == ISOLATION_LEAF) {
        return STATUS_OK;
    }
    if (node->feature < 0 || (uint32_t)node->feature >= given->feature_count) {
        return error_set(error, STATUS_INVALID, "node %u: feature %d of %u", index, node->feature,
                         given->feature_count);
    }
    if (node->left <= index || node->left >= given->node_count - 1) {
        return error_set(error, STATUS_INVALID, "node %u: children at %u, from %u to %u expected",
                         index, node->left, index + 1, given->node_count - 2);
    }
    return STATUS_OK;
}

enum status isolation_forest_make(const struct isolation_forest *given,
                                  struct isolation_forest **ret_forest, struct error *error)
{
    if (given->tree_count < 1 || given->tree_count > ISOLATION_TREES_MAX || given->node_count < 1) {
        return error_set(error, STATUS_INVALID, "%u trees of %u nodes in all: 1 to %u expected",
                         given->tree_count, given->node_count, ISOLATION_TREES_MAX);
    }
    for (uint32_t i = 0; i < given->tree_count; i++) {
        if (given->roots[i] >= given->node_count) {
            return error_set(error, STATUS_INVALID, "tree %u: root at %u of %u nodes", i,
                             given->roots[i], given->node_count);
        }
    }
    for (uint32_t i = 0; i < given->node_count; i++) {
        enum status status = check_node(given, i, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct isolation_forest *forest =
        allocate(given->tree_count, given->node_count, given->feature_count);
    if (!forest) {
        return error_set(error, STATUS_FATAL, "isolation forest: out of memory");
    }
    forest->node_count = given->node_count;
    memcpy(forest->roots, given->roots, given->tree_count * sizeof(*forest->roots));
    memcpy(forest->nodes, given->nodes, given->node_count * sizeof(*forest->nodes));
    *ret_forest = forest;
    return STATUS_OK;
}

void isolation_forest_destroy(struct isolation_forest *forest)
{
    if (forest) {
        free(forest->roots);
        free(forest->nodes);
        free(forest);
    }
}

static inline const struct isolation_node *step(const struct isolation_forest *forest,
                                                const struct isolation_node *node, const float *row)
{
    return &forest->nodes[row[node->feature] < node->cut ? node->left : node->left + 1];
}

float isolation_forest_path(const struct isolation_forest *forest, const float *row)
{
    float sum = 0;
    for (uint32_t tree = 0; tree < forest->tree_count; tree++) {
        const struct isolation_node *node = &forest->nodes[forest->roots[tree]];
        while (node->feature != ISOLATION_LEAF) {
            node = step(forest, node, row);
        }
        sum += node->path;
    }
    return sum / (float)forest->tree_count;
}

float isolation_forest_explain(const struct isolation_forest *forest, const float *row,
                               float *terms)
{
    float base = 0;
    memset(terms, 0, forest->feature_count * sizeof(*terms));
    for (uint32_t tree = 0; tree < forest->tree_count; tree++) {
        const struct isolation_node *node = &forest->nodes[forest->roots[tree]];
        base += node->path;
        while (node->feature != ISOLATION_LEAF) {
            const struct isolation_node *next = step(forest, node, row);
            terms[node->feature] += next->path - node->path;
            node = next;
        }
    }
    for (uint32_t i = 0; i < forest->feature_count; i++) {
        terms[i] /= (float)forest->tree_count;
    }
    return base / (float)forest->tree_count;
}
