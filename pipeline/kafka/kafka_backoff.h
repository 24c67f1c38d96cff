/* When a part of a run that failed is tried again. */
#ifndef PIPELINE_KAFKA_KAFKA_BACKOFF_H
#define PIPELINE_KAFKA_KAFKA_BACKOFF_H

#include "pipeline/base/clock.h"
#include "pipeline/base/hash.h"

#define KAFKA_FAILURES_MAX 12u
#define KAFKA_RETRY_MS_MIN 500u
#define KAFKA_RETRY_MS_MAX 8000u

/* The monotonic time for it: each time a little less soon, and not all partitions at once. */
static inline uint64_t kafka_retry_ns(uint32_t failures, int32_t partition)
{
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t ms = (uint64_t)KAFKA_RETRY_MS_MIN << (failures < 4 ? failures : 4);
    ms = ms < KAFKA_RETRY_MS_MAX ? ms : KAFKA_RETRY_MS_MAX;
    uint64_t jitter_ms = hash64_combine(now_ns, (uint64_t)partition) % (ms / 2);
    return now_ns + (ms + jitter_ms) * 1000000u;
}

#endif
