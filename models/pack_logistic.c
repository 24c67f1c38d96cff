#include "models/pack_logistic.h"

#include <math.h>
#include <stdlib.h>

#include "models/pack_kind.h"

static enum status logistic_read(const char *directory, const struct yaml_node *root,
                                 struct model_pack *pack, struct error *error)
{
    (void)root;
    struct pack_logistic *body = calloc(1, sizeof(*body));
    if (!body) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    pack->body = body;
    const uint64_t width = pack->feature_count;
    const uint64_t one = 1;
    const float *bias = NULL;
    enum status status =
        pack_tensor(pack, directory, "weight", true, 1, &width, &body->weights, error);
    if (status == STATUS_OK) {
        status = pack_tensor(pack, directory, "bias", true, 1, &one, &bias, error);
    }
    if (status == STATUS_OK) {
        status = pack_tensor(pack, directory, "missing", false, 1, &width, &body->missing, error);
    }
    if (status == STATUS_OK) {
        body->bias = *bias;
    }
    return status;
}

float pack_logistic_term(const struct model_pack *pack, uint32_t index, float x)
{
    const struct pack_logistic *body = pack_logistic_of(pack);
    if (isnan(x)) {
        return body->missing ? body->missing[index] : 0.0f;
    }
    return body->weights[index] * pack_feature_scale(&pack->features[index], x);
}

void pack_logistic_explain(const struct model_pack *pack, const uint32_t *columns, const float *row,
                           float *terms, float *ret_base)
{
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        terms[i] = pack_logistic_term(pack, i, row[columns[i]]);
    }
    *ret_base = pack_logistic_of(pack)->bias;
}

const struct pack_kind_ops pack_kind_logistic = {
    .name = "logistic",
    .features = PACK_FEATURES_REQUIRED,
    .scales_features = true,
    .needs_tensors = true,
    .read = logistic_read,
    .unload = free,
    .load = lanes_load_logistic,
};
