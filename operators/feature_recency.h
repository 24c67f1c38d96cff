/* Family rfm: how recently and on how many days; the money of it is in feature_amount.h. */
#ifndef OPERATORS_FEATURE_RECENCY_H
#define OPERATORS_FEATURE_RECENCY_H

#include "operators/feature_session.h"

/* Whole seconds since 1970, 0: never. */
struct user_recency {
    uint32_t first_s;
    uint32_t purchase_s;
    uint32_t cart_add_s;
    uint32_t failure_s;
    uint32_t before_session_s; /* Newest as the newest session opened. */
    uint16_t active_day;       /* Newest day that was counted, since 1970. */
    uint16_t active_days;
};

void recency_observe(struct user_recency *recency, const struct feature_event *event);
void recency_write(const struct user_recency *recency, const struct user_session *session,
                   int64_t now_ms, float *row);

#endif
