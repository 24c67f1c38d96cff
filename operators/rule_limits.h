/*
 * What the rules remember: of a user the cart's state, running limits and pending deadlines; of a
 * task what of the budgets is spent. Plain data in records.
 *
 * A user's table has LIMIT_PLACES places for limits and deadlines together. A place is given back
 * when its cool-down and window are over, its deadline has fired, or its rule is gone. Where all
 * are taken, a rule with limits is suppressed rather than carried out beyond them, and a deadline
 * is not set; both are counted.
 *
 * Windows of caps begin when the rule is carried out and none is open. Budgets of a day go by the
 * UTC day of event time and never back to an earlier day. Each partition has a fixed share of a
 * budget; a changed number of partitions takes effect with the next day, or for a total never.
 */
#ifndef OPERATORS_RULE_LIMITS_H
#define OPERATORS_RULE_LIMITS_H

#include "operators/event_ids.h"
#include "operators/rule_set.h"

#define LIMIT_PLACES 8

/*
 * Times of 48 bits, a tag of 24 and a count of 8. All zero: free. A deadline has the event's time
 * in `last`, and in place of start and count, which it has no use for, the event's place.
 */
struct limit_place {
    uint64_t last;  /* last_ms << 16 | low 16 bits of the tag */
    uint64_t start; /* start_ms << 16 | high 8 bits of the tag << 8 | count */
};

struct user_limits {
    int64_t cart_touched_ms; /* When a cart event last came. */
    int64_t cart_fired_ms;   /* Deadlines of the cart up to here have fired. */
    uint32_t cart_pieces;    /* 0: empty. */
    uint32_t reserved;
    struct limit_place places[LIMIT_PLACES];
    uint64_t cart_cause; /* Place of the event at cart_touched_ms (event_place.h). */
};
static_assert(sizeof(struct user_limits) == 160, "written to the state store as it is");

#define USER_LIMITS_VERSION 3
/*
 * Reads a part of an older version; see struct record_part. Version 1 had no cart_cause, and
 * version 2 the number of the event in the input, which does not say where that event stood: limits
 * and deadlines are kept, and what deadlines go back to is not known.
 */
bool user_limits_upgrade(uint16_t version, const void *bytes, uint32_t length, void *part);

/* The event that something goes back to. */
struct rule_cause {
    int64_t time_ms;
    uint64_t place; /* See event_place.h. */
    struct text id; /* Borrowed; data NULL: none is known. */
};

struct budget_place {
    uint64_t rule_hash; /* 0: free. */
    int64_t day;        /* Since 1970, or -1 for a total. */
    int64_t spent;      /* Count, or millionths. */
    uint32_t partition_count;
    uint32_t reserved;
};

struct task_limits {
    struct budget_place budgets[RULE_BUDGETS_MAX];
};
static_assert(sizeof(struct task_limits) == 2048, "written to the state store as it is");

enum suppression {
    SUPPRESSED_NOT, /* Carried out. */
    SUPPRESSED_COOLDOWN,
    SUPPRESSED_CAP,
    SUPPRESSED_LIMITS_FULL,
    SUPPRESSED_OUTRANKED,
    SUPPRESSED_BUDGET,
    SUPPRESSED_HELD_OUT,
    SUPPRESSION_COUNT
};
extern const char *const suppression_names[SUPPRESSION_COUNT]; /* "" for SUPPRESSED_NOT */

/* SUPPRESSED_NOT, _COOLDOWN, _CAP or _LIMITS_FULL. Changes nothing. */
enum suppression limits_ask(const struct user_limits *user, const struct rule_set *set,
                            const struct rule *rule, int64_t now_ms);
/* The rule is carried out, or would be but for the hold-out. After limits_ask() said yes. */
void limits_note(struct user_limits *user, const struct rule_set *set, const struct rule *rule,
                 int64_t now_ms);

/* Whether the partition's share has room for one time more; changes nothing. */
bool budget_has_room(const struct task_limits *task, const struct rule *rule, int64_t now_ms,
                     uint32_t partition_count);
void budget_spend(struct task_limits *task, const struct rule_set *set, const struct rule *rule,
                  int64_t now_ms, uint32_t partition_count);

/*
 * An event of a user moves carts and deadlines. Returns the number of deadlines for which there was
 * no place.
 */
uint32_t deadlines_observe(struct user_limits *user, const struct rule_set *set,
                           enum event_type type, int64_t quantity, struct rule_cause event);
/* The earliest deadline of a user, or TIMER_NONE. */
int64_t deadlines_next(const struct user_limits *user, const struct rule_set *set);
/* True where a rule's deadline is not after `now_ms`. */
bool deadline_is_due(const struct user_limits *user, const struct rule *rule, int64_t now_ms);
/* A rule has a deadline that has not fired. */
bool deadline_is_pending(const struct user_limits *user, const struct rule *rule);
/* The event that set the deadline of a rule that has one, without its id. */
struct rule_cause deadline_cause(const struct user_limits *user, const struct rule *rule);
/*
 * Keeps the id of an event for the deadlines that deadlines_observe() has just let go back to it,
 * and forgets those of deadlines that are pending no more. `event` NULL: there is none.
 */
void deadline_ids_follow(struct event_ids *ids, const struct user_limits *user,
                         const struct rule_set *set, const struct rule_cause *event);
/* Forgets all deadlines up to `now_ms`: they have fired. */
void deadlines_fired(struct user_limits *user, const struct rule_set *set, int64_t now_ms);

#endif
