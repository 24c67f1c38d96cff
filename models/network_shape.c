#include "models/network_shape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "network: out of memory");
}

enum status network_shape_init(struct network_shape *shape, uint32_t feature_count,
                               struct error *error)
{
    struct network_input *inputs = calloc((size_t)feature_count + 1, sizeof(*inputs));
    if (!inputs) {
        return out_of_memory(error);
    }
    *shape = (struct network_shape){
        .norm_epsilon = 1e-5f, .feature_count = feature_count, .inputs = inputs};
    return STATUS_OK;
}

void network_shape_release(struct network_shape *shape)
{
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        free(shape->inputs[i].tensor);
    }
    for (uint32_t i = 0; i < NETWORK_LAYERS_MAX; i++) {
        free(shape->layers[i].tensor);
        free(shape->layers[i].norm);
    }
    free(shape->tensor);
    free(shape->inputs);
    *shape = (struct network_shape){0};
}

/* A copy of a text, NULL of NULL; false when memory is exhausted. */
static bool copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

enum status network_shape_copy(const struct network_shape *shape, struct network_shape *ret_copy,
                               struct error *error)
{
    struct network_shape copy;
    enum status status = network_shape_init(&copy, shape->feature_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct network_input *inputs = copy.inputs;
    copy = *shape;
    copy.inputs = inputs;
    bool is_whole = copy_text(shape->tensor, &copy.tensor);
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        inputs[i] = shape->inputs[i];
        is_whole = copy_text(shape->inputs[i].tensor, &inputs[i].tensor) && is_whole;
    }
    for (uint32_t i = 0; i < NETWORK_LAYERS_MAX; i++) {
        struct network_layer *layer = &copy.layers[i];
        is_whole = copy_text(shape->layers[i].tensor, &layer->tensor) && is_whole;
        is_whole = copy_text(shape->layers[i].norm, &layer->norm) && is_whole;
    }
    if (!is_whole) {
        network_shape_release(&copy);
        return out_of_memory(error);
    }
    *ret_copy = copy;
    return STATUS_OK;
}

static enum status check_input(const struct network_input *input, uint32_t index,
                               struct error *error)
{
    if (!isfinite(input->fill)) {
        return error_set(error, STATUS_INVALID, "network: feature %u: fill: a number expected",
                         index);
    }
    if (input->rows == 0) {
        return STATUS_OK;
    }
    if (input->rows > NETWORK_ROWS_MAX || input->width < 1 || input->width > NETWORK_WIDTH_MAX) {
        return error_set(error, STATUS_INVALID,
                         "network: embedding of feature %u: %u rows of %u: at most %u rows of 1 to "
                         "%u expected",
                         index, input->rows, input->width, NETWORK_ROWS_MAX, NETWORK_WIDTH_MAX);
    }
    bool has_rows = input->missing < input->rows && input->unknown < input->rows &&
                    input->first + input->bin_count < input->rows;
    if (!has_rows || input->bin_count > NETWORK_BINS_MAX) {
        return error_set(error, STATUS_INVALID,
                         "network: embedding of feature %u: missing %u, unknown %u and first %u "
                         "with %u bins: all below its %u rows expected",
                         index, input->missing, input->unknown, input->first, input->bin_count,
                         input->rows);
    }
    for (uint32_t i = 0; i < input->bin_count; i++) {
        if (!isfinite(input->bins[i]) || (i > 0 && !(input->bins[i] > input->bins[i - 1]))) {
            return error_set(error, STATUS_INVALID,
                             "network: embedding of feature %u: bins: rising numbers expected",
                             index);
        }
    }
    return STATUS_OK;
}

static enum status place_inputs(struct network_shape *shape, struct error *error)
{
    uint32_t numeric = 0;
    uint32_t indicators = 0;
    uint64_t wide = 0;
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        struct network_input *input = &shape->inputs[i];
        enum status status = check_input(input, i, error);
        if (status != STATUS_OK) {
            return status;
        }
        input->place = input->rows ? (uint32_t)wide : numeric++;
        input->indicator = indicators;
        indicators += !input->rows && input->has_indicator;
        wide += input->rows ? input->width : 0;
    }
    if (wide + numeric + indicators > NETWORK_INPUTS_MAX || wide + numeric == 0) {
        return error_set(error, STATUS_INVALID, "network: %llu inputs: 1 to %u expected",
                         (unsigned long long)(wide + numeric + indicators), NETWORK_INPUTS_MAX);
    }
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        struct network_input *input = &shape->inputs[i];
        input->indicator += numeric;
        input->place += input->rows ? numeric + indicators : 0;
        input->table = shape->parameter_count;
        shape->parameter_count += (size_t)input->rows * input->width;
    }
    shape->numeric_count = numeric;
    shape->indicator_count = indicators;
    shape->input_count = numeric + indicators + (uint32_t)wide;
    return STATUS_OK;
}

static enum status place_cell(struct network_shape *shape, struct error *error)
{
    if (shape->cell == CELL_NONE) {
        return STATUS_OK;
    }
    uint32_t bytes = network_state_bytes(shape);
    if (shape->hidden < 1 || shape->hidden > NETWORK_STATE_BYTES_MAX ||
        bytes > NETWORK_STATE_BYTES_MAX) {
        return error_set(error, STATUS_INVALID,
                         "network: hidden: %u: 1 to %u expected, since a user's state has at most "
                         "%u bytes",
                         shape->hidden, shape->cell == CELL_GRU ? 128u : 64u,
                         NETWORK_STATE_BYTES_MAX);
    }
    size_t outputs = (size_t)network_gates(shape) * shape->hidden;
    shape->weight_ih = shape->parameter_count;
    shape->weight_hh = shape->weight_ih + outputs * shape->input_count;
    shape->bias_ih = shape->weight_hh + outputs * shape->hidden;
    shape->bias_hh = shape->bias_ih + outputs;
    shape->parameter_count = shape->bias_hh + outputs;
    return STATUS_OK;
}

static enum status place_layers(struct network_shape *shape, struct error *error)
{
    uint32_t inputs = shape->cell == CELL_NONE ? shape->input_count : shape->hidden;
    if (shape->layer_count < 1 || shape->layer_count > NETWORK_LAYERS_MAX) {
        return error_set(error, STATUS_INVALID, "network: %u layers: 1 to %u expected",
                         shape->layer_count, NETWORK_LAYERS_MAX);
    }
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        struct network_layer *layer = &shape->layers[i];
        if (layer->size < 1 || layer->size > NETWORK_SIZE_MAX) {
            return error_set(error, STATUS_INVALID, "network: layer %u: size %u: 1 to %u expected",
                             i, layer->size, NETWORK_SIZE_MAX);
        }
        layer->inputs = inputs;
        layer->weight = shape->parameter_count;
        layer->bias = layer->weight + (size_t)layer->size * inputs;
        layer->norm_weight = layer->bias + layer->size;
        layer->norm_bias = layer->norm_weight + (layer->has_norm ? layer->size : 0);
        shape->parameter_count = layer->norm_bias + (layer->has_norm ? layer->size : 0);
        inputs = layer->size;
    }
    const struct network_layer *last = &shape->layers[shape->layer_count - 1];
    if (last->size != 1 || last->activation != ACTIVATION_NONE || last->has_norm) {
        return error_set(error, STATUS_INVALID,
                         "network: the last layer: size 1 without activation and norm expected, "
                         "its output is the logit");
    }
    return STATUS_OK;
}

enum status network_shape_finish(struct network_shape *shape, struct error *error)
{
    shape->parameter_count = 0;
    if (!(shape->norm_epsilon > 0 && shape->norm_epsilon < 1)) {
        return error_set(error, STATUS_INVALID, "network: epsilon: above 0 and below 1 expected");
    }
    enum status status = place_inputs(shape, error);
    if (status == STATUS_OK) {
        status = place_cell(shape, error);
    }
    return status == STATUS_OK ? place_layers(shape, error) : status;
}

/* ---- Names ---- */

struct tensor_walk {
    enum status (*take)(void *context, const struct network_tensor *tensor, struct error *error);
    void *context;
    struct error *error;
    enum status status;
};

static void walk_tensor(struct tensor_walk *walk, const char *prefix, const char *ending,
                        struct network_tensor tensor)
{
    if (walk->status != STATUS_OK) {
        return;
    }
    int length = snprintf(tensor.name, sizeof(tensor.name), "%s%s", prefix, ending);
    if (length >= (int)sizeof(tensor.name)) {
        walk->status =
            error_set(walk->error, STATUS_INVALID, "network: %.40s...: name too long", tensor.name);
        return;
    }
    tensor.count = tensor.dimensions[0];
    tensor.count *= tensor.dimension_count == 2 ? tensor.dimensions[1] : 1;
    walk->status = walk->take(walk->context, &tensor, walk->error);
}

static void walk_matrix(struct tensor_walk *walk, const char *prefix, const char *ending,
                        size_t place, uint32_t out, uint32_t in)
{
    walk_tensor(walk, prefix, ending,
                (struct network_tensor){.dimension_count = 2,
                                        .dimensions = {out, in},
                                        .place = place,
                                        .fan_in = in,
                                        .fan_out = out});
}

static void walk_vector(struct tensor_walk *walk, const char *prefix, const char *ending,
                        size_t place, uint32_t size, bool is_norm_weight)
{
    walk_tensor(walk, prefix, ending,
                (struct network_tensor){.dimension_count = 1,
                                        .dimensions = {size},
                                        .place = place,
                                        .is_norm_weight = is_norm_weight});
}

static void walk_tables(struct tensor_walk *walk, const struct network_shape *shape,
                        const char *const *names)
{
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct network_input *input = &shape->inputs[i];
        char prefix[NETWORK_NAME_BYTES];
        (void)snprintf(prefix, sizeof(prefix), "embeddings.%s.weight", names[i]);
        if (input->rows) {
            walk_tensor(walk, input->tensor ? input->tensor : prefix, "",
                        (struct network_tensor){.dimension_count = 2,
                                                .dimensions = {input->rows, input->width},
                                                .place = input->table,
                                                .is_table = true});
        }
    }
}

static void walk_cell(struct tensor_walk *walk, const struct network_shape *shape)
{
    const char *prefix = shape->tensor ? shape->tensor : "rnn";
    uint32_t outputs = network_gates(shape) * shape->hidden;
    walk_matrix(walk, prefix, ".weight_ih_l0", shape->weight_ih, outputs, shape->input_count);
    walk_matrix(walk, prefix, ".weight_hh_l0", shape->weight_hh, outputs, shape->hidden);
    walk_vector(walk, prefix, ".bias_ih_l0", shape->bias_ih, outputs, false);
    walk_vector(walk, prefix, ".bias_hh_l0", shape->bias_hh, outputs, false);
}

static void walk_layer(struct tensor_walk *walk, const struct network_layer *layer, uint32_t index)
{
    char prefix[NETWORK_NAME_BYTES];
    (void)snprintf(prefix, sizeof(prefix), "layers.%u", index);
    const char *name = layer->tensor ? layer->tensor : prefix;
    walk_matrix(walk, name, ".weight", layer->weight, layer->size, layer->inputs);
    walk_vector(walk, name, ".bias", layer->bias, layer->size, false);
    if (layer->has_norm) {
        (void)snprintf(prefix, sizeof(prefix), "norms.%u", index);
        name = layer->norm ? layer->norm : prefix;
        walk_vector(walk, name, ".weight", layer->norm_weight, layer->size, true);
        walk_vector(walk, name, ".bias", layer->norm_bias, layer->size, false);
    }
}

enum status network_shape_tensors(const struct network_shape *shape, const char *const *names,
                                  enum status (*take)(void *context,
                                                      const struct network_tensor *tensor,
                                                      struct error *error),
                                  void *context, struct error *error)
{
    struct tensor_walk walk = {.take = take, .context = context, .error = error};
    walk_tables(&walk, shape, names);
    if (shape->cell != CELL_NONE) {
        walk_cell(&walk, shape);
    }
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        walk_layer(&walk, &shape->layers[i], i);
    }
    return walk.status;
}
