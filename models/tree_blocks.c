#include <assert.h>
#include <stdlib.h>

#include "models/tree_layout.h"

static_assert((uint64_t)TREE_COUNT_MAX << TREE_COMPLETE_DEPTH_MAX < UINT32_MAX,
              "places of splits and leaves are 32 bits");

/* Copies the tree below `node` into slot `slot` of its heap; leaves fill all that is below them. */
static void complete(const struct tree_ensemble *ensemble, uint32_t node, uint32_t slot,
                     uint32_t levels, struct tree_split *splits, float *leaves)
{
    const struct tree_node *at = &ensemble->nodes[node];
    if (levels == 0) {
        *leaves = at->value;
        return;
    }
    splits[slot] = (struct tree_split){at->threshold, at->column * TREE_TILE_ROWS};
    bool is_leaf = at->left == node;
    uint32_t half = 1u << (levels - 1);
    complete(ensemble, at->left, 2 * slot + 1, levels - 1, splits, leaves);
    complete(ensemble, is_leaf ? node : at->left + 1, 2 * slot + 2, levels - 1, splits,
             leaves + half);
}

/* Cuts the trees into blocks; returns how many splits and leaves the complete ones take. */
static void plan_blocks(struct tree_ensemble *ensemble, const uint32_t *depths, size_t *ret_splits,
                        size_t *ret_leaves)
{
    size_t splits = 0;
    size_t leaves = 0;
    for (uint32_t i = 0; i < ensemble->block_count; i++) {
        struct tree_block *block = &ensemble->blocks[i];
        uint32_t rest = ensemble->facts.tree_count - i * TREE_BLOCK_TREES;
        block->first_tree = i * TREE_BLOCK_TREES;
        block->tree_count = rest < TREE_BLOCK_TREES ? rest : TREE_BLOCK_TREES;
        for (uint32_t t = 0; t < block->tree_count; t++) {
            uint32_t depth = depths[block->first_tree + t];
            block->depth = depth > block->depth ? depth : block->depth;
        }
        block->is_complete = block->depth <= TREE_COMPLETE_DEPTH_MAX;
        if (block->is_complete) {
            block->first_split = (uint32_t)splits;
            block->first_leaf = (uint32_t)leaves;
            splits += (size_t)TREE_BLOCK_TREES * ((1u << block->depth) - 1);
            leaves += (size_t)TREE_BLOCK_TREES << block->depth;
        }
    }
    *ret_splits = splits;
    *ret_leaves = leaves;
}

bool tree_blocks_create(struct tree_ensemble *ensemble, const uint32_t *depths)
{
    uint32_t tree_count = ensemble->facts.tree_count;
    ensemble->block_count = (tree_count + TREE_BLOCK_TREES - 1) / TREE_BLOCK_TREES;
    ensemble->blocks = calloc(ensemble->block_count + 1u, sizeof(*ensemble->blocks));
    if (!ensemble->blocks) {
        return false;
    }
    size_t splits;
    size_t leaves;
    plan_blocks(ensemble, depths, &splits, &leaves);
    /* Zero: a block's missing trees test column 0 and have leaves of 0. */
    ensemble->splits = calloc(splits + 1, sizeof(*ensemble->splits));
    ensemble->leaves = calloc(leaves + 1, sizeof(*ensemble->leaves));
    if (!ensemble->splits || !ensemble->leaves) {
        return false;
    }
    for (uint32_t i = 0; i < ensemble->block_count; i++) {
        const struct tree_block *block = &ensemble->blocks[i];
        for (uint32_t t = 0; block->is_complete && t < block->tree_count; t++) {
            size_t inner = (1u << block->depth) - 1;
            complete(ensemble, ensemble->roots[block->first_tree + t], 0, block->depth,
                     &ensemble->splits[block->first_split + t * inner],
                     &ensemble->leaves[block->first_leaf + (t << block->depth)]);
        }
    }
    return true;
}
