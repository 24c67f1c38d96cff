#include "models/model_backend.h"

#include <assert.h>
#include <stddef.h>

#include "models/pack_kind.h"

const struct model_backend_ops *const model_backends[] = {&backend_lanes, &backend_openblas, NULL};
const char *const model_backend_names[] = {"lanes", "openblas", NULL};

static model_load_function *loader_of(const struct model_backend_ops *backend,
                                      const struct pack_kind_ops *kind)
{
    const struct model_loader *loader = backend->loaders;
    while (loader->kind && loader->kind != kind) {
        loader++;
    }
    return loader->kind ? loader->load : kind->load;
}

enum status model_load(const struct model_backend_ops *backend, const struct model_pack *pack,
                       const uint32_t *columns, uint32_t width, struct model **ret_model,
                       struct error *error)
{
    assert(pack->feature_count > 0);
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        assert(columns[i] < width);
    }
    struct model *model = NULL;
    enum status status =
        loader_of(backend, pack->kind)(backend, pack, columns, width, &model, error);
    if (status != STATUS_OK) {
        return error_prefix(error, status, "model %s", pack->name);
    }
    model->pack = pack;
    assert((model->ops->score == NULL) == (model->state_bytes > 0));
    assert((model->ops->step == NULL) == (model->state_bytes == 0));
    assert(model->ops->score_classes || pack->classes.count == 0);
    assert(model->state_bytes <= MODEL_STATE_BYTES_MAX && model->state_bytes % 4 == 0);
    *ret_model = model;
    return STATUS_OK;
}

void model_unload(struct model *model)
{
    if (model) {
        model->ops->unload(model);
    }
}

static void calibrate(const struct model *model, uint32_t count, float *logits)
{
    const struct pack_calibration *calibration = &model->pack->calibration;
    for (uint32_t i = 0; i < count; i++) {
        logits[i] = pack_calibrate(calibration, logits[i]);
    }
}

enum status model_score(struct model *model, const float *features, uint32_t stride,
                        const uint32_t *rows, uint32_t count, float *logits, struct error *error)
{
    assert(model->ops->score);
    enum status status = model->ops->score(model, features, stride, rows, count, logits, error);
    if (status == STATUS_OK) {
        calibrate(model, count, logits);
    }
    return status;
}

/* From what model_ops.score_classes() gives to the scores of one row. */
static void finish_classes(const struct model_pack *pack, float logit, float *values)
{
    const struct pack_classes *classes = &pack->classes;
    float left = fixed_sigmoidf(-logit);
    for (uint32_t k = 0; k < classes->count; k++) {
        values[k] = classes->are_disjoint ? left * values[k] : model_pack_score(pack, values[k]);
    }
    values[classes->chosen] = model_pack_score(pack, logit);
}

enum status model_score_classes(struct model *model, const float *features, uint32_t stride,
                                const uint32_t *rows, uint32_t count, float *logits, float *values,
                                struct error *error)
{
    const struct model_pack *pack = model->pack;
    assert(pack->classes.count > 1 && model->ops->score_classes);
    enum status status =
        model->ops->score_classes(model, features, stride, rows, count, logits, values, error);
    if (status == STATUS_OK) {
        calibrate(model, count, logits);
        for (uint32_t i = 0; i < count; i++) {
            finish_classes(pack, logits[i], values + (size_t)i * pack->classes.count);
        }
    }
    return status;
}

enum status model_step(struct model *model, const float *features, uint32_t stride,
                       const uint32_t *rows, uint32_t count, void *const *states, float *logits,
                       struct error *error)
{
    assert(model->ops->step);
    enum status status =
        model->ops->step(model, features, stride, rows, count, states, logits, error);
    if (status == STATUS_OK) {
        calibrate(model, count, logits);
    }
    return status;
}

void model_explain(struct model *model, const float *row, const void *state, float *terms,
                   float *ret_base)
{
    float base = 0;
    model->ops->explain(model, row, state, terms, &base);
    uint32_t count = model->pack->feature_count;
    double logit = (double)base;
    for (uint32_t i = 0; i < count; i++) {
        logit += (double)terms[i];
    }
    float factor;
    pack_calibrate_terms(&model->pack->calibration, (float)logit, base, &factor, ret_base);
    for (uint32_t i = 0; i < count; i++) {
        terms[i] *= factor;
    }
}
