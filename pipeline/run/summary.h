/* What a run came to: for people, and the same as JSON for programs. */
#ifndef PIPELINE_RUN_SUMMARY_H
#define PIPELINE_RUN_SUMMARY_H

#include <stdio.h>

#include "pipeline/run/runner.h"

void summary_print(const struct runner_result *result, const struct config *config, FILE *out);

/* Writes the file whole or not at all. */
MUST_CHECK enum status summary_write(const struct runner_result *result,
                                     const struct config *config, const char *path,
                                     struct error *error);

#endif
