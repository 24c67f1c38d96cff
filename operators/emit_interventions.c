#include "operators/emit_interventions.h"

#include <stdlib.h>

#include "operators/emit_interventions_records.h"

#define RULE_WORDS ((RULES_MAX + 63) / 64)

struct emit_interventions {
    struct stage stage;
    struct decision_source source;
    struct expression_columns *columns;
    uint64_t *outputs; /* [output_count] of one chunk. */
    uint32_t user_offset, ids_offset, task_offset, counter_offset;
};
static_assert(sizeof(struct emit_interventions_counters) == 64, "stored as it is");

static const struct setting settings[] = {
    {.name = "rules",
     .type = SETTING_CUSTOM,
     .offset = offsetof(struct emit_interventions_options, rules),
     .doc = "List of rules; see nudge describe rules"},
    {.name = "rules_file",
     .type = SETTING_PATH,
     .offset = offsetof(struct emit_interventions_options, rules_file),
     .doc = "File with more rules: a list, or a mapping with the key rules"},
    {.name = "fields",
     .type = SETTING_LIST,
     .offset = offsetof(struct emit_interventions_options, fields),
     .doc =
         "Text fields of the event that alerts and promotions carry along, and that reason texts "
         "may show though they are of class identity or content"},
};
const struct setting_section emit_interventions_section = {
    .name = "emit_interventions",
    .doc = "Rules, and what is emitted when they match.",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(*settings),
    .options_bytes = sizeof(struct emit_interventions_options),
};

const struct stage_info emit_interventions_info = {
    .name = "emit_interventions",
    .doc = "Emits alerts and promotions where rules match, within their limits, and a decision for "
           "each rule that matched.",
    .reads = "event fields, features, scores, session columns",
    .writes = "alerts, promotions, decisions",
};

static enum status complain_field(const char *name, size_t index, const struct yaml_node *list,
                                  struct error *error)
{
    const char *names[TEXT_FIELD_COUNT];
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        names[field] = event_fields[field].name;
    }
    const char *near = nearest_name(name, names, TEXT_FIELD_COUNT);
    struct yaml_node place = {0};
    if (list) {
        place = index < list->child_count ? list->children[index] : *list;
        place.key = list->key; /* An item of a list has none of its own. */
    }
    return yaml_complain(list ? &place : NULL, error,
                         "\"%.60s\": expected a text field of the event%s%s%s", name,
                         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* A bit for each listed field; `node` is what the list was read from, or NULL. */
static enum status read_fields(const struct text_list *list, const struct yaml_node *node,
                               uint64_t *ret_fields, struct error *error)
{
    uint64_t fields = 0;
    for (size_t i = 0; i < list->count; i++) {
        enum event_field field = event_field_of(text_of(list->items[i]));
        if ((int)field >= TEXT_FIELD_COUNT && field != FIELD_ATTRIBUTES) {
            return complain_field(list->items[i], i, node, error);
        }
        fields |= UINT64_C(1) << field;
    }
    *ret_fields = fields;
    return STATUS_OK;
}

enum status emit_interventions_rules(const struct emit_interventions_options *options,
                                     const struct yaml_node *section,
                                     const struct feature_set *features,
                                     const struct expression_classes *classes,
                                     struct rule_set **ret_set, struct error *error)
{
    uint64_t fields = 0;
    enum status status =
        read_fields(&options->fields, yaml_find(section, "fields"), &fields, error);
    return status == STATUS_OK ? rules_compile(options->rules, options->rules_file, features,
                                               classes, fields, ret_set, error)
                               : status;
}

int64_t emit_interventions_timer_floor_ms(const struct rule_set *set)
{
    return set->delay_min_ms;
}

const struct emit_interventions_counters *emit_interventions_counters(const struct stage *stage,
                                                                      struct record *task)
{
    const struct emit_interventions *self = container_of(stage, struct emit_interventions, stage);
    return record_part_at(task, self->counter_offset);
}

static uint32_t list_counters(const struct stage *stage, struct record *task,
                              struct stage_counter *ret_counters, uint32_t max)
{
    const struct emit_interventions_counters *counters = emit_interventions_counters(stage, task);
    const struct stage_counter all[] = {
        {"suppressed_cooldown", counters->suppressed[SUPPRESSED_COOLDOWN]},
        {"suppressed_cap", counters->suppressed[SUPPRESSED_CAP]},
        {"suppressed_limits_full", counters->suppressed[SUPPRESSED_LIMITS_FULL]},
        {"suppressed_outranked", counters->suppressed[SUPPRESSED_OUTRANKED]},
        {"suppressed_budget", counters->suppressed[SUPPRESSED_BUDGET]},
        {"suppressed_held_out", counters->suppressed[SUPPRESSED_HELD_OUT]},
        {"deadlines_without_place", counters->deadlines_without_place},
    };
    uint32_t count = sizeof(all) / sizeof(all[0]);
    count = count < max ? count : max;
    memcpy(ret_counters, all, count * sizeof(all[0]));
    return count;
}

/* ---- One row ---- */

static struct emit_interventions_counters *counters_at(const struct emit_interventions *self,
                                                       const struct event_batch *batch)
{
    return record_part_at(batch->record[ENTITY_TASK][0], self->counter_offset);
}

static struct user_limits *user_limits_at(const struct emit_interventions *self,
                                          const struct event_batch *batch, uint32_t row)
{
    return record_part_at(batch->record[ENTITY_USER][row], self->user_offset);
}

static struct event_ids *event_ids_at(const struct emit_interventions *self,
                                      const struct event_batch *batch, uint32_t row)
{
    return record_part_at(batch->record[ENTITY_USER][row], self->ids_offset);
}

static struct rule_cause event_at(const struct event_batch *batch, uint32_t row)
{
    bool has_id = event_has(batch, row, FIELD_EVENT_ID);
    return (struct rule_cause){.time_ms = batch->time_ms[row],
                               .place = batch->place[row],
                               .id = has_id ? batch->text[FIELD_EVENT_ID][row]
                                            : (struct text){NULL, 0}};
}

/* The event that a rule's match goes back to; `due` as for decide_all(). */
static struct rule_cause cause_of(const struct emit_interventions *self,
                                  const struct event_batch *batch, uint32_t row,
                                  const struct rule *rule, const struct user_limits *due,
                                  char buffer[EVENT_ID_TEXT_MAX])
{
    if (batch->kind[row] == ROW_EVENT) {
        return event_at(batch, row);
    }
    const struct event_ids *ids = event_ids_at(self, batch, row);
    struct rule_cause cause = {.time_ms = batch->session_last_ms[row],
                               .place = batch->session_cause[row]};
    if (due) {
        cause = deadline_cause(due, rule);
        cause.id = rule->trigger == RULE_ON_IDLE_CART
                       ? event_ids_cart(ids, buffer)
                       : event_ids_deadline(ids, rule->deadline_tag, buffer);
    } else {
        cause.id = event_ids_session(ids, batch->session_id[row], buffer);
    }
    return cause;
}

/* What becomes of a rule that matched; `is_taken`: a promotion was made on this row. */
static void decide(struct emit_interventions *self, struct event_batch *batch, uint32_t row,
                   const struct rule *rule, struct rule_cause cause, bool *is_taken)
{
    const struct rule_set *set = self->source.set;
    struct user_limits *user = user_limits_at(self, batch, row);
    struct task_limits *task = record_part_at(batch->record[ENTITY_TASK][0], self->task_offset);
    int64_t now_ms = batch->time_ms[row];
    uint32_t partitions = self->source.context.partition_count;
    struct decision decision = {.rule = rule, .row = row, .cause = cause};
    decision.is_held_out = rule_holds_out(rule, batch->user_key[row]);
    decision.suppression = limits_ask(user, set, rule, now_ms);
    if (decision.suppression == SUPPRESSED_NOT && !rule->is_alert && *is_taken) {
        decision.suppression = SUPPRESSED_OUTRANKED;
    }
    if (decision.suppression == SUPPRESSED_NOT &&
        !budget_has_room(task, rule, now_ms, partitions)) {
        decision.suppression = SUPPRESSED_BUDGET;
    }
    if (decision.suppression == SUPPRESSED_NOT) {
        limits_note(user, set, rule, now_ms);
        *is_taken = *is_taken || !rule->is_alert;
        if (decision.is_held_out) {
            decision.suppression = SUPPRESSED_HELD_OUT;
        } else {
            budget_spend(task, set, rule, now_ms, partitions);
        }
    }
    decision_write(&self->source, batch, &decision);
    counters_at(self, batch)->suppressed[decision.suppression] +=
        decision.suppression != SUPPRESSED_NOT;
}

/* Rules whose bits are set, in the order of their rank. `due`: on a timer of ours, what was kept
 * when it fell due; else NULL. */
static void decide_all(struct emit_interventions *self, struct event_batch *batch, uint32_t row,
                       const uint64_t matched[RULE_WORDS], const struct user_limits *due)
{
    bool is_taken = false;
    for (uint32_t word = 0; word < RULE_WORDS; word++) {
        for (uint64_t bits = matched[word]; bits; bits &= bits - 1) {
            uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct rule *rule = &self->source.set->rules[index];
            char id[EVENT_ID_TEXT_MAX];
            decide(self, batch, row, rule, cause_of(self, batch, row, rule, due, id), &is_taken);
        }
    }
}

/* Moves the timer where the earliest deadline is another one than before. */
static void move_timer(struct emit_interventions *self, struct event_batch *batch, uint32_t row,
                       int64_t before_ms)
{
    int64_t next_ms = deadlines_next(user_limits_at(self, batch, row), self->source.set);
    if (next_ms != before_ms) {
        record_set_timer(batch->record[ENTITY_USER][row], TIMER_INTERVENTIONS, next_ms,
                         batch->watermark_ms[row], batch->timer_floor_ms);
    }
}

static void observe_event(struct emit_interventions *self, struct event_batch *batch, uint32_t row)
{
    const struct rule_set *set = self->source.set;
    struct user_limits *user = user_limits_at(self, batch, row);
    enum event_type type = (enum event_type)batch->type[row];
    int64_t before_ms = deadlines_next(user, set);
    int64_t quantity = event_has(batch, row, FIELD_QUANTITY) ? batch->quantity[row] : 1;
    struct rule_cause event = event_at(batch, row);
    counters_at(self, batch)->deadlines_without_place +=
        deadlines_observe(user, set, type, quantity, event);
    deadline_ids_follow(event_ids_at(self, batch, row), user, set, &event);
    move_timer(self, batch, row, before_ms);
}

/* The event is the one that its session goes back to. */
static void keep_session_id(struct emit_interventions *self, struct event_batch *batch,
                            uint32_t row)
{
    if (batch->place[row] == PLACE_UNKNOWN || !batch->session_id[row]) {
        return; /* A timer, or an event that could be any. */
    }
    struct event_ids *ids = event_ids_at(self, batch, row);
    if (batch->session_flags[row] & SESSION_BRIDGED) {
        event_ids_forget_sessions(ids); /* One of them is no more. */
    }
    event_ids_keep_session(ids, batch->session_id[row], event_at(batch, row).id);
}

static bool condition_holds(struct emit_interventions *self, struct event_batch *batch,
                            uint32_t row, const struct rule *rule)
{
    return expression_evaluate(self->source.set->program, rule->expression.node, batch, row,
                               &batch->arena)
        .boolean;
}

/* A timer of ours: the rules whose deadlines have come. */
static void fire_timer(struct emit_interventions *self, struct event_batch *batch, uint32_t row)
{
    const struct rule_set *set = self->source.set;
    struct record *record = batch->record[ENTITY_USER][row];
    struct user_limits *user = user_limits_at(self, batch, row);
    int64_t now_ms = batch->time_ms[row];
    if (record->timer_ms[TIMER_INTERVENTIONS] != now_ms) {
        batch->state[row] = ROW_VOID; /* An earlier row moved it. */
        return;
    }
    uint64_t matched[RULE_WORDS] = {0};
    for (uint32_t k = 0; k < set->count; k++) {
        if (deadline_is_due(user, &set->rules[k], now_ms) &&
            condition_holds(self, batch, row, &set->rules[k])) {
            matched[k / 64] |= UINT64_C(1) << (k % 64);
        }
    }
    const struct user_limits due = *user;
    deadlines_fired(user, set, now_ms);
    decide_all(self, batch, row, matched, &due);
    deadline_ids_follow(event_ids_at(self, batch, row), user, set, NULL);
    record->timer_ms[TIMER_INTERVENTIONS] = TIMER_NONE;
    move_timer(self, batch, row, TIMER_NONE);
}

/* ---- The batch ---- */

/* matched[chunk * count + rule]: rows of the chunk at which the rule's condition holds; returns
 * NULL when out of memory. `any` has the same for all rules together. */
static uint64_t *match_columns(struct emit_interventions *self, struct event_batch *batch,
                               uint64_t *any)
{
    const struct rule_set *set = self->source.set;
    uint32_t chunks = (batch->row_count + EXPRESSION_LANES - 1) / EXPRESSION_LANES;
    uint64_t *matched = arena_array(&batch->arena, uint64_t, (size_t)chunks * set->count + 1);
    for (uint32_t chunk = 0; matched && chunk < chunks; chunk++) {
        uint32_t first = chunk * EXPRESSION_LANES;
        uint32_t rows = batch->row_count - first < EXPRESSION_LANES ? batch->row_count - first
                                                                    : EXPRESSION_LANES;
        expression_columns_run(self->columns, batch, first, rows, self->outputs, &batch->arena);
        any[chunk] = 0;
        for (uint32_t k = 0; k < set->count; k++) {
            uint32_t output = set->rules[k].output;
            uint64_t bits = output == UINT32_MAX ? 0 : self->outputs[output];
            matched[(size_t)chunk * set->count + k] = bits;
            any[chunk] |= bits;
        }
    }
    return matched;
}

static void gather_rules(const struct rule_set *set, const uint64_t *matched, uint32_t row,
                         uint64_t ret_rules[RULE_WORDS])
{
    const uint64_t *chunk = matched + (size_t)(row / EXPRESSION_LANES) * set->count;
    memset(ret_rules, 0, RULE_WORDS * sizeof(*ret_rules));
    for (uint32_t k = 0; k < set->count; k++) {
        ret_rules[k / 64] |= (chunk[k] >> (row % EXPRESSION_LANES) & 1) << (k % 64);
    }
}

/* Types of events that move carts or deadlines; for the others no state is touched. */
static uint32_t types_observed(const struct rule_set *set)
{
    uint32_t cart = 1u << EVENT_ADD_TO_CART | 1u << EVENT_REMOVE_FROM_CART | 1u << EVENT_PURCHASE;
    return set->after_types | (set->has_idle_cart ? cart : 0);
}

static enum status emit_interventions_process(struct stage *stage, struct event_batch *batch,
                                              struct error *error)
{
    struct emit_interventions *self = container_of(stage, struct emit_interventions, stage);
    const struct rule_set *set = self->source.set;
    uint32_t observed = types_observed(set);
    uint64_t any[BATCH_ROWS_MAX / EXPRESSION_LANES];
    uint64_t *matched = match_columns(self, batch, any);
    if (!matched) {
        return error_set(error, STATUS_FATAL, "emit_interventions: out of memory");
    }
    for (uint32_t i = 0; i < batch->row_count; i++) {
        if (set->has_session_end && i + RECORD_PREFETCH_ROWS < batch->row_count) {
            record_prefetch(batch->record[ENTITY_USER][batch->order[i + RECORD_PREFETCH_ROWS]],
                            self->ids_offset, sizeof(struct event_id));
        }
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        if (batch->kind[row] == ROW_TIMER && batch->timer_slot[row] == TIMER_INTERVENTIONS) {
            fire_timer(self, batch, row);
            continue;
        }
        if (batch->kind[row] == ROW_EVENT && (observed >> batch->type[row] & 1)) {
            observe_event(self, batch, row);
        }
        if (set->has_session_end && batch->session_cause[row] == batch->place[row]) {
            keep_session_id(self, batch, row);
        }
        if (any[row / EXPRESSION_LANES] >> (row % EXPRESSION_LANES) & 1) {
            uint64_t rules[RULE_WORDS];
            gather_rules(set, matched, row, rules);
            decide_all(self, batch, row, rules, NULL);
        }
        if (batch->session_flags[row] & SESSION_ENDED) {
            event_ids_forget_session(event_ids_at(self, batch, row), batch->session_id[row]);
        }
    }
    return STATUS_OK;
}

static void emit_interventions_destroy(struct stage *stage)
{
    struct emit_interventions *self = container_of(stage, struct emit_interventions, stage);
    expression_columns_destroy(self->columns);
    free(self->outputs);
    free(self);
}

static const struct stage_ops emit_interventions_ops = {
    .info = &emit_interventions_info,
    .process = emit_interventions_process,
    .destroy = emit_interventions_destroy,
    .counters = list_counters,
};

static enum status add_parts(struct emit_interventions *self, struct record_layout *layout,
                             struct error *error)
{
    const struct record_part user = {.name = "interventions",
                                     .id = PART_INTERVENTIONS_USER,
                                     .version = USER_LIMITS_VERSION,
                                     .kind = ENTITY_USER,
                                     .bytes = sizeof(struct user_limits),
                                     .upgrade = user_limits_upgrade};
    const struct record_part ids = {.name = "event ids",
                                    .id = PART_EVENT_IDS,
                                    .version = 1,
                                    .kind = ENTITY_USER,
                                    .bytes = sizeof(struct event_ids)};
    const struct record_part task = {.name = "budgets",
                                     .id = PART_INTERVENTIONS_TASK,
                                     .version = 1,
                                     .kind = ENTITY_TASK,
                                     .bytes = sizeof(struct task_limits)};
    const struct record_part counters = {.name = "interventions counters",
                                         .id = PART_INTERVENTIONS_COUNTERS,
                                         .version = 1,
                                         .kind = ENTITY_TASK,
                                         .bytes = sizeof(struct emit_interventions_counters)};
    enum status status = record_layout_add(layout, &user, &self->user_offset, error);
    if (status == STATUS_OK) {
        status = record_layout_add(layout, &ids, &self->ids_offset, error);
    }
    if (status == STATUS_OK) {
        status = record_layout_add(layout, &task, &self->task_offset, error);
    }
    return status == STATUS_OK ? record_layout_add(layout, &counters, &self->counter_offset, error)
                               : status;
}

enum status emit_interventions_create(const struct emit_interventions_options *options,
                                      const struct rule_set *set,
                                      const struct feature_set *features,
                                      const struct emit_interventions_context *context,
                                      struct record_layout *layout, struct stage **ret_stage,
                                      struct error *error)
{
    struct emit_interventions *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "emit_interventions: out of memory");
    }
    self->stage.ops = &emit_interventions_ops;
    self->source = (struct decision_source){.context = *context,
                                            .set = set,
                                            .features = features,
                                            .partition_hash = hash64(text_of(context->partition))};
    self->outputs = calloc(set->output_count + 1u, sizeof(*self->outputs));
    enum status status = self->outputs
                             ? read_fields(&options->fields, NULL, &self->source.fields, error)
                             : error_set(error, STATUS_FATAL, "emit_interventions: out of memory");
    if (status == STATUS_OK) {
        status = expression_columns_create(set->program, &self->columns, error);
    }
    if (status == STATUS_OK) {
        status = add_parts(self, layout, error);
    }
    if (status != STATUS_OK) {
        emit_interventions_destroy(&self->stage);
        return status;
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}
