#include "operators/rule_set.h"

#include <inttypes.h>
#include <stdlib.h>

#include "operators/rule_read.h"

struct building {
    struct rule_set *set;
    struct rule_reader reader;
    uint32_t lines[RULES_MAX]; /* Where each rule stands. */
    const char *files[RULES_MAX];
};

static enum status check_name(const struct building *building, const struct yaml_node *node,
                              struct error *error)
{
    const struct rule_set *set = building->set;
    const struct rule *rule = &set->rules[set->count];
    for (uint32_t i = 0; i < set->count; i++) {
        const struct rule *other = &set->rules[i];
        if (strcmp(other->name, rule->name) == 0) {
            return yaml_complain(yaml_find(node, "name"), error,
                                 "\"%s\": a rule of this name stands in %s:%u already", rule->name,
                                 building->files[i], building->lines[i]);
        }
        uint32_t tags[] = {rule->limit_tag, rule->deadline_tag};
        for (int k = 0; k < 2; k++) {
            if (tags[k] && (tags[k] == other->limit_tag || tags[k] == other->deadline_tag)) {
                return yaml_complain(yaml_find(node, "name"), error,
                                     "\"%s\": its short hash is that of \"%s\": give one of them "
                                     "another name",
                                     rule->name, other->name);
            }
        }
    }
    return STATUS_OK;
}

static enum status check_counts(const struct building *building, const struct yaml_node *node,
                                struct error *error)
{
    const struct rule_set *set = building->set;
    uint32_t budgets = 0;
    for (uint32_t i = 0; i <= set->count; i++) {
        budgets += set->rules[i].budget_kind != BUDGET_NONE;
    }
    if (budgets > RULE_BUDGETS_MAX) {
        return yaml_complain(node, error, "more than %u rules with a budget", RULE_BUDGETS_MAX);
    }
    return STATUS_OK;
}

static enum status add_rule(struct building *building, const struct yaml_node *node,
                            struct error *error)
{
    struct rule_set *set = building->set;
    if (set->count == RULES_MAX) {
        return yaml_complain(node, error, "more than %u rules", RULES_MAX);
    }
    building->files[set->count] = node->file;
    building->lines[set->count] = node->line;
    enum status status = rule_read(&building->reader, node, &set->rules[set->count], error);
    if (status != STATUS_OK) {
        return status;
    }
    status = check_name(building, node, error);
    if (status == STATUS_OK) {
        status = check_counts(building, node, error);
    }
    if (status == STATUS_OK) {
        set->count++;
    } else {
        rule_release(&set->rules[set->count]);
    }
    return status;
}

static enum status add_rules(struct building *building, const struct yaml_node *rules,
                             struct error *error)
{
    if (rules->kind != YAML_SEQUENCE) {
        return yaml_complain(rules, error, "expected a list of rules");
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < rules->child_count && status == STATUS_OK; i++) {
        status = add_rule(building, &rules->children[i], error);
    }
    return status;
}

static enum status add_file(struct building *building, const struct yaml_node *root,
                            struct error *error)
{
    static const char *const keys[] = {"rules", NULL};
    if (root->kind == YAML_SEQUENCE) {
        return add_rules(building, root, error);
    }
    enum status status = yaml_known_keys(root, keys, error);
    const struct yaml_node *rules = status == STATUS_OK ? yaml_find(root, "rules") : NULL;
    return status == STATUS_OK && rules ? add_rules(building, rules, error) : status;
}

static int compare_ranks(const void *left, const void *right)
{
    const struct rule *a = left;
    const struct rule *b = right;
    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return hash64_combine(hash, text ? hash64(text_of(text)) : 0);
}

static uint64_t double_bits(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* All that decides or is shown, but not the order in the file nor the doc. */
static uint64_t rule_content_hash(const struct rule *rule)
{
    const uint64_t words[] = {
        rule->trigger,
        rule->event_types,
        (uint64_t)rule->delay_ms,
        rule->is_from_first,
        rule->is_alert,
        rule->severity,
        rule->step,
        rule->offer,
        double_bits(rule->value),
        double_bits(rule->percent),
        (uint64_t)rule->valid_for_ms,
        (uint64_t)rule->cooldown_ms,
        rule->cap_count,
        (uint64_t)rule->cap_window_ms,
        rule->budget_kind,
        rule->is_budget_daily,
        (uint64_t)rule->budget,
        double_bits(rule->holdout_share),
        rule->holdout_salt,
        (uint64_t)rule->priority,
    };
    uint64_t hash = mix_text(mix_text(rule->hash, rule->condition), rule->currency);
    hash = mix_text(hash, rule->reason_source);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        hash = hash64_combine(hash, words[i]);
    }
    return hash;
}

static void summarize(struct rule_set *set)
{
    qsort(set->rules, set->count, sizeof(*set->rules), compare_ranks);
    set->delay_min_ms = INT64_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct rule *rule = &set->rules[i];
        set->output_count += rule->output != UINT32_MAX;
        set->scores_used |= rule->expression.scores_used;
        set->has_idle_cart |= rule->trigger == RULE_ON_IDLE_CART;
        set->has_session_end |= rule->trigger == RULE_ON_SESSION_END;
        set->after_types |= rule->trigger == RULE_ON_AFTER ? rule->event_types : 0;
        if (rule->delay_ms > 0 && rule->delay_ms < set->delay_min_ms) {
            set->delay_min_ms = rule->delay_ms;
        }
        set->hash = hash64_combine(set->hash, rule_content_hash(rule));
    }
}

static enum status compile_all(struct building *building, const struct yaml_node *rules,
                               const char *path, struct error *error)
{
    struct yaml_document *document = NULL;
    enum status status =
        rules && !yaml_is_null(rules) ? add_rules(building, rules, error) : STATUS_OK;
    if (status == STATUS_OK && path) {
        status = yaml_load(path, &document, error);
        if (status == STATUS_OK) {
            status = add_file(building, yaml_root(document), error);
        }
        yaml_unload(document);
    }
    if (status == STATUS_OK) {
        summarize(building->set);
        status = expression_program_finish(building->set->program, error);
    }
    return status;
}

enum status rules_compile(const struct yaml_node *rules, const char *path,
                          const struct feature_set *features,
                          const struct expression_classes *classes, uint64_t fields_shown,
                          struct rule_set **ret_set, struct error *error)
{
    struct rule_set *set = calloc(1, sizeof(*set));
    enum status status = STATUS_FATAL;
    if (set) {
        set->rules = calloc(RULES_MAX, sizeof(*set->rules));
        status = expression_program_create(features, classes, &set->program, error);
    }
    if (!set || !set->rules || status != STATUS_OK) {
        rule_set_destroy(set);
        return error_set(error, STATUS_FATAL, "rules: out of memory");
    }
    struct building building = {.set = set, .reader = {set->program, fields_shown}};
    status = compile_all(&building, rules, path, error);
    if (status == STATUS_OK) {
        *ret_set = set;
    } else {
        rule_set_destroy(set);
    }
    return status;
}

void rule_set_destroy(struct rule_set *set)
{
    if (!set) {
        return;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        rule_release(&set->rules[i]);
    }
    free(set->rules);
    expression_program_destroy(set->program);
    free(set);
}

int64_t rule_budget_share(const struct rule *rule, uint32_t partition_count)
{
    return rule->budget / (partition_count ? (int64_t)partition_count : 1);
}

bool rule_holds_out(const struct rule *rule, struct key128 user)
{
    if (rule->holdout_share <= 0) {
        return false;
    }
    uint64_t hash = hash64_combine(hash64_combine(rule->holdout_salt, user.high), user.low);
    return (double)(hash >> 11) * 0x1p-53 < rule->holdout_share;
}
