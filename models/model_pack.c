#include "models/model_pack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/pack_kind.h"
#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"

#define PATH_BYTES 4096
#define KINDS_MAX 32u
#define KEYS_MAX 64u

static const struct pack_kind_ops *const kinds[] = {
    &pack_kind_logistic, &pack_kind_trees, &pack_kind_mean, &pack_kind_isolation_forest,
    &pack_kind_mlp,      &pack_kind_gru,   &pack_kind_lstm, NULL,
};
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
        status = yaml_float_of(node, "mean", 0.0f, &feature->mean, error);
    }
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "scale", 1.0f, &feature->scale, error);
    }
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "limit", 1e6f, &feature->limit, error);
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

static enum status add_feature(const struct pack_kind_ops *kind, const struct yaml_node *node,
                               struct model_pack *pack, struct error *error)
{
    struct pack_feature *feature = &pack->features[pack->feature_count];
    enum status status = read_feature(node, feature, error);
    if (status != STATUS_OK) {
        return status;
    }
    pack->feature_count++;
    for (uint32_t before = 0; before + 1 < pack->feature_count; before++) {
        if (strcmp(pack->features[before].name, feature->name) == 0) {
            return yaml_complain(node, error, "feature %s stands here twice", feature->name);
        }
    }
    if (!kind->scales_features && node->child_count > 1) {
        return yaml_complain(node, error, "%s: a model of kind %s takes features as they are",
                             feature->name, kind->name);
    }
    return STATUS_OK;
}

static enum status read_features(const struct pack_kind_ops *kind, const struct yaml_node *root,
                                 struct model_pack *pack, struct error *error)
{
    const struct yaml_node *list = yaml_find(root, "features");
    if (!list && kind->features != PACK_FEATURES_REQUIRED) {
        return STATUS_OK;
    }
    if (!list) {
        return yaml_complain(root, error, "features: a list of 1 to %u features expected",
                             PACK_FEATURES_MAX);
    }
    if (kind->features == PACK_FEATURES_OWN) {
        return yaml_complain(list, error, "a pack of kind %s has the features of its parts",
                             kind->name);
    }
    if (list->kind != YAML_SEQUENCE || list->child_count == 0 ||
        list->child_count > PACK_FEATURES_MAX) {
        return yaml_complain(list, error, "a list of 1 to %u features expected", PACK_FEATURES_MAX);
    }
    pack->features = calloc(list->child_count, sizeof(*pack->features));
    if (!pack->features) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < list->child_count; i++) {
        status = add_feature(kind, &list->children[i], pack, error);
    }
    return status;
}

enum status pack_set_features(struct model_pack *pack, const char *const *names, uint32_t count,
                              struct error *error)
{
    if (count == 0 || count > PACK_FEATURES_MAX) {
        return error_set(error, STATUS_INVALID, "%u features; 1 to %u expected", count,
                         PACK_FEATURES_MAX);
    }
    pack->features = calloc(count, sizeof(*pack->features));
    for (uint32_t i = 0; pack->features && i < count; i++) {
        pack->features[i] =
            (struct pack_feature){.name = strdup(names[i]), .scale = 1.0f, .limit = 1e6f};
        pack->feature_count++;
        if (!pack->features[i].name) {
            break;
        }
        for (uint32_t before = 0; before < i; before++) {
            if (strcmp(names[before], names[i]) == 0) {
                return error_set(error, STATUS_INVALID, "feature %s stands there twice", names[i]);
            }
        }
    }
    bool is_made = pack->features && pack->features[count - 1].name;
    return is_made ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
}

/* Before all else: of another form nothing may mean what it means here. */
static enum status check_format(const struct yaml_node *node, struct error *error)
{
    int64_t format = 1;
    enum status status = node ? yaml_integer(node, &format, error) : STATUS_OK;
    if (status == STATUS_OK && format != 1) {
        status = yaml_complain(node, error, "\"%s\": 1 expected", node->scalar);
    }
    return status;
}

/* STATUS_INVALID with the nearest kind there is. */
static enum status find_kind(const struct yaml_node *root, const struct pack_kind_ops **ret_kind,
                             struct error *error)
{
    const struct yaml_node *node = yaml_find(root, "kind");
    const char *names[KINDS_MAX];
    char list[256] = "";
    size_t count = 0;
    for (; kinds[count]; count++) {
        names[count] = kinds[count]->name;
        size_t length = strlen(list);
        (void)snprintf(list + length, sizeof(list) - length, "%s%s", count ? ", " : "",
                       names[count]);
        if (node && node->kind == YAML_SCALAR && strcmp(node->scalar, names[count]) == 0) {
            *ret_kind = kinds[count];
            return STATUS_OK;
        }
    }
    if (!node || node->kind != YAML_SCALAR) {
        return yaml_complain(node ? node : root, error, "kind: one of %s expected", list);
    }
    const char *near = nearest_name(node->scalar, names, count);
    return yaml_complain(node, error, "\"%s\": %s expected", node->scalar, near ? near : list);
}

/* The manifest without the keys of its kind, so that those left are known to the table above. */
static enum status read_common(const struct pack_kind_ops *kind, const struct yaml_node *root,
                               struct manifest_options *options, struct error *error)
{
    const char *names[KEYS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < manifest_section.setting_count; i++) {
        names[count++] = manifest_settings[i].name;
    }
    for (size_t i = 0; kind->keys && kind->keys[i]; i++) {
        assert(count + 1 < KEYS_MAX);
        names[count++] = kind->keys[i];
    }
    names[count] = NULL;
    enum status status = yaml_known_keys(root, names, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct yaml_node common = *root;
    common.children = calloc(root->child_count + 1, sizeof(*common.children));
    common.child_count = 0;
    if (!common.children) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    for (size_t i = 0; i < root->child_count; i++) {
        const char *const *key = kind->keys;
        while (key && *key && strcmp(*key, root->children[i].key) != 0) {
            key++;
        }
        if (!key || !*key) {
            common.children[common.child_count++] = root->children[i];
        }
    }
    status = settings_read(&manifest_section, &common, options, error);
    free(common.children);
    return status;
}

static enum status keep_common(const struct yaml_node *root, const struct manifest_options *options,
                               struct model_pack *pack, struct error *error)
{
    pack->name = strdup(options->name);
    pack->version = strdup(options->version);
    pack->target = options->target ? strdup(options->target) : NULL;
    pack->trained_from = options->trained_from ? strdup(options->trained_from) : NULL;
    pack->trained_to = options->trained_to ? strdup(options->trained_to) : NULL;
    pack->threshold = (float)options->threshold;
    if (!pack->name || !pack->version || (options->target && !pack->target) ||
        (options->trained_from && !pack->trained_from) ||
        (options->trained_to && !pack->trained_to)) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    enum status status = read_features(pack->kind, root, pack, error);
    return status == STATUS_OK
               ? pack_calibration_read(yaml_find(root, "calibration"), &pack->calibration, error)
               : status;
}

static bool has_shape(const struct tensor *tensor, uint32_t dimension_count, const uint64_t *shape)
{
    bool is_same = tensor->dimension_count == dimension_count;
    for (uint32_t i = 0; is_same && i < dimension_count; i++) {
        is_same = tensor->shape[i] == shape[i];
    }
    return is_same;
}

static void print_shape(uint32_t dimension_count, const uint64_t *shape, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < dimension_count && length < size; i++) {
        length += (size_t)snprintf(text + length, size - length, "%s%llu", i ? " x " : "",
                                   (unsigned long long)shape[i]);
    }
}

enum status pack_tensor(const struct model_pack *pack, const char *directory, const char *name,
                        bool is_required, uint32_t dimension_count, const uint64_t *shape,
                        const float **ret_data, struct error *error)
{
    const struct tensor *tensor = pack->tensors ? tensor_file_find(pack->tensors, name) : NULL;
    if (!tensor) {
        return is_required
                   ? error_set(error, STATUS_INVALID,
                               "%s/weights.safetensors: tensor %s is missing", directory, name)
                   : STATUS_OK;
    }
    if (!has_shape(tensor, dimension_count, shape)) {
        char found[128];
        char expected[128];
        print_shape(tensor->dimension_count, tensor->shape, found, sizeof(found));
        print_shape(dimension_count, shape, expected, sizeof(expected));
        return error_set(error, STATUS_INVALID,
                         "%s/weights.safetensors: tensor %s: %s values, %s expected", directory,
                         name, found, expected);
    }
    *ret_data = tensor->data;
    return STATUS_OK;
}

static enum status load_quantiles(const char *directory, struct model_pack *pack,
                                  struct error *error)
{
    const uint64_t width = pack->feature_count;
    enum status status = pack_tensor(pack, directory, "p50", false, 1, &width, &pack->p50, error);
    if (status == STATUS_OK) {
        status = pack_tensor(pack, directory, "p99", false, 1, &width, &pack->p99, error);
    }
    if (status == STATUS_OK) {
        status = pack_tensor(pack, directory, "p999", false, 1, &width, &pack->p999, error);
    }
    if (status == STATUS_OK && ((pack->p50 == NULL) != (pack->p99 == NULL) ||
                                (pack->p50 == NULL) != (pack->p999 == NULL))) {
        return error_set(error, STATUS_INVALID,
                         "%s/weights.safetensors: tensors p50, p99 and p999: all or none expected",
                         directory);
    }
    return status;
}

static enum status load_tensors(const char *path, struct model_pack *pack, struct error *error)
{
    if (!pack->kind->needs_tensors && access(path, F_OK) != 0) {
        return STATUS_OK;
    }
    return tensor_file_load(path, &pack->tensors, error);
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
    const struct pack_calibration *calibration = &pack->calibration;
    const float numbers[] = {calibration->slope, calibration->offset, pack->threshold};
    hash = hash64_combine(hash, hash64((struct text){(const char *)numbers, sizeof(numbers)}));
    return pack_calibration_hash(calibration, hash);
}

static enum status label_pack(struct model_pack *pack, struct error *error)
{
    pack->hash = hash_manifest(pack);
    if (pack->tensors) {
        pack->hash = hash64_combine(pack->hash, tensor_file_hash(pack->tensors));
    }
    if (pack->body_hash != 0) {
        pack->hash = hash64_combine(pack->hash, pack->body_hash);
    }
    size_t length = strlen(pack->name) + strlen(pack->version) + 32;
    pack->label = malloc(length);
    if (!pack->label) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    (void)snprintf(pack->label, length, "%s %s %08llx", pack->name, pack->version,
                   (unsigned long long)(pack->hash >> 32));
    return STATUS_OK;
}

static enum status read_manifest(const char *directory, const struct yaml_node *root,
                                 bool is_member, struct model_pack *pack, struct error *error)
{
    char weights[PATH_BYTES + 32];
    (void)snprintf(weights, sizeof(weights), "%s/weights.safetensors", directory);
    struct manifest_options options;
    enum status status = check_format(yaml_find(root, "format"), error);
    if (status == STATUS_OK) {
        status = find_kind(root, &pack->kind, error);
    }
    if (status == STATUS_OK && is_member && pack->kind->has_members) {
        status = yaml_complain(yaml_find(root, "kind"), error,
                               "\"%s\": cannot be a part of another pack", pack->kind->name);
    }
    if (status == STATUS_OK) {
        status = read_common(pack->kind, root, &options, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = keep_common(root, &options, pack, error);
    settings_release(&manifest_section, &options);
    if (status == STATUS_OK) {
        status = load_tensors(weights, pack, error);
    }
    if (status == STATUS_OK) {
        status = pack->kind->read(directory, root, pack, error);
    }
    if (status == STATUS_OK) {
        assert(pack->feature_count > 0);
        status = load_quantiles(directory, pack, error);
    }
    return status == STATUS_OK ? label_pack(pack, error) : status;
}

static enum status load_pack(const char *directory, bool is_member, struct model_pack **ret_pack,
                             struct error *error)
{
    char manifest[PATH_BYTES];
    int length = snprintf(manifest, sizeof(manifest), "%s/manifest.yaml", directory);
    if (length >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", directory);
    }
    struct yaml_document *document;
    enum status status = yaml_load(manifest, &document, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct model_pack *pack = calloc(1, sizeof(*pack));
    status = pack ? read_manifest(directory, yaml_root(document), is_member, pack, error)
                  : error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    yaml_unload(document);
    if (status != STATUS_OK) {
        model_pack_unload(pack);
        return status;
    }
    *ret_pack = pack;
    return STATUS_OK;
}

enum status model_pack_load(const char *directory, struct model_pack **ret_pack,
                            struct error *error)
{
    return load_pack(directory, false, ret_pack, error);
}

enum status pack_load_member(const char *directory, struct model_pack **ret_pack,
                             struct error *error)
{
    return load_pack(directory, true, ret_pack, error);
}

void model_pack_unload(struct model_pack *pack)
{
    if (!pack) {
        return;
    }
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        free(pack->features[i].name);
    }
    if (pack->kind) {
        pack->kind->unload(pack->body);
    }
    tensor_file_unload(pack->tensors);
    pack_calibration_release(&pack->calibration);
    for (uint32_t i = 0; pack->classes.names && i < pack->classes.count; i++) {
        free(pack->classes.names[i]);
    }
    free(pack->classes.names);
    free(pack->features);
    free(pack->name);
    free(pack->version);
    free(pack->target);
    free(pack->trained_from);
    free(pack->trained_to);
    free(pack->label);
    free(pack);
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
