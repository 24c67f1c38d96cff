/* Compiles the rules of a mapping: conditions, and what is set where they hold. */
#include "pipeline/event/mapping_plan.h"

#include <math.h>

static const char *const rule_keys[] = {"when", "skip", "type", "set", "attributes", NULL};
static const char *const condition_keys[] = {"any", "not", "ignore_case", NULL};

/* Reads FROM..TO, of which one may be missing. False where the text is something else. */
static bool parse_range(const char *text, struct test_plan *ret)
{
    const char *dots = strstr(text, "..");
    if (!dots || text[strspn(text, "+-.0123456789")] != '\0') {
        return false;
    }
    struct text low = {text, (uint32_t)(dots - text)};
    struct text high = text_of(dots + 2);
    int64_t millionths = 0;
    *ret = (struct test_plan){.min = -INFINITY, .max = INFINITY};
    if (low.length == 0 && high.length == 0) {
        return false;
    }
    if (low.length > 0) {
        if (decimal_parse(low, &decimal_plain, 6, &millionths) != DECIMAL_OK) {
            return false;
        }
        ret->min = (double)millionths / 1e6;
    }
    if (high.length > 0) {
        if (decimal_parse(high, &decimal_plain, 6, &millionths) != DECIMAL_OK) {
            return false;
        }
        ret->max = (double)millionths / 1e6;
    }
    return true;
}

static enum status compile_tests(struct mapping *mapping, const struct yaml_node *node,
                                 bool ignores_case, struct capture_names *captures,
                                 struct test_plan **ret_tests, uint32_t *ret_count,
                                 bool *ret_wants_missing, struct error *error)
{
    const struct yaml_node *items = NULL;
    uint32_t count = 0;
    enum status status = node_list(node, &items, &count, MAPPING_PATTERNS_MAX, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct test_plan *tests = mapping_take(mapping, sizeof(*tests) * count, &status, error);
    uint32_t used = 0;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct yaml_node *item = &items[i];
        if (ret_wants_missing && yaml_is_null(item) && item->kind == YAML_SCALAR) {
            *ret_wants_missing = true;
            continue;
        }
        assert(tests);
        struct test_plan *test = &tests[used++];
        if (item->kind == YAML_SCALAR && !item->is_quoted && parse_range(item->scalar, test)) {
            continue;
        }
        const struct text_pattern **pattern = NULL;
        uint32_t one = 0;
        if (item->kind != YAML_SCALAR) {
            return yaml_complain(item, error, "expected a pattern or a range such as 200..299");
        }
        status = patterns_compile(mapping, item, ignores_case, captures, &pattern, &one, error);
        test->pattern = status == STATUS_OK ? pattern[0] : NULL;
    }
    *ret_tests = tests;
    *ret_count = used;
    return status;
}

static enum status compile_condition(struct mapping *mapping, const struct yaml_node *node,
                                     struct capture_names *captures, struct condition_plan *ret,
                                     struct error *error)
{
    enum status status = value_compile_name(mapping, NULL, node->key, node, &ret->value, error);
    if (status == STATUS_OK) {
        status = mapping_keep(mapping, node->key, &ret->name, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (yaml_is_null(node)) {
        ret->wants_missing = true;
        return STATUS_OK;
    }
    if (node->kind != YAML_MAPPING) {
        return compile_tests(mapping, node, false, captures, &ret->any, &ret->any_count,
                             &ret->wants_missing, error);
    }
    const struct yaml_node *any = yaml_find(node, "any");
    const struct yaml_node *none = yaml_find(node, "not");
    const struct yaml_node *letters = yaml_find(node, "ignore_case");
    bool ignores_case = false;
    status = yaml_known_keys(node, condition_keys, error);
    if (status == STATUS_OK && !any && !none) {
        return yaml_complain(node, error, "expected any or not");
    }
    if (status == STATUS_OK && letters) {
        status = yaml_bool(letters, &ignores_case, error);
    }
    if (status == STATUS_OK && any) {
        status = compile_tests(mapping, any, ignores_case, captures, &ret->any, &ret->any_count,
                               &ret->wants_missing, error);
    }
    struct capture_names unused = {0};
    if (status == STATUS_OK && none) {
        status = compile_tests(mapping, none, ignores_case, &unused, &ret->none, &ret->none_count,
                               NULL, error);
        if (status == STATUS_OK && unused.count > 0) {
            return yaml_complain(none, error, "expected no captures in what must not fit");
        }
    }
    return status;
}

static enum status compile_when(struct mapping *mapping, const struct yaml_node *when,
                                struct rule_plan *rule, struct error *error)
{
    if (!when) {
        return STATUS_OK;
    }
    if (when->kind != YAML_MAPPING || when->child_count == 0) {
        return yaml_complain(when, error, "expected fields and the patterns they are to fit");
    }
    enum status status = STATUS_OK;
    rule->conditions =
        mapping_take(mapping, sizeof(*rule->conditions) * when->child_count, &status, error);
    rule->condition_count = (uint32_t)when->child_count;
    for (size_t i = 0; status == STATUS_OK && i < when->child_count; i++) {
        assert(rule->conditions);
        status = compile_condition(mapping, &when->children[i], &rule->captures,
                                   &rule->conditions[i], error);
    }
    return status;
}

static enum status add_type(struct mapping *mapping, const struct yaml_node *type,
                            struct field_plans *fields, struct error *error)
{
    struct field_plan plan = {.field = FIELD_TYPE_WORD};
    if (type->kind != YAML_SCALAR) {
        return yaml_complain(type, error, "expected a type of event");
    }
    enum status status = check_type_word(type, type->scalar, error);
    if (status == STATUS_OK) {
        plan.value.origin = ORIGIN_CONSTANT;
        status = mapping_keep(mapping, type->scalar, &plan.value.constant, error);
    }
    if (status == STATUS_OK) {
        fields_add(fields, &plan);
    }
    return status;
}

/* A capture that bears the name of a text field sets it, unless `set` does. */
static void add_captured(struct rule_plan *rule)
{
    for (uint32_t i = 0; i < rule->captures.count; i++) {
        enum event_field field = event_field_of(text_of(rule->captures.names[i]));
        if ((int)field < (int)TEXT_FIELD_COUNT && !(rule->fields.mask >> field & 1)) {
            struct field_plan plan = {.field = field};
            plan.value.origin = ORIGIN_CAPTURE;
            plan.value.index = i;
            fields_add(&rule->fields, &plan);
        }
    }
}

static size_t child_count(const struct yaml_node *node)
{
    return node ? node->child_count : 0;
}

static enum status compile_sets(struct mapping *mapping, const struct yaml_node *node,
                                struct rule_plan *rule, struct error *error)
{
    const struct yaml_node *type = yaml_find(node, "type");
    const struct yaml_node *set = yaml_find(node, "set");
    const struct yaml_node *attributes = yaml_find(node, "attributes");
    size_t room = 1 + rule->captures.count + child_count(set) + child_count(attributes);
    enum status status = STATUS_OK;
    rule->fields.items = mapping_take(mapping, sizeof(*rule->fields.items) * room, &status, error);
    if (status == STATUS_OK && type) {
        status = add_type(mapping, type, &rule->fields, error);
    }
    if (status == STATUS_OK && set) {
        status = fields_compile(mapping, &rule->captures, set, &rule->fields, error);
    }
    if (status == STATUS_OK && attributes) {
        status = attributes_compile(mapping, &rule->captures, attributes, &rule->fields, error);
    }
    if (status == STATUS_OK) {
        add_captured(rule);
    }
    return status;
}

enum status rule_compile(struct mapping *mapping, const struct yaml_node *node,
                         struct rule_plan *ret_rule, struct error *error)
{
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "expected a rule with when, and skip or type");
    }
    ret_rule->line = node->line;
    enum status status = yaml_known_keys(node, rule_keys, error);
    if (status == STATUS_OK) {
        status = compile_when(mapping, yaml_find(node, "when"), ret_rule, error);
    }
    const struct yaml_node *skip = yaml_find(node, "skip");
    if (status == STATUS_OK && skip) {
        status = yaml_bool(skip, &ret_rule->is_skip, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool has_more =
        yaml_find(node, "type") || yaml_find(node, "set") || yaml_find(node, "attributes");
    if (ret_rule->is_skip == has_more) {
        return yaml_complain(node, error, "expected either skip: true, or type, set or attributes");
    }
    return ret_rule->is_skip ? STATUS_OK : compile_sets(mapping, node, ret_rule, error);
}
