/* Reads one rule; used by rule_set.c alone. */
#ifndef OPERATORS_RULE_READ_H
#define OPERATORS_RULE_READ_H

#include "operators/rule_set.h"

struct rule_reader {
    struct expression_program *program; /* Borrowed. */
    uint64_t fields_shown;
};

/* Errors as rules_compile(). */
MUST_CHECK enum status rule_read(struct rule_reader *reader, const struct yaml_node *node,
                                 struct rule *ret_rule, struct error *error);
void rule_release(struct rule *rule);

#endif
