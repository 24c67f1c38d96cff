/*
 * Looks which rules match at each row and carries them out: alerts and promotions, each with its
 * reason, and a decision for every rule that matched, carried out or not.
 *
 * Reads what conditions read: event fields, features, scores, session columns. Writes the topics
 * alerts, promotions and decisions, and ROW_VOID on its own timers' rows. State: a user's carts,
 * deadlines and running limits, a task's spent budgets (rule_limits.h) and counters. Timer: the
 * earliest deadline of the user's rules.
 *
 * On one row, rules go by priority, then name. Every alert is carried out; of promotions the first
 * that its limits and budget allow, the others are `outranked`. What is asked, in this order:
 * cool-down, cap, rank, budget, hold-out. A held-out user takes the place, the cool-down and the
 * cap of a promotion as others do, but no budget, so that both arms are eligible at the same
 * moments.
 */
#ifndef OPERATORS_EMIT_INTERVENTIONS_H
#define OPERATORS_EMIT_INTERVENTIONS_H

#include "operators/rule_limits.h"
#include "pipeline/config/settings.h"
#include "pipeline/stage.h"

struct emit_interventions_options {
    const struct yaml_node *rules; /* Borrowed from the configuration's document; or NULL. */
    char *rules_file;              /* Or NULL. */
    struct text_list fields;       /* Event fields that alerts and promotions carry along. */
};

extern const struct setting_section emit_interventions_section;
extern const struct stage_info emit_interventions_info;

/*
 * The rules of the options, compiled; errors as rules_compile(), and borrows what it does.
 * `section` is what the options were read from, for the place of an error in them; or NULL.
 */
MUST_CHECK enum status emit_interventions_rules(const struct emit_interventions_options *options,
                                                const struct yaml_node *section,
                                                const struct feature_set *features,
                                                const struct expression_classes *classes,
                                                struct rule_set **ret_set, struct error *error);

struct emit_interventions_context {
    const char *partition; /* Borrowed: name of the partition; ids of decisions are made from it. */
    uint32_t partition_count;
    uint64_t configuration;      /* Hash of the configuration that decides. */
    const char *numeric_profile; /* Borrowed. */
};

/*
 * Borrows `set`, `features` and the context's texts, which must outlive the stage; `options` may
 * go. Adds its parts to `layout`.
 */
MUST_CHECK enum status emit_interventions_create(const struct emit_interventions_options *options,
                                                 const struct rule_set *set,
                                                 const struct feature_set *features,
                                                 const struct emit_interventions_context *context,
                                                 struct record_layout *layout,
                                                 struct stage **ret_stage, struct error *error);

/* The shortest delay of a rule's timer; INT64_MAX where no rule has one. */
int64_t emit_interventions_timer_floor_ms(const struct rule_set *set);

/* In the task's record, so they are exact over crashes and aborts. */
struct emit_interventions_counters {
    uint64_t suppressed[SUPPRESSION_COUNT]; /* By reason; of SUPPRESSED_NOT 0. */
    uint64_t deadlines_without_place;       /* Of `after` rules: the shopper has no place left. */
};
const struct emit_interventions_counters *emit_interventions_counters(const struct stage *stage,
                                                                      struct record *task);

#endif
