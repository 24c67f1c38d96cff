/*
 * The header that a record has in the repartition topic beside its own: where it stood, and what
 * time it was there. Little-endian: u8 version (1), u8 flags, u32 partition, i64 offset, i64 time
 * stamp, i64 mark (origin_clock.h); where it was cut u64 length and 64 hexadecimal digits of
 * SHA-256; then the topic's name.
 */
#ifndef PIPELINE_KAFKA_KAFKA_ROUTE_MARK_H
#define PIPELINE_KAFKA_KAFKA_ROUTE_MARK_H

#include <stdbool.h>

#include "pipeline/base/digest.h"
#include "pipeline/base/text.h"

#define KAFKA_ROUTE_HEADER "nudge.route"
#define KAFKA_ROUTE_MARK_BYTES_MAX (30u + 72u + 250u)

enum kafka_route_flag {
    KAFKA_ROUTE_MARKER = 1, /* No record: says what time it is, and has no bytes. */
    KAFKA_ROUTE_ENDED = 2,  /* A marker: for this run nothing more comes from there. */
    KAFKA_ROUTE_AHEAD = 4,  /* Its event is too far ahead of that time. */
    KAFKA_ROUTE_CUT = 8,    /* Too long a record: only its beginning, as a dead letter keeps it. */
    KAFKA_ROUTE_STRANGE = 16, /* No route has sent it: found by a hop, for which it is no event. */
};

struct kafka_route_mark {
    unsigned flags;
    uint32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* The record's own; negative: none. */
    int64_t mark_ms;
    struct digest whole; /* KAFKA_ROUTE_CUT. */
    struct text topic;   /* At most 249 bytes, as Kafka has it. */
};

/* Returns the length. */
size_t kafka_route_mark_write(const struct kafka_route_mark *mark,
                              unsigned char ret_bytes[KAFKA_ROUTE_MARK_BYTES_MAX]);
/* The topic's name points into `bytes`. False: these bytes are no such header. */
bool kafka_route_mark_read(const void *bytes, size_t length, struct kafka_route_mark *ret_mark);

#endif
