/*
 * How likely the event is fraud, from parts that add on the logit scale: a base rate, rules on
 * features, deviation from what is usual in the population, and a model where one is configured.
 * Reads features. Writes score, score_logit and explainer of fraud, and fraud_logit of each part;
 * and of a pack of several classes the chance of each, as the pack alone has it.
 * Keeps no state: what a user did before stands in the features.
 */
#ifndef OPERATORS_SCORE_FRAUD_H
#define OPERATORS_SCORE_FRAUD_H

#include "models/model_pack.h"
#include "pipeline/config/settings.h"
#include "pipeline/event/feature_set.h"
#include "pipeline/stage.h"

struct score_fraud_options {
    double base_rate;
    char *pack; /* Folder of the model, or NULL. */
    double pack_weight;
    int backend;                   /* Index of model_backends. */
    const struct yaml_node *rules; /* Borrowed from the document. */
    const struct yaml_node *deviations;
};

extern const struct setting_section score_fraud_section;
extern const struct stage_info score_fraud_info;

/* The compiled section; constant, shared by the tasks. */
struct fraud_plan;

/* Rules and deviations that name no feature of the set are refused with file and line. */
MUST_CHECK enum status fraud_plan_load(const struct score_fraud_options *options,
                                       const struct feature_set *set, struct fraud_plan **ret_plan,
                                       struct error *error);
void fraud_plan_unload(struct fraud_plan *plan); /* NULL is a no-op. */

/* Hash of all that moves the score. */
uint64_t fraud_plan_hash(const struct fraud_plan *plan);

/* Borrows both. Release with stage_destroy(). */
MUST_CHECK enum status score_fraud_create(const struct fraud_plan *plan,
                                          const struct feature_set *set, struct stage **ret_stage,
                                          struct error *error);

#endif
