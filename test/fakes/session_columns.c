#include "test/fakes/session_columns.h"

#include <assert.h>
#include <stdlib.h>

#include "pipeline/event/event_batch.h"

#define FORGET_MS INT64_C(259200000)

struct session_columns {
    struct stage stage;
    uint32_t offset;
};

struct part {
    uint64_t id;
    int64_t newest_ms;
    int64_t start_ms;
    uint32_t events;
    uint32_t openings;
};

static bool is_sessionless(uint8_t type)
{
    return type == EVENT_LABEL || type == EVENT_IDENTITY_LINK || type == EVENT_PRICE_CHANGE ||
           type == EVENT_STOCK_CHANGE || type == EVENT_ERASE;
}

static void write_columns(struct event_batch *batch, uint32_t row, const struct part *part,
                          uint8_t flags)
{
    batch->session_id[row] = part->id;
    batch->session_flags[row] = flags;
    batch->session_start_ms[row] = part->start_ms;
    batch->session_event_count[row] = part->events;
    batch->session_outcome[row] = flags & SESSION_ENDED ? OUTCOME_BROWSED : OUTCOME_OPEN;
}

static void place_event(struct event_batch *batch, uint32_t row, struct part *part)
{
    int64_t time_ms = batch->time_ms[row];
    bool is_bridge = part->events > 0 && batch->ordinal[row] % 61 == 7;
    if (is_sessionless(batch->type[row]) || (part->id && time_ms < part->newest_ms - FORGET_MS)) {
        write_columns(batch, row, &(struct part){0}, 0);
    } else if (part->id && !is_bridge && time_ms < part->start_ms - SESSION_COLUMNS_GAP_MS) {
        struct part older = {.id = (uint64_t)time_ms | 1u << 30, .start_ms = time_ms, .events = 1};
        uint8_t is_new = time_ms % 3 ? SESSION_IS_NEW : 0;
        write_columns(batch, row, &older, (uint8_t)(SESSION_IS_LATE | is_new));
    } else if (part->id && (is_bridge || time_ms <= part->newest_ms + SESSION_COLUMNS_GAP_MS)) {
        part->id += is_bridge ? 1000003 : 0;
        part->start_ms = time_ms < part->start_ms ? time_ms : part->start_ms;
        part->events++;
        write_columns(batch, row, part, is_bridge ? SESSION_BRIDGED : 0);
    } else {
        part->openings++;
        part->id = batch->user_key[row].low + part->openings;
        part->start_ms = time_ms;
        part->events = 1;
        write_columns(batch, row, part, SESSION_IS_NEW);
    }
    part->newest_ms = time_ms > part->newest_ms ? time_ms : part->newest_ms;
}

static void place_timer(struct event_batch *batch, uint32_t row, struct record *record,
                        const struct part *part)
{
    if (record->timer_ms[TIMER_SESSIONIZE] != batch->time_ms[row]) {
        batch->state[row] = ROW_VOID;
        return;
    }
    write_columns(batch, row, part, SESSION_ENDED);
    record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
}

static enum status session_columns_process(struct stage *stage, struct event_batch *batch,
                                           struct error *error)
{
    (void)error;
    const struct session_columns *self = container_of(stage, struct session_columns, stage);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        struct record *record = batch->record[ENTITY_USER][row];
        struct part *part = record_part_at(record, self->offset);
        if (batch->kind[row] == ROW_TIMER) {
            place_timer(batch, row, record, part);
            continue;
        }
        struct text id = batch->text[FIELD_EVENT_ID][row];
        if (event_has(batch, row, FIELD_EVENT_ID) && id.length > 3 &&
            memcmp(id.data, "dup", 3) == 0) {
            batch->state[row] = ROW_DUPLICATE;
            continue;
        }
        if (batch->type[row] == EVENT_LABEL && event_has(batch, row, FIELD_TEXT)) {
            batch->text[FIELD_LABEL_VALUE][row] = batch->text[FIELD_TEXT][row];
            batch->present[row] |= UINT64_C(1) << FIELD_LABEL_VALUE;
        }
        place_event(batch, row, part);
        record_set_timer(record, TIMER_SESSIONIZE, part->newest_ms + SESSION_COLUMNS_GAP_MS,
                         batch->watermark_ms[row], batch->timer_floor_ms);
    }
    return STATUS_OK;
}

static void session_columns_destroy(struct stage *stage)
{
    free(container_of(stage, struct session_columns, stage));
}

static const struct stage_info info = {.name = "session_columns"};
static const struct stage_ops ops = {
    .info = &info, .process = session_columns_process, .destroy = session_columns_destroy};

struct stage *session_columns_create(struct record_layout *layout)
{
    struct session_columns *self = calloc(1, sizeof(*self));
    assert(self);
    self->stage.ops = &ops;
    const struct record_part part = {.name = "session_columns",
                                     .id = PART_SESSIONIZE,
                                     .version = 1,
                                     .kind = ENTITY_USER,
                                     .bytes = sizeof(struct part)};
    enum status status = record_layout_add(layout, &part, &self->offset, NULL);
    assert(status == STATUS_OK);
    return &self->stage;
}
