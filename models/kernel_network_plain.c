/* Without vector instructions; fmaf is the machine's own where it has it. */
#include "models/kernel_network.h"

#include "pipeline/base/fixed_math.h"

struct lanes {
    float lane[NETWORK_LANES];
};

#define VECTOR struct lanes
#define INLINE NETWORK_INLINE
#define KERNEL
#define TILE_ROWS_MAX 2u
#define TILE_BLOCKS_MAX 1u
#define TILE_BLOCKS 1u
#define HALF_TILE_ROWS 2u
#define HALF_TILE_BLOCKS 1u

#define LANES_OF(NAME, RESULT)                                                                     \
    INLINE struct lanes NAME(struct lanes a, struct lanes b) {                                     \
        for (uint32_t i = 0; i < NETWORK_LANES; i++) {                                             \
            a.lane[i] = RESULT;                                                                    \
        }                                                                                          \
        return a;                                                                                  \
    }

LANES_OF(lanes_add, a.lane[i] + b.lane[i])
LANES_OF(lanes_subtract, a.lane[i] - b.lane[i])
LANES_OF(lanes_multiply, a.lane[i] * b.lane[i])
LANES_OF(lanes_divide, a.lane[i] / b.lane[i])
LANES_OF(lanes_least, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i])
LANES_OF(lanes_most, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i])

INLINE struct lanes lanes_load(const float *from)
{
    struct lanes v;
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        v.lane[i] = from[i];
    }
    return v;
}

INLINE void lanes_store(float *to, struct lanes v)
{
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        to[i] = v.lane[i];
    }
}

INLINE struct lanes lanes_all(float x)
{
    struct lanes v;
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        v.lane[i] = x;
    }
    return v;
}

INLINE struct lanes lanes_fused(struct lanes a, struct lanes b, struct lanes c)
{
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        c.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
    }
    return c;
}

#define BITS_OF(NAME, RESULT)                                                                      \
    INLINE struct lanes NAME(struct lanes a, struct lanes b) {                                     \
        for (uint32_t i = 0; i < NETWORK_LANES; i++) {                                             \
            uint32_t x = fixed_bits_of_float(a.lane[i]);                                           \
            uint32_t y = fixed_bits_of_float(b.lane[i]);                                           \
            a.lane[i] = fixed_float_of_bits(RESULT);                                               \
        }                                                                                          \
        return a;                                                                                  \
    }

BITS_OF(lanes_and, x &y)
BITS_OF(lanes_or, x | y)
BITS_OF(lanes_without, x & ~y)

INLINE struct lanes lanes_steps(struct lanes v)
{
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        v.lane[i] = (float)(int32_t)(fixed_bits_of_float(v.lane[i]) - 0x3F800000u);
    }
    return v;
}

INLINE struct lanes lanes_or_missing(struct lanes x, struct lanes z, struct lanes fill)
{
    for (uint32_t i = 0; i < NETWORK_LANES; i++) {
        z.lane[i] = x.lane[i] == x.lane[i] ? z.lane[i] : fill.lane[i];
    }
    return z;
}

#include "models/kernel_network_body.h"

const struct network_kernels network_kernels_plain = NETWORK_KERNELS("plain");
