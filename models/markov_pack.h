/*
 * A Markov table as a file of its own or in the folder of a pack, where it is markov.yaml:
 *
 *   format: 1
 *   kind: markov
 *   name: shop
 *   version: 2026-05
 *   trained_from, trained_to, data_hash: text    # quoted by reports; not required
 *   order: 3                                     # the longest context there may be; 1 if not given
 *   steps:                                       # a line for each state
 *     product_view: {product_view: 5231.5, add_to_cart: 120.25, leave: 912}
 *     add_to_cart > product_view: {checkout: 12, leave: 3}           # and for longer contexts, the
 *     start > search > product_view: {add_to_cart: 40, leave: 91.5}  # oldest first; start: its
 * begin
 *
 * Numbers are weights, whatever their sum: the chance of a step is its weight among those of its
 * line. A step that is not named has none. Loaded once, constant, shared by threads.
 */
#ifndef MODELS_MARKOV_PACK_H
#define MODELS_MARKOV_PACK_H

#include <stdbool.h>

#include "models/markov.h"
#include "models/markov_fit.h"
#include "pipeline/base/status.h"

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
 * chance to leave below MARKOV_LEAVE_MIN, a context of more than `order` events or without a line
 * for its first or its last two, more than MARKOV_CONTEXTS_MAX of them.
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

#endif
