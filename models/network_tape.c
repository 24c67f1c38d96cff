#include "models/network_tape.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/network_model.h"
#include "models/network_tape_internal.h"
#include "pipeline/base/fixed_math.h"

/* ---- Memory ---- */

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

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The largest product of a padded width with outputs, and with rows. */
static void measure(const struct network_tape *tape, size_t *ret_panels, size_t *ret_product)
{
    const struct network_shape *shape = &tape->shape;
    size_t rows = tape->rows_max;
    size_t padded = tape->hidden_padded;
    size_t panels = most(padded * tape->input_padded, padded * padded);
    size_t product = panels;
    panels = most(panels, rows * most(tape->input_padded, padded));
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        size_t inputs = network_padded(shape->layers[i].inputs);
        panels = most(panels, most(inputs * tape->layers[i].padded, inputs * rows));
        product = most(product, inputs * tape->layers[i].padded);
    }
    *ret_panels = panels;
    *ret_product = product;
}

static void lay_cell(struct network_tape *tape, struct room *room)
{
    size_t rows = tape->rows_max;
    size_t padded = tape->hidden_padded;
    if (tape->shape.cell == CELL_NONE) {
        return;
    }
    float **const wide[] = {&tape->gates, &tape->gate_pulls};
    float **const narrow[] = {&tape->h,        &tape->c,           &tape->tanh_c,  &tape->before_h,
                              &tape->before_c, &tape->inner_pulls, &tape->carry_h, &tape->carry_c};
    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
        *wide[i] = take(room, rows * 4 * padded);
    }
    for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++) {
        *narrow[i] = take(room, rows * padded);
    }
    tape->hidden_panels = take(room, 4 * padded * padded);
    tape->hidden_turned = take(room, 4 * padded * padded);
}

static void lay_out(struct network_tape *tape, struct room *room)
{
    const struct network_shape *shape = &tape->shape;
    size_t rows = tape->rows_max;
    size_t panels;
    size_t product;
    tape->input_padded = network_padded(shape->input_count);
    tape->hidden_padded = network_padded(shape->hidden);
    tape->widest =
        tape->input_padded > tape->hidden_padded ? tape->input_padded : tape->hidden_padded;
    tape->inputs = take(room, rows * tape->input_padded);
    tape->input_pulls = take(room, rows * tape->input_padded);
    lay_cell(tape, room);
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        struct tape_layer *layer = &tape->layers[i];
        layer->padded = network_padded(shape->layers[i].size);
        size_t count = rows * layer->padded;
        layer->after = take(room, count);
        layer->before = shape->layers[i].activation == ACTIVATION_GELU ? take(room, count) : NULL;
        layer->centred = shape->layers[i].has_norm ? take(room, count) : NULL;
        layer->inverse = shape->layers[i].has_norm ? take(room, rows) : NULL;
        layer->dropped = shape->layers[i].dropout > 0 ? take(room, count) : NULL;
        tape->widest = layer->padded > tape->widest ? layer->padded : tape->widest;
    }
    tape->pulls[0] = take(room, rows * tape->widest);
    tape->pulls[1] = take(room, rows * tape->widest);
    measure(tape, &panels, &product);
    tape->panels = take(room, panels);
    tape->product = take(room, product);
    tape->bias = take(room, tape->widest);
}

enum status network_tape_create(const struct network_shape *shape, uint32_t rows_max,
                                struct network_tape **ret_tape, struct error *error)
{
    struct network_tape *tape = calloc(1, sizeof(*tape));
    enum status status = tape ? network_shape_copy(shape, &tape->shape, error)
                              : error_set(error, STATUS_FATAL, "network: out of memory");
    if (status == STATUS_OK) {
        struct room room = {0};
        tape->kernels = network_kernels_choose();
        tape->rows_max = rows_max;
        lay_out(tape, &room);
        size_t bytes = (room.used * sizeof(float) + 63u) & ~(size_t)63u;
        tape->block = aligned_alloc(64, bytes);
        status = tape->block ? STATUS_OK : error_set(error, STATUS_FATAL, "network: out of memory");
        if (status == STATUS_OK) {
            memset(tape->block, 0, bytes);
            room = (struct room){.block = tape->block};
            lay_out(tape, &room);
        }
    }
    if (status != STATUS_OK) {
        network_tape_destroy(tape);
        return status;
    }
    *ret_tape = tape;
    return STATUS_OK;
}

void network_tape_destroy(struct network_tape *tape)
{
    if (tape) {
        for (uint32_t i = 0; i < tape->kept_count; i++) {
            free(tape->kept[i].panels);
        }
        network_shape_release(&tape->shape);
        free(tape->block);
        free(tape);
    }
}

void network_tape_keep_panels(struct network_tape *tape)
{
    tape->keeps_panels = true;
}

/* ---- Products ---- */

void tape_turned_panels(const float *weight, uint32_t out, uint32_t in, float *panels)
{
    for (uint32_t j = 0; j < network_padded(in); j++) {
        float *panel = panels + (size_t)(j / NETWORK_LANES) * out * NETWORK_LANES;
        for (uint32_t o = 0; o < out; o++) {
            panel[(size_t)o * NETWORK_LANES + j % NETWORK_LANES] =
                j < in ? weight[(size_t)o * in + j] : 0.0f;
        }
    }
}

/* Room for panels that are kept; NULL: they are made again each time. */
static float *keep(struct network_tape *tape, const float *weight, size_t count, bool is_turned)
{
    if (!tape->keeps_panels || tape->kept_count == KEPT_PANELS_MAX) {
        return NULL;
    }
    float *panels = aligned_alloc(64, (count * sizeof(*panels) + 63u) & ~(size_t)63u);
    if (panels) {
        tape->kept[tape->kept_count++] = (struct kept_panels){weight, panels, is_turned};
    }
    return panels;
}

static const float *panels_of(struct network_tape *tape, const float *weight, uint32_t out,
                              uint32_t in, bool is_turned)
{
    for (uint32_t i = 0; i < tape->kept_count; i++) {
        if (tape->kept[i].weight == weight && tape->kept[i].is_turned == is_turned) {
            return tape->kept[i].panels;
        }
    }
    float *kept = keep(tape, weight, (size_t)network_padded(out) * network_padded(in), is_turned);
    float *panels = kept ? kept : tape->panels;
    if (is_turned) {
        tape_turned_panels(weight, out, in, panels);
    } else {
        network_panels(weight, out, in, panels);
    }
    return panels;
}

void tape_times(struct network_tape *tape, const float *a, uint32_t a_row, uint32_t rows,
                const float *weight, uint32_t out, uint32_t in, const float *bias, float *c,
                uint32_t c_row)
{
    if (bias) {
        memset(tape->bias, 0, network_padded(out) * sizeof(*bias));
        memcpy(tape->bias, bias, out * sizeof(*bias));
    }
    const struct network_product product = {.a = a,
                                            .a_row = a_row,
                                            .a_step = 1,
                                            .b = panels_of(tape, weight, out, in, false),
                                            .bias = bias ? tape->bias : NULL,
                                            .c = c,
                                            .c_row = c_row,
                                            .rows = rows,
                                            .steps = in,
                                            .blocks = network_padded(out) / NETWORK_LANES};
    tape->kernels->product(&product);
}

void tape_times_turned(struct network_tape *tape, const float *d, uint32_t d_row, uint32_t rows,
                       const float *weight, uint32_t out, uint32_t in, float *c, uint32_t c_row)
{
    const struct network_product product = {.a = d,
                                            .a_row = d_row,
                                            .a_step = 1,
                                            .b = panels_of(tape, weight, out, in, true),
                                            .c = c,
                                            .c_row = c_row,
                                            .rows = rows,
                                            .steps = out,
                                            .blocks = network_padded(in) / NETWORK_LANES};
    tape->kernels->product(&product);
}

void tape_gather(struct network_tape *tape, const float *d, uint32_t d_row, const float *x,
                 uint32_t x_row, uint32_t rows, uint32_t out, uint32_t in, float *gradient,
                 float *bias)
{
    uint32_t padded = network_padded(in);
    if (!tape->has_gradient) {
        return;
    }
    for (uint32_t block = 0; block < padded; block += NETWORK_LANES) {
        for (uint32_t row = 0; row < rows; row++) {
            memcpy(tape->panels + ((size_t)block * rows + (size_t)row * NETWORK_LANES),
                   x + (size_t)row * x_row + block, NETWORK_LANES * sizeof(*x));
        }
    }
    memset(tape->product, 0, (size_t)out * padded * sizeof(*tape->product));
    const struct network_product product = {.a = d,
                                            .a_row = 1,
                                            .a_step = d_row,
                                            .b = tape->panels,
                                            .c = tape->product,
                                            .c_row = padded,
                                            .rows = out,
                                            .steps = rows,
                                            .blocks = padded / NETWORK_LANES};
    tape->kernels->product(&product);
    for (uint32_t o = 0; o < out; o++) {
        const float *from = tape->product + (size_t)o * padded;
        float *to = gradient + (size_t)o * in;
        for (uint32_t j = 0; j < in; j++) {
            to[j] += from[j];
        }
    }
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t o = 0; o < out; o++) {
            bias[o] += d[(size_t)row * d_row + o];
        }
    }
}

/* ---- Layers ---- */

static void normalize_row(const struct network_shape *shape, const struct network_layer *layer,
                          const float *parameters, float *y, float *centred, float *ret_inverse)
{
    const float *weight = parameters + layer->norm_weight;
    const float *bias = parameters + layer->norm_bias;
    double mean = 0;
    double squares = 0;
    for (uint32_t j = 0; j < layer->size; j++) {
        mean += (double)y[j];
    }
    mean /= layer->size;
    for (uint32_t j = 0; j < layer->size; j++) {
        squares += ((double)y[j] - mean) * ((double)y[j] - mean);
    }
    float inverse = (float)(1 / sqrt(squares / layer->size + (double)shape->norm_epsilon));
    for (uint32_t j = 0; j < layer->size; j++) {
        centred[j] = (y[j] - (float)mean) * inverse;
        y[j] = centred[j] * weight[j] + bias[j];
    }
    *ret_inverse = inverse;
}

/* Splitmix64 (Steele and others, 2014) of a place: the same mask whatever the machine. */
static uint64_t mixed(uint64_t seed, uint64_t place)
{
    uint64_t word = seed + (place + 1) * UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static void drop(const struct network_layer *layer, struct tape_layer *kept, uint64_t seed,
                 uint32_t rows)
{
    float share = seed ? layer->dropout : 0.0f;
    float factor = 1.0f / (1.0f - share);
    size_t count = (size_t)rows * kept->padded;
    for (size_t i = 0; i < count; i++) {
        float unit = (float)(mixed(seed, i) >> 40) * 0x1p-24f;
        kept->dropped[i] = unit < share ? 0.0f : factor;
        kept->after[i] *= kept->dropped[i];
    }
}

static const float *layers_forward(struct network_tape *tape, const float *parameters,
                                   const struct network_batch *batch, const float *x,
                                   uint32_t x_row)
{
    for (uint32_t i = 0; i < tape->shape.layer_count; i++) {
        const struct network_layer *layer = &tape->shape.layers[i];
        struct tape_layer *kept = &tape->layers[i];
        uint32_t rows = batch->row_count;
        if (i == 0 && batch->first && tape->shape.cell == CELL_NONE) {
            memcpy(kept->after, batch->first, (size_t)rows * kept->padded * sizeof(float));
        } else {
            tape_times(tape, x, x_row, rows, parameters + layer->weight, layer->size, layer->inputs,
                       parameters + layer->bias, kept->after, kept->padded);
        }
        for (uint32_t row = 0; kept->centred && row < rows; row++) {
            size_t place = (size_t)row * kept->padded;
            normalize_row(&tape->shape, layer, parameters, kept->after + place,
                          kept->centred + place, &kept->inverse[row]);
        }
        if (kept->before) {
            memcpy(kept->before, kept->after, (size_t)rows * kept->padded * sizeof(float));
        }
        tape->kernels->activate(layer->activation, kept->after, (size_t)rows * kept->padded);
        if (kept->dropped) {
            drop(layer, kept, batch->dropout_seed ? mixed(batch->dropout_seed, i) | 1 : 0, rows);
        }
        x = kept->after;
        x_row = kept->padded;
    }
    return x;
}

static float slope_of(enum activation activation, float before, float after)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return after > 0 ? 1.0f : 0.0f;
    case ACTIVATION_TANH:
        return 1.0f - after * after;
    case ACTIVATION_SIGMOID:
        return after * (1.0f - after);
    case ACTIVATION_GELU: {
        float share =
            before > 1e-3f || before < -1e-3f ? after / before : 0.5f + before * 0.39894228f;
        return share + before * 0.39894228f * fixed_expf(-0.5f * before * before);
    }
    default:
        return 1.0f;
    }
}

/* The pulls by a layer's outputs become those by its product. */
static void undo_activation(const struct network_tape *tape, uint32_t index, uint32_t rows,
                            float *pulls)
{
    const struct network_layer *layer = &tape->shape.layers[index];
    const struct tape_layer *kept = &tape->layers[index];
    for (uint32_t row = 0; row < rows; row++) {
        size_t place = (size_t)row * kept->padded;
        float *d = pulls + place;
        for (uint32_t j = 0; j < layer->size; j++) {
            float factor = kept->dropped ? kept->dropped[place + j] : 1.0f;
            float after = kept->after[place + j];
            after = factor > 0 ? after / factor : 0.0f;
            float before = kept->before ? kept->before[place + j] : 0.0f;
            d[j] *= factor > 0 ? factor * slope_of(layer->activation, before, after) : 0.0f;
        }
    }
}

static void undo_norm(const struct network_tape *tape, uint32_t index, const float *parameters,
                      uint32_t rows, float *pulls, float *gradient)
{
    const struct network_layer *layer = &tape->shape.layers[index];
    const struct tape_layer *kept = &tape->layers[index];
    const float *weight = parameters + layer->norm_weight;
    float size = (float)layer->size;
    for (uint32_t row = 0; row < rows; row++) {
        size_t place = (size_t)row * kept->padded;
        float *d = pulls + place;
        const float *centred = kept->centred + place;
        float sum = 0;
        float along = 0;
        for (uint32_t j = 0; j < layer->size; j++) {
            if (gradient) {
                gradient[layer->norm_weight + j] += d[j] * centred[j];
                gradient[layer->norm_bias + j] += d[j];
            }
            d[j] *= weight[j];
            sum += d[j];
            along += d[j] * centred[j];
        }
        for (uint32_t j = 0; j < layer->size; j++) {
            d[j] = kept->inverse[row] * (d[j] - (sum + centred[j] * along) / size);
        }
    }
}

/* Returns the pulls by what the first layer saw, [rows][x_row], or, unless `is_asked`, by what its
 * product gave, [rows][padded]. */
static float *layers_backward(struct network_tape *tape, const float *parameters, const float *x,
                              uint32_t x_row, uint32_t rows, bool is_asked, float *gradient)
{
    float *d = tape->pulls[0];
    float *next = tape->pulls[1];
    for (uint32_t i = tape->shape.layer_count; i-- > 0;) {
        const struct network_layer *layer = &tape->shape.layers[i];
        const struct tape_layer *kept = &tape->layers[i];
        const float *from = i > 0 ? tape->layers[i - 1].after : x;
        uint32_t from_row = i > 0 ? tape->layers[i - 1].padded : x_row;
        undo_activation(tape, i, rows, d);
        if (kept->centred) {
            undo_norm(tape, i, parameters, rows, d, gradient);
        }
        tape_gather(tape, d, kept->padded, from, from_row, rows, layer->size, layer->inputs,
                    gradient ? gradient + layer->weight : NULL,
                    gradient ? gradient + layer->bias : NULL);
        if (i == 0 && !is_asked) {
            return d;
        }
        memset(next, 0, (size_t)rows * from_row * sizeof(*next));
        tape_times_turned(tape, d, kept->padded, rows, parameters + layer->weight, layer->size,
                          layer->inputs, next, from_row);
        float *last = d;
        d = next;
        next = last;
    }
    return d;
}

/* ---- The whole ---- */

static void fill_inputs(struct network_tape *tape, const float *parameters,
                        const struct network_batch *batch)
{
    const struct network_shape *shape = &tape->shape;
    uint32_t plain = shape->numeric_count + shape->indicator_count;
    const uint32_t *table_row = batch->table_rows;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        float *x = tape->inputs + (size_t)row * tape->input_padded;
        memcpy(x, batch->inputs + (size_t)row * batch->input_stride, plain * sizeof(*x));
        for (uint32_t i = 0; i < shape->feature_count; i++) {
            const struct network_input *input = &shape->inputs[i];
            if (input->rows > 0) {
                memcpy(x + input->place,
                       parameters + input->table + (size_t)*table_row++ * input->width,
                       input->width * sizeof(*x));
            }
        }
    }
}

static void gather_tables(const struct network_tape *tape, const struct network_batch *batch,
                          const float *pulls, float *gradient)
{
    const struct network_shape *shape = &tape->shape;
    const uint32_t *table_row = batch->table_rows;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        const float *d = pulls + (size_t)row * tape->input_padded;
        for (uint32_t i = 0; i < shape->feature_count; i++) {
            const struct network_input *input = &shape->inputs[i];
            if (input->rows == 0) {
                continue;
            }
            float *to = gradient + input->table + (size_t)*table_row++ * input->width;
            for (uint32_t j = 0; j < input->width; j++) {
                to[j] += d[input->place + j];
            }
        }
    }
}

uint32_t network_tape_first_width(const struct network_tape *tape)
{
    return tape->shape.cell == CELL_NONE ? tape->layers[0].padded
                                         : network_gates(&tape->shape) * tape->hidden_padded;
}

void network_tape_first(struct network_tape *tape, const float *parameters, const float *inputs,
                        uint32_t rows, float *ret_first)
{
    const struct network_layer *layer = &tape->shape.layers[0];
    uint32_t width = network_tape_first_width(tape);
    if (tape->shape.cell != CELL_NONE) {
        tape_cell_first(tape, parameters, inputs, rows, ret_first, width);
    } else {
        tape_times(tape, inputs, tape->input_padded, rows, parameters + layer->weight, layer->size,
                   layer->inputs, parameters + layer->bias, ret_first, width);
    }
}

void network_tape_first_back(struct network_tape *tape, const float *parameters, const float *pulls,
                             uint32_t rows, float *ret_inputs)
{
    const struct network_layer *layer = &tape->shape.layers[0];
    uint32_t width = network_tape_first_width(tape);
    if (tape->shape.cell != CELL_NONE) {
        tape_cell_first_back(tape, parameters, pulls, width, rows, ret_inputs);
    } else {
        memset(ret_inputs, 0, (size_t)rows * tape->input_padded * sizeof(*ret_inputs));
        tape_times_turned(tape, pulls, width, rows, parameters + layer->weight, layer->size,
                          layer->inputs, ret_inputs, tape->input_padded);
    }
}

void network_tape_forward(struct network_tape *tape, const float *parameters,
                          const struct network_batch *batch, float *outputs)
{
    assert(batch->row_count <= tape->rows_max && (!batch->first || batch->step_count == 1));
    if (!batch->first) {
        fill_inputs(tape, parameters, batch);
    }
    const float *x = tape->inputs;
    uint32_t x_row = tape->input_padded;
    if (tape->shape.cell != CELL_NONE) {
        tape_cell_forward(tape, parameters, batch);
        x = tape->h;
        x_row = tape->hidden_padded;
    }
    const float *y = layers_forward(tape, parameters, batch, x, x_row);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        outputs[row] = y[(size_t)row * NETWORK_LANES];
    }
}

void network_tape_backward(struct network_tape *tape, const float *parameters,
                           const struct network_batch *batch, const float *pulls, float *gradient,
                           float *ret_inputs)
{
    uint32_t rows = batch->row_count;
    bool has_cell = tape->shape.cell != CELL_NONE;
    bool has_tables =
        tape->shape.input_count > tape->shape.numeric_count + tape->shape.indicator_count;
    tape->has_gradient = gradient != NULL;
    memset(tape->pulls[0], 0, (size_t)rows * NETWORK_LANES * sizeof(float));
    for (uint32_t row = 0; row < rows; row++) {
        tape->pulls[0][(size_t)row * NETWORK_LANES] = pulls[row];
    }
    const float *x = has_cell ? tape->h : tape->inputs;
    uint32_t x_row = has_cell ? tape->hidden_padded : tape->input_padded;
    bool is_asked = has_cell || (!batch->first && (has_tables || ret_inputs));
    const float *d = layers_backward(tape, parameters, x, x_row, rows, is_asked, gradient);
    if (has_cell) {
        tape_cell_backward(tape, parameters, batch, d, gradient);
        d = batch->first ? tape->gate_pulls : tape->input_pulls;
    }
    if (has_tables && gradient) {
        gather_tables(tape, batch, d, gradient);
    }
    uint32_t width = batch->first ? network_tape_first_width(tape) : tape->input_padded;
    uint32_t d_row = batch->first && has_cell ? 4 * tape->hidden_padded : width;
    for (uint32_t row = 0; ret_inputs && row < rows; row++) {
        memcpy(ret_inputs + (size_t)row * width, d + (size_t)row * d_row, width * sizeof(*d));
    }
}
