#include "pipeline/event/event_batch.h"

#include <math.h>
#include <stdlib.h>

const char *const score_names[SCORE_KIND_COUNT] = {"fraud", "purchase", "abandon", "anomaly"};

#define ARENA_BLOCK_BYTES (1u << 20)

/* One column of BATCH_ROWS_MAX elements; `failed` is kept so that a caller checks once. */
static void *column_new(size_t element_bytes, bool *failed)
{
    /* Cache lines of their own, so that columns never share one. */
    void *column = aligned_alloc(64, element_bytes * BATCH_ROWS_MAX);
    if (column) {
        memset(column, 0, element_bytes * BATCH_ROWS_MAX);
    } else {
        *failed = true;
    }
    return column;
}

#define COLUMN(batch, member) (batch)->member = column_new(sizeof(*(batch)->member), &failed)

enum status event_batch_init(struct event_batch *batch, uint32_t feature_count, struct error *error)
{
    assert(feature_count <= FEATURES_MAX);
    bool failed = false;
    *batch = (struct event_batch){.feature_count = feature_count, .places.partition = ""};
    batch->feature_stride = (feature_count + 15u) & ~15u; /* Rows begin on cache lines. */
    arena_init(&batch->arena, ARENA_BLOCK_BYTES);

    COLUMN(batch, order);
    COLUMN(batch, time_ms);
    COLUMN(batch, type);
    COLUMN(batch, present);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        COLUMN(batch, text[field]);
    }
    COLUMN(batch, price);
    COLUMN(batch, quantity);
    COLUMN(batch, stock);
    COLUMN(batch, order_line);
    COLUMN(batch, attributes);
    COLUMN(batch, ordinal);
    COLUMN(batch, carried);
    COLUMN(batch, place);
    COLUMN(batch, kind);
    COLUMN(batch, state);
    COLUMN(batch, timer_slot);
    COLUMN(batch, is_late);
    COLUMN(batch, watermark_ms);
    COLUMN(batch, user_key);
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        COLUMN(batch, record[kind]);
    }
    for (int field = 0; field < HASHED_FIELD_COUNT; field++) {
        COLUMN(batch, hash[field]);
    }
    COLUMN(batch, session_id);
    COLUMN(batch, session_flags);
    COLUMN(batch, session_start_ms);
    COLUMN(batch, session_event_count);
    COLUMN(batch, session_outcome);
    COLUMN(batch, session_last_ms);
    COLUMN(batch, session_cause);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        COLUMN(batch, score[kind]);
        COLUMN(batch, score_logit[kind]);
    }
    for (int row = 0; !failed && row < (int)BATCH_ROWS_MAX; row++) {
        batch->score[SCORE_ANOMALY][row] = NAN; /* Where no detector is chosen. */
        batch->score_logit[SCORE_ANOMALY][row] = NAN;
    }
    for (int part = 0; part < FRAUD_PART_COUNT; part++) {
        COLUMN(batch, fraud_logit[part]);
    }
    if (feature_count > 0) {
        batch->features = column_new(sizeof(float) * batch->feature_stride, &failed);
    }
    if (failed) {
        event_batch_release(batch);
        return error_set(error, STATUS_FATAL, "batch: out of memory");
    }
    return STATUS_OK;
}

void event_batch_reset(struct event_batch *batch)
{
    batch->row_count = 0;
    batch->event_count = 0;
    memset(batch->explainer, 0, sizeof(batch->explainer));
    memset(batch->classes, 0, sizeof(batch->classes));
    arena_reset(&batch->arena);
}

void event_batch_release(struct event_batch *batch)
{
    free(batch->order);
    free(batch->time_ms);
    free(batch->type);
    free(batch->present);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        free(batch->text[field]);
    }
    free(batch->price);
    free(batch->quantity);
    free(batch->stock);
    free(batch->order_line);
    free(batch->attributes);
    free(batch->ordinal);
    free(batch->carried);
    free(batch->place);
    free(batch->kind);
    free(batch->state);
    free(batch->timer_slot);
    free(batch->is_late);
    free(batch->watermark_ms);
    free(batch->user_key);
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        free(batch->record[kind]);
    }
    for (int field = 0; field < HASHED_FIELD_COUNT; field++) {
        free(batch->hash[field]);
    }
    free(batch->session_id);
    free(batch->session_flags);
    free(batch->session_start_ms);
    free(batch->session_event_count);
    free(batch->session_outcome);
    free(batch->session_last_ms);
    free(batch->session_cause);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        free(batch->score[kind]);
        free(batch->score_logit[kind]);
    }
    for (int part = 0; part < FRAUD_PART_COUNT; part++) {
        free(batch->fraud_logit[part]);
    }
    free(batch->features);
    arena_release(&batch->arena);
    *batch = (struct event_batch){0};
}
