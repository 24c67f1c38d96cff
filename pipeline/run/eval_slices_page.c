/* eval_slices.h as a part of the page: a table and bars with their intervals a dimension. */
#include <math.h>

#include "pipeline/run/eval_page.h"
#include "pipeline/run/eval_slices.h"

#define BAR_SIDE 200.0 /* Of a rate of 1, or of the largest that is drawn, in pixels. */
#define BAR_HEIGHT 20.0
#define LABEL_WIDTH 130.0
#define LABEL_CHARACTERS 19u

static void print_title(const struct eval_slices *slices, const struct eval_dimension *dimension,
                        FILE *out)
{
    static const char *const titles[] = {
        [SLICE_CHANNEL] = "By channel",
        [SLICE_DEVICE] = "By kind of device",
        [SLICE_VISITOR] = "By new and returning visitors",
        [SLICE_HOUR] = "By local hour",
        [SLICE_ATTRIBUTE] = "By ",
        [SLICE_DIMENSION_COUNT] = "At the threshold",
    };
    (void)fprintf(out, "<h2>%s", titles[dimension->dimension]);
    if (dimension->dimension == SLICE_ATTRIBUTE) {
        eval_page_escaped(slices->attribute, out);
    }
    (void)fprintf(out, "</h2>\n");
}

static void print_cell(const struct eval_value *value, FILE *out)
{
    if (!isfinite(value->value)) {
        (void)fprintf(out, "<td>&ndash;</td>");
    } else if (!isfinite(value->low)) {
        (void)fprintf(out, "<td>%.3f</td>", value->value);
    } else {
        (void)fprintf(out, "<td>%.3f <small>%.3f to %.3f</small></td>", value->value, value->low,
                      value->high);
    }
}

static void print_table(const struct eval_slices *slices, const struct eval_dimension *dimension,
                        FILE *out)
{
    (void)fprintf(out, "<div class='wide'><table><tr><th></th><th>rows</th><th>sessions</th>"
                       "<th>positive</th>");
    for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
        (void)fprintf(out, "<th>%s</th>", slice_metric_headings[m]);
    }
    (void)fprintf(out, "</tr>\n");
    for (uint32_t i = 0; i < dimension->row_count; i++) {
        const struct slice_measure *measure = &dimension->rows[i].measure;
        (void)fprintf(out, "<tr><th>");
        eval_page_escaped(dimension->rows[i].word, out);
        (void)fprintf(out, "</th><td>%u</td><td>%u</td><td>%u</td>", measure->row_count,
                      measure->group_count, measure->positive_count);
        if (measure->group_count < slices->options.groups_min) {
            (void)fprintf(out, "<td colspan='%d'>too few sessions to be measured</td></tr>\n",
                          (int)SLICE_METRIC_COUNT);
            continue;
        }
        for (int m = 0; m < SLICE_METRIC_COUNT; m++) {
            print_cell(&measure->metric[m], out);
        }
        (void)fprintf(out, "</tr>\n");
    }
    (void)fprintf(out, "</table></div>\n");
}

static double largest_of(const struct eval_dimension *dimension, int metric)
{
    double most = 0;
    for (uint32_t i = 0; i < dimension->row_count; i++) {
        const struct eval_value *value = &dimension->rows[i].measure.metric[metric];
        most = isfinite(value->value) ? fmax(most, value->value) : most;
        most = isfinite(value->high) ? fmax(most, value->high) : most;
    }
    return most > 0 ? most : 1;
}

/* The word, cut where a longer one would run out of the picture. */
static void print_label(const char *word, double y, FILE *out)
{
    char label[LABEL_CHARACTERS * 4 + 8] = "";
    size_t length = 0;
    uint32_t characters = 0;
    for (; word[length] && characters <= LABEL_CHARACTERS; length++) {
        characters += ((unsigned char)word[length + 1] & 0xC0) != 0x80;
    }
    bool is_cut = characters > LABEL_CHARACTERS && word[length];
    (void)snprintf(label, sizeof(label), "%.*s", (int)length, word);
    (void)fprintf(out, "<text x='%.0f' y='%.1f' text-anchor='end'>", LABEL_WIDTH - 6,
                  y + BAR_HEIGHT * 0.7);
    eval_page_escaped(label, out);
    (void)fprintf(out, "%s</text>", is_cut ? "&hellip;" : "");
}

static void print_bar(const struct eval_slice_row *row, const struct eval_value *value, double y,
                      double scale, FILE *out)
{
    print_label(row->word, y, out);
    if (!isfinite(value->value)) {
        (void)fprintf(out, "<text x='%.0f' y='%.1f' fill='#999'>too few</text>\n", LABEL_WIDTH + 4,
                      y + BAR_HEIGHT * 0.7);
        return;
    }
    (void)fprintf(out, "<rect class='bar' x='%.0f' y='%.1f' width='%.1f' height='%.0f' fill='%s'/>",
                  LABEL_WIDTH, y + 3, fmax(0, value->value * scale), BAR_HEIGHT - 6,
                  row->kind == SLICE_IS_VALUE ? "#7ab" : "#ccc");
    if (isfinite(value->low)) {
        double middle = y + BAR_HEIGHT / 2;
        (void)fprintf(out,
                      "<path class='interval' d='M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8' "
                      "stroke='#036' fill='none'/>",
                      LABEL_WIDTH + value->low * scale, middle, LABEL_WIDTH + value->high * scale,
                      LABEL_WIDTH + value->low * scale, middle - 4,
                      LABEL_WIDTH + value->high * scale, middle - 4);
    }
    (void)fprintf(out, "<title>");
    eval_page_escaped(row->word, out);
    (void)fprintf(out, " %.4f</title>\n", value->value);
}

static double highest_selection(const struct eval_dimension *dimension)
{
    const struct slice_gap_value *gap = &dimension->gaps[GAP_DEMOGRAPHIC_PARITY];
    return isfinite(gap->value.value)
               ? dimension->rows[gap->highest].measure.metric[SLICE_SELECTION_RATE].value
               : NAN;
}

static void print_bars(const struct eval_dimension *dimension, int metric, FILE *out)
{
    double height = BAR_HEIGHT * dimension->row_count + 4;
    double most = largest_of(dimension, metric);
    double scale = BAR_SIDE / most;
    (void)fprintf(out,
                  "<figure><figcaption>%s, axis to %.3g</figcaption><svg viewBox='0 0 %.0f %.0f' "
                  "width='%.0f' height='%.0f'>\n",
                  slice_metric_headings[metric], most, LABEL_WIDTH + BAR_SIDE + 6, height,
                  LABEL_WIDTH + BAR_SIDE + 6, height);
    for (uint32_t i = 0; i < dimension->row_count; i++) {
        (void)fprintf(out, "<g>");
        print_bar(&dimension->rows[i], &dimension->rows[i].measure.metric[metric], BAR_HEIGHT * i,
                  scale, out);
        (void)fprintf(out, "</g>");
    }
    double highest = dimension->has_gaps ? highest_selection(dimension) : NAN;
    if (metric == SLICE_SELECTION_RATE && isfinite(highest)) {
        double x = LABEL_WIDTH + FOUR_FIFTHS * highest * scale;
        (void)fprintf(out,
                      "<line class='four-fifths' x1='%.1f' x2='%.1f' y1='0' y2='%.0f' "
                      "stroke='#c30' stroke-dasharray='4'/>",
                      x, x, height);
    }
    (void)fprintf(out, "</svg></figure>\n");
}

static void print_gaps(const struct eval_dimension *dimension, FILE *out)
{
    (void)fprintf(out, "<h3>Gaps</h3><table><tr><th></th><th>gap</th><th>most</th><th>least</th>"
                       "</tr>\n");
    for (int g = 0; g < SLICE_GAP_COUNT; g++) {
        const struct slice_gap_value *gap = &dimension->gaps[g];
        (void)fprintf(out, "<tr><th>%s</th>", slice_gap_titles[g]);
        print_cell(&gap->value, out);
        if (isfinite(gap->value.value)) {
            (void)fprintf(out, "<td>");
            eval_page_escaped(dimension->rows[gap->highest].word, out);
            (void)fprintf(out, "</td><td>");
            eval_page_escaped(dimension->rows[gap->lowest].word, out);
            (void)fprintf(out, "</td></tr>\n");
        } else {
            (void)fprintf(out,
                          "<td colspan='2'>fewer than two groups are large enough</td></tr>\n");
        }
    }
    (void)fprintf(out,
                  "</table><p>Largest less smallest (the ratio: smallest by largest) over the "
                  "groups that are large enough, (other) and (missing) not among them. A "
                  "difference is never below 0, and small groups widen it; where its interval, "
                  "that of the difference between these two groups, holds 0, chance alone may "
                  "have made it. The dashed line is "
                  "four fifths of the highest selection rate (29 CFR 1607.4 D); whether being "
                  "selected is to the shopper's good depends on what the score is used "
                  "for.</p>\n");
}

static void print_dimension(const struct eval_slices *slices,
                            const struct eval_dimension *dimension, FILE *out)
{
    static const int drawn[] = {SLICE_SELECTION_RATE, SLICE_PR_AUC, SLICE_ROC_AUC};
    static const int drawn_of_groups[] = {SLICE_SELECTION_RATE, SLICE_RECALL,
                                          SLICE_FALSE_POSITIVE_RATE, SLICE_ROC_AUC};
    print_title(slices, dimension, out);
    if (dimension->dimension != SLICE_DIMENSION_COUNT && dimension->value_count == 0) {
        (void)fprintf(out, "<p>No row has one.</p>\n");
        return;
    }
    print_table(slices, dimension, out);
    if (dimension->merged_count > 0 || dimension->has_more) {
        (void)fprintf(out, "<p>(other): %u%s of %u%s values, those with the fewest rows.</p>\n",
                      dimension->merged_count, dimension->has_more ? " and more" : "",
                      dimension->value_count, dimension->has_more ? " and more" : "");
    }
    if (dimension->dimension == SLICE_DIMENSION_COUNT) {
        return;
    }
    size_t count =
        dimension->has_gaps ? sizeof(drawn_of_groups) / sizeof(int) : sizeof(drawn) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        print_bars(dimension, dimension->has_gaps ? drawn_of_groups[i] : drawn[i], out);
    }
    if (dimension->has_gaps) {
        print_gaps(dimension, out);
    }
}

void eval_slices_print_html(const struct eval_slices *slices, FILE *out)
{
    (void)fprintf(out,
                  "<h1>By slice</h1><p>At the threshold %.4f%s: selected is a row whose chance is "
                  "not below it. &ndash;: fewer than %u positive, negative or selected rows to "
                  "work it out from.</p>\n",
                  (double)slices->options.threshold,
                  slices->is_packs_threshold ? ", the pack&#39;s" : "", slices->options.class_min);
    for (uint32_t i = 0; i < slices->dimension_count; i++) {
        print_dimension(slices, &slices->dimensions[i], out);
    }
}
