#include "models/kernel_trees.h"

#define TREES TREE_BLOCK_TREES

/* Complete trees: the place in the heap follows from the comparisons alone. */
static inline __attribute__((always_inline)) void walk_complete(const struct tree_split *splits,
                                                                const float *leaves,
                                                                const float *lane, uint32_t depth,
                                                                float *values)
{
    const size_t inner = ((size_t)1 << depth) - 1;
    size_t at[TREES] = {0}; /* As wide as an address, so that a node is one load away. */
    for (uint32_t level = 0; level < depth; level++) {
#pragma GCC unroll 8
        for (uint32_t t = 0; t < TREES; t++) {
            const struct tree_split *split = &splits[t * inner + at[t]];
            at[t] = 2 * at[t] + 1 + (size_t) !(lane[split->offset] < split->threshold);
        }
    }
#pragma GCC unroll 8
    for (uint32_t t = 0; t < TREES; t++) {
        values[t] = leaves[((size_t)t << depth) + at[t] - inner];
    }
}

/* Any trees: leaves lead to themselves, so all go on until none moves. */
static void walk_nodes(const struct tree_ensemble *ensemble, const struct tree_block *block,
                       const float *lane, float *values)
{
    const struct tree_node *nodes = ensemble->nodes;
    uint32_t at[TREES];
    for (uint32_t t = 0; t < TREES; t++) {
        at[t] = ensemble->roots[block->first_tree + (t < block->tree_count ? t : 0)];
    }
    uint32_t moved = 1;
    while (moved) {
        moved = 0;
#pragma GCC unroll 8
        for (uint32_t t = 0; t < TREES; t++) {
            const struct tree_node *node = &nodes[at[t]];
            float x = lane[(size_t)node->column * TREE_TILE_ROWS];
            uint32_t next = node->left + (uint32_t) !(x < node->threshold);
            moved |= next ^ at[t];
            at[t] = next;
        }
    }
    for (uint32_t t = 0; t < TREES; t++) {
        values[t] = nodes[at[t]].value;
    }
}

static void walk_block(const struct tree_ensemble *ensemble, const struct tree_block *block,
                       const float *lane, float *values)
{
    const struct tree_split *splits = ensemble->splits + block->first_split;
    const float *leaves = ensemble->leaves + block->first_leaf;
    if (!block->is_complete) {
        walk_nodes(ensemble, block, lane, values);
        return;
    }
    /* Each case with its depth as a constant, so that the loops are unrolled. */
    switch (block->depth) {
    case 6:
        walk_complete(splits, leaves, lane, 6, values);
        return;
    case 5:
        walk_complete(splits, leaves, lane, 5, values);
        return;
    case 4:
        walk_complete(splits, leaves, lane, 4, values);
        return;
    case 3:
        walk_complete(splits, leaves, lane, 3, values);
        return;
    default:
        walk_complete(splits, leaves, lane, block->depth, values);
        return;
    }
}

void kernel_trees_plain_block(const struct tree_ensemble *ensemble, const struct tree_block *block,
                              const float *tile, uint32_t rows, double *sums)
{
    const uint32_t *outputs = &ensemble->outputs[block->first_tree];
    for (uint32_t lane = 0; lane < rows; lane++) {
        float values[TREES];
        walk_block(ensemble, block, tile + lane, values);
        for (uint32_t t = 0; t < block->tree_count; t++) {
            sums[(size_t)outputs[t] * TREE_TILE_ROWS + lane] += (double)values[t];
        }
    }
}

void kernel_trees_plain(const struct tree_ensemble *ensemble, const float *tile, uint32_t rows,
                        double *sums)
{
    for (uint32_t i = 0; i < ensemble->block_count; i++) {
        kernel_trees_plain_block(ensemble, &ensemble->blocks[i], tile, rows, sums);
    }
}
