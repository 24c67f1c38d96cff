#include "operators/fraud_plan.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"
#include "pipeline/base/hash.h"
#include "pipeline/limits.h"

#define TERMS_MAX 128u

/* Of one term's logit: beyond it a chance no longer moves, and sums of floats lose digits. */
#define MOST_MAX 60.0f
#define MOST_DEFAULT 20.0

#define OPTION(member) offsetof(struct score_fraud_options, member)
static const struct setting settings[] = {
    {.name = "base_rate",
     .type = SETTING_NUMBER,
     .offset = OPTION(base_rate),
     .fallback = "0.002",
     .min = 1e-9,
     .max = 0.999,
     .doc = "Score of an event that nothing speaks against"},
    {.name = "rules",
     .type = SETTING_CUSTOM,
     .offset = OPTION(rules),
     .doc = "List of {name, feature, above or below, adds, slope, most}: what a feature beyond a "
            "bound adds on the logit scale, at most 20 unless given"},
    {.name = "deviations",
     .type = SETTING_CUSTOM,
     .offset = OPTION(deviations),
     .doc = "List of {feature, weight, p99, p999}: a value at the population's 99.9th percentile "
            "adds the weight (default 1), one at the 99th nothing, one beyond at most three times "
            "as much; the percentiles stand in the pack unless they are given"},
    {.name = "pack",
     .type = SETTING_PATH,
     .is_folder = true,
     .offset = OPTION(pack),
     .doc = "Folder of a model whose logit is added"},
    {.name = "pack_weight",
     .type = SETTING_NUMBER,
     .offset = OPTION(pack_weight),
     .fallback = "1",
     .min = 0,
     .max = 10,
     .doc = "Factor on the model's logit"},
    {.name = "backend",
     .type = SETTING_CHOICE,
     .offset = OPTION(backend),
     .fallback = "lanes",
     .choices = model_backend_names,
     .doc = "What scores the model: lanes, our own kernel, or openblas"},
};

const struct setting_section score_fraud_section = {
    .name = "score_fraud",
    .doc = "How likely an event is fraud",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct score_fraud_options),
};

static enum status read_feature(const struct yaml_node *map, const struct feature_set *set,
                                uint32_t *ret_column, struct error *error)
{
    const struct yaml_node *node = yaml_find(map, "feature");
    if (!node || node->kind != YAML_SCALAR) {
        return yaml_complain(map, error, "feature: the name of a feature expected");
    }
    int32_t column = feature_index(set, node->scalar);
    if (column < 0) {
        const char *names[FEATURES_MAX];
        uint32_t count = set->count < FEATURES_MAX ? set->count : FEATURES_MAX;
        for (uint32_t i = 0; i < count; i++) {
            names[i] = set->features[i].name;
        }
        const char *near = nearest_name(node->scalar, names, count);
        return near ? yaml_complain(node, error, "\"%.60s\": no such feature; did you mean \"%s\"?",
                                    node->scalar, near)
                    : yaml_complain(node, error,
                                    "\"%.60s\": no such feature; see `nudge describe features`",
                                    node->scalar);
    }
    *ret_column = (uint32_t)column;
    return STATUS_OK;
}

static enum status read_rule(const struct yaml_node *node, const struct feature_set *set,
                             const struct model_pack *pack, struct fraud_term *term,
                             struct error *error)
{
    (void)pack;
    static const char *const keys[] = {"name", "feature", "above", "below",
                                       "adds", "slope",   "most",  NULL};
    enum status status = yaml_known_keys(node, keys, error);
    const struct yaml_node *above = yaml_find(node, "above");
    const struct yaml_node *below = yaml_find(node, "below");
    const struct yaml_node *name = yaml_find(node, "name");
    if (status == STATUS_OK && (above == NULL) == (below == NULL)) {
        status = yaml_complain(node, error, "either above or below expected");
    }
    if (status == STATUS_OK) {
        status = read_feature(node, set, &term->column, error);
    }
    term->is_below = below != NULL;
    if (status == STATUS_OK) {
        status = yaml_float_of(node, below ? "below" : "above", 0, &term->from, error);
    }
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "adds", 0, &term->adds, error);
    }
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "slope", 0, &term->slope, error);
    }
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "most", MOST_DEFAULT, &term->most, error);
    }
    if (status == STATUS_OK && !(term->most >= 0 && term->most <= MOST_MAX)) {
        status = yaml_complain(yaml_find(node, "most"), error, "a number from 0 to %g expected",
                               (double)MOST_MAX);
    }
    if (status == STATUS_OK) {
        const char *text =
            name && name->kind == YAML_SCALAR ? name->scalar : set->features[term->column].name;
        term->name = strdup(text);
        status = term->name ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
    }
    return status;
}

/* The percentiles of a feature as the pack has them. */
static enum status read_pack_quantiles(const struct yaml_node *node, const char *feature,
                                       const struct model_pack *pack, float *ret_p99,
                                       float *ret_p999, struct error *error)
{
    if (!pack || !pack->p99) {
        return yaml_complain(node, error, "p99 and p999 expected, or a pack that has percentiles");
    }
    const char *names[PACK_FEATURES_MAX];
    for (uint32_t i = 0; i < pack->feature_count; i++) {
        names[i] = pack->features[i].name;
        if (strcmp(names[i], feature) == 0) {
            *ret_p99 = pack->p99[i];
            *ret_p999 = pack->p999[i];
            return STATUS_OK;
        }
    }
    const char *near = nearest_name(feature, names, pack->feature_count);
    return yaml_complain(node, error, "\"%s\": pack %s has no percentiles of it%s%s%s", feature,
                         pack->name, near ? "; did you mean \"" : "", near ? near : "",
                         near ? "\"?" : "");
}

static enum status read_quantiles(const struct yaml_node *node, const char *feature,
                                  const struct model_pack *pack, float *ret_p99, float *ret_p999,
                                  struct error *error)
{
    const struct yaml_node *p99 = yaml_find(node, "p99");
    const struct yaml_node *p999 = yaml_find(node, "p999");
    if (!p99 && !p999) {
        return read_pack_quantiles(node, feature, pack, ret_p99, ret_p999, error);
    }
    if (!p99 || !p999) {
        return yaml_complain(node, error, "both p99 and p999 expected, or none");
    }
    enum status status = yaml_float_of(node, "p99", 0, ret_p99, error);
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "p999", 0, ret_p999, error);
    }
    if (status == STATUS_OK && !(*ret_p999 > *ret_p99)) {
        status = yaml_complain(p999, error, "a number above p99 expected");
    }
    return status;
}

/* Where both percentiles are the same, as with rare counts, one unit or a tenth of it is the step.
 */
static float deviation_step(float p99, float p999)
{
    if (p999 > p99) {
        return p999 - p99;
    }
    float tenth = 0.1f * (p99 < 0 ? -p99 : p99);
    return tenth > 1 ? tenth : 1;
}

static enum status read_deviation(const struct yaml_node *node, const struct feature_set *set,
                                  const struct model_pack *pack, struct fraud_term *term,
                                  struct error *error)
{
    static const char *const keys[] = {"feature", "p99", "p999", "weight", NULL};
    float p99 = 0;
    float p999 = 0;
    float weight = 0;
    enum status status = yaml_known_keys(node, keys, error);
    if (status == STATUS_OK) {
        status = read_feature(node, set, &term->column, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const char *feature = set->features[term->column].name;
    status = read_quantiles(node, feature, pack, &p99, &p999, error);
    if (status == STATUS_OK) {
        status = yaml_float_of(node, "weight", 1, &weight, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!(weight >= 0 && weight <= MOST_MAX / 3)) {
        return yaml_complain(yaml_find(node, "weight"), error, "a number from 0 to %g expected",
                             (double)MOST_MAX / 3);
    }
    size_t length = strlen(feature) + 16;
    term->name = malloc(length);
    if (!term->name) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    (void)snprintf(term->name, length, "unusual %s", feature);
    term->from = p99;
    term->slope = weight / deviation_step(p99, p999);
    term->most = 3.0f * weight;
    return STATUS_OK;
}

typedef enum status term_reader(const struct yaml_node *node, const struct feature_set *set,
                                const struct model_pack *pack, struct fraud_term *term,
                                struct error *error);

static enum status read_terms(const struct yaml_node *list, const struct feature_set *set,
                              term_reader *read, struct fraud_plan *plan, struct error *error)
{
    if (yaml_is_null(list)) {
        return STATUS_OK;
    }
    if (list->kind != YAML_SEQUENCE || plan->term_count + list->child_count > TERMS_MAX) {
        return yaml_complain(list, error, "a list of at most %u terms in all expected", TERMS_MAX);
    }
    for (size_t i = 0; i < list->child_count; i++) {
        const struct yaml_node *node = &list->children[i];
        if (node->kind != YAML_MAPPING) {
            return yaml_complain(node, error, "{feature: ...} expected");
        }
        enum status status = read(node, set, plan->pack, &plan->terms[plan->term_count], error);
        if (status != STATUS_OK) {
            return status;
        }
        plan->term_count++;
    }
    return STATUS_OK;
}

static void hash_plan(struct fraud_plan *plan)
{
    uint64_t hash = plan->pack ? plan->pack->hash : 0;
    const float whole[] = {plan->base_logit, plan->pack_weight};
    hash = hash64_combine(hash, hash64((struct text){(const char *)whole, sizeof(whole)}));
    for (uint32_t i = 0; i < plan->term_count; i++) {
        const struct fraud_term *term = &plan->terms[i];
        const float numbers[] = {term->from, term->adds,          term->slope,
                                 term->most, (float)term->column, (float)term->is_below};
        hash = hash64_combine(hash, hash64(text_of(term->name)));
        hash = hash64_combine(hash, hash64((struct text){(const char *)numbers, sizeof(numbers)}));
    }
    plan->hash = hash;
}

static enum status label_plan(struct fraud_plan *plan, struct error *error)
{
    hash_plan(plan);
    size_t length = (plan->pack ? strlen(plan->pack->label) : 0) + 64;
    plan->label = malloc(length);
    if (!plan->label) {
        return error_set(error, STATUS_FATAL, "out of memory");
    }
    (void)snprintf(plan->label, length, "fraud terms %08llx%s%s",
                   (unsigned long long)(plan->hash >> 32), plan->pack ? ", " : "",
                   plan->pack ? plan->pack->label : "");
    return STATUS_OK;
}

enum status fraud_plan_load(const struct score_fraud_options *options,
                            const struct feature_set *set, struct fraud_plan **ret_plan,
                            struct error *error)
{
    struct fraud_plan *plan = calloc(1, sizeof(*plan));
    if (!plan) {
        return error_set(error, STATUS_FATAL, "score_fraud: out of memory");
    }
    plan->base_logit = (float)fixed_logit(options->base_rate);
    plan->pack_weight = (float)options->pack_weight;
    plan->backend = model_backends[options->backend];
    plan->terms = calloc(TERMS_MAX, sizeof(*plan->terms));
    enum status status = plan->terms ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
    if (status == STATUS_OK && options->pack) {
        status = model_pack_load(options->pack, &plan->pack, error);
        if (status == STATUS_OK && plan->pack->output != PACK_OUTPUT_CHANCE) {
            status = error_set(error, STATUS_INVALID,
                               "pack %s: it predicts a value, which does not add to the parts of a "
                               "logit; a chance expected",
                               plan->pack->name);
        }
        status = status == STATUS_OK ? status : error_prefix(error, status, "score_fraud");
    }
    if (status == STATUS_OK) {
        status = read_terms(options->rules, set, read_rule, plan, error);
    }
    plan->rule_count = plan->term_count;
    if (status == STATUS_OK) {
        status = read_terms(options->deviations, set, read_deviation, plan, error);
    }
    if (status == STATUS_OK) {
        status = label_plan(plan, error);
    }
    if (status != STATUS_OK) {
        fraud_plan_unload(plan);
        return status;
    }
    *ret_plan = plan;
    return STATUS_OK;
}

void fraud_plan_unload(struct fraud_plan *plan)
{
    if (!plan) {
        return;
    }
    for (uint32_t i = 0; plan->terms && i < TERMS_MAX; i++) {
        free(plan->terms[i].name);
    }
    free(plan->terms);
    model_pack_unload(plan->pack);
    free(plan->label);
    free(plan);
}

uint64_t fraud_plan_hash(const struct fraud_plan *plan)
{
    return plan->hash;
}
