#include "pipeline/commands/explain_page.h"

#include <math.h>
#include <string.h>

#include "pipeline/commands/explain_entries.h"

#define BAR_WIDTH 30
#define TERM_WIDTH 12

static void heading(FILE *out, const char *title)
{
    (void)fprintf(out, "\n%s\n", title);
    for (size_t i = 0; i < strlen(title); i++) {
        (void)fputc('-', out);
    }
    (void)fputc('\n', out);
}

static void entry(FILE *out, const char *name, const char *value)
{
    if (value) {
        (void)fprintf(out, "  %-16s %s\n", name, value);
    }
}

/* A bar of `#` for `share` of `width`. */
static void bar(FILE *out, double share, int width)
{
    int filled = (int)(share * width + 0.5);
    filled = filled < 0 ? 0 : filled > width ? width : filled;
    for (int i = 0; i < width; i++) {
        (void)fputc(i < filled ? '#' : '.', out);
    }
}

/* ---- What was decided ---- */

static void print_outcome(const struct explain_facts *facts, FILE *out)
{
    char headline[1024];
    const char *id = explain_text(facts->decision, "decision_id");
    explain_headline(facts, headline, sizeof(headline));
    (void)fprintf(out, "Decision %s\n%s\n", id ? id : "", headline);
}

/* ---- Why ---- */

static void print_scores(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *scores = yaml_find(facts->decision, "scores");
    for (size_t i = 0; scores && i < scores->child_count; i++) {
        const char *name = scores->children[i].key;
        double score = explain_number(scores, name);
        if (isnan(score)) {
            (void)fprintf(out, "  %-16s not scored\n", name);
            continue;
        }
        if (!explain_is_share(facts, name, score)) {
            (void)fprintf(out, "  %-16s %.6g\n", name, score);
            continue;
        }
        (void)fprintf(out, "  %-16s ", name);
        bar(out, score, BAR_WIDTH);
        (void)fprintf(out, " %6.2f%%\n", score * 100);
    }
}

/* Counts and shares are of unit 1, which says nothing. */
static void print_doc(const struct feature_info *feature, const char *indent, FILE *out)
{
    bool has_unit = strcmp(feature->unit, "1") != 0;
    (void)fprintf(out, "%s%s%s%s%s\n", indent, feature->doc, has_unit ? " (" : "",
                  has_unit ? feature->unit : "", has_unit ? ")" : "");
}

/* One row of the sum: to the right of the middle what raises the score, to the left what lowers it.
 */
static void print_term(const struct explain_term *term, double largest, FILE *out)
{
    double share = largest > 0 && !term->is_start ? fabs(term->logit) / largest : 0;
    int filled = (int)(share * TERM_WIDTH + 0.5);
    (void)fprintf(out, "  %-28s ", term->name);
    if (isnan(term->value)) {
        (void)fprintf(out, "%12s ", "");
    } else {
        (void)fprintf(out, "%12.4g ", term->value);
    }
    (void)fprintf(out, "%+8.3f ", term->logit);
    for (int i = TERM_WIDTH; i > 0; i--) {
        (void)fputc(term->logit < 0 && i <= filled ? '<' : ' ', out);
    }
    (void)fputc('|', out);
    for (int i = 0; i < TERM_WIDTH && term->logit > 0 && i < filled; i++) {
        (void)fputc('>', out);
    }
    (void)fputc('\n', out);
    if (term->feature) {
        print_doc(term->feature, "      ", out);
    }
}

static void print_terms(const struct explain_facts *facts, FILE *out)
{
    struct explain_term terms[EXPLAIN_TERMS_MAX];
    double largest;
    uint32_t count = explain_terms(facts, terms, &largest);
    if (count == 0) {
        return;
    }
    const char *score = explain_text(facts->emitted, "score");
    double made = explain_number(yaml_find(facts->decision, "scores"), score ? score : "");
    (void)fprintf(out, "\n  What moved the %s score most (%s; > raises it, < lowers it):\n",
                  score ? score : "",
                  score && explain_is_share(facts, score, made) ? "log-odds"
                                                                : "the model's margin");
    (void)fprintf(out, "  %-28s %12s %8s\n", "term", "value", "adds");
    for (uint32_t i = 0; i < count; i++) {
        print_term(&terms[i], largest, out);
    }
    (void)fprintf(out, "  %-28s %12s %+8.3f\n", "sum", "", explain_number(facts->emitted, "logit"));
}

static void print_fraud_parts(const struct yaml_node *decision, FILE *out)
{
    const struct yaml_node *parts = yaml_find(decision, "fraud_parts");
    for (size_t i = 0; parts && i < parts->child_count; i++) {
        double logit = explain_number(parts, parts->children[i].key);
        if (!isnan(logit)) {
            (void)fprintf(out, "  fraud, %-9s %+.3f (log-odds)\n", parts->children[i].key, logit);
        }
    }
}

static void print_why(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *decision = facts->decision;
    heading(out, "Why");
    entry(out, "rule", explain_text(decision, "rule"));
    const char *condition = explain_text(decision, "condition");
    entry(out, "condition", condition ? condition : "none: the rule always matches");
    entry(out, "priority", explain_text(decision, "priority"));
    print_scores(facts, out);
    print_fraud_parts(decision, out);
    print_terms(facts, out);
}

/* ---- Features ---- */

static void print_features(const struct explain_facts *facts, FILE *out)
{
    struct explain_feature features[FEATURES_MAX];
    uint32_t hidden;
    uint32_t count = explain_features(facts, features, &hidden);
    heading(out, "Feature values");
    if (count == UINT32_MAX) {
        const char *quoted = explain_text(facts->decision, "feature_set");
        (void)fprintf(out,
                      "  The decision quotes feature set %s, this program has another one: values "
                      "cannot be named.\n",
                      quoted ? quoted : "?");
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct feature_info *info = features[i].info;
        if (i == 0 || strcmp(features[i].group, features[i - 1].group) != 0) {
            (void)fprintf(out, "  %s\n", features[i].group);
        }
        if (isnan(features[i].value)) {
            (void)fprintf(out, "    %-28s %12s  missing: %s\n", info->name, "-", info->missing);
        } else {
            (void)fprintf(out, "    %-28s %12.6g", info->name, features[i].value);
            print_doc(info, "  ", out);
        }
    }
    if (hidden > 0) {
        (void)fprintf(out, "  %u more are missing; --all shows them.\n", hidden);
    }
}

void explain_page_print(const struct explain_facts *facts, FILE *out)
{
    print_outcome(facts, out);
    heading(out, "What happened");
    explain_place(facts, entry, out);
    print_why(facts, out);
    if (facts->emitted) {
        heading(out, "What was suggested");
        explain_suggestion(facts->emitted, entry, out);
    }
    heading(out, "Limits and control group");
    explain_limits(facts->decision, entry, out);
    print_features(facts, out);
    heading(out, "Versions");
    explain_versions(facts, entry, out);
}
