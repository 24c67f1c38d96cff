#include "pipeline/run/config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/event/mapping.h"
#include "pipeline/output/output.h"
#include "pipeline/run/key_file.h"
#include "pipeline/source/source.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const input_format_names[] = {"avro", "jsonl", "csv", "combined_log", NULL};
static const char *const output_format_names[] = {"jsonl", "avro", NULL};
static const char *const source_names[] = {"files", "kafka", NULL};
static const char *const late_names[] = {"process", "divert", NULL};

#define INPUT(member) offsetof(struct input_options, member)
static const struct setting input_settings[] = {
    {.name = "source",
     .type = SETTING_CHOICE,
     .offset = INPUT(source),
     .fallback = "files",
     .choices = source_names,
     .doc = "Files, or the topic of section kafka"},
    {.name = "files",
     .type = SETTING_LIST,
     .offset = INPUT(files),
     .doc = "Input files, each a partition; - is standard input; --input takes their place"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .offset = INPUT(format),
     .fallback = "jsonl",
     .choices = input_format_names,
     .doc = "What the files are; gzip is recognised by itself"},
    {.name = "mapping",
     .type = SETTING_PATH,
     .offset = INPUT(mapping),
     .doc = "Mapping of foreign fields to events; without it the fields are canonical"},
    {.name = "follow",
     .type = SETTING_BOOL,
     .offset = INPUT(is_followed),
     .fallback = "false",
     .doc = "Go on at the end of a file as it grows, instead of ending the run"},
    {.name = "idle_after",
     .type = SETTING_DURATION,
     .offset = INPUT(idle_after_ms),
     .fallback = "0s",
     .min = 0,
     .max = 864e5,
     .doc = "A followed partition without input for this long has its event time moved on by the "
            "clock; 0: never"},
    {.name = "csv_delimiter",
     .type = SETTING_TEXT,
     .offset = INPUT(csv_delimiter),
     .fallback = ",",
     .doc = "One character; \\t is a tab"},
    {.name = "csv_header",
     .type = SETTING_BOOL,
     .offset = INPUT(csv_has_header),
     .fallback = "true",
     .doc = "The first line names the columns"},
    {.name = "csv_columns",
     .type = SETTING_LIST,
     .offset = INPUT(csv_columns),
     .doc = "Names of the columns in order, where no line of the file says them or in its place"},
    {.name = "allowed_lateness",
     .type = SETTING_DURATION,
     .offset = INPUT(allowed_lateness_ms),
     .fallback = "10s",
     .min = 0,
     .max = 7 * 864e5,
     .doc = "How far the watermark stays behind the newest event"},
    {.name = "max_ahead",
     .type = SETTING_DURATION,
     .offset = INPUT(max_ahead_ms),
     .fallback = "30d",
     .min = 1000,
     .max = 36500.0 * 864e5,
     .doc =
         "An event further ahead of the newest one is a dead letter, once two in a row agreed on "
         "the time"},
    {.name = "late_events",
     .type = SETTING_CHOICE,
     .offset = INPUT(late_events),
     .fallback = "process",
     .choices = late_names,
     .doc = "What becomes of events older than the watermark"},
};

#define STATE(member) offsetof(struct state_options, member)
static const struct setting state_settings[] = {
    {.name = "directory",
     .type = SETTING_TEXT,
     .offset = STATE(directory),
     .doc = "Where state and log stand; --state takes its place; by default OUTPUT/.state"},
    {.name = "memory",
     .type = SETTING_SIZE,
     .offset = STATE(memory_bytes),
     .fallback = "512MiB",
     .min = 134217728.0,
     .max = 1e15,
     .doc = "What the whole process may hold in memory, caches and RocksDB included"},
    {.name = "entities",
     .type = SETTING_LIST,
     .offset = STATE(entities),
     .fallback = "auto",
     .doc = "Entities beside the user that state is kept by: device, card, terminal, address, "
            "item; auto: device, card, terminal and address where there is one partition"},
    {.name = "retention",
     .type = SETTING_DURATION,
     .offset = STATE(retention_ms),
     .fallback = "90d",
     .min = 0,
     .max = 36500.0 * 864e5,
     .doc = "A user not heard of for this long starts anew; 0: never"},
};

#define OUTPUT(member) offsetof(struct output_options, member)
static const struct setting output_settings[] = {
    {.name = "sink",
     .type = SETTING_CHOICE,
     .offset = OUTPUT(sink),
     .fallback = "files",
     .choices = source_names,
     .doc = "Files, or topics of section kafka; the same as input.source, since input and results "
            "are committed together"},
    {.name = "directory",
     .type = SETTING_TEXT,
     .offset = OUTPUT(directory),
     .fallback = "nudge-output",
     .doc = "Where the topics stand, a folder each; --output takes its place"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .offset = OUTPUT(format),
     .fallback = "jsonl",
     .choices = output_format_names,
     .doc = "JSON lines or Avro container files"},
    {.name = "scored_events_share",
     .type = SETTING_NUMBER,
     .offset = OUTPUT(scored_events_share),
     .fallback = "0",
     .min = 0,
     .max = 1,
     .doc = "Share of events, chosen by hash, written with features and scores to scored_events"},
    {.name = "dead_letter_content",
     .type = SETTING_BOOL,
     .offset = OUTPUT(keeps_rejected_bytes),
     .fallback = "true",
     .doc = "Dead letters hold the bytes of the record, which may hold identities"},
};

#define COMMIT(member) offsetof(struct commit_options, member)
static const struct setting commit_settings[] = {
    {.name = "interval",
     .type = SETTING_DURATION,
     .offset = COMMIT(interval_ms),
     .fallback = "1s",
     .min = 1,
     .max = 36e5,
     .doc = "Time between commits"},
    {.name = "events",
     .type = SETTING_INTEGER,
     .offset = COMMIT(events_max),
     .fallback = "100000",
     .min = 1,
     .max = 1e9,
     .doc = "Events after which a commit does not wait for its time"},
    {.name = "sync",
     .type = SETTING_BOOL,
     .offset = COMMIT(is_synced),
     .fallback = "true",
     .doc = "A commit survives loss of power, not only the end of the process"},
    {.name = "segment",
     .type = SETTING_SIZE,
     .offset = COMMIT(segment_bytes),
     .fallback = "64MiB",
     .min = 4096,
     .max = 1e12,
     .doc = "Size of a file of the log"},
};

#define PRIVACY(member) offsetof(struct privacy_options, member)
static const struct setting privacy_settings[] = {
    {.name = "key_file",
     .type = SETTING_PATH,
     .offset = PRIVACY(key_file),
     .doc = "File whose content is the secret that pseudonyms are made with"},
    {.name = "key_env",
     .type = SETTING_TEXT,
     .offset = PRIVACY(key_env),
     .doc = "Environment variable that holds the secret, instead of a file"},
};

#define RUN(member) offsetof(struct run_options, member)
static const struct setting run_settings[] = {
    {.name = "workers",
     .type = SETTING_INTEGER,
     .offset = RUN(workers),
     .fallback = "1",
     .min = 1,
     .max = 256,
     .doc = "Threads that share the partitions among them; --workers takes its place"},
    {.name = "batch",
     .type = SETTING_INTEGER,
     .offset = RUN(batch_events),
     .fallback = "1024",
     .min = 1,
     .max = BATCH_EVENTS_MAX,
     .doc = "Events of a batch at most"},
};

#define SECTION(variable, key, sentence, table, type)                                              \
    static const struct setting_section variable = {.name = (key),                                 \
                                                    .doc = (sentence),                             \
                                                    .settings = (table),                           \
                                                    .setting_count = COUNT_OF(table),              \
                                                    .options_bytes = sizeof(type)}

SECTION(input_section, "input", "Where events come from", input_settings, struct input_options);
SECTION(state_section, "state", "What is remembered of users", state_settings,
        struct state_options);
SECTION(output_section, "output", "Where results go", output_settings, struct output_options);
SECTION(commit_section, "commit", "When results are made durable", commit_settings,
        struct commit_options);
SECTION(privacy_section, "privacy", "How identities are hidden", privacy_settings,
        struct privacy_options);
SECTION(run_section, "run", "How the work is done", run_settings, struct run_options);

static const struct setting_section *const own_sections[] = {
    &input_section, &state_section,   &output_section, &commit_section,          &privacy_section,
    &run_section,   &metrics_section, &kafka_section,  &schema_registry_section,
};

#define SECTIONS_MAX 32

const struct setting_section *const *config_sections(void)
{
    static const struct setting_section *all[SECTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(own_sections); i++) {
        all[count++] = own_sections[i];
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

static enum status read_sections(struct config *config, const struct yaml_node *root,
                                 struct error *error)
{
    void *const members[] = {&config->input,   &config->state,   &config->output,
                             &config->commit,  &config->privacy, &config->run,
                             &config->metrics, &config->kafka,   &config->schema_registry};
    for (size_t i = 0; i < COUNT_OF(own_sections); i++) {
        enum status status = settings_read(own_sections[i], yaml_find(root, own_sections[i]->name),
                                           members[i], error);
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
                             source_names[config->input.source], source_names[config->output.sink]);
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

static enum status read_delimiter(const struct config *config, const struct yaml_node *root,
                                  struct error *error)
{
    const char *text = config->input.csv_delimiter;
    bool is_one = strlen(text) == 1 && !strchr("\"\r\n", text[0]);
    if (is_one || strcmp(text, "\\t") == 0) {
        return STATUS_OK;
    }
    return yaml_complain(yaml_find(yaml_find(root, "input"), "csv_delimiter"), error,
                         "\"%s\": expected one character, no quote or end of a line", text);
}

/* State by an entity is only right where one task sees all of the entity's events. */
static enum status read_entities(struct config *config, const struct yaml_node *root,
                                 uint32_t partitions, struct error *error)
{
    const struct yaml_node *node = yaml_find(yaml_find(root, "state"), "entities");
    const struct text_list *list = &config->state.entities;
    const uint32_t automatic =
        1u << ENTITY_DEVICE | 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS;
    config->entity_mask = 1u << ENTITY_USER;
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        if (strcmp(name, "auto") == 0) {
            config->entity_mask |= partitions <= 1 ? automatic : 0;
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
        if (kind != ENTITY_USER && partitions > 1) {
            return yaml_complain(
                node, error,
                "state by %s cannot be kept: the input has %u partitions and one "
                "%s's events may be in several; use one file or one partition, or "
                "leave it out. kafka.repartition brings together the events of a user, not "
                "those of a %s",
                name, partitions, name, name);
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
        status = read_delimiter(config, root, error);
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
    void *const members[] = {&config->input,   &config->state,   &config->output,
                             &config->commit,  &config->privacy, &config->run,
                             &config->metrics, &config->kafka,   &config->schema_registry};
    for (size_t i = 0; i < COUNT_OF(own_sections); i++) {
        settings_release(own_sections[i], members[i]);
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

void config_describe(const struct config *config, FILE *out)
{
    (void)fprintf(out, "%s (%s)\n", config->name, config->path);
    (void)fprintf(out, "input: %s, %zu files, lateness %lld ms, late events are %s\n",
                  input_format_names[config->input.format], config->input.files.count,
                  (long long)config->input.allowed_lateness_ms,
                  config->input.late_events ? "diverted" : "processed");
    if (config->input.source == SOURCE_KAFKA && config->kafka.is_repartitioned) {
        (void)fprintf(out,
                      "repartition: by the user's identity, over topic %s-repartition; idle "
                      "partitions hold back time for %lld ms, processed records are deleted %s\n",
                      config->name, (long long)config->kafka.repartition_idle_ms,
                      config->kafka.repartition_purge_ms > 0 ? "now and then" : "never");
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
