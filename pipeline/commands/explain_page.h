/* The page that `nudge explain` prints of one decision, for people. */
#ifndef PIPELINE_COMMANDS_EXPLAIN_PAGE_H
#define PIPELINE_COMMANDS_EXPLAIN_PAGE_H

#include <stdio.h>

#include "pipeline/config/yaml.h"
#include "pipeline/event/feature_set.h"

/*
 * `decision` is a record of the topic decisions, `emitted` the alert or promotion of the same id,
 * or NULL; both as trees (JSON is YAML). Values of features are named where `features` is the set
 * that the decision quotes.
 */
void explain_page_print(const struct yaml_node *decision, const struct yaml_node *emitted,
                        const struct feature_set *features, FILE *out);

#endif
