/* Which features a training file asks for. */
#include <string.h>

#include "pipeline/run/train_config_internal.h"

static bool is_in_list(const struct text_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static enum status check_features(const struct train_config *config, const char *key,
                                  const struct text_list *list, struct error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        bool is_known = strcmp(list->items[i], "all") == 0;
        for (uint32_t j = 0; !is_known && j < config->name_count; j++) {
            is_known = strcmp(config->names[j], list->items[i]) == 0;
        }
        if (!is_known) {
            return train_config_unknown_name(config, key, "feature", list->items[i], config->names,
                                             config->name_count, error);
        }
    }
    return STATUS_OK;
}

/* The family of feature `i`; "" of a table's. */
static const char *family_of(const struct train_config *config, uint32_t i)
{
    return config->settings.target == TARGET_TABLE
               ? ""
               : stage_plan_features(config->config.plan)->features[i].family;
}

static enum status check_families(const struct train_config *config, struct error *error)
{
    const struct text_list *list = &config->settings.leave_out_families;
    for (size_t i = 0; i < list->count; i++) {
        const char *names[FEATURES_MAX];
        bool is_known = false;
        for (uint32_t j = 0; j < config->name_count; j++) {
            names[j] = family_of(config, j);
            is_known = is_known || strcmp(names[j], list->items[i]) == 0;
        }
        if (!is_known) {
            return train_config_unknown_name(config, "leave_out_families", "family", list->items[i],
                                             names, config->name_count, error);
        }
    }
    return STATUS_OK;
}

static void read_names(struct train_config *config)
{
    bool is_table = config->settings.target == TARGET_TABLE;
    const struct feature_set *set = is_table ? NULL : stage_plan_features(config->config.plan);
    config->name_count = is_table ? config->table_names.count : set->count;
    for (uint32_t i = 0; i < config->name_count; i++) {
        config->names[i] = is_table ? config->table_names.names[i] : set->features[i].name;
    }
}

bool train_config_is_id(const struct train_config *config, uint32_t index)
{
    return config->settings.target != TARGET_TABLE &&
           strcmp(stage_plan_features(config->config.plan)->features[index].unit, "id") == 0;
}

enum status train_features_read(struct train_config *config, struct error *error)
{
    const struct train_settings *made = &config->settings;
    read_names(config);
    enum status status = check_features(config, "features", &made->features, error);
    if (status == STATUS_OK) {
        status = check_features(config, "leave_out_features", &made->leave_out_features, error);
    }
    if (status == STATUS_OK) {
        status = check_families(config, error);
    }
    bool takes_all = is_in_list(&made->features, "all");
    for (uint32_t i = 0; status == STATUS_OK && i < config->name_count; i++) {
        bool is_in = (takes_all && !train_config_is_id(config, i)) ||
                     is_in_list(&made->features, config->names[i]);
        if (is_in && !is_in_list(&made->leave_out_features, config->names[i]) &&
            !is_in_list(&made->leave_out_families, family_of(config, i))) {
            config->columns[config->column_count++] = i;
        }
    }
    if (status == STATUS_OK && config->column_count == 0) {
        status = yaml_complain(train_config_node(config, "features"), error, "no feature is left");
    }
    return status;
}
