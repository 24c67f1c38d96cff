#include "pipeline/commands/explain_facts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"

const char *explain_text(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child = yaml_find(node, key);
    return yaml_is_null(child) || child->kind != YAML_SCALAR ? NULL : child->scalar;
}

double explain_number(const struct yaml_node *node, const char *key)
{
    const char *text = explain_text(node, key);
    return text ? strtod(text, NULL) : NAN;
}

/* ---- What became of the rule ---- */

/* What a value of suppressed_by means; "" for others. */
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

void explain_headline(const struct explain_facts *facts, char *buffer, size_t bytes)
{
    const char *action = explain_text(facts->decision, "action");
    const char *reason = explain_text(facts->decision, "suppressed_by");
    const char *words = explain_text(facts->emitted, "reason");
    if (reason) {
        (void)snprintf(buffer, bytes, "No %s: %s (%s).", action ? action : "action",
                       suppression_meaning(reason), reason);
    } else if (action && strcmp(action, "alert") == 0) {
        const char *severity = explain_text(facts->emitted, "severity");
        (void)snprintf(buffer, bytes, "An alert%s%s: %s", severity ? " of severity " : "",
                       severity ? severity : "", words ? words : "");
    } else {
        const char *kind = explain_text(facts->emitted, "action");
        (void)snprintf(buffer, bytes, "A promotion was made%s%s.", kind ? ": " : "",
                       kind ? kind : "");
    }
}

bool explain_is_timer(const struct explain_facts *facts)
{
    const char *cause = explain_text(facts->decision, "cause");
    return cause && strcmp(cause, "event") != 0;
}

/* ---- Terms ---- */

/* The feature that a term is made of: of that name, or said to be unusual. */
static const struct feature_info *find_feature(const struct feature_set *features, const char *name)
{
    static const char unusual[] = "unusual ";
    if (strncmp(name, unusual, sizeof(unusual) - 1) == 0) {
        name += sizeof(unusual) - 1;
    }
    int32_t index = feature_index(features, name);
    return index < 0 ? NULL : &features->features[index];
}

static void add_rest(const struct explain_facts *facts, const char *key, const char *name,
                     struct explain_term *terms, uint32_t *count)
{
    double logit = explain_number(facts->emitted, key);
    if (!isnan(logit)) {
        terms[(*count)++] = (struct explain_term){
            .name = name, .value = NAN, .logit = logit, .is_start = strcmp(key, "intercept") == 0};
    }
}

bool explain_is_share(const struct explain_facts *facts, const char *name, double score)
{
    const char *explained = explain_text(facts->emitted, "score");
    double logit = explain_number(facts->emitted, "logit");
    if (score < 0 || score > 1) {
        return false;
    }
    return !explained || strcmp(explained, name) != 0 || isnan(logit) ||
           fabs((double)fixed_sigmoidf((float)logit) - score) < 1e-3;
}

uint32_t explain_terms(const struct explain_facts *facts,
                       struct explain_term ret_terms[EXPLAIN_TERMS_MAX], double *ret_largest)
{
    const struct yaml_node *terms = yaml_find(facts->emitted, "terms");
    uint32_t count = 0;
    for (size_t i = 0; terms && i < terms->child_count && count < EXPLAIN_TERMS_MAX - 2; i++) {
        const struct yaml_node *term = &terms->children[i];
        const char *name = explain_text(term, "name");
        ret_terms[count++] = (struct explain_term){
            .name = !name                                 ? ""
                    : strcmp(name, "session_before") == 0 ? "the session before this event"
                                                          : name,
            .value = explain_number(term, "value"),
            .logit = explain_number(term, "logit"),
            .feature = name ? find_feature(facts->features, name) : NULL,
        };
    }
    add_rest(facts, "intercept", "where the score starts", ret_terms, &count);
    add_rest(facts, "others", "all other terms", ret_terms, &count);
    *ret_largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        double size = ret_terms[i].is_start ? 0 : fabs(ret_terms[i].logit);
        *ret_largest = size > *ret_largest ? size : *ret_largest;
    }
    return count;
}

/* ---- Features ---- */

struct feature_list {
    const struct explain_facts *facts;
    const struct yaml_node *values;
    struct explain_feature *items;
    uint32_t count, hidden;
    bool is_listed[FEATURES_MAX];
};

static void add_feature(struct feature_list *list, uint32_t index, const char *group)
{
    const struct yaml_node *value = &list->values->children[index];
    bool is_missing = yaml_is_null(value) || value->kind != YAML_SCALAR;
    if (list->is_listed[index]) {
        return;
    }
    list->is_listed[index] = true;
    if (is_missing && !list->facts->show_all) {
        list->hidden++;
        return;
    }
    list->items[list->count++] =
        (struct explain_feature){.info = &list->facts->features->features[index],
                                 .value = is_missing ? NAN : strtod(value->scalar, NULL),
                                 .group = group};
}

static void add_term_features(struct feature_list *list)
{
    struct explain_term terms[EXPLAIN_TERMS_MAX];
    double largest;
    uint32_t count = explain_terms(list->facts, terms, &largest);
    for (uint32_t i = 0; i < count; i++) {
        if (terms[i].feature) {
            add_feature(list, (uint32_t)(terms[i].feature - list->facts->features->features),
                        "in the terms above");
        }
    }
}

uint32_t explain_features(const struct explain_facts *facts,
                          struct explain_feature ret_features[FEATURES_MAX], uint32_t *ret_hidden)
{
    const struct feature_set *set = facts->features;
    const char *quoted = explain_text(facts->decision, "feature_set");
    struct feature_list list = {
        .facts = facts, .values = yaml_find(facts->decision, "features"), .items = ret_features};
    char ours[17];
    (void)snprintf(ours, sizeof(ours), "%016" PRIx64, set->hash);
    *ret_hidden = 0;
    if (!list.values || !quoted || strcmp(ours, quoted) != 0 ||
        list.values->child_count != set->count) {
        return UINT32_MAX;
    }
    add_term_features(&list);
    for (uint32_t first = 0; first < set->count; first++) {
        const char *family = set->features[first].family;
        for (uint32_t i = first; i < set->count; i++) {
            if (strcmp(set->features[i].family, family) == 0) {
                add_feature(&list, i, family); /* Once: a family is listed with its first one. */
            }
        }
    }
    *ret_hidden = list.hidden;
    return list.count;
}
