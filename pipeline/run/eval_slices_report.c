/* eval_slices.h as text and as JSON. */
#include <math.h>

#include "pipeline/base/json_text.h"
#include "pipeline/run/eval_slices.h"

#define INTERVAL_WIDTH 16

static const char *title_of(const struct eval_slices *slices,
                            const struct eval_dimension *dimension)
{
    static const char *const titles[] = {
        [SLICE_CHANNEL] = "channel",          [SLICE_DEVICE] = "device",
        [SLICE_VISITOR] = "visitor",          [SLICE_HOUR] = "hour",
        [SLICE_DIMENSION_COUNT] = "all rows",
    };
    return dimension->dimension == SLICE_ATTRIBUTE ? slices->attribute
                                                   : titles[dimension->dimension];
}

static bool is_undivided(const struct eval_dimension *dimension)
{
    return dimension->dimension != SLICE_DIMENSION_COUNT && dimension->value_count == 0;
}

static void print_value(const struct eval_value *value, bool has_interval, FILE *out)
{
    if (!isfinite(value->value)) {
        (void)fprintf(out, " %9s%*s", "-", has_interval ? INTERVAL_WIDTH : 0, "");
        return;
    }
    (void)fprintf(out, " %9.3f", value->value);
    if (has_interval && isfinite(value->low)) {
        (void)fprintf(out, " [%6.3f %6.3f]", value->low, value->high);
    } else if (has_interval) {
        (void)fprintf(out, "%*s", INTERVAL_WIDTH, "");
    }
}

static bool has_interval(int metric)
{
    return metric == SLICE_PR_AUC || metric == SLICE_ROC_AUC || metric == SLICE_SELECTION_RATE;
}

static void print_row(const struct eval_slice_row *row, const struct slice_options *options,
                      FILE *out)
{
    const struct slice_measure *measure = &row->measure;
    (void)fprintf(out, "  %-18.18s %7u %8u %6u", row->word, measure->row_count,
                  measure->group_count, measure->positive_count);
    if (measure->group_count < options->groups_min) {
        (void)fprintf(out, "  too few sessions to be measured\n");
        return;
    }
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        print_value(&measure->metric[m], has_interval(m), out);
    }
    (void)fprintf(out, "\n");
}

static void print_heading(const char *title, FILE *out)
{
    (void)fprintf(out, "%-20.20s %7s %8s %6s", title, "rows", "sessions", "posit.");
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        (void)fprintf(out, " %9.9s", slice_metric_headings[m]);
        if (has_interval(m)) {
            (void)fprintf(out, "%*s", INTERVAL_WIDTH, "");
        }
    }
    (void)fprintf(out, "\n");
}

static void print_gap(const struct eval_dimension *dimension, int g, FILE *out)
{
    const struct slice_gap_value *gap = &dimension->gaps[g];
    (void)fprintf(out, "  %-62s", slice_gap_titles[g]);
    if (!isfinite(gap->value.value)) {
        (void)fprintf(out, " fewer than two groups are large enough\n");
        return;
    }
    print_value(&gap->value, true, out);
    (void)fprintf(out, "  %s most, %s least\n", dimension->rows[gap->highest].word,
                  dimension->rows[gap->lowest].word);
}

static void print_fairness(const struct eval_slices *slices, const struct eval_dimension *dimension,
                           FILE *out)
{
    (void)fprintf(
        out,
        "fairness by %s: largest less smallest over the groups above that have the "
        "figure, (other) and (missing) not among them; intervals of the difference between "
        "these two\n",
        slices->attribute);
    for (int g = 0; g < SLICE_GAP_COUNT; g++) {
        print_gap(dimension, g, out);
    }
    const struct slice_gap_value *ratio = &dimension->gaps[GAP_DEMOGRAPHIC_PARITY_RATIO];
    if (isfinite(ratio->value.value)) {
        (void)fprintf(out, "  four-fifths rule (29 CFR 1607.4 D): a ratio of %.3f is %s %.1f\n",
                      ratio->value.value, ratio->value.value < FOUR_FIFTHS ? "below" : "not below",
                      FOUR_FIFTHS);
    }
}

static void print_dimension(const struct eval_slices *slices,
                            const struct eval_dimension *dimension, FILE *out)
{
    if (is_undivided(dimension)) {
        (void)fprintf(out, "\nby %s: no row has one\n", title_of(slices, dimension));
        return;
    }
    bool is_all = dimension->dimension == SLICE_DIMENSION_COUNT;
    (void)fprintf(out, "\n");
    char title[128];
    (void)snprintf(title, sizeof(title), "%s%s", is_all ? "" : "by ", title_of(slices, dimension));
    print_heading(is_all ? "" : title, out);
    for (uint32_t i = 0; i < dimension->row_count; i++) {
        print_row(&dimension->rows[i], &slices->options, out);
    }
    if (dimension->merged_count > 0 || dimension->has_more) {
        (void)fprintf(out, "  (other): %u%s of %u%s values, those with the fewest rows\n",
                      dimension->merged_count, dimension->has_more ? " and more" : "",
                      dimension->value_count, dimension->has_more ? " and more" : "");
    }
    if (dimension->has_gaps) {
        print_fairness(slices, dimension, out);
    }
}

void eval_slices_print(const struct eval_slices *slices, FILE *out)
{
    (void)fprintf(out,
                  "\nAt the threshold %.4f%s: selected is a row whose chance is not below it. "
                  "\"-\": fewer than %u positive, negative or selected rows to work it out from.\n",
                  (double)slices->options.threshold,
                  slices->is_packs_threshold ? ", the pack's" : "", slices->options.class_min);
    for (uint32_t i = 0; i < slices->dimension_count; i++) {
        print_dimension(slices, &slices->dimensions[i], out);
    }
}

static void append_number(struct byte_buffer *json, const char *name, double value)
{
    json_append_name(json, name);
    json_append_double(json, value);
}

static void append_value(struct byte_buffer *json, const struct eval_value *value)
{
    append_number(json, "value", value->value);
    append_number(json, "low", value->low);
    append_number(json, "high", value->high);
}

static void append_row(struct byte_buffer *json, const struct eval_slice_row *row,
                       const struct slice_options *options)
{
    static const char *const kinds[] = {"value", "other", "missing"};
    const struct slice_measure *measure = &row->measure;
    json_append_separator(json);
    json_append_raw(json, "{");
    json_append_name(json, "name");
    json_append_text(json, text_of(row->word));
    json_append_name(json, "kind");
    json_append_text(json, text_of(kinds[row->kind]));
    append_number(json, "rows", measure->row_count);
    append_number(json, "sessions", measure->group_count);
    append_number(json, "positives", measure->positive_count);
    append_number(json, "selected", measure->selected_count);
    json_append_name(json, "is_too_small");
    json_append_bool(json, measure->group_count < options->groups_min);
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        json_append_name(json, slice_metric_names[m]);
        json_append_raw(json, "{");
        append_value(json, &measure->metric[m]);
        json_append_raw(json, "}");
    }
    json_append_raw(json, "}");
}

static void append_dimension(struct byte_buffer *json, const struct eval_slices *slices,
                             const struct eval_dimension *dimension)
{
    json_append_separator(json);
    json_append_raw(json, "{");
    json_append_name(json, "by");
    json_append_text(json, text_of(title_of(slices, dimension)));
    append_number(json, "values", dimension->value_count);
    append_number(json, "values_in_other", dimension->merged_count);
    json_append_name(json, "slices");
    json_append_raw(json, "[");
    for (uint32_t i = 0; !is_undivided(dimension) && i < dimension->row_count; i++) {
        append_row(json, &dimension->rows[i], &slices->options);
    }
    json_append_raw(json, "]}");
}

static void append_fairness(struct byte_buffer *json, const struct eval_slices *slices,
                            const struct eval_dimension *dimension)
{
    json_append_name(json, "fairness");
    json_append_raw(json, "{");
    json_append_name(json, "attribute");
    json_append_text(json, text_of(slices->attribute));
    for (int g = 0; g < SLICE_GAP_COUNT; g++) {
        const struct slice_gap_value *gap = &dimension->gaps[g];
        bool has_value = isfinite(gap->value.value);
        json_append_name(json, slice_gap_names[g]);
        json_append_raw(json, "{");
        append_value(json, &gap->value);
        append_number(json, "groups", gap->compared_count);
        json_append_name(json, "most");
        json_append_text(json, text_of(has_value ? dimension->rows[gap->highest].word : ""));
        json_append_name(json, "least");
        json_append_text(json, text_of(has_value ? dimension->rows[gap->lowest].word : ""));
        json_append_raw(json, "}");
    }
    double ratio = dimension->gaps[GAP_DEMOGRAPHIC_PARITY_RATIO].value.value;
    json_append_name(json, "is_below_four_fifths");
    if (isfinite(ratio)) {
        json_append_bool(json, ratio < FOUR_FIFTHS);
    } else {
        json_append_null(json);
    }
    json_append_raw(json, "}");
}

void eval_slices_append_json(const struct eval_slices *slices, struct byte_buffer *json)
{
    append_number(json, "threshold", (double)slices->options.threshold);
    json_append_name(json, "divided");
    json_append_raw(json, "[");
    for (uint32_t i = 0; i < slices->dimension_count; i++) {
        append_dimension(json, slices, &slices->dimensions[i]);
    }
    json_append_raw(json, "]");
    for (uint32_t i = 0; i < slices->dimension_count; i++) {
        if (slices->dimensions[i].has_gaps) {
            append_fairness(json, slices, &slices->dimensions[i]);
        }
    }
}
