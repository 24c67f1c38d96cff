/* A network in double precision, from the equations as PyTorch documents them; an oracle. */
#ifndef TEST_MODELS_NETWORK_REFERENCE_H
#define TEST_MODELS_NETWORK_REFERENCE_H

#include <math.h>
#include <string.h>

#include "models/network_shape.h"
#include "test/fakes/random.h"

#define REFERENCE_WIDTH 512

static inline double reference_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static inline double reference_activation(enum activation activation, double x)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SIGMOID:
        return reference_sigmoid(x);
    case ACTIVATION_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    default:
        return x;
    }
}

/* Row `output` of weight [..][in] times x, plus bias. */
static inline double reference_sum(const double *p, size_t weight, size_t bias, uint32_t output,
                                   uint32_t in, const double *x)
{
    double sum = p[bias + output];
    for (uint32_t j = 0; j < in; j++) {
        sum += p[weight + (size_t)output * in + j] * x[j];
    }
    return sum;
}

static inline void reference_cell(const struct network_shape *s, const double *p, const double *x,
                                  double *h, double *c)
{
    uint32_t hidden = s->hidden;
    double next[REFERENCE_WIDTH];
    for (uint32_t i = 0; i < hidden; i++) {
        double a[4];
        double b[4];
        for (uint32_t g = 0; g < network_gates(s); g++) {
            a[g] = reference_sum(p, s->weight_ih, s->bias_ih, g * hidden + i, s->input_count, x);
            b[g] = reference_sum(p, s->weight_hh, s->bias_hh, g * hidden + i, hidden, h);
        }
        if (s->cell == CELL_GRU) {
            double r = reference_sigmoid(a[0] + b[0]);
            double z = reference_sigmoid(a[1] + b[1]);
            double n = tanh(a[2] + r * b[2]);
            next[i] = (1 - z) * n + z * h[i];
        } else {
            c[i] = reference_sigmoid(a[1] + b[1]) * c[i] +
                   reference_sigmoid(a[0] + b[0]) * tanh(a[2] + b[2]);
            next[i] = reference_sigmoid(a[3] + b[3]) * tanh(c[i]);
        }
    }
    memcpy(h, next, hidden * sizeof(*h));
}

static inline double reference_layers(const struct network_shape *s, const double *p,
                                      const double *x)
{
    double values[2][NETWORK_SIZE_MAX];
    for (uint32_t l = 0; l < s->layer_count; l++) {
        const struct network_layer *layer = &s->layers[l];
        double *y = values[l & 1];
        double mean = 0;
        double squares = 0;
        for (uint32_t i = 0; i < layer->size; i++) {
            y[i] = reference_sum(p, layer->weight, layer->bias, i, layer->inputs, x);
            mean += y[i] / layer->size;
        }
        for (uint32_t i = 0; i < layer->size; i++) {
            squares += (y[i] - mean) * (y[i] - mean) / layer->size;
        }
        for (uint32_t i = 0; i < layer->size; i++) {
            if (layer->has_norm) {
                y[i] = (y[i] - mean) / sqrt(squares + (double)s->norm_epsilon) *
                           p[layer->norm_weight + i] +
                       p[layer->norm_bias + i];
            }
            y[i] = reference_activation(layer->activation, y[i]);
        }
        x = y;
    }
    return x[0];
}

/* One row: `plain` are the numbers and indicators, `table_rows` the rows of the tables; h and c are
 * stepped where there is a cell. */
static inline double reference_row(const struct network_shape *s, const double *p,
                                   const float *plain, const uint32_t *table_rows, double *h,
                                   double *c)
{
    double x[REFERENCE_WIDTH];
    for (uint32_t i = 0; i < s->numeric_count + s->indicator_count; i++) {
        x[i] = (double)plain[i];
    }
    for (uint32_t i = 0; i < s->feature_count; i++) {
        const struct network_input *input = &s->inputs[i];
        for (uint32_t j = 0; input->rows > 0 && j < input->width; j++) {
            x[input->place + j] = p[input->table + (size_t)*table_rows * input->width + j];
        }
        table_rows += input->rows > 0;
    }
    if (s->cell == CELL_NONE) {
        return reference_layers(s, p, x);
    }
    reference_cell(s, p, x, h, c);
    return reference_layers(s, p, h);
}

/* ---- Networks to try ---- */

static inline float reference_number(struct random *random, float size)
{
    return ((float)(random_next(random) >> 40) * 0x1p-23f - 1.0f) * size;
}

#define REFERENCE_SHAPES 6u

/* Networks of every kind of part; release with network_shape_release. */
static inline enum status reference_shape(uint32_t which, struct network_shape *shape)
{
    static const uint32_t hidden[REFERENCE_SHAPES] = {0, 0, 20, 16, 5, 33};
    enum status status = network_shape_init(shape, 9, NULL);
    if (status != STATUS_OK) {
        return status;
    }
    shape->cell = which < 2 ? CELL_NONE : which % 2 ? CELL_LSTM : CELL_GRU;
    shape->hidden = hidden[which];
    shape->inputs[1].has_indicator = true;
    shape->inputs[4].has_indicator = true;
    shape->inputs[4].fill = 0.5f;
    if (which != 1) {
        shape->inputs[2] = (struct network_input){.rows = 7, .width = 3, .first = 2, .unknown = 1};
        shape->inputs[7] = (struct network_input){
            .rows = 5, .width = 2, .first = 1, .bin_count = 3, .bins = {-0.5f, 0, 0.5f}};
    }
    shape->layer_count = 4;
    shape->layers[0] = (struct network_layer){.size = 19, .activation = ACTIVATION_GELU};
    shape->layers[1] =
        (struct network_layer){.size = 17, .activation = ACTIVATION_TANH, .has_norm = true};
    shape->layers[2] = (struct network_layer){
        .size = 9, .activation = which % 3 ? ACTIVATION_SIGMOID : ACTIVATION_RELU};
    shape->layers[3] = (struct network_layer){.size = 1};
    return network_shape_finish(shape, NULL);
}

#endif
