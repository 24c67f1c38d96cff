#include "pipeline/state/key_filter.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define BLOCK_WORDS 8u /* One bit in each is a key's. */
#define PREFETCH_KEYS 8u

struct block {
    uint32_t words[BLOCK_WORDS];
};

struct key_filter {
    uint32_t block_count;
    struct block *blocks; /* On a cache line. */
};

/* Odd numbers that make eight bits of one hash, those of Parquet's specification. */
static const uint32_t salts[BLOCK_WORDS] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                            0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

struct key_filter *key_filter_create(size_t bytes)
{
    size_t count = bytes / sizeof(struct block);
    count = count < 2 ? 2 : count > UINT32_MAX / 2 ? UINT32_MAX / 2 : count / 2 * 2;
    struct key_filter *filter = calloc(1, sizeof(*filter));
    struct block *blocks = aligned_alloc(64, count * sizeof(*blocks));
    if (!filter || !blocks) {
        free(filter);
        free(blocks);
        return NULL;
    }
    memset(blocks, 0, count * sizeof(*blocks));
    filter->block_count = (uint32_t)count;
    filter->blocks = blocks;
    return filter;
}

void key_filter_destroy(struct key_filter *filter)
{
    if (filter) {
        free(filter->blocks);
        free(filter);
    }
}

static uint64_t hash_of(const struct store_key *key)
{
    return XXH3_64bits(key->bytes, key->length);
}

static struct block *block_of(const struct key_filter *filter, uint64_t hash)
{
    return &filter->blocks[(hash >> 32) * filter->block_count >> 32];
}

static uint32_t bit_of(uint64_t hash, uint32_t word)
{
    return UINT32_C(1) << ((uint32_t)hash * salts[word] >> 27);
}

static void add(struct key_filter *filter, uint64_t hash)
{
    struct block *block = block_of(filter, hash);
    for (uint32_t i = 0; i < BLOCK_WORDS; i++) {
        block->words[i] |= bit_of(hash, i);
    }
}

void key_filter_add(struct key_filter *filter, const struct store_key *key)
{
    add(filter, hash_of(key));
}

void key_filter_add_puts(struct key_filter *filter, const struct store_put *puts, uint32_t count,
                         unsigned char first_byte)
{
    uint64_t hashes[PREFETCH_KEYS];
    uint32_t held = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (puts[i].bytes && puts[i].key.bytes[0] == first_byte) {
            hashes[held] = hash_of(&puts[i].key);
            __builtin_prefetch(block_of(filter, hashes[held++]), 1);
        }
        if (held == PREFETCH_KEYS || i + 1 == count) {
            while (held > 0) {
                add(filter, hashes[--held]);
            }
        }
    }
}

static bool has(const struct key_filter *filter, uint64_t hash)
{
    const struct block *block = block_of(filter, hash);
    uint32_t missing = 0;
    for (uint32_t i = 0; i < BLOCK_WORDS; i++) {
        missing |= ~block->words[i] & bit_of(hash, i);
    }
    return missing == 0;
}

void key_filter_ask(const struct key_filter *filter, const struct store_key *keys, uint32_t count,
                    bool *ret_may_be)
{
    uint64_t hashes[PREFETCH_KEYS];
    for (uint32_t first = 0; first < count; first += PREFETCH_KEYS) {
        uint32_t some = count - first < PREFETCH_KEYS ? count - first : PREFETCH_KEYS;
        for (uint32_t i = 0; i < some; i++) {
            hashes[i] = hash_of(&keys[first + i]);
            __builtin_prefetch(block_of(filter, hashes[i]));
        }
        for (uint32_t i = 0; i < some; i++) {
            ret_may_be[first + i] = has(filter, hashes[i]);
        }
    }
}
