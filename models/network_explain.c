#include "models/network_explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/network_tape.h"

#define NODES 8u
#define PARTS_AT_ONCE 4u
#define PARTS_MAX 32u
#define ROWS (NODES * PARTS_AT_ONCE) /* Looked at in one go. */
#define GOOD_ENOUGH 1e-5             /* Of what is to be explained; more parts until then. */

/* Gauss-Legendre on [0, 1]: Abramowitz and Stegun, table 25.4, half as long. */
static const double node_places[NODES] = {
    0.0198550717512319, 0.1016667612931866, 0.2372337950418355, 0.4082826787521751,
    0.5917173212478249, 0.7627662049581645, 0.8983332387068134, 0.9801449282487681};
static const double node_weights[NODES] = {
    0.0506142681451881, 0.1111905172266872, 0.1568533229389436, 0.1813418916891810,
    0.1813418916891810, 0.1568533229389436, 0.1111905172266872, 0.0506142681451881};

struct network_explainer {
    struct network_shape shape;  /* As if all inputs were numbers. */
    struct network_model *model; /* Borrowed. */
    struct network_shape source; /* Copy. */
    const float *parameters;     /* Borrowed: behind the tables. */
    const float *tables;         /* Borrowed. */
    struct network_tape *tape;
    uint32_t padded;
    float *block;          /* Owned: the arrays below. */
    float *start, *end;    /* [padded] */
    float *points, *pulls; /* [ROWS][padded] */
    float *h, *c;          /* [ROWS][hidden] */
    double *sums;          /* [padded]. Owned. */
};

static enum status make_plain(const struct network_shape *source, struct network_shape *plain,
                              struct error *error)
{
    enum status status = network_shape_init(plain, source->input_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    plain->cell = source->cell;
    plain->hidden = source->hidden;
    plain->norm_epsilon = source->norm_epsilon;
    plain->layer_count = source->layer_count;
    for (uint32_t i = 0; i < source->layer_count; i++) {
        plain->layers[i] = (struct network_layer){.size = source->layers[i].size,
                                                  .activation = source->layers[i].activation,
                                                  .has_norm = source->layers[i].has_norm};
    }
    return network_shape_finish(plain, error);
}

/* The row that says nothing. */
static void fill_start(struct network_explainer *self)
{
    for (uint32_t i = 0; i < self->source.feature_count; i++) {
        const struct network_input *input = &self->source.inputs[i];
        if (input->rows > 0) {
            memcpy(self->start + input->place,
                   self->tables + input->table + (size_t)input->missing * input->width,
                   input->width * sizeof(float));
        }
    }
}

static enum status fill_explainer(struct network_explainer *self,
                                  const struct network_source *source, struct error *error)
{
    enum status status = network_shape_copy(source->shape, &self->source, error);
    if (status == STATUS_OK) {
        status = make_plain(source->shape, &self->shape, error);
    }
    if (status == STATUS_OK) {
        status = network_tape_create(&self->shape, ROWS, &self->tape, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t tables = source->shape->parameter_count - self->shape.parameter_count;
    self->tables = source->parameters;
    self->parameters = source->parameters + tables;
    network_tape_keep_panels(self->tape);
    self->padded = network_padded(self->shape.input_count);
    size_t wide = self->padded;
    size_t hidden = self->shape.hidden;
    self->block = calloc(2 * wide + 2 * ROWS * wide + 2 * ROWS * hidden + 1, sizeof(float));
    self->sums = calloc(wide, sizeof(*self->sums));
    if (!self->block || !self->sums) {
        return error_set(error, STATUS_FATAL, "network: out of memory");
    }
    self->start = self->block;
    self->end = self->start + wide;
    self->points = self->end + wide;
    self->pulls = self->points + ROWS * wide;
    self->h = self->pulls + ROWS * wide;
    self->c = self->h + ROWS * hidden;
    fill_start(self);
    return STATUS_OK;
}

enum status network_explainer_create(const struct network_source *source,
                                     struct network_model *model,
                                     struct network_explainer **ret_explainer, struct error *error)
{
    struct network_explainer *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "network: out of memory");
    }
    self->model = model;
    enum status status = fill_explainer(self, source, error);
    if (status != STATUS_OK) {
        network_explainer_destroy(self);
        return status;
    }
    *ret_explainer = self;
    return STATUS_OK;
}

void network_explainer_destroy(struct network_explainer *self)
{
    if (self) {
        network_tape_destroy(self->tape);
        network_shape_release(&self->shape);
        network_shape_release(&self->source);
        free(self->block);
        free(self->sums);
        free(self);
    }
}

/* Points [count] of the path at places from the first to the last node of some parts. */
static struct network_batch make_batch(struct network_explainer *self, uint32_t *count)
{
    return (struct network_batch){.inputs = self->points,
                                  .input_stride = self->padded,
                                  .step_count = 1,
                                  .active = count,
                                  .row_count = *count,
                                  .h = self->h,
                                  .c = self->c};
}

static void place_point(struct network_explainer *self, uint32_t row, double share)
{
    float *point = self->points + (size_t)row * self->padded;
    for (uint32_t j = 0; j < self->shape.input_count; j++) {
        double from = (double)self->start[j];
        point[j] = (float)(from + share * ((double)self->end[j] - from));
    }
}

/* Integrals of the gradient along the path, by input, into sums. */
static void integrate(struct network_explainer *self, uint32_t parts)
{
    float outputs[ROWS];
    float pulls[ROWS];
    memset(self->sums, 0, self->padded * sizeof(*self->sums));
    uint32_t count = NODES * (parts < PARTS_AT_ONCE ? parts : PARTS_AT_ONCE);
    for (uint32_t part = 0; part < parts; part += PARTS_AT_ONCE) {
        for (uint32_t row = 0; row < count; row++) {
            uint32_t piece = part + row / NODES;
            double at = (double)piece + node_places[row % NODES];
            place_point(self, row, at / parts);
            pulls[row] = (float)(node_weights[row % NODES] / parts);
        }
        struct network_batch batch = make_batch(self, &count);
        network_tape_forward(self->tape, self->parameters, &batch, outputs);
        network_tape_backward(self->tape, self->parameters, &batch, pulls, NULL, self->pulls);
        for (uint32_t row = 0; row < count; row++) {
            for (uint32_t j = 0; j < self->shape.input_count; j++) {
                self->sums[j] += (double)self->pulls[(size_t)row * self->padded + j];
            }
        }
    }
}

/* By feature, from the integrals; returns their sum. */
static double sum_terms(struct network_explainer *self, float *terms)
{
    double sum = 0;
    for (uint32_t j = 0; j < self->shape.input_count; j++) {
        self->sums[j] *= (double)self->end[j] - (double)self->start[j];
        sum += self->sums[j];
    }
    for (uint32_t i = 0; i < self->source.feature_count; i++) {
        const struct network_input *input = &self->source.inputs[i];
        double term = self->sums[input->place];
        for (uint32_t j = 1; j < input->width; j++) {
            term += self->sums[input->place + j];
        }
        if (input->rows == 0 && input->has_indicator) {
            term += self->sums[input->indicator];
        }
        terms[i] = (float)term;
    }
    return sum;
}

static void spread(double left_over, uint32_t count, float *terms, float *ret_base)
{
    double size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size += fabs((double)terms[i]);
    }
    if (size == 0) {
        *ret_base += (float)left_over;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        terms[i] += (float)(left_over * fabs((double)terms[i]) / size);
    }
}

static void load_state(struct network_explainer *self, const void *state)
{
    uint32_t hidden = self->shape.hidden;
    for (uint32_t row = 0; row < ROWS && hidden > 0; row++) {
        float *h = self->h + (size_t)row * hidden;
        float *c = self->c + (size_t)row * hidden;
        memset(h, 0, hidden * sizeof(*h));
        memset(c, 0, hidden * sizeof(*c));
        if (state) {
            memcpy(h, state, hidden * sizeof(*h));
        }
        if (state && self->shape.cell == CELL_LSTM) {
            memcpy(c, (const float *)state + hidden, hidden * sizeof(*c));
        }
    }
}

void network_explain(struct network_explainer *self, const float *row, const void *state,
                     float *terms, float *ret_base)
{
    const struct network_rows rows = {row, 0, NULL, 1};
    uint32_t count = self->source.feature_count;
    float ends[2];
    uint32_t two = 2;
    network_model_inputs(self->model, &rows, 0, 1, self->end, self->padded);
    load_state(self, state);
    place_point(self, 0, 0);
    place_point(self, 1, 1);
    struct network_batch batch = make_batch(self, &two);
    network_tape_forward(self->tape, self->parameters, &batch, ends);
    double whole = (double)ends[1] - (double)ends[0];
    double left_over = INFINITY;
    for (uint32_t parts = 1; parts <= PARTS_MAX; parts *= 2) {
        integrate(self, parts);
        left_over = whole - sum_terms(self, terms);
        if (fabs(left_over) <= GOOD_ENOUGH) {
            break;
        }
    }
    *ret_base = ends[0];
    spread(left_over, count, terms, ret_base);
}
