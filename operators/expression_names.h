/* The names and functions of the rule language, as tables. */
#ifndef OPERATORS_EXPRESSION_NAMES_H
#define OPERATORS_EXPRESSION_NAMES_H

#include "operators/expression_internal.h"

#define FUNCTION_ARGS_MAX 3

/* What an argument may be. */
enum expression_argument {
    ARGUMENT_NUMBER,
    ARGUMENT_TEXT,
    ARGUMENT_BOOLEAN,
    ARGUMENT_LITERAL, /* a text in quotes */
    ARGUMENT_OFFSET,  /* hours from UTC, a literal number */
    ARGUMENT_VALUE,   /* a number or a text */
};

struct expression_function {
    const char *name;
    enum expression_op op;
    enum expression_type type;
    uint8_t args_min, args_max;
    enum expression_argument args[FUNCTION_ARGS_MAX];
    uint32_t index; /* For OP_CLOCK. */
    const char *usage;
    const char *doc;
};

extern const struct expression_function expression_functions[];
extern const uint32_t expression_function_count;

/*
 * The leaf that `name` stands for: an event field, one of the names above, a score or a feature, in
 * this order. Returns false where there is none.
 */
bool expression_find_name(const struct feature_set *features, struct text name,
                          struct expression_node *ret_node);

/* The nearest name or function, or NULL. */
const char *expression_nearest(const struct feature_set *features, struct text name);

#endif
