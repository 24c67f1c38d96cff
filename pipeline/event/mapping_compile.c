/* Compiles a mapping file as a whole. */
#include "pipeline/event/mapping_plan.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ARENA_BLOCK_BYTES 65536u
#define IDENTITY_MASK (1ull << FIELD_USER_ID | 1ull << FIELD_DEVICE_ID | 1ull << FIELD_IP)

static const char *const mapping_keys[] = {"fields",   "attributes",         "let", "rules",
                                           "route_by", "trust_session_hint", NULL};

/* ---- Fields ---- */

void fields_add(struct field_plans *fields, const struct field_plan *plan)
{
    fields->items[fields->count++] = *plan;
    fields->mask |= 1ull << plan->field;
    fields->attribute_count += plan->field == FIELD_ATTRIBUTES;
}

static enum value_use use_of(enum event_field field)
{
    if (field == FIELD_TYPE_WORD) {
        return USE_TYPE;
    }
    if (field == FIELD_EVENT_TIME) {
        return USE_TIME;
    }
    return (int)field < (int)TEXT_FIELD_COUNT ? USE_TEXT : USE_NUMBER;
}

static enum status complain_field(const struct yaml_node *node, struct error *error)
{
    if (strcmp(node->key, "attributes") == 0) {
        return yaml_complain(node, error, "expected beside the fields, not among them");
    }
    const char *names[FIELD_ATTRIBUTES];
    for (int field = 0; field < FIELD_ATTRIBUTES; field++) {
        names[field] = event_fields[field].name;
    }
    const char *near = nearest_name(node->key, names, FIELD_ATTRIBUTES);
    return yaml_complain(node, error,
                         "expected a field of the event; see `nudge describe events`%s%s%s",
                         near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

enum status fields_compile(struct mapping *mapping, const struct capture_names *captures,
                           const struct yaml_node *node, struct field_plans *fields,
                           struct error *error)
{
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "expected fields and where they come from");
    }
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        struct field_plan plan = {.field = event_field_of(text_of(child->key))};
        if (plan.field >= FIELD_ATTRIBUTES) {
            return complain_field(child, error);
        }
        if (fields->mask >> plan.field & 1) {
            return yaml_complain(child, error, "expected once");
        }
        enum status status =
            value_compile(mapping, captures, child, use_of(plan.field), &plan.value, error);
        if (status != STATUS_OK) {
            return status;
        }
        fields_add(fields, &plan);
    }
    return STATUS_OK;
}

enum status attributes_compile(struct mapping *mapping, const struct capture_names *captures,
                               const struct yaml_node *node, struct field_plans *fields,
                               struct error *error)
{
    if (node->kind == YAML_SCALAR || node->child_count > EVENT_ATTRIBUTES_MAX / 2) {
        return yaml_complain(node, error,
                             "expected at most %u names of fields, or names and values",
                             EVENT_ATTRIBUTES_MAX / 2);
    }
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yaml_node *child = &node->children[i];
        struct field_plan plan = {.field = FIELD_ATTRIBUTES};
        if (node->kind == YAML_SEQUENCE && child->kind != YAML_SCALAR) {
            return yaml_complain(child, error, "expected the name of a source field");
        }
        const char *name = node->kind == YAML_SEQUENCE ? child->scalar : child->key;
        enum status status = mapping_keep(mapping, name, &plan.name, error);
        if (status == STATUS_OK) {
            status = value_compile(mapping, captures, child, USE_TEXT, &plan.value, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
        fields_add(fields, &plan);
    }
    return STATUS_OK;
}

/* ---- Sections ---- */

static enum status compile_lets(struct mapping *mapping, const struct yaml_node *node,
                                struct error *error)
{
    if (node->kind != YAML_MAPPING || node->child_count > MAPPING_LETS_MAX) {
        return yaml_complain(node, error, "expected at most %u names and values", MAPPING_LETS_MAX);
    }
    enum status status = STATUS_OK;
    mapping->lets =
        mapping_take(mapping, sizeof(*mapping->lets) * node->child_count, &status, error);
    for (size_t i = 0; status == STATUS_OK && i < node->child_count; i++) {
        struct let_plan *let = &mapping->lets[i];
        status = mapping_keep(mapping, node->children[i].key, &let->name, error);
        if (status == STATUS_OK) {
            /* A let sees those above it; under its own name it sees the source's field. */
            status = value_compile(mapping, NULL, &node->children[i], USE_TEXT, &let->value, error);
        }
        mapping->let_count += status == STATUS_OK;
    }
    return status;
}

static enum status compile_rules(struct mapping *mapping, const struct yaml_node *node,
                                 struct error *error)
{
    if (node->kind != YAML_SEQUENCE || node->child_count > MAPPING_RULES_MAX) {
        return yaml_complain(node, error, "expected a list of at most %u rules", MAPPING_RULES_MAX);
    }
    enum status status = STATUS_OK;
    mapping->rules =
        mapping_take(mapping, sizeof(*mapping->rules) * node->child_count, &status, error);
    for (size_t i = 0; status == STATUS_OK && i < node->child_count; i++) {
        struct rule_plan *rule = &mapping->rules[i];
        status = rule_compile(mapping, &node->children[i], rule, error);
        mapping->rule_count += status == STATUS_OK;
        mapping->traits.drops_rows = mapping->traits.drops_rows || rule->is_skip;
        if (status == STATUS_OK && rule->condition_count == 0 && i + 1 < node->child_count) {
            return yaml_complain(&node->children[i], error,
                                 "without when it always holds, and the rules after it never do");
        }
    }
    return status;
}

static uint64_t rules_mask(const struct mapping *mapping)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < mapping->rule_count; i++) {
        mask |= mapping->rules[i].fields.mask;
    }
    return mask;
}

static enum status compile_traits(struct mapping *mapping, const struct yaml_node *root,
                                  uint64_t mask, struct error *error)
{
    static const enum event_field routes[] = {FIELD_USER_ID, FIELD_DEVICE_ID, FIELD_IP,
                                              FIELD_INSTRUMENT, FIELD_MERCHANT};
    const struct yaml_node *trust = yaml_find(root, "trust_session_hint");
    const struct yaml_node *route = yaml_find(root, "route_by");
    if (trust) {
        enum status status = yaml_bool(trust, &mapping->traits.is_session_hint_trusted, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (mapping->traits.is_session_hint_trusted && !(mask >> FIELD_SESSION_HINT & 1)) {
            return yaml_complain(trust, error, "expected the field session_hint to be mapped");
        }
    }
    for (size_t i = COUNT_OF(routes); i-- > 0;) {
        if (mask >> routes[i] & 1) {
            mapping->traits.user_field = routes[i];
        }
    }
    const char *wanted = route && route->kind == YAML_SCALAR ? route->scalar : "";
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        bool is_mapped = mask >> routes[i] & 1;
        bool is_named = strcmp(wanted, event_fields[routes[i]].name) == 0;
        if (is_named && !is_mapped) {
            return yaml_complain(route, error, "expected the field %s to be mapped", wanted);
        }
        if (route ? is_named : is_mapped) {
            mapping->traits.route_field = routes[i];
            return STATUS_OK;
        }
    }
    const char *names[COUNT_OF(routes)];
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        names[i] = event_fields[routes[i]].name;
    }
    const char *near = nearest_name(wanted, names, COUNT_OF(routes));
    return yaml_complain(route ? route : root, error,
                         "\"%.64s\": expected user_id, device_id, ip, payment_instrument or "
                         "merchant%s%s%s",
                         wanted, near ? "; did you mean \"" : "", near ? near : "",
                         near ? "\"?" : "");
}

static enum status check_complete(const struct mapping *mapping, const struct yaml_node *root,
                                  uint64_t mask, struct error *error)
{
    const struct yaml_node *fields = yaml_find(root, "fields");
    const struct yaml_node *place = fields ? fields : root;
    if (!(mapping->fields.mask >> FIELD_EVENT_TIME & 1)) {
        return yaml_complain(place, error, "expected the field event_time");
    }
    if (!(mask >> FIELD_TYPE_WORD & 1)) {
        return yaml_complain(place, error, "expected the field type, or rules that set it");
    }
    if (!(mask & IDENTITY_MASK)) {
        return yaml_complain(place, error, "expected one of the fields user_id, device_id and ip");
    }
    return STATUS_OK;
}

static enum status compile(struct mapping *mapping, const struct yaml_node *root,
                           struct error *error)
{
    const struct yaml_node *fields = yaml_find(root, "fields");
    const struct yaml_node *attributes = yaml_find(root, "attributes");
    const struct yaml_node *lets = yaml_find(root, "let");
    const struct yaml_node *rules = yaml_find(root, "rules");
    if (root->kind != YAML_MAPPING) {
        return yaml_complain(root, error, "expected fields and where they come from");
    }
    enum status status = yaml_known_keys(root, mapping_keys, error);
    if (status == STATUS_OK) {
        mapping->sources.items =
            mapping_take(mapping, sizeof(char *) * MAPPING_SOURCES_MAX, &status, error);
    }
    if (status == STATUS_OK) {
        size_t room = EVENT_FIELD_COUNT + EVENT_ATTRIBUTES_MAX;
        mapping->fields.items =
            mapping_take(mapping, sizeof(*mapping->fields.items) * room, &status, error);
    }
    if (status == STATUS_OK && lets) {
        status = compile_lets(mapping, lets, error);
    }
    if (status == STATUS_OK && fields) {
        status = fields_compile(mapping, NULL, fields, &mapping->fields, error);
    }
    if (status == STATUS_OK && attributes) {
        status = attributes_compile(mapping, NULL, attributes, &mapping->fields, error);
    }
    if (status == STATUS_OK && rules) {
        status = compile_rules(mapping, rules, error);
    }
    uint64_t mask = mapping->fields.mask | rules_mask(mapping);
    if (status == STATUS_OK) {
        status = check_complete(mapping, root, mask, error);
    }
    return status == STATUS_OK ? compile_traits(mapping, root, mask, error) : status;
}

/* The canonical event as a mapping of its own: each field from the field of the same name. */
static enum status parse_canonical(struct yaml_document **ret_document, struct error *error)
{
    char text[4096];
    size_t length = 0;
    length += (size_t)snprintf(text, sizeof(text), "fields:\n");
    for (int field = 0; field < FIELD_ATTRIBUTES; field++) {
        const char *name = event_fields[field].name;
        const char *rest = field == FIELD_EVENT_TIME ? ", format: [epoch_ms, iso]"
                           : field == FIELD_PRICE    ? ", factor: 0.000001"
                                                     : "";
        length += (size_t)snprintf(text + length, sizeof(text) - length, "  %s: {from: %s%s}\n",
                                   name, name, rest);
        assert(length < sizeof(text));
    }
    return yaml_parse("canonical events", text, length, ret_document, error);
}

enum status mapping_compile(const char *path, struct mapping **ret_mapping, struct error *error)
{
    struct yaml_document *document = NULL;
    enum status status =
        path ? yaml_load(path, &document, error) : parse_canonical(&document, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct mapping *mapping = calloc(1, sizeof(*mapping));
    if (!mapping) {
        yaml_unload(document);
        return error_set(error, STATUS_FATAL, "mapping: out of memory");
    }
    mapping->is_canonical = path == NULL;
    arena_init(&mapping->arena, ARENA_BLOCK_BYTES);
    status = compile(mapping, yaml_root(document), error);
    yaml_unload(document);
    if (status != STATUS_OK) {
        mapping_destroy(mapping);
        return status;
    }
    *ret_mapping = mapping;
    return STATUS_OK;
}

void mapping_destroy(struct mapping *mapping)
{
    if (!mapping) {
        return;
    }
    for (struct owned_object *owned = mapping->owned; owned; owned = owned->next) {
        text_pattern_destroy(owned->pattern);
        time_zone_destroy(owned->zone);
    }
    arena_release(&mapping->arena);
    free(mapping);
}

const struct text_list *mapping_source_fields(const struct mapping *mapping)
{
    return &mapping->sources;
}

bool mapping_is_canonical(const struct mapping *mapping)
{
    return mapping->is_canonical;
}

struct mapping_traits mapping_traits(const struct mapping *mapping)
{
    return mapping->traits;
}
