/*
 * Counting distinct values with a few bits: linear counting (K.-Y. Whang, B. Vander-Zanden, H.
 * Taylor: A linear-time probabilistic counting algorithm, 1990). Error bounds in feature_table.c.
 */
#ifndef OPERATORS_FEATURE_SKETCH_H
#define OPERATORS_FEATURE_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

/* Estimates by the number of bits set. Built once, then constant. */
struct sketch_table {
    float of32[33];
    float of64[65];
    float of128[129];
};

void sketch_table_init(struct sketch_table *table);

/* Which of 2^log2_bits bits a hash sets. The product spreads hashes that are not spread yet. */
static inline uint32_t sketch_bit(uint64_t hash, unsigned log2_bits)
{
    return (uint32_t)((hash * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - log2_bits));
}

/* Sets the hash's bit; a hash of 0 is a missing value. */
static inline void sketch_add32(uint32_t *bits, uint64_t hash)
{
    *bits |= hash ? UINT32_C(1) << sketch_bit(hash, 5) : 0;
}

static inline void sketch_add64(uint64_t *bits, uint64_t hash)
{
    *bits |= hash ? UINT64_C(1) << sketch_bit(hash, 6) : 0;
}

static inline void sketch_add128(uint64_t bits[2], uint64_t hash)
{
    uint32_t bit = sketch_bit(hash, 7);
    bits[bit >> 6] |= hash ? UINT64_C(1) << (bit & 63) : 0;
}

static inline float sketch_count32(const struct sketch_table *table, uint32_t bits)
{
    return table->of32[__builtin_popcount(bits)];
}

static inline float sketch_count64(const struct sketch_table *table, uint64_t bits)
{
    return table->of64[__builtin_popcountll(bits)];
}

static inline float sketch_count128(const struct sketch_table *table, const uint64_t bits[2])
{
    return table->of128[__builtin_popcountll(bits[0]) + __builtin_popcountll(bits[1])];
}

/*
 * Two sketches of 32 bits, for the epoch of the newest time and the one before it; the place of an
 * epoch is its number modulo two.
 */
struct sketch_epochs {
    uint32_t bits[2];
};

static inline void sketch_epochs_advance(struct sketch_epochs *epochs, int64_t from, int64_t to)
{
    if (to > from) {
        epochs->bits[to % 2] = 0;
        if (to > from + 1) {
            epochs->bits[1 - to % 2] = 0;
        }
    }
}

/* True where the bit of `hash` was not set yet. An epoch that has gone is left alone. */
static inline bool sketch_epochs_add(struct sketch_epochs *epochs, uint64_t hash, int64_t epoch,
                                     int64_t newest_epoch)
{
    uint32_t before = epochs->bits[0] | epochs->bits[1];
    uint32_t bit = UINT32_C(1) << sketch_bit(hash, 5);
    if (hash != 0 && epoch + 1 >= newest_epoch) {
        epochs->bits[epoch % 2] |= bit;
    }
    return (before & bit) == 0;
}

static inline float sketch_epochs_count(const struct sketch_table *table,
                                        const struct sketch_epochs *epochs)
{
    return sketch_count32(table, epochs->bits[0] | epochs->bits[1]);
}

#endif
