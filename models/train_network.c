#include "models/train_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/fit_rows.h"
#include "models/network_model.h"
#include "models/time_split.h"
#include "models/train_network_internal.h"
#include "pipeline/base/hash.h"

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "training: out of memory");
}

/* ---- Held-out rows ---- */

static enum status calibrate(struct network_training *training, struct error *error)
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
        status = held_out_judge(&held, training->options->calibration, &fit->calibration,
                                &fit->is_calibrated, &fit->held, error);
        if (status == STATUS_OK) {
            fit->is_measured = true;
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

/* How a column becomes an input. */
static uint64_t hash_feature(const struct network_fit *fit, uint32_t place)
{
    const struct pack_feature *feature = &fit->features[place];
    const struct network_input *input = &fit->shape.inputs[place];
    const double numbers[] = {
        fit->columns[place],    feature->transform,   (double)feature->mean, (double)feature->scale,
        (double)feature->limit, input->has_indicator, input->rows,           input->width,
        input->missing,         input->unknown,       input->first};
    return hash64_combine(
        hash64((struct text){(const char *)numbers, (uint32_t)sizeof(numbers)}),
        hash64((struct text){(const char *)input->bins,
                             (uint32_t)(input->bin_count * sizeof(input->bins[0]))}));
}

/* Of all that makes the result what it is. */
static uint64_t hash_training(const struct network_training *training)
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
    hash = hash64_combine(hash, row_table_weights_hash(training->table));
    for (uint32_t i = 0; i < o->layer_count; i++) {
        const uint64_t layer[] = {o->layers[i].size, (uint64_t)o->layers[i].activation,
                                  o->layers[i].has_norm};
        hash = hash64_combine(hash, hash64((struct text){(const char *)layer, sizeof(layer)}));
    }
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        hash = hash64_combine(hash, hash_feature(fit, i));
    }
    return hash;
}

static enum status make_room(struct network_training *training, struct error *error)
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

static void release(struct network_training *training)
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
static enum status choose_rows(struct network_training *training, const uint8_t *parts,
                               struct error *error)
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

static enum status prepare(struct network_training *training, const uint8_t *parts,
                           struct error *error)
{
    struct network_fit *fit = training->fit;
    struct fit_rows rows = {0};
    enum status status = choose_rows(training, parts, error);
    if (status == STATUS_OK) {
        status = fit_rows_count(training->table, training->parts, 0, &rows, error);
    }
    if (status == STATUS_OK) {
        status = network_training_choose_features(training, error);
    }
    if (status == STATUS_OK) {
        status = fit_rows_count(training->table, training->parts, fit->feature_count, &rows, error);
    }
    if (status == STATUS_OK) {
        double positive_factor = fit_rows_factor(&rows, training->options->positive_weight);
        fit->fit_rows = rows.count;
        fit->parameters = calloc(fit->shape.parameter_count, sizeof(float));
        status = fit->parameters ? network_data_make(training->table, training->parts,
                                                     positive_factor, fit, &training->data, error)
                                 : out_of_memory(error);
    }
    if (status == STATUS_OK) {
        status = make_room(training, error);
    }
    if (status == STATUS_OK) {
        status = network_training_start(training, error);
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
    struct network_training training = {.table = table, .options = options, .fit = &fit};
    enum status status = prepare(&training, parts, error);
    if (status == STATUS_OK && options->checkpoint) {
        status = checkpoint_read(options->checkpoint, training.hash, &training.progress, error);
    }
    if (status == STATUS_OK) {
        status = network_training_go(&training, error);
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
