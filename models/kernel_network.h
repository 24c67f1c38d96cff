/*
 * Kernels of neural networks: matrix products, activations, layer norm, and the cells of recurrent
 * layers. Each sum runs over its inputs in their order, by fused multiply-add, in one lane of 16
 * that stand for 16 outputs; so a result has the same bits whichever kernels run, whatever the
 * number of rows, and without them (the plain ones use fmaf, which rounds once by its definition).
 *
 * exp and its kin are rational approximations by the same operations: tanh and erf by Eigen's
 * (Guennebaud, Jacob and others: generic_fast_tanh_float, generic_fast_erf_float), within 1e-6 of
 * the true value everywhere; the logistic function is (1 + tanh(x / 2)) / 2.
 *
 * Vectors are padded with zeros to a multiple of 16 floats and stand at a multiple of 64 bytes.
 */
#ifndef MODELS_KERNEL_NETWORK_H
#define MODELS_KERNEL_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#define NETWORK_LANES 16u

/* Before the pieces of kernels. With the checks of a sanitizer inlined, they take minutes to
 * compile. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NETWORK_IS_CHECKED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define NETWORK_IS_CHECKED
#endif
#ifdef NETWORK_IS_CHECKED
#define NETWORK_INLINE static __attribute__((noinline, unused))
#define NETWORK_UNROLL
#else
#define NETWORK_INLINE static inline __attribute__((always_inline))
#define NETWORK_UNROLL _Pragma("GCC unroll 16")
#endif

enum activation {
    ACTIVATION_NONE,
    ACTIVATION_RELU,
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID,
    ACTIVATION_GELU, /* x times the normal distribution's share below x, by erf. */
    ACTIVATION_COUNT
};
extern const char *const activation_names[ACTIVATION_COUNT];

/*
 * c[row][j] = bias[j] + sum over k of a[row * a_row + k * a_step] * b[j / 16][k][j % 16], for
 * `rows` rows and 16 * `blocks` columns; c may not overlap the others.
 */
struct network_product {
    const float *a;
    size_t a_row, a_step; /* In floats. */
    const float *b;       /* [blocks][steps][16] */
    const float *bias;    /* [blocks * 16]; NULL: added to c as it stands. */
    float *c;
    size_t c_row;
    uint32_t rows, steps, blocks;
};

/* How raw numbers become inputs; arrays of `count`, a multiple of 16, zeros where none is. */
struct network_scaling {
    const float *mean, *inverse, *limit, *fill;
    const float *octaves; /* All bits set where the number is first taken in octaves, else 0. */
    uint32_t count;
};

struct network_kernels {
    const char *name;
    void (*product)(const struct network_product *product);

    /* x = activation(x), for `count` values, a multiple of 16. */
    void (*activate)(enum activation activation, float *x, size_t count);

    /*
     * h = (1 - z) n + z h with r and z the logistic functions of gates 0 and 1, n = tanh(gate 2 + r
     * gate 3), as PyTorch has it (Cho and others, 2014; the reset gate behind the product).
     */
    void (*gru)(const float *gates, float *h, uint32_t padded); /* gates [4][padded], h [padded] */

    /* c = f c + i g, h = o tanh(c), gates i, f, g, o (Hochreiter and Schmidhuber, 1997). */
    void (*lstm)(const float *gates, float *h, float *c, uint32_t padded);

    /*
     * x = (x - mean) / sqrt(variance + epsilon) * weight + bias over `count` values (Ba, Kiros and
     * Hinton, 2016), in 16 partial sums that are added up in halves. Padding is left as it is.
     */
    void (*normalize)(const float *weight, const float *bias, float epsilon, float *x,
                      uint32_t count);

    /* x = clamp((t(x) - mean) * inverse, -limit, limit), or fill where x is NaN; t is octaves_of
     * (models/model_pack.h) or nothing. */
    void (*standardise)(const struct network_scaling *scaling, float *x);
};

extern const struct network_kernels network_kernels_plain;
#if defined(__x86_64__)
extern const struct network_kernels network_kernels_avx2; /* With FMA. */
extern const struct network_kernels network_kernels_avx512;
#endif

/* The fastest of this machine. */
const struct network_kernels *network_kernels_choose(void);

/* All of this machine, plain first; NULL behind the last. */
const struct network_kernels *network_kernels_at(uint32_t index);

/* Bits of float sums do not depend on it; how many floats are needed for `count`. */
static inline uint32_t network_padded(uint32_t count)
{
    return (count + NETWORK_LANES - 1) & ~(NETWORK_LANES - 1);
}

#endif
