#include "pipeline/run/eval_report.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "pipeline/base/json_text.h"

static const char *feature_name(const struct eval_report *report,
                                const struct eval_feature *feature)
{
    return feature->column == UINT32_MAX ? "none" : report->names[feature->column];
}

static void print_tops(const struct eval_slice *slice, FILE *out)
{
    (void)fprintf(out, "  precision in the top");
    for (int i = 0; i < EVAL_TOPS && isfinite(slice->precision_at_top[i]); i++) {
        (void)fprintf(out, "%s %u: %.4f", i ? "," : "", eval_tops[i], slice->precision_at_top[i]);
    }
    (void)fprintf(out, "; recall at 0.1%% false positives: %.4f, at 1%%: %.4f\n",
                  slice->recall_at_permille, slice->recall_at_percent);
}

static void print_slice(const struct eval_report *report, const struct eval_slice *slice, FILE *out)
{
    (void)fprintf(out, "%-12s %7u %6u  ", slice->name, slice->row_count, slice->positive_count);
    if (slice->positive_count == 0 || slice->positive_count == slice->row_count) {
        (void)fprintf(out, "one class only\n");
        return;
    }
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        const struct eval_value *value = &slice->metric[m];
        (void)fprintf(out, "%6.4f [%6.4f %6.4f]  ", value->value, value->low, value->high);
    }
    (void)fprintf(out, "\n  base rate  %22.4f %24.4f %24.4f %24.4f\n", slice->base_rate, 0.5,
                  slice->base_log_loss, slice->base_brier);
    const struct eval_feature *by_pr = &slice->best_by_pr;
    const struct eval_feature *by_roc = &slice->best_by_roc;
    (void)fprintf(out, "  best single feature by PR-AUC  %.4f (ROC-AUC %.4f)  %s%s\n",
                  by_pr->pr_auc, by_pr->roc_auc, by_pr->is_reversed ? "low " : "",
                  feature_name(report, by_pr));
    (void)fprintf(out, "  best single feature by ROC-AUC %.4f (PR-AUC %.4f)  %s%s\n",
                  by_roc->roc_auc, by_roc->pr_auc, by_roc->is_reversed ? "low " : "",
                  feature_name(report, by_roc));
    if (isfinite(slice->precision_at_top[0])) {
        print_tops(slice, out);
    }
}

#define IMPORTANCE_PRINTED 15u

static void print_importance(const struct eval_report *report, FILE *out)
{
    (void)fprintf(out, "\nmean size of the reasons, on the logit scale, over %u rows\n",
                  report->importance_rows);
    for (uint32_t i = 0; i < report->importance_count && i < IMPORTANCE_PRINTED; i++) {
        const struct eval_importance *feature = &report->importance[i];
        (void)fprintf(out, "%10.4f  %s\n", feature->mean_term, report->names[feature->column]);
    }
}

void eval_report_print(const struct eval_report *report, FILE *out)
{
    (void)fprintf(out, "%s, target %s%s%s\n", report->pack, report->target,
                  *report->after ? ", sessions that began at or after " : "", report->after);
    (void)fprintf(out,
                  "Intervals: 95%%, bootstrap over sessions. The best single feature is chosen "
                  "on these very rows.\n\n");
    (void)fprintf(out, "%-12s %7s %6s  %-24s %-24s %-24s %-24s %-24s\n", "rows at", "rows",
                  "posit.", "PR-AUC", "ROC-AUC", "log loss", "Brier", "calibration error");
    for (uint32_t i = 0; i < report->slice_count; i++) {
        print_slice(report, &report->slices[i], out);
    }
    if (report->importance_count > 0) {
        print_importance(report, out);
    }
    eval_slices_print(&report->by_slice, out);
}

static void append_number(struct byte_buffer *json, const char *name, double value)
{
    json_append_name(json, name);
    json_append_double(json, value);
}

static void append_feature(struct byte_buffer *json, const struct eval_report *report,
                           const char *name, const struct eval_feature *feature)
{
    json_append_name(json, name);
    json_append_raw(json, "{");
    json_append_name(json, "feature");
    json_append_text(json, text_of(feature_name(report, feature)));
    json_append_name(json, "low_is_positive");
    json_append_bool(json, feature->is_reversed);
    append_number(json, "pr_auc", feature->pr_auc);
    append_number(json, "roc_auc", feature->roc_auc);
    json_append_raw(json, "}");
}

static void append_curve(struct byte_buffer *json, const char *name, const double *values)
{
    json_append_name(json, name);
    json_append_raw(json, "[");
    for (int i = 0; i < EVAL_CURVE_POINTS; i++) {
        json_append_separator(json);
        json_append_double(json, values[i]);
    }
    json_append_raw(json, "]");
}

static void append_times(struct byte_buffer *json, const struct eval_slice *slice)
{
    json_append_name(json, "first_time");
    json_append_time(json, slice->first_ms);
    json_append_name(json, "last_time");
    json_append_time(json, slice->last_ms);
    json_append_name(json, "over_time");
    json_append_raw(json, "[");
    for (int i = 0; i < EVAL_TIME_BINS; i++) {
        json_append_separator(json);
        json_append_raw(json, "{");
        append_number(json, "rows", slice->times[i].row_count);
        append_number(json, "chance", slice->times[i].chance);
        append_number(json, "observed", slice->times[i].observed);
        json_append_raw(json, "}");
    }
    json_append_raw(json, "]");
}

static void append_slice(struct byte_buffer *json, const struct eval_report *report,
                         const struct eval_slice *slice)
{
    json_append_separator(json);
    json_append_raw(json, "{");
    json_append_name(json, "name");
    json_append_text(json, text_of(slice->name));
    append_number(json, "rows", slice->row_count);
    append_number(json, "sessions", slice->group_count);
    append_number(json, "positives", slice->positive_count);
    append_number(json, "base_rate", slice->base_rate);
    append_number(json, "base_log_loss", slice->base_log_loss);
    append_number(json, "base_brier", slice->base_brier);
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        json_append_name(json, eval_metric_names[m]);
        json_append_raw(json, "{");
        append_number(json, "value", slice->metric[m].value);
        append_number(json, "low", slice->metric[m].low);
        append_number(json, "high", slice->metric[m].high);
        json_append_raw(json, "}");
    }
    append_number(json, "recall_at_0.001_false_positives", slice->recall_at_permille);
    append_number(json, "recall_at_0.01_false_positives", slice->recall_at_percent);
    json_append_name(json, "precision_at_top");
    json_append_raw(json, "{");
    for (int i = 0; i < EVAL_TOPS; i++) {
        char rows[16];
        (void)snprintf(rows, sizeof(rows), "%u", eval_tops[i]);
        append_number(json, rows, slice->precision_at_top[i]);
    }
    json_append_raw(json, "}");
    append_curve(json, "gain", slice->gain);
    append_times(json, slice);
    append_feature(json, report, "best_feature_by_pr_auc", &slice->best_by_pr);
    append_feature(json, report, "best_feature_by_roc_auc", &slice->best_by_roc);
    json_append_name(json, "calibration");
    json_append_raw(json, "[");
    for (int i = 0; i < CALIBRATION_BINS; i++) {
        json_append_separator(json);
        json_append_raw(json, "{");
        append_number(json, "weight", slice->bins[i].weight);
        append_number(json, "chance", slice->bins[i].chance);
        append_number(json, "observed", slice->bins[i].observed);
        json_append_raw(json, "}");
    }
    json_append_raw(json, "]}");
}

static enum status write_file(const char *path, const void *bytes, size_t length,
                              struct error *error)
{
    FILE *out = fopen(path, "wb");
    bool is_written = out && fwrite(bytes, 1, length, out) == length;
    if (out) {
        is_written = fclose(out) == 0 && is_written;
    }
    return is_written ? STATUS_OK : error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
}

enum status eval_report_write_json(const struct eval_report *report, const char *path,
                                   struct error *error)
{
    struct byte_buffer json = {0};
    json_append_raw(&json, "{");
    json_append_name(&json, "pack");
    json_append_text(&json, text_of(report->pack));
    json_append_name(&json, "target");
    json_append_text(&json, text_of(report->target));
    json_append_name(&json, "after");
    json_append_text(&json, text_of(report->after));
    json_append_name(&json, "slices");
    json_append_raw(&json, "[");
    for (uint32_t i = 0; i < report->slice_count; i++) {
        append_slice(&json, report, &report->slices[i]);
    }
    json_append_raw(&json, "]");
    json_append_name(&json, "importance");
    json_append_raw(&json, "[");
    for (uint32_t i = 0; i < report->importance_count; i++) {
        json_append_separator(&json);
        json_append_raw(&json, "{");
        json_append_name(&json, "feature");
        json_append_text(&json, text_of(report->names[report->importance[i].column]));
        append_number(&json, "mean_term", report->importance[i].mean_term);
        json_append_raw(&json, "}");
    }
    json_append_raw(&json, "]");
    eval_slices_append_json(&report->by_slice, &json);
    json_append_raw(&json, "}\n");
    enum status status = json.has_failed ? error_set(error, STATUS_FATAL, "%s: out of memory", path)
                                         : write_file(path, json.bytes, json.length, error);
    byte_buffer_release(&json);
    return status;
}
