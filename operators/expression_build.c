#include <math.h>

#include "operators/expression_parser.h"
#include "pipeline/config/yaml.h"

const char *const expression_type_names[] = {"number", "text", "boolean"};

enum status parser_advance(struct parser *parser)
{
    return lexer_next(&parser->lexer, &parser->token, parser->error);
}

enum status parser_out_of_room(const struct parser *parser)
{
    return parser->program->node_count == EXPRESSION_NODES_MAX
               ? error_set(parser->error, STATUS_INVALID,
                           "column %u: the rules have more than %u different terms together",
                           parser->token.column, EXPRESSION_NODES_MAX)
               : error_set(parser->error, STATUS_FATAL, "expressions: out of memory");
}

/* What the parser looks at, for messages. */
static const char *token_text(const struct token *token, char *buffer, size_t bytes)
{
    if (token->kind == TOKEN_END) {
        return "the end";
    }
    uint32_t length = token->source.length < bytes - 3 ? token->source.length : (uint32_t)bytes - 3;
    if (token->kind == TOKEN_NUMBER) {
        return "a number";
    }
    if (token->kind == TOKEN_TEXT) {
        return "a text";
    }
    buffer[0] = '"';
    memcpy(buffer + 1, token->source.data, length);
    buffer[length + 1] = '"';
    buffer[length + 2] = '\0';
    return buffer;
}

enum status parser_expected(const struct parser *parser, const char *what)
{
    char buffer[48];
    return error_set(parser->error, STATUS_INVALID, "column %u: expected %s, got %s",
                     parser->token.column, what,
                     token_text(&parser->token, buffer, sizeof(buffer)));
}

enum status parser_expect(struct parser *parser, enum token_kind kind, const char *what)
{
    return parser->token.kind == kind ? parser_advance(parser) : parser_expected(parser, what);
}

enum status parser_enter(struct parser *parser)
{
    if (parser->depth == EXPRESSION_DEPTH_MAX) {
        return error_set(parser->error, STATUS_INVALID, "column %u: nested more than %u deep",
                         parser->token.column, EXPRESSION_DEPTH_MAX);
    }
    parser->depth++;
    return STATUS_OK;
}

/* Adds a node; a number made of literals alone becomes a literal. */
enum status parser_make(struct parser *parser, const struct expression_node *node,
                        uint32_t *ret_node)
{
    uint32_t made = expression_node_add(parser->program, node);
    if (made == NO_NODE) {
        return parser_out_of_room(parser);
    }
    bool folds = node->type == EXPRESSION_NUMBER && node->arg_count > 0;
    for (uint32_t i = 0; i < node->arg_count; i++) {
        folds = folds && parser_node(parser, node->args[i])->op == OP_NUMBER;
    }
    if (folds) {
        float value = expression_evaluate(parser->program, made, NULL, 0, NULL).number;
        if (isfinite(value)) {
            struct expression_node literal = {
                .op = OP_NUMBER, .type = EXPRESSION_NUMBER, .number = value};
            made = expression_node_add(parser->program, &literal);
            if (made == NO_NODE) {
                return parser_out_of_room(parser);
            }
        }
    }
    *ret_node = made;
    return STATUS_OK;
}

enum status parser_make_unary(struct parser *parser, enum expression_op op,
                              enum expression_type type, uint32_t index, uint32_t arg,
                              uint32_t *ret_node)
{
    struct expression_node node = {
        .op = (uint8_t)op, .type = (uint8_t)type, .arg_count = 1, .args = {arg}, .index = index};
    return parser_make(parser, &node, ret_node);
}

enum status parser_make_binary(struct parser *parser, enum expression_op op,
                               enum expression_type type, uint32_t a, uint32_t b,
                               uint32_t *ret_node)
{
    struct expression_node node = {
        .op = (uint8_t)op, .type = (uint8_t)type, .arg_count = 2, .args = {a, b}};
    return parser_make(parser, &node, ret_node);
}

/* Two operands of one type, or a complaint that says both types. */
enum status parser_check_types(const struct parser *parser, const struct token *operation,
                               enum expression_type type, uint32_t a, uint32_t b)
{
    if (parser_type(parser, a) == type && parser_type(parser, b) == type) {
        return STATUS_OK;
    }
    char buffer[48];
    return error_set(parser->error, STATUS_INVALID, "column %u: %s needs two %ss, got %s and %s",
                     operation->column, token_text(operation, buffer, sizeof(buffer)),
                     expression_type_names[type], expression_type_names[parser_type(parser, a)],
                     expression_type_names[parser_type(parser, b)]);
}

/* The bytes of a text in quotes. */
static enum status unescape(const struct parser *parser, const struct token *token,
                            char bytes[EXPRESSION_LITERAL_MAX], struct text *ret_text)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < token->source.length; i++) {
        char c = token->source.data[i];
        if (c == '\\') {
            char escape = token->source.data[++i];
            const char *known = "\\\"'nt";
            const char *means = "\\\"'\n\t";
            const char *found = escape ? strchr(known, escape) : NULL;
            if (!found) {
                return error_set(parser->error, STATUS_INVALID,
                                 "column %u: unknown escape: expected \\\\, \\\", \\', \\n or \\t",
                                 token->column + i);
            }
            c = means[found - known];
        }
        if (length == EXPRESSION_LITERAL_MAX) {
            return error_set(parser->error, STATUS_INVALID,
                             "column %u: a text of more than %u bytes", token->column,
                             EXPRESSION_LITERAL_MAX);
        }
        bytes[length++] = c;
    }
    *ret_text = (struct text){bytes, length};
    return STATUS_OK;
}

enum status parser_add_literal(struct parser *parser, const struct token *token,
                               uint32_t *ret_literal)
{
    char bytes[EXPRESSION_LITERAL_MAX];
    struct text value = {NULL, 0};
    enum status status = unescape(parser, token, bytes, &value);
    if (status == STATUS_OK) {
        *ret_literal = expression_literal_add(parser->program, value);
        status = *ret_literal == NO_NODE ? parser_out_of_room(parser) : STATUS_OK;
    }
    return status;
}

/* The code of a word in a known list. */
enum status parser_find_word(const struct parser *parser, uint32_t words_node, uint32_t literal,
                             uint32_t column, uint32_t *ret_code)
{
    enum expression_words words = (enum expression_words)parser_node(parser, words_node)->index;
    struct text value = expression_literal_text(&parser->program->literals[literal]);
    const char *known[32];
    uint32_t count = expression_word_count(words);
    for (uint32_t code = 0; code < count; code++) {
        known[code] = expression_word(words, code);
        if (text_is(value, known[code])) {
            *ret_code = code;
            return STATUS_OK;
        }
    }
    const char *name = words == WORDS_TYPE ? "type" : "session_outcome";
    const char *other = words == WORDS_TYPE ? " (the sender's own words: type_word)" : "";
    const char *nearest = nearest_name(parser->program->literals[literal].bytes, known, count);
    if (nearest) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: %s is never \"%.64s\": did you mean \"%s\"?%s", column, name,
                         parser->program->literals[literal].bytes, nearest, other);
    }
    return error_set(parser->error, STATUS_INVALID, "column %u: %s is never \"%.64s\"%s", column,
                     name, parser->program->literals[literal].bytes, other);
}

enum status parser_make_word_in(struct parser *parser, uint32_t words_node, uint32_t mask,
                                bool negated, uint32_t *ret_node)
{
    uint32_t count =
        expression_word_count((enum expression_words)parser_node(parser, words_node)->index);
    uint32_t all = (1u << count) - 1;
    return parser_make_unary(parser, OP_WORD_IN, EXPRESSION_BOOLEAN, negated ? all & ~mask : mask,
                             words_node, ret_node);
}

/* A word where any text may stand. */
enum status parser_as_text(struct parser *parser, uint32_t *node)
{
    if (parser_node(parser, *node)->op != OP_WORD) {
        return STATUS_OK;
    }
    return parser_make_unary(parser, OP_WORD_TEXT, EXPRESSION_TEXT,
                             parser_node(parser, *node)->index, *node, node);
}
