#include "operators/predict_intent.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "operators/intent_state.h"
#include "operators/pack_scorer.h"
#include "operators/scored_rows.h"

#define OPTION(member) offsetof(struct predict_intent_options, member)
static const struct setting settings[] = {
    {.name = "purchase_pack",
     .type = SETTING_PATH,
     .is_folder = true,
     .offset = OPTION(purchase_pack),
     .doc = "Folder of the model for the chance that the session ends in a purchase"},
    {.name = "abandon_pack",
     .type = SETTING_PATH,
     .is_folder = true,
     .offset = OPTION(abandon_pack),
     .doc = "Folder of the model for the chance that a filled cart is abandoned"},
    {.name = "backend",
     .type = SETTING_CHOICE,
     .offset = OPTION(backend),
     .fallback = "lanes",
     .choices = model_backend_names,
     .doc = "What scores: lanes, our own kernel with the same bits on every machine, or openblas"},
};

const struct setting_section predict_intent_section = {
    .name = "predict_intent",
    .doc = "Chance to buy and to leave a filled cart",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct predict_intent_options),
};

const struct stage_info predict_intent_info = {
    .name = "predict_intent",
    .doc = "Scores the chance that the session ends in a purchase, and that a filled cart is "
           "abandoned.",
    .reads = "features",
    .writes = "score, score_logit, classes and explainer of purchase and abandon",
};

/* One of the two scores. */
struct intent_model {
    struct pack_scorer *scorer; /* NULL: not scored. */
    struct intent_state *state; /* Of a recurrent model, else NULL. */
};

struct predict_intent {
    struct stage stage;
    struct intent_model purchase, abandon;
    bool spares_session_ends; /* See scored_rows.h. */
    int32_t cart_column;      /* Feature that says whether there is a cart; -1: unknown. */
    uint32_t rows[BATCH_ROWS_MAX];
    float logits[BATCH_ROWS_MAX];
};

enum status predict_intent_load(const struct predict_intent_options *options,
                                struct predict_intent_packs *ret_packs, struct error *error)
{
    struct predict_intent_packs packs = {.backend = model_backends[options->backend]};
    enum status status = STATUS_OK;
    if (options->purchase_pack) {
        status = model_pack_load(options->purchase_pack, &packs.purchase, error);
    }
    if (status == STATUS_OK && options->abandon_pack) {
        status = model_pack_load(options->abandon_pack, &packs.abandon, error);
    }
    if (status != STATUS_OK) {
        predict_intent_unload(&packs);
        return error_prefix(error, status, "predict_intent");
    }
    *ret_packs = packs;
    return STATUS_OK;
}

void predict_intent_unload(struct predict_intent_packs *packs)
{
    model_pack_unload(packs->purchase);
    model_pack_unload(packs->abandon);
    *packs = (struct predict_intent_packs){0};
}

static uint32_t explain(const struct intent_model *model, const struct event_batch *batch,
                        uint32_t row, struct contribution *terms, uint32_t max)
{
    const void *state = model->state ? intent_state_before(model->state, row) : NULL;
    return pack_scorer_explain(model->scorer, batch, row, state, 1.0f, terms, max);
}

static uint32_t explain_purchase(void *context, const struct event_batch *batch, uint32_t row,
                                 struct contribution *terms, uint32_t max)
{
    struct predict_intent *self = context;
    return explain(&self->purchase, batch, row, terms, max);
}

static uint32_t explain_abandon(void *context, const struct event_batch *batch, uint32_t row,
                                struct contribution *terms, uint32_t max)
{
    struct predict_intent *self = context;
    return explain(&self->abandon, batch, row, terms, max);
}

static bool has_cart(const struct predict_intent *self, const struct event_batch *batch,
                     uint32_t row)
{
    if (self->cart_column < 0) {
        return true;
    }
    float pieces = batch->features[(size_t)row * batch->feature_stride + (size_t)self->cart_column];
    return pieces > 0;
}

/* logits by row, of the rows that are wanted at least. */
static enum status score_rows(struct predict_intent *self, const struct intent_model *model,
                              const struct event_batch *batch, uint32_t count, float *logits,
                              struct error *error)
{
    if (model->state) {
        return intent_state_score(model->state, batch, self->spares_session_ends, logits, error);
    }
    enum status status =
        pack_scorer_score(model->scorer, batch, self->rows, count, self->logits, error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        logits[self->rows[i]] = self->logits[i];
    }
    return status;
}

static enum status score_kind(struct predict_intent *self, const struct intent_model *model,
                              enum score_kind kind, struct event_batch *batch, struct error *error)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        batch->score[kind][row] = NAN;
        batch->score_logit[kind][row] = NAN;
        bool is_wanted = model->scorer && is_scored_row(batch, row, self->spares_session_ends) &&
                         (kind != SCORE_ABANDON || has_cart(self, batch, row));
        if (is_wanted) {
            self->rows[count++] = row;
        }
    }
    if (!model->scorer) {
        return STATUS_OK;
    }
    const struct model_pack *pack = pack_scorer_pack(model->scorer);
    batch->classes[kind] = pack_scorer_classes(model->scorer);
    float logits[BATCH_ROWS_MAX];
    enum status status = score_rows(self, model, batch, count, logits, error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        uint32_t row = self->rows[i];
        batch->score_logit[kind][row] = logits[row];
        batch->score[kind][row] = model_pack_score(pack, logits[row]);
    }
    return status;
}

static enum status predict_intent_process(struct stage *stage, struct event_batch *batch,
                                          struct error *error)
{
    struct predict_intent *self = container_of(stage, struct predict_intent, stage);
    enum status status = score_kind(self, &self->purchase, SCORE_PURCHASE, batch, error);
    if (status == STATUS_OK) {
        status = score_kind(self, &self->abandon, SCORE_ABANDON, batch, error);
    }
    if (self->purchase.scorer) {
        batch->explainer[SCORE_PURCHASE] = (struct score_explainer){
            .explain = explain_purchase,
            .context = self,
            .version = pack_scorer_pack(self->purchase.scorer)->label,
        };
    }
    if (self->abandon.scorer) {
        batch->explainer[SCORE_ABANDON] = (struct score_explainer){
            .explain = explain_abandon,
            .context = self,
            .version = pack_scorer_pack(self->abandon.scorer)->label,
        };
    }
    return status;
}

static void predict_intent_destroy(struct stage *stage)
{
    struct predict_intent *self = container_of(stage, struct predict_intent, stage);
    struct intent_model *const models[] = {&self->purchase, &self->abandon};
    for (size_t i = 0; i < 2; i++) {
        intent_state_destroy(models[i]->state);
        pack_scorer_destroy(models[i]->scorer);
    }
    free(self);
}

static const struct stage_ops predict_intent_ops = {
    .info = &predict_intent_info,
    .process = predict_intent_process,
    .destroy = predict_intent_destroy,
};

static enum status create_model(const struct predict_intent_packs *packs,
                                const struct model_pack *pack, const struct feature_set *set,
                                enum record_part_id part_id, struct record_layout *layout,
                                struct intent_model *model, struct error *error)
{
    if (!pack) {
        return STATUS_OK;
    }
    enum status status = pack_scorer_create(packs->backend, pack, set, &model->scorer, error);
    if (status == STATUS_OK && pack_scorer_state_bytes(model->scorer) > 0) {
        status = intent_state_create(model->scorer, part_id, layout, &model->state, error);
    }
    return status;
}

enum status predict_intent_create(const struct predict_intent_packs *packs,
                                  const struct feature_set *set, struct record_layout *layout,
                                  struct stage **ret_stage, struct error *error)
{
    struct predict_intent *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "predict_intent: out of memory");
    }
    self->stage.ops = &predict_intent_ops;
    self->spares_session_ends = packs->spares_session_ends;
    self->cart_column = feature_index(set, "cart_pieces");
    enum status status =
        create_model(packs, packs->purchase, set, PART_INTENT, layout, &self->purchase, error);
    if (status == STATUS_OK) {
        status = create_model(packs, packs->abandon, set, PART_INTENT_ABANDON, layout,
                              &self->abandon, error);
    }
    if (status != STATUS_OK) {
        predict_intent_destroy(&self->stage);
        return error_prefix(error, status, "predict_intent");
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}
