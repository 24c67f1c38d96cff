#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend_cuda_internal.h"
#include "models/network_model.h"
#include "models/pack_network.h"

static_assert((int)ACTIVATION_GELU == (int)CUDA_GELU, "passed on as it is");
static_assert((int)ACTIVATION_RELU == (int)CUDA_RELU, "passed on as it is");
static_assert((int)ACTIVATION_TANH == (int)CUDA_TANH, "passed on as it is");
static_assert((int)ACTIVATION_SIGMOID == (int)CUDA_SIGMOID, "passed on as it is");
static_assert((int)CELL_GRU == (int)CUDA_CELL_GRU, "passed on as it is");
static_assert((int)CELL_LSTM == (int)CUDA_CELL_LSTM, "passed on as it is");
static_assert(NETWORK_LAYERS_MAX <= CUDA_LAYERS_MAX, "all layers have a place");

struct cuda_network_model {
    struct cuda_kind_model base;
    const struct cuda_plugin *plugin;
    const struct network_shape *shape; /* Borrowed from the pack. */
    struct network_model *network;     /* Makes the input vectors. */
    uint32_t input_padded, hidden_padded;
};

/* Deals out a block of zeros; without one it only counts. */
struct room {
    float *block;
    size_t used;
};

static float *take(struct room *room, size_t count)
{
    float *taken = room->block ? room->block + room->used : NULL;
    room->used += count;
    return taken;
}

static const float *take_copy(struct room *room, const float *from, uint32_t count)
{
    float *taken = take(room, network_padded(count));
    if (taken) {
        memcpy(taken, from, count * sizeof(*taken));
    }
    return taken;
}

static const float *take_panels(struct room *room, const float *weight, uint32_t out, uint32_t in)
{
    float *taken = take(room, (size_t)network_padded(out) * in);
    if (taken) {
        network_panels(weight, out, in, taken);
    }
    return taken;
}

static void lay_cell(const struct network_shape *shape, const float *p, struct room *room,
                     struct cuda_network *network)
{
    uint32_t hidden = shape->hidden;
    uint32_t padded = network->hidden_padded;
    uint32_t gates = network_gates(shape);
    network->input_panels = room->block ? room->block + room->used : NULL;
    for (uint32_t gate = 0; gate < gates; gate++) {
        size_t first = (size_t)gate * hidden;
        (void)take_panels(room, p + shape->weight_ih + first * shape->input_count, hidden,
                          shape->input_count);
    }
    network->hidden_panels = room->block ? room->block + room->used : NULL;
    for (uint32_t gate = 0; gate < gates; gate++) {
        (void)take_panels(room, p + shape->weight_hh + (size_t)gate * hidden * hidden, hidden,
                          hidden);
    }
    float *bias = take(room, (size_t)gates * padded);
    float *inner = take(room, padded);
    network->gate_bias = bias;
    network->inner_bias = inner;
    for (uint32_t i = 0; bias && i < gates * hidden; i++) {
        bool is_apart = shape->cell == CELL_GRU && i / hidden == 2;
        float second = p[shape->bias_hh + i];
        bias[i / hidden * padded + i % hidden] = p[shape->bias_ih + i] + (is_apart ? 0.0f : second);
        if (is_apart) {
            inner[i % hidden] = second;
        }
    }
}

static void lay_out(const struct pack_network *body, struct room *room,
                    struct cuda_network *network)
{
    const struct network_shape *shape = &body->shape;
    const float *p = body->parameters;
    *network = (struct cuda_network){
        .cell = (uint32_t)shape->cell,
        .input_count = shape->input_count,
        .input_padded = network_padded(shape->input_count),
        .hidden = shape->hidden,
        .hidden_padded = shape->cell == CELL_NONE ? 0 : network_padded(shape->hidden),
        .norm_epsilon = shape->norm_epsilon,
        .layer_count = shape->layer_count,
    };
    if (shape->cell != CELL_NONE) {
        lay_cell(shape, p, room, network);
    }
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const struct network_layer *from = &shape->layers[i];
        network->layers[i] = (struct cuda_layer){
            .panels = take_panels(room, p + from->weight, from->size, from->inputs),
            .bias = take_copy(room, p + from->bias, from->size),
            .norm_weight =
                from->has_norm ? take_copy(room, p + from->norm_weight, from->size) : NULL,
            .norm_bias = from->has_norm ? take_copy(room, p + from->norm_bias, from->size) : NULL,
            .inputs = from->inputs,
            .size = from->size,
            .padded = network_padded(from->size),
            .activation = (uint32_t)from->activation,
        };
    }
}

static void destroy(struct cuda_kind_model *base)
{
    struct cuda_network_model *model = (struct cuda_network_model *)base;
    model->plugin->destroy(model->base.device);
    network_model_destroy(model->network);
    free(model);
}

/* The device copies what it is shown. */
static enum status create_on_device(struct cuda_network_model *model,
                                    const struct pack_network *body, struct error *error)
{
    struct room room = {0};
    struct cuda_network network;
    lay_out(body, &room, &network);
    assert(room.used > 0);
    room = (struct room){.block = calloc(room.used, sizeof(float))};
    if (!room.block) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    lay_out(body, &room, &network);
    char message[CUDA_MESSAGE_BYTES] = "";
    int code =
        model->plugin->create_network(&network, &model->base.device, message, sizeof(message));
    free(room.block);
    model->input_padded = network.input_padded;
    model->hidden_padded = network.hidden_padded;
    return code == 0 ? STATUS_OK : error_set(error, STATUS_INVALID, "device cuda: %s", message);
}

static enum status create(const struct cuda_plugin *plugin, const struct model_pack *pack,
                          const uint32_t *columns, struct cuda_kind_model **ret_model,
                          struct error *error)
{
    const struct pack_network *body = pack_network_of(pack);
    struct cuda_network_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    model->plugin = plugin;
    model->shape = &body->shape;
    const struct network_source source = {.shape = &body->shape,
                                          .parameters = body->parameters,
                                          .features = pack->features,
                                          .columns = columns};
    enum status status = network_model_create(&source, &model->network, error);
    if (status == STATUS_OK) {
        status = create_on_device(model, body, error);
    }
    if (status != STATUS_OK) {
        network_model_destroy(model->network);
        free(model);
        return status;
    }
    *ret_model = &model->base;
    return STATUS_OK;
}

static void gather(struct cuda_kind_model *base, const struct cuda_batch *batch, uint32_t first,
                   uint32_t count, struct cuda_slot *slot)
{
    struct cuda_network_model *model = (struct cuda_network_model *)base;
    const struct network_rows rows = {batch->features, batch->stride, batch->rows, batch->count};
    size_t bytes = model->shape->hidden * sizeof(float);
    uint32_t padded = model->hidden_padded;
    /* Indicators and tables stand where padding of the numbers would, so rows start as zeros. */
    memset(slot->inputs, 0, (size_t)count * model->input_padded * sizeof(float));
    network_model_inputs(model->network, &rows, first, count, slot->inputs, model->input_padded);
    for (uint32_t i = 0; batch->states && i < count; i++) {
        const char *state = batch->states[first + i];
        memset(slot->h + (size_t)i * padded, 0, padded * sizeof(float));
        memcpy(slot->h + (size_t)i * padded, state, bytes);
        if (model->shape->cell == CELL_LSTM) {
            memset(slot->c + (size_t)i * padded, 0, padded * sizeof(float));
            memcpy(slot->c + (size_t)i * padded, state + bytes, bytes);
        }
    }
}

static void collect(struct cuda_kind_model *base, const struct cuda_batch *batch, uint32_t first,
                    uint32_t count, const struct cuda_slot *slot)
{
    const struct cuda_network_model *model = (const struct cuda_network_model *)base;
    size_t bytes = model->shape->hidden * sizeof(float);
    memcpy(batch->logits + first, slot->outputs, count * sizeof(float));
    for (uint32_t i = 0; batch->states && i < count; i++) {
        char *state = batch->states[first + i];
        memcpy(state, slot->h + (size_t)i * model->hidden_padded, bytes);
        if (model->shape->cell == CELL_LSTM) {
            memcpy(state + bytes, slot->c + (size_t)i * model->hidden_padded, bytes);
        }
    }
}

const struct cuda_kind_ops cuda_networks = {create, destroy, gather, collect};
