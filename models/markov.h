/* An order-1 Markov table of a shopper's steps; constant once filled. Its file: markov_pack.h. */
#ifndef MODELS_MARKOV_H
#define MODELS_MARKOV_H

#include <stdint.h>

#define MARKOV_STATES_MAX 32

/*
 * step[i][j]: chance that state j follows state i; leave[i]: chance that nothing follows. The
 * chances of each state are finite, not negative and sum to 1 within 1e-6, and leave is at least
 * 1e-6. A state is a value of enum event_type; states are all values below `state_count`.
 */
struct markov {
    uint32_t state_count;
    double step[MARKOV_STATES_MAX][MARKOV_STATES_MAX];
    double leave[MARKOV_STATES_MAX];
};

#endif
