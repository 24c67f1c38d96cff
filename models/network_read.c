#include "models/network_read.h"

#include <string.h>

static enum status read_count(const struct yaml_node *map, const char *key, uint32_t fallback,
                              uint32_t most, uint32_t *ret_value, struct error *error)
{
    const struct yaml_node *node = yaml_find(map, key);
    int64_t value = fallback;
    enum status status = node ? yaml_integer(node, &value, error) : STATUS_OK;
    if (status == STATUS_OK && (value < 0 || value > most)) {
        status = yaml_complain(node, error, "a number from 0 to %u expected", most);
    }
    if (status == STATUS_OK) {
        *ret_value = (uint32_t)value;
    }
    return status;
}

static enum status read_required(const struct yaml_node *map, const char *key, uint32_t most,
                                 uint32_t *ret_value, struct error *error)
{
    if (!yaml_find(map, key)) {
        return yaml_complain(map, error, "%s: a number expected", key);
    }
    enum status status = read_count(map, key, 0, most, ret_value, error);
    if (status == STATUS_OK && *ret_value == 0) {
        status = yaml_complain(yaml_find(map, key), error, "a number from 1 to %u expected", most);
    }
    return status;
}

/* A name of a tensor; without the key *ret_text stays NULL. */
static enum status read_tensor_name(const struct yaml_node *map, const char *key, char **ret_text,
                                    struct error *error)
{
    const struct yaml_node *node = yaml_find(map, key);
    if (!node) {
        return STATUS_OK;
    }
    if (node->kind != YAML_SCALAR || !*node->scalar || strlen(node->scalar) > 64 ||
        strpbrk(node->scalar, "\"\\{}[],:#\n\t ")) {
        return yaml_complain(node, error, "a tensor's name of 1 to 64 plain characters expected");
    }
    *ret_text = strdup(node->scalar);
    return *ret_text ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
}

static enum status find_feature(const struct yaml_node *node, const char *name,
                                const char *const *names, uint32_t count, uint32_t *ret_index,
                                struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *ret_index = i;
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(name, names, count);
    return yaml_complain(node, error, "\"%.60s\": not among the features%s%s%s", name,
                         near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* ---- Inputs ---- */

struct shape_reader {
    struct network_shape *shape;
    const char *const *names;
    struct error *error;
};

static enum status read_bins(const struct yaml_node *node, struct network_input *input,
                             struct error *error)
{
    if (!node) {
        return STATUS_OK;
    }
    if (node->kind != YAML_SEQUENCE || node->child_count < 1 ||
        node->child_count > NETWORK_BINS_MAX) {
        return yaml_complain(node, error, "1 to %u rising numbers expected", NETWORK_BINS_MAX);
    }
    for (size_t i = 0; i < node->child_count; i++) {
        enum status status = yaml_float(&node->children[i], &input->bins[i], error);
        if (status != STATUS_OK) {
            return status;
        }
        if (i > 0 && !(input->bins[i] > input->bins[i - 1])) {
            return yaml_complain(node, error, "rising numbers expected");
        }
    }
    input->bin_count = (uint32_t)node->child_count;
    return STATUS_OK;
}

static enum status read_table(const struct yaml_node *node, struct network_input *input,
                              struct error *error)
{
    if (input->rows > 0) {
        return yaml_complain(node, error, "this feature has an embedding already");
    }
    enum status status = read_required(node, "rows", NETWORK_ROWS_MAX, &input->rows, error);
    if (status == STATUS_OK) {
        status = read_required(node, "width", NETWORK_WIDTH_MAX, &input->width, error);
    }
    const struct {
        const char *key;
        uint32_t *value;
    } rows[] = {
        {"first", &input->first}, {"missing", &input->missing}, {"unknown", &input->unknown}};
    for (size_t i = 0; status == STATUS_OK && i < sizeof(rows) / sizeof(rows[0]); i++) {
        status = read_count(node, rows[i].key, 0, input->rows - 1, rows[i].value, error);
    }
    if (status == STATUS_OK) {
        status = read_bins(yaml_find(node, "bins"), input, error);
    }
    if (status == STATUS_OK && input->first + input->bin_count >= input->rows) {
        status = yaml_complain(yaml_find(node, "rows"), error,
                               "%u rows: %u bins from row %u on need %u", input->rows,
                               input->bin_count, input->first, input->first + input->bin_count + 1);
    }
    return status == STATUS_OK ? read_tensor_name(node, "tensor", &input->tensor, error) : status;
}

static enum status read_embedding(struct shape_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = {"feature", "rows", "width",  "first", "missing",
                                       "unknown", "bins", "tensor", NULL};
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, reader->error, "{feature: ..., rows: ..., width: ...} expected");
    }
    enum status status = yaml_known_keys(node, keys, reader->error);
    const struct yaml_node *feature = yaml_find(node, "feature");
    if (status == STATUS_OK && (!feature || feature->kind != YAML_SCALAR)) {
        status = yaml_complain(node, reader->error, "feature: the name of a feature expected");
    }
    uint32_t index = 0;
    if (status == STATUS_OK) {
        status = find_feature(feature, feature->scalar, reader->names, reader->shape->feature_count,
                              &index, reader->error);
    }
    return status == STATUS_OK ? read_table(node, &reader->shape->inputs[index], reader->error)
                               : status;
}

static enum status read_indicator(struct shape_reader *reader, const struct yaml_node *node)
{
    uint32_t index = 0;
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, reader->error, "the name of a feature expected");
    }
    enum status status = find_feature(node, node->scalar, reader->names,
                                      reader->shape->feature_count, &index, reader->error);
    if (status == STATUS_OK) {
        reader->shape->inputs[index].has_indicator = true;
    }
    return status;
}

static enum status read_fill(struct shape_reader *reader, const struct yaml_node *node)
{
    uint32_t index = 0;
    enum status status = find_feature(node, node->key, reader->names, reader->shape->feature_count,
                                      &index, reader->error);
    return status == STATUS_OK ? yaml_float(node, &reader->shape->inputs[index].fill, reader->error)
                               : status;
}

/* ---- Layers ---- */

static enum status read_activation(const struct yaml_node *node, enum activation *ret_activation,
                                   struct error *error)
{
    *ret_activation = ACTIVATION_NONE;
    for (int i = 0; node && i < ACTIVATION_COUNT; i++) {
        if (node->kind == YAML_SCALAR && strcmp(node->scalar, activation_names[i]) == 0) {
            *ret_activation = (enum activation)i;
            return STATUS_OK;
        }
    }
    return node ? yaml_complain(node, error, "none, relu, tanh, sigmoid or gelu expected")
                : STATUS_OK;
}

static enum status read_layer(struct shape_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = {"size", "activation", "norm", "tensor", "norm_tensor", NULL};
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, reader->error, "{size: ...} expected");
    }
    enum status status = yaml_known_keys(node, keys, reader->error);
    struct network_layer *layer = &reader->shape->layers[reader->shape->layer_count++];
    if (status == STATUS_OK) {
        status = read_required(node, "size", NETWORK_SIZE_MAX, &layer->size, reader->error);
    }
    if (status == STATUS_OK) {
        status = read_activation(yaml_find(node, "activation"), &layer->activation, reader->error);
    }
    if (status == STATUS_OK && yaml_find(node, "norm")) {
        status = yaml_bool(yaml_find(node, "norm"), &layer->has_norm, reader->error);
    }
    if (status == STATUS_OK) {
        status = read_tensor_name(node, "tensor", &layer->tensor, reader->error);
    }
    return status == STATUS_OK ? read_tensor_name(node, "norm_tensor", &layer->norm, reader->error)
                               : status;
}

/* ---- The whole ---- */

static enum status read_each(struct shape_reader *reader, const struct yaml_node *list,
                             enum yaml_kind kind, size_t most,
                             enum status (*read)(struct shape_reader *reader,
                                                 const struct yaml_node *node))
{
    if (!list) {
        return STATUS_OK;
    }
    if (list->kind != kind || list->child_count > most) {
        return yaml_complain(list, reader->error, "a %s of at most %zu expected",
                             kind == YAML_SEQUENCE ? "list" : "mapping", most);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < list->child_count; i++) {
        status = read(reader, &list->children[i]);
    }
    return status;
}

static enum status read_cell(const struct yaml_node *node, struct network_shape *shape,
                             struct error *error)
{
    const char *const only[] = {"hidden", "tensor"};
    for (size_t i = 0; shape->cell == CELL_NONE && i < 2; i++) {
        if (yaml_find(node, only[i])) {
            return yaml_complain(yaml_find(node, only[i]), error,
                                 "of kinds gru and lstm only, an mlp has no cell");
        }
    }
    if (shape->cell == CELL_NONE) {
        return STATUS_OK;
    }
    enum status status = read_required(node, "hidden", NETWORK_STATE_BYTES_MAX / sizeof(float),
                                       &shape->hidden, error);
    return status == STATUS_OK ? read_tensor_name(node, "tensor", &shape->tensor, error) : status;
}

static enum status read_parts(struct shape_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = {"hidden", "tensor",     "epsilon", "indicators",
                                       "fill",   "embeddings", "layers",  NULL};
    struct network_shape *shape = reader->shape;
    enum status status = yaml_known_keys(node, keys, reader->error);
    if (status == STATUS_OK) {
        status = read_cell(node, shape, reader->error);
    }
    if (status == STATUS_OK && yaml_find(node, "epsilon")) {
        status = yaml_float(yaml_find(node, "epsilon"), &shape->norm_epsilon, reader->error);
    }
    if (status == STATUS_OK) {
        status = read_each(reader, yaml_find(node, "indicators"), YAML_SEQUENCE,
                           shape->feature_count, read_indicator);
    }
    if (status == STATUS_OK) {
        status = read_each(reader, yaml_find(node, "fill"), YAML_MAPPING, shape->feature_count,
                           read_fill);
    }
    if (status == STATUS_OK) {
        status = read_each(reader, yaml_find(node, "embeddings"), YAML_SEQUENCE,
                           shape->feature_count, read_embedding);
    }
    if (status == STATUS_OK) {
        status = read_each(reader, yaml_find(node, "layers"), YAML_SEQUENCE, NETWORK_LAYERS_MAX,
                           read_layer);
    }
    if (status == STATUS_OK) {
        status = network_shape_finish(shape, reader->error);
        if (status == STATUS_INVALID && reader->error) {
            (void)error_prefix(reader->error, status, "%s:%u", node->file, node->line);
        }
    }
    return status;
}

enum status network_shape_read(const struct yaml_node *node, enum network_cell cell,
                               const char *const *names, uint32_t feature_count,
                               struct network_shape *ret_shape, struct error *error)
{
    struct network_shape shape;
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "the network's shape expected: {layers: ...}");
    }
    enum status status = network_shape_init(&shape, feature_count, error);
    if (status != STATUS_OK) {
        return status;
    }
    shape.cell = cell;
    struct shape_reader reader = {&shape, names, error};
    status = read_parts(&reader, node);
    if (status != STATUS_OK) {
        network_shape_release(&shape);
        return status;
    }
    *ret_shape = shape;
    return STATUS_OK;
}

/* ---- Writing ---- */

static void print_embedding(const struct network_input *input, const char *name, FILE *out)
{
    (void)fprintf(out,
                  "    - {feature: %s, rows: %u, width: %u, first: %u, missing: %u, unknown: %u",
                  name, input->rows, input->width, input->first, input->missing, input->unknown);
    for (uint32_t i = 0; i < input->bin_count; i++) {
        (void)fprintf(out, "%s%.9g", i ? ", " : ", bins: [", (double)input->bins[i]);
    }
    (void)fprintf(out, "%s}\n", input->bin_count ? "]" : "");
}

void network_shape_print(const struct network_shape *shape, const char *const *names, FILE *out)
{
    const char *before = "  indicators: [";
    bool has_tables = false;
    (void)fprintf(out, "network:\n");
    if (shape->cell != CELL_NONE) {
        (void)fprintf(out, "  hidden: %u\n", shape->hidden);
    }
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        has_tables = has_tables || shape->inputs[i].rows > 0;
        if (shape->inputs[i].has_indicator && shape->inputs[i].rows == 0) {
            (void)fprintf(out, "%s%s", before, names[i]);
            before = ", ";
        }
    }
    (void)fprintf(out, "%s%s", before[0] == ',' ? "]\n" : "", has_tables ? "  embeddings:\n" : "");
    for (uint32_t i = 0; i < shape->feature_count; i++) {
        if (shape->inputs[i].rows > 0) {
            print_embedding(&shape->inputs[i], names[i], out);
        }
    }
    (void)fprintf(out, "  layers:\n");
    for (uint32_t i = 0; i < shape->layer_count; i++) {
        const struct network_layer *layer = &shape->layers[i];
        (void)fprintf(out, "    - {size: %u, activation: %s, norm: %s}\n", layer->size,
                      activation_names[layer->activation], layer->has_norm ? "true" : "false");
    }
}
