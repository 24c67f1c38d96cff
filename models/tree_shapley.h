/*
 * Shapley values of the leaves of trees, in time that grows with nodes times depth.
 *
 * Among the features that are known, a leaf is reached by the product of its splits' factors: 1 or
 * 0 where the split's feature is known, else the share of training rows that go there. Shapley
 * values are an integral over the chance t with which each feature is known (Owen, "Multilinear
 * Extensions of Games", 1972), and of a leaf they are one over a polynomial in t of a degree below
 * the number of features on its path, which Gauss' and Legendre's quadrature sums exactly. Leaves
 * below a split are summed before its factor comes in (Yu and others, "Linear TreeShap", 2022).
 */
#ifndef MODELS_TREE_SHAPLEY_H
#define MODELS_TREE_SHAPLEY_H

#include <stdint.h>

#include "models/tree_layout.h"

struct tree_shapley;

/*
 * Room for the trees of `ensemble`, for one thread: 64 bytes a node of its largest tree for each
 * eight features on a path, and 48 a split of all. NULL: out of memory.
 */
struct tree_shapley *tree_shapley_create(const struct tree_ensemble *ensemble);
void tree_shapley_destroy(struct tree_shapley *shapley); /* NULL is a no-op. */

/*
 * contributions[feature_count] = sums over the trees of margin `output`, before the ensemble's
 * divisor, for the row in lane 0 of `tile`.
 */
void tree_shapley_explain(struct tree_shapley *shapley, const struct tree_ensemble *ensemble,
                          const float *tile, uint32_t output, double *contributions);

#endif
