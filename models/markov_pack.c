#include "models/markov_pack.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"

#define PATH_BYTES 4096
#define LEAVE "leave"

struct markov_options {
    int64_t format;
    char *kind, *name, *version;
    char *trained_from, *trained_to, *data_hash;
    const struct yaml_node *steps;
};

#define OPTION(member) offsetof(struct markov_options, member)
static const struct setting settings[] = {
    {.name = "format",
     .type = SETTING_INTEGER,
     .offset = OPTION(format),
     .min = 1,
     .max = 1,
     .is_required = true,
     .doc = "Version of the file's form"},
    {.name = "kind",
     .type = SETTING_TEXT,
     .offset = OPTION(kind),
     .is_required = true,
     .doc = "markov"},
    {.name = "name",
     .type = SETTING_TEXT,
     .offset = OPTION(name),
     .is_required = true,
     .doc = "Name of the table"},
    {.name = "version",
     .type = SETTING_TEXT,
     .offset = OPTION(version),
     .is_required = true,
     .doc = "Version of the table"},
    {.name = "trained_from",
     .type = SETTING_TEXT,
     .offset = OPTION(trained_from),
     .doc = "First event time that was counted"},
    {.name = "trained_to",
     .type = SETTING_TEXT,
     .offset = OPTION(trained_to),
     .doc = "Last event time that was counted"},
    {.name = "data_hash",
     .type = SETTING_TEXT,
     .offset = OPTION(data_hash),
     .doc = "Hash of the counts"},
    {.name = "steps",
     .type = SETTING_CUSTOM,
     .offset = OPTION(steps),
     .is_required = true,
     .doc = "Weights of what follows each state"},
};
static const struct setting_section section = {
    .name = "markov",
    .doc = "A Markov table",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct markov_options),
};

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "Markov table: out of memory");
}

/* ---- Chances ---- */

/* Makes the weights of a state sum to 1. */
static void normalize(struct markov *table, uint32_t from, double sum)
{
    for (uint32_t to = 0; to < table->state_count; to++) {
        table->step[from][to] /= sum;
    }
    table->leave[from] /= sum;
}

void markov_fit(const struct markov_counts *counts, const struct markov *prior, double strength,
                struct markov *ret_table)
{
    uint32_t states = counts->state_count;
    assert(states > 0 && states <= MARKOV_STATES_MAX && strength > 0);
    assert(!prior || prior->state_count == states);
    *ret_table = (struct markov){.state_count = states};
    for (uint32_t from = 0; from < states; from++) {
        double sum = 0;
        for (uint32_t to = 0; to < states; to++) {
            double chance = prior ? prior->step[from][to] : 1.0 / (states + 1);
            ret_table->step[from][to] = (double)counts->step[from][to] + strength * chance;
            sum += ret_table->step[from][to];
        }
        double chance = prior ? prior->leave[from] : 1.0 / (states + 1);
        double leave = (double)counts->leave[from] + strength * chance;
        double least = 2 * MARKOV_LEAVE_MIN * sum; /* Of many events that none ever left from. */
        ret_table->leave[from] = leave > least ? leave : least;
        normalize(ret_table, from, sum + ret_table->leave[from]);
    }
}

/* ---- Reading ---- */

struct reader {
    const char *const *states;
    uint32_t state_count;
    struct markov *table;
};

/* The place of a name, `state_count` for leave. STATUS_INVALID for others. */
static enum status find_state(const struct reader *reader, const struct yaml_node *node,
                              bool may_leave, uint32_t *ret_state, struct error *error)
{
    const char *names[MARKOV_STATES_MAX + 1];
    uint32_t count = reader->state_count + (may_leave ? 1 : 0);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = i < reader->state_count ? reader->states[i] : LEAVE;
        if (strcmp(node->key, names[i]) == 0) {
            *ret_state = i;
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(node->key, names, count);
    return yaml_complain(node, error, "no such state%s%s%s", near ? "; did you mean \"" : "",
                         near ? near : "", near ? "\"?" : "");
}

static enum status read_weight(const struct reader *reader, const struct yaml_node *node,
                               uint32_t from, double *sum, struct error *error)
{
    uint32_t to = 0;
    double weight = 0;
    enum status status = find_state(reader, node, true, &to, error);
    if (status == STATUS_OK) {
        status = yaml_number(node, &weight, error);
    }
    if (status == STATUS_OK && !(weight >= 0 && weight <= 1e15)) {
        status =
            yaml_complain(node, error, "\"%.40s\": expected a weight from 0 to 1e15", node->scalar);
    }
    if (status == STATUS_OK) {
        *(to == reader->state_count ? &reader->table->leave[from]
                                    : &reader->table->step[from][to]) = weight;
        *sum += weight;
    }
    return status;
}

static enum status read_state(const struct reader *reader, const struct yaml_node *node,
                              uint32_t from, struct error *error)
{
    double sum = 0;
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "expected {STATE: WEIGHT, ..., " LEAVE ": WEIGHT}");
    }
    for (size_t i = 0; i < node->child_count; i++) {
        enum status status = read_weight(reader, &node->children[i], from, &sum, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (!(reader->table->leave[from] >= MARKOV_LEAVE_MIN * sum) || sum <= 0) {
        return yaml_complain(node, error,
                             "weights of %.9g in all, of %.9g to leave: expected a share of at "
                             "least %g to leave",
                             sum, reader->table->leave[from], MARKOV_LEAVE_MIN);
    }
    normalize(reader->table, from, sum);
    return STATUS_OK;
}

static enum status read_steps(const struct reader *reader, const struct yaml_node *steps,
                              struct error *error)
{
    bool is_known[MARKOV_STATES_MAX] = {false};
    if (steps->kind != YAML_MAPPING) {
        return yaml_complain(steps, error, "expected a line for each state");
    }
    for (size_t i = 0; i < steps->child_count; i++) {
        uint32_t from = 0;
        enum status status = find_state(reader, &steps->children[i], false, &from, error);
        if (status == STATUS_OK) {
            is_known[from] = true;
            status = read_state(reader, &steps->children[i], from, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t from = 0; from < reader->state_count; from++) {
        if (!is_known[from]) {
            return yaml_complain(steps, error, "the state %s is missing", reader->states[from]);
        }
    }
    return STATUS_OK;
}

static uint64_t hash_table(const struct markov_pack *pack)
{
    const struct markov *table = &pack->table;
    uint64_t hash = hash64_combine(hash64(text_of(pack->name)), hash64(text_of(pack->version)));
    for (uint32_t from = 0; from < table->state_count; from++) {
        struct text row = {(const char *)table->step[from],
                           (uint32_t)(table->state_count * sizeof(table->step[0][0]))};
        hash = hash64_combine(hash, hash64(row));
        struct text leave = {(const char *)&table->leave[from], sizeof(table->leave[0])};
        hash = hash64_combine(hash, hash64(leave));
    }
    return hash;
}

/* Takes the texts over from the options. */
static enum status take_texts(struct markov_pack *pack, struct markov_options *options,
                              struct error *error)
{
    pack->name = options->name;
    pack->version = options->version;
    pack->trained_from = options->trained_from;
    pack->trained_to = options->trained_to;
    pack->data_hash = options->data_hash;
    options->name = options->version = options->trained_from = NULL;
    options->trained_to = options->data_hash = NULL;
    pack->hash = hash_table(pack);
    size_t length = strlen(pack->name) + strlen(pack->version) + 32;
    pack->label = malloc(length);
    if (!pack->label) {
        return out_of_memory(error);
    }
    (void)snprintf(pack->label, length, "%s %s %08llx", pack->name, pack->version,
                   (unsigned long long)(pack->hash >> 32));
    return STATUS_OK;
}

static enum status read_document(const struct yaml_node *root, const struct reader *reader,
                                 struct markov_pack *pack, struct error *error)
{
    struct markov_options options;
    enum status status = settings_read(&section, root, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (strcmp(options.kind, "markov") != 0) {
        status = yaml_complain(yaml_find(root, "kind"), error, "\"%.40s\": expected markov",
                               options.kind);
    }
    if (status == STATUS_OK) {
        status = read_steps(reader, options.steps, error);
    }
    if (status == STATUS_OK) {
        status = take_texts(pack, &options, error);
    }
    settings_release(&section, &options);
    return status;
}

enum status markov_pack_load(const char *path, const char *const *states, uint32_t state_count,
                             struct markov_pack **ret_pack, struct error *error)
{
    char file[PATH_BYTES];
    struct stat info;
    assert(state_count > 0 && state_count <= MARKOV_STATES_MAX);
    bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (snprintf(file, sizeof(file), "%s%s", path, is_folder ? "/markov.yaml" : "") >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%.80s...: path too long", path);
    }
    struct yaml_document *document;
    enum status status = yaml_load(file, &document, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct markov_pack *pack = calloc(1, sizeof(*pack));
    if (!pack) {
        yaml_unload(document);
        return out_of_memory(error);
    }
    pack->table.state_count = state_count;
    const struct reader reader = {states, state_count, &pack->table};
    status = read_document(yaml_root(document), &reader, pack, error);
    yaml_unload(document);
    if (status != STATUS_OK) {
        markov_pack_unload(pack);
        return status;
    }
    *ret_pack = pack;
    return STATUS_OK;
}

void markov_pack_unload(struct markov_pack *pack)
{
    if (pack) {
        free(pack->name);
        free(pack->version);
        free(pack->trained_from);
        free(pack->trained_to);
        free(pack->data_hash);
        free(pack->label);
        free(pack);
    }
}
