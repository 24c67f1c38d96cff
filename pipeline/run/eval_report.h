/* Prints evaluations: a table for people, JSON for programs, a page with plots that opens offline.
 */
#ifndef PIPELINE_RUN_EVAL_REPORT_H
#define PIPELINE_RUN_EVAL_REPORT_H

#include <stdio.h>

#include "models/evaluate.h"
#include "models/model_backend.h"
#include "models/model_pack.h"
#include "pipeline/run/eval_reference.h"
#include "pipeline/run/eval_slices.h"

#define EVAL_SLICES_MAX 16

/* How much a feature moves the logit: the mean size of its term in the reasons. */
struct eval_importance {
    const char *name; /* Borrowed from `names` of the report, or session_before. */
    double mean_term;
};

/* The rows that lie in the time that the pack was trained on. */
struct eval_trained {
    uint32_t row_count; /* 0: none, or the pack does not say when that was. */
    uint32_t measured;  /* Rows in all. */
    int64_t from_ms, to_ms;
};

struct eval_report {
    const char *pack; /* Label of the pack. Borrowed, as is the next one. */
    const char *target;
    const char *const *names; /* Of the features. */
    const char *after;        /* Time from which sessions were taken, or "". */
    struct eval_slice slices[EVAL_SLICES_MAX];
    uint32_t slice_count;
    /* Of the pack's features, and of a recurrent one of what it remembers of the session
     * (session_before), the most important first; none where the scores are of no pack. */
    struct eval_importance importance[PACK_FEATURES_MAX + 1];
    uint32_t importance_count;
    uint32_t importance_rows; /* Over so many rows. */
    struct eval_slices by_slice;
    struct eval_reference_model reference;
    struct eval_trained trained;
};

/* Fills `trained`. */
void eval_report_note_trained(struct eval_report *report, const struct model_pack *pack,
                              const struct row_table *table);
/* "Warning: 12 of 90 rows ..." or "", without a full stop. At most `size` bytes, the end included.
 */
void eval_report_say_trained(const struct eval_report *report, char *text, size_t size);

/*
 * Scores the rows, logits[table.count], and fills the importance from the reasons of at most
 * IMPORTANCE_ROWS of them, spread evenly. `columns` is where the pack's features stand in the rows;
 * `names` of the report must be set.
 */
#define IMPORTANCE_ROWS 1000u
MUST_CHECK enum status eval_report_score(struct eval_report *report, struct model *model,
                                         const struct row_table *table, const uint32_t *columns,
                                         float *logits, struct error *error);

/*
 * "logistic regression on 12 features, fitted to 900 rows from ... to ..., ..." or why there is
 * none, without a full stop. Writes at most `size` bytes, the end included.
 */
void eval_report_say_reference(const struct eval_reference_model *reference, char *text,
                               size_t size);

void eval_report_print(const struct eval_report *report, FILE *out);

/* STATUS_FATAL with the file's name where it cannot be written. */
MUST_CHECK enum status eval_report_write_json(const struct eval_report *report, const char *path,
                                              struct error *error);
MUST_CHECK enum status eval_report_write_html(const struct eval_report *report, const char *path,
                                              struct error *error);

#endif
