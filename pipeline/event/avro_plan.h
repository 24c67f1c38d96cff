/*
 * How to read records of one writer's schema: steps in the order of the writer's fields, made once.
 * Fields that nobody asked for are passed over; nested records are laid flat, since Avro writes
 * nothing between their fields.
 */
#ifndef PIPELINE_EVENT_AVRO_PLAN_H
#define PIPELINE_EVENT_AVRO_PLAN_H

#include "pipeline/source/avro_schema.h"

#define AVRO_NOT_FOUND (-1)

struct avro_step {
    const struct avro_node *node; /* What is written here; a union's branch is read first. */
    int32_t target;               /* Index of the wanted name, or AVRO_NOT_FOUND: passed over. */
    uint32_t inside_count;        /* > 0: a union with one record, whose fields are so many steps
                                     behind this one; jumped over when the branch is another. */
};

struct avro_plan {
    struct avro_step *steps; /* Owned. */
    size_t count;
    size_t room;
};

/*
 * Plans for the `count` wanted names, with dots into nested records. A writer's alias counts where
 * no field has the name itself. Sets found[count]. STATUS_FATAL when memory is exhausted.
 */
MUST_CHECK enum status avro_plan_make(const struct avro_node *root, const char *const *wanted,
                                      size_t count, bool *found, struct avro_plan *ret_plan,
                                      struct error *error);
void avro_plan_release(struct avro_plan *plan);

/* Passes over the step's union, if it is one. NULL: broken data. */
static inline const struct avro_node *avro_step_branch(const struct avro_step *step,
                                                       struct avro_cursor *cursor)
{
    const struct avro_node *node = step->node;
    if (node->kind == AVRO_KIND_UNION) {
        int64_t branch = 0;
        if (!avro_read_long(cursor, &branch) || branch < 0 || branch >= node->count) {
            return NULL;
        }
        node = node->nodes[branch];
    }
    return node;
}

#endif
