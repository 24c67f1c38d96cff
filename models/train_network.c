#include "models/train_network.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/network_model.h"
#include "models/time_split.h"
#include "models/train_matrix.h"
#include "models/train_network_internal.h"
#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"

#define TOLD_EACH 16u   /* Mini-batches. */
#define TABLE_START 0.1 /* An embedding starts within it. */

const char *const network_start_names[START_COUNT + 1] = {"auto", "he", "xavier", NULL};

struct training {
    const struct row_table *table;
    uint8_t *parts; /* [table.count] Owned: rows that nobody asks for are left out. */
    const struct network_train_options *options;
    struct network_fit *fit;
    struct network_data data;
    struct network_stretch stretch;
    struct network_tape *tape;
    struct train_progress progress;
    uint32_t *order; /* [group_count]: groups with rows to fit. */
    uint32_t order_count;
    float *gradient, *decay;          /* [parameter_count]; decay: 1 where L1 and L2 apply. */
    float *outputs, *pulls, *weights; /* [rows of a stretch] */
    uint8_t *labels;
    float *margins; /* [row_count] by place. */
    uint64_t hash;
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "training: out of memory");
}

/* ---- Features and shape ---- */

static bool is_embedded(const struct network_train_options *options, uint32_t column)
{
    for (uint32_t i = 0; i < options->embedding_count; i++) {
        if (options->embeddings[i].column == column) {
            return true;
        }
    }
    return false;
}

/* Numeric features as a logistic regression takes them: those that vary, transformed and scaled. */
static enum status choose_numeric(struct training *training, struct logistic_fit *chosen,
                                  struct train_matrix *matrix, struct error *error)
{
    const struct network_train_options *options = training->options;
    uint32_t columns[PACK_FEATURES_MAX];
    struct train_options as_logistic = {.names = options->names,
                                        .columns = columns,
                                        .transform = options->transform,
                                        .limit = options->limit,
                                        .warn = options->warn,
                                        .context = options->context};
    for (uint32_t i = 0; i < options->column_count; i++) {
        if (!is_embedded(options, options->columns[i])) {
            columns[as_logistic.column_count++] = options->columns[i];
        }
    }
    if (as_logistic.column_count == 0 && options->embedding_count > 0) {
        return STATUS_OK;
    }
    return train_matrix_make(training->table, training->parts, &as_logistic, chosen, matrix, error);
}

static void add_embeddings(const struct network_train_options *options, struct network_fit *fit)
{
    for (uint32_t i = 0; i < options->embedding_count; i++) {
        const struct train_embedding *embedding = &options->embeddings[i];
        uint32_t place = fit->feature_count++;
        fit->columns[place] = embedding->column;
        fit->features[place] =
            (struct pack_feature){.name = (char *)(uintptr_t)options->names[embedding->column],
                                  .scale = 1.0f,
                                  .limit = 1e6f};
        fit->shape.inputs[place] = embedding->input;
        fit->shape.inputs[place].tensor = NULL;
    }
}

static enum status make_shape(const struct network_train_options *options,
                              const struct logistic_fit *chosen, const struct train_matrix *matrix,
                              struct network_fit *fit, struct error *error)
{
    uint32_t count = chosen->feature_count + options->embedding_count;
    fit->columns = calloc((size_t)count + 1, sizeof(*fit->columns));
    fit->features = calloc((size_t)count + 1, sizeof(*fit->features));
    if (!fit->columns || !fit->features) {
        return out_of_memory(error);
    }
    enum status status = network_shape_init(&fit->shape, count, error);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < chosen->feature_count; i++) {
        fit->columns[i] = chosen->columns[i];
        fit->features[i] = chosen->features[i];
        fit->shape.inputs[i].has_indicator = matrix->indicator[i] >= 0;
    }
    fit->feature_count = chosen->feature_count;
    add_embeddings(options, fit);
    if (options->layer_count >= NETWORK_LAYERS_MAX) {
        return error_set(error, STATUS_INVALID, "training: %u layers before the last: at most %u",
                         options->layer_count, NETWORK_LAYERS_MAX - 1);
    }
    fit->shape.cell = options->cell;
    fit->shape.hidden = options->cell == CELL_NONE ? 0 : options->hidden;
    fit->shape.layer_count = options->layer_count + 1;
    for (uint32_t i = 0; i < options->layer_count; i++) {
        fit->shape.layers[i] = (struct network_layer){.size = options->layers[i].size,
                                                      .activation = options->layers[i].activation,
                                                      .has_norm = options->layers[i].has_norm,
                                                      .dropout = (float)options->dropout};
    }
    fit->shape.layers[options->layer_count].size = 1;
    return network_shape_finish(&fit->shape, error);
}

static enum status choose_features(struct training *training, struct error *error)
{
    struct logistic_fit chosen = {0};
    struct train_matrix matrix = {0};
    enum status status = choose_numeric(training, &chosen, &matrix, error);
    if (status == STATUS_OK) {
        status = make_shape(training->options, &chosen, &matrix, training->fit, error);
    }
    train_matrix_release(&matrix);
    logistic_fit_release(&chosen);
    return status;
}

/* ---- Start ---- */

struct starter {
    const struct network_train_options *options;
    const struct network_shape *shape;
    float *parameters, *decay;
};

static bool is_before_rectifier(const struct network_shape *shape, size_t place)
{
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const struct network_layer *layer = &shape->layers[i];
        if (layer->weight == place) {
            return layer->activation == ACTIVATION_RELU || layer->activation == ACTIVATION_GELU;
        }
    }
    return false;
}

/* Uniform within sqrt(6 / (in + out)) (Glorot and Bengio, 2010) or sqrt(6 / in) (He, 2015). */
static enum status start_tensor(void *context, const struct network_tensor *tensor,
                                struct error *error)
{
    (void)error;
    struct starter *starter = context;
    const struct network_shape *shape = starter->shape;
    uint32_t out = tensor->fan_out;
    bool is_cell = shape->cell != CELL_NONE &&
                   (tensor->place == shape->weight_ih || tensor->place == shape->weight_hh);
    out = is_cell ? out / network_gates(shape) : out; /* Gates stand below each other. */
    bool is_he = starter->options->start == START_HE || (starter->options->start == START_AUTO &&
                                                         is_before_rectifier(shape, tensor->place));
    double fans = is_he ? tensor->fan_in : (double)tensor->fan_in + out;
    double size = tensor->is_table ? TABLE_START : tensor->fan_in ? sqrt(6 / fans) : 0;
    for (size_t i = tensor->place; i < tensor->place + tensor->count; i++) {
        double unit = (double)(train_mixed(starter->options->seed, i) >> 11) * 0x1p-52 - 1;
        starter->parameters[i] = tensor->is_norm_weight ? 1.0f : (float)(size * unit);
        starter->decay[i] = tensor->fan_in > 0 ? 1.0f : 0.0f;
    }
    return STATUS_OK;
}

static enum status start_parameters(struct training *training, struct error *error)
{
    struct network_fit *fit = training->fit;
    const struct network_shape *shape = &fit->shape;
    const char *names[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        names[i] = fit->features[i].name;
    }
    struct starter starter = {training->options, shape, fit->parameters, training->decay};
    enum status status = network_shape_tensors(shape, names, start_tensor, &starter, error);
    if (shape->cell == CELL_LSTM) { /* It forgets little at first (Gers and others, 2000). */
        for (uint32_t i = 0; i < shape->hidden; i++) {
            fit->parameters[shape->bias_ih + shape->hidden + i] = 1.0f;
        }
    }
    double positive = 0;
    double all = 0;
    for (uint32_t i = 0; i < training->data.row_count; i++) {
        all += (double)training->data.fit_weights[i];
        positive += training->data.labels[i] ? (double)training->data.fit_weights[i] : 0;
    }
    fit->parameters[shape->layers[shape->layer_count - 1].bias] =
        (float)fixed_logit(positive / all);
    return status;
}

/* ---- Steps ---- */

static float *penalise(struct training *training)
{
    const struct network_train_options *options = training->options;
    const float *p = training->progress.parameters;
    float l1 = (float)options->l1;
    float l2 = (float)options->l2;
    double square = 0;
    for (size_t i = 0; i < training->progress.count; i++) {
        float sign = (float)((p[i] > 0) - (p[i] < 0));
        training->gradient[i] += training->decay[i] * (l2 * p[i] + l1 * sign);
        square += (double)training->gradient[i] * (double)training->gradient[i];
    }
    double norm = sqrt(square);
    if (options->clip > 0 && norm > options->clip) {
        float factor = (float)(options->clip / norm);
        for (size_t i = 0; i < training->progress.count; i++) {
            training->gradient[i] *= factor;
        }
    }
    return training->gradient;
}

/* Outputs of a stretch, and what its rows want. */
static void forward(struct training *training, const float *weights)
{
    const struct network_stretch *stretch = &training->stretch;
    network_tape_forward(training->tape, training->progress.parameters, &stretch->batch,
                         training->outputs);
    for (uint32_t i = 0; i < stretch->batch.row_count; i++) {
        training->weights[i] = weights[stretch->places[i]];
        training->labels[i] = training->data.labels[stretch->places[i]];
    }
}

static double weight_of(const struct training *training, const uint32_t *groups, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = training->data.first[groups[i]]; j < training->data.first[groups[i] + 1];
             j++) {
            sum += (double)training->data.fit_weights[j];
        }
    }
    return sum;
}

/* One mini-batch, a step down the gradient for each stretch of time; adds to loss and weight. */
static void fit_batch(struct training *training, const uint32_t *groups, uint32_t count,
                      double rate, double *loss, double *weight)
{
    const struct network_train_options *options = training->options;
    struct network_stretch *stretch = &training->stretch;
    double batch_weight = weight_of(training, groups, count);
    network_stretch_take(stretch, &training->data, groups, count, training->fit->shape.hidden);
    for (uint32_t step = 0; network_stretch_fill(stretch, &training->data, step);
         step += stretch->steps_max) {
        uint32_t rows = stretch->batch.row_count;
        uint64_t place = training->progress.optimizer.steps;
        stretch->batch.dropout_seed =
            options->dropout > 0 ? train_mixed(options->seed ^ UINT64_C(0xD509), place) | 1 : 0;
        forward(training, training->data.fit_weights);
        *loss += loss_sum(&options->loss, training->outputs, training->labels, training->weights,
                          rows, training->pulls);
        for (uint32_t i = 0; i < rows; i++) {
            training->pulls[i] = (float)((double)training->pulls[i] / batch_weight);
        }
        memset(training->gradient, 0, training->progress.count * sizeof(float));
        network_tape_backward(training->tape, training->progress.parameters, &stretch->batch,
                              training->pulls, training->gradient, NULL);
        network_tape_state(training->tape, &stretch->batch, stretch->h,
                           stretch->has_c ? stretch->c : NULL);
        optimizer_step(&training->progress.optimizer, rate, penalise(training),
                       training->progress.parameters);
    }
    *weight += batch_weight;
}

/* Fills the margins of all rows; returns the mean log loss of the held-out ones, NaN: none. */
static double score_all(struct training *training)
{
    static const struct loss entropy = {LOSS_CROSS_ENTROPY, 0};
    struct network_stretch *stretch = &training->stretch;
    double loss = 0;
    double weight = 0;
    uint32_t size = training->options->batch;
    uint32_t *groups = training->order;
    for (uint32_t first = 0; first < training->data.group_count; first += size) {
        uint32_t count = 0;
        while (count < size && first + count < training->data.group_count) {
            groups[count] = first + count;
            count++;
        }
        network_stretch_take(stretch, &training->data, groups, count, training->fit->shape.hidden);
        for (uint32_t step = 0; network_stretch_fill(stretch, &training->data, step);
             step += stretch->steps_max) {
            uint32_t rows = stretch->batch.row_count;
            forward(training, training->data.held_weights);
            network_tape_state(training->tape, &stretch->batch, stretch->h,
                               stretch->has_c ? stretch->c : NULL);
            loss += loss_sum(&entropy, training->outputs, training->labels, training->weights, rows,
                             NULL);
            for (uint32_t i = 0; i < rows; i++) {
                weight += (double)training->weights[i];
                training->margins[stretch->places[i]] = training->outputs[i];
            }
        }
    }
    return weight > 0 ? loss / weight : NAN;
}

/* ---- Epochs ---- */

static void shuffle(struct training *training, uint32_t epoch)
{
    uint32_t count = 0;
    for (uint32_t g = 0; g < training->data.group_count; g++) {
        bool is_fitted = false;
        for (uint32_t i = training->data.first[g]; i < training->data.first[g + 1]; i++) {
            is_fitted = is_fitted || training->data.fit_weights[i] > 0;
        }
        if (is_fitted) {
            training->order[count++] = g;
        }
    }
    uint64_t seed = train_mixed(training->options->seed, UINT64_C(0x5EED0000) + epoch);
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = (uint32_t)((train_mixed(seed, i) >> 32) * i >> 32);
        uint32_t kept = training->order[i - 1];
        training->order[i - 1] = training->order[j];
        training->order[j] = kept;
    }
    training->order_count = count;
}

static bool tell(const struct training *training, double share, double loss, double held)
{
    const struct network_train_options *options = training->options;
    return !options->progress ||
           options->progress(options->context, training->progress.epoch, share, loss, held);
}

static enum status fit_epoch(struct training *training, struct error *error)
{
    const struct network_train_options *options = training->options;
    double loss = 0;
    double weight = 0;
    shuffle(training, training->progress.epoch);
    uint32_t count = training->order_count;
    for (uint32_t first = 0; first < count; first += options->batch) {
        uint32_t size = count - first < options->batch ? count - first : options->batch;
        double share = (training->progress.epoch + (double)first / count) / options->epochs;
        double rate = options->rate * schedule_factor(options->schedule, options->warm_up, share);
        fit_batch(training, training->order + first, size, rate, &loss, &weight);
        if (!isfinite(loss)) {
            return error_set(error, STATUS_FATAL,
                             "training: the loss is not finite any more in epoch %u; a lower rate "
                             "or a clip of the gradient may help",
                             training->progress.epoch + 1);
        }
        bool is_told = first / options->batch % TOLD_EACH == 0;
        if (is_told && !tell(training, (double)first / count, loss / weight, NAN)) {
            return error_set(error, STATUS_FATAL, "training: stopped");
        }
    }
    training->progress.fit_loss = loss / weight;
    return STATUS_OK;
}

static enum status end_epoch(struct training *training, struct error *error)
{
    struct train_progress *p = &training->progress;
    double held = score_all(training);
    double judged = isnan(held) ? p->fit_loss : held;
    p->epoch++;
    p->waited++;
    if (isnan(held) || judged < p->best_loss) {
        p->best_loss = judged;
        p->best_fit_loss = p->fit_loss;
        p->best_epoch = p->epoch;
        p->waited = 0;
        memcpy(p->best, p->parameters, p->count * sizeof(float));
    }
    if (training->options->checkpoint) {
        enum status status =
            checkpoint_write(training->options->checkpoint, training->hash, p, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return tell(training, 0, p->fit_loss, held)
               ? STATUS_OK
               : error_set(error, STATUS_FATAL, "training: stopped");
}

static enum status fit_all(struct training *training, struct error *error)
{
    const struct network_train_options *options = training->options;
    struct train_progress *p = &training->progress;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && p->epoch < options->epochs &&
           (options->patience == 0 || p->waited < options->patience)) {
        status = fit_epoch(training, error);
        if (status == STATUS_OK) {
            status = end_epoch(training, error);
        }
    }
    if (status == STATUS_OK) {
        memcpy(p->parameters, p->best, p->count * sizeof(float));
        training->fit->epochs = p->epoch;
        training->fit->best_epoch = p->best_epoch;
        training->fit->fit_loss = p->best_fit_loss;
        training->fit->held_loss = score_all(training);
    }
    return status;
}

/* ---- Held-out rows ---- */

static enum status calibrate(struct training *training, struct error *error)
{
    struct network_fit *fit = training->fit;
    struct held_out held;
    enum status status = held_out_make(training->table, training->parts, SPLIT_HELD, &held, error);
    if (status != STATUS_OK) {
        return status;
    }
    float *by_row = calloc((size_t)training->table->count + 1, sizeof(*by_row));
    status = by_row ? STATUS_OK : out_of_memory(error);
    uint32_t count = 0;
    for (uint32_t i = 0; by_row && i < training->data.row_count; i++) {
        by_row[training->data.rows[i]] = training->margins[i];
    }
    for (uint32_t i = 0; by_row && i < training->table->count; i++) {
        if (training->parts[i] == SPLIT_HELD) {
            held.margins[count++] = by_row[i];
        }
    }
    free(by_row);
    fit->held_rows = held.count;
    if (status == STATUS_OK && held_out_has_both_classes(&held)) {
        status = held_out_calibrate(&held, training->options->calibration, &fit->calibration,
                                    &fit->is_calibrated, error);
        if (status == STATUS_OK) {
            held_out_apply(&held, &fit->calibration);
            status = held_out_measure(&held, &fit->held, error);
            fit->is_measured = status == STATUS_OK;
            fit->threshold = fit->held.threshold;
        }
    } else if (status == STATUS_OK && training->options->warn) {
        training->options->warn(training->options->context,
                                "the held-out rows have one class only: not calibrated");
    }
    held_out_release(&held);
    return status;
}

/* ---- The whole ---- */

static enum status check_rows(struct training *training, double *ret_positive_factor,
                              struct error *error)
{
    const struct row_table *table = training->table;
    uint64_t rows = 0;
    uint64_t positives = 0;
    double weights[2] = {0, 0};
    for (uint32_t i = 0; i < table->count; i++) {
        if (training->parts[i] == SPLIT_FIT) {
            rows++;
            positives += table->rows[i].label;
            weights[table->rows[i].label ? 1 : 0] += table->weights[i];
        }
    }
    if (rows == 0) {
        return error_set(error, STATUS_INVALID, "training: no rows before the held-out time");
    }
    if (positives == 0 || positives == rows) {
        return error_set(error, STATUS_INVALID, "training: one class only: all %llu rows are %s",
                         (unsigned long long)rows, positives ? "positive" : "negative");
    }
    if (rows < training->fit->feature_count) {
        return error_set(error, STATUS_INVALID,
                         "training: %llu rows for %u features: use fewer features or more data",
                         (unsigned long long)rows, training->fit->feature_count);
    }
    training->fit->fit_rows = (uint32_t)rows;
    *ret_positive_factor = training->options->positive_weight > 0
                               ? training->options->positive_weight
                               : weights[0] / weights[1];
    return STATUS_OK;
}

/* Of all that makes the result what it is. */
static uint64_t hash_training(const struct training *training)
{
    const struct network_train_options *o = training->options;
    const struct network_fit *fit = training->fit;
    const double numbers[] = {o->loss.kind,    o->loss.gamma,
                              o->optimizer,    o->rate,
                              o->momentum,     o->decay,
                              o->schedule,     o->warm_up,
                              o->start,        o->epochs,
                              o->batch,        o->steps,
                              o->patience,     o->l1,
                              o->l2,           o->dropout,
                              o->clip,         o->positive_weight,
                              (double)o->seed, o->cell,
                              o->hidden,       (double)fit->shape.parameter_count};
    uint64_t hash =
        hash64_combine(row_table_hash(training->table),
                       hash64((struct text){(const char *)numbers, (uint32_t)sizeof(numbers)}));
    hash = hash64_combine(
        hash, hash64((struct text){(const char *)training->parts, training->table->count}));
    for (uint32_t i = 0; i < o->layer_count; i++) {
        const uint64_t layer[] = {o->layers[i].size, (uint64_t)o->layers[i].activation,
                                  o->layers[i].has_norm};
        hash = hash64_combine(hash, hash64((struct text){(const char *)layer, sizeof(layer)}));
    }
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        hash = hash64_combine(hash, fit->columns[i]);
    }
    return hash;
}

static enum status make_room(struct training *training, struct error *error)
{
    struct network_fit *fit = training->fit;
    const struct network_train_options *options = training->options;
    struct train_progress *p = &training->progress;
    uint32_t steps = fit->shape.cell == CELL_NONE ? 1 : options->steps;
    size_t rows = (size_t)options->batch * steps;
    size_t count = fit->shape.parameter_count;
    p->count = count;
    p->best_loss = INFINITY;
    p->parameters = calloc(count, sizeof(float));
    p->best = calloc(count, sizeof(float));
    training->gradient = calloc(count, sizeof(float));
    training->decay = calloc(count, sizeof(float));
    training->order = calloc((size_t)training->data.group_count + 1, sizeof(uint32_t));
    training->outputs = calloc(rows, sizeof(float));
    training->pulls = calloc(rows, sizeof(float));
    training->weights = calloc(rows, sizeof(float));
    training->labels = calloc(rows, 1);
    training->margins = calloc((size_t)training->data.row_count + 1, sizeof(float));
    if (!p->parameters || !p->best || !training->gradient || !training->decay || !training->order ||
        !training->outputs || !training->pulls || !training->weights || !training->labels ||
        !training->margins) {
        return out_of_memory(error);
    }
    enum status status = optimizer_init(&p->optimizer, options->optimizer, options->momentum,
                                        options->decay, count, error);
    if (status == STATUS_OK) {
        status = network_stretch_init(&training->stretch, &training->data, &fit->shape,
                                      options->batch, steps, error);
    }
    return status == STATUS_OK
               ? network_tape_create(&fit->shape, (uint32_t)rows, &training->tape, error)
               : status;
}

static void release(struct training *training)
{
    network_data_release(&training->data);
    network_stretch_release(&training->stretch);
    network_tape_destroy(training->tape);
    optimizer_release(&training->progress.optimizer);
    free(training->progress.parameters);
    free(training->progress.best);
    free(training->parts);
    free(training->gradient);
    free(training->decay);
    free(training->order);
    free(training->outputs);
    free(training->pulls);
    free(training->weights);
    free(training->labels);
    free(training->margins);
}

/* With a cell, rows that are not on schedule are steps alone. */
static enum status choose_rows(struct training *training, const uint8_t *parts, struct error *error)
{
    const struct row_table *table = training->table;
    training->parts = calloc((size_t)table->count + 1, 1);
    if (!training->parts) {
        return out_of_memory(error);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const struct table_row *row = &table->rows[i];
        bool is_asked =
            training->options->cell == CELL_NONE || row->is_on_schedule || row->is_first_cart;
        training->parts[i] = is_asked ? parts[i] : (uint8_t)SPLIT_LEFT_OUT;
    }
    return STATUS_OK;
}

static enum status prepare(struct training *training, const uint8_t *parts, struct error *error)
{
    struct network_fit *fit = training->fit;
    double positive_factor = 1;
    enum status status = choose_rows(training, parts, error);
    if (status == STATUS_OK) {
        status = choose_features(training, error);
    }
    if (status == STATUS_OK) {
        status = check_rows(training, &positive_factor, error);
    }
    if (status == STATUS_OK) {
        fit->parameters = calloc(fit->shape.parameter_count, sizeof(float));
        status = fit->parameters ? network_data_make(training->table, training->parts,
                                                     positive_factor, fit, &training->data, error)
                                 : out_of_memory(error);
    }
    if (status == STATUS_OK) {
        status = make_room(training, error);
    }
    if (status == STATUS_OK) {
        status = start_parameters(training, error);
    }
    if (status == STATUS_OK) {
        memcpy(training->progress.parameters, fit->parameters,
               training->progress.count * sizeof(float));
        training->hash = hash_training(training);
    }
    return status;
}

enum status train_network(const struct row_table *table, const uint8_t *parts,
                          const struct network_train_options *options, struct network_fit *ret_fit,
                          struct error *error)
{
    struct network_fit fit = {.threshold = 0.5f, .calibration = {.slope = 1}};
    struct training training = {.table = table, .options = options, .fit = &fit};
    enum status status = prepare(&training, parts, error);
    if (status == STATUS_OK && options->checkpoint) {
        status = checkpoint_read(options->checkpoint, training.hash, &training.progress, error);
    }
    if (status == STATUS_OK) {
        status = fit_all(&training, error);
    }
    if (status == STATUS_OK) {
        memcpy(fit.parameters, training.progress.parameters,
               training.progress.count * sizeof(float));
        status = calibrate(&training, error);
    }
    if (status == STATUS_OK && options->checkpoint) {
        (void)unlink(options->checkpoint);
    }
    release(&training);
    if (status != STATUS_OK) {
        network_fit_release(&fit);
        return status;
    }
    *ret_fit = fit;
    return STATUS_OK;
}

void network_fit_release(struct network_fit *fit)
{
    network_shape_release(&fit->shape);
    pack_calibration_release(&fit->calibration);
    free(fit->columns);
    free(fit->features);
    free(fit->parameters);
    *fit = (struct network_fit){0};
}

/* ---- What was fitted ---- */

/* Row after row of each group, as it is served. */
static void step_groups(struct network_model *model, const struct network_fit *fit,
                        const struct row_table *table, const struct network_data *data,
                        float *logits)
{
    float state[NETWORK_STATE_BYTES_MAX / sizeof(float)];
    void *states[] = {state};
    bool has_cell = fit->shape.cell != CELL_NONE;
    for (uint32_t g = 0; g < data->group_count; g++) {
        memset(state, 0, sizeof(state));
        for (uint32_t i = data->first[g]; i < data->first[g + 1]; i++) {
            uint32_t row = data->rows[i];
            const struct network_rows one = {table->features, table->feature_count, &row, 1};
            network_model_score(model, &one, has_cell ? states : NULL, &logits[row]);
            logits[row] = pack_calibrate(&fit->calibration, logits[row]);
        }
    }
}

enum status network_fit_logits(const struct network_fit *fit, const struct row_table *table,
                               float *logits, struct error *error)
{
    struct network_data data;
    struct network_model *model;
    const struct network_source source = {.shape = &fit->shape,
                                          .parameters = fit->parameters,
                                          .features = fit->features,
                                          .columns = fit->columns};
    enum status status = network_data_make(table, NULL, 1, fit, &data, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = network_model_create(&source, &model, error);
    if (status == STATUS_OK) {
        step_groups(model, fit, table, &data, logits);
        network_model_destroy(model);
    }
    network_data_release(&data);
    return status;
}
