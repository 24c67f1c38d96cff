#include "models/network_model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TILE_ROWS 48u /* Whole tiles of each kernel. */

struct model_layer {
    const float *panels, *bias, *norm_weight, *norm_bias;
    uint32_t inputs, size, padded;
    enum activation activation;
};

/* A feature that needs more than scaling. */
struct model_input {
    uint32_t column, place;
    const struct network_input *input; /* Of the shape. */
};

struct network_model {
    struct network_shape shape; /* Copy. */
    const struct network_kernels *kernels;
    /* What is looked at for each row, apart from the shape, which is large. */
    uint32_t *columns;             /* [numeric_count] by place. Owned. */
    struct model_input *inputs_of; /* Logarithms, then indicators, then tables. Owned. */
    uint32_t log_count, indicator_count, table_count;
    float *block; /* Owned: all arrays of floats. */
    /* Inputs. */
    float *mean, *inverse, *limit, *fill, *octaves;
    const float *tables; /* The parameters up to the cell. */
    uint32_t input_padded;
    float *inputs; /* [TILE_ROWS][input_padded] */
    /* Cell. */
    uint32_t hidden_padded;
    float *input_panels, *gate_bias;   /* Of gates r, z, n or i, f, g, o. */
    float *hidden_panels, *inner_bias; /* inner_bias: what n's product with h starts from. */
    float *gates;                      /* [TILE_ROWS][4][hidden_padded] */
    float *h, *c;                      /* [TILE_ROWS][hidden_padded] */
    /* Layers. */
    struct model_layer layers[NETWORK_LAYERS_MAX];
    uint32_t widest;
    float *values[2]; /* [TILE_ROWS][widest] */
};

/* ---- Building ---- */

/* Deals out a block of floats; without one it only counts. */
struct room {
    float *block;
    size_t used;
};

static float *take(struct room *room, size_t count)
{
    float *taken = room->block ? room->block + room->used : NULL;
    room->used += (count + NETWORK_LANES - 1) / NETWORK_LANES * NETWORK_LANES;
    return taken;
}

static float *take_copy(struct room *room, const float *from, uint32_t count)
{
    float *taken = take(room, count);
    if (taken) {
        memcpy(taken, from, count * sizeof(*from));
    }
    return taken;
}

void network_panels(const float *weight, uint32_t out, uint32_t in, float *panels)
{
    for (uint32_t o = 0; o < network_padded(out); o++) {
        float *panel = panels + (size_t)(o / NETWORK_LANES) * in * NETWORK_LANES;
        for (uint32_t k = 0; k < in; k++) {
            panel[(size_t)k * NETWORK_LANES + o % NETWORK_LANES] =
                o < out ? weight[(size_t)o * in + k] : 0.0f;
        }
    }
}

static void lay_inputs(struct network_model *model, const struct network_source *source,
                       struct room *room)
{
    const struct network_shape *shape = source->shape;
    size_t tables = 0;
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        tables += (size_t)shape->inputs[i].rows * shape->inputs[i].width;
    }
    model->mean = take(room, shape->numeric_count);
    model->inverse = take(room, shape->numeric_count);
    model->limit = take(room, shape->numeric_count);
    model->fill = take(room, shape->numeric_count);
    model->octaves = take(room, shape->numeric_count);
    float *copy = take(room, tables);
    model->input_padded = network_padded(shape->input_count);
    model->inputs = take(room, (size_t)TILE_ROWS * model->input_padded);
    if (!room->block) {
        return;
    }
    memcpy(copy, source->parameters, tables * sizeof(*copy));
    model->tables = copy;
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct pack_feature *feature = &source->features[i];
        const struct network_input *input = &shape->inputs[i];
        if (input->rows == 0) {
            model->mean[input->place] = feature->mean;
            model->inverse[input->place] = 1.0f / feature->scale;
            model->limit[input->place] = feature->limit;
            model->fill[input->place] = input->fill;
            model->octaves[input->place] =
                fixed_float_of_bits(feature->transform == TRANSFORM_OCTAVES ? UINT32_MAX : 0);
        }
    }
}

static void lay_cell(struct network_model *model, const struct network_source *source,
                     struct room *room)
{
    const struct network_shape *shape = source->shape;
    uint32_t hidden = shape->hidden;
    uint32_t gates = network_gates(shape);
    if (shape->cell == CELL_NONE) {
        return;
    }
    uint32_t padded = network_padded(hidden);
    model->hidden_padded = padded;
    model->input_panels = take(room, (size_t)gates * padded * shape->input_count);
    model->hidden_panels = take(room, (size_t)gates * padded * hidden);
    model->gate_bias = take(room, (size_t)gates * padded);
    model->inner_bias = take(room, padded);
    model->gates = take(room, (size_t)TILE_ROWS * 4 * padded);
    model->h = take(room, (size_t)TILE_ROWS * padded);
    model->c = take(room, (size_t)TILE_ROWS * padded);
    if (!room->block) {
        return;
    }
    const float *p = source->parameters;
    for (uint32_t gate = 0; gate < gates; gate++) {
        size_t first = (size_t)gate * hidden;
        network_panels(p + shape->weight_ih + first * shape->input_count, hidden,
                       shape->input_count,
                       model->input_panels + (size_t)gate * padded * shape->input_count);
        network_panels(p + shape->weight_hh + first * hidden, hidden, hidden,
                       model->hidden_panels + (size_t)gate * padded * hidden);
        for (uint32_t i = 0; i < hidden; i++) {
            float inner = p[shape->bias_hh + first + i];
            bool is_apart = shape->cell == CELL_GRU && gate == 2;
            model->gate_bias[gate * padded + i] =
                p[shape->bias_ih + first + i] + (is_apart ? 0.0f : inner);
            if (is_apart) {
                model->inner_bias[i] = inner;
            }
        }
    }
}

static void lay_layers(struct network_model *model, const struct network_source *source,
                       struct room *room)
{
    const float *p = source->parameters;
    for (uint32_t i = 0; i < source->shape->layer_count; i++) {
        const struct network_layer *from = &source->shape->layers[i];
        struct model_layer *layer = &model->layers[i];
        *layer = (struct model_layer){.inputs = from->inputs,
                                      .size = from->size,
                                      .padded = network_padded(from->size),
                                      .activation = from->activation};
        float *panels = take(room, (size_t)layer->padded * layer->inputs);
        layer->panels = panels;
        layer->bias = take_copy(room, p + from->bias, layer->size);
        if (from->has_norm) {
            layer->norm_weight = take_copy(room, p + from->norm_weight, layer->size);
            layer->norm_bias = take_copy(room, p + from->norm_bias, layer->size);
        }
        if (panels) {
            network_panels(p + from->weight, layer->size, layer->inputs, panels);
        }
        model->widest = layer->padded > model->widest ? layer->padded : model->widest;
    }
    model->values[0] = take(room, (size_t)TILE_ROWS * model->widest);
    model->values[1] = take(room, (size_t)TILE_ROWS * model->widest);
}

static void lay_out(struct network_model *model, const struct network_source *source,
                    struct room *room)
{
    lay_inputs(model, source, room);
    lay_cell(model, source, room);
    lay_layers(model, source, room);
}

/* Features of each sort, one sort after the other. */
static void list_inputs(struct network_model *model, const struct network_source *source)
{
    const struct network_shape *shape = &model->shape;
    struct model_input *next = model->inputs_of;
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct network_input *input = &shape->inputs[i];
        if (input->rows == 0) {
            model->columns[input->place] = source->columns[i];
        }
        if (input->rows == 0 && source->features[i].transform == TRANSFORM_LOG1P) {
            *next++ = (struct model_input){source->columns[i], input->place, input};
            model->log_count++;
        }
    }
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct network_input *input = &shape->inputs[i];
        if (input->rows == 0 && input->has_indicator) {
            *next++ = (struct model_input){source->columns[i], input->indicator, input};
            model->indicator_count++;
        }
    }
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        const struct network_input *input = &shape->inputs[i];
        if (input->rows > 0) {
            *next++ = (struct model_input){source->columns[i], input->place, input};
            model->table_count++;
        }
    }
}

static enum status fill_model(struct network_model *model, const struct network_source *source,
                              struct error *error)
{
    const struct network_shape *shape = source->shape;
    enum status status = network_shape_copy(shape, &model->shape, error);
    if (status != STATUS_OK) {
        return status;
    }
    model->kernels = source->kernels ? source->kernels : network_kernels_choose();
    model->columns = calloc((size_t)shape->feature_count + 1, sizeof(*model->columns));
    model->inputs_of = calloc(2 * (size_t)shape->feature_count + 1, sizeof(*model->inputs_of));
    struct room room = {0};
    lay_out(model, source, &room);
    size_t bytes = (room.used * sizeof(float) + 63u) & ~(size_t)63u;
    model->block = aligned_alloc(64, bytes);
    if (!model->inputs_of || !model->columns || !model->block) {
        return error_set(error, STATUS_FATAL, "network: out of memory");
    }
    memset(model->block, 0, bytes);
    list_inputs(model, source);
    room = (struct room){.block = model->block};
    lay_out(model, source, &room);
    return STATUS_OK;
}

enum status network_model_create(const struct network_source *source,
                                 struct network_model **ret_model, struct error *error)
{
    struct network_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return error_set(error, STATUS_FATAL, "network: out of memory");
    }
    enum status status = fill_model(model, source, error);
    if (status != STATUS_OK) {
        network_model_destroy(model);
        return status;
    }
    *ret_model = model;
    return STATUS_OK;
}

void network_model_destroy(struct network_model *model)
{
    if (model) {
        network_shape_release(&model->shape);
        free(model->columns);
        free(model->inputs_of);
        free(model->block);
        free(model);
    }
}

const char *network_model_kernels(const struct network_model *model)
{
    return model->kernels->name;
}

/* ---- Scoring ---- */

/* Indicators and tables come after the numbers, as scaling writes over their first places. */
static void gather_row(const struct network_model *model, const float *row, float *x)
{
    const struct model_input *next = model->inputs_of;
    const uint32_t *columns = model->columns;
    uint32_t numeric = model->shape.numeric_count;
    for (uint32_t i = 0; i < numeric; i++) {
        x[i] = row[columns[i]];
    }
    for (uint32_t i = 0; i < model->log_count; i++, next++) {
        x[next->place] = feature_transform_apply(TRANSFORM_LOG1P, row[next->column]);
    }
    const struct network_scaling scaling = {model->mean, model->inverse, model->limit,
                                            model->fill, model->octaves, network_padded(numeric)};
    model->kernels->standardise(&scaling, x);
    for (uint32_t i = 0; i < model->indicator_count; i++, next++) {
        float raw = row[next->column];
        x[next->place] = raw == raw ? 0.0f : 1.0f;
    }
    for (uint32_t i = 0; i < model->table_count; i++, next++) {
        const struct network_input *input = next->input;
        size_t place = (size_t)network_input_row(input, row[next->column]) * input->width;
        const float *from = model->tables + input->table + place;
        for (uint32_t j = 0; j < input->width; j++) {
            x[next->place + j] = from[j];
        }
    }
}

void network_model_inputs(const struct network_model *model, const struct network_rows *rows,
                          uint32_t first, uint32_t count, float *inputs, uint32_t stride)
{
    assert(stride >= model->input_padded);
    for (uint32_t i = 0; i < count; i++) {
        size_t row = rows->rows ? rows->rows[first + i] : first + i;
        gather_row(model, rows->features + row * rows->stride, inputs + (size_t)i * stride);
    }
}

static void load_states(struct network_model *model, void *const *states, uint32_t count)
{
    size_t bytes = model->shape.hidden * sizeof(float);
    for (uint32_t i = 0; i < count; i++) {
        float *h = model->h + (size_t)i * model->hidden_padded;
        float *c = model->c + (size_t)i * model->hidden_padded;
        memset(h, 0, model->hidden_padded * sizeof(*h));
        memset(c, 0, model->hidden_padded * sizeof(*c));
        if (states) {
            memcpy(h, states[i], bytes);
        }
        if (states && model->shape.cell == CELL_LSTM) {
            memcpy(c, (const char *)states[i] + bytes, bytes);
        }
    }
}

static void store_states(const struct network_model *model, void *const *states, uint32_t count)
{
    size_t bytes = model->shape.hidden * sizeof(float);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(states[i], model->h + (size_t)i * model->hidden_padded, bytes);
        if (model->shape.cell == CELL_LSTM) {
            memcpy((char *)states[i] + bytes, model->c + (size_t)i * model->hidden_padded, bytes);
        }
    }
}

static void step_cell(struct network_model *model, uint32_t count)
{
    const struct network_kernels *kernels = model->kernels;
    uint32_t padded = model->hidden_padded;
    uint32_t blocks = padded / NETWORK_LANES;
    bool is_gru = model->shape.cell == CELL_GRU;
    struct network_product product = {
        .a = model->inputs,
        .a_row = model->input_padded,
        .a_step = 1,
        .b = model->input_panels,
        .bias = model->gate_bias,
        .c = model->gates,
        .c_row = (size_t)4 * padded,
        .rows = count,
        .steps = model->shape.input_count,
        .blocks = blocks * network_gates(&model->shape),
    };
    kernels->product(&product);
    product.a = model->h;
    product.a_row = padded;
    product.b = model->hidden_panels;
    product.bias = NULL;
    product.steps = model->shape.hidden;
    product.blocks = blocks * (is_gru ? 2 : 4);
    kernels->product(&product);
    if (is_gru) {
        product.b = model->hidden_panels + (size_t)2 * padded * model->shape.hidden;
        product.bias = model->inner_bias;
        product.c = model->gates + (size_t)3 * padded;
        product.blocks = blocks;
        kernels->product(&product);
    }
    for (uint32_t i = 0; i < count; i++) {
        const float *gates = model->gates + (size_t)i * 4 * padded;
        float *h = model->h + (size_t)i * padded;
        if (is_gru) {
            kernels->gru(gates, h, padded);
        } else {
            kernels->lstm(gates, h, model->c + (size_t)i * padded, padded);
        }
    }
}

static const float *run_layers(struct network_model *model, const float *x, uint32_t x_row,
                               uint32_t count)
{
    const struct network_kernels *kernels = model->kernels;
    for (uint32_t i = 0; i < model->shape.layer_count; i++) {
        const struct model_layer *layer = &model->layers[i];
        float *y = model->values[i & 1];
        const struct network_product product = {
            .a = x,
            .a_row = x_row,
            .a_step = 1,
            .b = layer->panels,
            .bias = layer->bias,
            .c = y,
            .c_row = layer->padded,
            .rows = count,
            .steps = layer->inputs,
            .blocks = layer->padded / NETWORK_LANES,
        };
        kernels->product(&product);
        for (uint32_t row = 0; layer->norm_weight && row < count; row++) {
            kernels->normalize(layer->norm_weight, layer->norm_bias, model->shape.norm_epsilon,
                               y + (size_t)row * layer->padded, layer->size);
        }
        kernels->activate(layer->activation, y, (size_t)count * layer->padded);
        x = y;
        x_row = layer->padded;
    }
    return x;
}

static void score_tile(struct network_model *model, const struct network_rows *rows, uint32_t first,
                       uint32_t count, void *const *states, float *outputs)
{
    network_model_inputs(model, rows, first, count, model->inputs, model->input_padded);
    const float *x = model->inputs;
    uint32_t x_row = model->input_padded;
    if (model->shape.cell != CELL_NONE) {
        load_states(model, states, count);
        step_cell(model, count);
        if (states) {
            store_states(model, states, count);
        }
        x = model->h;
        x_row = model->hidden_padded;
    }
    const float *y = run_layers(model, x, x_row, count);
    for (uint32_t i = 0; i < count; i++) {
        outputs[i] = y[(size_t)i * NETWORK_LANES];
    }
}

void network_model_score(struct network_model *model, const struct network_rows *rows,
                         void *const *states, float *outputs)
{
    for (uint32_t first = 0; first < rows->count; first += TILE_ROWS) {
        uint32_t count = rows->count - first < TILE_ROWS ? rows->count - first : TILE_ROWS;
        score_tile(model, rows, first, count, states ? states + first : NULL, outputs + first);
    }
}
