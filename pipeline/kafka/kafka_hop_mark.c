#include "pipeline/kafka/kafka_hop_mark.h"

#include <assert.h>
#include <string.h>

#include "pipeline/base/little_endian.h"

#define HEAD_BYTES 24u

size_t kafka_hop_mark_write(const struct kafka_hop_mark *mark,
                            unsigned char ret_bytes[KAFKA_HOP_MARK_BYTES_MAX])
{
    static_assert(sizeof(float) == 4, "stored as it is");
    assert(mark->count <= KAFKA_HOP_VALUES_MAX);
    ret_bytes[0] = KAFKA_HOP_VERSION;
    ret_bytes[1] = (unsigned char)mark->flags;
    ret_bytes[2] = (unsigned char)mark->count;
    ret_bytes[3] = 0;
    put_u32(ret_bytes + 4, mark->partition);
    put_u64(ret_bytes + 8, (uint64_t)mark->mark_ms);
    put_u64(ret_bytes + 16, mark->columns_hash);
    for (uint32_t i = 0; i < mark->count; i++) {
        uint32_t bits;
        memcpy(&bits, &mark->values[i], sizeof(bits));
        put_u32(ret_bytes + HEAD_BYTES + (size_t)4 * i, bits);
    }
    return HEAD_BYTES + (size_t)4 * mark->count;
}

enum kafka_hop_reading kafka_hop_mark_read(const void *bytes, size_t length,
                                           struct kafka_hop_mark *ret_mark)
{
    const unsigned char *at = bytes;
    if (length == 0) {
        return KAFKA_HOP_NONE;
    }
    if (at[0] != KAFKA_HOP_VERSION) {
        return KAFKA_HOP_OTHER_VERSION;
    }
    if (length < HEAD_BYTES) {
        return KAFKA_HOP_NONE;
    }
    uint32_t count = at[2] | (uint32_t)at[3] << 8;
    int64_t mark_ms = (int64_t)get_u64(at + 8);
    if (count > KAFKA_HOP_VALUES_MAX || length != HEAD_BYTES + (size_t)4 * count || mark_ms < 0) {
        return KAFKA_HOP_NONE;
    }
    ret_mark->flags = at[1];
    ret_mark->partition = get_u32(at + 4);
    ret_mark->mark_ms = mark_ms;
    ret_mark->columns_hash = get_u64(at + 16);
    ret_mark->count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = get_u32(at + HEAD_BYTES + (size_t)4 * i);
        memcpy(&ret_mark->values[i], &bits, sizeof(bits));
    }
    return KAFKA_HOP_READ;
}
