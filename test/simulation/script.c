#include "test/simulation/script.h"

#include <stdio.h>

#include "pipeline/run/partition_time.h"
#include "pipeline/stage.h" /* container_of */
#include "test/fakes/random.h"

#define START_MS INT64_C(1700000000000)
#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* ---- making it ---- */

static int64_t pick_step(struct random *random)
{
    uint32_t kind = random_below(random, 100);
    int64_t most = kind < 40   ? 5 * SECOND_MS
                   : kind < 80 ? 4 * MINUTE_MS
                   : kind < 95 ? HOUR_MS
                   : kind < 99 ? 8 * HOUR_MS
                               : 9 * DAY_MS;
    return (int64_t)random_below(random, (uint32_t)most);
}

/* Where in time the event stands, seen from the newest one. */
static int64_t pick_delay(struct random *random, const struct script *script)
{
    uint32_t kind = random_below(random, 100);
    if (kind < 70) {
        return 0;
    }
    int64_t most = kind < 85   ? script->allowed_lateness_ms + 1
                   : kind < 95 ? 20 * MINUTE_MS
                               : 6 * HOUR_MS;
    return (int64_t)random_below(random, (uint32_t)most);
}

static enum event_type pick_type(struct random *random)
{
    static const enum event_type types[] = {
        EVENT_PAGE_VIEW,    EVENT_PRODUCT_VIEW,       EVENT_PRODUCT_VIEW, EVENT_SEARCH,
        EVENT_ADD_TO_CART,  EVENT_ADD_TO_CART,        EVENT_ADD_TO_CART,  EVENT_REMOVE_FROM_CART,
        EVENT_CHECKOUT,     EVENT_PURCHASE,           EVENT_PURCHASE,     EVENT_PAYMENT_FAILED,
        EVENT_LOGIN_FAILED, EVENT_PROMOTION_SHOWN,    EVENT_REFUND,       EVENT_LABEL,
        EVENT_PRODUCT_VIEW, EVENT_PROMOTION_ACCEPTED, EVENT_ERASE};
    return types[random_below(random, sizeof(types) / sizeof(types[0]))];
}

/* PREFIX and a small number, or nothing. */
static void pick_word(struct random *random, uint32_t percent, char prefix, uint32_t count,
                      char *ret_word, size_t size)
{
    ret_word[0] = '\0';
    uint32_t number = random_below(random, count);
    if (random_below(random, 100) < percent) {
        (void)snprintf(ret_word, size, "%c%u", prefix, number);
    }
}

static void make_event(struct script *script, struct random *random, uint32_t users,
                       int64_t newest_ms, struct script_event *event)
{
    uint32_t number = script->event_count;
    *event = (struct script_event){.result = INPUT_EVENT};
    (void)snprintf(event->raw, sizeof(event->raw), "record %u", number);
    event->time_ms = newest_ms - pick_delay(random, script);
    event->type = (uint8_t)pick_type(random);
    event->price = random_below(random, 4) > 0 ? 1000000 * (1 + random_below(random, 300)) : 0;
    event->quantity = random_below(random, 3);
    (void)snprintf(event->user, sizeof(event->user), "u%u", random_below(random, users));
    pick_word(random, 60, 'd', users, event->device, sizeof(event->device));
    pick_word(random, 30, 'c', users, event->card, sizeof(event->card));
    pick_word(random, 30, 't', 4, event->terminal, sizeof(event->terminal));
    pick_word(random, 50, 'a', 3, event->address, sizeof(event->address));
    pick_word(random, 70, 'i', 9, event->item, sizeof(event->item));
    pick_word(random, 30, 'o', 20, event->order, sizeof(event->order));
    if (random_below(random, 10) > 0) {
        (void)snprintf(event->id, sizeof(event->id), "e%u", number);
    }
    /* The first one stands, so that there is a watermark for the ticks. */
    uint32_t kind = number == 0 ? 99 : random_below(random, 100);
    if (kind < 5) {
        event->result = INPUT_REJECTED;
        event->reason = kind < 3 ? REJECTION_NOT_PARSED : REJECTION_NO_TYPE;
    } else if (kind < 8) {
        event->result = INPUT_SKIPPED;
    } else if (kind < 10) {
        event->time_ms = newest_ms + script->max_ahead_ms + 1 + random_below(random, 1000);
    } else if (kind < 18) {
        *event = script->events[random_below(random, number)];
    }
}

/* Some of the first events come from clocks that are years off. */
static void make_wrong_clocks(struct script *script, struct random *random)
{
    if (random_below(random, 4) > 0) {
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        int64_t years = (int64_t)random_below(random, 5) - 2;
        script->events[i].time_ms += years * 365 * DAY_MS;
    }
}

/* Each record is of one of a few partitions, and says what time it is there. */
static void make_origins(struct script *script)
{
    struct random random = {.state = script->seed ^ UINT64_C(0x6f726967696e73)};
    struct partition_time times[4] = {{0}};
    if (random_below(&random, 3) > 0) {
        return;
    }
    script->tick_count = 0;
    script->origin_count = 1 + random_below(&random, 4);
    for (uint32_t i = 0; i < script->event_count; i++) {
        struct script_event *event = &script->events[i];
        uint32_t partition = random_below(&random, script->origin_count);
        struct partition_time *time = &times[partition];
        bool is_event = event->result == INPUT_EVENT;
        bool is_ahead =
            is_event && partition_time_is_ahead(time, event->time_ms, script->max_ahead_ms);
        if (is_event && !is_ahead) {
            partition_time_move(time, event->time_ms, script->max_ahead_ms);
        }
        bool is_idle = !is_event && random_below(&random, 2) > 0;
        bool is_known = time->is_started && !time->is_provisional;
        event->origin = (struct input_origin){
            .is_known = true,
            .is_ahead = is_ahead,
            .partition = partition,
            .mark_ms = is_idle    ? ORIGIN_IDLE
                       : is_known ? time->newest_ms
                                  : ORIGIN_UNKNOWN,
        };
    }
}

static void make_settings(struct script *script, struct random *random, uint32_t variants)
{
    static const int64_t lateness[] = {0, 5 * SECOND_MS, 2 * MINUTE_MS, HOUR_MS};
    static const int64_t retention[] = {0, 0, 2 * HOUR_MS, DAY_MS};
    script->variant = random_below(random, variants);
    script->allowed_lateness_ms = lateness[random_below(random, 4)];
    script->retention_ms = retention[random_below(random, 4)];
    script->max_ahead_ms = 10 * DAY_MS;
    script->scored_events_share = random_below(random, 3) == 0 ? 0 : 0.2;
    script->diverts_late = random_below(random, 3) == 0;
}

void script_make(struct script *script, uint64_t seed, uint32_t variants)
{
    struct random random = {.state = seed};
    *script = (struct script){.seed = seed};
    make_settings(script, &random, variants);
    uint32_t count = 40 + random_below(&random, SCRIPT_EVENTS_MAX - 40);
    if (random_below(&random, 3) > 0) {
        count = 40 + count % 80; /* Small worlds fail sooner. */
    }
    uint32_t users = 1 + random_below(&random, random_below(&random, 2) ? 6 : 40);
    int64_t newest_ms = START_MS + random_below(&random, 1u << 30);
    for (; script->event_count < count; script->event_count++) {
        newest_ms += pick_step(&random);
        make_event(script, &random, users, newest_ms, &script->events[script->event_count]);
    }
    make_wrong_clocks(script, &random);
    uint64_t ordinal = 1;
    uint32_t ticks = random_below(&random, SCRIPT_TICKS_MAX + 1);
    while (script->tick_count < ticks) {
        ordinal += 1 + random_below(&random, 40);
        if (ordinal > count) {
            break;
        }
        script->ticks[script->tick_count++] =
            (struct script_tick){.ordinal = ordinal, .by_ms = 1 + pick_step(&random)};
    }
    make_origins(script);
}

/* ---- playing it ---- */

static struct scripted_input *self_of(struct input *input)
{
    return container_of(input, struct scripted_input, input);
}

static struct input_position position_of(uint64_t ordinal)
{
    return (struct input_position){.ordinal = ordinal, .bytes = ordinal / 7, .skip = ordinal % 7};
}

static bool counts_down(uint64_t *calls)
{
    return *calls > 0 && --*calls == 0;
}

const struct script_tick *scripted_input_tick(const struct scripted_input *input)
{
    const struct script *script = input->script;
    if (input->ticks_made < script->tick_count &&
        script->ticks[input->ticks_made].ordinal <= input->next) {
        return &script->ticks[input->ticks_made];
    }
    return NULL;
}

static void set_text(struct event_batch *batch, uint32_t row, enum event_field field,
                     const char *word)
{
    if (word[0]) {
        batch->text[field][row] = text_of(word);
        batch->present[row] |= UINT64_C(1) << field;
    }
}

static void set_number(struct event_batch *batch, uint32_t row, enum event_field field,
                       int64_t *column, int64_t value)
{
    if (value > 0) {
        column[row] = value;
        batch->present[row] |= UINT64_C(1) << field;
    }
}

static void fill_row(struct event_batch *batch, uint32_t row, const struct script_event *event)
{
    batch->present[row] = UINT64_C(1) << FIELD_EVENT_TIME;
    batch->time_ms[row] = event->time_ms;
    batch->type[row] = event->type;
    batch->attributes[row] = (struct attribute_list){0};
    set_text(batch, row, FIELD_TYPE_WORD, event_types[event->type].name);
    set_text(batch, row, FIELD_EVENT_ID, event->id);
    set_text(batch, row, FIELD_USER_ID, event->user);
    set_text(batch, row, FIELD_DEVICE_ID, event->device);
    set_text(batch, row, FIELD_INSTRUMENT, event->card);
    set_text(batch, row, FIELD_MERCHANT, event->terminal);
    set_text(batch, row, FIELD_IP, event->address);
    set_text(batch, row, FIELD_ITEM, event->item);
    set_text(batch, row, FIELD_ORDER_ID, event->order);
    set_text(batch, row, FIELD_CURRENCY, "EUR");
    set_number(batch, row, FIELD_PRICE, batch->price, event->price);
    set_number(batch, row, FIELD_QUANTITY, batch->quantity, event->quantity);
    if (event->type == EVENT_LABEL) {
        set_text(batch, row, FIELD_LABEL_VALUE, "chargeback");
    }
}

static enum status scripted_next(struct input *input, struct event_batch *batch, uint32_t row,
                                 struct input_item *ret_item, struct error *error)
{
    struct scripted_input *self = self_of(input);
    const struct script *script = self->script;
    if (counts_down(&self->fails_in)) {
        self->has_failed = true;
        return error_set(error, STATUS_FATAL, "input: made to fail");
    }
    if (counts_down(&self->waits_in)) {
        self->has_waited = true;
        ret_item->result = INPUT_WAIT;
        return STATUS_OK;
    }
    if (scripted_input_tick(self)) {
        ret_item->result = INPUT_WAIT;
        return STATUS_OK;
    }
    if (self->next == script->event_count) {
        ret_item->result = INPUT_END;
        return STATUS_OK;
    }
    const struct script_event *event = &script->events[self->next];
    ret_item->result = event->result;
    ret_item->raw =
        (struct raw_record){.bytes = text_of(event->raw), .position = position_of(self->next)};
    ret_item->origin = event->origin;
    if (event->origin.is_known) { /* From one of three topics, each of which begins at some time. */
        static const char *const topics[] = {"clicks", "carts", "orders"};
        ret_item->source = text_of(topics[self->next * event->origin.partition % 3]);
        ret_item->offset = self->next;
    }
    self->next++;
    if (event->result == INPUT_EVENT) {
        fill_row(batch, row, event);
    } else if (event->result == INPUT_REJECTED) {
        ret_item->rejection.reason = event->reason;
        (void)snprintf(ret_item->rejection.detail, sizeof(ret_item->rejection.detail),
                       "made to be rejected");
    }
    return STATUS_OK;
}

static void scripted_unread(struct input *input)
{
    struct scripted_input *self = self_of(input);
    assert(self->next > 0);
    self->next--;
}

static struct input_position scripted_position(const struct input *input)
{
    const struct scripted_input *self = container_of(input, const struct scripted_input, input);
    return position_of(self->next);
}

static enum status scripted_seek(struct input *input, const struct input_position *position,
                                 struct error *error)
{
    struct scripted_input *self = self_of(input);
    struct input_position expected = position_of(position->ordinal);
    if (position->ordinal > self->script->event_count || position->bytes != expected.bytes ||
        position->skip != expected.skip) {
        return error_set(error, STATUS_FATAL, "input: a position that it never gave");
    }
    if (self->seeks++ == 0 || !self->ignores_seeks) {
        self->next = position->ordinal;
    }
    return STATUS_OK;
}

static void scripted_release(struct input *input)
{
    (void)input;
}

static double scripted_progress(const struct input *input)
{
    (void)input;
    return -1;
}

static const struct input_ops scripted_ops = {
    .next = scripted_next,
    .unread = scripted_unread,
    .position = scripted_position,
    .seek = scripted_seek,
    .release = scripted_release,
    .progress = scripted_progress,
    .close = scripted_release,
};

void scripted_input_init(struct scripted_input *input, const struct script *script)
{
    *input = (struct scripted_input){.input.ops = &scripted_ops, .script = script};
}
