/*
 * exp, log, sin and their kin with the same bits on every x86-64 machine: nothing but IEEE 754
 * additions, multiplications and divisions in a written order, no table and no fused multiply-add
 * (the build says -ffp-contract=off). The C library's own differ between machines and versions, so
 * nothing that ends in state or output may use them. sqrt() is exact everywhere and needs no twin.
 *
 * Double: below 2 units in the last place. After fdlibm (Sun Microsystems, 1993; FreeBSD msun):
 * exp by Remez' rational form on [-ln2/2, ln2/2], log by s = f / (2 + f), sin and cos by their
 * kernels on [-pi/4, pi/4] with pi/2 taken off in parts.
 * Float: below 2e-7 relative. After Cephes (Moshier, 1984-1992), without branches, so that a loop
 * over an array becomes vector code; a vector loop gives the bits of the scalar one.
 *
 * NaN gives NaN. exp overflows to infinity; below the smallest normal number exp gives 0. log of 0
 * is -infinity and of less NaN. No errno, no exceptions, no state: safe in any thread.
 */
#ifndef PIPELINE_BASE_FIXED_MATH_H
#define PIPELINE_BASE_FIXED_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

double fixed_exp(double x);
double fixed_log(double x);
double fixed_log1p(double x);   /* log(1 + x), also right for small x. */
double fixed_sigmoid(double x); /* 1 / (1 + exp(-x)), also right far below zero. */
double fixed_logit(double p);   /* log(p / (1 - p)); p = 0 and 1 give infinities, else NaN. */

/* |x| up to 2^20 * pi/2 (1.6 million); NaN beyond. */
double fixed_sin(double x);
double fixed_cos(double x);

static inline float fixed_float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static inline uint32_t fixed_bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* exp of a float, 0 below -87.33 and infinity above 88.72. */
static inline float fixed_expf(float x)
{
    const float lowest = -87.33654f, highest = 88.72283f;
    const float shifter = 0x1.8p23f; /* Adding it leaves the nearest integer in the low bits. */
    float clamped = x > highest ? highest : x;
    clamped = clamped < lowest ? lowest : clamped; /* NaN passes both. */

    float shifted = clamped * 1.44269504088896341f + shifter;
    float n = shifted - shifter;
    float r = clamped - n * 0.693359375f; /* Exact: the constant has ten bits. */
    r = r - n * -2.12194440e-4f;

    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float result = (p * (r * r) + r) + 1.0f;

    /* times 2^n, in two halves since 2^128 is no float */
    int32_t exponent = (int32_t)(fixed_bits_of_float(shifted) & 0x3FFu);
    exponent = (exponent ^ 0x200) - 0x200;
    int32_t half = exponent >> 1;
    result *= fixed_float_of_bits((uint32_t)(half + 127) << 23);
    result *= fixed_float_of_bits((uint32_t)(exponent - half + 127) << 23);
    result = x > highest ? INFINITY : result;
    return x < lowest ? 0.0f : result;
}

static inline float fixed_logf(float x)
{
    const float smallest = 0x1p-126f;
    float scaled = x < smallest ? x * 0x1p23f : x; /* Subnormal numbers made normal. */
    float bias = x < smallest ? -23.0f : 0.0f;

    /* x = 2^e * m with m in [sqrt(1/2), sqrt(2)) */
    uint32_t bits = fixed_bits_of_float(scaled) - 0x3F3504F3u;
    float e = (float)((int32_t)bits >> 23) + bias;
    float f = fixed_float_of_bits((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f;

    float z = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    float y = f * (z * p);
    y = y + e * -2.12194440e-4f;
    y = y - 0.5f * z;
    float result = (f + y) + e * 0.693359375f;

    result = x == 0.0f ? -INFINITY : result;
    result = x == INFINITY ? INFINITY : result;
    return x >= 0.0f ? result : NAN;
}

static inline float fixed_sigmoidf(float x)
{
    float e = fixed_expf(x < 0.0f ? x : -x);
    float numerator = x < 0.0f ? e : 1.0f;
    return numerator / (1.0f + e);
}

/* Through double: rounded once, not made for vectors. */
static inline float fixed_log1pf(float x)
{
    return (float)fixed_log1p((double)x);
}

static inline float fixed_logitf(float p)
{
    return (float)fixed_logit((double)p);
}

static inline float fixed_sinf(float x)
{
    return (float)fixed_sin((double)x);
}

static inline float fixed_cosf(float x)
{
    return (float)fixed_cos((double)x);
}

#endif
