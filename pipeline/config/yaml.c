#include "pipeline/config/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "pipeline/base/arena.h"

#define DEPTH_MAX 64u
#define FILE_BYTES_MAX (16u << 20)
#define NODES_MAX (1u << 20)
#define ARENA_BLOCK_BYTES 16384u

struct yaml_document {
    struct arena arena; /* Of all nodes and their texts. */
    const char *file;
    struct yaml_node root;
};

/* A sequence or mapping that has not been closed yet. */
struct level {
    struct yaml_node node;
    struct yaml_node *children; /* Grows; copied to the arena when the node is closed. */
    size_t child_count;
    size_t child_capacity;
    const char *key; /* In a mapping: read, and waiting for its value; else NULL. */
    uint32_t key_line;
};

struct builder {
    struct yaml_document *document;
    struct level levels[DEPTH_MAX];
    uint32_t depth;
    size_t node_count;
    bool has_root;
    struct error *error;
};

static enum status refuse(struct builder *self, size_t line, const char *what)
{
    return error_set(self->error, STATUS_INVALID, "%s:%zu: %s", self->document->file, line, what);
}

static enum status out_of_memory(struct builder *self)
{
    return error_set(self->error, STATUS_FATAL, "%s: out of memory", self->document->file);
}

static char *keep_text(struct yaml_document *document, const void *bytes, size_t length)
{
    char *copy = arena_take(&document->arena, length + 1);
    if (copy) {
        if (length > 0) {
            memcpy(copy, bytes, length);
        }
        copy[length] = '\0';
    }
    return copy;
}

/* Puts a finished node where it belongs: into the open level, or at the root. */
static enum status place(struct builder *self, struct yaml_node node)
{
    if (self->depth == 0) {
        self->document->root = node;
        self->has_root = true;
        return STATUS_OK;
    }
    struct level *level = &self->levels[self->depth - 1];
    if (level->child_count == level->child_capacity) {
        size_t capacity = level->child_capacity > 0 ? 2 * level->child_capacity : 8;
        struct yaml_node *grown = realloc(level->children, capacity * sizeof(*grown));
        if (!grown) {
            return out_of_memory(self);
        }
        level->children = grown;
        level->child_capacity = capacity;
    }
    if (level->node.kind == YAML_MAPPING) {
        node.key = level->key;
        /* Where the key stands is where people look, also when the value begins a line later. */
        node.line = level->key_line;
        level->key = NULL;
    }
    level->children[level->child_count++] = node;
    return STATUS_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct yaml_node *left = *(const struct yaml_node *const *)a;
    const struct yaml_node *right = *(const struct yaml_node *const *)b;
    int order = strcmp(left->key, right->key);
    if (order == 0) {
        order = left < right ? -1 : left > right; /* Of one array: file order. */
    }
    return order;
}

/* By sorting, so that a hostile file with a million keys is refused or read in good time. */
static enum status refuse_duplicate_keys(struct builder *self, const struct yaml_node *mapping)
{
    if (mapping->child_count < 2) {
        return STATUS_OK;
    }
    const struct yaml_node **sorted = calloc(mapping->child_count, sizeof(void *));
    if (!sorted) {
        return out_of_memory(self);
    }
    for (size_t i = 0; i < mapping->child_count; i++) {
        sorted[i] = &mapping->children[i];
    }
    qsort(sorted, mapping->child_count, sizeof(void *), compare_keys);
    const struct yaml_node *repeated = NULL;
    const struct yaml_node *first = NULL;
    for (size_t i = 1; i < mapping->child_count; i++) {
        bool is_same = strcmp(sorted[i - 1]->key, sorted[i]->key) == 0;
        if (is_same && (!repeated || sorted[i] < repeated)) {
            repeated = sorted[i];
            first = sorted[i - 1];
        }
    }
    free(sorted);
    return repeated ? yaml_complain(repeated, self->error,
                                    "this key is already in line %u; each key may be there once",
                                    (unsigned)first->line)
                    : STATUS_OK;
}

static enum status open_level(struct builder *self, enum yaml_kind kind, size_t line)
{
    if (self->depth == DEPTH_MAX) {
        return refuse(self, line, "nested too deeply: at most 64 levels are read");
    }
    struct level *level = &self->levels[self->depth++];
    *level = (struct level){
        .node = {.kind = kind, .file = self->document->file, .line = (uint32_t)line}};
    return STATUS_OK;
}

static enum status close_level(struct builder *self)
{
    struct level *level = &self->levels[self->depth - 1];
    struct yaml_node node = level->node;
    node.child_count = level->child_count;
    if (node.child_count > 0) {
        node.children = arena_array(&self->document->arena, struct yaml_node, level->child_count);
        if (!node.children) {
            return out_of_memory(self);
        }
        memcpy(node.children, level->children, node.child_count * sizeof(*node.children));
    }
    free(level->children);
    level->children = NULL;
    self->depth--;
    if (node.kind == YAML_MAPPING) {
        enum status status = refuse_duplicate_keys(self, &node);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return place(self, node);
}

/* True where the next scalar is a key. */
static bool expects_key(const struct builder *self)
{
    return self->depth > 0 && self->levels[self->depth - 1].node.kind == YAML_MAPPING &&
           !self->levels[self->depth - 1].key;
}

static enum status add_scalar(struct builder *self, const yaml_event_t *event, size_t line)
{
    const char *bytes = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (memchr(bytes, '\0', length)) {
        return refuse(self, line, "a text with a NUL character (\\0) is not read");
    }
    bool is_key = expects_key(self);
    if (is_key && length == 0 && !is_quoted) {
        return refuse(self, line, "a key is missing before \":\"");
    }
    const char *text = keep_text(self->document, bytes, length);
    if (!text) {
        return out_of_memory(self);
    }
    if (is_key) {
        self->levels[self->depth - 1].key = text;
        self->levels[self->depth - 1].key_line = (uint32_t)line;
        return STATUS_OK;
    }
    return place(self, (struct yaml_node){.kind = YAML_SCALAR,
                                          .scalar = text,
                                          .is_quoted = is_quoted,
                                          .file = self->document->file,
                                          .line = (uint32_t)line});
}

static bool has_anchor_or_tag(const yaml_event_t *event, const char **ret_what)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    *ret_what = anchor ? "anchors (&name) are not read; write the value out where it is used"
                       : "tags (!name) are not read; put a text in quotes to keep it a text";
    return anchor || tag;
}

static enum status add_event(struct builder *self, const yaml_event_t *event)
{
    size_t line = event->start_mark.line + 1;
    const char *what = NULL;
    if (has_anchor_or_tag(event, &what)) {
        return refuse(self, line, what);
    }
    bool is_node = event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
                   event->type == YAML_MAPPING_START_EVENT;
    if (is_node && ++self->node_count > NODES_MAX) {
        return refuse(self, line, "too large: at most 1,048,576 keys and values are read");
    }
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return refuse(self, line, "aliases (*name) are not read; write the value out");
    case YAML_DOCUMENT_START_EVENT:
        return self->has_root
                   ? refuse(self, line, "a second document begins; a file holds one document")
                   : STATUS_OK;
    case YAML_SCALAR_EVENT:
        return add_scalar(self, event, line);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (expects_key(self)) {
            return refuse(self, line, "expected a plain text as a key, not a list or mapping");
        }
        return open_level(
            self, event->type == YAML_MAPPING_START_EVENT ? YAML_MAPPING : YAML_SEQUENCE, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_level(self);
    default:
        return STATUS_OK;
    }
}

static enum status refuse_syntax(struct builder *self, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return out_of_memory(self);
    }
    const char *problem = parser->problem ? parser->problem : "it cannot be read";
    if (parser->error == YAML_READER_ERROR) {
        return error_set(self->error, STATUS_INVALID, "%s: byte %zu: not valid YAML: %s",
                         self->document->file, parser->problem_offset, problem);
    }
    if (parser->context) {
        return error_set(self->error, STATUS_INVALID,
                         "%s:%zu: not valid YAML: %s (%s that begins in line %zu)",
                         self->document->file, parser->problem_mark.line + 1, problem,
                         parser->context, parser->context_mark.line + 1);
    }
    return error_set(self->error, STATUS_INVALID, "%s:%zu: not valid YAML: %s",
                     self->document->file, parser->problem_mark.line + 1, problem);
}

static enum status build(struct builder *self, const char *bytes, size_t length)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return out_of_memory(self);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, length);
    enum status status = STATUS_OK;
    bool is_finished = false;
    while (status == STATUS_OK && !is_finished) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            status = refuse_syntax(self, &parser);
            break;
        }
        is_finished = event.type == YAML_STREAM_END_EVENT;
        status = add_event(self, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    for (uint32_t i = 0; i < self->depth; i++) {
        free(self->levels[i].children);
    }
    return status;
}

static size_t line_of(const char *bytes, const char *place)
{
    size_t line = 1;
    for (const char *at = bytes; at < place; at++) {
        line += *at == '\n';
    }
    return line;
}

static enum status check_bytes(struct builder *self, const char *bytes, size_t length)
{
    if (length > FILE_BYTES_MAX) {
        return error_set(self->error, STATUS_INVALID, "%s: larger than 16 MiB, which is the most",
                         self->document->file);
    }
    const char *nul = length > 0 ? memchr(bytes, '\0', length) : NULL;
    if (nul) {
        return refuse(self, line_of(bytes, nul), "a NUL byte: not a text file in UTF-8");
    }
    return STATUS_OK;
}

enum status yaml_parse(const char *name, const char *bytes, size_t length,
                       struct yaml_document **ret_document, struct error *error)
{
    struct yaml_document *document = calloc(1, sizeof(*document));
    if (!document) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    arena_init(&document->arena, ARENA_BLOCK_BYTES);
    document->file = name;
    struct builder builder = {.document = document, .error = error};
    const char *kept_name = keep_text(document, name, strlen(name));
    if (!kept_name) {
        enum status status = out_of_memory(&builder);
        yaml_unload(document);
        return status;
    }
    document->file = kept_name;
    document->root = (struct yaml_node){.kind = YAML_MAPPING, .file = document->file, .line = 1};
    enum status status = check_bytes(&builder, bytes, length);
    if (status == STATUS_OK) {
        status = build(&builder, bytes, length);
    }
    if (status != STATUS_OK) {
        yaml_unload(document);
        return status;
    }
    const struct yaml_node *root = &document->root;
    if (root->kind == YAML_SCALAR && root->scalar[0] == '\0' && !root->is_quoted) {
        document->root =
            (struct yaml_node){.kind = YAML_MAPPING, .file = document->file, .line = 1};
    }
    *ret_document = document;
    return STATUS_OK;
}

/* At most one byte more than is allowed, so that an endless file is refused and not read. */
static enum status read_file(const char *path, FILE *file, char **ret_bytes, size_t *ret_length,
                             struct error *error)
{
    size_t capacity = 65536;
    size_t length = 0;
    char *bytes = NULL;
    for (;;) {
        char *grown = realloc(bytes, capacity);
        if (!grown) {
            free(bytes);
            return error_set(error, STATUS_FATAL, "%s: out of memory", path);
        }
        bytes = grown;
        length += fread(bytes + length, 1, capacity - length, file);
        if (length < capacity || length > FILE_BYTES_MAX) {
            break;
        }
        capacity *= 2;
    }
    if (ferror(file)) {
        int cause = errno;
        free(bytes);
        return error_set(error, STATUS_INVALID, "%s: cannot be read: %s", path, strerror(cause));
    }
    *ret_bytes = bytes;
    *ret_length = length;
    return STATUS_OK;
}

enum status yaml_load(const char *path, struct yaml_document **ret_document, struct error *error)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        return error_set(error, STATUS_INVALID, "%s: cannot be opened: %s", path, strerror(errno));
    }
    char *bytes = NULL;
    size_t length = 0;
    enum status status = read_file(path, file, &bytes, &length, error);
    (void)fclose(file);
    if (status == STATUS_OK) {
        status = yaml_parse(path, bytes, length, ret_document, error);
    }
    free(bytes);
    return status;
}

void yaml_unload(struct yaml_document *document)
{
    if (document) {
        arena_release(&document->arena);
        free(document);
    }
}

const struct yaml_node *yaml_root(const struct yaml_document *document)
{
    return &document->root;
}

const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key)
{
    if (!node || node->kind != YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        if (strcmp(node->children[i].key, key) == 0) {
            return &node->children[i];
        }
    }
    return NULL;
}
