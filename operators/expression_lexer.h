/* Splits an expression's source into tokens. */
#ifndef OPERATORS_EXPRESSION_LEXER_H
#define OPERATORS_EXPRESSION_LEXER_H

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NUMBER, /* number */
    TOKEN_TEXT,   /* source: between the quotes, escapes still in it */
    TOKEN_NAME,   /* source */
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_IN,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_LESS,
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER,
    TOKEN_GREATER_EQUAL,
    TOKEN_EQUAL,
    TOKEN_NOT_EQUAL,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_STAR,
    TOKEN_SLASH,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_OPEN_LIST,
    TOKEN_CLOSE_LIST,
    TOKEN_COMMA,
};

struct token {
    enum token_kind kind;
    struct text source; /* As written. */
    float number;
    uint32_t column; /* From 1, in bytes. */
};

struct lexer {
    struct text source;
    uint32_t at;
};

/* The next token; TOKEN_END at the end, again and again. STATUS_INVALID names the column. */
MUST_CHECK enum status lexer_next(struct lexer *lexer, struct token *ret_token,
                                  struct error *error);

#endif
