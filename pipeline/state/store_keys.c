#include <string.h>

#include "pipeline/state/record_cache.h"

#define RECORD_KEY_BYTES 18u
#define TIMER_KEY_BYTES 26u

static void put_big_endian(unsigned char *out, uint64_t word)
{
    word = __builtin_bswap64(word);
    memcpy(out, &word, 8);
}

static uint64_t get_big_endian(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    return __builtin_bswap64(word);
}

static void put_record_key(unsigned char *out, struct record_key key)
{
    out[0] = key.kind;
    put_big_endian(out + 1, key.id.high);
    put_big_endian(out + 9, key.id.low);
}

struct store_key store_key_of_record(struct record_key key)
{
    struct store_key made = {.length = RECORD_KEY_BYTES};
    made.bytes[0] = 'r';
    put_record_key(made.bytes + 1, key);
    return made;
}

struct store_key store_key_of_timer(int64_t time_ms, struct record_key key)
{
    struct store_key made = {.length = TIMER_KEY_BYTES};
    made.bytes[0] = 't';
    put_big_endian(made.bytes + 1, (uint64_t)time_ms ^ UINT64_C(1) << 63);
    put_record_key(made.bytes + 9, key);
    return made;
}

bool store_key_read_record(const struct store_key *key, struct record_key *ret_key)
{
    if (key->length != RECORD_KEY_BYTES || key->bytes[0] != 'r' ||
        key->bytes[1] >= ENTITY_KIND_COUNT) {
        return 0;
    }
    *ret_key = (struct record_key){
        .kind = key->bytes[1],
        .id = {get_big_endian(key->bytes + 2), get_big_endian(key->bytes + 10)},
    };
    return 1;
}

bool store_key_read_timer(const struct store_key *key, int64_t *ret_time_ms,
                          struct record_key *ret_key)
{
    if (key->length != TIMER_KEY_BYTES || key->bytes[0] != 't' ||
        key->bytes[9] >= ENTITY_KIND_COUNT) {
        return 0;
    }
    *ret_time_ms = (int64_t)(get_big_endian(key->bytes + 1) ^ UINT64_C(1) << 63);
    *ret_key = (struct record_key){
        .kind = key->bytes[9],
        .id = {get_big_endian(key->bytes + 10), get_big_endian(key->bytes + 18)},
    };
    return 1;
}
