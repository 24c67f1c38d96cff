#include "pipeline/commands/explain_page.h"

#include <math.h>
#include <string.h>

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

static void print_place(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *decision = facts->decision;
    heading(out, "What happened");
    entry(out, "when", explain_text(decision, "time"));
    entry(out, "shopper", explain_text(decision, "user"));
    entry(out, "session", explain_text(decision, "session_id"));
    entry(out, "cause", explain_text(decision, "cause"));
    if (explain_is_timer(facts)) {
        entry(out, "goes back to", explain_text(decision, "cause_time"));
    }
    entry(out, "event id", explain_text(decision, "event_id"));
    entry(out, "partition", explain_text(decision, "partition"));
    entry(out, "record", explain_text(decision, "ordinal"));
}

static void print_fields(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *fields = yaml_find(facts->emitted, "fields");
    for (size_t i = 0; fields && i < fields->child_count; i++) {
        entry(out, fields->children[i].key, fields->children[i].scalar);
    }
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

/* ---- What was suggested, limits, versions ---- */

static void print_suggestion(const struct yaml_node *emitted, FILE *out)
{
    if (!emitted) {
        return;
    }
    heading(out, "What was suggested");
    if (explain_text(emitted, "severity")) {
        entry(out, "severity", explain_text(emitted, "severity"));
        const char *step = explain_text(emitted, "step");
        entry(out, "step", step ? step : "none");
    } else {
        entry(out, "offer", explain_text(emitted, "action"));
        entry(out, "value", explain_text(emitted, "value"));
        entry(out, "currency", explain_text(emitted, "currency"));
        entry(out, "percent", explain_text(emitted, "percent"));
        entry(out, "valid until", explain_text(emitted, "valid_until"));
    }
    entry(out, "reason", explain_text(emitted, "reason"));
}

static void print_limits(const struct explain_facts *facts, FILE *out)
{
    const struct yaml_node *decision = facts->decision;
    heading(out, "Limits and control group");
    const char *reason = explain_text(decision, "suppressed_by");
    entry(out, "emitted", reason ? "no" : "yes");
    entry(out, "suppressed by", reason);
    struct explain_entry limits[EXPLAIN_LIMITS_MAX];
    uint32_t count = explain_limits(facts, limits);
    for (uint32_t i = 0; i < count; i++) {
        entry(out, limits[i].name, limits[i].text);
    }
    entry(out, "arm", explain_text(decision, "arm"));
    double propensity = explain_number(decision, "propensity");
    if (!isnan(propensity)) {
        (void)fprintf(out, "  %-16s %.2f%% of shoppers are in this arm\n", "propensity",
                      propensity * 100);
    }
}

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

static void print_versions(const struct explain_facts *facts, FILE *out)
{
    heading(out, "Versions");
    entry(out, "model", explain_text(facts->emitted, "model"));
    entry(out, "rule set", explain_text(facts->decision, "rule_set"));
    entry(out, "feature set", explain_text(facts->decision, "feature_set"));
    entry(out, "configuration", explain_text(facts->decision, "configuration"));
    entry(out, "numeric profile", explain_text(facts->decision, "numeric_profile"));
}

void explain_page_print(const struct explain_facts *facts, FILE *out)
{
    print_outcome(facts, out);
    print_place(facts, out);
    print_fields(facts, out);
    print_why(facts, out);
    print_suggestion(facts->emitted, out);
    print_limits(facts, out);
    print_features(facts, out);
    print_versions(facts, out);
}
