/* Parts of the parser of expressions: its state, how nodes are made, and operands. */
#ifndef OPERATORS_EXPRESSION_PARSER_H
#define OPERATORS_EXPRESSION_PARSER_H

#include "operators/expression_lexer.h"
#include "operators/expression_names.h"

struct parser {
    struct expression_program *program;
    struct lexer lexer;
    struct token token; /* The one that is looked at. */
    uint32_t depth;
    uint32_t scores_used;
    uint64_t fields_used;
    struct error *error;
};

extern const char *const expression_type_names[]; /* By enum expression_type. */

/* ---- expression_build.c: tokens, and nodes that are right ---- */

static inline const struct expression_node *parser_node(const struct parser *parser, uint32_t node)
{
    return &parser->program->nodes[node];
}

static inline enum expression_type parser_type(const struct parser *parser, uint32_t node)
{
    return (enum expression_type)parser_node(parser, node)->type;
}

/* The next token is looked at. */
enum status parser_advance(struct parser *parser);
/* One level of nesting more; the caller takes it back on success. */
enum status parser_enter(struct parser *parser);
/* Complains that something else stands here. */
enum status parser_expected(const struct parser *parser, const char *what);
/* Passes over a token of that kind. */
enum status parser_expect(struct parser *parser, enum token_kind kind, const char *what);
/* Complains that nodes, or memory, are used up. */
enum status parser_out_of_room(const struct parser *parser);

/* Adds a node; a number made of literals alone becomes a literal. */
enum status parser_make(struct parser *parser, const struct expression_node *node,
                        uint32_t *ret_node);
enum status parser_make_unary(struct parser *parser, enum expression_op op,
                              enum expression_type type, uint32_t index, uint32_t arg,
                              uint32_t *ret_node);
enum status parser_make_binary(struct parser *parser, enum expression_op op,
                               enum expression_type type, uint32_t a, uint32_t b,
                               uint32_t *ret_node);
/* Two operands of one type, or a complaint that says both types. */
enum status parser_check_types(const struct parser *parser, const struct token *operation,
                               enum expression_type type, uint32_t a, uint32_t b);
/* The literal that a text in quotes is. */
enum status parser_add_literal(struct parser *parser, const struct token *token,
                               uint32_t *ret_literal);
/* The code of a word in a known list. */
enum status parser_find_word(const struct parser *parser, uint32_t words_node, uint32_t literal,
                             uint32_t column, uint32_t *ret_code);
/* Whether a word is, or with `negated` is present and not, one of those in the mask. */
enum status parser_make_word_in(struct parser *parser, uint32_t words_node, uint32_t mask,
                                bool negated, uint32_t *ret_node);
/* A word where any text may stand. */
enum status parser_as_text(struct parser *parser, uint32_t *node);

/* ---- expression_operand.c ---- */

/* A name, a call or an attribute. */
enum status parser_named(struct parser *parser, uint32_t *ret_node);
/* "in" and its list; the token is looked at. */
enum status parser_in(struct parser *parser, uint32_t left, bool negated, uint32_t *ret_node);

/* ---- expression_parser.c ---- */

/* A whole value, down from "or". */
enum status parser_value(struct parser *parser, uint32_t *ret_node);

#endif
