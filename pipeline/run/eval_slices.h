/*
 * The evaluation by slice: rows divided by channel, device, new and returning visitors, local hour
 * and an attribute of the user's choice, each part measured at the threshold, and for the attribute
 * how far the parts are apart (fairness). What is measured and how: models/slice_metrics.h.
 */
#ifndef PIPELINE_RUN_EVAL_SLICES_H
#define PIPELINE_RUN_EVAL_SLICES_H

#include <stdio.h>

#include "models/slice_metrics.h"
#include "pipeline/base/byte_buffer.h"
#include "pipeline/config/settings.h"
#include "pipeline/run/row_slices.h"

/* Section eval of a training file. */
struct eval_settings {
    char *attribute; /* NULL: none was chosen. */
    double threshold;
    int64_t slices_max, sessions_min, class_min;
};
extern const struct setting_section eval_section;

/*
 * Selection rates below this share of the highest group's are marked: the four-fifths rule of the
 * Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 D (1978). A rule of thumb for
 * hiring; what a rate means for the shopper depends on what the score is used for.
 */
#define FOUR_FIFTHS 0.8

#define EVAL_SLICES_KEPT_MAX 50
enum eval_slice_kind { SLICE_IS_VALUE, SLICE_IS_OTHER, SLICE_IS_MISSING };

struct eval_slice_row {
    const char *word; /* Borrowed from struct row_slices. */
    enum eval_slice_kind kind;
    uint32_t row_count;
    struct slice_measure measure;
};

struct eval_dimension {
    enum slice_dimension dimension; /* SLICE_DIMENSION_COUNT: all rows, undivided. */
    struct eval_slice_row rows[EVAL_SLICES_KEPT_MAX + 2]; /* Values, other, missing. */
    uint32_t row_count;
    uint32_t value_count;  /* Different values that the rows had. */
    uint32_t merged_count; /* Of them in "(other)". */
    bool has_more;         /* And values that were not even counted; see SLICE_WORDS_MAX. */
    bool has_gaps;
    struct slice_gap_value gaps[SLICE_GAP_COUNT];
};

struct eval_slices {
    struct eval_dimension dimensions[SLICE_DIMENSION_COUNT + 1];
    uint32_t dimension_count;
    const char *attribute; /* Borrowed; NULL: none. */
    struct slice_options options;
    bool is_packs_threshold;
};

/*
 * Divides and measures the rows that are on schedule. STATUS_INVALID where no row has the chosen
 * attribute, naming entries of `attributes` that the rows did have.
 */
MUST_CHECK enum status eval_slices_measure(const struct row_table *table, const float *chances,
                                           const struct row_slices *words,
                                           const struct eval_settings *settings,
                                           struct eval_slices *slices, struct error *error);

void eval_slices_print(const struct eval_slices *slices, FILE *out);
/* Names and values to stand within the object of an evaluation. */
void eval_slices_append_json(const struct eval_slices *slices, struct byte_buffer *json);
void eval_slices_print_html(const struct eval_slices *slices, FILE *out);

#endif
