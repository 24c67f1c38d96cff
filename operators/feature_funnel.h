/* Family funnel: how far a session has come, and what usually follows from here. */
#ifndef OPERATORS_FEATURE_FUNNEL_H
#define OPERATORS_FEATURE_FUNNEL_H

#include "models/markov.h"
#include "operators/feature_session.h"
#include "pipeline/base/status.h"

/* Made of a Markov table over the types of events. Built once, then constant. */
struct funnel_table {
    float buy[EVENT_TYPE_COUNT];
    float leave[EVENT_TYPE_COUNT];
    float surprise[EVENT_TYPE_COUNT][EVENT_TYPE_COUNT]; /* -ln step[from][to], at most 20. */
};

/* The table that stands in where a pack brings none: a common shop's, rounded. */
void funnel_default_markov(struct markov *ret_markov);

/* STATUS_INVALID where `markov` does not hold what markov.h says, naming the state. */
MUST_CHECK enum status funnel_table_init(struct funnel_table *table, const struct markov *markov,
                                         struct error *error);

/* After session_observe(), for events of the session. */
void funnel_observe(struct user_session *session, const struct funnel_table *table,
                    const struct feature_event *event, float *row);
void funnel_write(const struct user_session *session, const struct funnel_table *table, float *row);

#endif
