/*
 * Random numbers of the simulation: splitmix64 (Steele, Lea, Flood 2014), seeded from what they are
 * for, so that a shopper's tastes need not be stored. Same bits on every machine.
 */
#ifndef PIPELINE_GENERATE_RANDOM_H
#define PIPELINE_GENERATE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/fixed_math.h"

struct random {
    uint64_t state;
};

static inline uint64_t random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    return random_mix(random->state);
}

/* A stream of its own for (seed, purpose, number). */
static inline struct random random_for(uint64_t seed, uint64_t purpose, uint64_t number)
{
    uint64_t state = random_mix(seed + 0x632be59bd9b4e019u * purpose);
    return (struct random){random_mix(state ^ random_mix(number + 0x9e3779b97f4a7c15u))};
}

/* In [0, 1). */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static inline bool random_chance(struct random *random, double probability)
{
    return random_unit(random) < probability;
}

static inline double random_between(struct random *random, double from, double to)
{
    return from + (to - from) * random_unit(random);
}

/* In [0, count). */
static inline uint64_t random_below(struct random *random, uint64_t count)
{
    return (uint64_t)(random_unit(random) * (double)count);
}

static inline double random_exponential(struct random *random, double mean)
{
    return -mean * fixed_log(1.0 - random_unit(random));
}

/* Standard normal, by Box and Muller; the second value is thrown away. */
static inline double random_normal(struct random *random)
{
    double radius = __builtin_sqrt(-2.0 * fixed_log(1.0 - random_unit(random)));
    return radius * fixed_cos(6.283185307179586 * random_unit(random));
}

static inline double random_lognormal(struct random *random, double median, double sigma)
{
    return median * fixed_exp(sigma * random_normal(random));
}

/*
 * Ranks in [0, count) with P(rank) about (rank + 1)^-exponent, by inversion of the continuous law.
 * The exponent may be 0 (all alike) but not 1.
 */
struct zipf {
    uint64_t count;
    double most; /* (count + 1)^(1 - exponent) */
    double inverse_power;
};

static inline struct zipf zipf_make(uint64_t count, double exponent)
{
    double power = 1.0 - exponent;
    return (struct zipf){count, fixed_exp(power * fixed_log((double)count + 1.0)), 1.0 / power};
}

static inline uint64_t zipf_draw(const struct zipf *zipf, struct random *random)
{
    double drawn = 1.0 + random_unit(random) * (zipf->most - 1.0);
    uint64_t rank = (uint64_t)(fixed_exp(fixed_log(drawn) * zipf->inverse_power) - 1.0);
    return rank < zipf->count ? rank : zipf->count - 1;
}

#endif
