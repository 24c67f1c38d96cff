#include "operators/pack_scorer.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct pack_scorer {
    const struct model_pack *pack;       /* Borrowed. */
    const struct feature_info *features; /* Borrowed: the names live as long as the program. */
    struct model *model;                 /* Owned. */
    uint32_t *columns;                   /* [feature_count] of the batch's matrix. Owned. */
    float *terms;                        /* [feature_count]. Owned. */
    float *classes;                      /* [BATCH_ROWS_MAX][pack's classes]. Owned; NULL: none. */
    float start; /* What an explanation starts from without a state, whatever the row. */
    bool has_start;
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
    scorer->pack = pack;
    scorer->features = set->features;
    scorer->columns = calloc(pack->feature_count, sizeof(*scorer->columns));
    scorer->terms = calloc(pack->feature_count, sizeof(*scorer->terms));
    uint32_t classes = pack->classes.count;
    scorer->classes =
        classes > 0 ? calloc((size_t)BATCH_ROWS_MAX * classes, sizeof(*scorer->classes)) : NULL;
    bool is_made = scorer->columns && scorer->terms && (scorer->classes || classes == 0);
    enum status status = is_made
                             ? match_columns(scorer, set, error)
                             : error_set(error, STATUS_FATAL, "pack %s: out of memory", pack->name);
    if (status == STATUS_OK) {
        status = model_load(backend, pack, scorer->columns, set->count, &scorer->model, error);
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
        model_unload(scorer->model);
        free(scorer->columns);
        free(scorer->terms);
        free(scorer->classes);
        free(scorer);
    }
}

/* From the order of `rows` to that of the batch; from the end, since no row moves down. */
static void spread_classes(struct pack_scorer *scorer, uint32_t row_count, const uint32_t *rows,
                           uint32_t count)
{
    uint32_t width = scorer->pack->classes.count;
    for (uint32_t row = row_count; row-- > 0;) {
        float *values = scorer->classes + (size_t)row * width;
        if (count > 0 && rows[count - 1] == row) {
            count--;
            memmove(values, scorer->classes + (size_t)count * width, width * sizeof(float));
            continue;
        }
        for (uint32_t k = 0; k < width; k++) {
            values[k] = NAN;
        }
    }
    assert(count == 0); /* The rows rise. */
}

enum status pack_scorer_score(struct pack_scorer *scorer, const struct event_batch *batch,
                              const uint32_t *rows, uint32_t count, float *logits,
                              struct error *error)
{
    if (scorer->classes) {
        enum status status =
            count == 0 ? STATUS_OK
                       : model_score_classes(scorer->model, batch->features, batch->feature_stride,
                                             rows, count, logits, scorer->classes, error);
        if (status == STATUS_OK) {
            spread_classes(scorer, batch->row_count, rows, count);
        }
        return status;
    }
    if (count == 0) {
        return STATUS_OK;
    }
    return model_score(scorer->model, batch->features, batch->feature_stride, rows, count, logits,
                       error);
}

struct class_scores pack_scorer_classes(const struct pack_scorer *scorer)
{
    return (struct class_scores){scorer->classes, scorer->pack->classes.count};
}

uint32_t pack_scorer_state_bytes(const struct pack_scorer *scorer)
{
    return scorer->model->state_bytes;
}

enum status pack_scorer_step(struct pack_scorer *scorer, const struct event_batch *batch,
                             const uint32_t *rows, uint32_t count, void *const *states,
                             float *logits, struct error *error)
{
    return model_step(scorer->model, batch->features, batch->feature_stride, rows, count, states,
                      logits, error);
}

uint32_t pack_scorer_explain(struct pack_scorer *scorer, const struct event_batch *batch,
                             uint32_t row, const void *state, float factor,
                             struct contribution *terms, uint32_t max)
{
    static const uint32_t no_state[MODEL_STATE_BYTES_MAX / sizeof(uint32_t)];
    const float *values = batch->features + (size_t)row * batch->feature_stride;
    float base;
    uint32_t count = 0;
    if (state && !scorer->has_start) {
        model_explain(scorer->model, values, no_state, scorer->terms, &scorer->start);
        scorer->has_start = true;
    }
    model_explain(scorer->model, values, state, scorer->terms, &base);
    float start = state ? scorer->start : base; /* The rest of it is what the state says. */
    if (max > 0) {
        terms[count++] =
            (struct contribution){.name = "intercept", .value = 1.0f, .logit = factor * start};
    }
    if (max > 1 && base != start) {
        terms[count++] = (struct contribution){
            .name = "session_before", .value = NAN, .logit = factor * (base - start)};
    }
    for (uint32_t i = 0; i < scorer->pack->feature_count && count < max; i++) {
        float logit = factor * scorer->terms[i];
        if (logit != 0) {
            uint32_t column = scorer->columns[i];
            terms[count++] = (struct contribution){
                .name = scorer->features[column].name, .value = values[column], .logit = logit};
        }
    }
    return count;
}

const struct model_pack *pack_scorer_pack(const struct pack_scorer *scorer)
{
    return scorer->pack;
}
