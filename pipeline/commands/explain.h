/* `nudge explain`: finds one decision in the outputs of a run and prints a page about it. */
#ifndef PIPELINE_COMMANDS_EXPLAIN_H
#define PIPELINE_COMMANDS_EXPLAIN_H

#include <stdio.h>

#include "pipeline/base/status.h"

/*
 * `id` may be cut to its first six digits or more; the first decision that fits is taken.
 * `html_path` may be NULL. STATUS_INVALID: a wrong id, no output folder, no such decision, a
 * damaged file.
 */
MUST_CHECK enum status explain_decision(const char *id, const char *directory,
                                        const char *html_path, FILE *out, struct error *error);

#endif
