/* The plain evaluator: one row, by recursion. The meaning of the language is what this file says.
 */
#include <math.h>

#include "operators/expression_internal.h"

struct scalar {
    const struct expression_program *program;
    const struct event_batch *batch;
    struct arena *scratch;
    uint32_t row;
};

static float number_of(const struct scalar *scalar, uint32_t node);
static struct text text_value(const struct scalar *scalar, uint32_t node);
static bool boolean_of(const struct scalar *scalar, uint32_t node);

static float clock_of(const struct scalar *scalar, const struct expression_node *node)
{
    return expression_clock_value(scalar->batch->time_ms[scalar->row],
                                  (enum expression_clock)node->index, (int32_t)node->number);
}

static float leaf_number(const struct scalar *scalar, const struct expression_node *node)
{
    const struct event_batch *batch = scalar->batch;
    uint32_t row = scalar->row;
    switch (node->op) {
    case OP_NUMBER:
        return node->number;
    case OP_FEATURE:
        return batch->features[(size_t)row * batch->feature_stride + node->index];
    case OP_SCORE:
        return batch->score[node->index][row];
    case OP_CLASS:
        return expression_class_score(batch, row, node->index);
    case OP_FRAUD_PART:
        return batch->fraud_logit[node->index][row];
    case OP_FIELD:
        return expression_field_number(batch, row, (enum event_field)node->index);
    case OP_SESSION_EVENTS:
        return batch->session_id[row] ? (float)batch->session_event_count[row] : NAN;
    case OP_SESSION_DURATION:
        return expression_session_duration(batch, row);
    case OP_CLOCK:
        return clock_of(scalar, node);
    default:
        assert(!"an operation that gives no number");
        return NAN;
    }
}

static float if_number(const struct scalar *scalar, const struct expression_node *node)
{
    return boolean_of(scalar, node->args[0]) ? number_of(scalar, node->args[1])
                                             : number_of(scalar, node->args[2]);
}

static float number_of_one(float a, uint8_t op)
{
    switch (op) {
    case OP_NEGATE:
        return -a;
    case OP_ABS:
        return fabsf(a);
    case OP_FLOOR:
        return floorf(a);
    case OP_ROUND:
        return floorf(a + 0.5f);
    case OP_SQRT:
        return sqrtf(a);
    default:
        return expression_log1p(a);
    }
}

static float number_of_two(float a, float b, uint8_t op)
{
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUBTRACT:
        return a - b;
    case OP_MULTIPLY:
        return a * b;
    case OP_DIVIDE:
        return a / b;
    case OP_DEFAULT:
        return isnan(a) ? b : a;
    default:
        if (isnan(a) || isnan(b)) {
            return NAN;
        }
        return op == OP_MIN ? (b < a ? b : a) : (b > a ? b : a);
    }
}

static float number_of(const struct scalar *scalar, uint32_t index)
{
    const struct expression_node *node = &scalar->program->nodes[index];
    float result;
    if (node->arg_count == 0) {
        result = leaf_number(scalar, node);
    } else if (node->op == OP_IF) {
        result = if_number(scalar, node);
    } else if (node->op == OP_TEXT_NUMBER) {
        result = expression_text_number(text_value(scalar, node->args[0]));
    } else if (node->op == OP_TEXT_LENGTH) {
        result = expression_text_length(text_value(scalar, node->args[0]));
    } else if (node->arg_count == 1) {
        result = number_of_one(number_of(scalar, node->args[0]), node->op);
    } else {
        result = number_of_two(number_of(scalar, node->args[0]), number_of(scalar, node->args[1]),
                               node->op);
    }
    return isfinite(result) ? result + 0.0f : NAN; /* No minus zero. */
}

static struct text word_text(const struct scalar *scalar, const struct expression_node *node)
{
    enum expression_words words = (enum expression_words)node->index;
    const char *word =
        expression_word(words, expression_word_code(scalar->batch, scalar->row, words));
    return word ? text_of(word) : (struct text){NULL, 0};
}

static struct text text_value(const struct scalar *scalar, uint32_t index)
{
    const struct expression_node *node = &scalar->program->nodes[index];
    switch (node->op) {
    case OP_TEXT:
        return expression_literal_text(&scalar->program->literals[node->index]);
    case OP_TEXT_FIELD:
        return expression_field_text(scalar->batch, scalar->row, (enum event_field)node->index);
    case OP_ATTRIBUTE:
        return expression_attribute(scalar->batch, scalar->row,
                                    &scalar->program->literals[node->index]);
    case OP_WORD:
        return word_text(scalar, node);
    case OP_WORD_TEXT:
        return text_value(scalar, node->args[0]);
    case OP_LOWER:
        return expression_lower(text_value(scalar, node->args[0]), scalar->scratch);
    default:
        assert(!"an operation that gives no text");
        return (struct text){NULL, 0};
    }
}

static bool compare_numbers(float a, float b, uint8_t op)
{
    if (isnan(a) || isnan(b)) {
        return false;
    }
    switch (op) {
    case OP_LESS:
        return a < b;
    case OP_LESS_EQUAL:
        return a <= b;
    case OP_GREATER:
        return a > b;
    case OP_GREATER_EQUAL:
        return a >= b;
    case OP_EQUAL:
        return a == b;
    default:
        return a != b;
    }
}

static bool list_has_number(const struct expression_list *list, float value)
{
    for (uint32_t place = 0; place <= list->mask; place++) {
        if (list->numbers[place] == value) {
            return true;
        }
    }
    return false;
}

static bool starts_with(struct text value, struct text start)
{
    return value.data && value.length >= start.length &&
           text_equal((struct text){value.data, start.length}, start);
}

static bool ends_with(struct text value, struct text end)
{
    return value.data && value.length >= end.length &&
           text_equal((struct text){value.data + (value.length - end.length), end.length}, end);
}

/* Questions about one text, or two where `other` is not NULL. */
static bool ask_text(const struct scalar *scalar, const struct expression_node *node)
{
    const struct expression_program *program = scalar->program;
    struct text value = text_value(scalar, node->args[0]);
    if (!value.data) {
        return false;
    }
    if (node->op == OP_TEXT_PRESENT) {
        return true;
    }
    if (node->op == OP_TEXT_IN) {
        return expression_text_in(program, &program->lists[node->index], value);
    }
    if (node->op == OP_TEXT_EQUAL || node->op == OP_TEXT_NOT_EQUAL) {
        struct text other = text_value(scalar, node->args[1]);
        return other.data && text_equal(value, other) == (node->op == OP_TEXT_EQUAL);
    }
    const struct expression_literal *literal = &program->literals[node->index];
    struct text wanted = expression_literal_text(literal);
    switch (node->op) {
    case OP_TEXT_IS:
        return text_equal(value, wanted);
    case OP_TEXT_IS_NOT:
        return !text_equal(value, wanted);
    case OP_STARTS_WITH:
        return starts_with(value, wanted);
    case OP_ENDS_WITH:
        return ends_with(value, wanted);
    default:
        return expression_contains(value, literal);
    }
}

static bool boolean_of(const struct scalar *scalar, uint32_t index)
{
    const struct expression_node *node = &scalar->program->nodes[index];
    const uint32_t *args = node->args;
    switch (node->op) {
    case OP_BOOLEAN:
        return node->index != 0;
    case OP_FLAG:
        return expression_flag_value(scalar->batch, scalar->row, (enum expression_flag)node->index);
    case OP_NOT:
        return !boolean_of(scalar, args[0]);
    case OP_AND:
        return boolean_of(scalar, args[0]) && boolean_of(scalar, args[1]);
    case OP_OR:
        return boolean_of(scalar, args[0]) || boolean_of(scalar, args[1]);
    case OP_SAME:
        return boolean_of(scalar, args[0]) == boolean_of(scalar, args[1]);
    case OP_DIFFER:
        return boolean_of(scalar, args[0]) != boolean_of(scalar, args[1]);
    case OP_NUMBER_PRESENT:
        return !isnan(number_of(scalar, args[0]));
    case OP_NUMBER_IN:
        return list_has_number(&scalar->program->lists[node->index], number_of(scalar, args[0]));
    case OP_WORD_IN: {
        uint32_t words = scalar->program->nodes[args[0]].index;
        uint32_t code =
            expression_word_code(scalar->batch, scalar->row, (enum expression_words)words);
        return node->index >> code & 1;
    }
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
    case OP_EQUAL:
    case OP_NOT_EQUAL:
        return compare_numbers(number_of(scalar, args[0]), number_of(scalar, args[1]), node->op);
    default:
        return ask_text(scalar, node);
    }
}

struct expression_value expression_evaluate(const struct expression_program *program, uint32_t node,
                                            const struct event_batch *batch, uint32_t row,
                                            struct arena *scratch)
{
    struct scalar scalar = {program, batch, scratch, row};
    struct expression_value value = {.type = (enum expression_type)program->nodes[node].type,
                                     .number = NAN};
    switch (value.type) {
    case EXPRESSION_NUMBER:
        value.number = number_of(&scalar, node);
        break;
    case EXPRESSION_TEXT:
        value.text = text_value(&scalar, node);
        break;
    case EXPRESSION_BOOLEAN:
        value.boolean = boolean_of(&scalar, node);
        break;
    }
    return value;
}
