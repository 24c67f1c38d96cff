#include "models/kernel_network.h"

#if defined(__x86_64__)

#include <immintrin.h>

struct lanes {
    __m256 low, high;
};

#define VECTOR struct lanes
#define KERNEL __attribute__((target("avx2,fma")))
#define INLINE NETWORK_INLINE __attribute__((target("avx2,fma")))

/* 12 of the 16 registers hold sums. */
#define TILE_ROWS_MAX 6u
#define TILE_BLOCKS 1u
#define HALF_TILE_ROWS 3u
#define HALF_TILE_BLOCKS 2u
#define TILE_BLOCKS_MAX 6u

#define LANES_OF(NAME, OPERATION)                                                                  \
    INLINE struct lanes NAME(struct lanes a, struct lanes b) {                                     \
        return (struct lanes){OPERATION(a.low, b.low), OPERATION(a.high, b.high)};                 \
    }

LANES_OF(lanes_add, _mm256_add_ps)
LANES_OF(lanes_subtract, _mm256_sub_ps)
LANES_OF(lanes_multiply, _mm256_mul_ps)
LANES_OF(lanes_divide, _mm256_div_ps)
LANES_OF(lanes_least, _mm256_min_ps)
LANES_OF(lanes_most, _mm256_max_ps)
LANES_OF(lanes_and, _mm256_and_ps)
LANES_OF(lanes_or, _mm256_or_ps)

INLINE struct lanes lanes_without(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_andnot_ps(b.low, a.low), _mm256_andnot_ps(b.high, a.high)};
}

INLINE __m256 half_steps(__m256 v)
{
    __m256i bits = _mm256_sub_epi32(_mm256_castps_si256(v), _mm256_set1_epi32(0x3F800000));
    return _mm256_cvtepi32_ps(bits);
}

INLINE struct lanes lanes_steps(struct lanes v)
{
    return (struct lanes){half_steps(v.low), half_steps(v.high)};
}

INLINE struct lanes lanes_or_missing(struct lanes x, struct lanes z, struct lanes fill)
{
    __m256 low = _mm256_cmp_ps(x.low, x.low, _CMP_UNORD_Q);
    __m256 high = _mm256_cmp_ps(x.high, x.high, _CMP_UNORD_Q);
    return (struct lanes){_mm256_blendv_ps(z.low, fill.low, low),
                          _mm256_blendv_ps(z.high, fill.high, high)};
}

INLINE struct lanes lanes_load(const float *from)
{
    return (struct lanes){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}

INLINE void lanes_store(float *to, struct lanes v)
{
    _mm256_storeu_ps(to, v.low);
    _mm256_storeu_ps(to + 8, v.high);
}

INLINE struct lanes lanes_all(float x)
{
    return (struct lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

INLINE struct lanes lanes_fused(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm256_fmadd_ps(a.low, b.low, c.low),
                          _mm256_fmadd_ps(a.high, b.high, c.high)};
}

#include "models/kernel_network_body.h"

const struct network_kernels network_kernels_avx2 = NETWORK_KERNELS("avx2");

#endif
