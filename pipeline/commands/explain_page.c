#include "pipeline/commands/explain_page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BAR_WIDTH 30
#define TERM_WIDTH 12

static const char *text_at(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child = yaml_find(node, key);
    return yaml_is_null(child) || child->kind != YAML_SCALAR ? NULL : child->scalar;
}

static double number_at(const struct yaml_node *node, const char *key)
{
    const char *text = text_at(node, key);
    return text ? strtod(text, NULL) : NAN;
}

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

static const char *suppression_meaning(const char *reason)
{
    static const struct {
        const char *reason;
        const char *meaning;
    } meanings[] = {
        {"cooldown", "the rule was carried out for this shopper a short while ago"},
        {"cap", "the rule was carried out for this shopper as often as its cap allows"},
        {"limits_full", "too many rules with limits are running for this shopper"},
        {"outranked", "a promotion of higher rank was made for the same row"},
        {"budget", "this partition's share of the rule's budget is spent"},
        {"held_out", "the shopper is in the control group that the rule leaves alone"},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
        if (strcmp(reason, meanings[i].reason) == 0) {
            return meanings[i].meaning;
        }
    }
    return "";
}

static void print_outcome(const struct yaml_node *decision, const struct yaml_node *emitted,
                          FILE *out)
{
    const char *action = text_at(decision, "action");
    const char *reason = text_at(decision, "suppressed_by");
    (void)fprintf(out, "Decision %s\n", text_at(decision, "decision_id"));
    if (reason) {
        (void)fprintf(out, "No %s: %s (%s).\n", action ? action : "action",
                      suppression_meaning(reason), reason);
    } else if (action && strcmp(action, "alert") == 0) {
        const char *severity = text_at(emitted, "severity");
        (void)fprintf(out, "An alert%s%s: %s\n", severity ? " of severity " : "",
                      severity ? severity : "",
                      text_at(emitted, "reason") ? text_at(emitted, "reason") : "");
    } else {
        const char *kind = text_at(emitted, "action");
        (void)fprintf(out, "A promotion was made%s%s.\n", kind ? ": " : "", kind ? kind : "");
    }
}

static void print_place(const struct yaml_node *decision, FILE *out)
{
    heading(out, "What happened");
    entry(out, "when", text_at(decision, "time"));
    entry(out, "shopper", text_at(decision, "user"));
    entry(out, "session", text_at(decision, "session_id"));
    entry(out, "cause", text_at(decision, "cause"));
    entry(out, "event id", text_at(decision, "event_id"));
    entry(out, "partition", text_at(decision, "partition"));
    entry(out, "record", text_at(decision, "ordinal"));
}

static void print_fields(const struct yaml_node *emitted, FILE *out)
{
    const struct yaml_node *fields = yaml_find(emitted, "fields");
    for (size_t i = 0; fields && i < fields->child_count; i++) {
        entry(out, fields->children[i].key, fields->children[i].scalar);
    }
}

/* ---- Why ---- */

static void print_scores(const struct yaml_node *decision, FILE *out)
{
    const struct yaml_node *scores = yaml_find(decision, "scores");
    for (size_t i = 0; scores && i < scores->child_count; i++) {
        const char *name = scores->children[i].key;
        double score = number_at(scores, name);
        if (isnan(score)) {
            (void)fprintf(out, "  %-16s not scored\n", name);
            continue;
        }
        (void)fprintf(out, "  %-16s ", name);
        bar(out, score, BAR_WIDTH);
        (void)fprintf(out, " %6.2f%%\n", score * 100);
    }
}

static const struct feature_info *find_feature(const struct feature_set *features, const char *name)
{
    int32_t index = name ? feature_index(features, name) : -1;
    return index < 0 ? NULL : &features->features[index];
}

/* One row of the sum: to the right of the middle what raises the score, to the left what lowers it.
 */
static void print_term(FILE *out, const char *name, double value, double logit, double largest)
{
    double share = largest > 0 ? fabs(logit) / largest : 0;
    int filled = (int)(share * TERM_WIDTH + 0.5);
    (void)fprintf(out, "  %-28s ", name);
    if (isnan(value)) {
        (void)fprintf(out, "%12s ", "");
    } else {
        (void)fprintf(out, "%12.4g ", value);
    }
    (void)fprintf(out, "%+8.3f ", logit);
    for (int i = TERM_WIDTH; i > 0; i--) {
        (void)fputc(logit < 0 && i <= filled ? '<' : ' ', out);
    }
    (void)fputc('|', out);
    for (int i = 0; i < TERM_WIDTH && logit > 0 && i < filled; i++) {
        (void)fputc('>', out);
    }
    (void)fputc('\n', out);
}

static double largest_term(const struct yaml_node *emitted)
{
    const struct yaml_node *terms = yaml_find(emitted, "terms");
    double largest = 0;
    for (size_t i = 0; terms && i < terms->child_count; i++) {
        double size = fabs(number_at(&terms->children[i], "logit"));
        largest = size > largest ? size : largest;
    }
    const char *const rest[] = {"intercept", "others"};
    for (int i = 0; i < 2; i++) {
        double size = fabs(number_at(emitted, rest[i]));
        largest = size > largest ? size : largest;
    }
    return largest;
}

static void print_terms(const struct yaml_node *emitted, const struct feature_set *features,
                        FILE *out)
{
    const struct yaml_node *terms = yaml_find(emitted, "terms");
    if (!terms || (terms->child_count == 0 && isnan(number_at(emitted, "intercept")))) {
        return;
    }
    double largest = largest_term(emitted);
    const char *score = text_at(emitted, "score");
    (void)fprintf(out, "\n  What moved the %s score most (log-odds; > raises it, < lowers it):\n",
                  score ? score : "");
    (void)fprintf(out, "  %-28s %12s %8s\n", "term", "value", "adds");
    for (size_t i = 0; i < terms->child_count; i++) {
        const struct yaml_node *term = &terms->children[i];
        const char *name = text_at(term, "name");
        print_term(out, name ? name : "", number_at(term, "value"), number_at(term, "logit"),
                   largest);
        const struct feature_info *feature = find_feature(features, name);
        if (feature) {
            (void)fprintf(out, "      %s (%s)\n", feature->doc, feature->unit);
        }
    }
    if (!isnan(number_at(emitted, "intercept"))) {
        print_term(out, "where the score starts", NAN, number_at(emitted, "intercept"), largest);
    }
    if (!isnan(number_at(emitted, "others"))) {
        print_term(out, "all other terms", NAN, number_at(emitted, "others"), largest);
    }
    (void)fprintf(out, "  %-28s %12s %+8.3f\n", "sum", "", number_at(emitted, "logit"));
}

static void print_fraud_parts(const struct yaml_node *decision, FILE *out)
{
    const struct yaml_node *parts = yaml_find(decision, "fraud_parts");
    for (size_t i = 0; parts && i < parts->child_count; i++) {
        double logit = number_at(parts, parts->children[i].key);
        if (!isnan(logit)) {
            (void)fprintf(out, "  fraud, %-9s %+.3f (log-odds)\n", parts->children[i].key, logit);
        }
    }
}

static void print_why(const struct yaml_node *decision, const struct yaml_node *emitted,
                      const struct feature_set *features, FILE *out)
{
    heading(out, "Why");
    entry(out, "rule", text_at(decision, "rule"));
    const char *condition = text_at(decision, "condition");
    entry(out, "condition", condition ? condition : "none: the rule always matches");
    entry(out, "priority", text_at(decision, "priority"));
    print_scores(decision, out);
    print_fraud_parts(decision, out);
    print_terms(emitted, features, out);
}

/* ---- What was suggested, limits, versions ---- */

static void print_suggestion(const struct yaml_node *emitted, FILE *out)
{
    if (!emitted) {
        return;
    }
    heading(out, "What was suggested");
    if (text_at(emitted, "severity")) {
        entry(out, "severity", text_at(emitted, "severity"));
        const char *step = text_at(emitted, "step");
        entry(out, "step", step ? step : "none");
    } else {
        entry(out, "offer", text_at(emitted, "action"));
        entry(out, "value", text_at(emitted, "value"));
        entry(out, "currency", text_at(emitted, "currency"));
        entry(out, "percent", text_at(emitted, "percent"));
        entry(out, "valid until", text_at(emitted, "valid_until"));
    }
    entry(out, "reason", text_at(emitted, "reason"));
}

static void print_limits(const struct yaml_node *decision, FILE *out)
{
    heading(out, "Limits and control group");
    const char *reason = text_at(decision, "suppressed_by");
    entry(out, "emitted", reason ? "no" : "yes");
    entry(out, "suppressed by", reason);
    entry(out, "arm", text_at(decision, "arm"));
    double propensity = number_at(decision, "propensity");
    if (!isnan(propensity)) {
        (void)fprintf(out, "  %-16s %.2f%% of shoppers are in this arm\n", "propensity",
                      propensity * 100);
    }
}

static void print_features(const struct yaml_node *decision, const struct feature_set *features,
                           FILE *out)
{
    const struct yaml_node *values = yaml_find(decision, "features");
    const char *quoted = text_at(decision, "feature_set");
    char ours[17];
    (void)snprintf(ours, sizeof(ours), "%016" PRIx64, features->hash);
    heading(out, "Feature values");
    if (!values || !quoted || strcmp(ours, quoted) != 0 || values->child_count != features->count) {
        (void)fprintf(out,
                      "  The decision quotes feature set %s, this program knows %s: values "
                      "cannot be named.\n",
                      quoted ? quoted : "?", ours);
        return;
    }
    for (uint32_t i = 0; i < features->count; i++) {
        const struct feature_info *feature = &features->features[i];
        if (yaml_is_null(&values->children[i])) {
            (void)fprintf(out, "  %-28s %12s  missing: %s\n", feature->name, "-", feature->missing);
        } else {
            (void)fprintf(out, "  %-28s %12.6g  %s (%s)\n", feature->name,
                          strtod(values->children[i].scalar, NULL), feature->doc, feature->unit);
        }
    }
}

static void print_versions(const struct yaml_node *decision, const struct yaml_node *emitted,
                           FILE *out)
{
    heading(out, "Versions");
    entry(out, "model", text_at(emitted, "model"));
    entry(out, "rule set", text_at(decision, "rule_set"));
    entry(out, "feature set", text_at(decision, "feature_set"));
    entry(out, "configuration", text_at(decision, "configuration"));
    entry(out, "numeric profile", text_at(decision, "numeric_profile"));
}

void explain_page_print(const struct yaml_node *decision, const struct yaml_node *emitted,
                        const struct feature_set *features, FILE *out)
{
    print_outcome(decision, emitted, out);
    print_place(decision, out);
    print_fields(emitted, out);
    print_why(decision, emitted, features, out);
    print_suggestion(emitted, out);
    print_limits(decision, out);
    print_features(decision, features, out);
    print_versions(decision, emitted, out);
}
