#include "models/model_pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"

#define PATH_BYTES 4096

const char *const pack_kind_names[PACK_KIND_COUNT] = {"logistic"};
const char *const feature_transform_names[TRANSFORM_COUNT] = {"none", "log1p", "octaves"};

struct manifest_options {
    int64_t format;
    char *kind, *name, *version, *target;
    char *trained_from, *trained_to, *data_hash, *seed; /* For people; kept as they are. */
    const struct yaml_node *features, *calibration, *metrics, *training;
    double threshold;
};

#define MANIFEST(member) offsetof(struct manifest_options, member)
static const struct setting manifest_settings[] = {
    {.name = "format",
     .type = SETTING_INTEGER,
     .offset = MANIFEST(format),
     .min = 1,
     .max = 1,
     .is_required = true,
     .doc = "Version of the pack's form"},
    {.name = "kind",
     .type = SETTING_TEXT,
     .offset = MANIFEST(kind),
     .is_required = true,
     .doc = "What the weights are of"},
    {.name = "name",
     .type = SETTING_TEXT,
     .offset = MANIFEST(name),
     .is_required = true,
     .doc = "Name of the model"},
    {.name = "version",
     .type = SETTING_TEXT,
     .offset = MANIFEST(version),
     .is_required = true,
     .doc = "Version of the model"},
    {.name = "target", .type = SETTING_TEXT, .offset = MANIFEST(target), .doc = "What it predicts"},
    {.name = "trained_from",
     .type = SETTING_TEXT,
     .offset = MANIFEST(trained_from),
     .doc = "First event time of the training rows"},
    {.name = "trained_to",
     .type = SETTING_TEXT,
     .offset = MANIFEST(trained_to),
     .doc = "Last event time of the training rows"},
    {.name = "data_hash",
     .type = SETTING_TEXT,
     .offset = MANIFEST(data_hash),
     .doc = "Hash of the training rows"},
    {.name = "seed", .type = SETTING_TEXT, .offset = MANIFEST(seed), .doc = "Seed of the training"},
    {.name = "features",
     .type = SETTING_CUSTOM,
     .offset = MANIFEST(features),
     .is_required = true,
     .doc = "Features in the order of the weights"},
    {.name = "calibration",
     .type = SETTING_CUSTOM,
     .offset = MANIFEST(calibration),
     .doc = "slope and offset on the logit scale"},
    {.name = "metrics",
     .type = SETTING_CUSTOM,
     .offset = MANIFEST(metrics),
     .doc = "What training measured"},
    {.name = "training",
     .type = SETTING_CUSTOM,
     .offset = MANIFEST(training),
     .doc = "The training's own settings"},
    {.name = "threshold",
     .type = SETTING_NUMBER,
     .offset = MANIFEST(threshold),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .doc = "Score above which the target is predicted"},
};

static const struct setting_section manifest_section = {
    .name = "manifest",
    .doc = "A model pack",
    .settings = manifest_settings,
    .setting_count = sizeof(manifest_settings) / sizeof(manifest_settings[0]),
    .options_bytes = sizeof(struct manifest_options),
};

static enum status read_float(const struct yaml_node *map, const char *key, float fallback,
                              float *ret_value, struct error *error)
{
    const struct yaml_node *node = yaml_find(map, key);
    double value = (double)fallback;
    if (node) {
        enum status status = yaml_number(node, &value, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (!isfinite((float)value)) {
        return yaml_complain(node, error, "a finite number expected");
    }
    *ret_value = (float)value;
    return STATUS_OK;
}

static enum status read_transform(const struct yaml_node *node, enum feature_transform *ret,
                                  struct error *error)
{
    const struct yaml_node *transform = yaml_find(node, "transform");
    *ret = TRANSFORM_NONE;
    if (!transform) {
        return STATUS_OK;
    }
    for (int i = 0; i < TRANSFORM_COUNT; i++) {
        if (transform->kind == YAML_SCALAR &&
            strcmp(transform->scalar, feature_transform_names[i]) == 0) {
            *ret = (enum feature_transform)i;
            return STATUS_OK;
        }
    }
    return yaml_complain(transform, error, "\"%s\": none, log1p or octaves expected",
                         transform->kind == YAML_SCALAR ? transform->scalar : "");
}

static enum status read_feature(const struct yaml_node *node, struct pack_feature *feature,
                                struct error *error)
{
    static const char *const keys[] = {"name", "transform", "mean", "scale", "limit", NULL};
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "{name: ...} expected");
    }
    enum status status = yaml_known_keys(node, keys, error);
    const struct yaml_node *name = yaml_find(node, "name");
    if (status == STATUS_OK && (!name || name->kind != YAML_SCALAR || !*name->scalar)) {
        status = yaml_complain(node, error, "name: the name of a feature expected");
    }
    if (status == STATUS_OK) {
        status = read_transform(node, &feature->transform, error);
    }
    if (status == STATUS_OK) {
        status = read_float(node, "mean", 0.0f, &feature->mean, error);
    }
    if (status == STATUS_OK) {
        status = read_float(node, "scale", 1.0f, &feature->scale, error);
    }
    if (status == STATUS_OK) {
        status = read_float(node, "limit", 1e6f, &feature->limit, error);
    }
    if (status == STATUS_OK && !(feature->scale > 1e-30f)) {
        status = yaml_complain(yaml_find(node, "scale"), error, "a number above 0 expected");
    }
    if (status == STATUS_OK && !(feature->limit > 0)) {
        status = yaml_complain(yaml_find(node, "limit"), error, "a number above 0 expected");
    }
    if (status == STATUS_OK) {
        feature->name = strdup(name->scalar);
        status = feature->name ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
    }
    return status;
}

static enum status read_features(const struct yaml_node *list, struct model_pack *pack,
                                 struct error *error)
{
    if (list->kind != YAML_SEQUENCE || list->child_count == 0 ||
        list->child_count > PACK_FEATURES_MAX) {
        return yaml_complain(list, error, "a list of 1 to %u features expected", PACK_FEATURES_MAX);
    }
    pack->features = calloc(list->child_count, sizeof(*pack->features));
    if (!pack->features) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    for (size_t i = 0; i < list->child_count; i++) {
        enum status status = read_feature(&list->children[i], &pack->features[i], error);
        if (status != STATUS_OK) {
            return status;
        }
        pack->feature_count++;
        for (size_t before = 0; before < i; before++) {
            if (strcmp(pack->features[before].name, pack->features[i].name) == 0) {
                return yaml_complain(&list->children[i], error, "feature %s stands here twice",
                                     pack->features[i].name);
            }
        }
    }
    return STATUS_OK;
}

static enum status read_manifest(const struct yaml_node *root,
                                 const struct manifest_options *options, struct model_pack *pack,
                                 struct error *error)
{
    int kind = 0;
    while (kind < PACK_KIND_COUNT && strcmp(options->kind, pack_kind_names[kind]) != 0) {
        kind++;
    }
    if (kind == PACK_KIND_COUNT) {
        const char *near = nearest_name(options->kind, pack_kind_names, PACK_KIND_COUNT);
        return yaml_complain(yaml_find(root, "kind"), error, "\"%s\": %s expected", options->kind,
                             near ? near : "logistic");
    }
    pack->kind = (enum pack_kind)kind;
    pack->name = strdup(options->name);
    pack->version = strdup(options->version);
    pack->target = options->target ? strdup(options->target) : NULL;
    pack->threshold = (float)options->threshold;
    if (!pack->name || !pack->version || (options->target && !pack->target)) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    enum status status = read_features(options->features, pack, error);
    if (status == STATUS_OK) {
        status = read_float(options->calibration, "slope", 1.0f, &pack->slope, error);
    }
    if (status == STATUS_OK) {
        status = read_float(options->calibration, "offset", 0.0f, &pack->offset, error);
    }
    return status;
}

/* An optional tensor that is not there leaves NULL. */
static enum status take_tensor(const struct model_pack *pack, const char *path, const char *name,
                               uint64_t count, bool is_required, const float **ret_data,
                               struct error *error)
{
    const struct tensor *tensor = tensor_file_find(pack->tensors, name);
    if (!tensor) {
        return is_required
                   ? error_set(error, STATUS_INVALID, "%s: tensor %s is missing", path, name)
                   : STATUS_OK;
    }
    if (tensor->count != count) {
        return error_set(error, STATUS_INVALID, "%s: tensor %s: %llu values, %llu expected", path,
                         name, (unsigned long long)tensor->count, (unsigned long long)count);
    }
    *ret_data = tensor->data;
    return STATUS_OK;
}

static enum status load_weights(const char *path, struct model_pack *pack, struct error *error)
{
    const float *bias = NULL;
    const struct {
        const char *name;
        uint64_t count;
        bool is_required;
        const float **data;
    } wanted[] = {
        {"weight", pack->feature_count, true, &pack->weights},
        {"bias", 1, true, &bias},
        {"missing", pack->feature_count, false, &pack->missing},
        {"p50", pack->feature_count, false, &pack->p50},
        {"p99", pack->feature_count, false, &pack->p99},
        {"p999", pack->feature_count, false, &pack->p999},
    };
    enum status status = tensor_file_load(path, &pack->tensors, error);
    for (size_t i = 0; status == STATUS_OK && i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        status = take_tensor(pack, path, wanted[i].name, wanted[i].count, wanted[i].is_required,
                             wanted[i].data, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    pack->bias = *bias;
    if ((pack->p50 == NULL) != (pack->p99 == NULL) || (pack->p50 == NULL) != (pack->p999 == NULL)) {
        return error_set(error, STATUS_INVALID,
                         "%s: tensors p50, p99 and p999: all or none expected", path);
    }
    return STATUS_OK;
}

static uint64_t hash_manifest(const struct model_pack *pack)
{
    uint64_t hash = hash64_combine(hash64(text_of(pack->name)), hash64(text_of(pack->version)));
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        const struct pack_feature *feature = &pack->features[i];
        const float numbers[] = {feature->mean, feature->scale, feature->limit,
                                 (float)feature->transform};
        hash = hash64_combine(hash, hash64(text_of(feature->name)));
        hash = hash64_combine(hash, hash64((struct text){(const char *)numbers, sizeof(numbers)}));
    }
    const float numbers[] = {pack->slope, pack->offset, pack->threshold};
    return hash64_combine(hash, hash64((struct text){(const char *)numbers, sizeof(numbers)}));
}

static enum status label_pack(struct model_pack *pack, struct error *error)
{
    pack->hash = hash64_combine(hash_manifest(pack), tensor_file_hash(pack->tensors));
    size_t length = strlen(pack->name) + strlen(pack->version) + 32;
    pack->label = malloc(length);
    if (!pack->label) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    (void)snprintf(pack->label, length, "%s %s %08llx", pack->name, pack->version,
                   (unsigned long long)(pack->hash >> 32));
    return STATUS_OK;
}

static enum status load_parts(const char *manifest_path, const char *weights_path,
                              struct model_pack *pack, struct error *error)
{
    struct yaml_document *document;
    enum status status = yaml_load(manifest_path, &document, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct manifest_options options;
    status = settings_read(&manifest_section, yaml_root(document), &options, error);
    if (status == STATUS_OK) {
        status = read_manifest(yaml_root(document), &options, pack, error);
        settings_release(&manifest_section, &options);
    }
    yaml_unload(document);
    if (status == STATUS_OK) {
        status = load_weights(weights_path, pack, error);
    }
    return status == STATUS_OK ? label_pack(pack, error) : status;
}

enum status model_pack_load(const char *directory, struct model_pack **ret_pack,
                            struct error *error)
{
    char manifest[PATH_BYTES];
    char weights[PATH_BYTES];
    int manifest_length = snprintf(manifest, sizeof(manifest), "%s/manifest.yaml", directory);
    int weights_length = snprintf(weights, sizeof(weights), "%s/weights.safetensors", directory);
    if (manifest_length >= PATH_BYTES || weights_length >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", directory);
    }
    struct model_pack *pack = calloc(1, sizeof(*pack));
    if (!pack) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    enum status status = load_parts(manifest, weights, pack, error);
    if (status != STATUS_OK) {
        model_pack_unload(pack);
        return status;
    }
    *ret_pack = pack;
    return STATUS_OK;
}

void model_pack_unload(struct model_pack *pack)
{
    if (!pack) {
        return;
    }
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        free(pack->features[i].name);
    }
    tensor_file_unload(pack->tensors);
    free(pack->features);
    free(pack->name);
    free(pack->version);
    free(pack->target);
    free(pack->label);
    free(pack);
}

float model_pack_term(const struct model_pack *pack, uint32_t index, float x)
{
    if (isnan(x)) {
        return pack->missing ? pack->missing[index] : 0.0f;
    }
    return pack->weights[index] * pack_feature_scale(&pack->features[index], x);
}

enum status model_pack_match(const struct model_pack *pack, const char *const *names,
                             uint32_t name_count, uint32_t *ret_columns, struct error *error)
{
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        uint32_t column = 0;
        while (column < name_count && strcmp(names[column], pack->features[i].name) != 0) {
            column++;
        }
        if (column == name_count) {
            const char *near = nearest_name(pack->features[i].name, names, name_count);
            return error_set(error, STATUS_INVALID, "pack %s: there is no feature %s%s%s%s",
                             pack->name, pack->features[i].name, near ? "; did you mean " : "",
                             near ? near : "", near ? "?" : "");
        }
        ret_columns[i] = column;
    }
    return STATUS_OK;
}
