/*
 * What became of users: when each of them bought, or was spoken badly of. Grows with the outcomes,
 * not with the rows. One thread.
 */
#ifndef PIPELINE_RUN_USER_OUTCOMES_H
#define PIPELINE_RUN_USER_OUTCOMES_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"

struct user_outcome {
    uint64_t user; /* Hash of the user's key. */
    int64_t time_ms;
    uint64_t sequence; /* In the order of processing. */
};

struct user_outcomes {
    struct user_outcome *outcomes; /* Owned. */
    uint32_t count, capacity;
};

MUST_CHECK enum status user_outcomes_add(struct user_outcomes *outcomes,
                                         const struct user_outcome *outcome, struct error *error);
void user_outcomes_sort(struct user_outcomes *outcomes);
void user_outcomes_release(struct user_outcomes *outcomes);

/* Of sorted ones the user's first after `time_ms` and within `within_ms` of it; NULL: none. */
const struct user_outcome *user_outcomes_next(const struct user_outcomes *outcomes, uint64_t user,
                                              int64_t time_ms, int64_t within_ms);

#endif
