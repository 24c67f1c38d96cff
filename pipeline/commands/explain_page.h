/* The page that `nudge explain` prints of one decision, for people: as text and as HTML. */
#ifndef PIPELINE_COMMANDS_EXPLAIN_PAGE_H
#define PIPELINE_COMMANDS_EXPLAIN_PAGE_H

#include "pipeline/commands/explain_facts.h"

void explain_page_print(const struct explain_facts *facts, FILE *out);

/*
 * A page that needs nothing but itself: no scripts, nothing loaded, bars as inline SVG; it prints
 * on paper as it stands. Every text of the records is escaped.
 */
void explain_html_print(const struct explain_facts *facts, FILE *out);

#endif
