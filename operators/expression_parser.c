/* Recursive descent; each rule of the grammar is one function that leaves a node behind. */
#include "operators/expression_parser.h"

static enum status parse_primary(struct parser *parser, uint32_t *ret_node)
{
    struct token token = parser->token;
    struct expression_node node = {0};
    enum status status;
    switch (token.kind) {
    case TOKEN_NUMBER:
        node = (struct expression_node){
            .op = OP_NUMBER, .type = EXPRESSION_NUMBER, .number = token.number};
        break;
    case TOKEN_TEXT:
        node = (struct expression_node){.op = OP_TEXT, .type = EXPRESSION_TEXT};
        status = parser_add_literal(parser, &token, &node.index);
        if (status != STATUS_OK) {
            return status;
        }
        break;
    case TOKEN_TRUE:
    case TOKEN_FALSE:
        node = (struct expression_node){
            .op = OP_BOOLEAN, .type = EXPRESSION_BOOLEAN, .index = token.kind == TOKEN_TRUE};
        break;
    case TOKEN_NAME:
        return parser_named(parser, ret_node);
    case TOKEN_OPEN:
        status = parser_advance(parser);
        if (status == STATUS_OK) {
            status = parser_value(parser, ret_node);
        }
        return status == STATUS_OK ? parser_expect(parser, TOKEN_CLOSE, "\")\"") : status;
    default:
        return parser_expected(parser, "a value");
    }
    status = parser_advance(parser);
    return status == STATUS_OK ? parser_make(parser, &node, ret_node) : status;
}

static enum status parse_unary(struct parser *parser, uint32_t *ret_node)
{
    if (parser->token.kind != TOKEN_MINUS) {
        return parse_primary(parser, ret_node);
    }
    struct token minus = parser->token;
    uint32_t arg = 0;
    enum status status = parser_enter(parser);
    if (status == STATUS_OK) {
        status = parser_advance(parser);
    }
    if (status == STATUS_OK) {
        status = parse_unary(parser, &arg);
        parser->depth--;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (parser_type(parser, arg) != EXPRESSION_NUMBER) {
        return error_set(parser->error, STATUS_INVALID, "column %u: \"-\" needs a number, got %s",
                         minus.column, expression_type_names[parser_type(parser, arg)]);
    }
    return parser_make_unary(parser, OP_NEGATE, EXPRESSION_NUMBER, 0, arg, ret_node);
}

/* A chain of operations of one strength on numbers: next (op next)*. */
static enum status parse_arithmetic(struct parser *parser, bool products, uint32_t *ret_node)
{
    uint32_t left = 0;
    enum status status =
        products ? parse_unary(parser, &left) : parse_arithmetic(parser, true, &left);
    while (status == STATUS_OK) {
        struct token token = parser->token;
        enum expression_op op;
        if (products && (token.kind == TOKEN_STAR || token.kind == TOKEN_SLASH)) {
            op = token.kind == TOKEN_STAR ? OP_MULTIPLY : OP_DIVIDE;
        } else if (!products && (token.kind == TOKEN_PLUS || token.kind == TOKEN_MINUS)) {
            op = token.kind == TOKEN_PLUS ? OP_ADD : OP_SUBTRACT;
        } else {
            break;
        }
        uint32_t right = 0;
        status = parser_advance(parser);
        if (status == STATUS_OK) {
            status =
                products ? parse_unary(parser, &right) : parse_arithmetic(parser, true, &right);
        }
        if (status == STATUS_OK) {
            status = parser_check_types(parser, &token, EXPRESSION_NUMBER, left, right);
        }
        if (status == STATUS_OK) {
            status = parser_make_binary(parser, op, EXPRESSION_NUMBER, left, right, &left);
        }
    }
    *ret_node = left;
    return status;
}

static enum status make_text_comparison(struct parser *parser, bool equal, uint32_t left,
                                        uint32_t right, uint32_t right_column, uint32_t *ret_node)
{
    if (parser_node(parser, left)->op == OP_TEXT) { /* The literal to the right. */
        uint32_t swapped = left;
        left = right;
        right = swapped;
    }
    uint32_t literal = parser_node(parser, right)->index;
    if (parser_node(parser, right)->op != OP_TEXT) {
        enum status status = parser_as_text(parser, &left);
        if (status == STATUS_OK) {
            status = parser_as_text(parser, &right);
        }
        return status == STATUS_OK
                   ? parser_make_binary(parser, equal ? OP_TEXT_EQUAL : OP_TEXT_NOT_EQUAL,
                                        EXPRESSION_BOOLEAN, left, right, ret_node)
                   : status;
    }
    if (parser_node(parser, left)->op == OP_WORD) {
        uint32_t code = 0;
        enum status status = parser_find_word(parser, left, literal, right_column, &code);
        return status == STATUS_OK ? parser_make_word_in(parser, left, 1u << code, !equal, ret_node)
                                   : status;
    }
    return parser_make_unary(parser, equal ? OP_TEXT_IS : OP_TEXT_IS_NOT, EXPRESSION_BOOLEAN,
                             literal, left, ret_node);
}

static enum status make_comparison(struct parser *parser, const struct token *token, uint32_t left,
                                   uint32_t right, uint32_t right_column, uint32_t *ret_node)
{
    static const enum expression_op ops[] = {
        [TOKEN_LESS] = OP_LESS,       [TOKEN_LESS_EQUAL] = OP_LESS_EQUAL,
        [TOKEN_GREATER] = OP_GREATER, [TOKEN_GREATER_EQUAL] = OP_GREATER_EQUAL,
        [TOKEN_EQUAL] = OP_EQUAL,     [TOKEN_NOT_EQUAL] = OP_NOT_EQUAL,
    };
    bool equality = token->kind == TOKEN_EQUAL || token->kind == TOKEN_NOT_EQUAL;
    enum expression_type type = parser_type(parser, left);
    if (!equality || type != parser_type(parser, right)) {
        enum expression_type wanted = equality ? type : EXPRESSION_NUMBER;
        enum status status = parser_check_types(parser, token, wanted, left, right);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (type == EXPRESSION_TEXT) {
        return make_text_comparison(parser, token->kind == TOKEN_EQUAL, left, right, right_column,
                                    ret_node);
    }
    enum expression_op op = type == EXPRESSION_NUMBER    ? ops[token->kind]
                            : token->kind == TOKEN_EQUAL ? OP_SAME
                                                         : OP_DIFFER;
    return parser_make_binary(parser, op, EXPRESSION_BOOLEAN, left, right, ret_node);
}

static bool is_comparison(enum token_kind kind)
{
    return kind >= TOKEN_LESS && kind <= TOKEN_NOT_EQUAL;
}

static enum status parse_comparison(struct parser *parser, uint32_t *ret_node)
{
    uint32_t left = 0;
    enum status status = parse_arithmetic(parser, false, &left);
    if (status != STATUS_OK) {
        return status;
    }
    *ret_node = left;
    if (parser->token.kind == TOKEN_NOT) {
        status = parser_advance(parser);
        if (status == STATUS_OK && parser->token.kind != TOKEN_IN) {
            return parser_expected(parser, "\"in\" after \"not\"");
        }
        return status == STATUS_OK ? parser_in(parser, left, true, ret_node) : status;
    }
    if (parser->token.kind == TOKEN_IN) {
        return parser_in(parser, left, false, ret_node);
    }
    if (!is_comparison(parser->token.kind)) {
        return STATUS_OK;
    }
    struct token token = parser->token;
    uint32_t right = 0;
    status = parser_advance(parser);
    uint32_t right_column = parser->token.column;
    if (status == STATUS_OK) {
        status = parse_arithmetic(parser, false, &right);
    }
    if (status == STATUS_OK && is_comparison(parser->token.kind)) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: comparisons cannot be chained: join two of them with and",
                         parser->token.column);
    }
    return status == STATUS_OK
               ? make_comparison(parser, &token, left, right, right_column, ret_node)
               : status;
}

static enum status parse_not(struct parser *parser, uint32_t *ret_node)
{
    if (parser->token.kind != TOKEN_NOT) {
        return parse_comparison(parser, ret_node);
    }
    struct token token = parser->token;
    uint32_t arg = 0;
    enum status status = parser_enter(parser);
    if (status == STATUS_OK) {
        status = parser_advance(parser);
    }
    if (status == STATUS_OK) {
        status = parse_not(parser, &arg);
        parser->depth--;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (parser_type(parser, arg) != EXPRESSION_BOOLEAN) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: \"not\" needs a boolean, got %s", token.column,
                         expression_type_names[parser_type(parser, arg)]);
    }
    return parser_make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, arg, ret_node);
}

/* next (and next)*, or next (or next)*. */
static enum status parse_logic(struct parser *parser, enum token_kind kind, uint32_t *ret_node)
{
    uint32_t left = 0;
    enum status status =
        kind == TOKEN_AND ? parse_not(parser, &left) : parse_logic(parser, TOKEN_AND, &left);
    while (status == STATUS_OK && parser->token.kind == kind) {
        struct token token = parser->token;
        uint32_t right = 0;
        status = parser_advance(parser);
        if (status == STATUS_OK) {
            status = kind == TOKEN_AND ? parse_not(parser, &right)
                                       : parse_logic(parser, TOKEN_AND, &right);
        }
        if (status == STATUS_OK) {
            status = parser_check_types(parser, &token, EXPRESSION_BOOLEAN, left, right);
        }
        if (status == STATUS_OK) {
            status = parser_make_binary(parser, kind == TOKEN_AND ? OP_AND : OP_OR,
                                        EXPRESSION_BOOLEAN, left, right, &left);
        }
    }
    *ret_node = left;
    return status;
}

enum status parser_value(struct parser *parser, uint32_t *ret_node)
{
    enum status status = parser_enter(parser);
    if (status == STATUS_OK) {
        status = parse_logic(parser, TOKEN_OR, ret_node);
        parser->depth--;
    }
    return status;
}

enum status expression_compile(struct expression_program *program, struct text source,
                               unsigned types, struct expression *ret_expression,
                               struct error *error)
{
    assert(!program->is_finished);
    if (source.length > EXPRESSION_BYTES_MAX) {
        return error_set(error, STATUS_INVALID, "column %u: longer than %u bytes",
                         EXPRESSION_BYTES_MAX + 1, EXPRESSION_BYTES_MAX);
    }
    struct parser parser = {.program = program, .lexer = {source, 0}, .error = error};
    struct expression made = {0};
    enum status status = parser_advance(&parser);
    if (status == STATUS_OK) {
        status = parser_value(&parser, &made.node);
    }
    if (status == STATUS_OK && parser.token.kind != TOKEN_END) {
        return parser_expected(&parser, "an operator or the end");
    }
    if (status != STATUS_OK) {
        return status;
    }
    made.type = parser_type(&parser, made.node);
    if (!(types >> made.type & 1)) {
        const char *wanted = types & (1u << EXPRESSION_BOOLEAN)  ? "a condition"
                             : types & (1u << EXPRESSION_NUMBER) ? "a number"
                                                                 : "a text";
        return error_set(error, STATUS_INVALID, "column 1: expected %s, got a %s", wanted,
                         expression_type_names[made.type]);
    }
    made.scores_used = parser.scores_used;
    made.fields_used = parser.fields_used;
    *ret_expression = made;
    return STATUS_OK;
}
