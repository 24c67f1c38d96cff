#include <math.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"
#include "pipeline/commands/explain_entries.h"
#include "pipeline/commands/explain_page.h"

#define BAR_WIDTH 220 /* Of an SVG, in its own units. */

static const char style[] =
    ":root{--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--up:#c2410c;--down:#1d5fa8;--bar:#44546a}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:#f4f6f8;color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:60rem;margin:2rem auto;padding:2rem 2.5rem;background:#fff;"
    "border:1px solid var(--line);border-radius:8px}\n"
    "h1{font-size:1.5rem;line-height:1.3;margin:.2rem 0 .6rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.05rem;margin:2rem 0 .6rem;padding-bottom:.3rem;"
    "border-bottom:2px solid var(--line)}\n"
    "p{margin:.5rem 0}\n"
    ".tag{display:inline-block;padding:.1rem .6rem;border-radius:1rem;background:#e8ecf1;"
    "font-size:.85rem;font-weight:600}\n"
    ".high,.critical{background:#fde3d8;color:#8f2d08}.none{background:#e8ecf1;color:#5b6675}\n"
    ".soft,small{color:var(--soft)}small{display:block;font-size:.85rem}\n"
    "code{font:13px/1.4 ui-monospace,monospace;background:#f4f6f8;padding:.1rem .3rem;"
    "border-radius:4px;overflow-wrap:anywhere}\n"
    "dl{display:grid;grid-template-columns:10rem 1fr;gap:.25rem 1rem;margin:0}\n"
    "dt{color:var(--soft)}dt::first-letter{text-transform:uppercase}dd{margin:0;overflow-wrap:"
    "anywhere}\n"
    "table{width:100%;border-collapse:collapse}\n"
    "th{text-align:left;color:var(--soft);font-weight:600;font-size:.85rem}\n"
    "th,td{padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}\n"
    ".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "tfoot td{font-weight:600;border-bottom:0}svg{display:block;width:220px;height:16px}\n"
    "tr.family th{padding-top:.9rem;color:var(--ink)}\n"
    ".up{fill:var(--up)}.down{fill:var(--down)}.bar{fill:var(--bar)}.track{fill:#e8ecf1}\n"
    "@media print{body{background:#fff;font-size:11px}main{border:0;margin:0;padding:0;"
    "max-width:none}tr,section.whole{break-inside:avoid}h2{break-after:avoid}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

/* ---- Pieces ---- */

static void escaped(FILE *out, const char *text)
{
    for (const char *at = text ? text : ""; *at; at++) {
        switch (*at) {
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        case '\'':
            (void)fputs("&#39;", out);
            break;
        default: /* Control characters are no part of HTML. */
            (void)fputc((unsigned char)*at < ' ' && *at != '\n' && *at != '\t' ? ' ' : *at, out);
            break;
        }
    }
}

static void heading(FILE *out, const char *title)
{
    (void)fprintf(out, "<h2>%s</h2>\n", title);
}

static void begin_list(FILE *out, const char *title)
{
    (void)fputs("<section class=\"whole\">\n", out);
    heading(out, title);
    (void)fputs("<dl>\n", out);
}

static void end_list(FILE *out)
{
    (void)fputs("</dl>\n</section>\n", out);
}

static void entry(FILE *out, const char *name, const char *value)
{
    if (value) {
        (void)fputs("<dt>", out);
        escaped(out, name);
        (void)fputs("</dt><dd>", out);
        escaped(out, value);
        (void)fputs("</dd>\n", out);
    }
}

static void svg_begin(FILE *out)
{
    (void)fprintf(out, "<svg viewBox=\"0 0 %d 16\" aria-hidden=\"true\">", BAR_WIDTH);
}

/* A share of the whole width. */
static void share_bar(double share, FILE *out)
{
    double width = (share < 0 ? 0 : share > 1 ? 1 : share) * BAR_WIDTH;
    svg_begin(out);
    (void)fprintf(out,
                  "<rect class=\"track\" y=\"3\" width=\"%d\" height=\"10\" rx=\"2\"/>"
                  "<rect class=\"bar\" y=\"3\" width=\"%.1f\" height=\"10\" rx=\"2\"/></svg>",
                  BAR_WIDTH, width);
}

/* From the middle to the right what raises, to the left what lowers. */
static void signed_bar(double value, double largest, FILE *out)
{
    double middle = BAR_WIDTH / 2.0;
    double width = largest > 0 ? fabs(value) / largest * middle : 0;
    svg_begin(out);
    (void)fprintf(out,
                  "<rect class=\"%s\" x=\"%.1f\" y=\"3\" width=\"%.1f\" height=\"10\"/>"
                  "<rect class=\"bar\" x=\"%.1f\" width=\"1\" height=\"16\"/></svg>",
                  value < 0 ? "down" : "up", value < 0 ? middle - width : middle, width,
                  middle - 0.5);
}

/* ---- Sections ---- */

static void print_head(const struct explain_facts *facts, FILE *out)
{
    char headline[1024];
    const char *rule = explain_text(facts->decision, "rule");
    const char *id = explain_text(facts->decision, "decision_id");
    const char *action = explain_text(facts->decision, "action");
    const char *severity = explain_text(facts->emitted, "severity");
    explain_headline(facts, headline, sizeof(headline));
    (void)fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
                out);
    escaped(out, rule);
    (void)fputs(", decision ", out);
    escaped(out, id);
    (void)fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<header>\n", style);
    bool is_high = severity && (strcmp(severity, "high") == 0 || strcmp(severity, "critical") == 0);
    (void)fprintf(out, "<span class=\"tag %s\">", !facts->emitted ? "none" : is_high ? "high" : "");
    escaped(out, facts->emitted ? action : "nothing was emitted");
    (void)fputs("</span>\n<h1>", out);
    escaped(out, headline);
    (void)fputs("</h1>\n<p class=\"soft\">Rule <b>", out);
    escaped(out, rule);
    (void)fputs("</b>, decision <code>", out);
    escaped(out, id);
    (void)fputs("</code></p>\n</header>\n", out);
}

static void print_place(const struct explain_facts *facts, FILE *out)
{
    begin_list(out, "What happened");
    explain_place(facts, entry, out);
    end_list(out);
}

static void print_suggestion(const struct yaml_node *emitted, FILE *out)
{
    if (emitted) {
        begin_list(out, "What is suggested");
        explain_suggestion(emitted, entry, out);
        end_list(out);
    }
}

static void print_scores(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *scores = yaml_find(facts->decision, "scores");
    const char *condition = explain_text(facts->decision, "condition");
    (void)fputs("<section class=\"whole\">\n", out);
    heading(out, "Scores");
    if (condition) {
        (void)fputs("<p>The rule asks for <code>", out);
        escaped(out, condition);
        (void)fputs("</code></p>\n", out);
    } else {
        (void)fputs("<p>The rule has no condition: it always matches.</p>\n", out);
    }
    (void)fputs("<table>\n", out);
    for (size_t i = 0; scores && i < scores->child_count; i++) {
        const char *name = scores->children[i].key;
        double score = explain_number(scores, name);
        (void)fputs("<tr><td>", out);
        escaped(out, name);
        if (isnan(score)) {
            (void)fputs("</td><td class=\"soft\">not scored</td><td></td></tr>\n", out);
        } else if (!explain_is_share(facts, name, score)) {
            (void)fprintf(out, "</td><td></td><td class=\"n\">%.6g</td></tr>\n", score);
        } else {
            (void)fputs("</td><td>", out);
            share_bar(score, out);
            (void)fprintf(out, "</td><td class=\"n\">%.2f%%</td></tr>\n", score * 100);
        }
    }
    (void)fputs("</table>\n</section>\n", out);
}

static void print_term(const struct explain_term *term, double largest, FILE *out)
{
    (void)fputs("<tr><td>", out);
    escaped(out, term->name);
    if (term->feature) {
        (void)fputs("<small>", out);
        escaped(out, term->feature->doc);
        (void)fputs("</small>", out);
    }
    (void)fputs("</td><td class=\"n\">", out);
    if (!isnan(term->value)) {
        (void)fprintf(out, "%.6g%s", term->value, term->feature ? " " : "");
        escaped(out,
                term->feature && strcmp(term->feature->unit, "1") != 0 ? term->feature->unit : "");
    }
    (void)fputs("</td><td>", out);
    if (!term->is_start) {
        signed_bar(term->logit, largest, out);
    }
    (void)fprintf(out, "</td><td class=\"n\">%+.3f</td></tr>\n", term->logit);
}

static void print_terms(const struct explain_facts *facts, FILE *out)
{
    struct explain_term terms[EXPLAIN_TERMS_MAX];
    double largest;
    uint32_t count = explain_terms(facts, terms, &largest);
    double start = explain_number(facts->emitted, "intercept");
    double logit = explain_number(facts->emitted, "logit");
    const char *score = explain_text(facts->emitted, "score");
    if (count == 0) {
        return;
    }
    (void)fputs("<section>\n<h2>What moved the ", out);
    escaped(out, score);
    (void)fputs(" score</h2>\n<p>", out);
    double made = explain_number(yaml_find(facts->decision, "scores"), score ? score : "");
    bool is_share = score && explain_is_share(facts, score, made);
    if (!isnan(start) && is_share) {
        (void)fprintf(out, "It starts at %.2f%% and comes to %.2f%%. ",
                      (double)fixed_sigmoidf((float)start) * 100,
                      (double)fixed_sigmoidf((float)logit) * 100);
    }
    (void)fprintf(out,
                  "Bars to the right raise it, bars to the left lower it; the numbers are %s "
                  "and add up.</p>\n<table>\n<thead><tr><th>Term</th><th class=\"n\">Value</th>"
                  "<th></th><th class=\"n\">Adds</th></tr></thead>\n<tbody>\n",
                  is_share ? "log-odds" : "parts of the model's margin");
    for (uint32_t i = 0; i < count; i++) {
        print_term(&terms[i], largest, out);
    }
    (void)fprintf(out,
                  "</tbody>\n<tfoot><tr><td>Sum</td><td></td><td></td><td class=\"n\">%+.3f</td>"
                  "</tr></tfoot>\n</table>\n</section>\n",
                  logit);
}

static void print_fraud_parts(const struct yaml_node *decision, FILE *out)
{
    const struct yaml_node *parts = yaml_find(decision, "fraud_parts");
    double largest = 0;
    for (size_t i = 0; parts && i < parts->child_count; i++) {
        double size = fabs(explain_number(parts, parts->children[i].key));
        largest = size > largest ? size : largest;
    }
    if (!parts || !(largest > 0)) {
        return;
    }
    (void)fputs("<section class=\"whole\">\n", out);
    heading(out, "Parts of the fraud score");
    (void)fputs("<table>\n", out);
    for (size_t i = 0; i < parts->child_count; i++) {
        double logit = explain_number(parts, parts->children[i].key);
        if (!isnan(logit)) {
            print_term(&(struct explain_term){.name = parts->children[i].key,
                                              .value = NAN,
                                              .logit = logit},
                       largest, out);
        }
    }
    (void)fputs("</table>\n</section>\n", out);
}

static void print_limits(const struct yaml_node *decision, FILE *out)
{
    begin_list(out, "Limits and control group");
    entry(out, "priority", explain_text(decision, "priority"));
    explain_limits(decision, entry, out);
    end_list(out);
}

static void print_feature(const struct explain_feature *feature, FILE *out)
{
    const struct feature_info *info = feature->info;
    (void)fputs("<tr><td>", out);
    escaped(out, info->name);
    if (isnan(feature->value)) {
        (void)fputs("</td><td class=\"n soft\">missing</td><td class=\"soft\">", out);
        escaped(out, info->missing);
    } else {
        (void)fprintf(out, "</td><td class=\"n\">%.6g ", feature->value);
        escaped(out, strcmp(info->unit, "1") != 0 ? info->unit : "");
        (void)fputs("</td><td class=\"soft\">", out);
        escaped(out, info->doc);
    }
    (void)fputs("</td></tr>\n", out);
}

static void print_features(const struct explain_facts *facts, FILE *out)
{
    struct explain_feature features[FEATURES_MAX];
    uint32_t hidden;
    uint32_t count = explain_features(facts, features, &hidden);
    (void)fputs("<section>\n", out);
    heading(out, "Feature values");
    if (count == UINT32_MAX) {
        (void)fputs("<p>The decision quotes another feature set than this program has: values "
                    "cannot be named.</p>\n</section>\n",
                    out);
        return;
    }
    (void)fputs("<table>\n", out);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(features[i].group, features[i - 1].group) != 0) {
            (void)fputs("<tr class=\"family\"><th colspan=\"3\">", out);
            escaped(out, features[i].group);
            (void)fputs("</th></tr>\n", out);
        }
        print_feature(&features[i], out);
    }
    (void)fputs("</table>\n", out);
    if (hidden > 0) {
        (void)fprintf(out, "<p class=\"soft\">%u more are missing.</p>\n", hidden);
    }
    (void)fputs("</section>\n", out);
}

static void print_versions(const struct explain_facts *facts, FILE *out)
{
    begin_list(out, "Versions");
    explain_versions(facts, entry, out);
    end_list(out);
}

void explain_html_print(const struct explain_facts *facts, FILE *out)
{
    print_head(facts, out);
    print_place(facts, out);
    print_suggestion(facts->emitted, out);
    print_scores(facts, out);
    print_terms(facts, out);
    print_fraud_parts(facts->decision, out);
    print_limits(facts->decision, out);
    print_features(facts, out);
    print_versions(facts, out);
    (void)fputs("</main>\n</body>\n</html>\n", out);
}
