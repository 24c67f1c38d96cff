/*
 * Hashes. Identities are hashed with a secret key before anything else sees them (SipHash-2-4 with
 * 128 bits, from libsodium); other words with XXH3, which is fast and not secret.
 */
#ifndef PIPELINE_BASE_HASH_H
#define PIPELINE_BASE_HASH_H

#include <stdint.h>

#include "pipeline/base/text.h"

struct key128 {
    uint64_t high; /* Compared first. */
    uint64_t low;
};

struct pseudonym_key {
    unsigned char bytes[16];
};

/* Keyed hash of (domain, value): equal values of two domains, such as card and user, differ. */
struct key128 pseudonym_make(const struct pseudonym_key *key, uint8_t domain, struct text value);

/* Not keyed: items, categories, rule names. Stable for all time, since state and ids hold it. */
uint64_t hash64(struct text value);

/* Mixes two words into one. Stable for all time. */
uint64_t hash64_combine(uint64_t a, uint64_t b);

/* 32 lower-case hexadecimal digits and a terminating zero. */
void key128_format(struct key128 key, char ret_hex[33]);

static inline int key128_compare(struct key128 a, struct key128 b)
{
    if (a.high != b.high) {
        return a.high < b.high ? -1 : 1;
    }
    return a.low < b.low ? -1 : a.low > b.low;
}

#endif
