/*
 * What time it is in a partition, as its events have it. One wrong clock must not set it: until two
 * events in a row are no further apart than `max_ahead_ms` it is provisional, and an event that is
 * further from the one before begins it anew; from then on one further ahead moves nothing.
 */
#ifndef PIPELINE_RUN_PARTITION_TIME_H
#define PIPELINE_RUN_PARTITION_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct partition_time {
    int64_t newest_ms; /* Event time, since the last event that began it anew. */
    bool is_started;   /* There was an event. */
    bool is_provisional;
};

static inline bool partition_time_is_ahead(const struct partition_time *time, int64_t event_ms,
                                           int64_t max_ahead_ms)
{
    return time->is_started && !time->is_provisional && event_ms > time->newest_ms &&
           (uint64_t)event_ms - (uint64_t)time->newest_ms > (uint64_t)max_ahead_ms;
}

/* The event, earlier or later, is too far from a provisional time. */
static inline bool partition_time_restarts(const struct partition_time *time, int64_t event_ms,
                                           int64_t max_ahead_ms)
{
    uint64_t apart = event_ms > time->newest_ms ? (uint64_t)event_ms - (uint64_t)time->newest_ms
                                                : (uint64_t)time->newest_ms - (uint64_t)event_ms;
    return time->is_started && time->is_provisional && apart > (uint64_t)max_ahead_ms;
}

/* Of an event that is not ahead. */
static inline void partition_time_move(struct partition_time *time, int64_t event_ms,
                                       int64_t max_ahead_ms)
{
    bool begins = !time->is_started || partition_time_restarts(time, event_ms, max_ahead_ms);
    if (begins || event_ms > time->newest_ms) {
        time->newest_ms = event_ms;
    }
    time->is_started = true;
    time->is_provisional = begins;
}

#endif
