#include "pipeline/config/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/config/settings_format.h"

static void *member_of(const struct setting *setting, void *options)
{
    return (char *)options + setting->offset;
}

static enum status out_of_memory(const struct setting *setting, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: out of memory", setting->name);
}

static enum status check_range(const struct setting *setting, const struct yaml_node *node,
                               double value, struct error *error)
{
    struct setting_range range = setting_range(setting);
    if ((!range.has_min || value >= range.min) && (!range.has_max || value <= range.max)) {
        return STATUS_OK;
    }
    char text[SETTING_TEXT_BYTES];
    setting_format_range(setting, text);
    return yaml_complain(node, error, "\"%.60s\": expected %s", node->scalar, text);
}

static enum status read_integer(const struct setting *setting, const struct yaml_node *node,
                                void *member, struct error *error)
{
    int64_t value = 0;
    enum status status = setting->type == SETTING_DURATION ? yaml_duration_ms(node, &value, error)
                         : setting->type == SETTING_SIZE   ? yaml_size_bytes(node, &value, error)
                                                           : yaml_integer(node, &value, error);
    if (status == STATUS_OK) {
        status = check_range(setting, node, (double)value, error);
    }
    if (status == STATUS_OK) {
        *(int64_t *)member = value;
    }
    return status;
}

static enum status read_number(const struct setting *setting, const struct yaml_node *node,
                               double *member, struct error *error)
{
    double value = 0;
    enum status status = yaml_number(node, &value, error);
    if (status == STATUS_OK) {
        status = check_range(setting, node, value, error);
    }
    if (status == STATUS_OK) {
        *member = value;
    }
    return status;
}

static const char *kind_name(const struct yaml_node *node)
{
    return node->kind == YAML_MAPPING    ? "mapping"
           : node->kind == YAML_SEQUENCE ? "list"
                                         : "single value";
}

/* `is_resolved`: relative to the file that `node` stands in, if it stands in one. */
static enum status read_text(const struct setting *setting, const struct yaml_node *node,
                             bool is_resolved, char **member, struct error *error)
{
    const char *expected = setting->type == SETTING_PATH ? "path" : "text";
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "expected a %s, not a %s", expected, kind_name(node));
    }
    if (setting->type == SETTING_PATH && node->scalar[0] == '\0') {
        return yaml_complain(node, error, "\"\": expected a path");
    }
    *member = is_resolved ? yaml_resolve_path(node, node->scalar) : strdup(node->scalar);
    return *member ? STATUS_OK : out_of_memory(setting, error);
}

static enum status read_choice(const struct setting *setting, const struct yaml_node *node,
                               int *member, struct error *error)
{
    char expected[SETTING_TEXT_BYTES];
    setting_format_range(setting, expected);
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "expected %s, not a %s", expected, kind_name(node));
    }
    int count = 0;
    for (; setting->choices[count]; count++) {
        if (strcmp(setting->choices[count], node->scalar) == 0) {
            *member = count;
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(node->scalar, setting->choices, (size_t)count);
    return near ? yaml_complain(node, error, "\"%.60s\": expected %s; did you mean \"%s\"?",
                                node->scalar, expected, near)
                : yaml_complain(node, error, "\"%.60s\": expected %s", node->scalar, expected);
}

static enum status read_list(const struct setting *setting, const struct yaml_node *node,
                             struct text_list *member, struct error *error)
{
    if (node->kind == YAML_MAPPING) {
        return yaml_complain(node, error, "expected a list of texts, not a mapping");
    }
    bool is_single = node->kind == YAML_SCALAR;
    size_t count = is_single ? 1 : node->child_count;
    if (count == 0) {
        return STATUS_OK;
    }
    member->items = calloc(count, sizeof(*member->items));
    if (!member->items) {
        return out_of_memory(setting, error);
    }
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = is_single ? node : &node->children[i];
        if (item->kind != YAML_SCALAR || yaml_is_null(item)) {
            struct yaml_node named = *item;
            named.key = node->key;
            return yaml_complain(&named, error, "item %zu: expected a text, not %s%s", i + 1,
                                 item->kind == YAML_SCALAR ? "nothing" : "a ",
                                 item->kind == YAML_SCALAR ? "" : kind_name(item));
        }
        member->items[i] = strdup(item->scalar);
        if (!member->items[i]) {
            return out_of_memory(setting, error);
        }
        member->count = i + 1;
    }
    return STATUS_OK;
}

static enum status read_value(const struct setting *setting, const struct yaml_node *node,
                              bool is_resolved, void *options, struct error *error)
{
    void *member = member_of(setting, options);
    switch (setting->type) {
    case SETTING_BOOL:
        return yaml_bool(node, member, error);
    case SETTING_INTEGER:
    case SETTING_DURATION:
    case SETTING_SIZE:
        return read_integer(setting, node, member, error);
    case SETTING_NUMBER:
        return read_number(setting, node, member, error);
    case SETTING_TEXT:
        return read_text(setting, node, false, member, error);
    case SETTING_PATH:
        return read_text(setting, node, is_resolved, member, error);
    case SETTING_CHOICE:
        return read_choice(setting, node, member, error);
    case SETTING_LIST:
        return read_list(setting, node, member, error);
    case SETTING_CUSTOM:
        *(const struct yaml_node **)member = node;
        return STATUS_OK;
    }
    assert(0 && "a setting without a type");
    return STATUS_FATAL;
}

/* A fallback that its own setting refuses is a bug in the table. */
static enum status read_fallback(const struct setting *setting, const struct yaml_node *section,
                                 void *options, struct error *error)
{
    assert(setting->type != SETTING_CUSTOM);
    struct yaml_node node = {.kind = YAML_SCALAR,
                             .key = setting->name,
                             .scalar = setting->fallback,
                             .file = section ? section->file : "",
                             .line = section ? section->line : 1};
    struct yaml_document *document = NULL;
    const struct yaml_node *value = &node;
    enum status status = STATUS_OK;
    if (setting->type == SETTING_LIST) {
        status =
            yaml_parse("default", setting->fallback, strlen(setting->fallback), &document, error);
        value = document ? yaml_root(document) : &node;
    }
    if (status == STATUS_OK) {
        status = read_value(setting, value, section != NULL, options, error);
    }
    yaml_unload(document);
    assert(status != STATUS_INVALID && "a default must be valid");
    return status;
}

static enum status complain_missing(const struct setting_section *section,
                                    const struct setting *setting, const struct yaml_node *node,
                                    struct error *error)
{
    return node ? yaml_complain(node, error, "the setting \"%s\" is missing: %s", setting->name,
                                setting->doc)
                : error_set(error, STATUS_INVALID, "%s: the setting \"%s\" is missing: %s",
                            section->name, setting->name, setting->doc);
}

static enum status refuse_unknown_keys(const struct setting_section *section,
                                       const struct yaml_node *node, struct error *error)
{
    const char *names[SETTINGS_MAX + 1] = {NULL};
    for (size_t i = 0; i < section->setting_count; i++) {
        names[i] = section->settings[i].name;
    }
    return yaml_known_keys(node, names, error);
}

enum status settings_read(const struct setting_section *section, const struct yaml_node *node,
                          void *options, struct error *error)
{
    assert(section->setting_count <= SETTINGS_MAX);
    memset(options, 0, section->options_bytes);
    enum status status = refuse_unknown_keys(section, node, error);
    for (size_t i = 0; i < section->setting_count && status == STATUS_OK; i++) {
        const struct setting *setting = &section->settings[i];
        assert(setting->offset < section->options_bytes);
        assert(!setting->is_secret || setting->type == SETTING_TEXT ||
               setting->type == SETTING_PATH);
        const struct yaml_node *value = yaml_find(node, setting->name);
        if (!yaml_is_null(value)) {
            status = read_value(setting, value, true, options, error);
        } else if (setting->is_required) {
            status = complain_missing(section, setting, node, error);
        } else if (setting->fallback) {
            status = read_fallback(setting, node, options, error);
        }
    }
    if (status != STATUS_OK) {
        settings_release(section, options);
    }
    return status;
}

void settings_release(const struct setting_section *section, void *options)
{
    for (size_t i = 0; i < section->setting_count; i++) {
        const struct setting *setting = &section->settings[i];
        void *member = member_of(setting, options);
        if (setting->type == SETTING_TEXT || setting->type == SETTING_PATH) {
            free(*(char **)member);
        } else if (setting->type == SETTING_LIST) {
            struct text_list *list = member;
            for (size_t j = 0; j < list->count; j++) {
                free(list->items[j]);
            }
            free(list->items);
        }
    }
    memset(options, 0, section->options_bytes);
}
