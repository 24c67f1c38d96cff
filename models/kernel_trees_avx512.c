#include "models/kernel_trees.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VECTOR __m512
#define KERNEL __attribute__((target("avx512f")))
#define KERNEL_NAME kernel_trees_avx512
#define INLINE static inline __attribute__((always_inline, target("avx512f")))

INLINE __m512 lanes_all(const float *value)
{
    return _mm512_set1_ps(*value);
}

INLINE __m512 lanes_choose(const float *x, const float *threshold, __m512 left, __m512 right)
{
    __mmask16 below = _mm512_cmp_ps_mask(_mm512_load_ps(x), _mm512_set1_ps(*threshold), _CMP_LT_OQ);
    return _mm512_mask_mov_ps(right, below, left);
}

INLINE void lanes_add_to(double *sums, __m512 values)
{
    __m256 low = _mm512_castps512_ps256(values);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(values), 1));
    _mm512_store_pd(sums, _mm512_add_pd(_mm512_load_pd(sums), _mm512_cvtps_pd(low)));
    _mm512_store_pd(sums + 8, _mm512_add_pd(_mm512_load_pd(sums + 8), _mm512_cvtps_pd(high)));
}

#include "models/kernel_trees_body.h"

#endif
