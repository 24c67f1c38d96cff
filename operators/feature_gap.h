/* Family gap: the silence before an event, and how even the user's rhythm is. */
#ifndef OPERATORS_FEATURE_GAP_H
#define OPERATORS_FEATURE_GAP_H

#include "operators/feature_session.h"

struct user_gaps {
    double log_mean, log_squares; /* Welford over ln(1 + seconds). */
    uint32_t last_ms;             /* Gap before the last forward event, in the session. */
    uint16_t count;
    uint16_t regular; /* In the session. */
};

/* After session_observe(). `event->is_forward` holds. */
void gaps_observe(struct user_gaps *gaps, struct user_session *session,
                  const struct feature_event *event, float *row);

/* A row that changes nothing: the silence up to its now. */
void gaps_peek(const struct user_gaps *gaps, const struct feature_event *event, float *row);

void gaps_write(const struct user_gaps *gaps, const struct user_session *session, float *row);

#endif
