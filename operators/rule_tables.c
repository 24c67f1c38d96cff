#include "operators/rule_tables.h"

#include "operators/rule_set.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SPAN_MAX ((double)RULE_SPAN_MAX_MS)

const char *const rule_trigger_names[RULE_TRIGGER_COUNT] = {"event", "session_end", "idle_cart",
                                                            "after"};
const char *const rule_severities[] = {"info", "low", "medium", "high", "critical", NULL};
const char *const rule_steps[] = {"none", "pause_transaction", "step_up", "notify_user", "review",
                                  NULL};
const char *const rule_offers[] = {"coupon",   "free_shipping", "recommendation",
                                   "reminder", "human_contact", NULL};
static const char *const froms[] = {"last", "first", NULL};
static const char *const periods[] = {"day", "total", NULL};

static const struct setting rule_settings[] = {
    {.name = "name",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_options, name),
     .is_required = true,
     .doc = "Name of the rule: letters, digits, \"_\", \"-\" and \".\", at most 64"},
    {.name = "doc",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_options, doc),
     .doc = "What the rule is for, for those who read it"},
    {.name = "on",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, on),
     .is_required = true,
     .doc = "When the rule is looked at: an event type, a list of them, any, session_end, "
            "{idle_cart: 10m} or {after: {event: purchase, delay: 3d}}"},
    {.name = "if",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_options, condition),
     .doc = "Condition in the rule language; where it is left out the rule always matches"},
    {.name = "alert",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, alert),
     .doc = "The alert that the rule raises"},
    {.name = "promotion",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, promotion),
     .doc = "The promotion that the rule makes"},
    {.name = "cooldown",
     .type = SETTING_DURATION,
     .offset = offsetof(struct rule_options, cooldown_ms),
     .min = 1000,
     .max = SPAN_MAX,
     .doc = "How long the rule is silent for a user after it was carried out"},
    {.name = "cap",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, cap),
     .doc = "How often at most for a user in a window: {count: 3, per: 30d}"},
    {.name = "budget",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, budget),
     .doc = "What the rule may spend: {amount: 500, per: day} or {count: 1000, per: total}"},
    {.name = "holdout",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct rule_options, holdout),
     .doc = "Share of users that the rule leaves alone: {share: 0.1, salt: autumn}"},
    {.name = "priority",
     .type = SETTING_INTEGER,
     .offset = offsetof(struct rule_options, priority),
     .min = -1000,
     .max = 1000,
     .fallback = "0",
     .doc =
         "Of two rules on one row the one of higher priority comes first, then the name decides"},
};
const struct setting_section rule_section = {"rule", "One rule.", rule_settings,
                                             COUNT(rule_settings), sizeof(struct rule_options)};

static const struct setting after_settings[] = {
    {.name = "event",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_after_options, event),
     .is_required = true,
     .doc = "Type of the event that the delay is counted from"},
    {.name = "delay",
     .type = SETTING_DURATION,
     .offset = offsetof(struct rule_after_options, delay_ms),
     .min = RULE_DELAY_MIN_MS,
     .max = SPAN_MAX,
     .is_required = true,
     .doc = "How long after the event, in event time"},
    {.name = "from",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct rule_after_options, from),
     .choices = froms,
     .fallback = "last",
     .doc = "Whether a further such event starts the delay anew (last) or not (first)"},
};
const struct setting_section rule_after_section = {"after", "A time after an event.",
                                                   after_settings, COUNT(after_settings),
                                                   sizeof(struct rule_after_options)};

static const struct setting alert_settings[] = {
    {.name = "severity",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct rule_alert_options, severity),
     .choices = rule_severities,
     .fallback = "medium",
     .doc = "How grave it is"},
    {.name = "reason",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_alert_options, reason),
     .is_required = true,
     .doc = "Why this matters; {expressions} in braces are filled in"},
    {.name = "suggest",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct rule_alert_options, step),
     .choices = rule_steps,
     .fallback = "none",
     .doc = "Step that is suggested"},
};
const struct setting_section rule_alert_section = {
    "alert", "An alert.", alert_settings, COUNT(alert_settings), sizeof(struct rule_alert_options)};

static const struct setting promotion_settings[] = {
    {.name = "kind",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct rule_promotion_options, kind),
     .choices = rule_offers,
     .is_required = true,
     .doc = "Kind of the offer"},
    {.name = "value",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct rule_promotion_options, value),
     .min = 0.01,
     .max = 1e6,
     .doc = "Value of the offer in units of the currency"},
    {.name = "percent",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct rule_promotion_options, percent),
     .min = 0.1,
     .max = 100,
     .doc = "Percentage that the offer takes off"},
    {.name = "currency",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_promotion_options, currency),
     .doc = "ISO 4217 code of the value's currency"},
    {.name = "valid_for",
     .type = SETTING_DURATION,
     .offset = offsetof(struct rule_promotion_options, valid_for_ms),
     .min = 1000,
     .max = SPAN_MAX,
     .is_required = true,
     .doc = "How long the offer stands from when it is made, in event time"},
    {.name = "reason",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_promotion_options, reason),
     .doc = "Why the offer is made; {expressions} in braces are filled in"},
};
const struct setting_section rule_promotion_section = {
    "promotion", "A promotion.", promotion_settings, COUNT(promotion_settings),
    sizeof(struct rule_promotion_options)};

static const struct setting cap_settings[] = {
    {.name = "count",
     .type = SETTING_INTEGER,
     .offset = offsetof(struct rule_cap_options, count),
     .min = 1,
     .max = RULE_CAP_MAX,
     .is_required = true,
     .doc = "How often at most"},
    {.name = "per",
     .type = SETTING_DURATION,
     .offset = offsetof(struct rule_cap_options, per_ms),
     .min = 1000,
     .max = SPAN_MAX,
     .is_required = true,
     .doc = "Length of the window; it begins when the rule is carried out and none is open"},
};
const struct setting_section rule_cap_section = {"cap", "A limit for each user.", cap_settings,
                                                 COUNT(cap_settings),
                                                 sizeof(struct rule_cap_options)};

static const struct setting budget_settings[] = {
    {.name = "amount",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct rule_budget_options, amount),
     .min = 0.01,
     .max = 1e12,
     .doc = "Sum of the promotions' values in their currency, over all partitions"},
    {.name = "count",
     .type = SETTING_INTEGER,
     .offset = offsetof(struct rule_budget_options, count),
     .min = 1,
     .max = 1e12,
     .doc = "Number of times, over all partitions"},
    {.name = "per",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct rule_budget_options, per),
     .choices = periods,
     .is_required = true,
     .doc = "Whether the budget is one of a UTC day of event time, or of all time"},
};
const struct setting_section rule_budget_section = {"budget", "What a rule may spend.",
                                                    budget_settings, COUNT(budget_settings),
                                                    sizeof(struct rule_budget_options)};

static const struct setting holdout_settings[] = {
    {.name = "share",
     .type = SETTING_NUMBER,
     .offset = offsetof(struct rule_holdout_options, share),
     .min = 0.0001,
     .max = 0.9999,
     .is_required = true,
     .doc = "Share of users that the rule leaves alone"},
    {.name = "salt",
     .type = SETTING_TEXT,
     .offset = offsetof(struct rule_holdout_options, salt),
     .doc = "Rules of one salt share one control group; the rule's name where it is left out"},
};
const struct setting_section rule_holdout_section = {"holdout", "The control group of a rule.",
                                                     holdout_settings, COUNT(holdout_settings),
                                                     sizeof(struct rule_holdout_options)};
