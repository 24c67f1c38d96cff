#include "operators/intent_state.h"

#include <stdlib.h>
#include <string.h>

#include "operators/scored_rows.h"
#include "pipeline/limits.h"

#define TABLE_SLOTS (4u * BATCH_ROWS_MAX) /* A power of two. */
static_assert((TABLE_SLOTS & (TABLE_SLOTS - 1)) == 0, "slots are found by a mask");

/* The part of a record: whose session the state behind it is of. */
struct intent_part {
    uint64_t session_id;
    int64_t session_start_ms;
    float state[];
};
static_assert(sizeof(struct intent_part) == 16, "written to the store as it is");

/* How often a user came up in the batch so far. */
struct user_slot {
    const struct record *record;
    uint32_t batch; /* Another number than the batch's own: free. */
    uint32_t count;
};

struct intent_state {
    struct pack_scorer *scorer;         /* Borrowed. */
    uint32_t offset;                    /* Of the part. */
    uint32_t bytes;                     /* Of a state. */
    unsigned char *before;              /* [BATCH_ROWS_MAX][bytes]. Owned, as is the next one. */
    unsigned char *aside;               /* The same: states of rows that leave no trace. */
    uint32_t rows[BATCH_ROWS_MAX];      /* Live ones, wave after wave. */
    uint16_t waves[BATCH_ROWS_MAX];     /* By row. */
    uint32_t first[BATCH_ROWS_MAX + 2]; /* Of a wave's rows. */
    uint32_t next[BATCH_ROWS_MAX];      /* The same, as they are put there. */
    void *states[BATCH_ROWS_MAX];
    float logits[BATCH_ROWS_MAX];
    uint32_t batch; /* Its number, so that nothing is cleared. */
    struct user_slot users[TABLE_SLOTS];
};

static enum status add_part(struct intent_state *self, enum record_part_id part_id,
                            struct record_layout *layout, struct error *error)
{
    const struct model_pack *pack = pack_scorer_pack(self->scorer);
    const struct record_part part = {
        .name = "intent",
        .id = (uint16_t)part_id,
        .version = 1,
        .kind = ENTITY_USER,
        .is_model = 1,
        .bytes = ((uint32_t)sizeof(struct intent_part) + self->bytes + 7u) & ~7u,
        .writer_hash = pack->hash,
    };
    enum status status = record_layout_add(layout, &part, &self->offset, error);
    return status == STATUS_OK ? status : error_prefix(error, status, "pack %s", pack->name);
}

enum status intent_state_create(struct pack_scorer *scorer, enum record_part_id part_id,
                                struct record_layout *layout, struct intent_state **ret_state,
                                struct error *error)
{
    struct intent_state *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "predict_intent: out of memory");
    }
    self->scorer = scorer;
    self->bytes = pack_scorer_state_bytes(scorer);
    self->before = calloc(BATCH_ROWS_MAX, self->bytes);
    self->aside = calloc(BATCH_ROWS_MAX, self->bytes);
    enum status status = self->before && self->aside
                             ? add_part(self, part_id, layout, error)
                             : error_set(error, STATUS_FATAL, "predict_intent: out of memory");
    if (status != STATUS_OK) {
        intent_state_destroy(self);
        return status;
    }
    *ret_state = self;
    return STATUS_OK;
}

void intent_state_destroy(struct intent_state *self)
{
    if (self) {
        free(self->before);
        free(self->aside);
        free(self);
    }
}

const void *intent_state_before(const struct intent_state *self, uint32_t row)
{
    return self->before + (size_t)row * self->bytes;
}

/* ---- Waves ---- */

/* How many rows of the user came before in this batch. */
static uint32_t count_user(struct intent_state *self, const struct record *record)
{
    uint64_t mixed = (uint64_t)(uintptr_t)record * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(mixed >> 40) & (TABLE_SLOTS - 1);
    while (self->users[slot].batch == self->batch && self->users[slot].record != record) {
        slot = (slot + 1) & (TABLE_SLOTS - 1);
    }
    if (self->users[slot].batch != self->batch) {
        self->users[slot] = (struct user_slot){.record = record, .batch = self->batch};
    }
    return self->users[slot].count++;
}

/* Puts the scored rows wave after wave, those of a wave in order; returns the number of waves. */
static uint32_t make_waves(struct intent_state *self, const struct event_batch *batch,
                           bool spares_session_ends)
{
    uint32_t waves = 0;
    if (++self->batch == 0) { /* Numbers begin anew. */
        memset(self->users, 0, sizeof(self->users));
        self->batch = 1;
    }
    self->first[0] = 0;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (is_scored_row(batch, row, spares_session_ends)) {
            uint32_t wave = count_user(self, batch->record[ENTITY_USER][row]);
            self->waves[row] = (uint16_t)wave;
            if (wave == waves) { /* It follows the one before. */
                self->first[++waves] = 0;
            }
            self->first[wave + 1]++;
        }
    }
    for (uint32_t wave = 0; wave < waves; wave++) {
        self->first[wave + 1] += self->first[wave];
    }
    memcpy(self->next, self->first, waves * sizeof(*self->next));
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (is_scored_row(batch, row, spares_session_ends)) {
            self->rows[self->next[self->waves[row]]++] = row;
        }
    }
    return waves;
}

/* ---- Scoring ---- */

/* The state that the row steps, as it stands before. */
static void *choose_state(struct intent_state *self, const struct event_batch *batch, uint32_t row)
{
    struct record *record = batch->record[ENTITY_USER][row];
    struct intent_part *part = record_part_at(record, self->offset);
    unsigned char *before = self->before + (size_t)row * self->bytes;
    unsigned char *aside = self->aside + (size_t)row * self->bytes;
    uint64_t session = batch->session_id[row];
    bool is_event = batch->kind[row] == ROW_EVENT && batch->type[row] != EVENT_LABEL;
    bool is_known = session != 0 && session == part->session_id;
    bool is_newer = session != 0 && (part->session_id == 0 ||
                                     batch->session_start_ms[row] >= part->session_start_ms);
    if (is_event && !is_known && is_newer) {
        memset(part->state, 0, self->bytes);
        part->session_id = session;
        is_known = true;
    }
    if (is_event && is_known) {
        part->session_start_ms = batch->session_start_ms[row];
        memcpy(before, part->state, self->bytes);
        return part->state;
    }
    if (is_event) {
        memset(before, 0, self->bytes);
    } else {
        memcpy(before, part->state, self->bytes);
    }
    memcpy(aside, before, self->bytes);
    return aside;
}

enum status intent_state_score(struct intent_state *self, const struct event_batch *batch,
                               bool spares_session_ends, float *logits, struct error *error)
{
    uint32_t waves = make_waves(self, batch, spares_session_ends);
    for (uint32_t wave = 0; wave < waves; wave++) {
        const uint32_t *rows = self->rows + self->first[wave];
        uint32_t count = self->first[wave + 1] - self->first[wave];
        for (uint32_t i = 0; i < count; i++) {
            self->states[i] = choose_state(self, batch, rows[i]);
        }
        enum status status =
            pack_scorer_step(self->scorer, batch, rows, count, self->states, self->logits, error);
        if (status != STATUS_OK) {
            return status;
        }
        for (uint32_t i = 0; i < count; i++) {
            logits[rows[i]] = self->logits[i];
        }
    }
    return STATUS_OK;
}
