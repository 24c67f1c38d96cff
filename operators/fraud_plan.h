/* The compiled section score_fraud; used by score_fraud.c. */
#ifndef OPERATORS_FRAUD_PLAN_H
#define OPERATORS_FRAUD_PLAN_H

#include "models/model_backend.h"
#include "operators/score_fraud.h"

/*
 * One term: nothing up to `from`, then `adds` at once and `slope` for each unit beyond, at most
 * `most` in all, at least -most. With is_below it looks the other way. A missing value adds
 * nothing.
 */
struct fraud_term {
    char *name; /* Owned. */
    uint32_t column;
    bool is_below;
    float from, adds, slope, most;
};

struct fraud_plan {
    struct fraud_term *terms; /* Owned: rules first, then deviations. */
    uint32_t rule_count, term_count;
    float base_logit;
    float pack_weight;
    struct model_pack *pack;                 /* Owned, or NULL. */
    const struct model_backend_ops *backend; /* Static. */
    char *label;                             /* Owned: what decisions quote. */
    uint64_t hash;
    bool spares_session_ends; /* See scored_rows.h; its user's to set. */
};

static inline float fraud_term_logit(const struct fraud_term *term, float value)
{
    float beyond = term->is_below ? term->from - value : value - term->from;
    if (!(beyond > 0)) { /* Also for NaN. */
        return 0.0f;
    }
    float logit = term->adds + term->slope * beyond;
    logit = logit < term->most ? logit : term->most;
    return logit > -term->most ? logit : -term->most;
}

#endif
