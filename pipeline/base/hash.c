#include "pipeline/base/hash.h"

#include <assert.h>

#include <sodium.h>
#include <xxhash.h>

static_assert(crypto_shorthash_siphashx24_BYTES == 16, "a pseudonym is 128 bits");
static_assert(crypto_shorthash_siphashx24_KEYBYTES == sizeof(struct pseudonym_key), "key size");

struct key128 pseudonym_make(const struct pseudonym_key *key, uint8_t domain, struct text value)
{
    struct pseudonym_key separated = *key;
    separated.bytes[0] ^= domain;
    unsigned char out[16];
    crypto_shorthash_siphashx24(out, (const unsigned char *)(value.length ? value.data : ""),
                                value.length, separated.bytes);
    struct key128 made;
    memcpy(&made.high, out, 8);
    memcpy(&made.low, out + 8, 8);
    return made;
}

uint64_t hash64(struct text value)
{
    return XXH3_64bits(value.length ? value.data : "", value.length);
}

uint64_t hash64_combine(uint64_t a, uint64_t b)
{
    uint64_t words[2] = {a, b};
    return XXH3_64bits(words, sizeof(words));
}

void key128_format(struct key128 key, char ret_hex[33])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        ret_hex[i] = digits[(key.high >> (60 - 4 * i)) & 15];
        ret_hex[16 + i] = digits[(key.low >> (60 - 4 * i)) & 15];
    }
    ret_hex[32] = '\0';
}
