#include "pipeline/run/train_config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct yaml_node *train_config_node(const struct train_config *config, const char *key)
{
    const struct yaml_node *section = yaml_find(yaml_root(config->document), train_section.name);
    const struct yaml_node *node = yaml_find(section, key);
    return node ? node : section;
}

enum status train_config_unknown_name(const struct train_config *config, const char *key,
                                      const char *what, const char *name, const char *const *names,
                                      size_t count, struct error *error)
{
    const char *near = nearest_name(name, names, count);
    return yaml_complain(train_config_node(config, key), error, "\"%s\": no such %s%s%s%s", name,
                         what, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum status read_strengths(struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.l2;
    for (size_t i = 0; i < list->count; i++) {
        char *end;
        errno = 0;
        double l2 = strtod(list->items[i], &end);
        if (errno != 0 || *end != '\0' || !(l2 >= 0 && l2 <= 1e6) || i >= STRENGTHS_MAX) {
            return yaml_complain(train_config_node(config, "l2"), error,
                                 "\"%s\": at most %d numbers from 0 to 1e6 expected",
                                 list->items[i], STRENGTHS_MAX);
        }
        config->l2[config->l2_count++] = l2;
    }
    return config->l2_count > 0
               ? STATUS_OK
               : yaml_complain(train_config_node(config, "l2"), error, "a number expected");
}

static enum status read_files(struct train_config *config, const struct train_overrides *overrides,
                              struct error *error)
{
    const struct text_list *list = &config->settings.input;
    size_t count = overrides->file_count ? overrides->file_count : list->count;
    if (count == 0) {
        return yaml_complain(train_config_node(config, "input"), error,
                             "input: files expected, here or as --input");
    }
    config->files = calloc(count, sizeof(*config->files));
    for (size_t i = 0; config->files && i < count; i++) {
        config->files[i] =
            overrides->file_count
                ? strdup(overrides->files[i])
                : yaml_resolve_path(train_config_node(config, "input"), list->items[i]);
        if (!config->files[i]) {
            break;
        }
        config->file_count++;
    }
    return config->file_count == count ? STATUS_OK
                                       : error_set(error, STATUS_FATAL, "training: out of memory");
}

/* What the rows come from: a table's header, or a pipeline's configuration. */
static enum status load_source(struct train_config *config, struct error *error)
{
    bool is_table = config->settings.target == TARGET_TABLE;
    if (is_table && config->settings.pipeline) {
        return yaml_complain(train_config_node(config, "pipeline"), error,
                             "nothing expected where the target is a table");
    }
    if (is_table) {
        return table_names_read(config->files[0], &config->table_names, error);
    }
    if (!config->settings.pipeline) {
        return yaml_complain(train_config_node(config, "pipeline"), error,
                             "pipeline: a configuration expected");
    }
    return config_load(config->settings.pipeline, config->file_count, &config->config, error);
}

enum status train_config_rows(const struct train_config *config, const struct row_options *options,
                              struct row_table *ret_table, struct row_counts *ret_counts,
                              struct error *error)
{
    const char *const *files = (const char *const *)config->files;
    return config->settings.target == TARGET_TABLE
               ? table_rows_make(files, config->file_count, &config->table_names, options,
                                 ret_table, ret_counts, error)
               : labelled_rows_make(&config->config, files, config->file_count, options, ret_table,
                                    ret_counts, error);
}

static enum status load_all(struct train_config *config, const struct train_overrides *overrides,
                            struct error *error)
{
    static const char *const keys[] = {"train", "eval", NULL};
    const struct yaml_node *root = yaml_root(config->document);
    const struct yaml_node *section = yaml_find(root, train_section.name);
    if (root->kind != YAML_MAPPING || (root->child_count == 0)) {
        return yaml_complain(root, error, "train: a section of this name expected");
    }
    enum status status = yaml_known_keys(root, keys, error);
    if (status == STATUS_OK) {
        status = settings_read(&train_section, section, &config->settings, error);
    }
    bool is_by_user = config->settings.target == TARGET_PURCHASE_WITHIN ||
                      (config->settings.target == TARGET_LABEL && config->settings.label_by == 1);
    if (status == STATUS_OK && is_by_user && config->settings.gap_ms < config->settings.within_ms) {
        config->settings.gap_ms = config->settings.within_ms;
    }
    if (status == STATUS_OK && !yaml_find(section, "held_gap")) {
        config->settings.held_gap_ms = config->settings.gap_ms;
    }
    if (status == STATUS_OK) {
        status = settings_read(&train_trees_section, config->settings.trees, &config->trees, error);
    }
    if (status == STATUS_OK) {
        status = settings_read(&train_descent_section, config->settings.descent, &config->descent,
                               error);
    }
    if (status == STATUS_OK) {
        const struct yaml_node *eval = yaml_find(root, eval_section.name);
        config->has_threshold = yaml_find(eval, "threshold") != NULL;
        status = settings_read(&eval_section, eval, &config->eval, error);
    }
    if (status == STATUS_OK) {
        status = read_files(config, overrides, error);
    }
    if (status == STATUS_OK) {
        status = load_source(config, error);
    }
    if (status == STATUS_OK) {
        status = train_rows_read(config, overrides, error);
    }
    if (status == STATUS_OK) {
        status = train_features_read(config, error);
    }
    if (status == STATUS_OK && train_kind_is_network(config->settings.kind)) {
        status = train_network_read(config, error);
    }
    if (status == STATUS_OK) {
        status = read_strengths(config, error);
    }
    const char *output = overrides->output ? overrides->output : config->settings.output;
    if (status == STATUS_OK && output) {
        config->output = strdup(output);
        status =
            config->output ? STATUS_OK : error_set(error, STATUS_FATAL, "training: out of memory");
    }
    return status;
}

enum status train_config_load(const char *path, const struct train_overrides *overrides,
                              struct train_config *ret_config, struct error *error)
{
    *ret_config = (struct train_config){0};
    enum status status = yaml_load(path, &ret_config->document, error);
    if (status == STATUS_OK) {
        status = load_all(ret_config, overrides, error);
    }
    if (status != STATUS_OK) {
        train_config_release(ret_config);
    }
    return status;
}

void train_config_release(struct train_config *config)
{
    for (uint32_t i = 0; i < config->file_count; i++) {
        free(config->files[i]);
    }
    free(config->files);
    free(config->output);
    table_names_release(&config->table_names);
    truth_file_unload(config->truth);
    if (config->config.document) {
        config_release(&config->config);
    }
    settings_release(&train_trees_section, &config->trees);
    settings_release(&train_descent_section, &config->descent);
    settings_release(&train_section, &config->settings);
    settings_release(&eval_section, &config->eval);
    yaml_unload(config->document);
    *config = (struct train_config){0};
}

struct train_options train_config_fit_options(const struct train_config *config)
{
    const struct train_settings *made = &config->settings;
    struct train_options options = {
        .names = config->names,
        .columns = config->columns,
        .column_count = config->column_count,
        .transform = made->transform - 1,
        .limit = (float)made->limit,
        .l2_count = config->l2_count,
        .l1 = made->l1,
        .positive_weight = made->positive_weight,
        .iterations_max = (uint32_t)made->iterations,
        .is_refitted = made->is_refitted,
        .calibration = (enum calibration_method)made->calibration,
    };
    memcpy(options.l2, config->l2, sizeof(options.l2));
    return options;
}
