/* The mappings network and descent of a training file. */
#include <stddef.h>
#include <string.h>

#include "models/network_read.h"
#include "pipeline/run/train_config_internal.h"

#define OPTION(member) offsetof(struct train_descent_settings, member)
static const struct setting settings[] = {
    CHOICE("loss", loss, "cross_entropy", loss_names,
           "What is made small; pairwise ranks positives above negatives"),
    NUMBER("focus", SETTING_NUMBER, focus, "2", 0, 10, "Of focal loss: its gamma"),
    CHOICE("optimizer", optimizer, "adam", optimizer_names, "How steps are taken"),
    NUMBER("learning_rate", SETTING_NUMBER, rate, "0.002", 1e-9, 10, "Size of a step"),
    NUMBER("momentum", SETTING_NUMBER, momentum, "0.9", 0, 0.99999,
           "Share of the gradients' mean that stays, of momentum and adam"),
    NUMBER("decay", SETTING_NUMBER, decay, "0.999", 0, 0.99999999,
           "Share of the squared gradients' mean that stays, of rmsprop and adam"),
    CHOICE("schedule", schedule, "cosine", schedule_names, "How the rate falls"),
    NUMBER("warm_up", SETTING_NUMBER, warm_up, "0.02", 0, 0.9, "Share of the way it first rises"),
    CHOICE("start", start, "auto", network_start_names,
           "Weights at first; auto: he before relu and gelu, else xavier"),
    NUMBER("epochs", SETTING_INTEGER, epochs, "30", 1, 100000, "Times over all rows, at most"),
    NUMBER("batch", SETTING_INTEGER, batch, "64", 1, 4096,
           "Rows of a mini-batch; sessions, of gru and lstm"),
    NUMBER("steps", SETTING_INTEGER, steps, "32", 1, 1024,
           "Of gru and lstm: events that a gradient goes back through, at most"),
    NUMBER("patience", SETTING_INTEGER, patience, "4", 0, 100000,
           "Epochs without a better held-out log loss after which it stops; 0: never"),
    NUMBER("l2", SETTING_NUMBER, l2, "0.0001", 0, 1e6, "Strength of L2 on the weights"),
    NUMBER("dropout", SETTING_NUMBER, dropout, "0", 0, 0.95,
           "Share of each layer's outputs that is left out of a step"),
    NUMBER("clip", SETTING_NUMBER, clip, "1", 0, 1e9,
           "The gradient's norm is cut off there; 0: never"),
    {.name = "checkpoint",
     .type = SETTING_PATH,
     .offset = OPTION(checkpoint),
     .doc = "File by which an interrupted training goes on; written after each epoch, removed at "
            "the end"},
};

const struct setting_section train_descent_section = {
    .name = "descent",
    .doc = "Gradient descent by mini-batches, of kinds mlp, gru and lstm",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct train_descent_settings),
};

static enum network_cell cell_of(int kind)
{
    return kind == TRAIN_GRU ? CELL_GRU : kind == TRAIN_LSTM ? CELL_LSTM : CELL_NONE;
}

/* What is taken where the file does not say. */
static void take_default(struct train_network *network, enum network_cell cell)
{
    if (cell == CELL_NONE) {
        network->layers[0] = (struct train_layer){.size = 32, .activation = ACTIVATION_RELU};
        network->layer_count = 1;
    } else {
        network->hidden = 32;
    }
}

static enum status take_embedding(struct train_config *config, const struct yaml_node *node,
                                  const struct network_input *input, uint32_t column,
                                  struct train_network *network, struct error *error)
{
    for (uint32_t i = 0; i < config->column_count; i++) {
        if (config->columns[i] == column) { /* It is no number any more. */
            memmove(&config->columns[i], &config->columns[i + 1],
                    (--config->column_count - i) * sizeof(config->columns[0]));
            break;
        }
    }
    if (network->embedding_count == TRAIN_EMBEDDINGS_MAX) {
        return yaml_complain(node, error, "at most %u embeddings expected", TRAIN_EMBEDDINGS_MAX);
    }
    network->embeddings[network->embedding_count++] =
        (struct train_embedding){.column = column, .input = *input};
    return STATUS_OK;
}

enum status train_network_read(struct train_config *config, struct error *error)
{
    uint32_t feature_count = config->name_count;
    static const char *const own[] = {"indicators", "fill", "tensor", NULL};
    const struct yaml_node *node = config->settings.network;
    struct train_network *network = &config->network;
    enum network_cell cell = cell_of(config->settings.kind);
    *network = (struct train_network){.cell = cell};
    if (!node) {
        take_default(network, cell);
        return STATUS_OK;
    }
    for (size_t i = 0; own[i]; i++) {
        if (yaml_find(node, own[i])) {
            return yaml_complain(yaml_find(node, own[i]), error, "chosen by the training itself");
        }
    }
    struct network_shape shape;
    enum status status =
        network_shape_read(node, cell, config->names, feature_count, &shape, error);
    if (status != STATUS_OK) {
        return status;
    }
    network->hidden = shape.hidden;
    network->layer_count = shape.layer_count - 1;
    for (uint32_t i = 0; i < network->layer_count; i++) {
        network->layers[i] = (struct train_layer){shape.layers[i].size, shape.layers[i].activation,
                                                  shape.layers[i].has_norm};
    }
    for (uint32_t i = 0; status == STATUS_OK && i < feature_count; i++) {
        if (shape.inputs[i].rows > 0) {
            status = take_embedding(config, node, &shape.inputs[i], i, network, error);
        }
    }
    network_shape_release(&shape);
    return status;
}
