#include "operators/sessionize.h"

#include <stdlib.h>
#include <string.h>

#include "operators/session_list.h"
#include "operators/session_record.h"
#include "operators/session_slot.h"
#include "pipeline/event/event_batch.h"

static_assert(sizeof(struct sessionize_counters) == 48, "stored as it is");

struct sessionize {
    struct stage stage;
    struct sessionize_options options;
    struct session_limits limits;
    uint32_t offset;         /* In a user's record. */
    uint32_t counter_offset; /* In the task's record. */
};

/* What the handling of one row needs. */
struct row_context {
    const struct sessionize *self;
    struct event_batch *batch;
    struct record *record;
    struct session_list *sessions;
    struct sessionize_counters *counters;
    int64_t watermark_ms;
    uint32_t row;
};

const struct stage_info sessionize_info = {
    .name = "sessionize",
    .doc = "Groups each user's events into sessions, by inactivity or by the sender's session id.",
    .reads = "time_ms, type, price, quantity, currency, hash(item), hash(session hint), "
             "watermark_ms, place",
    .writes = "session_id, session_flags, session_start_ms, session_event_count, session_outcome, "
              "session_cause, session_last_ms, state (void); topic sessions",
};

/* ---- Time ---- */

static int64_t add_time(int64_t time_ms, int64_t delay_ms)
{
    int64_t sum = 0;
    return __builtin_add_overflow(time_ms, delay_ms, &sum) ? INT64_MAX - 1 : sum;
}

static int64_t reach_start_ms(const struct row_context *context)
{
    int64_t start_ms = 0;
    return __builtin_sub_overflow(context->watermark_ms, context->self->options.late_reach_ms,
                                  &start_ms)
               ? INT64_MIN
               : start_ms;
}

/* The watermark at which the session has ended. */
static int64_t end_due_ms(const struct sessionize *self, const struct session_slot *slot)
{
    return add_time(session_last_ms(slot), self->options.gap_ms + 1);
}

/* ---- Sessions out of reach ---- */

/*
 * Written sessions that no event can reach any more leave, the oldest first: to be pushed out would
 * be their next fate anyway, so this changes what is stored and nothing else. The newest one stays:
 * rows without a session of their own show it, and ids are made from it.
 */
static void forget_unreachable(const struct row_context *context)
{
    struct session_list *sessions = context->sessions;
    int64_t start_ms = reach_start_ms(context);
    for (uint32_t i = session_list_count(sessions); i-- > 1;) {
        const struct session_slot *slot = &sessions->slots[i];
        if (session_is(slot, SLOT_CHANGED) ||
            add_time(session_last_ms(slot), session_join_gap_ms(&context->self->limits, slot)) >=
                start_ms) {
            break;
        }
        session_list_remove(sessions, i);
    }
}

/* ---- Records ---- */

static void write_record(const struct row_context *context, struct session_slot *slot,
                         enum session_cause cause, uint64_t merged_into, uint64_t place)
{
    slot->revision++;
    if (cause == SESSION_CAUSE_BRIDGED) {
        context->counters->retracted++;
    } else if (slot->revision == 1) {
        context->counters->ended++;
    } else {
        context->counters->revised++;
    }
    session_record_write(context->batch, context->batch->user_key[context->row], slot, cause,
                         merged_into, place);
    session_mark(slot, SLOT_CHANGED, false);
}

/* Before a session is forgotten. */
static void write_crowded(const struct row_context *context, struct session_slot *slot)
{
    if (session_is(slot, SLOT_CHANGED)) {
        context->counters->crowded++;
        write_record(context, slot, SESSION_CAUSE_CROWDED, 0, session_cause_place(slot));
    }
}

/* ---- Timer ---- */

/*
 * A timer that stands early enough stays as it is: setting it again would move it up to the floor
 * each time, and a busy user's other sessions would never end.
 */
static void update_timer(const struct row_context *context)
{
    struct record *record = context->record;
    uint32_t first = session_list_first_due(context->sessions);
    if (first == session_list_count(context->sessions)) {
        record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
        return;
    }
    int64_t due_ms = end_due_ms(context->self, &context->sessions->slots[first]);
    int64_t standing_ms = record->timer_ms[TIMER_SESSIONIZE];
    record_set_timer(record, TIMER_SESSIONIZE, due_ms, context->watermark_ms,
                     context->batch->timer_floor_ms);
    if (standing_ms != TIMER_NONE && standing_ms >= due_ms &&
        standing_ms < record->timer_ms[TIMER_SESSIONIZE]) {
        record->timer_ms[TIMER_SESSIONIZE] = standing_ms;
    }
}

/* ---- Columns ---- */

static void fill_columns(const struct row_context *context, const struct session_slot *slot,
                         unsigned flags, enum session_outcome outcome)
{
    struct event_batch *batch = context->batch;
    uint32_t row = context->row;
    batch->session_id[row] = slot ? slot->id : 0;
    batch->session_flags[row] = (uint8_t)flags;
    batch->session_start_ms[row] = slot ? slot->start_ms : 0;
    batch->session_event_count[row] = slot ? slot->event_count : 0;
    batch->session_outcome[row] = (uint8_t)outcome;
    batch->session_cause[row] = slot ? session_cause_place(slot) : PLACE_UNKNOWN;
}

static void show_newest(const struct row_context *context)
{
    const struct session_slot *newest = &context->sessions->slots[0];
    fill_columns(context, newest->id != 0 ? newest : NULL, 0, OUTCOME_OPEN);
}

/* ---- Rows ---- */

static uint32_t hint_of(uint64_t hash)
{
    uint32_t hint = (uint32_t)(hash >> 32);
    return hash != 0 && hint == 0 ? 1 : hint;
}

static int64_t spend_of(const struct event_batch *batch, uint32_t row)
{
    int64_t pieces = event_has(batch, row, FIELD_QUANTITY) ? batch->quantity[row] : 1;
    int64_t spend = 0;
    return __builtin_mul_overflow(batch->price[row], pieces, &spend) ? INT64_MAX : spend;
}

static struct session_event read_event(const struct row_context *context)
{
    const struct event_batch *batch = context->batch;
    uint32_t row = context->row;
    struct session_event event = {.time_ms = batch->time_ms[row],
                                  .place = batch->place[row],
                                  .item = batch->hash[HASH_ITEM][row],
                                  .type = batch->type[row],
                                  .is_priced = batch->type[row] == EVENT_PURCHASE &&
                                               event_has(batch, row, FIELD_PRICE)};
    if (context->self->options.by_hint) {
        event.hint = hint_of(batch->hash[HASH_SESSION_HINT][row]);
    }
    if (event.is_priced) {
        event.spend = spend_of(batch, row);
        event.currency = event_has(batch, row, FIELD_CURRENCY)
                             ? session_currency_pack(batch->text[FIELD_CURRENCY][row])
                             : 0;
    }
    return event;
}

/*
 * The time alone makes the id unique where it is later than every event of the user's sessions, and
 * lets a state that was lost make the same ids again. Otherwise the number of sessions so far does.
 */
static uint64_t make_id(const struct row_context *context, int64_t time_ms)
{
    struct session_list *sessions = context->sessions;
    bool is_newest = sessions->slots[0].id == 0 || time_ms > session_last_ms(&sessions->slots[0]);
    struct key128 user = context->batch->user_key[context->row];
    uint64_t id = hash64_combine(hash64_combine(user.high, user.low), (uint64_t)time_ms);
    if (!is_newest) {
        id = hash64_combine(id, sessions->opened);
    }
    sessions->opened++;
    return id != 0 ? id : 1;
}

/* Makes room for a session whose last event is at `last_ms`; false: it is itself the oldest. */
static bool make_room(const struct row_context *context, int64_t last_ms)
{
    struct session_list *sessions = context->sessions;
    struct session_slot *oldest = &sessions->slots[SESSIONS_KEPT - 1];
    if (oldest->id == 0) {
        return true;
    }
    if (session_last_ms(oldest) > last_ms) {
        return false;
    }
    write_crowded(context, oldest);
    *oldest = (struct session_slot){0};
    return true;
}

static void open_session(const struct row_context *context, const struct session_event *event)
{
    struct session_slot opened;
    session_open(&opened, make_id(context, event->time_ms), event);
    session_mark(&opened, SLOT_CHANGED, true);
    context->counters->opened++;
    if (!make_room(context, event->time_ms)) {
        write_crowded(context, &opened);
        fill_columns(context, &opened, SESSION_IS_NEW | SESSION_IS_LATE, OUTCOME_OPEN);
        return;
    }
    uint32_t index = session_list_count(context->sessions);
    context->sessions->slots[index] = opened;
    index = session_list_resort(context->sessions, index);
    fill_columns(context, &context->sessions->slots[index],
                 SESSION_IS_NEW | (index > 0 ? (unsigned)SESSION_IS_LATE : 0), OUTCOME_OPEN);
}

/* Merges the session at `index` with a neighbour. Returns the index of the survivor. */
static uint32_t bridge(const struct row_context *context, uint32_t index, uint32_t neighbour,
                       uint64_t cause)
{
    struct session_list *sessions = context->sessions;
    /* Of equal starts the one that stands behind: it has been still for longer. */
    bool is_older = sessions->slots[neighbour].start_ms < sessions->slots[index].start_ms ||
                    (sessions->slots[neighbour].start_ms == sessions->slots[index].start_ms &&
                     neighbour > index);
    uint32_t survivor = is_older ? neighbour : index;
    uint32_t retracted = is_older ? index : neighbour;
    struct session_slot gone = sessions->slots[retracted];
    session_merge(&sessions->slots[survivor], &gone, cause);
    write_record(context, &gone, SESSION_CAUSE_BRIDGED, sessions->slots[survivor].id, cause);
    session_list_remove(sessions, retracted);
    return session_list_resort(sessions, survivor - (retracted < survivor));
}

static void extend_session(const struct row_context *context, uint32_t index,
                           const struct session_event *event)
{
    struct session_list *sessions = context->sessions;
    unsigned flags = 0;
    session_add(&sessions->slots[index], event);
    index = session_list_resort(sessions, index);
    for (uint32_t neighbour = session_list_neighbour(sessions, index, &context->self->limits);
         neighbour < session_list_count(sessions);
         neighbour = session_list_neighbour(sessions, index, &context->self->limits)) {
        index = bridge(context, index, neighbour, event->place);
        flags |= SESSION_BRIDGED;
    }
    struct session_slot *slot = &sessions->slots[index];
    session_mark(slot, SLOT_CHANGED, true);
    if (end_due_ms(context->self, slot) > context->watermark_ms) {
        session_mark(slot, SLOT_ENDED, false);
    }
    flags |= index > 0 ? (unsigned)SESSION_IS_LATE : 0;
    fill_columns(context, slot, flags, OUTCOME_OPEN);
}

static void process_event(const struct row_context *context)
{
    forget_unreachable(context);
    if (!session_counts_type(context->batch->type[context->row])) {
        show_newest(context);
        return;
    }
    struct session_event event = read_event(context);
    if (event.time_ms < reach_start_ms(context)) {
        context->counters->too_late++;
        fill_columns(context, NULL, SESSION_IS_LATE, OUTCOME_OPEN);
        return;
    }
    uint32_t index = session_list_find(context->sessions, &event, &context->self->limits);
    if (index == session_list_count(context->sessions)) {
        open_session(context, &event);
    } else {
        extend_session(context, index, &event);
    }
    update_timer(context);
}

static void process_timer(const struct row_context *context)
{
    struct event_batch *batch = context->batch;
    if (batch->timer_slot[context->row] != TIMER_SESSIONIZE) {
        show_newest(context);
        return;
    }
    if (context->record->timer_ms[TIMER_SESSIONIZE] != batch->time_ms[context->row]) {
        batch->state[context->row] = ROW_VOID;
        return;
    }
    uint32_t index = session_list_first_due(context->sessions);
    if (index == session_list_count(context->sessions)) {
        /* A timer outlives its part where that starts cold, as after an upgrade. */
        batch->state[context->row] = ROW_VOID;
        context->record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
        return;
    }
    struct session_slot *slot = &context->sessions->slots[index];
    bool is_revision = session_is(slot, SLOT_ENDED);
    session_mark(slot, SLOT_ENDED, true);
    write_record(context, slot, is_revision ? SESSION_CAUSE_LATE : SESSION_CAUSE_ENDED, 0,
                 session_cause_place(slot));
    fill_columns(context, slot, is_revision ? SESSION_IS_LATE : SESSION_ENDED,
                 is_revision ? OUTCOME_OPEN : session_outcome_of(slot));
    batch->session_last_ms[context->row] = session_last_ms(slot);
    context->record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
    update_timer(context);
}

static enum status sessionize_process(struct stage *stage, struct event_batch *batch,
                                      struct error *error)
{
    (void)error;
    const struct sessionize *self = container_of(stage, struct sessionize, stage);
    struct row_context context = {
        .self = self,
        .batch = batch,
        .counters = record_part_at(batch->record[ENTITY_TASK][0], self->counter_offset)};
    for (uint32_t i = 0; i < batch->row_count; i++) {
        if (i + RECORD_PREFETCH_ROWS < batch->row_count) {
            record_prefetch(batch->record[ENTITY_USER][batch->order[i + RECORD_PREFETCH_ROWS]],
                            self->offset, sizeof(struct session_list));
        }
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        context.row = row;
        context.record = batch->record[ENTITY_USER][row];
        context.sessions = record_part_at(context.record, self->offset);
        context.watermark_ms = batch->watermark_ms[row];
        if (batch->kind[row] == ROW_TIMER) {
            process_timer(&context);
        } else {
            process_event(&context);
        }
    }
    return STATUS_OK;
}

static void sessionize_destroy(struct stage *stage)
{
    free(container_of(stage, struct sessionize, stage));
}

static uint32_t list_counters(const struct stage *stage, struct record *task,
                              struct stage_counter *ret_counters, uint32_t max)
{
    const struct sessionize_counters *counters = sessionize_counters(stage, task);
    const struct stage_counter all[] = {
        {"sessions", counters->opened - counters->retracted},
        {"sessions_ended", counters->ended},
        {"sessions_revised", counters->revised},
        {"sessions_retracted", counters->retracted},
        {"sessions_crowded", counters->crowded},
        {"sessions_too_late_events", counters->too_late},
    };
    uint32_t count = sizeof(all) / sizeof(all[0]);
    count = count < max ? count : max;
    for (uint32_t i = 0; i < count; i++) {
        ret_counters[i] = all[i];
    }
    return count;
}

static const struct stage_ops sessionize_ops = {
    .info = &sessionize_info,
    .process = sessionize_process,
    .destroy = sessionize_destroy,
    .counters = list_counters,
};

static enum status add_parts(struct sessionize *self, struct record_layout *layout,
                             struct error *error)
{
    const struct record_part user_part = {.name = "sessionize",
                                          .id = PART_SESSIONIZE,
                                          .version = 2,
                                          .kind = ENTITY_USER,
                                          .bytes = sizeof(struct session_list),
                                          .upgrade = session_list_upgrade};
    const struct record_part task_part = {.name = "sessionize counters",
                                          .id = PART_SESSIONIZE,
                                          .version = 1,
                                          .kind = ENTITY_TASK,
                                          .bytes = sizeof(struct sessionize_counters)};
    enum status status = record_layout_add(layout, &user_part, &self->offset, error);
    return status == STATUS_OK ? record_layout_add(layout, &task_part, &self->counter_offset, error)
                               : status;
}

enum status sessionize_create(const struct sessionize_options *options,
                              struct record_layout *layout, struct stage **ret_stage,
                              struct error *error)
{
    enum status status = sessionize_check(options, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct sessionize *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "sessionize: out of memory");
    }
    self->stage.ops = &sessionize_ops;
    self->options = *options;
    self->limits = (struct session_limits){.gap_ms = options->gap_ms,
                                           .hint_gap_ms = options->hint_gap_ms,
                                           .length_ms_max = options->max_length_ms,
                                           .event_count_max = (uint32_t)options->max_events};
    status = add_parts(self, layout, error);
    if (status != STATUS_OK) {
        free(self);
        return status;
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}

const struct sessionize_counters *sessionize_counters(const struct stage *stage,
                                                      struct record *task)
{
    const struct sessionize *self = container_of(stage, struct sessionize, stage);
    return record_part_at(task, self->counter_offset);
}

int64_t sessionize_timer_floor_ms(const struct sessionize_options *options)
{
    return options->gap_ms;
}
