#include "operators/pack_scorer.h"

#include <stdlib.h>

struct pack_scorer {
    const struct model_backend_ops *backend;
    const struct model_pack *pack;       /* Borrowed. */
    const struct feature_info *features; /* Borrowed: the names live as long as the program. */
    struct model *model;                 /* Owned. */
    uint32_t *columns;                   /* [feature_count] of the batch's matrix. Owned. */
};

static enum status match_columns(struct pack_scorer *scorer, const struct feature_set *set,
                                 struct error *error)
{
    const char *names[FEATURES_MAX];
    for (uint32_t i = 0; i < set->count; i++) {
        names[i] = set->features[i].name;
    }
    return model_pack_match(scorer->pack, names, set->count, scorer->columns, error);
}

enum status pack_scorer_create(const struct model_backend_ops *backend,
                               const struct model_pack *pack, const struct feature_set *set,
                               struct pack_scorer **ret_scorer, struct error *error)
{
    struct pack_scorer *scorer = calloc(1, sizeof(*scorer));
    if (!scorer) {
        return error_set(error, STATUS_FATAL, "pack %s: out of memory", pack->name);
    }
    scorer->backend = backend;
    scorer->pack = pack;
    scorer->features = set->features;
    scorer->columns = calloc(pack->feature_count, sizeof(*scorer->columns));
    enum status status = scorer->columns
                             ? match_columns(scorer, set, error)
                             : error_set(error, STATUS_FATAL, "pack %s: out of memory", pack->name);
    if (status == STATUS_OK) {
        status = backend->load(pack, scorer->columns, set->count, &scorer->model, error);
    }
    if (status != STATUS_OK) {
        pack_scorer_destroy(scorer);
        return status;
    }
    *ret_scorer = scorer;
    return STATUS_OK;
}

void pack_scorer_destroy(struct pack_scorer *scorer)
{
    if (scorer) {
        scorer->backend->unload(scorer->model);
        free(scorer->columns);
        free(scorer);
    }
}

enum status pack_scorer_score(struct pack_scorer *scorer, const struct event_batch *batch,
                              const uint32_t *rows, uint32_t count, float *logits,
                              struct error *error)
{
    if (count == 0) {
        return STATUS_OK;
    }
    return scorer->backend->score(scorer->model, batch->features, batch->feature_stride, rows,
                                  count, logits, error);
}

uint32_t pack_scorer_explain(const struct pack_scorer *scorer, const struct event_batch *batch,
                             uint32_t row, float factor, struct contribution *terms, uint32_t max)
{
    const struct model_pack *pack = scorer->pack;
    const float *values = batch->features + (size_t)row * batch->feature_stride;
    uint32_t count = 0;
    if (max > 0) {
        terms[count++] =
            (struct contribution){.name = "intercept",
                                  .value = 1.0f,
                                  .logit = factor * (pack->slope * pack->bias + pack->offset)};
    }
    for (uint32_t i = 0; i < pack->feature_count && count < max; i++) {
        float value = values[scorer->columns[i]];
        float logit = factor * pack->slope * model_pack_term(pack, i, value);
        if (logit != 0) {
            terms[count++] = (struct contribution){
                .name = scorer->features[scorer->columns[i]].name, .value = value, .logit = logit};
        }
    }
    return count;
}

const struct model_pack *pack_scorer_pack(const struct pack_scorer *scorer)
{
    return scorer->pack;
}
