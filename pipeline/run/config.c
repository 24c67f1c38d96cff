#include "pipeline/run/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/event/mapping.h"
#include "pipeline/run/config_settings.h"
#include "pipeline/run/key_file.h"
#include "pipeline/source/source.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define SECTIONS_MAX 32

const struct setting_section *const *config_sections(void)
{
    static const struct setting_section *all[SECTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_OWN_SECTIONS; i++) {
        all[count++] = config_own_sections[i].section;
    }
    for (size_t i = 0; stage_sections[i]; i++) {
        assert(count < SECTIONS_MAX - 1);
        all[count++] = stage_sections[i];
    }
    all[count] = NULL;
    return all;
}

static enum status check_sections(const struct yaml_node *root, struct error *error)
{
    const char *names[SECTIONS_MAX + 2] = {"name"};
    size_t count = 1;
    for (const struct setting_section *const *section = config_sections(); *section; section++) {
        names[count++] = (*section)->name;
    }
    if (root->kind != YAML_MAPPING) {
        return yaml_complain(root, error, "expected sections such as input: and output:");
    }
    if (root->child_count == 0) {
        return error_set(error, STATUS_INVALID,
                         "%s: empty: expected sections such as input: and output:", root->file);
    }
    return yaml_known_keys(root, names, error);
}

static void *own_options(struct config *config, size_t index)
{
    return (char *)config + config_own_sections[index].offset;
}

static enum status read_sections(struct config *config, const struct yaml_node *root,
                                 struct error *error)
{
    for (size_t i = 0; i < CONFIG_OWN_SECTIONS; i++) {
        const struct setting_section *section = config_own_sections[i].section;
        enum status status =
            settings_read(section, yaml_find(root, section->name), own_options(config, i), error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* The file or folder that a setting names must be there, before anything reads in it. */
static enum status check_path(const struct setting *setting, const struct yaml_node *node,
                              struct error *error)
{
    char *path = yaml_resolve_path(node, node->scalar);
    if (!path) {
        return error_set(error, STATUS_FATAL, "configuration: out of memory");
    }
    const char *expected = setting->is_folder ? "a folder" : "a file";
    struct stat found;
    enum status status = STATUS_OK;
    if (stat(path, &found) != 0) {
        status = yaml_complain(node, error, "\"%s\": %s: %s; expected %s", node->scalar, path,
                               strerror(errno), expected);
    } else if (S_ISDIR(found.st_mode) != setting->is_folder) {
        status = yaml_complain(node, error, "\"%s\": %s is %s, expected %s", node->scalar, path,
                               S_ISDIR(found.st_mode) ? "a folder" : "not a folder", expected);
    }
    free(path);
    return status;
}

static enum status check_paths(const struct yaml_node *root, struct error *error)
{
    for (const struct setting_section *const *section = config_sections(); *section; section++) {
        const struct yaml_node *node = yaml_find(root, (*section)->name);
        for (size_t i = 0; i < (*section)->setting_count; i++) {
            const struct setting *setting = &(*section)->settings[i];
            const struct yaml_node *value = yaml_find(node, setting->name);
            if (setting->type != SETTING_PATH || yaml_is_null(value) ||
                value->kind != YAML_SCALAR || value->scalar[0] == '\0') {
                continue; /* What is no path at all is for settings_read to refuse. */
            }
            enum status status = check_path(setting, value, error);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

static enum status read_name(struct config *config, const struct yaml_node *root,
                             struct error *error)
{
    const struct yaml_node *node = yaml_find(root, "name");
    if (!yaml_is_null(node) && (node->kind != YAML_SCALAR || node->scalar[0] == '\0')) {
        return yaml_complain(node, error, "expected a name for the application");
    }
    char *made = NULL;
    if (!yaml_is_null(node)) {
        made = strdup(node->scalar);
    } else {
        const char *slash = strrchr(root->file, '/');
        const char *base = slash ? slash + 1 : root->file;
        const char *dot = strrchr(base, '.');
        made = strndup(base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
    }
    config->name = made;
    return made ? STATUS_OK : error_set(error, STATUS_FATAL, "configuration: out of memory");
}

static enum status read_ends(const struct config *config, const struct yaml_node *root,
                             struct error *error)
{
    if (config->input.source != config->output.sink) {
        return yaml_complain(yaml_find(root, config->input.source ? "input" : "output"), error,
                             "input.source is %s and output.sink is %s: the same expected",
                             input_source_names[config->input.source],
                             input_source_names[config->output.sink]);
    }
    bool is_kafka = config->input.source == SOURCE_KAFKA;
    const struct yaml_node *format = yaml_find(yaml_find(root, "input"), "format");
    if (is_kafka && config->input.format != INPUT_JSONL && config->input.format != INPUT_AVRO) {
        return yaml_complain(format, error, "messages are jsonl or avro");
    }
    if (is_kafka && config->input.format == INPUT_AVRO && !config->kafka.input_schema &&
        config->schema_registry.urls.count == 0) {
        return yaml_complain(format, error,
                             "expected kafka.input_schema, or schema_registry.url beside it");
    }
    return is_kafka ? kafka_options_check(&config->kafka, yaml_find(root, "kafka"), error)
                    : STATUS_OK;
}

static enum status check_character(const struct yaml_node *root, const char *key, const char *text,
                                   struct error *error)
{
    bool is_one = strlen(text) == 1 && !strchr("\"\r\n", text[0]);
    return is_one
               ? STATUS_OK
               : yaml_complain(yaml_find(yaml_find(root, "input"), key), error,
                               "\"%s\": expected one character, no quote or end of a line", text);
}

static enum status check_csv(const struct config *config, const struct yaml_node *root,
                             struct error *error)
{
    const struct input_options *input = &config->input;
    enum status status = STATUS_OK;
    if (strcmp(input->csv_delimiter, "\\t") != 0) {
        status = check_character(root, "csv_delimiter", input->csv_delimiter, error);
    }
    if (status == STATUS_OK && input->csv_comment) {
        status = check_character(root, "csv_comment", input->csv_comment, error);
    }
    return status;
}

static enum status refuse_entity(const struct config *config, const struct yaml_node *node,
                                 const char *name, uint32_t partitions, struct error *error)
{
    bool is_kafka = config->input.source == SOURCE_KAFKA;
    bool is_item = strcmp(name, entity_names[ENTITY_ITEM]) == 0;
    return yaml_complain(node, error,
                         "state by %s cannot be kept: the input has %u partitions and one "
                         "%s's events may be in several; use one %s, or leave it out%s",
                         name, partitions, name, is_kafka ? "partition" : "file or one partition",
                         is_kafka && !is_item ? ", or set kafka.repartition: true, which brings "
                                                "them together in a topic of their own"
                                              : "");
}

/* State by an entity is only right where one task sees all of the entity's events. */
static enum status read_entities(struct config *config, const struct yaml_node *root,
                                 uint32_t partitions, struct error *error)
{
    const struct yaml_node *node = yaml_find(yaml_find(root, "state"), "entities");
    const struct text_list *list = &config->state.entities;
    const uint32_t hop_kinds =
        1u << ENTITY_DEVICE | 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS;
    bool has_hops = config->input.source == SOURCE_KAFKA && config->kafka.is_repartitioned;
    config->entity_mask = 1u << ENTITY_USER;
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        if (strcmp(name, "auto") == 0) {
            config->entity_mask |= partitions <= 1 ? hop_kinds : 0;
            continue;
        }
        int kind = 0;
        while (kind < ENTITY_TASK && strcmp(name, entity_names[kind]) != 0) {
            kind++;
        }
        if (kind == ENTITY_TASK) {
            const char *near = nearest_name(name, entity_names, ENTITY_TASK);
            return yaml_complain(node, error, "\"%s\": expected %s%sauto or an entity", name,
                                 near ? near : "", near ? ", " : "");
        }
        if (kind != ENTITY_USER && partitions != 1 && has_hops && (hop_kinds >> kind & 1)) {
            config->hop_mask |= 1u << kind;
        } else if (kind != ENTITY_USER && partitions > 1) {
            return refuse_entity(config, node, name, partitions, error);
        }
        config->entity_mask |= 1u << kind;
    }
    return STATUS_OK;
}

/* A user's events must all be in one partition. */
static enum status check_route(const struct config *config, const struct yaml_node *root,
                               uint32_t partitions, struct error *error)
{
    struct mapping_traits traits = mapping_traits(config->mapping);
    bool is_sent_on = config->input.source == SOURCE_KAFKA && config->kafka.is_repartitioned;
    if (partitions <= 1 || is_sent_on || mapping_is_canonical(config->mapping) ||
        traits.route_field == traits.user_field) {
        return STATUS_OK;
    }
    const char *route = event_fields[traits.route_field].name;
    const char *user = event_fields[traits.user_field].name;
    return yaml_complain(yaml_find(yaml_find(root, "input"), "mapping"), error,
                         "the input is partitioned by %s and users are known by %s, so one user's "
                         "events may be in several of its %u partitions: partition it by %s, or "
                         "do not map %s; a topic can be sent on by kafka.repartition",
                         route, user, partitions, user, user);
}

/* A complaint about the secret stands at the setting that says where the secret is. */
static enum status read_key(struct config *config, const struct yaml_node *root,
                            struct error *error)
{
    const struct yaml_node *privacy = yaml_find(root, "privacy");
    enum status status = key_file_read(config->privacy.key_file, config->privacy.key_env,
                                       &config->key, &config->has_own_key, error);
    if (status == STATUS_OK) {
        return STATUS_OK;
    }
    const struct yaml_node *node =
        yaml_find(privacy, config->privacy.key_file ? "key_file" : "key_env");
    struct error cause = *error;
    yaml_complain_format(node, error, "%s", cause.message);
    return status;
}

/* Else a record would start anew while one of its timers is still to come. */
static enum status check_retention(const struct config *config, const struct yaml_node *root,
                                   struct error *error)
{
    int64_t longest_ms = stage_plan_longest_delay_ms(config->plan);
    int64_t retention_ms = config->state.retention_ms;
    if (retention_ms == 0 || retention_ms > longest_ms) {
        return STATUS_OK;
    }
    const struct yaml_node *node = yaml_find(yaml_find(root, "state"), "retention");
    return yaml_complain(node ? node : root, error,
                         "%lld ms: more than %lld ms expected, the longest delay "
                         "of a session or a rule",
                         (long long)retention_ms, (long long)longest_ms);
}

static enum status load_all(struct config *config, uint32_t partitions, struct error *error)
{
    const struct yaml_node *root = yaml_root(config->document);
    enum status status = check_sections(root, error);
    if (status == STATUS_OK) {
        status = read_sections(config, root, error);
    }
    if (status == STATUS_OK) {
        status = read_name(config, root, error);
    }
    if (status == STATUS_OK) {
        status = read_ends(config, root, error);
    }
    if (status == STATUS_OK) {
        status = check_csv(config, root, error);
    }
    if (partitions == 0) {
        partitions = (uint32_t)config->input.files.count;
    }
    if (status == STATUS_OK) {
        status = read_entities(config, root, partitions, error);
    }
    if (status == STATUS_OK) {
        status = check_paths(root, error);
    }
    if (status == STATUS_OK) {
        status = read_key(config, root, error);
    }
    if (status == STATUS_OK) {
        status = mapping_compile(config->input.mapping, &config->mapping, error);
    }
    if (status == STATUS_OK) {
        status = check_route(config, root, partitions, error);
    }
    if (status == STATUS_OK) {
        status = stage_plan_load(root, partitions ? partitions : 1, &config->plan, error);
    }
    if (status == STATUS_OK) {
        status = check_retention(config, root, error);
    }
    return status;
}

enum status config_load(const char *path, uint32_t partitions, struct config *ret_config,
                        struct error *error)
{
    struct config config = {0};
    enum status status = yaml_load(path, &config.document, error);
    if (status != STATUS_OK) {
        return status;
    }
    config.path = yaml_root(config.document)->file;
    status = load_all(&config, partitions, error);
    if (status != STATUS_OK) {
        config_release(&config);
        return status;
    }
    *ret_config = config;
    return STATUS_OK;
}

void config_release(struct config *config)
{
    for (size_t i = 0; i < CONFIG_OWN_SECTIONS; i++) {
        settings_release(config_own_sections[i].section, own_options(config, i));
    }
    stage_plan_destroy(config->plan);
    mapping_destroy(config->mapping);
    yaml_unload(config->document);
    free(config->name);
    *config = (struct config){0};
}

uint64_t config_hash(const struct config *config)
{
    const uint64_t words[] = {
        (uint64_t)config->input.allowed_lateness_ms,
        (uint64_t)config->input.max_ahead_ms,
        (uint64_t)config->input.late_events,
        (uint64_t)config->state.retention_ms,
        config->entity_mask,
        stage_plan_hash(config->plan),
    };
    uint64_t hash = hash64(text_of(config->name));
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        hash = hash64_combine(hash, words[i]);
    }
    return hash;
}

static void print_mapping_line(void *context, const char *text)
{
    (void)fprintf(context, "  %s\n", text);
}

/* The topics that records take, one after the other. */
static void describe_repartition(const struct config *config, FILE *out)
{
    (void)fprintf(out, "repartition: ");
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        if (config->hop_mask >> kind & 1) {
            (void)fprintf(out, "by %s over topic %s-by-%s, then ", entity_names[kind], config->name,
                          entity_names[kind]);
        }
    }
    (void)fprintf(out,
                  "by the user's identity, over topic %s-repartition; idle partitions hold back "
                  "time for %lld ms, processed records are deleted %s\n",
                  config->name, (long long)config->kafka.repartition_idle_ms,
                  config->kafka.repartition_purge_ms > 0 ? "now and then" : "never");
}

static void describe_input(const struct config *config, FILE *out)
{
    size_t files = config->input.files.count;
    char origin[40] = "files come with --input";
    if (config->input.source == SOURCE_KAFKA) {
        (void)snprintf(origin, sizeof(origin), "from Kafka");
    } else if (files > 0) {
        (void)snprintf(origin, sizeof(origin), "%zu file%s", files, files == 1 ? "" : "s");
    }
    (void)fprintf(out, "input: %s, %s, lateness %lld ms, late events are %s\n",
                  input_format_names[config->input.format], origin,
                  (long long)config->input.allowed_lateness_ms,
                  config->input.late_events ? "diverted" : "processed");
}

void config_describe(const struct config *config, FILE *out)
{
    (void)fprintf(out, "%s (%s)\n", config->name, config->path);
    describe_input(config, out);
    if (config->input.source == SOURCE_KAFKA && config->kafka.is_repartitioned) {
        describe_repartition(config, out);
    }
    (void)fprintf(out, "mapping: %s\n",
                  config->input.mapping ? config->input.mapping : "none, events are canonical");
    if (config->input.mapping) {
        mapping_describe(config->mapping, print_mapping_line, out);
    }
    (void)fprintf(out, "state by:");
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        if (config->entity_mask >> kind & 1) {
            (void)fprintf(out, " %s", entity_names[kind]);
        }
    }
    (void)fprintf(out, "; memory %lld MiB\n", (long long)(config->state.memory_bytes >> 20));
    (void)fprintf(out, "pseudonyms: %s\n",
                  config->has_own_key ? "with the configured secret"
                                      : "with the built-in key: set privacy.key_file, else who "
                                        "knows an identity knows its pseudonym");
    stage_plan_describe(config->plan, out);
    (void)fprintf(out, "timer floor: %lld ms\n",
                  (long long)stage_plan_timer_floor_ms(config->plan));
}
