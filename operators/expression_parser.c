/* Recursive descent; each rule of the grammar is one function that leaves a node behind. */
#include <math.h>
#include <stdlib.h>

#include "operators/expression_lexer.h"
#include "operators/expression_names.h"
#include "pipeline/config/yaml.h"

struct parser {
    struct expression_program *program;
    struct lexer lexer;
    struct token token; /* The one that is looked at. */
    uint32_t depth;
    uint32_t scores_used;
    uint64_t fields_used;
    struct error *error;
};

static const char *const type_names[] = {"number", "text", "boolean"};

static enum status parse_or(struct parser *parser, uint32_t *ret_node);

static const struct expression_node *node_at(const struct parser *parser, uint32_t node)
{
    return &parser->program->nodes[node];
}

static enum expression_type type_at(const struct parser *parser, uint32_t node)
{
    return (enum expression_type)node_at(parser, node)->type;
}

static enum status advance(struct parser *parser)
{
    return lexer_next(&parser->lexer, &parser->token, parser->error);
}

static enum status out_of_room(const struct parser *parser)
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

static enum status expected(const struct parser *parser, const char *what)
{
    char buffer[48];
    return error_set(parser->error, STATUS_INVALID, "column %u: expected %s, got %s",
                     parser->token.column, what,
                     token_text(&parser->token, buffer, sizeof(buffer)));
}

static enum status expect(struct parser *parser, enum token_kind kind, const char *what)
{
    return parser->token.kind == kind ? advance(parser) : expected(parser, what);
}

static enum status enter(struct parser *parser)
{
    if (parser->depth == EXPRESSION_DEPTH_MAX) {
        return error_set(parser->error, STATUS_INVALID, "column %u: nested more than %u deep",
                         parser->token.column, EXPRESSION_DEPTH_MAX);
    }
    parser->depth++;
    return STATUS_OK;
}

/* Adds a node; a number made of literals alone becomes a literal. */
static enum status make_node(struct parser *parser, const struct expression_node *node,
                             uint32_t *ret_node)
{
    uint32_t made = expression_node_add(parser->program, node);
    if (made == NO_NODE) {
        return out_of_room(parser);
    }
    bool folds = node->type == EXPRESSION_NUMBER && node->arg_count > 0;
    for (uint32_t i = 0; i < node->arg_count; i++) {
        folds = folds && node_at(parser, node->args[i])->op == OP_NUMBER;
    }
    if (folds) {
        float value = expression_evaluate(parser->program, made, NULL, 0, NULL).number;
        if (isfinite(value)) {
            struct expression_node literal = {
                .op = OP_NUMBER, .type = EXPRESSION_NUMBER, .number = value};
            made = expression_node_add(parser->program, &literal);
            if (made == NO_NODE) {
                return out_of_room(parser);
            }
        }
    }
    *ret_node = made;
    return STATUS_OK;
}

static enum status make_unary(struct parser *parser, enum expression_op op,
                              enum expression_type type, uint32_t index, uint32_t arg,
                              uint32_t *ret_node)
{
    struct expression_node node = {
        .op = (uint8_t)op, .type = (uint8_t)type, .arg_count = 1, .args = {arg}, .index = index};
    return make_node(parser, &node, ret_node);
}

static enum status make_binary(struct parser *parser, enum expression_op op,
                               enum expression_type type, uint32_t a, uint32_t b,
                               uint32_t *ret_node)
{
    struct expression_node node = {
        .op = (uint8_t)op, .type = (uint8_t)type, .arg_count = 2, .args = {a, b}};
    return make_node(parser, &node, ret_node);
}

/* Two operands of one type, or a complaint that says both types. */
static enum status check_types(const struct parser *parser, const struct token *operation,
                               enum expression_type type, uint32_t a, uint32_t b)
{
    if (type_at(parser, a) == type && type_at(parser, b) == type) {
        return STATUS_OK;
    }
    char buffer[48];
    return error_set(parser->error, STATUS_INVALID, "column %u: %s needs two %ss, got %s and %s",
                     operation->column, token_text(operation, buffer, sizeof(buffer)),
                     type_names[type], type_names[type_at(parser, a)],
                     type_names[type_at(parser, b)]);
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

static enum status add_literal(struct parser *parser, const struct token *token,
                               uint32_t *ret_literal)
{
    char bytes[EXPRESSION_LITERAL_MAX];
    struct text value = {NULL, 0};
    enum status status = unescape(parser, token, bytes, &value);
    if (status == STATUS_OK) {
        *ret_literal = expression_literal_add(parser->program, value);
        status = *ret_literal == NO_NODE ? out_of_room(parser) : STATUS_OK;
    }
    return status;
}

/* The code of a word in a known list. */
static enum status find_word(const struct parser *parser, uint32_t words_node, uint32_t literal,
                             uint32_t column, uint32_t *ret_code)
{
    enum expression_words words = (enum expression_words)node_at(parser, words_node)->index;
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

static enum status make_word_in(struct parser *parser, uint32_t words_node, uint32_t mask,
                                bool negated, uint32_t *ret_node)
{
    uint32_t count =
        expression_word_count((enum expression_words)node_at(parser, words_node)->index);
    uint32_t all = (1u << count) - 1;
    return make_unary(parser, OP_WORD_IN, EXPRESSION_BOOLEAN, negated ? all & ~mask : mask,
                      words_node, ret_node);
}

/* A word where any text may stand. */
static enum status as_text(struct parser *parser, uint32_t *node)
{
    if (node_at(parser, *node)->op != OP_WORD) {
        return STATUS_OK;
    }
    return make_unary(parser, OP_WORD_TEXT, EXPRESSION_TEXT, node_at(parser, *node)->index, *node,
                      node);
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
    } else if (node.op == OP_FRAUD_PART) {
        parser->scores_used |= 1u << SCORE_FRAUD;
    } else if (node.op == OP_FIELD || node.op == OP_TEXT_FIELD) {
        parser->fields_used |= UINT64_C(1) << node.index;
    }
    return make_node(parser, &node, ret_node);
}

static enum status parse_attribute(struct parser *parser, uint32_t *ret_node)
{
    enum status status = expect(parser, TOKEN_OPEN_LIST, "[\"name\"] after attributes");
    if (status != STATUS_OK) {
        return status;
    }
    struct token name = parser->token;
    status = expect(parser, TOKEN_TEXT, "the attribute's name in quotes");
    if (status != STATUS_OK) {
        return status;
    }
    struct expression_node node = {.op = OP_ATTRIBUTE, .type = EXPRESSION_TEXT};
    status = add_literal(parser, &name, &node.index);
    if (status == STATUS_OK) {
        parser->fields_used |= UINT64_C(1) << FIELD_ATTRIBUTES;
        status = make_node(parser, &node, ret_node);
    }
    return status == STATUS_OK ? expect(parser, TOKEN_CLOSE_LIST, "\"]\"") : status;
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
                     function->usage, wanted, type_names[type_at(parser, arg)]);
}

/* Checks argument `k`; texts in quotes and offsets end up in the node itself. */
static enum status check_argument(struct parser *parser, const struct expression_function *function,
                                  uint32_t k, uint32_t column, struct expression_node *node)
{
    uint32_t *arg = &node->args[k];
    const struct expression_node *given = node_at(parser, *arg);
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
                   ? as_text(parser, arg)
                   : wrong_argument(parser, function, column, "a text", *arg);
    case ARGUMENT_VALUE:
        return given->type != EXPRESSION_BOOLEAN
                   ? as_text(parser, arg)
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
        bool text = type_at(parser, node->args[0]) == EXPRESSION_TEXT;
        enum status status = make_unary(parser, text ? OP_TEXT_PRESENT : OP_NUMBER_PRESENT,
                                        EXPRESSION_BOOLEAN, 0, node->args[0], ret_node);
        if (status == STATUS_OK && function->op == OP_NOT) {
            status = make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, *ret_node, ret_node);
        }
        return status;
    }
    /* Arguments that went into the node are none any more. */
    while (node->arg_count > 0 && (function->args[node->arg_count - 1] == ARGUMENT_LITERAL ||
                                   function->args[node->arg_count - 1] == ARGUMENT_OFFSET)) {
        node->args[--node->arg_count] = 0;
    }
    return make_node(parser, node, ret_node);
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
    enum status status = advance(parser); /* The parenthesis. */
    while (status == STATUS_OK && parser->token.kind != TOKEN_CLOSE) {
        uint32_t column = parser->token.column;
        if (node.arg_count == function->args_max) {
            return error_set(parser->error, STATUS_INVALID, "column %u: %s: too many arguments",
                             column, function->usage);
        }
        status = parse_or(parser, &node.args[node.arg_count]);
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
        status = advance(parser);
        if (status == STATUS_OK && parser->token.kind == TOKEN_CLOSE) {
            return expected(parser, "an argument");
        }
    }
    if (status == STATUS_OK && parser->token.kind == TOKEN_CLOSE &&
        node.arg_count < function->args_min) {
        return error_set(parser->error, STATUS_INVALID, "column %u: %s: expected %u argument%s",
                         parser->token.column, function->usage, function->args_min,
                         function->args_min == 1 ? "" : "s");
    }
    if (status == STATUS_OK) {
        status = expect(parser, TOKEN_CLOSE, "\",\" or \")\"");
    }
    return status == STATUS_OK ? make_call(parser, function, &node, ret_node) : status;
}

static enum status parse_named(struct parser *parser, uint32_t *ret_node)
{
    struct token name = parser->token;
    enum status status = advance(parser);
    if (status != STATUS_OK) {
        return status;
    }
    if (text_is(name.source, "attributes")) {
        return parse_attribute(parser, ret_node);
    }
    return parser->token.kind == TOKEN_OPEN ? parse_call(parser, &name, ret_node)
                                            : parse_name(parser, &name, ret_node);
}

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
        status = add_literal(parser, &token, &node.index);
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
        return parse_named(parser, ret_node);
    case TOKEN_OPEN:
        status = advance(parser);
        if (status == STATUS_OK) {
            status = parse_or(parser, ret_node);
        }
        return status == STATUS_OK ? expect(parser, TOKEN_CLOSE, "\")\"") : status;
    default:
        return expected(parser, "a value");
    }
    status = advance(parser);
    return status == STATUS_OK ? make_node(parser, &node, ret_node) : status;
}

static enum status parse_unary(struct parser *parser, uint32_t *ret_node)
{
    if (parser->token.kind != TOKEN_MINUS) {
        return parse_primary(parser, ret_node);
    }
    struct token minus = parser->token;
    uint32_t arg = 0;
    enum status status = enter(parser);
    if (status == STATUS_OK) {
        status = advance(parser);
    }
    if (status == STATUS_OK) {
        status = parse_unary(parser, &arg);
        parser->depth--;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (type_at(parser, arg) != EXPRESSION_NUMBER) {
        return error_set(parser->error, STATUS_INVALID, "column %u: \"-\" needs a number, got %s",
                         minus.column, type_names[type_at(parser, arg)]);
    }
    return make_unary(parser, OP_NEGATE, EXPRESSION_NUMBER, 0, arg, ret_node);
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
        status = advance(parser);
        if (status == STATUS_OK) {
            status =
                products ? parse_unary(parser, &right) : parse_arithmetic(parser, true, &right);
        }
        if (status == STATUS_OK) {
            status = check_types(parser, &token, EXPRESSION_NUMBER, left, right);
        }
        if (status == STATUS_OK) {
            status = make_binary(parser, op, EXPRESSION_NUMBER, left, right, &left);
        }
    }
    *ret_node = left;
    return status;
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
    enum status status = negative ? advance(parser) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    struct token token = parser->token;
    enum token_kind wanted = members->texts ? TOKEN_TEXT : TOKEN_NUMBER;
    if (token.kind != wanted || (negative && members->texts)) {
        return expected(parser, members->texts ? "a text in quotes" : "a number");
    }
    if (members->count == EXPRESSION_LIST_MAX) {
        return error_set(parser->error, STATUS_INVALID, "column %u: more than %u members",
                         token.column, EXPRESSION_LIST_MAX);
    }
    uint32_t at = members->count;
    members->columns[at] = token.column;
    if (members->texts) {
        status = add_literal(parser, &token, &members->literals[at]);
    } else {
        members->numbers[at] = (negative ? -token.number : token.number) + 0.0f;
    }
    members->count++;
    return status == STATUS_OK ? advance(parser) : status;
}

static enum status parse_members(struct parser *parser, struct list_members *members)
{
    enum status status = expect(parser, TOKEN_OPEN_LIST, "a list in brackets after \"in\"");
    while (status == STATUS_OK) {
        status = parse_member(parser, members);
        if (status != STATUS_OK || parser->token.kind != TOKEN_COMMA) {
            break;
        }
        status = advance(parser);
    }
    return status == STATUS_OK ? expect(parser, TOKEN_CLOSE_LIST, "\",\" or \"]\"") : status;
}

static enum status make_in(struct parser *parser, uint32_t left, bool negated,
                           const struct list_members *members, uint32_t *ret_node)
{
    if (node_at(parser, left)->op == OP_WORD) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < members->count; i++) {
            uint32_t code = 0;
            enum status status =
                find_word(parser, left, members->literals[i], members->columns[i], &code);
            if (status != STATUS_OK) {
                return status;
            }
            mask |= 1u << code;
        }
        return make_word_in(parser, left, mask, negated, ret_node);
    }
    uint32_t list = expression_list_add(parser->program, members->texts ? NULL : members->numbers,
                                        members->texts ? members->literals : NULL, members->count);
    if (list == NO_NODE) {
        return out_of_room(parser);
    }
    enum status status = make_unary(parser, members->texts ? OP_TEXT_IN : OP_NUMBER_IN,
                                    EXPRESSION_BOOLEAN, list, left, ret_node);
    if (status != STATUS_OK || !negated) {
        return status;
    }
    /* As for !=, a missing value is neither in a list nor outside of it. */
    uint32_t present = 0;
    status = make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, *ret_node, ret_node);
    if (status == STATUS_OK) {
        status = make_unary(parser, members->texts ? OP_TEXT_PRESENT : OP_NUMBER_PRESENT,
                            EXPRESSION_BOOLEAN, 0, left, &present);
    }
    return status == STATUS_OK
               ? make_binary(parser, OP_AND, EXPRESSION_BOOLEAN, present, *ret_node, ret_node)
               : status;
}

static enum status parse_in(struct parser *parser, uint32_t left, bool negated, uint32_t *ret_node)
{
    if (type_at(parser, left) == EXPRESSION_BOOLEAN) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: \"in\" needs a number or a text, got boolean",
                         parser->token.column);
    }
    enum status status = advance(parser);
    if (status != STATUS_OK) {
        return status;
    }
    struct list_members members = {
        .numbers = malloc(EXPRESSION_LIST_MAX * sizeof(float)),
        .literals = malloc(EXPRESSION_LIST_MAX * sizeof(uint32_t)),
        .columns = malloc(EXPRESSION_LIST_MAX * sizeof(uint32_t)),
        .texts = type_at(parser, left) == EXPRESSION_TEXT,
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

static enum status make_text_comparison(struct parser *parser, bool equal, uint32_t left,
                                        uint32_t right, uint32_t right_column, uint32_t *ret_node)
{
    if (node_at(parser, left)->op == OP_TEXT) { /* The literal to the right. */
        uint32_t swapped = left;
        left = right;
        right = swapped;
    }
    uint32_t literal = node_at(parser, right)->index;
    if (node_at(parser, right)->op != OP_TEXT) {
        enum status status = as_text(parser, &left);
        if (status == STATUS_OK) {
            status = as_text(parser, &right);
        }
        return status == STATUS_OK ? make_binary(parser, equal ? OP_TEXT_EQUAL : OP_TEXT_NOT_EQUAL,
                                                 EXPRESSION_BOOLEAN, left, right, ret_node)
                                   : status;
    }
    if (node_at(parser, left)->op == OP_WORD) {
        uint32_t code = 0;
        enum status status = find_word(parser, left, literal, right_column, &code);
        return status == STATUS_OK ? make_word_in(parser, left, 1u << code, !equal, ret_node)
                                   : status;
    }
    return make_unary(parser, equal ? OP_TEXT_IS : OP_TEXT_IS_NOT, EXPRESSION_BOOLEAN, literal,
                      left, ret_node);
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
    enum expression_type type = type_at(parser, left);
    if (!equality || type != type_at(parser, right)) {
        enum expression_type wanted = equality ? type : EXPRESSION_NUMBER;
        enum status status = check_types(parser, token, wanted, left, right);
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
    return make_binary(parser, op, EXPRESSION_BOOLEAN, left, right, ret_node);
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
        status = advance(parser);
        if (status == STATUS_OK && parser->token.kind != TOKEN_IN) {
            return expected(parser, "\"in\" after \"not\"");
        }
        return status == STATUS_OK ? parse_in(parser, left, true, ret_node) : status;
    }
    if (parser->token.kind == TOKEN_IN) {
        return parse_in(parser, left, false, ret_node);
    }
    if (!is_comparison(parser->token.kind)) {
        return STATUS_OK;
    }
    struct token token = parser->token;
    uint32_t right = 0;
    status = advance(parser);
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
    enum status status = enter(parser);
    if (status == STATUS_OK) {
        status = advance(parser);
    }
    if (status == STATUS_OK) {
        status = parse_not(parser, &arg);
        parser->depth--;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (type_at(parser, arg) != EXPRESSION_BOOLEAN) {
        return error_set(parser->error, STATUS_INVALID,
                         "column %u: \"not\" needs a boolean, got %s", token.column,
                         type_names[type_at(parser, arg)]);
    }
    return make_unary(parser, OP_NOT, EXPRESSION_BOOLEAN, 0, arg, ret_node);
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
        status = advance(parser);
        if (status == STATUS_OK) {
            status = kind == TOKEN_AND ? parse_not(parser, &right)
                                       : parse_logic(parser, TOKEN_AND, &right);
        }
        if (status == STATUS_OK) {
            status = check_types(parser, &token, EXPRESSION_BOOLEAN, left, right);
        }
        if (status == STATUS_OK) {
            status = make_binary(parser, kind == TOKEN_AND ? OP_AND : OP_OR, EXPRESSION_BOOLEAN,
                                 left, right, &left);
        }
    }
    *ret_node = left;
    return status;
}

static enum status parse_or(struct parser *parser, uint32_t *ret_node)
{
    enum status status = enter(parser);
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
    enum status status = advance(&parser);
    if (status == STATUS_OK) {
        status = parse_or(&parser, &made.node);
    }
    if (status == STATUS_OK && parser.token.kind != TOKEN_END) {
        return expected(&parser, "an operator or the end");
    }
    if (status != STATUS_OK) {
        return status;
    }
    made.type = type_at(&parser, made.node);
    if (!(types >> made.type & 1)) {
        const char *wanted = types & (1u << EXPRESSION_BOOLEAN)  ? "a condition"
                             : types & (1u << EXPRESSION_NUMBER) ? "a number"
                                                                 : "a text";
        return error_set(error, STATUS_INVALID, "column 1: expected %s, got a %s", wanted,
                         type_names[made.type]);
    }
    made.scores_used = parser.scores_used;
    made.fields_used = parser.fields_used;
    *ret_expression = made;
    return STATUS_OK;
}
