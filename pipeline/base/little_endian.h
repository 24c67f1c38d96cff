/* Numbers in the byte order of our files, which is that of the machines that we run on. */
#ifndef PIPELINE_BASE_LITTLE_ENDIAN_H
#define PIPELINE_BASE_LITTLE_ENDIAN_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are stored as they are");

static inline void put_u32(unsigned char *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static inline void put_u64(unsigned char *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof(value));
}

static inline uint32_t get_u32(const unsigned char *bytes)
{
    uint32_t value = 0;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static inline uint64_t get_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

#endif
