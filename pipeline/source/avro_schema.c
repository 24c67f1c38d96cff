#include "pipeline/source/avro_schema.h"

#include <stdlib.h>

#include <avro.h>

#include "pipeline/base/arena.h"
#include "pipeline/config/yaml.h"

#define NAMED_TYPES_MAX 1024u
#define NESTING_MAX 64

struct avro_schema {
    struct arena arena;
    const struct avro_node *root;
};

/* While compiling: named types are made once, since they may refer to themselves. */
struct compiler {
    struct arena *arena;
    avro_schema_t sources[NAMED_TYPES_MAX];
    struct avro_node *made[NAMED_TYPES_MAX];
    size_t count;
    bool is_out_of_memory;
};

static struct avro_node *node_of(struct compiler *compiler, avro_schema_t source);

static void *take(struct compiler *compiler, size_t bytes)
{
    void *piece = arena_take(compiler->arena, bytes > 0 ? bytes : 1);
    if (piece) {
        memset(piece, 0, bytes);
    } else {
        compiler->is_out_of_memory = true;
    }
    return piece;
}

static struct text copy_text(struct compiler *compiler, const char *from)
{
    size_t length = strlen(from);
    char *copy = take(compiler, length + 1);
    if (!copy) {
        return (struct text){NULL, 0};
    }
    memcpy(copy, from, length + 1);
    return (struct text){copy, (uint32_t)length};
}

static bool fill_record(struct compiler *compiler, avro_schema_t source, struct avro_node *node)
{
    node->count = (uint32_t)avro_schema_record_size(source);
    const struct avro_node **nodes = take(compiler, sizeof(struct avro_node *) * node->count);
    struct text *names = take(compiler, sizeof(*names) * node->count);
    node->aliases = take(compiler, sizeof(*node->aliases) * node->count);
    if (!nodes || !names || !node->aliases) {
        return false;
    }
    node->nodes = nodes;
    node->names = names;
    for (uint32_t i = 0; i < node->count; i++) {
        names[i] = copy_text(compiler, avro_schema_record_field_name(source, (int)i));
        nodes[i] = node_of(compiler, avro_schema_record_field_get_by_index(source, (int)i));
        if (!names[i].data || !nodes[i]) {
            return false;
        }
    }
    return true;
}

static bool fill_union(struct compiler *compiler, avro_schema_t source, struct avro_node *node)
{
    node->count = (uint32_t)avro_schema_union_size(source);
    const struct avro_node **nodes = take(compiler, sizeof(struct avro_node *) * node->count);
    if (!nodes) {
        return false;
    }
    node->nodes = nodes;
    for (uint32_t i = 0; i < node->count; i++) {
        nodes[i] = node_of(compiler, avro_schema_union_branch(source, (int)i));
        if (!nodes[i]) {
            return false;
        }
    }
    return true;
}

static bool fill_enum(struct compiler *compiler, avro_schema_t source, struct avro_node *node)
{
    node->count = (uint32_t)avro_schema_enum_number_of_symbols(source);
    struct text *names = take(compiler, sizeof(*names) * node->count);
    if (!names) {
        return false;
    }
    node->names = names;
    for (uint32_t i = 0; i < node->count; i++) {
        names[i] = copy_text(compiler, avro_schema_enum_get(source, (int)i));
        if (!names[i].data) {
            return false;
        }
    }
    return true;
}

static bool fill_items(struct compiler *compiler, avro_schema_t items, struct avro_node *node)
{
    const struct avro_node **nodes = take(compiler, sizeof(struct avro_node *));
    if (!nodes) {
        return false;
    }
    nodes[0] = node_of(compiler, items);
    node->nodes = nodes;
    node->count = 1;
    return nodes[0] != NULL;
}

static bool fill(struct compiler *compiler, avro_schema_t source, struct avro_node *node)
{
    switch (avro_typeof(source)) {
    case AVRO_NULL:
        node->kind = AVRO_KIND_NULL;
        return true;
    case AVRO_BOOLEAN:
        node->kind = AVRO_KIND_BOOLEAN;
        return true;
    case AVRO_INT32:
        node->kind = AVRO_KIND_INT;
        return true;
    case AVRO_INT64:
        node->kind = AVRO_KIND_LONG;
        return true;
    case AVRO_FLOAT:
        node->kind = AVRO_KIND_FLOAT;
        return true;
    case AVRO_DOUBLE:
        node->kind = AVRO_KIND_DOUBLE;
        return true;
    case AVRO_BYTES:
        node->kind = AVRO_KIND_BYTES;
        return true;
    case AVRO_STRING:
        node->kind = AVRO_KIND_STRING;
        return true;
    case AVRO_FIXED:
        node->kind = AVRO_KIND_FIXED;
        node->count = (uint32_t)avro_schema_fixed_size(source);
        return true;
    case AVRO_ENUM:
        node->kind = AVRO_KIND_ENUM;
        return fill_enum(compiler, source, node);
    case AVRO_ARRAY:
        node->kind = AVRO_KIND_ARRAY;
        return fill_items(compiler, avro_schema_array_items(source), node);
    case AVRO_MAP:
        node->kind = AVRO_KIND_MAP;
        return fill_items(compiler, avro_schema_map_values(source), node);
    case AVRO_UNION:
        node->kind = AVRO_KIND_UNION;
        return fill_union(compiler, source, node);
    case AVRO_RECORD:
        node->kind = AVRO_KIND_RECORD;
        return fill_record(compiler, source, node);
    default:
        return false;
    }
}

static void set_quick(struct avro_node *node)
{
    if (node->kind == AVRO_KIND_INT || node->kind == AVRO_KIND_LONG) {
        node->quick = AVRO_QUICK_LONG;
    } else if (node->kind == AVRO_KIND_BYTES || node->kind == AVRO_KIND_STRING) {
        node->quick = AVRO_QUICK_BYTES;
    } else if (node->kind == AVRO_KIND_UNION && node->count == 2 &&
               (node->nodes[0]->kind == AVRO_KIND_NULL) !=
                   (node->nodes[1]->kind == AVRO_KIND_NULL)) {
        node->null_branch = node->nodes[0]->kind == AVRO_KIND_NULL ? 0 : 1;
        uint8_t other = node->nodes[!node->null_branch]->quick;
        if (other == AVRO_QUICK_LONG) {
            node->quick = AVRO_QUICK_NULL_OR_LONG;
        } else if (other == AVRO_QUICK_BYTES) {
            node->quick = AVRO_QUICK_NULL_OR_BYTES;
        }
    }
}

static struct avro_node *node_of(struct compiler *compiler, avro_schema_t source)
{
    if (is_avro_link(source)) {
        source = avro_schema_link_target(source);
    }
    bool is_named = is_avro_record(source) || is_avro_enum(source) || is_avro_fixed(source);
    for (size_t i = 0; is_named && i < compiler->count; i++) {
        if (compiler->sources[i] == source) {
            return compiler->made[i];
        }
    }
    struct avro_node *node = take(compiler, sizeof(*node));
    if (!node || (is_named && compiler->count == NAMED_TYPES_MAX)) {
        return NULL;
    }
    if (is_named) {
        compiler->sources[compiler->count] = source;
        compiler->made[compiler->count] = node;
        compiler->count++;
    }
    if (!fill(compiler, source, node)) {
        return NULL;
    }
    set_quick(node);
    return node;
}

static void annotate(struct compiler *compiler, struct avro_node *node,
                     const struct yaml_node *json);

static void annotate_aliases(struct compiler *compiler, struct avro_names *aliases,
                             const struct yaml_node *json)
{
    if (!json || json->kind != YAML_SEQUENCE) {
        return;
    }
    struct text *items = take(compiler, sizeof(*items) * json->child_count);
    if (!items) {
        return;
    }
    for (size_t i = 0; i < json->child_count; i++) {
        const char *alias = json->children[i].scalar;
        items[i] = copy_text(compiler, alias ? alias : "");
    }
    *aliases = (struct avro_names){items, (uint32_t)json->child_count};
}

static void annotate_record(struct compiler *compiler, struct avro_node *node,
                            const struct yaml_node *json)
{
    const struct yaml_node *fields = yaml_find(json, "fields");
    if (!fields || fields->kind != YAML_SEQUENCE) {
        return; /* A reference: its definition is annotated where it stands. */
    }
    for (size_t i = 0; i < fields->child_count && i < node->count; i++) {
        const struct yaml_node *field = &fields->children[i];
        annotate_aliases(compiler, &node->aliases[i], yaml_find(field, "aliases"));
        annotate(compiler, (struct avro_node *)(uintptr_t)node->nodes[i], yaml_find(field, "type"));
    }
}

static void annotate_type(struct compiler *compiler, struct avro_node *node,
                          const struct yaml_node *json)
{
    const struct yaml_node *type = yaml_find(json, "type");
    const struct yaml_node *logical = yaml_find(json, "logicalType");
    if (type && type->kind != YAML_SCALAR) {
        annotate(compiler, node, type);
        return;
    }
    if (node->kind == AVRO_KIND_LONG && logical && logical->kind == YAML_SCALAR) {
        if (strcmp(logical->scalar, "timestamp-millis") == 0) {
            node->logical = AVRO_TIMESTAMP_MILLIS;
        } else if (strcmp(logical->scalar, "timestamp-micros") == 0) {
            node->logical = AVRO_TIMESTAMP_MICROS;
        }
    }
    const char *inside = node->kind == AVRO_KIND_ARRAY ? "items" : "values";
    if (node->kind == AVRO_KIND_ARRAY || node->kind == AVRO_KIND_MAP) {
        annotate(compiler, (struct avro_node *)(uintptr_t)node->nodes[0], yaml_find(json, inside));
    }
    if (node->kind == AVRO_KIND_RECORD) {
        annotate_record(compiler, node, json);
    }
}

/* Adds logical types and aliases, which stand at the same places in the schema's own text. */
static void annotate(struct compiler *compiler, struct avro_node *node,
                     const struct yaml_node *json)
{
    if (!json || json->kind == YAML_SCALAR) {
        return;
    }
    if (json->kind == YAML_MAPPING) {
        annotate_type(compiler, node, json);
        return;
    }
    for (size_t i = 0; node->kind == AVRO_KIND_UNION && i < json->child_count && i < node->count;
         i++) {
        annotate(compiler, (struct avro_node *)(uintptr_t)node->nodes[i], &json->children[i]);
    }
}

static enum status compile_tree(const char *name, avro_schema_t parsed,
                                const struct yaml_node *json, struct avro_schema *schema,
                                struct error *error)
{
    struct compiler *compiler = calloc(1, sizeof(*compiler));
    if (!compiler) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    compiler->arena = &schema->arena;
    struct avro_node *root = node_of(compiler, parsed);
    if (root) {
        annotate(compiler, root, json);
    }
    bool is_out_of_memory = compiler->is_out_of_memory;
    free(compiler);
    if (is_out_of_memory) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    if (!root) {
        return error_set(error, STATUS_INVALID,
                         "%s: schema with a type that is not known, or %u "
                         "named types",
                         name, NAMED_TYPES_MAX);
    }
    if (root->kind != AVRO_KIND_RECORD) {
        return error_set(error, STATUS_INVALID, "%s: its schema is not one of a record", name);
    }
    schema->root = root;
    return STATUS_OK;
}

enum status avro_schema_compile(const char *name, const char *json, size_t length,
                                struct avro_schema **ret_schema, struct error *error)
{
    avro_schema_t parsed = NULL;
    if (avro_schema_from_json_length(json, length, &parsed) != 0) {
        return error_set(error, STATUS_INVALID, "%s: Avro schema: %s", name, avro_strerror());
    }
    struct yaml_document *document = NULL;
    struct avro_schema *schema = calloc(1, sizeof(*schema));
    if (!schema) {
        (void)avro_schema_decref(parsed);
        return error_set(error, STATUS_FATAL, "%s: out of memory", name);
    }
    arena_init(&schema->arena, 16384);
    enum status status = yaml_parse(name, json, length, &document, error);
    if (status == STATUS_OK) {
        status = compile_tree(name, parsed, yaml_root(document), schema, error);
    }
    yaml_unload(document);
    (void)avro_schema_decref(parsed);
    if (status != STATUS_OK) {
        avro_schema_release(schema);
        return status;
    }
    *ret_schema = schema;
    return STATUS_OK;
}

void avro_schema_release(struct avro_schema *schema)
{
    if (schema) {
        arena_release(&schema->arena);
        free(schema);
    }
}

const struct avro_node *avro_schema_root(const struct avro_schema *schema)
{
    return schema->root;
}

bool avro_read_long_slowly(struct avro_cursor *cursor, int64_t *ret_value)
{
    uint64_t value = 0;
    const unsigned char *at = cursor->next;
    for (unsigned shift = 0; at < cursor->end && shift < 64; shift += 7) {
        unsigned char byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            cursor->next = at;
            return true;
        }
    }
    return false;
}

static bool skip_datum(struct avro_cursor *cursor, const struct avro_node *node, int depth);

/* Arrays and maps come in blocks; a negative count is followed by the block's bytes. */
static bool skip_blocks(struct avro_cursor *cursor, const struct avro_node *node, int depth)
{
    for (;;) {
        int64_t count = 0;
        if (!avro_read_long(cursor, &count)) {
            return false;
        }
        if (count == 0) {
            return true;
        }
        if (count < 0) {
            struct text block;
            if (!avro_read_bytes(cursor, &block)) {
                return false;
            }
            continue;
        }
        if (count > cursor->end - cursor->next) {
            return false; /* Items without bytes are of no use to anybody, and would take forever.
                           */
        }
        for (int64_t i = 0; i < count; i++) {
            struct text key;
            if ((node->kind == AVRO_KIND_MAP && !avro_read_bytes(cursor, &key)) ||
                !skip_datum(cursor, node->nodes[0], depth + 1)) {
                return false;
            }
        }
    }
}

static bool skip_record(struct avro_cursor *cursor, const struct avro_node *node, int depth)
{
    for (uint32_t i = 0; i < node->count; i++) {
        const struct avro_node *field = node->nodes[i];
        bool is_there = true;
        bool is_fine = true;
        int64_t number;
        struct text bytes;
        switch (field->quick) {
        case AVRO_QUICK_NULL_OR_LONG:
            is_fine = avro_read_is_there(cursor, field->null_branch, &is_there) &&
                      (!is_there || avro_read_long(cursor, &number));
            break;
        case AVRO_QUICK_NULL_OR_BYTES:
            is_fine = avro_read_is_there(cursor, field->null_branch, &is_there) &&
                      (!is_there || avro_read_bytes(cursor, &bytes));
            break;
        case AVRO_QUICK_LONG:
            is_fine = avro_read_long(cursor, &number);
            break;
        case AVRO_QUICK_BYTES:
            is_fine = avro_read_bytes(cursor, &bytes);
            break;
        default:
            is_fine = skip_datum(cursor, field, depth + 1);
            break;
        }
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

static bool skip_datum(struct avro_cursor *cursor, const struct avro_node *node, int depth)
{
    int64_t number = 0;
    struct text bytes;
    if (node->kind == AVRO_KIND_UNION) {
        if (!avro_read_long(cursor, &number) || number < 0 || number >= node->count) {
            return false;
        }
        node = node->nodes[number];
    }
    switch (node->kind) {
    case AVRO_KIND_NULL:
        return true;
    case AVRO_KIND_BOOLEAN:
        return avro_skip_bytes(cursor, 1);
    case AVRO_KIND_INT:
    case AVRO_KIND_LONG:
    case AVRO_KIND_ENUM:
        return avro_read_long(cursor, &number);
    case AVRO_KIND_FLOAT:
        return avro_skip_bytes(cursor, 4);
    case AVRO_KIND_DOUBLE:
        return avro_skip_bytes(cursor, 8);
    case AVRO_KIND_BYTES:
    case AVRO_KIND_STRING:
        return avro_read_bytes(cursor, &bytes);
    case AVRO_KIND_FIXED:
        return avro_skip_bytes(cursor, node->count);
    case AVRO_KIND_ARRAY:
    case AVRO_KIND_MAP:
        return depth < NESTING_MAX && skip_blocks(cursor, node, depth);
    case AVRO_KIND_RECORD:
        return depth < NESTING_MAX && skip_record(cursor, node, depth);
    case AVRO_KIND_UNION:
        break; /* A union in a union is no schema. */
    }
    return false;
}

bool avro_skip_datum(struct avro_cursor *cursor, const struct avro_node *node)
{
    return skip_datum(cursor, node, 0);
}
