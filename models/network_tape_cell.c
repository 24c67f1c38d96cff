/* The cells of recurrent networks, step by step forward and backward. */
#include <string.h>

#include "models/network_model.h"
#include "models/network_tape_internal.h"

/* What the steps of a sequence have in common, and where one step's rows are. */
struct step {
    struct network_tape *tape;
    uint32_t first; /* Row. */
    uint32_t count;
    uint32_t before;     /* First row of the step before. */
    uint32_t next_count; /* Rows of the step after. */
    bool is_first;
};

/* ---- Forward ---- */

static void pack_hidden(struct network_tape *tape, const float *parameters)
{
    uint32_t hidden = tape->shape.hidden;
    if (tape->has_hidden) {
        return;
    }
    tape->has_hidden = tape->keeps_panels;
    for (uint32_t gate = 0; gate < network_gates(&tape->shape); gate++) {
        const float *weight = parameters + tape->shape.weight_hh + (size_t)gate * hidden * hidden;
        size_t place = (size_t)gate * tape->hidden_padded * tape->hidden_padded;
        network_panels(weight, hidden, hidden, tape->hidden_panels + place);
        tape_turned_panels(weight, hidden, hidden, tape->hidden_turned + place);
    }
}

static void start_step(const struct step *step, const struct network_batch *batch)
{
    struct network_tape *tape = step->tape;
    uint32_t hidden = tape->shape.hidden;
    uint32_t padded = tape->hidden_padded;
    for (uint32_t i = 0; i < step->count; i++) {
        float *h = tape->before_h + (size_t)(step->first + i) * padded;
        float *c = tape->before_c + (size_t)(step->first + i) * padded;
        if (!step->is_first) {
            memcpy(h, tape->h + (size_t)(step->before + i) * padded, padded * sizeof(*h));
            memcpy(c, tape->c + (size_t)(step->before + i) * padded, padded * sizeof(*c));
            continue;
        }
        memset(h, 0, padded * sizeof(*h));
        memset(c, 0, padded * sizeof(*c));
        if (batch->h) {
            memcpy(h, batch->h + (size_t)i * hidden, hidden * sizeof(*h));
        }
        if (batch->c) {
            memcpy(c, batch->c + (size_t)i * hidden, hidden * sizeof(*c));
        }
    }
}

/* Adds the gate's product with h to it; to the GRU's third gate there is no adding. */
static void add_hidden(const struct step *step, const float *parameters, uint32_t gate)
{
    struct network_tape *tape = step->tape;
    const struct network_shape *shape = &tape->shape;
    uint32_t padded = tape->hidden_padded;
    bool is_inner = shape->cell == CELL_GRU && gate == 2;
    const float *bias = parameters + shape->bias_hh + (size_t)gate * shape->hidden;
    float *to = tape->gates + (size_t)step->first * 4 * padded + (size_t)(gate + is_inner) * padded;
    for (uint32_t i = 0; i < step->count; i++) {
        float *row = to + (size_t)i * 4 * padded;
        for (uint32_t j = 0; j < shape->hidden; j++) {
            row[j] = is_inner ? bias[j] : row[j] + bias[j];
        }
        for (uint32_t j = shape->hidden; j < padded; j++) {
            row[j] = 0;
        }
    }
    const struct network_product product = {
        .a = tape->before_h + (size_t)step->first * padded,
        .a_row = padded,
        .a_step = 1,
        .b = tape->hidden_panels + (size_t)gate * padded * padded,
        .c = to,
        .c_row = (size_t)4 * padded,
        .rows = step->count,
        .steps = shape->hidden,
        .blocks = padded / NETWORK_LANES,
    };
    tape->kernels->product(&product);
}

static void gru_row(struct network_tape *tape, uint32_t row)
{
    uint32_t padded = tape->hidden_padded;
    float *r = tape->gates + (size_t)row * 4 * padded;
    float *z = r + padded;
    float *n = z + padded;
    const float *inner = n + padded;
    const float *before = tape->before_h + (size_t)row * padded;
    float *h = tape->h + (size_t)row * padded;
    tape->kernels->activate(ACTIVATION_SIGMOID, r, (size_t)2 * padded);
    for (uint32_t j = 0; j < padded; j++) {
        n[j] += r[j] * inner[j];
    }
    tape->kernels->activate(ACTIVATION_TANH, n, padded);
    for (uint32_t j = 0; j < padded; j++) {
        h[j] = n[j] + z[j] * (before[j] - n[j]);
    }
}

static void lstm_row(struct network_tape *tape, uint32_t row)
{
    uint32_t padded = tape->hidden_padded;
    float *i = tape->gates + (size_t)row * 4 * padded;
    float *f = i + padded;
    float *g = f + padded;
    float *o = g + padded;
    size_t place = (size_t)row * padded;
    tape->kernels->activate(ACTIVATION_SIGMOID, i, (size_t)2 * padded);
    tape->kernels->activate(ACTIVATION_TANH, g, padded);
    tape->kernels->activate(ACTIVATION_SIGMOID, o, padded);
    for (uint32_t j = 0; j < padded; j++) {
        tape->c[place + j] = f[j] * tape->before_c[place + j] + i[j] * g[j];
        tape->tanh_c[place + j] = tape->c[place + j];
    }
    tape->kernels->activate(ACTIVATION_TANH, tape->tanh_c + place, padded);
    for (uint32_t j = 0; j < padded; j++) {
        tape->h[place + j] = o[j] * tape->tanh_c[place + j];
    }
}

void tape_cell_first(struct network_tape *tape, const float *parameters, const float *inputs,
                     uint32_t rows, float *gates, uint32_t gates_row)
{
    const struct network_shape *shape = &tape->shape;
    for (uint32_t gate = 0; gate < network_gates(shape); gate++) {
        size_t output = (size_t)gate * shape->hidden;
        tape_times(tape, inputs, tape->input_padded, rows,
                   parameters + shape->weight_ih + output * shape->input_count, shape->hidden,
                   shape->input_count, parameters + shape->bias_ih + output,
                   gates + (size_t)gate * tape->hidden_padded, gates_row);
    }
}

static void load_first(struct network_tape *tape, const struct network_batch *batch)
{
    uint32_t width = network_tape_first_width(tape);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        memcpy(tape->gates + (size_t)row * 4 * tape->hidden_padded,
               batch->first + (size_t)row * width, width * sizeof(float));
    }
}

void tape_cell_forward(struct network_tape *tape, const float *parameters,
                       const struct network_batch *batch)
{
    const struct network_shape *shape = &tape->shape;
    uint32_t gates = network_gates(shape);
    pack_hidden(tape, parameters);
    if (batch->first) {
        load_first(tape, batch);
    } else {
        tape_cell_first(tape, parameters, tape->inputs, batch->row_count, tape->gates,
                        4 * tape->hidden_padded);
    }
    struct step step = {.tape = tape, .is_first = true};
    for (uint32_t t = 0; t < batch->step_count; t++) {
        step.count = batch->active[t];
        start_step(&step, batch);
        for (uint32_t gate = 0; gate < gates; gate++) {
            add_hidden(&step, parameters, gate);
        }
        for (uint32_t row = step.first; row < step.first + step.count; row++) {
            if (shape->cell == CELL_GRU) {
                gru_row(tape, row);
            } else {
                lstm_row(tape, row);
            }
        }
        step.before = step.first;
        step.first += step.count;
        step.is_first = false;
    }
}

/* ---- Backward ---- */

/* dh: by h of this row. Writes the gates' pulls; dh becomes what goes straight to h before. */
static void gru_row_back(struct network_tape *tape, uint32_t row, float *dh)
{
    uint32_t padded = tape->hidden_padded;
    const float *r = tape->gates + (size_t)row * 4 * padded;
    const float *z = r + padded;
    const float *n = z + padded;
    const float *inner = n + padded;
    const float *before = tape->before_h + (size_t)row * padded;
    float *d = tape->gate_pulls + (size_t)row * 4 * padded;
    float *d_inner = tape->inner_pulls + (size_t)row * padded;
    for (uint32_t j = 0; j < padded; j++) {
        float dn = dh[j] * (1 - z[j]) * (1 - n[j] * n[j]);
        d[j] = dn * inner[j] * r[j] * (1 - r[j]);
        d[padded + j] = dh[j] * (before[j] - n[j]) * z[j] * (1 - z[j]);
        d[2 * padded + j] = dn;
        d_inner[j] = dn * r[j];
        dh[j] *= z[j];
    }
}

/* The same; dc: by c of this row from the step after, becomes that by c before. */
static void lstm_row_back(struct network_tape *tape, uint32_t row, float *dh, float *dc)
{
    uint32_t padded = tape->hidden_padded;
    const float *i = tape->gates + (size_t)row * 4 * padded;
    const float *f = i + padded;
    const float *g = f + padded;
    const float *o = g + padded;
    const float *before = tape->before_c + (size_t)row * padded;
    const float *tanh_c = tape->tanh_c + (size_t)row * padded;
    float *d = tape->gate_pulls + (size_t)row * 4 * padded;
    for (uint32_t j = 0; j < padded; j++) {
        float cell = dc[j] + dh[j] * o[j] * (1 - tanh_c[j] * tanh_c[j]);
        d[j] = cell * g[j] * i[j] * (1 - i[j]);
        d[padded + j] = cell * before[j] * f[j] * (1 - f[j]);
        d[2 * padded + j] = cell * i[j] * (1 - g[j] * g[j]);
        d[3 * padded + j] = dh[j] * tanh_c[j] * o[j] * (1 - o[j]);
        dc[j] = cell * f[j];
        dh[j] = 0;
    }
}

/* carry_h of the step's rows: by h before the step. */
static void carry_back(const struct step *step)
{
    struct network_tape *tape = step->tape;
    uint32_t padded = tape->hidden_padded;
    for (uint32_t gate = 0; gate < network_gates(&tape->shape); gate++) {
        bool is_inner = tape->shape.cell == CELL_GRU && gate == 2;
        const float *from =
            is_inner ? tape->inner_pulls + (size_t)step->first * padded
                     : tape->gate_pulls + (size_t)step->first * 4 * padded + (size_t)gate * padded;
        const struct network_product product = {
            .a = from,
            .a_row = is_inner ? padded : (size_t)4 * padded,
            .a_step = 1,
            .b = tape->hidden_turned + (size_t)gate * padded * padded,
            .c = tape->carry_h,
            .c_row = padded,
            .rows = step->count,
            .steps = tape->shape.hidden,
            .blocks = padded / NETWORK_LANES,
        };
        tape->kernels->product(&product);
    }
}

static void step_back(const struct step *step, const float *pulls)
{
    struct network_tape *tape = step->tape;
    uint32_t padded = tape->hidden_padded;
    for (uint32_t i = 0; i < step->count; i++) {
        float *dh = tape->carry_h + (size_t)i * padded;
        float *dc = tape->carry_c + (size_t)i * padded;
        const float *own = pulls + (size_t)(step->first + i) * padded;
        if (i >= step->next_count) { /* Its sequence ends here. */
            memset(dh, 0, padded * sizeof(*dh));
            memset(dc, 0, padded * sizeof(*dc));
        }
        for (uint32_t j = 0; j < padded; j++) {
            dh[j] += own[j];
        }
        if (tape->shape.cell == CELL_GRU) {
            gru_row_back(tape, step->first + i, dh);
        } else {
            lstm_row_back(tape, step->first + i, dh, dc);
        }
    }
    if (step->first > 0) { /* Nobody asks what the state before the first step did. */
        carry_back(step);
    }
}

void tape_cell_first_back(struct network_tape *tape, const float *parameters, const float *d,
                          uint32_t d_row, uint32_t rows, float *inputs)
{
    const struct network_shape *shape = &tape->shape;
    memset(inputs, 0, (size_t)rows * tape->input_padded * sizeof(*inputs));
    for (uint32_t gate = 0; gate < network_gates(shape); gate++) {
        size_t output = (size_t)gate * shape->hidden;
        tape_times_turned(tape, d + (size_t)gate * tape->hidden_padded, d_row, rows,
                          parameters + shape->weight_ih + output * shape->input_count,
                          shape->hidden, shape->input_count, inputs, tape->input_padded);
    }
}

static void gather_gates(struct network_tape *tape, uint32_t rows, float *gradient)
{
    const struct network_shape *shape = &tape->shape;
    uint32_t padded = tape->hidden_padded;
    for (uint32_t gate = 0; gate < network_gates(shape); gate++) {
        size_t output = (size_t)gate * shape->hidden;
        const float *d = tape->gate_pulls + (size_t)gate * padded;
        bool is_inner = shape->cell == CELL_GRU && gate == 2;
        tape_gather(tape, d, 4 * padded, tape->inputs, tape->input_padded, rows, shape->hidden,
                    shape->input_count,
                    gradient ? gradient + shape->weight_ih + output * shape->input_count : NULL,
                    gradient ? gradient + shape->bias_ih + output : NULL);
        tape_gather(tape, is_inner ? tape->inner_pulls : d, is_inner ? padded : 4 * padded,
                    tape->before_h, padded, rows, shape->hidden, shape->hidden,
                    gradient ? gradient + shape->weight_hh + output * shape->hidden : NULL,
                    gradient ? gradient + shape->bias_hh + output : NULL);
    }
}

void tape_cell_backward(struct network_tape *tape, const float *parameters,
                        const struct network_batch *batch, const float *pulls, float *gradient)
{
    struct step step = {.tape = tape, .first = batch->row_count};
    for (uint32_t t = batch->step_count; t-- > 0;) {
        step.count = batch->active[t];
        step.first -= step.count;
        step_back(&step, pulls);
        step.next_count = step.count;
    }
    gather_gates(tape, batch->row_count, gradient);
    if (!batch->first) {
        tape_cell_first_back(tape, parameters, tape->gate_pulls, 4 * tape->hidden_padded,
                             batch->row_count, tape->input_pulls);
    }
}

void network_tape_state(const struct network_tape *tape, const struct network_batch *batch,
                        float *h, float *c)
{
    uint32_t hidden = tape->shape.hidden;
    uint32_t first = 0;
    for (uint32_t t = 0; hidden > 0 && t < batch->step_count; t++) {
        for (uint32_t i = 0; i < batch->active[t]; i++) {
            size_t place = (size_t)(first + i) * tape->hidden_padded;
            memcpy(h + (size_t)i * hidden, tape->h + place, hidden * sizeof(*h));
            if (c) {
                memcpy(c + (size_t)i * hidden, tape->c + place, hidden * sizeof(*c));
            }
        }
        first += batch->active[t];
    }
}
