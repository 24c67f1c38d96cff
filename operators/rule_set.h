/*
 * The rules of emit_interventions: read from YAML, checked, and compiled into one expression
 * program. Constant once compiled; shared by all tasks and by `nudge check`.
 *
 *     - name: stolen_card
 *       on: [checkout, purchase]
 *       if: fraud_score > 0.95 and price * quantity >= 200
 *       alert: {severity: high, reason: "Score {fraud_score:.2} at {price:.2} {currency}",
 *               suggest: step_up}
 *       cooldown: 1h
 *     - name: forgotten_cart
 *       on: {idle_cart: 10m}
 *       if: abandon_score > 0.6
 *       promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 2d}
 *       cap: {count: 2, per: 30d}
 *       budget: {amount: 500, per: day}
 *       holdout: {share: 0.1, salt: autumn}
 *       priority: 10
 */
#ifndef OPERATORS_RULE_SET_H
#define OPERATORS_RULE_SET_H

#include "operators/expression.h"
#include "pipeline/config/yaml.h"

#define RULE_NAME_MAX 64u
#define RULE_BUDGETS_MAX 64u   /* Rules with a budget; the table stands in the task's record. */
#define RULE_CAP_MAX 255       /* Count of a cap. */
#define RULE_DELAY_MIN_MS 1000 /* Of idle_cart and after. */
#define RULE_SPAN_MAX_MS INT64_C(34560000000) /* 400 days: of any delay, cool-down or window. */

enum rule_trigger {
    RULE_ON_EVENT,
    RULE_ON_SESSION_END,
    RULE_ON_IDLE_CART, /* The cart is not empty and was not touched for delay_ms. */
    RULE_ON_AFTER,     /* delay_ms after an event of a type. */
    RULE_TRIGGER_COUNT
};
extern const char *const rule_trigger_names[RULE_TRIGGER_COUNT];

enum rule_severity {
    SEVERITY_INFO,
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL
};
enum rule_step { STEP_NONE, STEP_PAUSE_TRANSACTION, STEP_STEP_UP, STEP_NOTIFY_USER, STEP_REVIEW };
enum rule_offer {
    OFFER_COUPON,
    OFFER_FREE_SHIPPING,
    OFFER_RECOMMENDATION,
    OFFER_REMINDER,
    OFFER_HUMAN_CONTACT
};
/* NULL-terminated, in the order of the enumerations. */
extern const char *const rule_severities[];
extern const char *const rule_steps[];
extern const char *const rule_offers[];

enum rule_budget_kind { BUDGET_NONE, BUDGET_COUNT, BUDGET_AMOUNT };

/* A reason text: pieces of text and of expressions in turn. */
struct rule_template_part {
    char *text; /* Owned; NULL for an expression. */
    uint32_t node;
    int decimals;
};
struct rule_template {
    struct rule_template_part *parts; /* Owned. */
    uint32_t count;
};

struct rule {
    char *name;            /* Owned. */
    char *condition;       /* Owned; as written, NULL where there is none. */
    uint64_t hash;         /* Of the name: what state and ids know the rule by. */
    uint32_t limit_tag;    /* 24 bits: of its place in a user's table of limits; 0: no limits. */
    uint32_t deadline_tag; /* Likewise of a deadline of RULE_ON_AFTER. */

    enum rule_trigger trigger;
    uint32_t event_types; /* RULE_ON_EVENT, RULE_ON_AFTER: bit per enum event_type. */
    int64_t delay_ms;
    bool is_from_first; /* RULE_ON_AFTER: counted from the first such event, not the latest one. */
    struct expression expression; /* Trigger (of events and session ends) and condition. */
    uint32_t output;              /* Of the program; UINT32_MAX for timers. */
    enum score_kind score;        /* Whose terms explain the rule, where it was computed. */

    bool is_alert; /* Else a promotion. */
    enum rule_severity severity;
    enum rule_step step;
    char *reason_source; /* Owned; as written, or NULL. */
    struct rule_template reason;
    enum rule_offer offer;
    double value;     /* 0: none. */
    double percent;   /* 0: none. */
    char currency[4]; /* "": none. */
    int64_t valid_for_ms;

    int64_t cooldown_ms; /* 0: none. */
    uint32_t cap_count;  /* 0: none. */
    int64_t cap_window_ms;
    enum rule_budget_kind budget_kind;
    bool is_budget_daily;    /* Else total. */
    int64_t budget;          /* Count, or millionths of the currency; of all partitions together. */
    double holdout_share;    /* 0: none. */
    uint64_t holdout_salt;   /* Hash of the salt. */
    char *holdout_salt_text; /* Owned. */
    int64_t priority;
};

struct rule_set {
    struct rule *rules; /* Owned; by rank: higher priority first, then name. */
    uint32_t count;
    struct expression_program *program; /* Owned, finished. */
    uint32_t output_count;              /* Of the program. */
    uint32_t scores_used;               /* Bit per enum score_kind. */
    uint32_t after_types; /* Bit per enum event_type that a RULE_ON_AFTER waits for. */
    bool has_idle_cart;
    bool has_session_end;
    int64_t delay_min_ms; /* Shortest delay of a timer rule; INT64_MAX: no rule has one. */
    uint64_t hash;        /* Of all that the rules say; decisions quote it. */
};

/*
 * Reads the rules of `rules`, a sequence (may be NULL), and of the file `path` (may be NULL), whose
 * root is a sequence or a mapping with the key `rules`. `fields_shown` has a bit for each event
 * field of class identity or content that reason texts may show. STATUS_INVALID names file, line,
 * key, value, what was expected and the nearest right name. Borrows `features` and `classes`, see
 * expression.h.
 */
MUST_CHECK enum status rules_compile(const struct yaml_node *rules, const char *path,
                                     const struct feature_set *features,
                                     const struct expression_classes *classes,
                                     uint64_t fields_shown, struct rule_set **ret_set,
                                     struct error *error);
void rule_set_destroy(struct rule_set *set); /* NULL is a no-op. */

/* Prints what the rules do, a few lines a rule, for `nudge check`; `partition_count` splits
 * budgets.
 */
void rule_set_describe(const struct rule_set *set, uint32_t partition_count,
                       void (*line)(void *context, const char *text), void *context);

/* What each partition may spend of a rule's budget: an equal share, rounded down. */
int64_t rule_budget_share(const struct rule *rule, uint32_t partition_count);

/* True where the user belongs to the group that the rule leaves alone. */
bool rule_holds_out(const struct rule *rule, struct key128 user);

/* Which scores explain an alert ([true]) or a promotion, the best first. */
extern const enum score_kind rule_score_ranks[2][SCORE_KIND_COUNT];

/* Compiles a reason text with expressions in braces: "{name}" or "{name:.2}". */
MUST_CHECK enum status rule_template_compile(struct expression_program *program, const char *source,
                                             uint64_t fields_shown,
                                             struct rule_template *ret_template,
                                             struct error *error);
void rule_template_release(struct rule_template *template);

/* The text for one row, in the arena; cut at RULE_REASON_MAX bytes. Missing values are "?". */
#define RULE_REASON_MAX 1024u
struct text rule_template_render(const struct rule_template *template,
                                 const struct expression_program *program,
                                 const struct event_batch *batch, uint32_t row,
                                 struct arena *scratch);

#endif
