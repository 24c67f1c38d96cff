#include "pipeline/event/avro_plan.h"

#include <stdlib.h>

struct planner {
    const char *const *wanted;
    size_t wanted_count;
    bool *found;
    struct avro_plan *plan;
};

/* Where the name "PREFIX.NAME", or "NAME" for an empty prefix, stands among the wanted ones. */
static int32_t find_wanted(const struct planner *planner, const char *prefix, struct text name)
{
    size_t prefix_length = strlen(prefix);
    for (size_t i = 0; i < planner->wanted_count; i++) {
        const char *wanted = planner->wanted[i];
        if (prefix_length > 0) {
            if (strncmp(wanted, prefix, prefix_length) != 0 || wanted[prefix_length] != '.') {
                continue;
            }
            wanted += prefix_length + 1;
        }
        if (text_is(name, wanted)) {
            return (int32_t)i;
        }
    }
    return AVRO_NOT_FOUND;
}

/* True where a wanted name goes into the record of that path. */
static bool is_entered(const struct planner *planner, const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < planner->wanted_count; i++) {
        if (strncmp(planner->wanted[i], path, length) == 0 && planner->wanted[i][length] == '.') {
            return true;
        }
    }
    return false;
}

static bool has_field(const struct avro_node *record, struct text name)
{
    for (uint32_t i = 0; i < record->count; i++) {
        if (text_equal(record->names[i], name)) {
            return true;
        }
    }
    return false;
}

static int32_t target_of(const struct planner *planner, const char *prefix,
                         const struct avro_node *record, uint32_t field)
{
    int32_t target = find_wanted(planner, prefix, record->names[field]);
    const struct avro_names *aliases = &record->aliases[field];
    for (uint32_t i = 0; target == AVRO_NOT_FOUND && i < aliases->count; i++) {
        if (!has_field(record, aliases->items[i])) {
            target = find_wanted(planner, prefix, aliases->items[i]);
        }
    }
    if (target != AVRO_NOT_FOUND && planner->found[target]) {
        return AVRO_NOT_FOUND; /* Another field has it already. */
    }
    return target;
}

static struct avro_step *add_step(struct avro_plan *plan, const struct avro_node *node,
                                  int32_t target)
{
    if (plan->count == plan->room) {
        size_t room = plan->room ? 2 * plan->room : 32;
        struct avro_step *steps = realloc(plan->steps, sizeof(*steps) * room);
        if (!steps) {
            return NULL;
        }
        plan->steps = steps;
        plan->room = room;
    }
    struct avro_step *step = &plan->steps[plan->count++];
    *step = (struct avro_step){.node = node, .target = target};
    return step;
}

/* The record among a union's branches, or the node itself; NULL: there is none. */
static const struct avro_node *record_in(const struct avro_node *node)
{
    if (node->kind == AVRO_KIND_RECORD) {
        return node;
    }
    const struct avro_node *record = NULL;
    for (uint32_t i = 0; node->kind == AVRO_KIND_UNION && i < node->count; i++) {
        if (node->nodes[i]->kind == AVRO_KIND_RECORD) {
            if (record) {
                return NULL; /* Which of two is not for us to say. */
            }
            record = node->nodes[i];
        }
    }
    return record;
}

static bool plan_record(struct planner *planner, const struct avro_node *record,
                        const char *prefix);

static bool plan_nested(struct planner *planner, const struct avro_node *node,
                        const struct avro_node *record, const char *path)
{
    size_t at = planner->plan->count;
    if (node->kind == AVRO_KIND_UNION && !add_step(planner->plan, node, AVRO_NOT_FOUND)) {
        return false;
    }
    if (!plan_record(planner, record, path)) {
        return false;
    }
    if (node->kind == AVRO_KIND_UNION) {
        planner->plan->steps[at].inside_count = (uint32_t)(planner->plan->count - at - 1);
    }
    return true;
}

static bool plan_field(struct planner *planner, const struct avro_node *record, uint32_t field,
                       const char *prefix)
{
    const struct avro_node *node = record->nodes[field];
    struct text name = record->names[field];
    int32_t target = target_of(planner, prefix, record, field);
    if (target != AVRO_NOT_FOUND) {
        planner->found[target] = true;
        return add_step(planner->plan, node, target) != NULL;
    }
    const struct avro_node *nested = record_in(node);
    if (nested && nested->count > 0) {
        size_t length = strlen(prefix);
        char *path = malloc(length + name.length + 2);
        if (!path) {
            return false;
        }
        memcpy(path, prefix, length);
        if (length > 0) {
            path[length++] = '.';
        }
        memcpy(path + length, name.data, name.length);
        path[length + name.length] = '\0';
        bool enters = is_entered(planner, path);
        bool is_planned = enters && plan_nested(planner, node, nested, path);
        free(path);
        if (enters) {
            return is_planned;
        }
    }
    return add_step(planner->plan, node, AVRO_NOT_FOUND) != NULL;
}

static bool plan_record(struct planner *planner, const struct avro_node *record, const char *prefix)
{
    for (uint32_t i = 0; i < record->count; i++) {
        if (!plan_field(planner, record, i, prefix)) {
            return false;
        }
    }
    return true;
}

enum status avro_plan_make(const struct avro_node *root, const char *const *wanted, size_t count,
                           bool *found, struct avro_plan *ret_plan, struct error *error)
{
    struct avro_plan plan = {.steps = NULL};
    struct planner planner = {wanted, count, found, &plan};
    memset(found, 0, sizeof(*found) * count);
    if (!plan_record(&planner, root, "")) {
        avro_plan_release(&plan);
        return error_set(error, STATUS_FATAL, "Avro decoder: out of memory");
    }
    *ret_plan = plan;
    return STATUS_OK;
}

void avro_plan_release(struct avro_plan *plan)
{
    free(plan->steps);
    *plan = (struct avro_plan){.steps = NULL};
}
