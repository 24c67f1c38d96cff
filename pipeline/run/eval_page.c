/* The page of eval_report.h: plots as inline SVG, no script, nothing fetched. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "pipeline/base/iso_time.h"
#include "pipeline/run/eval_page.h"
#include "pipeline/run/eval_report.h"

void eval_page_escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("<>&'\"", *text)) {
            (void)fprintf(out, "&#%d;", *text);
        } else {
            (void)fputc(*text, out);
        }
    }
}

#define SIDE 240.0 /* Of a plot, in pixels. */

static void begin_plot(FILE *out, const char *title, const char *x, const char *y)
{
    (void)fprintf(out,
                  "<figure><figcaption>%s</figcaption><svg viewBox='-34 -8 290 290' width='290' "
                  "height='290'><rect width='240' height='240' fill='none' stroke='#999'/>"
                  "<text x='120' y='262' text-anchor='middle'>%s</text>"
                  "<text transform='translate(-14 120) rotate(-90)' text-anchor='middle'>%s</text>"
                  "<text x='0' y='252'>0</text><text x='240' y='252' text-anchor='end'>1</text>"
                  "<text x='-4' y='10' text-anchor='end'>1</text>",
                  title, x, y);
}

static void end_plot(FILE *out)
{
    (void)fprintf(out, "</svg></figure>\n");
}

static void plot_line(FILE *out, const double *values, const char *colour)
{
    (void)fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
    for (int i = 0; i < EVAL_CURVE_POINTS; i++) {
        double y = isfinite(values[i]) ? values[i] : 0;
        (void)fprintf(out, "%.1f,%.1f ", i * SIDE / (EVAL_CURVE_POINTS - 1), SIDE * (1 - y));
    }
    (void)fprintf(out, "'/>");
}

static void plot_straight(FILE *out, double from, double to)
{
    (void)fprintf(out,
                  "<line x1='0' y1='%.1f' x2='240' y2='%.1f' stroke='#bbb' "
                  "stroke-dasharray='4'/>",
                  SIDE * (1 - from), SIDE * (1 - to));
}

/* Chances and shares up to the largest of them, so that rare targets can be seen. */
static void plot_calibration(FILE *out, const struct eval_slice *slice)
{
    double most = 1e-6;
    for (int i = 0; i < CALIBRATION_BINS; i++) {
        most = fmax(most, fmax(slice->bins[i].chance, slice->bins[i].observed));
    }
    char title[64];
    (void)snprintf(title, sizeof(title), "Calibration, axes to %.3g", most);
    begin_plot(out, title, "chance given", "share observed");
    plot_straight(out, 0, 1);
    for (int i = 0; i < CALIBRATION_BINS; i++) {
        if (slice->bins[i].weight > 0) {
            (void)fprintf(out, "<circle cx='%.1f' cy='%.1f' r='4' fill='#06c'/>",
                          SIDE * slice->bins[i].chance / most,
                          SIDE * (1 - slice->bins[i].observed / most));
        }
    }
    end_plot(out);
}

static void plot_time_line(FILE *out, const struct eval_slice *slice, bool is_observed, double most)
{
    (void)fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='",
                  is_observed ? "#c30" : "#06c");
    for (int i = 0; i < EVAL_TIME_BINS; i++) {
        const struct eval_time_bin *bin = &slice->times[i];
        if (bin->row_count > 0) {
            (void)fprintf(out, "%.1f,%.1f ", SIDE * (i + 0.5) / EVAL_TIME_BINS,
                          SIDE * (1 - (is_observed ? bin->observed : bin->chance) / most));
        }
    }
    (void)fprintf(out, "'/>");
}

/* Mean chance and share of positives over event time. */
static void plot_times(FILE *out, const struct eval_slice *slice)
{
    double most = 1e-6;
    for (int i = 0; i < EVAL_TIME_BINS; i++) {
        most = fmax(most, fmax(slice->times[i].chance, slice->times[i].observed));
    }
    char from[ISO_TIME_BYTES_MAX + 1];
    char to[ISO_TIME_BYTES_MAX + 1];
    char title[160];
    from[iso_time_format(slice->first_ms, from)] = '\0';
    to[iso_time_format(slice->last_ms, to)] = '\0';
    (void)snprintf(title, sizeof(title),
                   "Over time, axis to %.3g: <span style='color:#06c'>mean chance</span>, <span "
                   "style='color:#c30'>share observed</span>",
                   most);
    (void)fprintf(out,
                  "<figure><figcaption>%s</figcaption><svg viewBox='-34 -8 290 290' width='290' "
                  "height='290'><rect width='240' height='240' fill='none' stroke='#999'/>"
                  "<text x='0' y='262'>%.16s</text><text x='240' y='276' "
                  "text-anchor='end'>%.16s</text>",
                  title, from, to);
    plot_time_line(out, slice, false, most);
    plot_time_line(out, slice, true, most);
    end_plot(out);
}

static const char *reference_name(const struct eval_report *report)
{
    return report->reference.pack ? "reference" : "logistic regression";
}

static void print_metrics(const char *name, const struct eval_value *metric, FILE *out)
{
    (void)fprintf(out, "<tr><th>%s</th>", name);
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        (void)fprintf(out, "<td>%.4f <small>%.4f to %.4f</small></td>", metric[m].value,
                      metric[m].low, metric[m].high);
    }
    (void)fprintf(out, "</tr>\n");
}

/* Names the colours of a plot of both. */
static void title_of_both(const struct eval_report *report, const struct eval_slice *slice,
                          const char *name, char *title, size_t size)
{
    (void)snprintf(title, size, "%s", name);
    if (slice->has_reference) {
        (void)snprintf(title, size,
                       "%s: <span style='color:#06c'>model</span>, <span "
                       "style='color:#999'>%s</span>",
                       name, reference_name(report));
    }
}

static void print_curves(const struct eval_report *report, const struct eval_slice *slice,
                         FILE *out)
{
    char title[160];
    title_of_both(report, slice, "Precision and recall", title, sizeof(title));
    begin_plot(out, title, "recall", "precision");
    plot_straight(out, slice->base_rate, slice->base_rate);
    if (slice->has_reference) {
        plot_line(out, slice->reference.precision, "#999");
    }
    plot_line(out, slice->precision, "#06c");
    end_plot(out);
    title_of_both(report, slice, "ROC", title, sizeof(title));
    begin_plot(out, title, "false-positive rate", "recall");
    plot_straight(out, 0, 1);
    if (slice->has_reference) {
        plot_line(out, slice->reference.recall, "#999");
    }
    plot_line(out, slice->recall, "#06c");
    end_plot(out);
}

static void print_slice(const struct eval_report *report, const struct eval_slice *slice, FILE *out)
{
    static const char *const titles[EVAL_METRIC_COUNT] = {"PR-AUC", "ROC-AUC", "log loss", "Brier",
                                                          "calibration error"};
    (void)fprintf(out, "<h2>%s</h2><p>%u rows of %u sessions, %u positive.</p>\n", slice->name,
                  slice->row_count, slice->group_count, slice->positive_count);
    if (slice->positive_count == 0 || slice->positive_count == slice->row_count) {
        (void)fprintf(out, "<p>One class only.</p>\n");
        return;
    }
    (void)fprintf(out, "<table><tr><th></th>");
    for (int m = 0; m < EVAL_METRIC_COUNT; m++) {
        (void)fprintf(out, "<th>%s</th>", titles[m]);
    }
    (void)fprintf(out, "</tr>");
    print_metrics("model", slice->metric, out);
    if (slice->has_reference) {
        print_metrics(reference_name(report), slice->reference.metric, out);
        print_metrics("model less that", slice->reference.gain, out);
    }
    (void)fprintf(out,
                  "<tr><th>base rate</th><td>%.4f</td><td>0.5</td><td>%.4f</td><td>%.4f</td>"
                  "<td>0</td></tr>",
                  slice->base_rate, slice->base_log_loss, slice->base_brier);
    const struct eval_feature *best[] = {&slice->best_by_pr, &slice->best_by_roc};
    for (int i = 0; i < 2; i++) {
        (void)fprintf(out,
                      "<tr><th>%s%s</th><td>%.4f</td><td>%.4f</td><td></td><td></td><td></td></tr>",
                      best[i]->is_reversed ? "low " : "",
                      best[i]->column == UINT32_MAX ? "none" : report->names[best[i]->column],
                      best[i]->pr_auc, best[i]->roc_auc);
    }
    (void)fprintf(out, "</table>\n<div>");
    print_curves(report, slice, out);
    plot_calibration(out, slice);
    begin_plot(out, "Gain", "share of rows looked at", "recall");
    plot_straight(out, 0, 1);
    plot_line(out, slice->gain, "#06c");
    end_plot(out);
    plot_times(out, slice);
    (void)fprintf(out, "</div>\n");
}

#define IMPORTANCE_SHOWN 25u

static void print_importance(const struct eval_report *report, FILE *out)
{
    double most = report->importance[0].mean_term > 0 ? report->importance[0].mean_term : 1;
    (void)fprintf(out,
                  "<h2>Importance</h2><p>Mean size of each feature's term in the reasons, on the "
                  "logit scale, over %u rows.</p><table>",
                  report->importance_rows);
    for (uint32_t i = 0; i < report->importance_count && i < IMPORTANCE_SHOWN; i++) {
        const struct eval_importance *feature = &report->importance[i];
        (void)fprintf(out,
                      "<tr><th>%s</th><td>%.4f</td><td><svg width='240' height='12'><rect "
                      "width='%.1f' height='12' fill='#06c'/></svg></td></tr>",
                      feature->name, feature->mean_term, SIDE * feature->mean_term / most);
    }
    (void)fprintf(out, "</table>\n");
}

enum status eval_report_write_html(const struct eval_report *report, const char *path,
                                   struct error *error)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
    }
    (void)fprintf(out, "<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation"
                       "</title><style>body{font:15px sans-serif;max-width:60em;margin:2em auto}"
                       "table{border-collapse:collapse}td,th{padding:.2em .7em;text-align:left;"
                       "border-bottom:1px solid #ddd}small{color:#666}figure{display:inline-block;"
                       "margin:.5em}svg text{font-size:11px}.wide{overflow-x:auto}"
                       ".wide small{display:block;white-space:nowrap}"
                       "</style>\n<h1>");
    eval_page_escaped(report->pack, out);
    (void)fprintf(out,
                  "</h1><p>Target %s%s%s. Intervals: 95%%, bootstrap over sessions. The single "
                  "features are the best ones, chosen on these very rows.</p>\n",
                  report->target, *report->after ? "; sessions that began at or after " : "",
                  report->after);
    char text[768];
    eval_report_say_reference(&report->reference, text, sizeof(text));
    (void)fprintf(out, "<p>");
    eval_page_escaped(text, out);
    (void)fprintf(out, ".</p>\n");
    eval_report_say_trained(report, text, sizeof(text));
    if (*text) {
        (void)fprintf(out, "<p><b>%s.</b></p>\n", text);
    }
    for (uint32_t i = 0; i < report->slice_count; i++) {
        print_slice(report, &report->slices[i], out);
    }
    if (report->importance_count > 0) {
        print_importance(report, out);
    }
    eval_slices_print_html(&report->by_slice, out);
    (void)fprintf(out, "</html>\n");
    bool has_failed = ferror(out) != 0;
    if (fclose(out) != 0 || has_failed) {
        return error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
    }
    return STATUS_OK;
}
