/*
 * How long a work that tells its share now and then will still take, at the pace since it first
 * told: a work that was gone on with begins with a share that somebody else did. Threads: one.
 */
#ifndef PIPELINE_RUN_TIME_LEFT_H
#define PIPELINE_RUN_TIME_LEFT_H

#include <stdbool.h>
#include <stdint.h>

/* Begins as zeros. */
struct time_left {
    bool has_begun;
    double first_share;
    uint64_t first_ns;
};

/* Seconds; NaN while nothing was done yet. `share` is from 0 to 1, `now_ns` of a monotonic clock;
 * neither falls. */
double time_left_s(struct time_left *self, double share, uint64_t now_ns);

#endif
