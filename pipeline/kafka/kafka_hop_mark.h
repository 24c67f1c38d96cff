/*
 * The header that a record has behind a hop, beside the one that says where it stood first
 * (kafka_route_mark.h): from which partition of the hop it comes, what time it is there, and the
 * features by entity that were computed on its way. Figures only. Little-endian: u8 version (1),
 * u8 flags, u16 number of features, u32 partition, i64 mark (origin_clock.h), u64 hash of the
 * features' names and order, then each as an IEEE 754 single, NaN where it is missing.
 */
#ifndef PIPELINE_KAFKA_KAFKA_HOP_MARK_H
#define PIPELINE_KAFKA_KAFKA_HOP_MARK_H

#include <stddef.h>
#include <stdint.h>

#define KAFKA_HOP_HEADER "nudge.hop"
#define KAFKA_HOP_VERSION 1u
#define KAFKA_HOP_VALUES_MAX 64u
#define KAFKA_HOP_MARK_BYTES_MAX (24u + 4u * KAFKA_HOP_VALUES_MAX)

enum kafka_hop_flag {
    KAFKA_HOP_MARKER = 1, /* No record: says what time it is, and has no bytes. */
    KAFKA_HOP_ENDED = 2,  /* A marker: for this run nothing more comes from there. */
};

struct kafka_hop_mark {
    unsigned flags;
    uint32_t partition;
    int64_t mark_ms;
    uint64_t columns_hash;              /* Of count features; see struct carried_columns. */
    uint32_t count;                     /* 0: the event has none of them. */
    float values[KAFKA_HOP_VALUES_MAX]; /* [count] */
};

/* Returns the length. */
size_t kafka_hop_mark_write(const struct kafka_hop_mark *mark,
                            unsigned char ret_bytes[KAFKA_HOP_MARK_BYTES_MAX]);

enum kafka_hop_reading {
    KAFKA_HOP_READ,
    KAFKA_HOP_NONE,          /* These bytes are no such header. */
    KAFKA_HOP_OTHER_VERSION, /* They may be one, of another version of the program. */
};
enum kafka_hop_reading kafka_hop_mark_read(const void *bytes, size_t length,
                                           struct kafka_hop_mark *ret_mark);

#endif
