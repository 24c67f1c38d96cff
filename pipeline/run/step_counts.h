/*
 * Counts what follows what in sessions, by running the pipeline over history: of each session the
 * steps from one event to the next, but for late events (older than one of the session that was
 * read before), and from which event nothing followed. That is what the Markov table's features
 * look at.
 */
#ifndef PIPELINE_RUN_STEP_COUNTS_H
#define PIPELINE_RUN_STEP_COUNTS_H

#include "models/markov_pack.h"
#include "pipeline/run/config.h"

struct step_totals {
    uint64_t events, sessions;
    int64_t first_ms, last_ms; /* Event times seen. */
};

/*
 * Events from `until_ms` on are not looked at; the end of a session counts where the data go on for
 * `gap_ms` after it. States are the types of events. STATUS_INVALID where no step was seen. The
 * caller releases the counts where it succeeds.
 */
MUST_CHECK enum status step_counts_make(const struct config *config, const char *const *files,
                                        uint32_t file_count, int64_t until_ms, int64_t gap_ms,
                                        struct markov_counts *ret_counts,
                                        struct step_totals *ret_totals, struct error *error);

#endif
