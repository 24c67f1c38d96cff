#include "pipeline/run/step_counts.h"

#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/run/runner.h"
#include "pipeline/stage.h"

static_assert(EVENT_TYPE_COUNT <= MARKOV_STATES_MAX, "a state for each type");

struct step_session {
    int64_t last_ms;
    struct markov_history history;
};

struct step_counter {
    struct stage stage;
    struct markov_counts *counts;
    struct step_totals *totals;
    int64_t until_ms;
    struct key_map numbers; /* Of sessions. */
    struct step_session *sessions;
    uint32_t capacity;
};

static struct step_session *find_session(struct step_counter *self, uint64_t id)
{
    uint32_t number = key_map_add(&self->numbers, id);
    if (number == KEY_MAP_NONE) {
        return NULL;
    }
    if (number >= self->capacity) {
        uint32_t capacity = self->capacity ? self->capacity * 2 : 1024;
        struct step_session *larger =
            realloc(self->sessions, (size_t)capacity * sizeof(*self->sessions));
        if (!larger) {
            return NULL;
        }
        memset(larger + self->capacity, 0, (capacity - self->capacity) * sizeof(*larger));
        self->sessions = larger;
        self->capacity = capacity;
    }
    return &self->sessions[number];
}

static enum status count_event(struct step_counter *self, const struct event_batch *batch,
                               uint32_t row, struct error *error)
{
    struct step_totals *totals = self->totals;
    int64_t time_ms = batch->time_ms[row];
    struct step_session *session = find_session(self, batch->session_id[row]);
    if (!session) {
        return error_set(error, STATUS_FATAL, "steps: out of memory");
    }
    totals->first_ms = totals->events && totals->first_ms < time_ms ? totals->first_ms : time_ms;
    totals->last_ms = totals->events && totals->last_ms > time_ms ? totals->last_ms : time_ms;
    totals->events++;
    bool is_new = session->history.last[0] == 0;
    if (!is_new && time_ms < session->last_ms) {
        return STATUS_OK;
    }
    if (is_new) {
        totals->sessions++;
    } else {
        markov_counts_add(self->counts, &session->history, batch->type[row], 1);
    }
    session->last_ms = time_ms;
    markov_history_add(&session->history, batch->type[row]);
    return STATUS_OK;
}

static bool is_counted(const struct step_counter *self, const struct event_batch *batch,
                       uint32_t row)
{
    switch (batch->type[row]) { /* What says nothing of a shopper's presence is in no session. */
    case EVENT_LABEL:
    case EVENT_IDENTITY_LINK:
    case EVENT_PRICE_CHANGE:
    case EVENT_STOCK_CHANGE:
    case EVENT_ERASE:
        return false;
    default:
        return batch->state[row] == ROW_LIVE && batch->kind[row] == ROW_EVENT &&
               batch->session_id[row] != 0 && batch->time_ms[row] < self->until_ms;
    }
}

static enum status count_rows(struct stage *stage, struct event_batch *batch, struct error *error)
{
    struct step_counter *self = container_of(stage, struct step_counter, stage);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (is_counted(self, batch, row)) {
            status = count_event(self, batch, row, error);
        }
    }
    return status;
}

static void destroy_nothing(struct stage *stage)
{
    (void)stage; /* The counter stands on its maker's stack. */
}

static const struct stage_info info = {
    .name = "step_counts", .doc = "Counts the steps of sessions", .reads = "all", .writes = ""};
static const struct stage_ops ops = {
    .info = &info, .process = count_rows, .destroy = destroy_nothing};

static void count_ends(struct step_counter *self, int64_t gap_ms)
{
    for (uint32_t i = 0; i < self->capacity; i++) {
        const struct step_session *session = &self->sessions[i];
        if (session->history.last[0] > 0 && session->last_ms <= self->totals->last_ms - gap_ms) {
            markov_counts_add(self->counts, &session->history, EVENT_TYPE_COUNT, 1);
        }
    }
}

enum status step_counts_make(const struct config *config, const char *const *files,
                             uint32_t file_count, int64_t until_ms, int64_t gap_ms,
                             struct markov_counts *ret_counts, struct step_totals *ret_totals,
                             struct error *error)
{
    struct step_counter self = {
        .stage = {.ops = &ops}, .counts = ret_counts, .totals = ret_totals, .until_ms = until_ms};
    *ret_totals = (struct step_totals){0};
    enum status status = markov_counts_init(ret_counts, EVENT_TYPE_COUNT)
                             ? runner_replay(config, files, file_count, &self.stage, error)
                             : error_set(error, STATUS_FATAL, "steps: out of memory");
    if (status == STATUS_OK && ret_totals->events == ret_totals->sessions) {
        status = error_set(error, STATUS_INVALID,
                           "steps: none of %llu events follows another one in its session",
                           (unsigned long long)ret_totals->events);
    }
    if (status == STATUS_OK) {
        count_ends(&self, gap_ms);
    } else {
        markov_counts_release(ret_counts);
    }
    key_map_release(&self.numbers);
    free(self.sessions);
    return status;
}
