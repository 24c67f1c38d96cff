/*
 * A Markov chain of order 1 to 3 of a shopper's steps; constant once filled. Its file:
 * markov_pack.h; how it is made of counts: markov_fit.h.
 *
 * What comes next is told by the longest context in the table that the session's last events end
 * with. Each single state is one; longer ones are those that history has enough of, so that where
 * it is thin a shorter one speaks.
 */
#ifndef MODELS_MARKOV_H
#define MODELS_MARKOV_H

#include <stdint.h>

#define MARKOV_STATES_MAX 32
#define MARKOV_ORDER_MAX 3u
#define MARKOV_CONTEXTS_MAX 480u /* Of two and three events. */
#define MARKOV_ROWS_MAX (MARKOV_STATES_MAX + MARKOV_CONTEXTS_MAX)

/*
 * The last events, the newest first: states from 1, or MARKOV_START in the oldest place, which says
 * that the session began with the next one.
 */
#define MARKOV_START 0
struct markov_context {
    uint8_t length; /* 2 or 3 */
    uint8_t last[MARKOV_ORDER_MAX];
};

/*
 * Row i < state_count is the context of state i alone; row state_count + k is contexts[k].
 * step[i][j]: chance that state j follows; leave[i]: chance that nothing does. The chances of each
 * row are finite, not negative and sum to 1 within 1e-6, and leave is at least 1e-6. A state is a
 * value of enum event_type; states are all values below `state_count`. A context's first events and
 * its last ones are contexts of the table, too, where they are two.
 */
struct markov {
    uint32_t state_count;
    uint32_t context_count;
    struct markov_context contexts[MARKOV_CONTEXTS_MAX];
    double step[MARKOV_ROWS_MAX][MARKOV_STATES_MAX];
    double leave[MARKOV_ROWS_MAX];
};

/* Rows of the table by what a session's last events are, states from 1, 0: before it began. */
struct markov_index {
    uint16_t pair[MARKOV_STATES_MAX + 1][MARKOV_STATES_MAX + 1]; /* [last][before] */
    uint16_t triple[MARKOV_STATES_MAX + 1][MARKOV_STATES_MAX + 1][MARKOV_STATES_MAX + 1];
};
void markov_index_make(const struct markov *table, struct markov_index *ret_index);

/* The row after `row` when `state` (from 0) follows. */
uint32_t markov_next_row(const struct markov *table, const struct markov_index *index, uint32_t row,
                         uint32_t state);

#endif
