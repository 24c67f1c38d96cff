#include "operators/expression_internal.h"

#include <stdlib.h>

#include "pipeline/base/fixed_math.h"

#define HASH_PLACES 65536u
static_assert(HASH_PLACES >= 2 * EXPRESSION_NODES_MAX, "the table of nodes never fills up");

enum status expression_program_create(const struct feature_set *features,
                                      const struct expression_classes *classes,
                                      struct expression_program **ret_program, struct error *error)
{
    struct expression_program *program = calloc(1, sizeof(*program));
    uint32_t *table = malloc(HASH_PLACES * sizeof(*table));
    if (!program || !table) {
        free(program);
        free(table);
        return error_set(error, STATUS_FATAL, "expressions: out of memory");
    }
    memset(table, 0xff, HASH_PLACES * sizeof(*table));
    program->features = features;
    program->classes = classes;
    program->table = table;
    program->table_mask = HASH_PLACES - 1;
    *ret_program = program;
    return STATUS_OK;
}

void expression_program_destroy(struct expression_program *program)
{
    if (!program) {
        return;
    }
    for (uint32_t i = 0; i < program->literal_count; i++) {
        free(program->literals[i].bytes);
        free(program->literals[i].failure);
    }
    for (uint32_t i = 0; i < program->list_count; i++) {
        free(program->lists[i].numbers);
        free(program->lists[i].texts);
    }
    free(program->nodes);
    free(program->table);
    free(program->literals);
    free(program->lists);
    free(program->outputs);
    free(program->steps);
    free(program->constants);
    free(program->text_constants);
    free(program);
}

/* Makes room for one element more; false: out of memory. */
static bool make_room(void **items, uint32_t count, uint32_t *room, size_t item_bytes)
{
    if (count < *room) {
        return true;
    }
    uint32_t wanted = *room ? *room * 2 : 16;
    void *grown = realloc(*items, wanted * item_bytes);
    if (!grown) {
        return false;
    }
    *items = grown;
    *room = wanted;
    return true;
}

static bool nodes_equal(const struct expression_node *a, const struct expression_node *b)
{
    return a->op == b->op && a->type == b->type && a->arg_count == b->arg_count &&
           memcmp(a->args, b->args, sizeof(a->args)) == 0 && a->index == b->index &&
           fixed_bits_of_float(a->number) == fixed_bits_of_float(b->number);
}

static uint64_t node_hash(const struct expression_node *node)
{
    uint64_t hash =
        hash64_combine((uint64_t)node->op << 32 | node->index, fixed_bits_of_float(node->number));
    for (int i = 0; i < 3; i++) {
        hash = hash64_combine(hash, node->args[i]);
    }
    return hash;
}

uint32_t expression_node_add(struct expression_program *program, const struct expression_node *node)
{
    uint32_t place = (uint32_t)node_hash(node) & program->table_mask;
    while (program->table[place] != NO_NODE) {
        if (nodes_equal(&program->nodes[program->table[place]], node)) {
            return program->table[place];
        }
        place = (place + 1) & program->table_mask;
    }
    if (program->node_count == EXPRESSION_NODES_MAX ||
        !make_room((void **)&program->nodes, program->node_count, &program->node_room,
                   sizeof(*program->nodes))) {
        return NO_NODE;
    }
    program->nodes[program->node_count] = *node;
    program->table[place] = program->node_count;
    return program->node_count++;
}

/* failure[i]: length of the longest proper prefix of the literal that ends at byte i. */
static void fill_failure(const char *bytes, uint32_t length, uint16_t *failure)
{
    uint32_t matched = 0;
    failure[0] = 0;
    for (uint32_t i = 1; i < length; i++) {
        while (matched > 0 && bytes[i] != bytes[matched]) {
            matched = failure[matched - 1];
        }
        matched += bytes[i] == bytes[matched];
        failure[i] = (uint16_t)matched;
    }
}

uint32_t expression_literal_add(struct expression_program *program, struct text value)
{
    for (uint32_t i = 0; i < program->literal_count; i++) {
        if (text_equal(expression_literal_text(&program->literals[i]), value)) {
            return i;
        }
    }
    if (!make_room((void **)&program->literals, program->literal_count, &program->literal_room,
                   sizeof(*program->literals))) {
        return NO_NODE;
    }
    struct expression_literal literal = {.bytes = malloc(value.length + 1u),
                                         .length = value.length,
                                         .failure = malloc(((size_t)value.length + 1) * 2)};
    if (!literal.bytes || !literal.failure) {
        free(literal.bytes);
        free(literal.failure);
        return NO_NODE;
    }
    if (value.length > 0) {
        memcpy(literal.bytes, value.data, value.length);
    }
    literal.bytes[value.length] = '\0';
    fill_failure(literal.bytes, value.length, literal.failure);
    program->literals[program->literal_count] = literal;
    return program->literal_count++;
}

static uint32_t number_place(float value, uint32_t mask)
{
    return (uint32_t)((fixed_bits_of_float(value) * 0x9e3779b97f4a7c15u) >> 40) & mask;
}

static void fill_numbers(struct expression_list *list, const float *numbers, uint32_t count)
{
    memset(list->numbers, 0xff, (list->mask + 1u) * sizeof(float)); /* All bits set is a NaN. */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = number_place(numbers[i], list->mask);
        while (list->numbers[place] == list->numbers[place]) {
            place = (place + 1) & list->mask;
        }
        list->numbers[place] = numbers[i];
    }
}

static void fill_texts(const struct expression_program *program, struct expression_list *list,
                       const uint32_t *literals, uint32_t count)
{
    memset(list->texts, 0xff, (list->mask + 1u) * sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        struct text value = expression_literal_text(&program->literals[literals[i]]);
        uint32_t place = (uint32_t)hash64(value) & list->mask;
        while (list->texts[place] != NO_NODE) {
            place = (place + 1) & list->mask;
        }
        list->texts[place] = literals[i];
    }
}

uint32_t expression_list_add(struct expression_program *program, const float *numbers,
                             const uint32_t *literals, uint32_t count)
{
    if (!make_room((void **)&program->lists, program->list_count, &program->list_room,
                   sizeof(*program->lists))) {
        return NO_NODE;
    }
    struct expression_list list = {.mask = 3, .count = count};
    while (list.mask + 1u < 2 * count) {
        list.mask = list.mask * 2 + 1;
    }
    static_assert(sizeof(float) == sizeof(uint32_t), "places of both kinds are of one size");
    void *places = malloc((list.mask + 1u) * sizeof(uint32_t));
    if (!places) {
        return NO_NODE;
    }
    if (numbers) {
        list.numbers = places;
        fill_numbers(&list, numbers, count);
    } else {
        list.texts = places;
        fill_texts(program, &list, literals, count);
    }
    program->lists[program->list_count] = list;
    return program->list_count++;
}

bool expression_number_in(const struct expression_list *list, float value)
{
    uint32_t place = number_place(value, list->mask);
    while (list->numbers[place] == list->numbers[place]) {
        if (list->numbers[place] == value) {
            return true;
        }
        place = (place + 1) & list->mask;
    }
    return false;
}

bool expression_text_in(const struct expression_program *program,
                        const struct expression_list *list, struct text value)
{
    if (!value.data) {
        return false;
    }
    uint32_t place = (uint32_t)hash64(value) & list->mask;
    while (list->texts[place] != NO_NODE) {
        if (text_equal(expression_literal_text(&program->literals[list->texts[place]]), value)) {
            return true;
        }
        place = (place + 1) & list->mask;
    }
    return false;
}

enum status expression_and(struct expression_program *program, const struct expression *a,
                           const struct expression *b, struct expression *ret_expression,
                           struct error *error)
{
    assert(a->type == EXPRESSION_BOOLEAN && b->type == EXPRESSION_BOOLEAN);
    struct expression_node node = {
        .op = OP_AND, .type = EXPRESSION_BOOLEAN, .arg_count = 2, .args = {a->node, b->node}};
    uint32_t made = expression_node_add(program, &node);
    if (made == NO_NODE) {
        return error_set(error, STATUS_FATAL, "expressions: out of memory, or more than %u terms",
                         EXPRESSION_NODES_MAX);
    }
    *ret_expression = (struct expression){.node = made,
                                          .type = EXPRESSION_BOOLEAN,
                                          .scores_used = a->scores_used | b->scores_used,
                                          .fields_used = a->fields_used | b->fields_used};
    return STATUS_OK;
}

enum status expression_program_output(struct expression_program *program,
                                      const struct expression *expression, uint32_t *ret_output,
                                      struct error *error)
{
    assert(!program->is_finished && expression->type == EXPRESSION_BOOLEAN);
    if (!make_room((void **)&program->outputs, program->output_count, &program->output_room,
                   sizeof(*program->outputs))) {
        return error_set(error, STATUS_FATAL, "expressions: out of memory");
    }
    program->outputs[program->output_count] = expression->node;
    *ret_output = program->output_count++;
    return STATUS_OK;
}

uint32_t expression_program_steps(const struct expression_program *program)
{
    return program->step_count;
}
