#include "pipeline/kafka/kafka_route_mark.h"

#include <assert.h>
#include <string.h>

#include "pipeline/base/little_endian.h"

#define VERSION 1u
#define HEAD_BYTES 30u
#define DIGEST_BYTES 72u
#define SHA256_DIGITS 64u
#define TOPIC_BYTES_MAX 249u

size_t kafka_route_mark_write(const struct kafka_route_mark *mark,
                              unsigned char ret_bytes[KAFKA_ROUTE_MARK_BYTES_MAX])
{
    assert(mark->topic.length <= TOPIC_BYTES_MAX);
    size_t length = HEAD_BYTES;
    ret_bytes[0] = VERSION;
    ret_bytes[1] = (unsigned char)mark->flags;
    put_u32(ret_bytes + 2, mark->partition);
    put_u64(ret_bytes + 6, (uint64_t)mark->offset);
    put_u64(ret_bytes + 14, (uint64_t)mark->timestamp_ms);
    put_u64(ret_bytes + 22, (uint64_t)mark->mark_ms);
    if (mark->flags & KAFKA_ROUTE_CUT) {
        put_u64(ret_bytes + length, mark->whole.length);
        memcpy(ret_bytes + length + 8, mark->whole.sha256, SHA256_DIGITS);
        length += DIGEST_BYTES;
    }
    memcpy(ret_bytes + length, mark->topic.data, mark->topic.length);
    return length + mark->topic.length;
}

bool kafka_route_mark_read(const void *bytes, size_t length, struct kafka_route_mark *ret_mark)
{
    const unsigned char *at = bytes;
    if (length < HEAD_BYTES || at[0] != VERSION) {
        return false;
    }
    bool is_cut = at[1] & KAFKA_ROUTE_CUT;
    size_t used = is_cut ? HEAD_BYTES + DIGEST_BYTES : HEAD_BYTES;
    if (length <= used || length - used > TOPIC_BYTES_MAX) {
        return false;
    }
    *ret_mark = (struct kafka_route_mark){
        .flags = at[1],
        .partition = get_u32(at + 2),
        .offset = (int64_t)get_u64(at + 6),
        .timestamp_ms = (int64_t)get_u64(at + 14),
        .mark_ms = (int64_t)get_u64(at + 22),
        .topic = {(const char *)at + used, (uint32_t)(length - used)},
    };
    if (is_cut) {
        ret_mark->whole.length = get_u64(at + HEAD_BYTES);
        memcpy(ret_mark->whole.sha256, at + HEAD_BYTES + 8, SHA256_DIGITS);
    }
    return ret_mark->mark_ms >= 0 && ret_mark->offset >= 0;
}
