/* What a training of a network begins with: features, shape, and parameters that know nothing yet.
 */
#include <math.h>
#include <stdlib.h>

#include "models/time_split.h"
#include "models/train_matrix.h"
#include "models/train_network_internal.h"
#include "pipeline/base/fixed_math.h"

#define TABLE_START 0.1 /* An embedding starts within it. */

const char *const network_start_names[START_COUNT + 1] = {"auto", "he", "xavier", NULL};

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
static enum status choose_numeric(struct network_training *training, struct logistic_fit *chosen,
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
        return error_set(error, STATUS_FATAL, "training: out of memory");
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

enum status network_training_choose_features(struct network_training *training, struct error *error)
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

/* ---- Parameters ---- */

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

enum status network_training_start(struct network_training *training, struct error *error)
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
