/*
 * Rings of four buckets. A bucket's place is its number since 1970 modulo four, so that a ring
 * needs no head: the newest time, which its owner keeps, says which four buckets stand in it.
 */
#ifndef OPERATORS_FEATURE_WINDOW_H
#define OPERATORS_FEATURE_WINDOW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WINDOW_BUCKETS 4

/* Widths of a bucket: a quarter of the window. Each is a multiple of the first. */
#define WINDOW_1M_MS INT64_C(15000)
#define WINDOW_10M_MS INT64_C(150000)
#define WINDOW_1H_MS INT64_C(900000)
#define WINDOW_1D_MS INT64_C(21600000)
#define WINDOW_7D_MS INT64_C(151200000)
#define WINDOW_28D_MS INT64_C(604800000)
#define WINDOW_30D_MS INT64_C(648000000)

/* Empties the buckets that come into the ring as its newest bucket moves to `to` from `from`. */
static inline void window_advance(void *ring, size_t bucket_bytes, int64_t from, int64_t to)
{
    if (to - from >= WINDOW_BUCKETS) {
        memset(ring, 0, bucket_bytes * WINDOW_BUCKETS);
        return;
    }
    for (int64_t bucket = from + 1; bucket <= to; bucket++) {
        memset((char *)ring + bucket_bytes * (size_t)(bucket % WINDOW_BUCKETS), 0, bucket_bytes);
    }
}

/* Place of the bucket of `time_ms`, or -1 where it has left the ring. */
static inline int window_place(int64_t time_ms, int64_t newest_ms, int64_t width_ms)
{
    int64_t bucket = time_ms / width_ms;
    return newest_ms / width_ms - bucket < WINDOW_BUCKETS ? (int)(bucket % WINDOW_BUCKETS) : -1;
}

#endif
