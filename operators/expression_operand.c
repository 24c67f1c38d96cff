/* Operands: names, attributes, calls, and lists after "in". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "operators/expression_parser.h"
#include "pipeline/config/yaml.h"

static enum status parse_attribute(struct parser *parser, uint32_t *ret_node)
{
    enum status status = parser_expect(parser, TOKEN_OPEN_LIST, "[\"name\"] after attributes");
    if (status != STATUS_OK) {
        return status;
    }
    struct token name = parser->token;
    status = parser_expect(parser, TOKEN_TEXT, "the attribute's name in quotes");
    if (status != STATUS_OK) {
        return status;
    }
    struct expression_node node = {.op = OP_ATTRIBUTE, .type = EXPRESSION_TEXT};
    status = parser_add_literal(parser, &name, &node.index);
    if (status == STATUS_OK) {
        parser->fields_used |= UINT64_C(1) << FIELD_ATTRIBUTES;
        status = parser_make(parser, &node, ret_node);
    }
    return status == STATUS_OK ? parser_expect(parser, TOKEN_CLOSE_LIST, "\"]\"") : status;
}

static enum status unknown_class(const struct parser *parser, const struct token *score,
                                 uint32_t column, struct text name,
                                 const struct expression_classes *classes)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "%.*s", (int)name.length, name.data);
    if (classes->count == 0) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: %.*s[\"%s\"]: its pack has no classes; a pack whose model has "
                         "several outputs expected",
                         column, (int)score->source.length, score->source.data, wanted);
    }
    const char *near = nearest_name(wanted, classes->names, classes->count);
    return error_set(parser->error, STATUS_INVALID,
                     "column %u: %.*s[\"%s\"]: no class of its pack; did you mean \"%s\"?", column,
                     (int)score->source.length, score->source.data, wanted,
                     near ? near : classes->names[0]);
}

/* One class of a score's pack: the token is the bracket behind the score's name. */
static enum status parse_class(struct parser *parser, const struct token *score, uint32_t kind,
                               uint32_t *ret_node)
{
    static const struct expression_classes none;
    const struct expression_classes *classes =
        parser->program->classes ? &parser->program->classes[kind] : &none;
    uint32_t literal = 0;
    enum status status = parser_advance(parser);
    struct token name = parser->token;
    if (status == STATUS_OK) {
        status = parser_expect(parser, TOKEN_TEXT, "the name of a class in quotes");
    }
    if (status == STATUS_OK) {
        status = parser_add_literal(parser, &name, &literal);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct text wanted = expression_literal_text(&parser->program->literals[literal]);
    uint32_t k = 0;
    while (k < classes->count && !text_is(wanted, classes->names[k])) {
        k++;
    }
    if (k == classes->count) {
        return unknown_class(parser, score, name.column, wanted, classes);
    }
    struct expression_node node = {
        .op = OP_CLASS, .type = EXPRESSION_NUMBER, .index = k << 16 | kind};
    status = parser_make(parser, &node, ret_node);
    return status == STATUS_OK ? parser_expect(parser, TOKEN_CLOSE_LIST, "\"]\"") : status;
}

static enum status parse_name(struct parser *parser, const struct token *name, uint32_t *ret_node)
{
    struct expression_node node = {0};
    if (!expression_find_name(parser->program->features, name->source, &node)) {
        if (text_is(name->source, "event_time")) {
            return error_set(parser->error, STATUS_INVALID,
                             "column %u: event_time is no value: use hour(), weekday(), day() or "
                             "month()",
                             name->column);
        }
        const char *nearest = expression_nearest(parser->program->features, name->source);
        int length = (int)(name->source.length < 64 ? name->source.length : 64);
        return nearest ? error_set(parser->error, STATUS_INVALID,
                                   "column %u: unknown name \"%.*s\": did you mean \"%s\"?",
                                   name->column, length, name->source.data, nearest)
                       : error_set(parser->error, STATUS_INVALID,
                                   "column %u: unknown name \"%.*s\": expected a field, feature, "
                                   "score or function",
                                   name->column, length, name->source.data);
    }
    if (node.op == OP_SCORE) {
        parser->scores_used |= 1u << node.index;
        if (parser->token.kind == TOKEN_OPEN_LIST) {
            return parse_class(parser, name, node.index, ret_node);
        }
    } else if (node.op == OP_FRAUD_PART) {
        parser->scores_used |= 1u << SCORE_FRAUD;
    } else if (node.op == OP_FIELD || node.op == OP_TEXT_FIELD) {
        parser->fields_used |= UINT64_C(1) << node.index;
    }
    return parser_make(parser, &node, ret_node);
}

static const struct expression_function *find_function(struct text name)
{
    for (uint32_t i = 0; i < expression_function_count; i++) {
        if (text_is(name, expression_functions[i].name)) {
            return &expression_functions[i];
        }
    }
    return NULL;
}

static enum status wrong_argument(const struct parser *parser,
                                  const struct expression_function *function, uint32_t column,
                                  const char *wanted, uint32_t arg)
{
    return error_set(parser->error, STATUS_INVALID, "column %u: %s: expected %s, got a %s", column,
                     function->usage, wanted, expression_type_names[parser_type(parser, arg)]);
}

/* Checks argument `k`; texts in quotes and offsets end up in the node itself. */
static enum status check_argument(struct parser *parser, const struct expression_function *function,
                                  uint32_t k, uint32_t column, struct expression_node *node)
{
    uint32_t *arg = &node->args[k];
    const struct expression_node *given = parser_node(parser, *arg);
    switch (function->args[k]) {
    case ARGUMENT_NUMBER:
        return given->type == EXPRESSION_NUMBER
                   ? STATUS_OK
                   : wrong_argument(parser, function, column, "a number", *arg);
    case ARGUMENT_BOOLEAN:
        return given->type == EXPRESSION_BOOLEAN
                   ? STATUS_OK
                   : wrong_argument(parser, function, column, "a boolean", *arg);
    case ARGUMENT_TEXT:
        return given->type == EXPRESSION_TEXT
                   ? parser_as_text(parser, arg)
                   : wrong_argument(parser, function, column, "a text", *arg);
    case ARGUMENT_VALUE:
        return given->type != EXPRESSION_BOOLEAN
                   ? parser_as_text(parser, arg)
                   : wrong_argument(parser, function, column, "a number or a text", *arg);
    case ARGUMENT_LITERAL:
        if (given->op != OP_TEXT) {
            return wrong_argument(parser, function, column, "a text in quotes", *arg);
        }
        node->index = given->index;
        return STATUS_OK;
    case ARGUMENT_OFFSET:
        if (given->op != OP_NUMBER || fabsf(given->number) > 14.0f ||
            given->number * 4 != floorf(given->number * 4)) {
            return error_set(parser->error, STATUS_INVALID,
                             "column %u: %s: expected hours from UTC, -14 to 14 in quarters, "
                             "written as a number",
                             column, function->usage);
        }
        node->number = given->number * 60;
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* present() and missing() ask by type, and missing() is not present(). */
static enum status make_call(struct parser *parser, const struct expression_function *function,
                             struct expression_node *node, uint32_t *ret_node)
{
    if (function->args_max > 0 && function->args[0] == ARGUMENT_VALUE) {
        bool text = parser_type(parser, node->args[0]) == EXPRESSION_TEXT;
        enum status status = parser_make_unary(parser, text ? OP_TEXT_PRESENT : OP_NUMBER_PRESENT,
                                               EXPRESSION_BOOLEAN, 0, node->args[0], ret_node);
        if (status == STATUS_OK && function->op == OP_NOT) {
            status = parser_make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, *ret_node, ret_node);
        }
        return status;
    }
    /* Arguments that went into the node are none any more. */
    while (node->arg_count > 0 && (function->args[node->arg_count - 1] == ARGUMENT_LITERAL ||
                                   function->args[node->arg_count - 1] == ARGUMENT_OFFSET)) {
        node->args[--node->arg_count] = 0;
    }
    return parser_make(parser, node, ret_node);
}

static enum status parse_call(struct parser *parser, const struct token *name, uint32_t *ret_node)
{
    const struct expression_function *function = find_function(name->source);
    if (!function) {
        const char *nearest = expression_nearest(parser->program->features, name->source);
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: unknown function \"%.*s\"%s%s%s", name->column,
                         (int)(name->source.length < 64 ? name->source.length : 64),
                         name->source.data, nearest ? ": did you mean \"" : "",
                         nearest ? nearest : "", nearest ? "\"?" : "");
    }
    struct expression_node node = {
        .op = (uint8_t)function->op, .type = (uint8_t)function->type, .index = function->index};
    enum status status = parser_advance(parser); /* The parenthesis. */
    while (status == STATUS_OK && parser->token.kind != TOKEN_CLOSE) {
        uint32_t column = parser->token.column;
        if (node.arg_count == function->args_max) {
            return error_set(parser->error, STATUS_INVALID, "column %u: %s: too many arguments",
                             column, function->usage);
        }
        status = parser_value(parser, &node.args[node.arg_count]);
        if (status == STATUS_OK) {
            status = check_argument(parser, function, node.arg_count, column, &node);
        }
        if (status != STATUS_OK) {
            return status;
        }
        node.arg_count++;
        if (parser->token.kind != TOKEN_COMMA) {
            break;
        }
        status = parser_advance(parser);
        if (status == STATUS_OK && parser->token.kind == TOKEN_CLOSE) {
            return parser_expected(parser, "an argument");
        }
    }
    if (status == STATUS_OK && parser->token.kind == TOKEN_CLOSE &&
        node.arg_count < function->args_min) {
        return error_set(parser->error, STATUS_INVALID, "column %u: %s: expected %u argument%s",
                         parser->token.column, function->usage, function->args_min,
                         function->args_min == 1 ? "" : "s");
    }
    if (status == STATUS_OK) {
        status = parser_expect(parser, TOKEN_CLOSE, "\",\" or \")\"");
    }
    return status == STATUS_OK ? make_call(parser, function, &node, ret_node) : status;
}

enum status parser_named(struct parser *parser, uint32_t *ret_node)
{
    struct token name = parser->token;
    enum status status = parser_advance(parser);
    if (status != STATUS_OK) {
        return status;
    }
    if (text_is(name.source, "attributes")) {
        return parse_attribute(parser, ret_node);
    }
    return parser->token.kind == TOKEN_OPEN ? parse_call(parser, &name, ret_node)
                                            : parse_name(parser, &name, ret_node);
}

struct list_members {
    float *numbers;
    uint32_t *literals;
    uint32_t *columns;
    uint32_t count;
    bool texts;
};

static enum status parse_member(struct parser *parser, struct list_members *members)
{
    bool negative = parser->token.kind == TOKEN_MINUS;
    enum status status = negative ? parser_advance(parser) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    struct token token = parser->token;
    enum token_kind wanted = members->texts ? TOKEN_TEXT : TOKEN_NUMBER;
    if (token.kind != wanted || (negative && members->texts)) {
        return parser_expected(parser, members->texts ? "a text in quotes" : "a number");
    }
    if (members->count == EXPRESSION_LIST_MAX) {
        return error_set(parser->error, STATUS_INVALID, "column %u: more than %u members",
                         token.column, EXPRESSION_LIST_MAX);
    }
    uint32_t at = members->count;
    members->columns[at] = token.column;
    if (members->texts) {
        status = parser_add_literal(parser, &token, &members->literals[at]);
    } else {
        members->numbers[at] = (negative ? -token.number : token.number) + 0.0f;
    }
    members->count++;
    return status == STATUS_OK ? parser_advance(parser) : status;
}

static enum status parse_members(struct parser *parser, struct list_members *members)
{
    enum status status = parser_expect(parser, TOKEN_OPEN_LIST, "a list in brackets after \"in\"");
    while (status == STATUS_OK) {
        status = parse_member(parser, members);
        if (status != STATUS_OK || parser->token.kind != TOKEN_COMMA) {
            break;
        }
        status = parser_advance(parser);
    }
    return status == STATUS_OK ? parser_expect(parser, TOKEN_CLOSE_LIST, "\",\" or \"]\"") : status;
}

static enum status make_in(struct parser *parser, uint32_t left, bool negated,
                           const struct list_members *members, uint32_t *ret_node)
{
    if (parser_node(parser, left)->op == OP_WORD) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < members->count; i++) {
            uint32_t code = 0;
            enum status status =
                parser_find_word(parser, left, members->literals[i], members->columns[i], &code);
            if (status != STATUS_OK) {
                return status;
            }
            mask |= 1u << code;
        }
        return parser_make_word_in(parser, left, mask, negated, ret_node);
    }
    uint32_t list = expression_list_add(parser->program, members->texts ? NULL : members->numbers,
                                        members->texts ? members->literals : NULL, members->count);
    if (list == NO_NODE) {
        return parser_out_of_room(parser);
    }
    enum status status = parser_make_unary(parser, members->texts ? OP_TEXT_IN : OP_NUMBER_IN,
                                           EXPRESSION_BOOLEAN, list, left, ret_node);
    if (status != STATUS_OK || !negated) {
        return status;
    }
    /* As for !=, a missing value is neither in a list nor outside of it. */
    uint32_t present = 0;
    status = parser_make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, *ret_node, ret_node);
    if (status == STATUS_OK) {
        status = parser_make_unary(parser, members->texts ? OP_TEXT_PRESENT : OP_NUMBER_PRESENT,
                                   EXPRESSION_BOOLEAN, 0, left, &present);
    }
    return status == STATUS_OK ? parser_make_binary(parser, OP_AND, EXPRESSION_BOOLEAN, present,
                                                    *ret_node, ret_node)
                               : status;
}

enum status parser_in(struct parser *parser, uint32_t left, bool negated, uint32_t *ret_node)
{
    if (parser_type(parser, left) == EXPRESSION_BOOLEAN) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: \"in\" needs a number or a text, got boolean",
                         parser->token.column);
    }
    enum status status = parser_advance(parser);
    if (status != STATUS_OK) {
        return status;
    }
    struct list_members members = {
        .numbers = calloc(EXPRESSION_LIST_MAX, sizeof(float)),
        .literals = calloc(EXPRESSION_LIST_MAX, sizeof(uint32_t)),
        .columns = calloc(EXPRESSION_LIST_MAX, sizeof(uint32_t)),
        .texts = parser_type(parser, left) == EXPRESSION_TEXT,
    };
    if (!members.numbers || !members.literals || !members.columns) {
        status = error_set(parser->error, STATUS_FATAL, "expressions: out of memory");
    } else {
        status = parse_members(parser, &members);
    }
    if (status == STATUS_OK) {
        status = make_in(parser, left, negated, &members, ret_node);
    }
    free(members.numbers);
    free(members.literals);
    free(members.columns);
    return status;
}
