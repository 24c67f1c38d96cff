#include "models/kernel_network.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VECTOR __m512
#define KERNEL __attribute__((target("avx512f,fma")))
#define INLINE NETWORK_INLINE __attribute__((target("avx512f,fma")))

/* 24 of the 32 registers hold sums. */
#define TILE_ROWS_MAX 8u
#define TILE_BLOCKS 3u
#define HALF_TILE_ROWS 4u
#define HALF_TILE_BLOCKS 4u
#define TILE_BLOCKS_MAX 8u

#define lanes_load _mm512_loadu_ps
#define lanes_store _mm512_storeu_ps
#define lanes_all _mm512_set1_ps
#define lanes_add _mm512_add_ps
#define lanes_subtract _mm512_sub_ps
#define lanes_multiply _mm512_mul_ps
#define lanes_divide _mm512_div_ps
#define lanes_least _mm512_min_ps
#define lanes_most _mm512_max_ps
#define lanes_fused _mm512_fmadd_ps

#define BITS(x) _mm512_castps_si512(x)

INLINE __m512 lanes_and(__m512 a, __m512 b)
{
    return _mm512_castsi512_ps(_mm512_and_epi32(BITS(a), BITS(b)));
}

INLINE __m512 lanes_or(__m512 a, __m512 b)
{
    return _mm512_castsi512_ps(_mm512_or_epi32(BITS(a), BITS(b)));
}

INLINE __m512 lanes_without(__m512 a, __m512 b)
{
    return _mm512_castsi512_ps(_mm512_andnot_epi32(BITS(b), BITS(a)));
}

INLINE __m512 lanes_steps(__m512 v)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(BITS(v), _mm512_set1_epi32(0x3F800000)));
}

INLINE __m512 lanes_or_missing(__m512 x, __m512 z, __m512 fill)
{
    return _mm512_mask_mov_ps(z, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), fill);
}

#include "models/kernel_network_body.h"

const struct network_kernels network_kernels_avx512 = NETWORK_KERNELS("avx512");

#endif
