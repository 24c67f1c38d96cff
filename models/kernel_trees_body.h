/*
 * The kernel in terms of 16 lanes; included by kernel_trees_*.c, which define what a lane vector
 * is: VECTOR, INLINE, KERNEL, KERNEL_NAME, lanes_all, lanes_add_to (sums of 16 doubles), and
 * lanes_choose(x, threshold, left, right), which is left where x < threshold and right elsewhere,
 * also where x is NaN.
 */

/* Node `node` of the heap, whose children are leaves `leaf` and `leaf` + 1. */
INLINE VECTOR reach_1(const struct tree_split *splits, const float *leaves, const float *tile,
                      uint32_t node, uint32_t leaf)
{
    return lanes_choose(tile + splits[node].offset, &splits[node].threshold,
                        lanes_all(&leaves[leaf]), lanes_all(&leaves[leaf + 1]));
}

/* A node with more levels below it, made of its two halves of LEAVES leaves each. */
#define REACH(NAME, BELOW, LEAVES)                                                                 \
    INLINE VECTOR NAME(const struct tree_split *splits, const float *leaves, const float *tile,    \
                       uint32_t node, uint32_t leaf)                                               \
    {                                                                                              \
        VECTOR left = BELOW(splits, leaves, tile, 2 * node + 1, leaf);                             \
        VECTOR right = BELOW(splits, leaves, tile, 2 * node + 2, leaf + (LEAVES));                 \
        return lanes_choose(tile + splits[node].offset, &splits[node].threshold, left, right);     \
    }

REACH(reach_2, reach_1, 2)
REACH(reach_3, reach_2, 4)
REACH(reach_4, reach_3, 8)
REACH(reach_5, reach_4, 16)
REACH(reach_6, reach_5, 32)

#define EACH_TREE(DEPTH, REACHED)                                                                  \
    for (uint32_t t = 0; t < block->tree_count; t++) {                                             \
        lanes_add_to(&sums[(size_t)outputs[t] * TREE_TILE_ROWS], REACHED);                         \
        splits += (1u << (DEPTH)) - 1;                                                             \
        leaves += 1u << (DEPTH);                                                                   \
    }                                                                                              \
    return

KERNEL static void score_block(const struct tree_ensemble *ensemble, const struct tree_block *block,
                               const float *tile, double *sums)
{
    const uint32_t *outputs = &ensemble->outputs[block->first_tree];
    const struct tree_split *splits = ensemble->splits + block->first_split;
    const float *leaves = ensemble->leaves + block->first_leaf;
    switch (block->depth) {
    case 0:
        EACH_TREE(0, lanes_all(leaves));
    case 1:
        EACH_TREE(1, reach_1(splits, leaves, tile, 0, 0));
    case 2:
        EACH_TREE(2, reach_2(splits, leaves, tile, 0, 0));
    case 3:
        EACH_TREE(3, reach_3(splits, leaves, tile, 0, 0));
    case 4:
        EACH_TREE(4, reach_4(splits, leaves, tile, 0, 0));
    case 5:
        EACH_TREE(5, reach_5(splits, leaves, tile, 0, 0));
    default:
        EACH_TREE(6, reach_6(splits, leaves, tile, 0, 0));
    }
}

KERNEL void KERNEL_NAME(const struct tree_ensemble *ensemble, const float *tile, uint32_t rows,
                        double *sums)
{
    for (uint32_t i = 0; i < ensemble->block_count; i++) {
        const struct tree_block *block = &ensemble->blocks[i];
        if (block->is_complete) {
            score_block(ensemble, block, tile, sums);
        } else {
            kernel_trees_plain_block(ensemble, block, tile, rows, sums);
        }
    }
}
