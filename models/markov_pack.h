/*
 * A Markov table as a file of its own or in the folder of a pack, where it is markov.yaml:
 *
 *   format: 1
 *   kind: markov
 *   name: shop
 *   version: 2026-05
 *   trained_from, trained_to, data_hash: text    # quoted by reports; not required
 *   steps:                                       # a line for each state
 *     product_view: {product_view: 5231.5, add_to_cart: 120.25, leave: 912}
 *
 * Numbers are weights, whatever their sum: the chance of a step is its weight among those of its
 * state. A step that is not named has none. Loaded once, constant, shared by threads.
 */
#ifndef MODELS_MARKOV_PACK_H
#define MODELS_MARKOV_PACK_H

#include <stdbool.h>

#include "models/markov.h"
#include "pipeline/base/status.h"

#define MARKOV_LEAVE_MIN 1e-6 /* The least chance to leave, of each state. */

struct markov_pack {
    struct markov table;
    char *name, *version;                        /* Owned. */
    char *trained_from, *trained_to, *data_hash; /* Owned, or NULL. */
    char *label;                                 /* Owned: "NAME VERSION HASH". */
    uint64_t hash;                               /* Of name, version and chances. */
};

/*
 * `path` is a file, or a folder with markov.yaml; `states` are the names of the states in their
 * order, at most MARKOV_STATES_MAX. Refused, naming file, line and key: another format or kind,
 * unknown keys and states, a state without a line, weights that are negative or not finite, a
 * chance to leave below MARKOV_LEAVE_MIN.
 */
MUST_CHECK enum status markov_pack_load(const char *path, const char *const *states,
                                        uint32_t state_count, struct markov_pack **ret_pack,
                                        struct error *error);
void markov_pack_unload(struct markov_pack *pack); /* NULL is a no-op. */

struct markov_text {
    const char *name, *version;
    const char *trained_from, *trained_to, *data_hash; /* Or NULL. */
};

/* Writes the file, whole or not at all; what is loaded from it is `table` within 1e-15 a chance. */
MUST_CHECK enum status markov_pack_write(const char *path, const struct markov *table,
                                         const char *const *states, const struct markov_text *text,
                                         struct error *error);

/* What was seen to follow what. */
struct markov_counts {
    uint32_t state_count;
    uint64_t step[MARKOV_STATES_MAX][MARKOV_STATES_MAX];
    uint64_t leave[MARKOV_STATES_MAX];
};

/*
 * The chances that the counts speak for, each state's mixed with `prior` as if it had been seen
 * `strength` times (the posterior mean under a Dirichlet prior: Gelman et al., Bayesian Data
 * Analysis, 3.4), so that a state never seen is as in the prior. `prior` holds what markov.h says
 * and has as many states; NULL: all steps and leaving alike. `strength` is above 0.
 */
void markov_fit(const struct markov_counts *counts, const struct markov *prior, double strength,
                struct markov *ret_table);

#endif
