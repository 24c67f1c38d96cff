/*
 * Half-space trees (Tan, Ting, Liu, "Fast anomaly detection for streaming data", 2011): full trees
 * that halve a range at random features, drawn before any row is seen; only the number of rows that
 * pass a node is learnt. Rows are scored by the counts of the window before, and counted for the
 * next. One pass, bounded state, no labels. What bursts for longer than a window becomes normal:
 * for slow drift rather than for attacks in bursts.
 *
 * The state is plain bytes, zeros at first. The range of each feature is taken from the first
 * window.
 */
#ifndef MODELS_HALF_SPACE_TREES_H
#define MODELS_HALF_SPACE_TREES_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define HALF_SPACE_TREES_MAX 100u
#define HALF_SPACE_DEPTH_MAX 12u
#define HALF_SPACE_WINDOW_MAX 32768u
#define HALF_SPACE_FEATURES_MAX 64u

struct half_space_options {
    uint32_t trees, depth; /* The paper's are 25 and 15. */
    uint32_t window;       /* Rows; the paper's is 250. */
    uint32_t feature_count;
    uint64_t seed;
};

struct half_space_trees; /* Features and places of the cuts. Constant; shared by threads. */

MUST_CHECK enum status half_space_create(const struct half_space_options *options,
                                         struct half_space_trees **ret_trees, struct error *error);
void half_space_destroy(struct half_space_trees *trees); /* NULL is a no-op. */

size_t half_space_state_bytes(const struct half_space_options *options);

/*
 * Scores `row` by the window before, and counts it for the next. A tree says log2 of (window + 1) /
 * (mass + 1), where mass is the paper's: the rows of a node times 2^depth, of the first node on the
 * row's way that at most a tenth of a window passed, or the last. So 0 is where rows are as dense
 * as if they were spread evenly, and log2(window + 1) where there were none. The score is the mean
 * over the trees; the paper adds the masses up, which one full node decides, and which gives no
 * reasons: here each cut on a row's way changes what its tree says, and what all cuts on a feature
 * change is the feature's share. ret_terms[feature_count] (may be NULL) sum to the score. NaN in
 * the first two windows: the first sets the ranges, the second is the first to be counted. A
 * missing value goes right.
 */
float half_space_observe(const struct half_space_trees *trees, void *state, const float *row,
                         float *ret_terms);

#endif
