/* Prints evaluations: a table for people, JSON for programs, a page with plots that opens offline.
 */
#ifndef PIPELINE_RUN_EVAL_REPORT_H
#define PIPELINE_RUN_EVAL_REPORT_H

#include <stdio.h>

#include "models/evaluate.h"
#include "models/model_pack.h"

#define EVAL_SLICES_MAX 16

struct eval_report {
    const char *pack; /* Label of the pack. Borrowed, as is the next one. */
    const char *target;
    const char *const *names; /* Of the features. */
    const char *after;        /* Time from which sessions were taken, or "". */
    struct eval_slice slices[EVAL_SLICES_MAX];
    uint32_t slice_count;
};

void eval_report_print(const struct eval_report *report, FILE *out);

/* STATUS_FATAL with the file's name where it cannot be written. */
MUST_CHECK enum status eval_report_write_json(const struct eval_report *report, const char *path,
                                              struct error *error);
MUST_CHECK enum status eval_report_write_html(const struct eval_report *report, const char *path,
                                              struct error *error);

#endif
