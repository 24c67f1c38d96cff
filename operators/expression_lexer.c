#include "operators/expression_lexer.h"

#include <math.h>
#include <stdlib.h>

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int char_at(const struct lexer *lexer, uint32_t at)
{
    return at < lexer->source.length ? lexer->source.data[at] : '\0';
}

static uint32_t skip_digits(const struct lexer *lexer, uint32_t at)
{
    while (is_digit(char_at(lexer, at))) {
        at++;
    }
    return at;
}

static enum status read_number(struct lexer *lexer, struct token *token, struct error *error)
{
    uint32_t end = skip_digits(lexer, lexer->at);
    if (char_at(lexer, end) == '.') {
        end = skip_digits(lexer, end + 1);
    }
    if (char_at(lexer, end) == 'e' || char_at(lexer, end) == 'E') {
        uint32_t sign = char_at(lexer, end + 1) == '-' || char_at(lexer, end + 1) == '+';
        uint32_t after = skip_digits(lexer, end + 1 + sign);
        end = after > end + 1 + sign ? after : end;
    }
    char digits[64];
    uint32_t length = end - lexer->at;
    if (length >= sizeof(digits)) {
        return error_set(error, STATUS_INVALID, "column %u: a number of more than %zu digits",
                         token->column, sizeof(digits) - 1);
    }
    memcpy(digits, lexer->source.data + lexer->at, length);
    digits[length] = '\0';
    if (is_letter(char_at(lexer, end))) {
        return error_set(error, STATUS_INVALID,
                         "column %u: \"%s%c\": expected a plain number; units such as m or d are "
                         "not known here",
                         token->column, digits, char_at(lexer, end));
    }
    token->number = strtof(digits, NULL);
    if (!isfinite(token->number)) {
        return error_set(error, STATUS_INVALID, "column %u: %s: expected at most 3.4e38",
                         token->column, digits);
    }
    token->kind = TOKEN_NUMBER;
    lexer->at = end;
    return STATUS_OK;
}

static enum status read_text(struct lexer *lexer, struct token *token, struct error *error)
{
    int quote = char_at(lexer, lexer->at);
    uint32_t at = lexer->at + 1;
    while (at < lexer->source.length && lexer->source.data[at] != quote) {
        at += lexer->source.data[at] == '\\' ? 2 : 1;
    }
    if (at >= lexer->source.length) {
        return error_set(error, STATUS_INVALID, "column %u: the text that begins here has no end",
                         token->column);
    }
    token->kind = TOKEN_TEXT;
    token->source = (struct text){lexer->source.data + lexer->at + 1, at - lexer->at - 1};
    lexer->at = at + 1;
    return STATUS_OK;
}

static void read_name(struct lexer *lexer, struct token *token)
{
    static const struct {
        const char *word;
        enum token_kind kind;
    } words[] = {
        {"and", TOKEN_AND}, {"or", TOKEN_OR},     {"not", TOKEN_NOT},
        {"in", TOKEN_IN},   {"true", TOKEN_TRUE}, {"false", TOKEN_FALSE},
    };
    uint32_t end = lexer->at;
    while (is_letter(char_at(lexer, end)) || is_digit(char_at(lexer, end))) {
        end++;
    }
    token->kind = TOKEN_NAME;
    token->source = (struct text){lexer->source.data + lexer->at, end - lexer->at};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (text_is(token->source, words[i].word)) {
            token->kind = words[i].kind;
        }
    }
    lexer->at = end;
}

static enum status read_symbol(struct lexer *lexer, struct token *token, struct error *error)
{
    static const struct {
        const char *symbol;
        enum token_kind kind;
    } symbols[] = {
        {"<=", TOKEN_LESS_EQUAL}, {">=", TOKEN_GREATER_EQUAL}, {"==", TOKEN_EQUAL},
        {"!=", TOKEN_NOT_EQUAL},  {"<", TOKEN_LESS},           {">", TOKEN_GREATER},
        {"+", TOKEN_PLUS},        {"-", TOKEN_MINUS},          {"*", TOKEN_STAR},
        {"/", TOKEN_SLASH},       {"(", TOKEN_OPEN},           {")", TOKEN_CLOSE},
        {"[", TOKEN_OPEN_LIST},   {"]", TOKEN_CLOSE_LIST},     {",", TOKEN_COMMA},
    };
    static const struct {
        const char *symbol;
        const char *right;
    } mistakes[] = {{"=", "=="},  {"&&", "and"}, {"||", "or"},
                    {"!", "not"}, {"&", "and"},  {"|", "or"}};
    struct text rest = {lexer->source.data + lexer->at, lexer->source.length - lexer->at};
    for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++) {
        struct text symbol = text_of(symbols[i].symbol);
        if (rest.length >= symbol.length && memcmp(rest.data, symbol.data, symbol.length) == 0) {
            token->kind = symbols[i].kind;
            token->source = (struct text){rest.data, symbol.length};
            lexer->at += symbol.length;
            return STATUS_OK;
        }
    }
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        struct text symbol = text_of(mistakes[i].symbol);
        if (rest.length >= symbol.length && memcmp(rest.data, symbol.data, symbol.length) == 0) {
            return error_set(error, STATUS_INVALID, "column %u: \"%s\": did you mean \"%s\"?",
                             token->column, mistakes[i].symbol, mistakes[i].right);
        }
    }
    unsigned char byte = (unsigned char)rest.data[0];
    if (byte > 0x20 && byte < 0x7f) {
        return error_set(error, STATUS_INVALID, "column %u: unexpected character \"%c\"",
                         token->column, byte);
    }
    return error_set(error, STATUS_INVALID, "column %u: unexpected byte 0x%02x", token->column,
                     byte);
}

enum status lexer_next(struct lexer *lexer, struct token *ret_token, struct error *error)
{
    int c = char_at(lexer, lexer->at);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        lexer->at++;
        c = char_at(lexer, lexer->at);
    }
    struct token token = {.kind = TOKEN_END, .column = lexer->at + 1};
    enum status status = STATUS_OK;
    if (lexer->at < lexer->source.length) {
        if (is_digit(c) || (c == '.' && is_digit(char_at(lexer, lexer->at + 1)))) {
            status = read_number(lexer, &token, error);
        } else if (c == '"' || c == '\'') {
            status = read_text(lexer, &token, error);
        } else if (is_letter(c)) {
            read_name(lexer, &token);
        } else {
            status = read_symbol(lexer, &token, error);
        }
    }
    if (status == STATUS_OK) {
        *ret_token = token;
    }
    return status;
}
