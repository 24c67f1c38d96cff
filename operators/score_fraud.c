#include "operators/score_fraud.h"

#include <math.h>
#include <stdlib.h>

#include "operators/fraud_plan.h"
#include "operators/pack_scorer.h"
#include "operators/scored_rows.h"
#include "pipeline/base/fixed_math.h"

const struct stage_info score_fraud_info = {
    .name = "score_fraud",
    .doc = "Scores how likely an event is fraud, as a sum of parts on the logit scale.",
    .reads = "features",
    .writes = "score, score_logit, classes and explainer of fraud, fraud_logit",
};

struct score_fraud {
    struct stage stage;
    const struct fraud_plan *plan; /* Borrowed. */
    struct pack_scorer *scorer;    /* Or NULL. */
    uint32_t rows[BATCH_ROWS_MAX];
    float logits[BATCH_ROWS_MAX];
};

static float sum_terms(const struct fraud_term *terms, uint32_t count, const float *features)
{
    float sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += fraud_term_logit(&terms[i], features[terms[i].column]);
    }
    return sum;
}

static void score_row(const struct score_fraud *self, struct event_batch *batch, uint32_t row,
                      float model_logit)
{
    const struct fraud_plan *plan = self->plan;
    const float *features = batch->features + (size_t)row * batch->feature_stride;
    float rules = sum_terms(plan->terms, plan->rule_count, features);
    float deviation =
        sum_terms(plan->terms + plan->rule_count, plan->term_count - plan->rule_count, features);
    float model = plan->pack_weight * model_logit;
    float logit = plan->base_logit + rules + deviation + model;
    batch->fraud_logit[FRAUD_RULES][row] = rules;
    batch->fraud_logit[FRAUD_DEVIATION][row] = deviation;
    batch->fraud_logit[FRAUD_MODEL][row] = model;
    batch->score_logit[SCORE_FRAUD][row] = logit;
    batch->score[SCORE_FRAUD][row] = fixed_sigmoidf(logit);
}

static void clear_row(struct event_batch *batch, uint32_t row)
{
    for (int part = 0; part < FRAUD_PART_COUNT; part++) {
        batch->fraud_logit[part][row] = NAN;
    }
    batch->score_logit[SCORE_FRAUD][row] = NAN;
    batch->score[SCORE_FRAUD][row] = NAN;
}

static uint32_t explain_fraud(void *context, const struct event_batch *batch, uint32_t row,
                              struct contribution *terms, uint32_t max)
{
    const struct score_fraud *self = context;
    const struct fraud_plan *plan = self->plan;
    const float *features = batch->features + (size_t)row * batch->feature_stride;
    uint32_t count = 0;
    if (max > 0) {
        terms[count++] = (struct contribution){.name = "base rate",
                                               .value = fixed_sigmoidf(plan->base_logit),
                                               .logit = plan->base_logit};
    }
    for (uint32_t i = 0; i < plan->term_count && count < max; i++) {
        const struct fraud_term *term = &plan->terms[i];
        float value = features[term->column];
        float logit = fraud_term_logit(term, value);
        if (logit != 0) {
            terms[count++] =
                (struct contribution){.name = term->name, .value = value, .logit = logit};
        }
    }
    if (self->scorer) {
        count += pack_scorer_explain(self->scorer, batch, row, NULL, plan->pack_weight,
                                     terms + count, max - count);
    }
    return count;
}

static enum status score_fraud_process(struct stage *stage, struct event_batch *batch,
                                       struct error *error)
{
    struct score_fraud *self = container_of(stage, struct score_fraud, stage);
    uint32_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (is_scored_row(batch, row, self->plan->spares_session_ends)) {
            self->rows[count] = row;
            self->logits[count++] = 0;
        } else {
            clear_row(batch, row);
        }
    }
    enum status status = STATUS_OK;
    if (self->scorer) {
        status = pack_scorer_score(self->scorer, batch, self->rows, count, self->logits, error);
        batch->classes[SCORE_FRAUD] = pack_scorer_classes(self->scorer);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        score_row(self, batch, self->rows[i], self->logits[i]);
    }
    batch->explainer[SCORE_FRAUD] = (struct score_explainer){
        .explain = explain_fraud, .context = self, .version = self->plan->label};
    return status;
}

static void score_fraud_destroy(struct stage *stage)
{
    struct score_fraud *self = container_of(stage, struct score_fraud, stage);
    pack_scorer_destroy(self->scorer);
    free(self);
}

static const struct stage_ops score_fraud_ops = {
    .info = &score_fraud_info,
    .process = score_fraud_process,
    .destroy = score_fraud_destroy,
};

enum status score_fraud_create(const struct fraud_plan *plan, const struct feature_set *set,
                               struct stage **ret_stage, struct error *error)
{
    struct score_fraud *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "score_fraud: out of memory");
    }
    self->stage.ops = &score_fraud_ops;
    self->plan = plan;
    if (plan->pack) {
        enum status status =
            pack_scorer_create(plan->backend, plan->pack, set, &self->scorer, error);
        if (status == STATUS_OK && pack_scorer_state_bytes(self->scorer) > 0) {
            status = error_set(error, STATUS_INVALID,
                               "pack %s: of a kind that keeps a state a user; only predict_intent "
                               "steps those",
                               plan->pack->name);
        }
        if (status != STATUS_OK) {
            score_fraud_destroy(&self->stage);
            return error_prefix(error, status, "score_fraud");
        }
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}
