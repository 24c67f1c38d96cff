#include "models/kernel_trees.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline, target("avx2")))

struct lanes {
    __m256 low, high;
};

/* Node `node` of the heap, whose children are leaves `leaf` and `leaf` + 1. */
INLINE struct lanes reach_1(const struct tree_split *splits, const float *leaves, const float *tile,
                            uint32_t node, uint32_t leaf)
{
    const float *x = tile + splits[node].offset;
    __m256 threshold = _mm256_broadcast_ss(&splits[node].threshold);
    __m256 left = _mm256_broadcast_ss(&leaves[leaf]);
    __m256 right = _mm256_broadcast_ss(&leaves[leaf + 1]);
    __m256 low = _mm256_cmp_ps(_mm256_load_ps(x), threshold, _CMP_LT_OQ);
    __m256 high = _mm256_cmp_ps(_mm256_load_ps(x + 8), threshold, _CMP_LT_OQ);
    return (struct lanes){_mm256_blendv_ps(right, left, low), _mm256_blendv_ps(right, left, high)};
}

/* A node with more levels below it, made of its two halves of LEAVES leaves each. */
#define REACH(NAME, BELOW, LEAVES)                                                                 \
    INLINE struct lanes NAME(const struct tree_split *splits, const float *leaves,                 \
                             const float *tile, uint32_t node, uint32_t leaf) {                    \
        struct lanes left = BELOW(splits, leaves, tile, 2 * node + 1, leaf);                       \
        struct lanes right = BELOW(splits, leaves, tile, 2 * node + 2, leaf + (LEAVES));           \
        const float *x = tile + splits[node].offset;                                               \
        __m256 threshold = _mm256_broadcast_ss(&splits[node].threshold);                           \
        __m256 low = _mm256_cmp_ps(_mm256_load_ps(x), threshold, _CMP_LT_OQ);                      \
        __m256 high = _mm256_cmp_ps(_mm256_load_ps(x + 8), threshold, _CMP_LT_OQ);                 \
        return (struct lanes){_mm256_blendv_ps(right.low, left.low, low),                          \
                              _mm256_blendv_ps(right.high, left.high, high)};                      \
    }

REACH(reach_2, reach_1, 2)
REACH(reach_3, reach_2, 4)
REACH(reach_4, reach_3, 8)
REACH(reach_5, reach_4, 16)
REACH(reach_6, reach_5, 32)

INLINE struct lanes reach_0(const float *leaves)
{
    __m256 leaf = _mm256_broadcast_ss(leaves);
    return (struct lanes){leaf, leaf};
}

INLINE void add(double *sums, __m128 values)
{
    _mm256_store_pd(sums, _mm256_add_pd(_mm256_load_pd(sums), _mm256_cvtps_pd(values)));
}

INLINE void add_lanes(double *sums, struct lanes values)
{
    add(sums, _mm256_castps256_ps128(values.low));
    add(sums + 4, _mm256_extractf128_ps(values.low, 1));
    add(sums + 8, _mm256_castps256_ps128(values.high));
    add(sums + 12, _mm256_extractf128_ps(values.high, 1));
}

#define EACH_TREE(DEPTH, REACHED)                                                                  \
    for (uint32_t t = 0; t < block->tree_count; t++) {                                             \
        add_lanes(&sums[(size_t)outputs[t] * TREE_TILE_ROWS], REACHED);                            \
        splits += (1u << (DEPTH)) - 1;                                                             \
        leaves += 1u << (DEPTH);                                                                   \
    }                                                                                              \
    return

__attribute__((target("avx2"))) static void score_block(const struct tree_ensemble *ensemble,
                                                        const struct tree_block *block,
                                                        const float *tile, double *sums)
{
    const uint32_t *outputs = &ensemble->outputs[block->first_tree];
    const struct tree_split *splits = ensemble->splits + block->first_split;
    const float *leaves = ensemble->leaves + block->first_leaf;
    switch (block->depth) {
    case 0:
        EACH_TREE(0, reach_0(leaves));
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

__attribute__((target("avx2"))) void kernel_trees_avx2(const struct tree_ensemble *ensemble,
                                                       const float *tile, uint32_t rows,
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

#endif
