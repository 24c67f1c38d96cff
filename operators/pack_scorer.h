/*
 * A loaded pack beside the feature columns that it reads: scores rows of a batch in one call and
 * explains single ones. Used by the scoring stages.
 */
#ifndef OPERATORS_PACK_SCORER_H
#define OPERATORS_PACK_SCORER_H

#include "models/model_backend.h"
#include "models/model_pack.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/feature_set.h"

struct pack_scorer;

/* Borrows `pack`. STATUS_INVALID when a feature of the pack is not in the set, by name. */
MUST_CHECK enum status pack_scorer_create(const struct model_backend_ops *backend,
                                          const struct model_pack *pack,
                                          const struct feature_set *set,
                                          struct pack_scorer **ret_scorer, struct error *error);
void pack_scorer_destroy(struct pack_scorer *scorer); /* NULL is a no-op. */

/* logits[i] of row rows[i] of the batch, which rise, by a model without a state. */
MUST_CHECK enum status pack_scorer_score(struct pack_scorer *scorer,
                                         const struct event_batch *batch, const uint32_t *rows,
                                         uint32_t count, float *logits, struct error *error);

/* Of a pack with classes, their scores of the batch that was scored last; else none. Valid until
 * the next call of pack_scorer_score(). */
struct class_scores pack_scorer_classes(const struct pack_scorer *scorer);

/* Bytes of state of a recurrent model; 0: it has none. */
uint32_t pack_scorer_state_bytes(const struct pack_scorer *scorer);

/* The same for a recurrent model: steps states[i], no two the same, by row rows[i] first. */
MUST_CHECK enum status pack_scorer_step(struct pack_scorer *scorer, const struct event_batch *batch,
                                        const uint32_t *rows, uint32_t count, void *const *states,
                                        float *logits, struct error *error);

/*
 * The terms of one row times `factor`, and the intercept; they sum to factor times the logit. Terms
 * of zero are left out. `state` is what a recurrent model's row was scored from, else NULL; what it
 * adds to a session's first event is the term session_before. Returns their number, at most `max`.
 */
uint32_t pack_scorer_explain(struct pack_scorer *scorer, const struct event_batch *batch,
                             uint32_t row, const void *state, float factor,
                             struct contribution *terms, uint32_t max);

const struct model_pack *pack_scorer_pack(const struct pack_scorer *scorer);

#endif
