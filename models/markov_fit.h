/* A Markov chain from what was seen to follow what. */
#ifndef MODELS_MARKOV_FIT_H
#define MODELS_MARKOV_FIT_H

#include <stdbool.h>

#include "models/markov.h"

#define MARKOV_LEAVE_MIN 1e-6 /* The least chance to leave, of each row. */
#define MARKOV_CONTEXT_EVENTS_MIN                                                                  \
    10u /* A longer context is one if as many times it was gone on from. */

/* The last events of a session, the newest first; see markov.h. All 0 at its begin. */
struct markov_history {
    uint8_t last[MARKOV_ORDER_MAX];
};

static inline void markov_history_add(struct markov_history *history, uint32_t state)
{
    history->last[2] = history->last[1];
    history->last[1] = history->last[0];
    history->last[0] = (uint8_t)(state + 1);
}

struct markov_counts {
    uint32_t state_count;
    /* Owned: [state_count][state_count + 1][state_count + 1][state_count + 1], by the last three
     * events and by what followed, leaving last. */
    uint64_t *seen;
};

/* False when memory is exhausted. */
bool markov_counts_init(struct markov_counts *counts, uint32_t state_count);
void markov_counts_release(struct markov_counts *counts);

/* That `state` (state_count: nothing) came after `history`, `times`; not at a session's begin. */
void markov_counts_add(struct markov_counts *counts, const struct markov_history *history,
                       uint32_t state, uint64_t times);

uint64_t markov_counts_hash(const struct markov_counts *counts);

/*
 * The chances that the counts speak for, those of each context mixed with the next shorter one's as
 * if that had been seen `strength` times: the posterior mean under a Dirichlet prior, from context
 * to context (MacKay and Peto, "A hierarchical Dirichlet language model", 1995; interpolated
 * back-off with weights by count). Those of single states are mixed with `prior`, so that a state
 * never seen is as in the prior; it has single states alone, and as many; NULL: all steps and
 * leaving alike. Contexts of up to `order` events that were seen MARKOV_CONTEXT_EVENTS_MIN times
 * are in the table, the most frequent MARKOV_CONTEXTS_MAX of them. `strength` is above 0. False
 * when memory is exhausted.
 */
bool markov_fit(const struct markov_counts *counts, const struct markov *prior, double strength,
                uint32_t order, struct markov *ret_table);

#endif
