/* What a rule may say in YAML, as tables of settings. */
#ifndef OPERATORS_RULE_TABLES_H
#define OPERATORS_RULE_TABLES_H

#include "pipeline/config/settings.h"

struct rule_options {
    char *name;
    char *doc;
    const struct yaml_node *on;
    char *condition;
    const struct yaml_node *alert;
    const struct yaml_node *promotion;
    int64_t cooldown_ms;
    const struct yaml_node *cap;
    const struct yaml_node *budget;
    const struct yaml_node *holdout;
    int64_t priority;
};

struct rule_after_options {
    char *event;
    int64_t delay_ms;
    int from;
};

struct rule_alert_options {
    int severity;
    char *reason;
    int step;
};

struct rule_promotion_options {
    int kind;
    double value;
    double percent;
    char *currency;
    int64_t valid_for_ms;
    char *reason;
};

struct rule_cap_options {
    int64_t count;
    int64_t per_ms;
};

struct rule_budget_options {
    double amount;
    int64_t count;
    int per; /* 0: day, 1: total. */
};

struct rule_holdout_options {
    double share;
    char *salt;
};

extern const struct setting_section rule_section, rule_after_section, rule_alert_section,
    rule_promotion_section, rule_cap_section, rule_budget_section, rule_holdout_section;

#endif
