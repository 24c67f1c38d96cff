#include "models/kernel_trees.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline, target("avx512f")))

/* Node `node` of the heap, whose children are leaves `leaf` and `leaf` + 1. */
INLINE __m512 reach_1(const struct tree_split *splits, const float *leaves, const float *tile,
                      uint32_t node, uint32_t leaf)
{
    __m512 x = _mm512_load_ps(tile + splits[node].offset);
    __mmask16 left = _mm512_cmp_ps_mask(x, _mm512_set1_ps(splits[node].threshold), _CMP_LT_OQ);
    __m512 right = _mm512_set1_ps(leaves[leaf + 1]);
    return _mm512_mask_mov_ps(right, left, _mm512_set1_ps(leaves[leaf]));
}

/* A node with more levels below it, made of its two halves of LEAVES leaves each. */
#define REACH(NAME, BELOW, LEAVES)                                                                 \
    INLINE __m512 NAME(const struct tree_split *splits, const float *leaves, const float *tile,    \
                       uint32_t node, uint32_t leaf)                                               \
    {                                                                                              \
        __m512 left = BELOW(splits, leaves, tile, 2 * node + 1, leaf);                             \
        __m512 right = BELOW(splits, leaves, tile, 2 * node + 2, leaf + (LEAVES));                 \
        __m512 x = _mm512_load_ps(tile + splits[node].offset);                                     \
        __m512 threshold = _mm512_set1_ps(splits[node].threshold);                                 \
        return _mm512_mask_mov_ps(right, _mm512_cmp_ps_mask(x, threshold, _CMP_LT_OQ), left);      \
    }

REACH(reach_2, reach_1, 2)
REACH(reach_3, reach_2, 4)
REACH(reach_4, reach_3, 8)
REACH(reach_5, reach_4, 16)
REACH(reach_6, reach_5, 32)

INLINE __m512 reach_0(const float *leaves)
{
    return _mm512_set1_ps(*leaves);
}

INLINE void add_lanes(double *sums, __m512 values)
{
    __m256 low = _mm512_castps512_ps256(values);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(values), 1));
    _mm512_store_pd(sums, _mm512_add_pd(_mm512_load_pd(sums), _mm512_cvtps_pd(low)));
    _mm512_store_pd(sums + 8, _mm512_add_pd(_mm512_load_pd(sums + 8), _mm512_cvtps_pd(high)));
}

#define EACH_TREE(DEPTH, REACHED)                                                                  \
    for (uint32_t t = 0; t < block->tree_count; t++) {                                             \
        add_lanes(&sums[(size_t)outputs[t] * TREE_TILE_ROWS], REACHED);                            \
        splits += (1u << (DEPTH)) - 1;                                                             \
        leaves += 1u << (DEPTH);                                                                   \
    }                                                                                              \
    return

__attribute__((target("avx512f"))) static void score_block(const struct tree_ensemble *ensemble,
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

__attribute__((target("avx512f"))) void kernel_trees_avx512(const struct tree_ensemble *ensemble,
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
