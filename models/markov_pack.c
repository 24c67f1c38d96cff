#include "models/markov_pack.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipeline/base/hash.h"
#include "pipeline/config/settings.h"

#define PATH_BYTES 4096
#define LEAVE "leave"
#define START "start"
#define BEFORE " > "

struct markov_options {
    int64_t format, order;
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
    {.name = "order",
     .type = SETTING_INTEGER,
     .offset = OPTION(order),
     .fallback = "1",
     .min = 1,
     .max = MARKOV_ORDER_MAX,
     .doc = "Events that the longest context may have"},
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

/* Makes the weights of a line sum to 1. */
static void normalize(struct markov *table, uint32_t from, double sum)
{
    for (uint32_t to = 0; to < table->state_count; to++) {
        table->step[from][to] /= sum;
    }
    table->leave[from] /= sum;
}

struct reader {
    const char *const *states;
    uint32_t state_count;
    uint32_t order;
    struct markov *table;
};

/*
 * The place of a name of `length`, `state_count` for `other` unless that is NULL. STATUS_INVALID
 * for others.
 */
static enum status find_state(const struct reader *reader, const struct yaml_node *node,
                              const char *name, size_t length, const char *other,
                              uint32_t *ret_state, struct error *error)
{
    const char *names[MARKOV_STATES_MAX + 1];
    char wanted[64];
    uint32_t count = reader->state_count + (other ? 1 : 0);
    (void)snprintf(wanted, sizeof(wanted), "%.*s", (int)(length < 63 ? length : 63), name);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = i < reader->state_count ? reader->states[i] : other;
        if (strcmp(wanted, names[i]) == 0) {
            *ret_state = i;
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(wanted, names, count);
    return yaml_complain(node, error, "no such state%s%s%s", near ? "; did you mean \"" : "",
                         near ? near : "", near ? "\"?" : "");
}

static enum status read_weight(const struct reader *reader, const struct yaml_node *node,
                               uint32_t from, double *sum, struct error *error)
{
    uint32_t to = 0;
    double weight = 0;
    enum status status = find_state(reader, node, node->key, strlen(node->key), LEAVE, &to, error);
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

static enum status read_line(const struct reader *reader, const struct yaml_node *node,
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

/* "start > a > b", the oldest first. */
static enum status read_context(const struct reader *reader, const struct yaml_node *node,
                                struct markov_context *ret_context, struct error *error)
{
    uint32_t events[MARKOV_ORDER_MAX];
    uint32_t count = 0;
    const char *next = node->key;
    while (next) {
        const char *sign = strstr(next, BEFORE);
        size_t length = sign ? (size_t)(sign - next) : strlen(next);
        if (count == reader->order) {
            return yaml_complain(node, error, "more events than the order, %u", reader->order);
        }
        bool may_start = count == 0 && sign;
        uint32_t state = 0;
        enum status status =
            find_state(reader, node, next, length, may_start ? START : NULL, &state, error);
        if (status != STATUS_OK) {
            return status;
        }
        events[count++] = state == reader->state_count ? MARKOV_START : state + 1;
        next = sign ? sign + strlen(BEFORE) : NULL;
    }
    *ret_context = (struct markov_context){.length = (uint8_t)count};
    for (uint32_t i = 0; i < count; i++) {
        ret_context->last[i] = (uint8_t)events[count - 1 - i];
    }
    return STATUS_OK;
}

/* The row of the table that the line is for; that of a longer context is made. */
static enum status find_row(const struct reader *reader, const struct yaml_node *node,
                            uint32_t *ret_row, struct error *error)
{
    struct markov_context context = {0};
    struct markov *table = reader->table;
    enum status status =
        strstr(node->key, BEFORE) && reader->order > 1
            ? read_context(reader, node, &context, error)
            : find_state(reader, node, node->key, strlen(node->key), NULL, ret_row, error);
    if (status != STATUS_OK || context.length == 0) {
        return status;
    }
    if (table->context_count == MARKOV_CONTEXTS_MAX) {
        return yaml_complain(node, error, "at most %u contexts of more than one event expected",
                             MARKOV_CONTEXTS_MAX);
    }
    table->contexts[table->context_count] = context;
    *ret_row = table->state_count + table->context_count++;
    return STATUS_OK;
}

static bool has_pair(const struct markov *table, uint8_t last, uint8_t before)
{
    uint32_t k = 0;
    while (k < table->context_count &&
           (table->contexts[k].length != 2 || table->contexts[k].last[0] != last ||
            table->contexts[k].last[1] != before)) {
        k++;
    }
    return k < table->context_count;
}

/* A step may go no further back than the one before it did: see markov_next_row(). */
static enum status check_contexts(const struct reader *reader, const struct yaml_node *steps,
                                  struct error *error)
{
    for (uint32_t k = 0; k < reader->table->context_count; k++) {
        const struct markov_context *context = &reader->table->contexts[k];
        if (context->length == 3 &&
            !(has_pair(reader->table, context->last[0], context->last[1]) &&
              has_pair(reader->table, context->last[1], context->last[2]))) {
            return yaml_complain(
                steps, error,
                "%s" BEFORE "%s" BEFORE
                "%s has a line, but its first or its last two events have none",
                context->last[2] == MARKOV_START ? START : reader->states[context->last[2] - 1],
                reader->states[context->last[1] - 1], reader->states[context->last[0] - 1]);
        }
    }
    return STATUS_OK;
}

static enum status read_steps(const struct reader *reader, const struct yaml_node *steps,
                              struct error *error)
{
    bool is_known[MARKOV_ROWS_MAX] = {false};
    if (steps->kind != YAML_MAPPING) {
        return yaml_complain(steps, error, "expected a line for each state");
    }
    for (size_t i = 0; i < steps->child_count; i++) {
        uint32_t row = 0;
        enum status status = find_row(reader, &steps->children[i], &row, error);
        if (status == STATUS_OK) {
            is_known[row] = true;
            status = read_line(reader, &steps->children[i], row, error);
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
    return check_contexts(reader, steps, error);
}

static uint64_t hash_table(const struct markov_pack *pack)
{
    const struct markov *table = &pack->table;
    uint64_t hash = hash64_combine(hash64(text_of(pack->name)), hash64(text_of(pack->version)));
    for (uint32_t from = 0; from < table->state_count + table->context_count; from++) {
        if (from >= table->state_count) {
            const struct markov_context *context = &table->contexts[from - table->state_count];
            hash = hash64_combine(hash,
                                  hash64((struct text){(const char *)context, sizeof(*context)}));
        }
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

static enum status read_document(const struct yaml_node *root, struct reader *reader,
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
    reader->order = (uint32_t)options.order;
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
    struct reader reader = {states, state_count, 1, &pack->table};
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
