#include "models/half_space_trees.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "models/random_stream.h"
#include "pipeline/base/fixed_math.h"

#define LOG2_E 1.44269504f

struct cut {
    float at; /* On the scale where the first window reaches from 0 to 1. */
    uint32_t feature;
};

struct half_space_trees {
    struct half_space_options options;
    uint32_t leaves_from; /* Nodes before it have a cut. */
    uint32_t node_count;
    struct cut *cuts; /* [trees][leaves_from], children of i at 2i + 1 and 2i + 2. Owned. */
};

struct half_space_state {
    uint64_t in_window;
    uint64_t windows; /* Full ones so far; its lowest bit says which counts are being made. */
    float bounds[];   /* low[features], high[features], then counts[2][trees][nodes] of 16 bits */
};

struct box {
    float low[HALF_SPACE_FEATURES_MAX], high[HALF_SPACE_FEATURES_MAX];
};

static void cut_box(struct half_space_trees *trees, struct cut *cuts, uint32_t node,
                    struct box *box, struct random_stream *random)
{
    if (node >= trees->leaves_from) {
        return;
    }
    uint32_t f = random_stream_below(random, trees->options.feature_count);
    float low = box->low[f], high = box->high[f];
    float middle = 0.5f * (low + high);
    cuts[node] = (struct cut){.at = middle, .feature = f};
    box->high[f] = middle;
    cut_box(trees, cuts, 2 * node + 1, box, random);
    box->high[f] = high;
    box->low[f] = middle;
    cut_box(trees, cuts, 2 * node + 2, box, random);
    box->low[f] = low;
}

/* The range that is cut reaches beyond [0, 1] on the side where a random point leaves less room. */
static void draw_tree(struct half_space_trees *trees, uint32_t tree)
{
    struct random_stream random = random_stream_of(trees->options.seed, tree);
    struct box box = {.low = {0}};
    for (uint32_t f = 0; f < trees->options.feature_count; f++) {
        float point = random_stream_unit(&random);
        float reach = 2.0f * (point > 0.5f ? point : 1.0f - point);
        box.low[f] = point - reach;
        box.high[f] = point + reach;
    }
    cut_box(trees, trees->cuts + (size_t)tree * trees->leaves_from, 0, &box, &random);
}

enum status half_space_create(const struct half_space_options *options,
                              struct half_space_trees **ret_trees, struct error *error)
{
    assert(options->trees >= 1 && options->trees <= HALF_SPACE_TREES_MAX);
    assert(options->depth >= 1 && options->depth <= HALF_SPACE_DEPTH_MAX);
    assert(options->window >= 2 && options->window <= HALF_SPACE_WINDOW_MAX);
    assert(options->feature_count >= 1 && options->feature_count <= HALF_SPACE_FEATURES_MAX);
    struct half_space_trees *trees = calloc(1, sizeof(*trees));
    if (trees) {
        trees->options = *options;
        trees->leaves_from = (1u << options->depth) - 1;
        trees->node_count = (2u << options->depth) - 1;
        trees->cuts = calloc((size_t)options->trees * trees->leaves_from, sizeof(*trees->cuts));
    }
    if (!trees || !trees->cuts) {
        free(trees);
        return error_set(error, STATUS_FATAL, "half-space trees: out of memory");
    }
    for (uint32_t tree = 0; tree < options->trees; tree++) {
        draw_tree(trees, tree);
    }
    *ret_trees = trees;
    return STATUS_OK;
}

void half_space_destroy(struct half_space_trees *trees)
{
    if (trees) {
        free(trees->cuts);
        free(trees);
    }
}

static size_t counts_of_window(const struct half_space_options *options)
{
    return (size_t)options->trees * ((2u << options->depth) - 1);
}

size_t half_space_state_bytes(const struct half_space_options *options)
{
    size_t bytes = sizeof(struct half_space_state) +
                   2 * (size_t)options->feature_count * sizeof(float) +
                   2 * counts_of_window(options) * sizeof(uint16_t);
    return (bytes + 7) / 8 * 8;
}

static void widen(const struct half_space_trees *trees, struct half_space_state *state,
                  const float *row)
{
    float *low = state->bounds, *high = low + trees->options.feature_count;
    for (uint32_t f = 0; f < trees->options.feature_count; f++) {
        if (state->in_window == 0) {
            low[f] = INFINITY;
            high[f] = -INFINITY;
        }
        low[f] = row[f] < low[f] ? row[f] : low[f]; /* Not so for NaN. */
        high[f] = row[f] > high[f] ? row[f] : high[f];
    }
}

/* What a node of `rows` rows says, where `volume` such nodes would fill the range. */
static float emptiness(const struct half_space_trees *trees, uint16_t rows, float volume)
{
    float window = (float)trees->options.window;
    return LOG2_E * fixed_logf((window + 1) / ((float)rows * volume + 1));
}

/* A row's way down one tree: counts it, and returns what the window before says. */
static float pass(const struct half_space_trees *trees, uint32_t tree, const float *scaled,
                  const uint16_t *before, uint16_t *counts, float *ret_terms)
{
    const struct cut *cuts = trees->cuts + (size_t)tree * trees->leaves_from;
    const uint32_t few = trees->options.window / 10;
    float volume = 1, said = 0; /* As dense as can be: all of a window pass the root. */
    bool is_settled = before[0] <= few;
    uint32_t node = 0;
    for (;;) {
        counts[node]++;
        if (node >= trees->leaves_from) {
            break;
        }
        uint32_t feature = cuts[node].feature;
        node = 2 * node + (scaled[feature] < cuts[node].at ? 1 : 2);
        volume *= 2;
        bool is_last = node >= trees->leaves_from || before[node] <= few;
        if (!is_settled && (ret_terms || is_last)) {
            float says = emptiness(trees, before[node], volume);
            if (ret_terms) {
                ret_terms[feature] += says - said;
            }
            said = says;
        }
        is_settled = is_settled || is_last;
    }
    return said;
}

static void scale_row(const struct half_space_trees *trees, const struct half_space_state *state,
                      const float *row, float *scaled)
{
    const float *low = state->bounds, *high = low + trees->options.feature_count;
    for (uint32_t f = 0; f < trees->options.feature_count; f++) {
        float span = high[f] - low[f];
        scaled[f] = (row[f] - low[f]) / (span > 0 ? span : 1.0f);
    }
}

float half_space_observe(const struct half_space_trees *trees, void *given, const float *row,
                         float *ret_terms)
{
    struct half_space_state *state = given;
    const struct half_space_options *options = &trees->options;
    size_t window_counts = counts_of_window(options);
    uint16_t *counts = (uint16_t *)(state->bounds + 2 * (size_t)options->feature_count);
    uint16_t *current = counts + (state->windows & 1) * window_counts;
    const uint16_t *before = counts + (1 - (state->windows & 1)) * window_counts;
    float score = NAN;
    if (state->windows == 0) {
        widen(trees, state, row);
    } else {
        float scaled[HALF_SPACE_FEATURES_MAX];
        float sum = 0;
        bool has_before = state->windows > 1;
        scale_row(trees, state, row, scaled);
        if (ret_terms) {
            memset(ret_terms, 0, options->feature_count * sizeof(*ret_terms));
        }
        for (uint32_t tree = 0; tree < options->trees; tree++) {
            size_t at = (size_t)tree * trees->node_count;
            sum += pass(trees, tree, scaled, before + at, current + at, ret_terms);
        }
        for (uint32_t f = 0; ret_terms && f < options->feature_count; f++) {
            ret_terms[f] /= (float)options->trees;
        }
        score = has_before ? sum / (float)options->trees : NAN;
    }
    if (++state->in_window == options->window) {
        state->in_window = 0;
        state->windows++;
        memset(counts + (state->windows & 1) * window_counts, 0, window_counts * sizeof(*counts));
    }
    return score;
}
