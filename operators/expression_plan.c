/*
 * Turns the nodes that outputs need into steps over slots: in the order in which they were made,
 * which is bottom up, with slots used again once the last step that reads them has run, so that
 * the working memory stays in the nearest cache.
 */
#include <stdlib.h>

#include "operators/expression_internal.h"

struct plan {
    struct expression_program *program;
    uint32_t *last_use; /* Step after which a node's slot is free; 0: not needed. */
    uint16_t *slot;     /* Of each node. */
    uint16_t *free_slots, *free_text_slots;
    uint32_t free_count, free_text_count;
};

static bool is_text(const struct expression_node *node)
{
    return node->type == EXPRESSION_TEXT && node->op != OP_WORD;
}

static bool is_constant(const struct expression_node *node)
{
    return node->op == OP_NUMBER || node->op == OP_BOOLEAN || node->op == OP_TEXT;
}

/* Operations whose second argument may be a number given with the step. */
static bool takes_scalar(uint8_t op)
{
    return (op >= OP_ADD && op <= OP_DEFAULT) || (op >= OP_LESS && op <= OP_NOT_EQUAL);
}

static bool has_scalar(const struct expression_program *program, const struct expression_node *node)
{
    return takes_scalar(node->op) && program->nodes[node->args[1]].op == OP_NUMBER &&
           program->nodes[node->args[0]].op != OP_NUMBER;
}

/* Nodes that outputs need; nodes' arguments are always made before them. */
static void mark_needed(struct plan *plan)
{
    const struct expression_program *program = plan->program;
    for (uint32_t i = 0; i < program->output_count; i++) {
        plan->last_use[program->outputs[i]] = 1;
    }
    for (uint32_t i = program->node_count; i-- > 0;) {
        const struct expression_node *node = &program->nodes[i];
        for (uint32_t k = 0; plan->last_use[i] && k < node->arg_count; k++) {
            if (!(k == 1 && has_scalar(program, node))) {
                plan->last_use[node->args[k]] = 1;
            }
        }
    }
}

/* Constants stand in slots of their own, filled once. */
static void place_constants(struct plan *plan)
{
    struct expression_program *program = plan->program;
    for (uint32_t i = 0; i < program->node_count; i++) {
        const struct expression_node *node = &program->nodes[i];
        if (!plan->last_use[i] || !is_constant(node)) {
            continue;
        }
        if (is_text(node)) {
            program->text_constants[program->text_constant_count++] = i;
            plan->slot[i] = (uint16_t)program->text_slot_count++;
        } else {
            program->constants[program->constant_count++] = i;
            plan->slot[i] = (uint16_t)program->slot_count++;
        }
    }
}

static void find_last_uses(struct plan *plan)
{
    const struct expression_program *program = plan->program;
    for (uint32_t i = 0; i < program->node_count; i++) {
        const struct expression_node *node = &program->nodes[i];
        for (uint32_t k = 0; plan->last_use[i] && k < node->arg_count; k++) {
            if (!(k == 1 && has_scalar(program, node))) {
                plan->last_use[node->args[k]] = i + 1;
            }
        }
    }
}

static uint16_t take_slot(struct plan *plan, bool text)
{
    if (text) {
        return plan->free_text_count ? plan->free_text_slots[--plan->free_text_count]
                                     : (uint16_t)plan->program->text_slot_count++;
    }
    return plan->free_count ? plan->free_slots[--plan->free_count]
                            : (uint16_t)plan->program->slot_count++;
}

static void give_slot(struct plan *plan, uint32_t node)
{
    if (is_constant(&plan->program->nodes[node])) {
        return;
    }
    if (is_text(&plan->program->nodes[node])) {
        plan->free_text_slots[plan->free_text_count++] = plan->slot[node];
    } else {
        plan->free_slots[plan->free_count++] = plan->slot[node];
    }
}

/* Frees what step `i` read last; an argument given twice is freed once. */
static void free_arguments(struct plan *plan, uint32_t i)
{
    const struct expression_node *node = &plan->program->nodes[i];
    for (uint32_t k = 0; k < node->arg_count; k++) {
        bool seen = k == 1 && has_scalar(plan->program, node);
        for (uint32_t j = 0; j < k; j++) {
            seen = seen || node->args[j] == node->args[k];
        }
        if (!seen && plan->last_use[node->args[k]] == i + 1) {
            give_slot(plan, node->args[k]);
        }
    }
}

/* Emits the outputs that node `i` is, and gives its slot back where nothing else reads it. */
static void emit_outputs(struct plan *plan, uint32_t i)
{
    struct expression_program *program = plan->program;
    for (uint32_t k = 0; k < program->output_count; k++) {
        if (program->outputs[k] == i) {
            program->steps[program->step_count++] =
                (struct expression_step){.op = OP_COUNT, .a = plan->slot[i], .index = k};
        }
    }
}

static void emit_steps(struct plan *plan)
{
    struct expression_program *program = plan->program;
    for (uint32_t i = 0; i < program->node_count; i++) {
        const struct expression_node *node = &program->nodes[i];
        if (!plan->last_use[i]) {
            continue;
        }
        if (!is_constant(node)) {
            /* The result's slot is taken before the arguments' are given back: no step writes what
             * it reads. */
            plan->slot[i] = take_slot(plan, is_text(node));
            struct expression_step step = {
                .op = node->op, .out = plan->slot[i], .index = node->index, .number = node->number};
            step.a = node->arg_count > 0 ? plan->slot[node->args[0]] : 0;
            step.b = node->arg_count > 1 ? plan->slot[node->args[1]] : 0;
            step.c = node->arg_count > 2 ? plan->slot[node->args[2]] : 0;
            if (has_scalar(program, node)) {
                step.has_scalar = 1;
                step.number = program->nodes[node->args[1]].number;
            }
            program->steps[program->step_count++] = step;
            free_arguments(plan, i);
        }
        emit_outputs(plan, i);
        if (plan->last_use[i] == 1 && !is_constant(node)) {
            give_slot(plan, i); /* An output that no other node reads. */
        }
    }
}

static bool plan_allocate(struct plan *plan)
{
    struct expression_program *program = plan->program;
    size_t nodes = program->node_count + 1u;
    plan->last_use = calloc(nodes, sizeof(*plan->last_use));
    plan->slot = calloc(nodes, sizeof(*plan->slot));
    plan->free_slots = calloc(nodes, sizeof(*plan->free_slots));
    plan->free_text_slots = calloc(nodes, sizeof(*plan->free_text_slots));
    program->steps = calloc(nodes + program->output_count, sizeof(*program->steps));
    program->constants = calloc(nodes, sizeof(*program->constants));
    program->text_constants = calloc(nodes, sizeof(*program->text_constants));
    return plan->last_use && plan->slot && plan->free_slots && plan->free_text_slots &&
           program->steps && program->constants && program->text_constants;
}

enum status expression_program_finish(struct expression_program *program, struct error *error)
{
    assert(!program->is_finished);
    static_assert(EXPRESSION_NODES_MAX <= UINT16_MAX, "slots are numbered in 16 bits");
    struct plan plan = {.program = program};
    bool allocated = plan_allocate(&plan);
    if (allocated) {
        mark_needed(&plan);
        find_last_uses(&plan);
        place_constants(&plan);
        emit_steps(&plan);
        program->is_finished = true;
    }
    free(plan.last_use);
    free(plan.slot);
    free(plan.free_slots);
    free(plan.free_text_slots);
    return allocated ? STATUS_OK : error_set(error, STATUS_FATAL, "expressions: out of memory");
}
