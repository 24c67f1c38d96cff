#include "models/network_explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/network_tape.h"

#define NODES 4u
#define ROWS (2u * NODES + 1u) /* Looked at in one go: two spans and where they meet. */
#define GOOD_ENOUGH 5e-5       /* Of a span, in units of the logit. */
#define SPLITS_MAX 40u
#define SPANS_MAX (SPLITS_MAX + 1u)

/* Gauss-Legendre on [0, 1]: Abramowitz and Stegun, table 25.4, half as long. */
static const double node_places[NODES] = {0.0694318442029737, 0.3300094782075719,
                                          0.6699905217924281, 0.9305681557970263};
static const double node_weights[NODES] = {0.1739274225687269, 0.3260725774312731,
                                           0.3260725774312731, 0.1739274225687269};

/* A piece of the path. Where its integral is not the difference of its ends, it is cut. */
struct span {
    double from, to;             /* Shares of the path. */
    double logit_from, logit_to; /* Of the network. */
    double slope_from, slope_to; /* Along the path, at the first and the last node. */
    double missing;              /* Of what the integral should be. */
};

struct network_explainer {
    struct network_shape shape;  /* As if all inputs were numbers. */
    struct network_model *model; /* Borrowed. */
    struct network_shape source; /* Copy. */
    const float *parameters;     /* Borrowed: behind the tables. */
    const float *tables;         /* Borrowed. */
    struct network_tape *tape;
    uint32_t padded;       /* Inputs. */
    uint32_t width;        /* Of what the network makes of them first. */
    float *block;          /* Owned: the arrays below. */
    float *start, *end;    /* [padded] */
    float *gradient;       /* [padded] */
    float *first;          /* [2][width] of start and end. */
    float *points, *pulls; /* [ROWS][width] */
    float *h, *c;          /* [ROWS][hidden] */
    double *sums;          /* [width]. Owned. */
    double *part;          /* [width] of the span that is looked at. Owned, with sums. */
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
    self->width = network_tape_first_width(self->tape);
    size_t wide = self->padded;
    size_t width = self->width;
    size_t hidden = self->shape.hidden;
    self->block = calloc(3 * wide + 2 * (ROWS + 1) * width + 2 * ROWS * hidden, sizeof(float));
    self->sums = calloc(2 * width, sizeof(*self->sums));
    if (!self->block || !self->sums) {
        return error_set(error, STATUS_FATAL, "network: out of memory");
    }
    self->part = self->sums + width;
    self->start = self->block;
    self->end = self->start + wide;
    self->gradient = self->end + wide;
    self->first = self->gradient + wide;
    self->points = self->first + 2 * width;
    self->pulls = self->points + ROWS * width;
    self->h = self->pulls + ROWS * width;
    self->c = self->h + ROWS * hidden;
    fill_start(self);
    network_tape_first(self->tape, self->parameters, self->start, 1, self->first);
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
    return (struct network_batch){.first = self->points,
                                  .step_count = 1,
                                  .active = count,
                                  .row_count = *count,
                                  .h = self->h,
                                  .c = self->c};
}

/* How far the path goes, in what the network makes of its inputs first. */
static double run_of(const struct network_explainer *self, uint32_t j)
{
    return (double)self->first[self->width + j] - (double)self->first[j];
}

static void place_point(struct network_explainer *self, uint32_t row, double share)
{
    float *point = self->points + (size_t)row * self->width;
    for (uint32_t j = 0; j < self->width; j++) {
        point[j] = (float)((double)self->first[j] + share * run_of(self, j));
    }
}

static void place_span(struct network_explainer *self, const struct span *span, uint32_t row,
                       float *pulls)
{
    double length = span->to - span->from;
    for (uint32_t node = 0; node < NODES; node++) {
        place_point(self, row + node, span->from + node_places[node] * length);
        pulls[row + node] = (float)(node_weights[node] * length);
    }
}

/* Of the gradient at a node, which was asked for with its weight. */
static double slope_at(const struct network_explainer *self, uint32_t row, float pull)
{
    const float *gradient = self->pulls + (size_t)row * self->width;
    double slope = 0;
    for (uint32_t j = 0; j < self->width; j++) {
        slope += (double)gradient[j] * run_of(self, j);
    }
    return slope / (double)pull;
}

/* The span's integrals into part, from the gradients of its nodes. */
static void add_up(struct network_explainer *self, struct span *span, uint32_t row,
                   const float *pulls)
{
    double whole = 0;
    for (uint32_t j = 0; j < self->width; j++) {
        double sum = 0;
        for (uint32_t node = 0; node < NODES; node++) {
            sum += (double)self->pulls[(size_t)(row + node) * self->width + j];
        }
        self->part[j] = sum;
        whole += sum * run_of(self, j);
    }
    span->slope_from = slope_at(self, row, pulls[row]);
    span->slope_to = slope_at(self, row + NODES - 1, pulls[row + NODES - 1]);
    span->missing = span->logit_to - span->logit_from - whole;
}

static void accept(struct network_explainer *self)
{
    for (uint32_t j = 0; j < self->width; j++) {
        self->sums[j] += self->part[j];
    }
}

/*
 * Where to cut: most often the span has a kink, that of a rectifier, and is almost straight on both
 * sides of it. Then the two lines meet there.
 */
static double place_to_cut(const struct span *span)
{
    double length = span->to - span->from;
    double turn = span->slope_from - span->slope_to;
    double rise = span->logit_to - span->logit_from;
    double share = (rise / length - span->slope_to) / turn;
    if (!(share > 0.01 && share < 0.99)) {
        share = 0.5;
    }
    return span->from + share * length;
}

/* Looks at `count` spans, 1 or 2, the second beginning where the first ends. */
static void look(struct network_explainer *self, struct span *spans, uint32_t count,
                 float pulls[ROWS])
{
    float outputs[ROWS];
    uint32_t rows = count * NODES;
    for (uint32_t i = 0; i < count; i++) {
        place_span(self, &spans[i], i * NODES, pulls);
    }
    if (count == 2) {
        place_point(self, rows++, spans[1].from);
    }
    struct network_batch batch = make_batch(self, &rows);
    network_tape_forward(self->tape, self->parameters, &batch, outputs);
    network_tape_backward(self->tape, self->parameters, &batch, pulls, NULL, self->pulls);
    if (count == 2) {
        spans[0].logit_to = (double)outputs[rows - 1];
        spans[1].logit_from = (double)outputs[rows - 1];
    }
}

/*
 * Integrals of the gradient along the path into sums: spans are cut until each is good. All by what
 * the network makes of its inputs first, which runs along a straight line as they do; the inputs'
 * own integrals are its product with these, once.
 */
static void integrate(struct network_explainer *self, double logit_from, double logit_to)
{
    struct span open[SPANS_MAX];
    struct span spans[2] = {{.from = 0, .to = 1, .logit_from = logit_from, .logit_to = logit_to}};
    uint32_t open_count = 0;
    uint32_t count = 1;
    memset(self->sums, 0, self->width * sizeof(*self->sums));
    for (uint32_t splits = 0;; splits++) {
        float pulls[ROWS] = {0};
        look(self, spans, count, pulls);
        for (uint32_t i = 0; i < count; i++) {
            add_up(self, &spans[i], i * NODES, pulls);
            if (fabs(spans[i].missing) <= GOOD_ENOUGH || splits + open_count >= SPLITS_MAX) {
                accept(self);
            } else {
                open[open_count++] = spans[i];
            }
        }
        if (open_count == 0) {
            return;
        }
        struct span span = open[--open_count];
        double cut = place_to_cut(&span);
        spans[0] = (struct span){.from = span.from, .to = cut, .logit_from = span.logit_from};
        spans[1] = (struct span){.from = cut, .to = span.to, .logit_to = span.logit_to};
        count = 2;
    }
}

static double input_term(const struct network_explainer *self, uint32_t j)
{
    return (double)self->gradient[j] * ((double)self->end[j] - (double)self->start[j]);
}

/* By feature, from the integrals; returns their sum. */
static double sum_terms(struct network_explainer *self, float *terms)
{
    float *pulls = self->pulls;
    for (uint32_t j = 0; j < self->width; j++) {
        pulls[j] = (float)self->sums[j];
    }
    network_tape_first_back(self->tape, self->parameters, pulls, 1, self->gradient);
    double sum = 0;
    for (uint32_t i = 0; i < self->source.feature_count; i++) {
        const struct network_input *input = &self->source.inputs[i];
        double term = input_term(self, input->place);
        for (uint32_t j = 1; j < input->width; j++) {
            term += input_term(self, input->place + j);
        }
        if (input->rows == 0 && input->has_indicator) {
            term += input_term(self, input->indicator);
        }
        terms[i] = (float)term;
        sum += term;
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
    network_tape_first(self->tape, self->parameters, self->end, 1, self->first + self->width);
    load_state(self, state);
    place_point(self, 0, 0);
    place_point(self, 1, 1);
    struct network_batch batch = make_batch(self, &two);
    network_tape_forward(self->tape, self->parameters, &batch, ends);
    double whole = (double)ends[1] - (double)ends[0];
    integrate(self, (double)ends[0], (double)ends[1]);
    double left_over = whole - sum_terms(self, terms);
    *ret_base = ends[0];
    spread(left_over, count, terms, ret_base);
}
