/*
 * The chance that the session ends in a purchase, and that a filled cart is abandoned.
 * Reads features. Writes score and score_logit of purchase and abandon, and their explainers; of a
 * pack of several classes the score of each, too.
 * State: what recurrent packs remember of a user, see intent_state.h. Rows without a pack, or
 * without a cart for the second, have NaN. A pack that predicts a value gives that, and its margin
 * as the logit.
 */
#ifndef OPERATORS_PREDICT_INTENT_H
#define OPERATORS_PREDICT_INTENT_H

#include "models/model_backend.h"
#include "models/model_pack.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/stage.h"

struct predict_intent_options {
    char *purchase_pack; /* Folder, or NULL: not scored. */
    char *abandon_pack;
    int backend; /* Index of model_backends. */
};

extern const struct setting_section predict_intent_section;
extern const struct stage_info predict_intent_info;

/* Packs loaded once, shared by the tasks; either may be NULL. */
struct predict_intent_packs {
    struct model_pack *purchase; /* Owned. */
    struct model_pack *abandon;
    const struct model_backend_ops *backend; /* Static. */
    bool spares_session_ends;                /* See scored_rows.h; its user's to set. */
};

MUST_CHECK enum status predict_intent_load(const struct predict_intent_options *options,
                                           struct predict_intent_packs *ret_packs,
                                           struct error *error);
void predict_intent_unload(struct predict_intent_packs *packs);

/* Borrows `packs` and `set`, adds parts to `layout` for recurrent packs. Release with
 * stage_destroy(). */
MUST_CHECK enum status predict_intent_create(const struct predict_intent_packs *packs,
                                             const struct feature_set *set,
                                             struct record_layout *layout, struct stage **ret_stage,
                                             struct error *error);

#endif
