/* Family funnel: how far a session has come, and what usually follows from here. */
#ifndef OPERATORS_FEATURE_FUNNEL_H
#define OPERATORS_FEATURE_FUNNEL_H

#include "models/markov.h"
#include "operators/feature_session.h"
#include "pipeline/base/status.h"

/* Made of a Markov table over the types of events. Built once, then constant. By its rows: */
struct funnel_table {
    float buy[MARKOV_ROWS_MAX];
    float leave[MARKOV_ROWS_MAX];
    float surprise[MARKOV_ROWS_MAX][EVENT_TYPE_COUNT]; /* -ln step[row][to], at most 20. */
    struct markov_index index;
};

/* The table that stands in where a pack brings none: a common shop's, rounded. */
void funnel_default_markov(struct markov *ret_markov);

/* STATUS_INVALID where `markov` does not hold what markov.h says, naming the state; STATUS_FATAL
 * when memory is exhausted. */
MUST_CHECK enum status funnel_table_init(struct funnel_table *table, const struct markov *markov,
                                         struct error *error);

/* After session_observe(), for events of the session. */
void funnel_observe(struct user_session *session, const struct funnel_table *table,
                    const struct feature_event *event, float *row);
void funnel_write(const struct user_session *session, const struct funnel_table *table, float *row);

#endif
