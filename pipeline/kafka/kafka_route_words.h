/*
 * What each partition of a topic that records are sent on to was told last of the time where they
 * come from, and when it is to be told by a marker. Shared by routes and hops; one thread.
 */
#ifndef PIPELINE_KAFKA_KAFKA_ROUTE_WORDS_H
#define PIPELINE_KAFKA_KAFKA_ROUTE_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/run/origin_clock.h"

/* Markers: a round of them each so many ns a partition, at most so often. */
#define KAFKA_MARKER_NS UINT64_C(20000000)
#define KAFKA_MARKERS_NS_MIN UINT64_C(100000000)
/* That it has ended is said again, for who has begun to listen since. */
#define KAFKA_ENDED_AGAIN_NS UINT64_C(1000000000)

struct kafka_route_word {
    int64_t mark_ms;
    bool has_ended;
    bool is_told;
};

struct kafka_route_words {
    struct kafka_route_word words[ORIGINS_MAX];
    uint32_t count;
    uint64_t told_ns; /* When all partitions were last told. */
};

static inline bool kafka_route_words_told(const struct kafka_route_words *words, uint32_t partition,
                                          const struct kafka_route_word *now)
{
    const struct kafka_route_word *word = &words->words[partition];
    return word->is_told && word->mark_ms == now->mark_ms && word->has_ended == now->has_ended;
}

/* Whether a round of markers may be made; `own` is the sender's partition. */
static inline bool kafka_route_words_due(const struct kafka_route_words *words, uint32_t own,
                                         bool has_ended, uint64_t now_ns)
{
    uint64_t pause_ns = words->count * KAFKA_MARKER_NS > KAFKA_MARKERS_NS_MIN
                            ? words->count * KAFKA_MARKER_NS
                            : KAFKA_MARKERS_NS_MIN;
    bool is_first = has_ended && !words->words[own].has_ended;
    return is_first || now_ns - words->told_ns >= (has_ended ? KAFKA_ENDED_AGAIN_NS : pause_ns);
}

#endif
