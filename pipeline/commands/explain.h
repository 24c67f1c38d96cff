/* `nudge explain`: finds one decision in the outputs of a run and prints a page about it. */
#ifndef PIPELINE_COMMANDS_EXPLAIN_H
#define PIPELINE_COMMANDS_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "pipeline/base/status.h"

struct explain_options {
    const char *id; /* May be cut to its first six digits or more: the first one that fits. */
    const char *directory; /* The output folder of a run. */
    const char *html_path; /* Or NULL. */
    bool show_all;         /* Features that are missing, too. */
};

/*
 * STATUS_INVALID: a wrong id, no output folder, no such decision, a damaged file. STATUS_FATAL: the
 * HTML file cannot be written.
 */
MUST_CHECK enum status explain_decision(const struct explain_options *options, FILE *out,
                                        struct error *error);

#endif
