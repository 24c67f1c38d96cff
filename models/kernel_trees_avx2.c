#include "models/kernel_trees.h"

#if defined(__x86_64__)

#include <immintrin.h>

struct lanes {
    __m256 low, high;
};

#define VECTOR struct lanes
#define KERNEL __attribute__((target("avx2")))
#define KERNEL_NAME kernel_trees_avx2
#define INLINE static inline __attribute__((always_inline, target("avx2")))

INLINE struct lanes lanes_all(const float *value)
{
    __m256 all = _mm256_broadcast_ss(value);
    return (struct lanes){all, all};
}

INLINE struct lanes lanes_choose(const float *x, const float *threshold, struct lanes left,
                                 struct lanes right)
{
    __m256 all = _mm256_broadcast_ss(threshold);
    __m256 low = _mm256_cmp_ps(_mm256_load_ps(x), all, _CMP_LT_OQ);
    __m256 high = _mm256_cmp_ps(_mm256_load_ps(x + 8), all, _CMP_LT_OQ);
    return (struct lanes){_mm256_blendv_ps(right.low, left.low, low),
                          _mm256_blendv_ps(right.high, left.high, high)};
}

INLINE void add_quarter(double *sums, __m128 values)
{
    _mm256_store_pd(sums, _mm256_add_pd(_mm256_load_pd(sums), _mm256_cvtps_pd(values)));
}

INLINE void lanes_add_to(double *sums, struct lanes values)
{
    add_quarter(sums, _mm256_castps256_ps128(values.low));
    add_quarter(sums + 4, _mm256_extractf128_ps(values.low, 1));
    add_quarter(sums + 8, _mm256_castps256_ps128(values.high));
    add_quarter(sums + 12, _mm256_extractf128_ps(values.high, 1));
}

#include "models/kernel_trees_body.h"

#endif
