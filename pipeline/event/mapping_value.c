/* Compiles one value of a mapping: where it comes from and the steps that it takes. */
#include "pipeline/event/mapping_plan.h"

static const char *const value_keys[] = {
    "from",   "constant", "first",  "join",    "separator", "part",     "extract",
    "split",  "take",     "decode", "case",    "map",       "default",  "hash",
    "format", "zone",     "group",  "decimal", "factor",    "absolute", NULL};

void *mapping_take(struct mapping *mapping, size_t bytes, enum status *ret_status,
                   struct error *error)
{
    void *taken = arena_take(&mapping->arena, bytes);
    if (taken) {
        memset(taken, 0, bytes);
    } else {
        *ret_status = error_set(error, STATUS_FATAL, "mapping: out of memory");
    }
    return taken;
}

enum status mapping_keep(struct mapping *mapping, const char *terminated, struct text *ret_text,
                         struct error *error)
{
    enum status status = STATUS_OK;
    struct text text = text_of(terminated);
    char *copy = mapping_take(mapping, (size_t)text.length + 1, &status, error);
    if (copy) {
        memcpy(copy, terminated, (size_t)text.length + 1);
        *ret_text = (struct text){copy, text.length};
    }
    return status;
}

enum status node_list(const struct yaml_node *node, const struct yaml_node **ret_items,
                      uint32_t *ret_count, uint32_t max, struct error *error)
{
    if (node->kind == YAML_SCALAR && !yaml_is_null(node)) {
        *ret_items = node;
        *ret_count = 1;
        return STATUS_OK;
    }
    if (node->kind != YAML_SEQUENCE || node->child_count == 0 || node->child_count > max) {
        return yaml_complain(node, error, "expected a text, or a list of 1 to %u", max);
    }
    *ret_items = node->children;
    *ret_count = (uint32_t)node->child_count;
    return STATUS_OK;
}

static enum status own(struct mapping *mapping, struct text_pattern *pattern,
                       struct time_zone *zone, struct error *error)
{
    enum status status = STATUS_OK;
    struct owned_object *owned = mapping_take(mapping, sizeof(*owned), &status, error);
    if (!owned) {
        text_pattern_destroy(pattern);
        time_zone_destroy(zone);
        return status;
    }
    *owned = (struct owned_object){mapping->owned, pattern, zone};
    mapping->owned = owned;
    return STATUS_OK;
}

static enum status pattern_compile(struct mapping *mapping, const struct yaml_node *node,
                                   bool ignores_case, struct capture_names *captures,
                                   const struct text_pattern **ret_pattern, struct error *error)
{
    if (node->kind != YAML_SCALAR) {
        return yaml_complain(node, error, "expected a pattern");
    }
    struct error cause;
    struct text_pattern *pattern = NULL;
    enum status status =
        text_pattern_compile(node->scalar, ignores_case, captures, &pattern, &cause);
    if (status != STATUS_OK) {
        yaml_complain_format(node, error, "\"%.200s\": %s", node->scalar, cause.message);
        return status; /* Wrong, or out of memory. */
    }
    *ret_pattern = pattern;
    return own(mapping, pattern, NULL, error);
}

enum status patterns_compile(struct mapping *mapping, const struct yaml_node *node,
                             bool ignores_case, struct capture_names *captures,
                             const struct text_pattern ***ret_patterns, uint32_t *ret_count,
                             struct error *error)
{
    const struct yaml_node *items = NULL;
    uint32_t count = 0;
    enum status status = node_list(node, &items, &count, MAPPING_PATTERNS_MAX, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct text_pattern **patterns =
        mapping_take(mapping, sizeof(const void *) * count, &status, error);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        status = pattern_compile(mapping, &items[i], ignores_case, captures, &patterns[i], error);
    }
    *ret_patterns = patterns;
    *ret_count = count;
    return status;
}

/* ---- Origins ---- */

/* Index of the source field of that name, added where it is new. */
static enum status source_index(struct mapping *mapping, const char *name,
                                const struct yaml_node *node, uint32_t *ret_index,
                                struct error *error)
{
    struct text_list *sources = &mapping->sources;
    for (size_t i = 0; i < sources->count; i++) {
        if (strcmp(sources->items[i], name) == 0) {
            *ret_index = (uint32_t)i;
            return STATUS_OK;
        }
    }
    if (sources->count == MAPPING_SOURCES_MAX) {
        return yaml_complain(node, error, "expected at most %u source fields", MAPPING_SOURCES_MAX);
    }
    enum status status = STATUS_OK;
    size_t length = strlen(name) + 1;
    char *copy = mapping_take(mapping, length, &status, error);
    if (copy) {
        memcpy(copy, name, length);
        *ret_index = (uint32_t)sources->count;
        sources->items[sources->count++] = copy;
    }
    return status;
}

enum status value_compile_name(struct mapping *mapping, const struct capture_names *captures,
                               const char *name, const struct yaml_node *node,
                               struct value_plan *ret_plan, struct error *error)
{
    struct text text = text_of(name);
    *ret_plan = (struct value_plan){.notation = decimal_plain};
    if (text.length >= 2 && name[0] == '{' && name[text.length - 1] == '}') {
        struct text inner = {name + 1, text.length - 2};
        int index = captures ? capture_find(captures, inner) : -1;
        if (index < 0) {
            return yaml_complain(
                node, error, "\"%.64s\": expected a capture of one of the rule's patterns", name);
        }
        ret_plan->origin = ORIGIN_CAPTURE;
        ret_plan->index = (uint32_t)index;
        return STATUS_OK;
    }
    if (text.length == 0) {
        return yaml_complain(node, error, "expected the name of a source field");
    }
    for (uint32_t i = 0; i < mapping->let_count; i++) {
        if (text_equal(mapping->lets[i].name, text)) {
            ret_plan->origin = ORIGIN_LET;
            ret_plan->index = i;
            return STATUS_OK;
        }
    }
    ret_plan->origin = ORIGIN_SOURCE;
    return source_index(mapping, name, node, &ret_plan->index, error);
}

static enum status compile_parts(struct mapping *mapping, const struct capture_names *captures,
                                 const struct yaml_node *node, struct value_plan *plan,
                                 struct error *error)
{
    if (node->kind != YAML_SEQUENCE || node->child_count == 0 ||
        node->child_count > MAPPING_PARTS_MAX) {
        return yaml_complain(node, error, "expected a list of 1 to %u values", MAPPING_PARTS_MAX);
    }
    enum status status = STATUS_OK;
    plan->part_count = (uint32_t)node->child_count;
    plan->parts = mapping_take(mapping, sizeof(*plan->parts) * node->child_count, &status, error);
    for (uint32_t i = 0; status == STATUS_OK && i < plan->part_count; i++) {
        status =
            value_compile(mapping, captures, &node->children[i], USE_TEXT, &plan->parts[i], error);
    }
    return status;
}

static enum status scalar_of(const struct yaml_node *node, struct error *error)
{
    return node->kind == YAML_SCALAR ? STATUS_OK : yaml_complain(node, error, "expected a text");
}

static enum status compile_origin(struct mapping *mapping, const struct capture_names *captures,
                                  const struct yaml_node *node, enum value_use use,
                                  struct value_plan *plan, struct error *error)
{
    static const char *const origins[] = {"from", "constant", "first", "join"};
    const struct yaml_node *origin = NULL;
    for (int i = 0; i < 4; i++) {
        const struct yaml_node *found = yaml_find(node, origins[i]);
        if (found && origin) {
            return yaml_complain(found, error, "expected one of from, constant, first and join");
        }
        origin = found ? found : origin;
    }
    if (!origin) {
        return yaml_complain(node, error, "expected from, constant, first or join");
    }
    *plan = (struct value_plan){.notation = decimal_plain};
    if (strcmp(origin->key, "first") == 0 || strcmp(origin->key, "join") == 0) {
        plan->origin = origin->key[0] == 'f' ? ORIGIN_FIRST : ORIGIN_JOIN;
        return compile_parts(mapping, captures, origin, plan, error);
    }
    enum status status = scalar_of(origin, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (strcmp(origin->key, "from") == 0) {
        return value_compile_name(mapping, captures, origin->scalar, origin, plan, error);
    }
    plan->origin = ORIGIN_CONSTANT;
    if (use == USE_TYPE) {
        status = check_type_word(origin, origin->scalar, error);
    }
    return status == STATUS_OK ? mapping_keep(mapping, origin->scalar, &plan->constant, error)
                               : status;
}

/* ---- Steps ---- */

static enum status compile_url_part(struct mapping *mapping, const struct yaml_node *node,
                                    struct value_plan *plan, struct error *error)
{
    plan->has_url_part = true;
    const char *scalar = node->kind == YAML_SCALAR ? node->scalar : "";
    if (strcmp(scalar, "host") == 0 || strcmp(scalar, "path") == 0) {
        plan->url_part = scalar[0] == 'h' ? URL_HOST : URL_PATH;
        return STATUS_OK;
    }
    bool is_query = strncmp(scalar, "query.", 6) == 0;
    bool is_cookie = strncmp(scalar, "cookie.", 7) == 0;
    const char *name = scalar + (is_query ? 6 : 7);
    if ((!is_query && !is_cookie) || *name == '\0') {
        return yaml_complain(node, error,
                             "\"%.64s\": expected host, path, query.NAME or cookie.NAME", scalar);
    }
    plan->url_part = is_query ? URL_QUERY : URL_COOKIE;
    return mapping_keep(mapping, name, &plan->url_name, error);
}

static enum status compile_extract(struct mapping *mapping, const struct yaml_node *node,
                                   struct value_plan *plan, struct error *error)
{
    struct capture_names captures = {0};
    enum status status = patterns_compile(mapping, node, false, &captures, &plan->extract,
                                          &plan->extract_count, error);
    if (status == STATUS_OK && captures.count != 1) {
        return yaml_complain(node, error, "expected one capture, such as {}, in each pattern");
    }
    return status;
}

static enum status compile_split(struct mapping *mapping, const struct yaml_node *node,
                                 struct value_plan *plan, struct error *error)
{
    const struct yaml_node *split = yaml_find(node, "split");
    const struct yaml_node *take = yaml_find(node, "take");
    if (!split) {
        return take ? yaml_complain(take, error, "expected split beside take") : STATUS_OK;
    }
    if (split->kind != YAML_SCALAR || split->scalar[0] == '\0') {
        return yaml_complain(split, error, "expected the text that parts the pieces");
    }
    int64_t index = 1;
    enum status status = take ? yaml_integer(take, &index, error) : STATUS_OK;
    if (status == STATUS_OK && (index == 0 || index > 1000 || index < -1000)) {
        return yaml_complain(take, error,
                             "expected the number of a piece: 1 is the first, -1 the last");
    }
    plan->take = (int32_t)index;
    return status == STATUS_OK ? mapping_keep(mapping, split->scalar, &plan->split, error) : status;
}

/* Index of the node's word among `choices`; complains with their list. */
static enum status choice_of(const struct yaml_node *node, const char *const *choices,
                             const char *expected, int *ret, struct error *error)
{
    for (int i = 0; choices[i]; i++) {
        if (node->kind == YAML_SCALAR && strcmp(node->scalar, choices[i]) == 0) {
            *ret = i;
            return STATUS_OK;
        }
    }
    return yaml_complain(node, error, "\"%.64s\": expected %s",
                         node->kind == YAML_SCALAR ? node->scalar : "...", expected);
}

static enum status compile_words(struct mapping *mapping, const struct yaml_node *node,
                                 enum value_use use, struct value_plan *plan, struct error *error)
{
    const struct yaml_node *words = yaml_find(node, "map");
    const struct yaml_node *fallback = yaml_find(node, "default");
    if (!words) {
        return fallback ? yaml_complain(fallback, error, "expected map beside default") : STATUS_OK;
    }
    enum status status = STATUS_OK;
    struct word_map *map = mapping_take(mapping, sizeof(*map), &status, error);
    plan->words = map;
    return map ? word_map_compile(mapping, words, fallback, use, map, error) : status;
}

static enum status compile_steps(struct mapping *mapping, const struct yaml_node *node,
                                 enum value_use use, struct value_plan *plan, struct error *error)
{
    static const char *const cases[] = {"lower", "upper", NULL};
    static const char *const encodings[] = {"url", NULL};
    const struct yaml_node *part = yaml_find(node, "part");
    const struct yaml_node *extract = yaml_find(node, "extract");
    const struct yaml_node *decode = yaml_find(node, "decode");
    const struct yaml_node *letters = yaml_find(node, "case");
    const struct yaml_node *hash = yaml_find(node, "hash");
    enum status status = part ? compile_url_part(mapping, part, plan, error) : STATUS_OK;
    if (status == STATUS_OK && extract) {
        status = compile_extract(mapping, extract, plan, error);
    }
    if (status == STATUS_OK) {
        status = compile_split(mapping, node, plan, error);
    }
    int choice = 0;
    if (status == STATUS_OK && decode) {
        plan->decodes_url = true;
        status = choice_of(decode, encodings, "url", &choice, error);
    }
    if (status == STATUS_OK && letters) {
        status = choice_of(letters, cases, "lower or upper", &choice, error);
        plan->letter_case = choice == 0 ? CASE_LOWER : CASE_UPPER;
    }
    if (status == STATUS_OK) {
        status = compile_words(mapping, node, use, plan, error);
    }
    if (status == STATUS_OK && hash) {
        status = yaml_bool(hash, &plan->is_hashed, error);
    }
    plan->has_steps = plan->has_url_part || plan->extract_count || plan->split.length ||
                      plan->decodes_url || plan->letter_case != CASE_KEPT || plan->words ||
                      plan->is_hashed;
    return status;
}

/* ---- Times and numbers ---- */

static enum status compile_formats(struct mapping *mapping, const struct yaml_node *node,
                                   struct value_plan *plan, struct error *error)
{
    const struct yaml_node *items = NULL;
    enum status status = STATUS_OK;
    struct error cause;
    if (node) {
        status = node_list(node, &items, &plan->format_count, MAPPING_FORMATS_MAX, error);
    } else {
        plan->format_count = 1;
    }
    if (status != STATUS_OK) {
        return status;
    }
    plan->formats =
        mapping_take(mapping, sizeof(*plan->formats) * plan->format_count, &status, error);
    for (uint32_t i = 0; status == STATUS_OK && i < plan->format_count; i++) {
        const char *text = !items ? "iso" : items[i].kind == YAML_SCALAR ? items[i].scalar : "";
        status = time_format_compile(text, &plan->formats[i], &cause);
        if (status != STATUS_OK && items) {
            status = yaml_complain(&items[i], error, "\"%.100s\": %s", text, cause.message);
        }
    }
    return status;
}

static enum status compile_zone(struct mapping *mapping, const struct yaml_node *node,
                                struct value_plan *plan, struct error *error)
{
    struct error cause;
    struct time_zone *zone = NULL;
    const char *name = node->kind == YAML_SCALAR ? node->scalar : "";
    enum status status = time_zone_create(name, &zone, &cause);
    if (status != STATUS_OK) {
        yaml_complain_format(node, error, "\"%.64s\": %s", name, cause.message);
        return status;
    }
    plan->zone = zone;
    return own(mapping, NULL, zone, error);
}

static enum status compile_number(const struct yaml_node *node, struct value_plan *plan,
                                  struct error *error)
{
    const struct yaml_node *decimal = yaml_find(node, "decimal");
    const struct yaml_node *group = yaml_find(node, "group");
    const struct yaml_node *factor = yaml_find(node, "factor");
    const struct yaml_node *absolute = yaml_find(node, "absolute");
    static const char *const points[] = {".", ",", NULL};
    static const char *const groups[] = {".", ",", " ", "'", NULL};
    int choice = 0;
    enum status status = STATUS_OK;
    if (decimal) {
        status = choice_of(decimal, points, "\".\" or \",\"", &choice, error);
        plan->notation.point = points[choice][0];
    }
    if (status == STATUS_OK && group) {
        status = choice_of(group, groups, "\".\", \",\", \" \" or \"'\"", &choice, error);
        plan->notation.group = groups[choice][0];
        if (status == STATUS_OK && plan->notation.group == plan->notation.point) {
            return yaml_complain(group, error, "expected another mark than the decimal one");
        }
    }
    if (status == STATUS_OK && factor &&
        (factor->kind != YAML_SCALAR ||
         !decimal_set_factor(text_of(factor->scalar), &plan->notation))) {
        return yaml_complain(factor, error,
                             "expected a number above zero of at most nine digits, such as 0.01");
    }
    if (status == STATUS_OK && absolute) {
        status = yaml_bool(absolute, &plan->is_absolute, error);
    }
    return status;
}

/* Keys that only some uses may have. */
static enum status check_keys(const struct yaml_node *node, enum value_use use, struct error *error)
{
    static const struct {
        const char *key;
        enum value_use use;
        const char *expected;
    } bound[] = {
        {"format", USE_TIME, "the field event_time"},
        {"zone", USE_TIME, "the field event_time"},
        {"decimal", USE_NUMBER, "a field of numbers"},
        {"group", USE_NUMBER, "a field of numbers"},
        {"factor", USE_NUMBER, "a field of numbers"},
        {"absolute", USE_NUMBER, "a field of numbers"},
    };
    enum status status = yaml_known_keys(node, value_keys, error);
    for (size_t i = 0; status == STATUS_OK && i < sizeof(bound) / sizeof(bound[0]); i++) {
        const struct yaml_node *found = yaml_find(node, bound[i].key);
        if (found && use != bound[i].use) {
            status = yaml_complain(found, error, "goes with %s only", bound[i].expected);
        }
    }
    const struct yaml_node *separator = yaml_find(node, "separator");
    if (status == STATUS_OK && separator && !yaml_find(node, "join")) {
        status = yaml_complain(separator, error, "goes with join only");
    }
    return status;
}

enum status value_compile(struct mapping *mapping, const struct capture_names *captures,
                          const struct yaml_node *node, enum value_use use,
                          struct value_plan *ret_plan, struct error *error)
{
    enum status status = STATUS_OK;
    if (node->kind == YAML_SCALAR) {
        status = value_compile_name(mapping, captures, node->scalar, node, ret_plan, error);
        return status == STATUS_OK && use == USE_TIME
                   ? compile_formats(mapping, NULL, ret_plan, error)
                   : status;
    }
    if (node->kind != YAML_MAPPING) {
        return yaml_complain(node, error, "expected a source field, or keys such as from");
    }
    status = check_keys(node, use, error);
    if (status == STATUS_OK) {
        status = compile_origin(mapping, captures, node, use, ret_plan, error);
    }
    if (status == STATUS_OK) {
        status = compile_steps(mapping, node, use, ret_plan, error);
    }
    const struct yaml_node *separator = yaml_find(node, "separator");
    if (status == STATUS_OK && ret_plan->origin == ORIGIN_JOIN) {
        const char *text = separator && separator->kind == YAML_SCALAR ? separator->scalar : "|";
        status = mapping_keep(mapping, text, &ret_plan->constant, error);
    }
    if (status == STATUS_OK && use == USE_NUMBER) {
        status = compile_number(node, ret_plan, error);
    }
    if (status == STATUS_OK && use == USE_TIME) {
        status = compile_formats(mapping, yaml_find(node, "format"), ret_plan, error);
        const struct yaml_node *zone = yaml_find(node, "zone");
        if (status == STATUS_OK && zone) {
            status = compile_zone(mapping, zone, ret_plan, error);
        }
    }
    return status;
}
