#include "models/pack_network.h"

#include <stdlib.h>
#include <string.h>

#include "models/network_explain.h"
#include "models/network_read.h"
#include "models/pack_kind.h"
#include "pipeline/base/hash.h"

/* ---- The pack ---- */

static void network_unload(void *given)
{
    struct pack_network *body = given;
    if (body) {
        network_shape_release(&body->shape);
        free(body->parameters);
        free(body);
    }
}

struct tensor_reader {
    const char *directory;
    const struct model_pack *pack;
    float *parameters;
};

static enum status take_tensor(void *context, const struct network_tensor *tensor,
                               struct error *error)
{
    struct tensor_reader *reader = context;
    const float *data = NULL;
    enum status status = pack_tensor(reader->pack, reader->directory, tensor->name, true,
                                     tensor->dimension_count, tensor->dimensions, &data, error);
    if (status == STATUS_OK) {
        memcpy(reader->parameters + tensor->place, data, tensor->count * sizeof(*data));
    }
    return status;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
    return hash64_combine(hash, hash64((struct text){bytes, (uint32_t)length}));
}

/* Of what the shape says beside the parameters. */
static uint64_t hash_shape(const struct network_shape *shape)
{
    uint64_t hash = hash_bytes(0, &shape->norm_epsilon, sizeof(shape->norm_epsilon));
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const uint32_t words[] = {shape->layers[i].size, (uint32_t)shape->layers[i].activation,
                                  shape->layers[i].has_norm};
        hash = hash_bytes(hash, words, sizeof(words));
    }
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct network_input *input = &shape->inputs[i];
        const uint32_t words[] = {input->has_indicator, input->rows,    input->width,
                                  input->missing,       input->unknown, input->first,
                                  input->bin_count};
        hash = hash_bytes(hash, words, sizeof(words));
        hash = hash_bytes(hash, input->bins, input->bin_count * sizeof(*input->bins));
        hash = hash_bytes(hash, &input->fill, sizeof(input->fill));
    }
    const uint32_t words[] = {(uint32_t)shape->cell, shape->hidden};
    return hash_bytes(hash, words, sizeof(words));
}

static enum status read_network(const char *directory, const struct yaml_node *root,
                                enum network_cell cell, struct model_pack *pack,
                                struct error *error)
{
    struct pack_network *body = calloc(1, sizeof(*body));
    if (!body) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    pack->body = body;
    const struct yaml_node *node = yaml_find(root, "network");
    if (!node) {
        return yaml_complain(root, error, "network: the network's shape expected");
    }
    const char *names[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        names[i] = pack->features[i].name;
    }
    enum status status =
        network_shape_read(node, cell, names, pack->feature_count, &body->shape, error);
    if (status != STATUS_OK) {
        return status;
    }
    pack->body_hash = hash_shape(&body->shape);
    body->parameters = malloc(body->shape.parameter_count * sizeof(*body->parameters));
    if (!body->parameters) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    struct tensor_reader reader = {directory, pack, body->parameters};
    return network_shape_tensors(&body->shape, names, take_tensor, &reader, error);
}

static enum status mlp_read(const char *directory, const struct yaml_node *root,
                            struct model_pack *pack, struct error *error)
{
    return read_network(directory, root, CELL_NONE, pack, error);
}

static enum status gru_read(const char *directory, const struct yaml_node *root,
                            struct model_pack *pack, struct error *error)
{
    return read_network(directory, root, CELL_GRU, pack, error);
}

static enum status lstm_read(const char *directory, const struct yaml_node *root,
                             struct model_pack *pack, struct error *error)
{
    return read_network(directory, root, CELL_LSTM, pack, error);
}

/* ---- The model ---- */

struct loaded_network {
    struct model model;
    struct network_model *network;
    struct network_explainer *explainer;
};

static void unload_network(struct model *base)
{
    struct loaded_network *loaded = (struct loaded_network *)base;
    network_explainer_destroy(loaded->explainer);
    network_model_destroy(loaded->network);
    free(loaded);
}

static enum status score(struct model *base, const float *features, uint32_t stride,
                         const uint32_t *rows, uint32_t count, float *logits, struct error *error)
{
    (void)error;
    struct loaded_network *loaded = (struct loaded_network *)base;
    const struct network_rows given = {features, stride, rows, count};
    network_model_score(loaded->network, &given, NULL, logits);
    return STATUS_OK;
}

static enum status step(struct model *base, const float *features, uint32_t stride,
                        const uint32_t *rows, uint32_t count, void *const *states, float *logits,
                        struct error *error)
{
    (void)error;
    struct loaded_network *loaded = (struct loaded_network *)base;
    const struct network_rows given = {features, stride, rows, count};
    network_model_score(loaded->network, &given, states, logits);
    return STATUS_OK;
}

static void explain(struct model *base, const float *row, const void *state, float *terms,
                    float *ret_base)
{
    struct loaded_network *loaded = (struct loaded_network *)base;
    network_explain(loaded->explainer, row, state, terms, ret_base);
}

static const struct model_ops plain_ops = {
    .score = score, .explain = explain, .unload = unload_network};
static const struct model_ops recurrent_ops = {
    .step = step, .explain = explain, .unload = unload_network};

static enum status load_network(const struct model_backend_ops *backend,
                                const struct model_pack *pack, const uint32_t *columns,
                                uint32_t width, struct model **ret_model, struct error *error)
{
    (void)backend;
    (void)width;
    const struct pack_network *body = pack_network_of(pack);
    struct loaded_network *loaded = calloc(1, sizeof(*loaded));
    if (!loaded) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    loaded->model.state_bytes = network_state_bytes(&body->shape);
    loaded->model.ops = loaded->model.state_bytes > 0 ? &recurrent_ops : &plain_ops;
    const struct network_source source = {.shape = &body->shape,
                                          .parameters = body->parameters,
                                          .features = pack->features,
                                          .columns = columns};
    enum status status = network_model_create(&source, &loaded->network, error);
    if (status == STATUS_OK) {
        status = network_explainer_create(&source, loaded->network, &loaded->explainer, error);
    }
    if (status != STATUS_OK) {
        unload_network(&loaded->model);
        return status;
    }
    *ret_model = &loaded->model;
    return STATUS_OK;
}

static const char *const keys[] = {"network", NULL};

#define NETWORK_KIND(NAME, READ)                                                                   \
    {                                                                                              \
        .name = NAME, .keys = keys, .features = PACK_FEATURES_REQUIRED, .scales_features = true,   \
        .needs_tensors = true, .read = READ, .unload = network_unload, .load = load_network        \
    }

const struct pack_kind_ops pack_kind_mlp = NETWORK_KIND("mlp", mlp_read);
const struct pack_kind_ops pack_kind_gru = NETWORK_KIND("gru", gru_read);
const struct pack_kind_ops pack_kind_lstm = NETWORK_KIND("lstm", lstm_read);
