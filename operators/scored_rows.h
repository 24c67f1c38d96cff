/* Which rows of a batch the models look at. */
#ifndef OPERATORS_SCORED_ROWS_H
#define OPERATORS_SCORED_ROWS_H

#include "pipeline/event/event_batch.h"

/*
 * Live rows. `spares_session_ends`: no rule asks for the scores of a session's end, and nothing
 * else reads those of timers but the rules that set them, so only events and the rules' own timers.
 */
static inline bool is_scored_row(const struct event_batch *batch, uint32_t row,
                                 bool spares_session_ends)
{
    return batch->state[row] == ROW_LIVE &&
           !(spares_session_ends && batch->kind[row] == ROW_TIMER &&
             batch->timer_slot[row] != TIMER_INTERVENTIONS);
}

#endif
