/* One rule: from YAML to struct rule. */
#include "operators/rule_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "operators/rule_tables.h"

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "rules: out of memory");
}

/* A child of `node` for messages, or the node itself where it has none of that key. */
static const struct yaml_node *child_of(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child = yaml_find(node, key);
    return child ? child : node;
}

static bool is_name(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return length > 0 && length <= RULE_NAME_MAX && name[length] == '\0';
}

static enum status complain_type(const struct yaml_node *node, const char *word, bool triggers,
                                 struct error *error)
{
    const char *names[EVENT_TYPE_COUNT + 2];
    size_t count = 0;
    for (; count < EVENT_TYPE_COUNT; count++) {
        names[count] = event_types[count].name;
    }
    if (triggers) {
        names[count++] = "any";
        names[count++] = "session_end";
    }
    const char *nearest = nearest_name(word, names, count);
    const char *expected =
        triggers ? "expected an event type, a list of them, any, session_end, {idle_cart: TIME} or "
                   "{after: {event: TYPE, delay: TIME}}"
                 : "expected an event type";
    return nearest ? yaml_complain(node, error, "\"%.60s\": %s; did you mean \"%s\"?", word,
                                   expected, nearest)
                   : yaml_complain(node, error, "\"%.60s\": %s", word, expected);
}

/* `place` names file, line and key; an item of a list has no key of its own. */
static enum status read_type(const struct yaml_node *place, const char *word, uint32_t *types,
                             bool triggers, struct error *error)
{
    enum event_type type = event_type_of(text_of(word));
    if (type == EVENT_OTHER && strcmp(word, event_types[EVENT_OTHER].name) != 0) {
        return complain_type(place, word, triggers, error);
    }
    *types |= 1u << type;
    return STATUS_OK;
}

static enum status read_type_list(const struct yaml_node *on, struct rule *rule,
                                  struct error *error)
{
    if (on->child_count == 0) {
        return yaml_complain(on, error, "an empty list: expected event types");
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < on->child_count && status == STATUS_OK; i++) {
        struct yaml_node item = on->children[i];
        item.key = on->key;
        if (item.kind != YAML_SCALAR) {
            return yaml_complain(&item, error, "item %zu: expected an event type", i + 1);
        }
        if (strcmp(item.scalar, "any") == 0 || strcmp(item.scalar, "session_end") == 0) {
            return yaml_complain(&item, error, "\"%s\" stands alone, not in a list", item.scalar);
        }
        status = read_type(&item, item.scalar, &rule->event_types, true, error);
    }
    return status;
}

static enum status read_after(const struct yaml_node *node, struct rule *rule, struct error *error)
{
    struct rule_after_options options;
    enum status status = settings_read(&rule_after_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    rule->trigger = RULE_ON_AFTER;
    rule->delay_ms = options.delay_ms;
    rule->is_from_first = options.from == 1;
    status = read_type(child_of(node, "event"), options.event, &rule->event_types, false, error);
    settings_release(&rule_after_section, &options);
    return status;
}

static enum status read_idle_cart(const struct yaml_node *node, struct rule *rule,
                                  struct error *error)
{
    enum status status = yaml_duration_ms(node, &rule->delay_ms, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (rule->delay_ms < RULE_DELAY_MIN_MS || rule->delay_ms > RULE_SPAN_MAX_MS) {
        return yaml_complain(node, error, "\"%s\": expected 1s to 400d", node->scalar);
    }
    rule->trigger = RULE_ON_IDLE_CART;
    return STATUS_OK;
}

static enum status read_trigger(const struct yaml_node *on, struct rule *rule, struct error *error)
{
    static const char *const forms[] = {"idle_cart", "after", NULL};
    enum status status;
    switch (on->kind) {
    case YAML_SCALAR:
        if (strcmp(on->scalar, "any") == 0) {
            rule->event_types = (1u << EVENT_TYPE_COUNT) - 1;
            return STATUS_OK;
        }
        if (strcmp(on->scalar, "session_end") == 0) {
            rule->trigger = RULE_ON_SESSION_END;
            return STATUS_OK;
        }
        return read_type(on, on->scalar, &rule->event_types, true, error);
    case YAML_SEQUENCE:
        return read_type_list(on, rule, error);
    case YAML_MAPPING:
        status = yaml_known_keys(on, forms, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (on->child_count != 1) {
            return yaml_complain(on, error, "expected either idle_cart or after");
        }
        return yaml_find(on, "after") ? read_after(yaml_find(on, "after"), rule, error)
                                      : read_idle_cart(yaml_find(on, "idle_cart"), rule, error);
    }
    return STATUS_OK;
}

static enum status read_reason(struct rule_reader *reader, const struct yaml_node *node,
                               const char *source, struct rule *rule, struct error *error)
{
    if (!source) {
        return STATUS_OK;
    }
    struct error inner;
    rule->reason_source = strdup(source);
    if (!rule->reason_source) {
        return out_of_memory(error);
    }
    enum status status =
        rule_template_compile(reader->program, source, reader->fields_shown, &rule->reason, &inner);
    return status == STATUS_INVALID
               ? yaml_complain(child_of(node, "reason"), error, "%s", inner.message)
           : status == STATUS_OK ? STATUS_OK
                                 : error_set(error, status, "%s", inner.message);
}

static enum status read_alert(struct rule_reader *reader, const struct yaml_node *node,
                              struct rule *rule, struct error *error)
{
    struct rule_alert_options options;
    enum status status = settings_read(&rule_alert_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    rule->is_alert = true;
    rule->severity = (enum rule_severity)options.severity;
    rule->step = (enum rule_step)options.step;
    status = read_reason(reader, node, options.reason, rule, error);
    settings_release(&rule_alert_section, &options);
    return status;
}

static enum status check_promotion(const struct yaml_node *node,
                                   const struct rule_promotion_options *options,
                                   struct error *error)
{
    if (options->value > 0 && options->percent > 0) {
        return yaml_complain(child_of(node, "percent"), error,
                             "a promotion has a value or a percentage, not both");
    }
    if (options->value > 0 && !options->currency) {
        return yaml_complain(child_of(node, "value"), error,
                             "a value needs a currency, such as EUR, beside it");
    }
    if (options->currency && options->value <= 0) {
        return yaml_complain(child_of(node, "currency"), error,
                             "a currency without a value beside it");
    }
    if (options->currency && (strlen(options->currency) != 3 ||
                              strspn(options->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)) {
        return yaml_complain(child_of(node, "currency"), error,
                             "\"%.60s\": expected three capital letters, such as EUR",
                             options->currency);
    }
    if (options->kind == OFFER_COUPON && options->value <= 0 && options->percent <= 0) {
        return yaml_complain(node, error, "a coupon needs a value and currency, or a percentage");
    }
    return STATUS_OK;
}

static enum status read_promotion(struct rule_reader *reader, const struct yaml_node *node,
                                  struct rule *rule, struct error *error)
{
    struct rule_promotion_options options;
    enum status status = settings_read(&rule_promotion_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = check_promotion(node, &options, error);
    if (status == STATUS_OK) {
        rule->offer = (enum rule_offer)options.kind;
        rule->value = options.value;
        rule->percent = options.percent;
        memcpy(rule->currency, options.currency ? options.currency : "", options.currency ? 4 : 1);
        rule->valid_for_ms = options.valid_for_ms;
        status = read_reason(reader, node, options.reason, rule, error);
    }
    settings_release(&rule_promotion_section, &options);
    return status;
}

static enum status read_action(struct rule_reader *reader, const struct yaml_node *node,
                               const struct rule_options *options, struct rule *rule,
                               struct error *error)
{
    if (!options->alert == !options->promotion) {
        return yaml_complain(node, error, "rule \"%s\": expected either alert or promotion, got %s",
                             options->name, options->alert ? "both" : "neither");
    }
    return options->alert ? read_alert(reader, options->alert, rule, error)
                          : read_promotion(reader, options->promotion, rule, error);
}

static enum status read_cap(const struct yaml_node *node, struct rule *rule, struct error *error)
{
    struct rule_cap_options options;
    enum status status = node ? settings_read(&rule_cap_section, node, &options, error) : STATUS_OK;
    if (status == STATUS_OK && node) {
        rule->cap_count = (uint32_t)options.count;
        rule->cap_window_ms = options.per_ms;
    }
    return status;
}

static enum status read_budget(const struct yaml_node *node, struct rule *rule, struct error *error)
{
    struct rule_budget_options options;
    if (!node) {
        return STATUS_OK;
    }
    enum status status = settings_read(&rule_budget_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    if ((options.amount > 0) == (options.count > 0)) {
        return yaml_complain(node, error, "expected either amount or count");
    }
    if (options.amount > 0 && rule->value <= 0) {
        return yaml_complain(child_of(node, "amount"), error,
                             "an amount needs a promotion with a value to count; use count");
    }
    rule->is_budget_daily = options.per == 0;
    rule->budget_kind = options.amount > 0 ? BUDGET_AMOUNT : BUDGET_COUNT;
    rule->budget = options.amount > 0 ? (int64_t)round(options.amount * 1e6) : options.count;
    return STATUS_OK;
}

static enum status read_holdout(const struct yaml_node *node, struct rule *rule,
                                struct error *error)
{
    struct rule_holdout_options options;
    if (!node) {
        return STATUS_OK;
    }
    enum status status = settings_read(&rule_holdout_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    rule->holdout_share = options.share;
    rule->holdout_salt_text = strdup(options.salt ? options.salt : rule->name);
    settings_release(&rule_holdout_section, &options);
    if (!rule->holdout_salt_text) {
        return out_of_memory(error);
    }
    rule->holdout_salt = hash64(text_of(rule->holdout_salt_text));
    return STATUS_OK;
}

/* The trigger as an expression, so that types are tested over columns, too. */
static void trigger_source(const struct rule *rule, char *source, size_t bytes)
{
    if (rule->trigger == RULE_ON_SESSION_END) {
        (void)snprintf(source, bytes, "session_ended");
        return;
    }
    size_t length = (size_t)snprintf(source, bytes, "type in [");
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (rule->event_types >> type & 1) {
            length += (size_t)snprintf(source + length, bytes - length, "\"%s\",",
                                       event_types[type].name);
        }
    }
    source[length - 1] = ']';
}

static enum status add_trigger(struct rule_reader *reader, struct rule *rule, struct error *error)
{
    char source[1024];
    struct expression trigger;
    if (rule->trigger == RULE_ON_IDLE_CART || rule->trigger == RULE_ON_AFTER) {
        rule->output = UINT32_MAX; /* Looked at when the timer fires, row by row. */
        return STATUS_OK;
    }
    trigger_source(rule, source, sizeof(source));
    enum status status = expression_compile(reader->program, text_of(source),
                                            1u << EXPRESSION_BOOLEAN, &trigger, error);
    if (status == STATUS_OK) {
        status =
            expression_and(reader->program, &trigger, &rule->expression, &rule->expression, error);
    }
    return status == STATUS_OK
               ? expression_program_output(reader->program, &rule->expression, &rule->output, error)
               : status;
}

const enum score_kind rule_score_ranks[2][SCORE_KIND_COUNT] = {
    {SCORE_PURCHASE, SCORE_ABANDON, SCORE_FRAUD, SCORE_ANOMALY},
    {SCORE_FRAUD, SCORE_ANOMALY, SCORE_ABANDON, SCORE_PURCHASE},
};

/* Which score's terms explain the rule: one that its condition uses, else by the kind of action. */
static enum score_kind deciding_score(const struct rule *rule)
{
    const enum score_kind *kinds = rule_score_ranks[rule->is_alert];
    for (int i = 0; i < SCORE_KIND_COUNT; i++) {
        if (rule->expression.scores_used >> kinds[i] & 1) {
            return kinds[i];
        }
    }
    return kinds[0];
}

static enum status read_condition(struct rule_reader *reader, const struct yaml_node *node,
                                  const struct rule_options *options, struct rule *rule,
                                  struct error *error)
{
    struct error inner;
    const char *source = options->condition ? options->condition : "true";
    enum status status = expression_compile(reader->program, text_of(source),
                                            1u << EXPRESSION_BOOLEAN, &rule->expression, &inner);
    if (status == STATUS_INVALID) {
        return yaml_complain(child_of(node, "if"), error, "%s", inner.message);
    }
    if (status == STATUS_OK) {
        rule->condition = options->condition ? strdup(options->condition) : NULL;
        rule->score = deciding_score(rule);
        status = add_trigger(reader, rule, &inner);
        if (status == STATUS_OK && options->condition && !rule->condition) {
            return out_of_memory(error);
        }
    }
    return status == STATUS_OK ? STATUS_OK : error_set(error, status, "%s", inner.message);
}

/* 24 bits, never 0. */
static uint32_t tag_of(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 40);
    return tag ? tag : 1;
}

static enum status read_parts(struct rule_reader *reader, const struct yaml_node *node,
                              const struct rule_options *options, struct rule *rule,
                              struct error *error)
{
    enum status status = read_trigger(options->on, rule, error);
    if (status == STATUS_OK) {
        status = read_action(reader, node, options, rule, error);
    }
    if (status == STATUS_OK) {
        status = read_condition(reader, node, options, rule, error);
    }
    if (status == STATUS_OK) {
        status = read_cap(options->cap, rule, error);
    }
    if (status == STATUS_OK) {
        status = read_budget(options->budget, rule, error);
    }
    return status == STATUS_OK ? read_holdout(options->holdout, rule, error) : status;
}

enum status rule_read(struct rule_reader *reader, const struct yaml_node *node,
                      struct rule *ret_rule, struct error *error)
{
    struct rule_options options;
    enum status status = settings_read(&rule_section, node, &options, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct rule rule = {
        .output = UINT32_MAX, .cooldown_ms = options.cooldown_ms, .priority = options.priority};
    if (!is_name(options.name)) {
        status = yaml_complain(child_of(node, "name"), error,
                               "\"%.80s\": expected letters, digits, \"_\", \"-\" and \".\", at "
                               "most %u",
                               options.name, RULE_NAME_MAX);
    } else {
        rule.name = strdup(options.name);
        status = rule.name ? STATUS_OK : out_of_memory(error);
    }
    if (status == STATUS_OK) {
        rule.hash = hash64(text_of(rule.name));
        status = read_parts(reader, node, &options, &rule, error);
    }
    if (rule.cooldown_ms > 0 || rule.cap_count > 0) {
        rule.limit_tag = tag_of(rule.hash);
    }
    if (rule.trigger == RULE_ON_AFTER) {
        rule.deadline_tag = tag_of(hash64_combine(rule.hash, 1));
    }
    settings_release(&rule_section, &options);
    if (status == STATUS_OK) {
        *ret_rule = rule;
    } else {
        rule_release(&rule);
    }
    return status;
}

void rule_release(struct rule *rule)
{
    free(rule->name);
    free(rule->condition);
    free(rule->reason_source);
    free(rule->holdout_salt_text);
    rule_template_release(&rule->reason);
    *rule = (struct rule){0};
}
