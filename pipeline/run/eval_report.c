#include "pipeline/run/eval_report.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/base/json_text.h"

static const char *feature_name(const struct eval_report *report,
                                const struct eval_feature *feature)
{
    return feature->column == UINT32_MAX ? "none" : report->names[feature->column];
}

void eval_report_say_reference(const struct eval_reference_model *reference, char *text,
                               size_t size)
{
    if (!reference->chances) {
        (void)snprintf(text, size, "No logistic regression beside the model: %s",
                       reference->why_not.message);
        return;
    }
    if (reference->pack) {
        (void)snprintf(text, size, "Reference: the pack %s", reference->pack);
        return;
    }
    char first[ISO_TIME_BYTES_MAX + 1];
    char last[ISO_TIME_BYTES_MAX + 1];
    char held[64] = "";
    first[iso_time_format(reference->first_ms, first)] = '\0';
    last[iso_time_format(reference->last_ms, last)] = '\0';
    if (reference->held_rows > 0) {
        (void)snprintf(held, sizeof(held), ", chosen%s on the last %u of them",
                       reference->is_calibrated ? " and calibrated" : "", reference->held_rows);
    }
    (void)snprintf(text, size,
                   "Reference: a logistic regression on %u features, fitted to %u rows, %u of them "
                   "positive, from %s to %s; L2 %g%s",
                   reference->feature_count, reference->fit_rows + reference->held_rows,
                   reference->positive_count, first, last, reference->l2, held);
}

void eval_report_note_trained(struct eval_report *report, const struct model_pack *pack,
                              const struct row_table *table)
{
    struct eval_trained *trained = &report->trained;
    *trained = (struct eval_trained){.measured = table->count};
    if (!pack->trained_from || !pack->trained_to ||
        !train_time_parse(pack->trained_from, &trained->from_ms) ||
        !train_time_parse(pack->trained_to, &trained->to_ms)) {
        return; /* They are for people and may say anything. */
    }
    for (uint32_t i = 0; i < table->count; i++) {
        int64_t time_ms = table->rows[i].time_ms;
        trained->row_count += time_ms >= trained->from_ms && time_ms <= trained->to_ms;
    }
}

void eval_report_say_trained(const struct eval_report *report, char *text, size_t size)
{
    const struct eval_trained *trained = &report->trained;
    char from[ISO_TIME_BYTES_MAX + 1];
    char to[ISO_TIME_BYTES_MAX + 1];
    *text = '\0';
    if (trained->row_count > 0) {
        from[iso_time_format(trained->from_ms, from)] = '\0';
        to[iso_time_format(trained->to_ms, to)] = '\0';
        (void)snprintf(text, size,
                       "Warning: %u of the %u rows lie in the time that the pack was trained on, "
                       "from %s to %s; where they are of the same history, it has seen them and "
                       "all figures flatter it",
                       trained->row_count, trained->measured, from, to);
    }
}

/* Without a minus before what is printed as nothing. */
static double shown(double value)
{
    return fabs(value) < 0.00005 ? 0 : value;
}

static void print_metrics(const struct eval_value *metric, FILE *out)
{
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        char interval[32];
        (void)snprintf(interval, sizeof(interval), "[%.4f %.4f]", shown(metric[m].low),
                       shown(metric[m].high));
        (void)fprintf(out, "%6.4f %-17s ", shown(metric[m].value), interval);
    }
    (void)fprintf(out, "\n");
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
    print_metrics(slice->metric, out);
    (void)fprintf(out, "  base rate  %22.4f %24.4f %24.4f %24.4f\n", slice->base_rate, 0.5,
                  slice->base_log_loss, slice->base_brier);
    const struct eval_feature *by_pr = &slice->best_by_pr;
    const struct eval_feature *by_roc = &slice->best_by_roc;
    (void)fprintf(out, "  best single feature by PR-AUC  %.4f (ROC-AUC %.4f)  %s%s\n",
                  by_pr->pr_auc, by_pr->roc_auc, by_pr->is_reversed ? "low " : "",
                  feature_name(report, by_pr));
    (void)fprintf(out, "  best single feature by ROC-AUC %.4f (PR-AUC %.4f)  %s%s\n",
                  by_roc->roc_auc, by_roc->pr_auc, by_roc->is_reversed ? "low " : "",
                  feature_name(report, by_roc));
    if (slice->has_reference) {
        (void)fprintf(out, "  %-27s", report->reference.pack ? "reference" : "logistic regression");
        print_metrics(slice->reference.metric, out);
        (void)fprintf(out, "  %-27s", "model less that");
        print_metrics(slice->reference.gain, out);
    }
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
        (void)fprintf(out, "%10.4f  %s\n", feature->mean_term, feature->name);
    }
}

void eval_report_print(const struct eval_report *report, FILE *out)
{
    (void)fprintf(out, "%s, target %s%s%s\n", report->pack, report->target,
                  *report->after ? ", sessions that began at or after " : "", report->after);
    (void)fprintf(out,
                  "Intervals: 95%%, bootstrap over sessions. The best single feature is chosen "
                  "on these very rows.\n");
    char text[768];
    eval_report_say_reference(&report->reference, text, sizeof(text));
    (void)fprintf(out, "%s.\n", text);
    eval_report_say_trained(report, text, sizeof(text));
    (void)fprintf(out, *text ? "%s.\n\n" : "%s\n", text);
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

static void append_metrics(struct byte_buffer *json, const struct eval_value *metric)
{
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        json_append_name(json, eval_metric_names[m]);
        json_append_raw(json, "{");
        append_number(json, "value", metric[m].value);
        append_number(json, "low", metric[m].low);
        append_number(json, "high", metric[m].high);
        json_append_raw(json, "}");
    }
}

static void append_slice_reference(struct byte_buffer *json, const struct eval_slice *slice)
{
    json_append_name(json, "reference");
    if (!slice->has_reference) {
        json_append_null(json);
        return;
    }
    json_append_raw(json, "{");
    append_metrics(json, slice->reference.metric);
    json_append_name(json, "model_less_it");
    json_append_raw(json, "{");
    append_metrics(json, slice->reference.gain);
    json_append_raw(json, "}}");
}

static void append_reference(struct byte_buffer *json, const struct eval_reference_model *reference)
{
    json_append_name(json, "reference");
    json_append_raw(json, "{");
    json_append_name(json, "kind");
    if (!reference->chances) {
        json_append_null(json);
        json_append_name(json, "why_not");
        json_append_text(json, text_of(reference->why_not.message));
    } else if (reference->pack) {
        json_append_text(json, text_of("pack"));
        json_append_name(json, "pack");
        json_append_text(json, text_of(reference->pack));
    } else {
        json_append_text(json, text_of("logistic"));
        append_number(json, "features", reference->feature_count);
        append_number(json, "fit_rows", reference->fit_rows);
        append_number(json, "held_rows", reference->held_rows);
        append_number(json, "positives", reference->positive_count);
        append_number(json, "l2", reference->l2);
        json_append_name(json, "is_calibrated");
        json_append_bool(json, reference->is_calibrated);
        json_append_name(json, "first_time");
        json_append_time(json, reference->first_ms);
        json_append_name(json, "last_time");
        json_append_time(json, reference->last_ms);
    }
    json_append_raw(json, "}");
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
    append_metrics(json, slice->metric);
    append_slice_reference(json, slice);
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
    append_reference(&json, &report->reference);
    append_number(&json, "rows_in_training_time", report->trained.row_count);
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
        json_append_text(&json, text_of(report->importance[i].name));
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
