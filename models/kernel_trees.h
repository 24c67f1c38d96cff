/*
 * Kernels: add the leaves that the rows of a tile reach to their sums. All take the same
 * comparisons and add in the order of the trees, so they agree in every bit.
 */
#ifndef MODELS_KERNEL_TREES_H
#define MODELS_KERNEL_TREES_H

#include "models/tree_layout.h"

/* sums is [output_count][16]; lanes from `rows` on may hold anything afterwards. */
typedef void tree_kernel_function(const struct tree_ensemble *ensemble, const float *tile,
                                  uint32_t rows, double *sums);

/* One lane after the other, 8 trees side by side: the latency of one hides behind the others. */
tree_kernel_function kernel_trees_plain;

/* One block of trees for `rows` lanes; what the vector kernels use for deep trees. */
void kernel_trees_plain_block(const struct tree_ensemble *ensemble, const struct tree_block *block,
                              const float *tile, uint32_t rows, double *sums);

/*
 * 16 lanes at once: the comparisons at all nodes of a complete tree, then the leaf is chosen from
 * the bottom up, without branches and without gathers. x86-64 only; the machine must have them.
 */
tree_kernel_function kernel_trees_avx2;
tree_kernel_function kernel_trees_avx512;

#endif
