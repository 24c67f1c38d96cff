#include "models/pack_mean.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/pack_kind.h"
#include "pipeline/base/hash.h"

static void mean_unload(void *given)
{
    struct pack_mean *body = given;
    for (uint32_t i = 0; body && i < body->count; i++) {
        model_pack_unload(body->packs[i]);
        free(body->places[i]);
    }
    free(body);
}

static uint32_t find_or_add(const char **names, uint32_t *count, const char *name)
{
    uint32_t place = 0;
    while (place < *count && strcmp(names[place], name) != 0) {
        place++;
    }
    if (place == *count) {
        names[(*count)++] = name;
    }
    return place;
}

static enum status join_features(struct pack_mean *body, struct model_pack *pack,
                                 struct error *error)
{
    const char *names[MEAN_PACKS_MAX * PACK_FEATURES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < body->count; i++) {
        const struct model_pack *member = body->packs[i];
        body->places[i] = calloc(member->feature_count, sizeof(uint32_t));
        if (!body->places[i]) {
            return error_set(error, STATUS_FATAL, "out of memory");
        }
        for (uint32_t f = 0; f < member->feature_count; f++) {
            body->places[i][f] = find_or_add(names, &count, member->features[f].name);
        }
        pack->body_hash = hash64_combine(pack->body_hash, member->hash);
    }
    return pack_set_features(pack, names, count, error);
}

static enum status mean_read(const char *directory, const struct yaml_node *root,
                             struct model_pack *pack, struct error *error)
{
    struct pack_mean *body = calloc(1, sizeof(*body));
    if (!body) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    pack->body = body;
    const struct yaml_node *list = yaml_find(root, "packs");
    if (!list || list->kind != YAML_SEQUENCE || list->child_count < 2 ||
        list->child_count > MEAN_PACKS_MAX) {
        return yaml_complain(list ? list : root, error, "packs: 2 to %u folders expected",
                             MEAN_PACKS_MAX);
    }
    for (size_t i = 0; i < list->child_count; i++) {
        const struct yaml_node *node = &list->children[i];
        if (node->kind != YAML_SCALAR || !*node->scalar) {
            return yaml_complain(node, error, "the folder of a pack expected");
        }
        char *folder = yaml_resolve_path(node, node->scalar);
        enum status status = folder ? pack_load_member(folder, &body->packs[i], error)
                                    : error_set(error, STATUS_FATAL, "out of memory");
        free(folder);
        if (status == STATUS_OK && body->packs[i]->output != PACK_OUTPUT_CHANCE) {
            body->count++; /* It is unloaded with the rest. */
            return yaml_complain(node, error, "pack %s predicts a value; a chance expected",
                                 body->packs[i]->name);
        }
        if (status != STATUS_OK) {
            return error_prefix(error, status, "%s/manifest.yaml: packs", directory);
        }
        body->count++;
    }
    return join_features(body, pack, error);
}

struct mean_model {
    struct model model;
    const struct pack_mean *body; /* Borrowed. */
    struct model *members[MEAN_PACKS_MAX];
    uint32_t state_at[MEAN_PACKS_MAX]; /* Of a member's state in ours. */
    float *terms;                      /* [PACK_FEATURES_MAX] */
    float *logits;                     /* [capacity], as the next one. */
    void **states;
    uint32_t capacity;
};

static void unload_mean(struct model *base)
{
    struct mean_model *model = (struct mean_model *)base;
    for (uint32_t i = 0; i < model->body->count; i++) {
        model_unload(model->members[i]);
    }
    free(model->terms);
    free(model->logits);
    free((void *)model->states);
    free(model);
}

static enum status make_room(struct mean_model *model, uint32_t count, struct error *error)
{
    if (count <= model->capacity) {
        return STATUS_OK;
    }
    free(model->logits);
    free((void *)model->states);
    model->capacity = 0;
    model->logits = calloc(count, sizeof(*model->logits));
    model->states = (void **)calloc(count, sizeof(*model->states));
    if (!model->logits || !model->states) {
        return error_set(error, STATUS_FATAL, "scoring a mean: out of memory");
    }
    model->capacity = count;
    return STATUS_OK;
}

static enum status score_member(struct mean_model *model, uint32_t i, const float *features,
                                uint32_t stride, const uint32_t *rows, uint32_t count,
                                void *const *states, struct error *error)
{
    struct model *member = model->members[i];
    if (member->state_bytes == 0) {
        return model_score(member, features, stride, rows, count, model->logits, error);
    }
    assert(states); /* With such a member the mean has a state, too. */
    for (uint32_t k = 0; k < count; k++) {
        model->states[k] = (char *)states[k] + model->state_at[i];
    }
    return model_step(member, features, stride, rows, count, model->states, model->logits, error);
}

static enum status mean_step(struct model *base, const float *features, uint32_t stride,
                             const uint32_t *rows, uint32_t count, void *const *states,
                             float *logits, struct error *error)
{
    struct mean_model *model = (struct mean_model *)base;
    const float share = 1.0f / (float)model->body->count;
    enum status status = make_room(model, count, error);
    memset(logits, 0, count * sizeof(*logits));
    for (uint32_t i = 0; status == STATUS_OK && i < model->body->count; i++) {
        status = score_member(model, i, features, stride, rows, count, states, error);
        for (uint32_t k = 0; status == STATUS_OK && k < count; k++) {
            logits[k] += share * model->logits[k];
        }
    }
    return status;
}

static enum status mean_score(struct model *base, const float *features, uint32_t stride,
                              const uint32_t *rows, uint32_t count, float *logits,
                              struct error *error)
{
    return mean_step(base, features, stride, rows, count, NULL, logits, error);
}

static void mean_explain(struct model *base, const float *row, const void *state, float *terms,
                         float *ret_base)
{
    struct mean_model *model = (struct mean_model *)base;
    const struct pack_mean *body = model->body;
    const float share = 1.0f / (float)body->count;
    memset(terms, 0, base->pack->feature_count * sizeof(*terms));
    *ret_base = 0;
    for (uint32_t i = 0; i < body->count; i++) {
        const struct model *member = model->members[i];
        const void *own = member->state_bytes ? (const char *)state + model->state_at[i] : NULL;
        float from;
        model_explain(model->members[i], row, own, model->terms, &from);
        *ret_base += share * from;
        for (uint32_t f = 0; f < body->packs[i]->feature_count; f++) {
            terms[body->places[i][f]] += share * model->terms[f];
        }
    }
}

static const struct model_ops stateless_ops = {
    .score = mean_score,
    .explain = mean_explain,
    .unload = unload_mean,
};

static const struct model_ops stateful_ops = {
    .step = mean_step,
    .explain = mean_explain,
    .unload = unload_mean,
};

static enum status load_members(const struct model_backend_ops *backend, struct mean_model *model,
                                const uint32_t *columns, uint32_t width, struct error *error)
{
    const struct pack_mean *body = model->body;
    uint32_t own[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < body->count; i++) {
        for (uint32_t f = 0; f < body->packs[i]->feature_count; f++) {
            own[f] = columns[body->places[i][f]];
        }
        enum status status =
            model_load(backend, body->packs[i], own, width, &model->members[i], error);
        if (status != STATUS_OK) {
            return status;
        }
        model->state_at[i] = model->model.state_bytes;
        model->model.state_bytes += model->members[i]->state_bytes;
    }
    if (model->model.state_bytes > MODEL_STATE_BYTES_MAX) {
        return error_set(error, STATUS_INVALID,
                         "its packs keep %u bytes of each shopper; at most %u expected",
                         model->model.state_bytes, MODEL_STATE_BYTES_MAX);
    }
    return STATUS_OK;
}

static enum status mean_load(const struct model_backend_ops *backend, const struct model_pack *pack,
                             const uint32_t *columns, uint32_t width, struct model **ret_model,
                             struct error *error)
{
    struct mean_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    model->body = pack_mean_of(pack);
    model->terms = calloc(PACK_FEATURES_MAX, sizeof(*model->terms));
    enum status status = model->terms ? load_members(backend, model, columns, width, error)
                                      : error_set(error, STATUS_FATAL, "out of memory");
    if (status != STATUS_OK) {
        unload_mean(&model->model);
        return status;
    }
    model->model.ops = model->model.state_bytes > 0 ? &stateful_ops : &stateless_ops;
    *ret_model = &model->model;
    return STATUS_OK;
}

static const char *const keys[] = {"packs", NULL};

const struct pack_kind_ops pack_kind_mean = {
    .name = "mean",
    .keys = keys,
    .features = PACK_FEATURES_OWN,
    .has_members = true,
    .read = mean_read,
    .unload = mean_unload,
    .load = mean_load,
};
