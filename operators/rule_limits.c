#include "operators/rule_limits.h"

#define DAY_MS INT64_C(86400000)
#define CART_PIECES_MAX 1000000u

const char *const suppression_names[SUPPRESSION_COUNT] = {
    [SUPPRESSED_NOT] = "",
    [SUPPRESSED_COOLDOWN] = "cooldown",
    [SUPPRESSED_CAP] = "cap",
    [SUPPRESSED_LIMITS_FULL] = "limits_full",
    [SUPPRESSED_OUTRANKED] = "outranked",
    [SUPPRESSED_BUDGET] = "budget",
    [SUPPRESSED_HELD_OUT] = "held_out",
};

/* ---- Places ---- */

static uint32_t place_tag(const struct limit_place *place)
{
    return (uint32_t)(place->last & 0xFFFF) | (uint32_t)(place->start >> 8 & 0xFF) << 16;
}

static int64_t place_last_ms(const struct limit_place *place)
{
    return (int64_t)(place->last >> 16);
}

static int64_t place_start_ms(const struct limit_place *place)
{
    return (int64_t)(place->start >> 16);
}

static uint32_t place_count(const struct limit_place *place)
{
    return (uint32_t)(place->start & 0xFF);
}

/* Event times are of this age: 48 bits hold what is left of them. */
static uint64_t time_bits(int64_t time_ms)
{
    return time_ms < 0 ? 0 : (uint64_t)time_ms & 0xFFFFFFFFFFFFu;
}

static struct limit_place limit_make(uint32_t tag, int64_t last_ms, int64_t start_ms,
                                     uint32_t count)
{
    return (struct limit_place){.last = time_bits(last_ms) << 16 | (tag & 0xFFFF),
                                .start =
                                    time_bits(start_ms) << 16 | (tag >> 16 & 0xFF) << 8 | count};
}

static const struct limit_place *find_place(const struct user_limits *user, uint32_t tag)
{
    for (int i = 0; i < LIMIT_PLACES; i++) {
        if (place_tag(&user->places[i]) == tag) {
            return &user->places[i];
        }
    }
    return NULL;
}

static bool window_is_open(const struct limit_place *place, const struct rule *rule, int64_t now_ms)
{
    return rule->cap_count > 0 && now_ms < place_start_ms(place) + rule->cap_window_ms;
}

/* A place that nobody needs any more. */
static bool place_is_over(const struct limit_place *place, const struct rule_set *set,
                          int64_t now_ms)
{
    uint32_t tag = place_tag(place);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct rule *rule = &set->rules[i];
        if (rule->deadline_tag == tag) {
            return false;
        }
        if (rule->limit_tag == tag) {
            return now_ms >= place_last_ms(place) + rule->cooldown_ms &&
                   !window_is_open(place, rule, now_ms);
        }
    }
    return true; /* Free, or of a rule that is gone. */
}

/* The index of the place of `tag`, or of one that may be taken; LIMIT_PLACES: none. */
static int choose_place(const struct user_limits *user, const struct rule_set *set, uint32_t tag,
                        int64_t now_ms)
{
    const struct limit_place *found = find_place(user, tag);
    if (found) {
        return (int)(found - user->places);
    }
    for (int i = 0; i < LIMIT_PLACES; i++) {
        if (place_tag(&user->places[i]) == 0 || place_is_over(&user->places[i], set, now_ms)) {
            return i;
        }
    }
    return LIMIT_PLACES;
}

/* ---- Limits of a user ---- */

enum suppression limits_ask(const struct user_limits *user, const struct rule_set *set,
                            const struct rule *rule, int64_t now_ms)
{
    if (rule->limit_tag == 0) {
        return SUPPRESSED_NOT;
    }
    const struct limit_place *place = find_place(user, rule->limit_tag);
    if (!place) {
        return choose_place(user, set, rule->limit_tag, now_ms) == LIMIT_PLACES
                   ? SUPPRESSED_LIMITS_FULL
                   : SUPPRESSED_NOT;
    }
    if (now_ms < place_last_ms(place) + rule->cooldown_ms) {
        return SUPPRESSED_COOLDOWN; /* A late event, too: the rule was carried out since. */
    }
    return window_is_open(place, rule, now_ms) && place_count(place) >= rule->cap_count
               ? SUPPRESSED_CAP
               : SUPPRESSED_NOT;
}

void limits_note(struct user_limits *user, const struct rule_set *set, const struct rule *rule,
                 int64_t now_ms)
{
    if (rule->limit_tag == 0) {
        return;
    }
    int i = choose_place(user, set, rule->limit_tag, now_ms);
    assert(i < LIMIT_PLACES);
    struct limit_place *place = &user->places[i];
    bool is_known = place_tag(place) == rule->limit_tag;
    int64_t last_ms = is_known && place_last_ms(place) > now_ms ? place_last_ms(place) : now_ms;
    if (is_known && window_is_open(place, rule, now_ms)) {
        *place =
            limit_make(rule->limit_tag, last_ms, place_start_ms(place), place_count(place) + 1);
    } else {
        *place = limit_make(rule->limit_tag, last_ms, now_ms, 1);
    }
}

/* ---- Budgets of a task ---- */

static int64_t budget_day(const struct rule *rule, int64_t now_ms)
{
    return rule->is_budget_daily ? now_ms / DAY_MS : -1;
}

static int64_t budget_cost(const struct rule *rule)
{
    return rule->budget_kind == BUDGET_AMOUNT ? (int64_t)(rule->value * 1e6 + 0.5) : 1;
}

static const struct budget_place *find_budget(const struct task_limits *task,
                                              const struct rule *rule)
{
    for (uint32_t i = 0; i < RULE_BUDGETS_MAX; i++) {
        if (task->budgets[i].rule_hash == rule->hash) {
            return &task->budgets[i];
        }
    }
    return NULL;
}

/* A budget of an earlier day, or of a total that was one of days, begins anew. */
static bool budget_is_running(const struct budget_place *place, int64_t day)
{
    return place && (day == -1 ? place->day == -1 : place->day >= day);
}

bool budget_has_room(const struct task_limits *task, const struct rule *rule, int64_t now_ms,
                     uint32_t partition_count)
{
    if (rule->budget_kind == BUDGET_NONE) {
        return true;
    }
    const struct budget_place *place = find_budget(task, rule);
    bool is_running = budget_is_running(place, budget_day(rule, now_ms));
    uint32_t count = is_running ? place->partition_count : partition_count;
    int64_t spent = is_running ? place->spent : 0;
    return spent + budget_cost(rule) <= rule_budget_share(rule, count);
}

static bool is_rule_known(const struct rule_set *set, uint64_t hash)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->rules[i].hash == hash && set->rules[i].budget_kind != BUDGET_NONE) {
            return true;
        }
    }
    return false;
}

/* The rule's place, a free one, or one of a rule that is gone: there is always one. */
static struct budget_place *choose_budget(struct task_limits *task, const struct rule_set *set,
                                          const struct rule *rule)
{
    const struct budget_place *found = find_budget(task, rule);
    if (found) {
        return &task->budgets[found - task->budgets];
    }
    for (uint32_t i = 0; i < RULE_BUDGETS_MAX; i++) {
        if (task->budgets[i].rule_hash == 0) {
            return &task->budgets[i];
        }
    }
    for (uint32_t i = 0; i < RULE_BUDGETS_MAX; i++) {
        if (!is_rule_known(set, task->budgets[i].rule_hash)) {
            return &task->budgets[i];
        }
    }
    assert(!"more budgets than places");
    return &task->budgets[0];
}

void budget_spend(struct task_limits *task, const struct rule_set *set, const struct rule *rule,
                  int64_t now_ms, uint32_t partition_count)
{
    if (rule->budget_kind == BUDGET_NONE) {
        return;
    }
    struct budget_place *place = choose_budget(task, set, rule);
    int64_t day = budget_day(rule, now_ms);
    if (place->rule_hash != rule->hash || !budget_is_running(place, day)) {
        *place = (struct budget_place){
            .rule_hash = rule->hash, .day = day, .partition_count = partition_count};
    }
    place->spent += budget_cost(rule);
}

/* ---- Deadlines ---- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static_assert(PLACE_BITS <= 48 + 8, "the place of an event instead of a start and a count");

static struct limit_place deadline_make(uint32_t tag, struct rule_cause event)
{
    return limit_make(tag, event.time_ms, (int64_t)(event.place & 0xFFFFFFFFFFFFu),
                      (uint32_t)(event.place >> 48));
}

static uint64_t deadline_place(const struct limit_place *place)
{
    return (uint64_t)place_start_ms(place) | (uint64_t)place_count(place) << 48;
}

static void observe_cart(struct user_limits *user, enum event_type type, int64_t quantity,
                         struct rule_cause event)
{
    int64_t pieces = quantity < 1 ? 1 : quantity > CART_PIECES_MAX ? CART_PIECES_MAX : quantity;
    int64_t held = user->cart_pieces;
    switch (type) {
    case EVENT_ADD_TO_CART:
        held += pieces;
        break;
    case EVENT_REMOVE_FROM_CART:
        held -= pieces;
        break;
    case EVENT_PURCHASE: /* A line of an order: what was in the cart is bought or given up. */
        held = 0;
        break;
    default:
        return;
    }
    held = held < 0 ? 0 : held > CART_PIECES_MAX ? CART_PIECES_MAX : held;
    user->cart_pieces = (uint32_t)held;
    if (event.time_ms >= user->cart_touched_ms) {
        user->cart_touched_ms = event.time_ms;
        user->cart_cause = event.place;
    }
}

uint32_t deadlines_observe(struct user_limits *user, const struct rule_set *set,
                           enum event_type type, int64_t quantity, struct rule_cause event)
{
    uint32_t without_place = 0;
    if (set->has_idle_cart) {
        observe_cart(user, type, quantity, event);
    }
    for (uint32_t k = 0; set->after_types >> type & 1 && k < set->count; k++) {
        const struct rule *rule = &set->rules[k];
        if (rule->trigger != RULE_ON_AFTER || !(rule->event_types >> type & 1)) {
            continue;
        }
        int i = choose_place(user, set, rule->deadline_tag, event.time_ms);
        if (i == LIMIT_PLACES) {
            without_place++;
            continue;
        }
        struct limit_place *place = &user->places[i];
        bool is_pending = place_tag(place) == rule->deadline_tag;
        if (!is_pending || (!rule->is_from_first && event.time_ms >= place_last_ms(place))) {
            *place = deadline_make(rule->deadline_tag, event);
        }
    }
    return without_place;
}

static int64_t rule_deadline(const struct user_limits *user, const struct rule *rule)
{
    if (rule->trigger == RULE_ON_IDLE_CART && user->cart_pieces > 0) {
        int64_t due_ms = user->cart_touched_ms + rule->delay_ms;
        return due_ms > user->cart_fired_ms ? due_ms : TIMER_NONE;
    }
    if (rule->trigger == RULE_ON_AFTER) {
        const struct limit_place *place = find_place(user, rule->deadline_tag);
        return place ? place_last_ms(place) + rule->delay_ms : TIMER_NONE;
    }
    return TIMER_NONE;
}

int64_t deadlines_next(const struct user_limits *user, const struct rule_set *set)
{
    int64_t next_ms = TIMER_NONE;
    for (uint32_t k = 0; k < set->count; k++) {
        int64_t due_ms = rule_deadline(user, &set->rules[k]);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    return next_ms;
}

bool deadline_is_due(const struct user_limits *user, const struct rule *rule, int64_t now_ms)
{
    return rule_deadline(user, rule) <= now_ms;
}

bool deadline_is_pending(const struct user_limits *user, const struct rule *rule)
{
    return rule_deadline(user, rule) != TIMER_NONE;
}

struct rule_cause deadline_cause(const struct user_limits *user, const struct rule *rule)
{
    if (rule->trigger == RULE_ON_IDLE_CART) {
        return (struct rule_cause){.time_ms = user->cart_touched_ms, .place = user->cart_cause};
    }
    const struct limit_place *place = find_place(user, rule->deadline_tag);
    assert(place);
    return (struct rule_cause){.time_ms = place_last_ms(place), .place = deadline_place(place)};
}

void deadlines_fired(struct user_limits *user, const struct rule_set *set, int64_t now_ms)
{
    for (uint32_t k = 0; k < set->count; k++) {
        const struct rule *rule = &set->rules[k];
        if (rule->trigger == RULE_ON_AFTER && deadline_is_due(user, rule, now_ms)) {
            const struct limit_place *place = find_place(user, rule->deadline_tag);
            user->places[place - user->places] = (struct limit_place){0};
        }
    }
    if (set->has_idle_cart) {
        user->cart_fired_ms = later(user->cart_fired_ms, now_ms);
    }
}

/* ---- The ids of the events that they go back to ---- */

static bool is_tag_pending(const struct user_limits *user, const struct rule_set *set, uint32_t tag)
{
    for (uint32_t k = 0; k < set->count; k++) {
        if (set->rules[k].deadline_tag == tag) {
            return deadline_is_pending(user, &set->rules[k]);
        }
    }
    return false; /* Of a rule that is gone. */
}

static bool is_cart_pending(const struct user_limits *user, const struct rule_set *set)
{
    for (uint32_t k = 0; k < set->count; k++) {
        if (set->rules[k].trigger == RULE_ON_IDLE_CART &&
            deadline_is_pending(user, &set->rules[k])) {
            return true;
        }
    }
    return false;
}

void deadline_ids_follow(struct event_ids *ids, const struct user_limits *user,
                         const struct rule_set *set, const struct rule_cause *event)
{
    const struct text none = {NULL, 0};
    for (uint32_t i = 0; i < EVENT_IDS_DEADLINES; i++) {
        uint32_t tag = event_ids_tag(ids, i);
        if (tag != 0 && !is_tag_pending(user, set, tag)) {
            event_ids_keep_deadline(ids, tag, none);
        }
    }
    if (!is_cart_pending(user, set)) {
        event_ids_keep_cart(ids, none);
    } else if (event && user->cart_cause == event->place &&
               user->cart_touched_ms == event->time_ms) {
        event_ids_keep_cart(ids, event->id);
    }
    for (uint32_t k = 0; event && set->after_types && k < set->count; k++) {
        const struct rule *rule = &set->rules[k];
        if (rule->trigger == RULE_ON_AFTER && deadline_is_pending(user, rule)) {
            struct rule_cause cause = deadline_cause(user, rule);
            if (cause.place == event->place && cause.time_ms == event->time_ms) {
                event_ids_keep_deadline(ids, rule->deadline_tag, event->id);
            }
        }
    }
}

/* ---- Older versions ---- */

/*
 * Of a deadline the older versions have a number where the place is now, and the same form else: a
 * place with a start and no count is one, since each running limit has been counted.
 */
bool user_limits_upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    const uint32_t bytes_1 = offsetof(struct user_limits, cart_cause);
    if ((version != 1 || length != bytes_1) &&
        (version != 2 || length != sizeof(struct user_limits))) {
        return false;
    }
    struct user_limits *user = part;
    memcpy(user, bytes, bytes_1);
    for (int i = 0; i < LIMIT_PLACES; i++) {
        struct limit_place *place = &user->places[i];
        if (place_count(place) == 0) {
            *place = limit_make(place_tag(place), place_last_ms(place), 0, 0);
        }
    }
    return true;
}
