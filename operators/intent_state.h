/*
 * What a recurrent model remembers of a shopper: a part of the user's record, stepped once an event
 * of the newest session and zero at a session's first, as `nudge train` has it. All else is scored
 * from the state as it stands and leaves it as it is: timers and labels; so are events of an older
 * session than the one remembered, from zeros.
 *
 * A shopper who comes k times in a batch goes in k waves, each of which is one call of the model;
 * the scores do not depend on how the events were cut into batches.
 */
#ifndef OPERATORS_INTENT_STATE_H
#define OPERATORS_INTENT_STATE_H

#include "operators/pack_scorer.h"
#include "pipeline/state/record.h"

struct intent_state;

/*
 * Adds a part of id `part_id`, whose writer is the pack, so that another pack starts cold. Borrows
 * `scorer`. STATUS_INVALID where a user's model parts have no room for it.
 */
MUST_CHECK enum status intent_state_create(struct pack_scorer *scorer, enum record_part_id part_id,
                                           struct record_layout *layout,
                                           struct intent_state **ret_state, struct error *error);
void intent_state_destroy(struct intent_state *state); /* NULL is a no-op. */

/* logits[row] of the rows that scored_rows.h names, in the order of processing; others are left as
 * they are. */
MUST_CHECK enum status intent_state_score(struct intent_state *state,
                                          const struct event_batch *batch, bool spares_session_ends,
                                          float *logits, struct error *error);

/* What a row of the batch that was scored last was scored from, for reasons. */
const void *intent_state_before(const struct intent_state *state, uint32_t row);

#endif
