/* The parts of a page about a decision that are lists of names and values, whatever they look like.
 */
#ifndef PIPELINE_COMMANDS_EXPLAIN_ENTRIES_H
#define PIPELINE_COMMANDS_EXPLAIN_ENTRIES_H

#include "pipeline/commands/explain_facts.h"

/* Prints one entry in the page's look, nothing where `value` is NULL. The texts live that long. */
typedef void explain_entry(FILE *out, const char *name, const char *value);

void explain_place(const struct explain_facts *facts, explain_entry *entry, FILE *out);
void explain_suggestion(const struct yaml_node *emitted, explain_entry *entry, FILE *out);
void explain_limits(const struct yaml_node *decision, explain_entry *entry, FILE *out);
void explain_versions(const struct explain_facts *facts, explain_entry *entry, FILE *out);

#endif
