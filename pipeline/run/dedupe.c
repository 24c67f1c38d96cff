#include "pipeline/run/dedupe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/event/event_batch.h"

/*
 * Ticks are kept in 16 bits. An entry is at most one horizon old when its record is left, and what
 * is older than a horizon is dropped when the record is next touched; a horizon of up to 2^14 ticks
 * thus never comes near to wrapping round.
 */
#define HORIZON_TICKS_MAX 16384
#define TICK_BITS 16
#define TICK_MASK UINT64_C(0xffff)

struct dedupe_part {
    int64_t touched_tick;         /* Clock of the last accepted event with an id. */
    uint64_t entries[DEDUPE_IDS]; /* Newest first: 48 bits of hash, 16 of the
                                     tick; 0: free. */
};
static_assert(sizeof(struct dedupe_part) == 200, "stored as it is");
#define ENTITY_PART_BYTES (8u + 8u * DEDUPE_ENTITY_IDS) /* The same with fewer entries. */
/* The number of entries is constant wherever these are used: their loops are made for it. */
#define FOR_COUNT __attribute__((always_inline)) static inline
static_assert(sizeof(struct dedupe_counters) % 8 == 0, "stored as it is");

struct dedupe {
    struct stage stage;
    struct dedupe_options options;
    int64_t tick_ms;
    int64_t horizon_ticks; /* At most HORIZON_TICKS_MAX. */
    enum entity_kind kind;
    uint32_t offset;         /* In its record. */
    uint32_t counter_offset; /* In the task's record. */
};

const struct stage_info dedupe_info = {
    .name = "dedupe",
    .doc = "Marks events that the same user has sent before.",
    .reads = "hash(event id), watermark_ms, state",
    .writes = "state (duplicate)",
};

static const char *const mode_names[] = {"none", "event_id", "content", NULL};

static const struct setting dedupe_settings[] = {
    {.name = "by",
     .type = SETTING_CHOICE,
     .offset = offsetof(struct dedupe_options, mode),
     .fallback = "event_id",
     .choices = mode_names,
     .doc = "What makes two events of a user the same: event_id, content (every mapped field), or "
            "none to keep all."},
    {.name = "horizon",
     .type = SETTING_DURATION,
     .offset = offsetof(struct dedupe_options, horizon_ms),
     .fallback = "1h",
     .min = 1000,
     .max = 30.0 * 86400000,
     .doc = "How long, on the partition's watermark, an event is remembered; the last 24 of a user "
            "are."},
};

const struct setting_section dedupe_section = {
    .name = "duplicates",
    .doc = "Events that arrive more than once.",
    .settings = dedupe_settings,
    .setting_count = sizeof(dedupe_settings) / sizeof(dedupe_settings[0]),
    .options_bytes = sizeof(struct dedupe_options),
};

static uint64_t entry_of(uint64_t hash, int64_t tick)
{
    uint64_t kept = hash & ~TICK_MASK;
    kept = kept ? kept : TICK_MASK + 1; /* 0 would be a free entry. */
    return kept | ((uint64_t)tick & TICK_MASK);
}

static uint32_t entry_age(uint64_t entry, int64_t tick)
{
    return (uint32_t)(((uint64_t)tick - entry) & TICK_MASK);
}

/* Rounds down, for negative times as well. */
static int64_t floor_divide(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0);
}

/* Zeroes the entries that are older than the horizon; they stand behind the younger ones. */
FOR_COUNT void forget_old(struct dedupe_part *part, uint32_t count, int64_t tick,
                          int64_t horizon_ticks)
{
    bool is_all_old = tick - part->touched_tick > horizon_ticks;
    for (uint32_t i = count; i-- > 0;) {
        if (part->entries[i] == 0) {
            continue;
        }
        if (!is_all_old && entry_age(part->entries[i], tick) <= horizon_ticks) {
            break;
        }
        part->entries[i] = 0;
    }
}

FOR_COUNT bool is_known(const struct dedupe_part *part, uint32_t count, uint64_t entry)
{
    bool found = false; /* No early exit: the loop is short and vectorises. */
    for (uint32_t i = 0; i < count; i++) {
        found |= (part->entries[i] ^ entry) <= TICK_MASK;
    }
    return found;
}

/* Returns whether the event is a duplicate; remembers it where it is not. */
FOR_COUNT bool observe(const struct dedupe *self, struct dedupe_part *part, uint32_t count,
                       uint64_t hash, int64_t tick, struct dedupe_counters *counters)
{
    forget_old(part, count, tick, self->horizon_ticks);
    uint64_t entry = entry_of(hash, tick);
    if (is_known(part, count, entry)) {
        counters->duplicates++;
        return true;
    }
    counters->overflows += part->entries[count - 1] != 0;
    memmove(part->entries + 1, part->entries, (count - 1) * sizeof(part->entries[0]));
    part->entries[0] = entry;
    part->touched_tick = tick;
    return false;
}

static enum status dedupe_process(struct stage *stage, struct event_batch *batch,
                                  struct error *error)
{
    (void)error;
    const struct dedupe *self = container_of(stage, struct dedupe, stage);
    if (self->options.mode == DEDUPE_NONE) {
        return STATUS_OK;
    }
    struct dedupe_counters *counters =
        record_part_at(batch->record[ENTITY_TASK][0], self->counter_offset);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        if (i + RECORD_PREFETCH_ROWS < batch->row_count) {
            record_prefetch(batch->record[ENTITY_USER][batch->order[i + RECORD_PREFETCH_ROWS]],
                            self->offset, sizeof(struct dedupe_part));
        }
        uint32_t row = batch->order[i];
        uint64_t hash = batch->hash[HASH_EVENT_ID][row];
        if (batch->state[row] != ROW_LIVE || batch->kind[row] != ROW_EVENT || hash == 0) {
            continue;
        }
        struct dedupe_part *part = record_part_at(batch->record[ENTITY_USER][row], self->offset);
        int64_t tick = floor_divide(batch->watermark_ms[row], self->tick_ms);
        if (observe(self, part, DEDUPE_IDS, hash, tick, counters)) {
            batch->state[row] = ROW_DUPLICATE;
        }
    }
    return STATUS_OK;
}

static enum status process_entity(struct stage *stage, struct event_batch *batch,
                                  struct error *error)
{
    (void)error;
    const struct dedupe *self = container_of(stage, struct dedupe, stage);
    struct dedupe_counters *counters =
        record_part_at(batch->record[ENTITY_TASK][0], self->counter_offset);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        struct record *record = batch->record[self->kind][row];
        uint64_t hash = batch->hash[HASH_EVENT_ID][row];
        if (self->options.mode == DEDUPE_NONE || batch->state[row] != ROW_LIVE || !record ||
            hash == 0) {
            continue;
        }
        hash = hash64_combine(hash, batch->user_key[row].low);
        int64_t tick = floor_divide(batch->watermark_ms[row], self->tick_ms);
        if (observe(self, record_part_at(record, self->offset), DEDUPE_ENTITY_IDS, hash, tick,
                    counters)) {
            batch->state[row] = ROW_DUPLICATE;
        }
    }
    return STATUS_OK;
}

static void dedupe_destroy(struct stage *stage)
{
    free(container_of(stage, struct dedupe, stage));
}

static uint32_t list_counters(const struct stage *stage, struct record *task,
                              struct stage_counter *ret_counters, uint32_t max)
{
    if (max < 1) {
        return 0;
    }
    ret_counters[0] =
        (struct stage_counter){"duplicate_overflows", dedupe_counters(stage, task)->overflows};
    return 1;
}

static const struct stage_ops dedupe_ops = {
    .info = &dedupe_info,
    .process = dedupe_process,
    .destroy = dedupe_destroy,
    .counters = list_counters,
};

static const struct stage_ops entity_ops = {
    .info = &dedupe_info,
    .process = process_entity,
    .destroy = dedupe_destroy,
    .counters = list_counters,
};

static enum status create(const struct dedupe_options *options, enum entity_kind kind,
                          struct record_layout *layout, struct stage **ret_stage,
                          struct error *error)
{
    if (options->horizon_ms <= 0) {
        return error_set(error, STATUS_INVALID, "duplicates: horizon: %lld ms, positive expected",
                         (long long)options->horizon_ms);
    }
    struct dedupe *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "dedupe: out of memory");
    }
    self->stage.ops = kind == ENTITY_USER ? &dedupe_ops : &entity_ops;
    self->kind = kind;
    self->options = *options;
    self->tick_ms = (options->horizon_ms + HORIZON_TICKS_MAX - 1) / HORIZON_TICKS_MAX;
    self->horizon_ticks = (options->horizon_ms + self->tick_ms - 1) / self->tick_ms;
    const struct record_part part_of_kind = {
        .name = "dedupe",
        .id = PART_DEDUPE,
        .version = 1,
        .kind = (uint8_t)kind,
        .bytes = kind == ENTITY_USER ? sizeof(struct dedupe_part) : ENTITY_PART_BYTES,
        .writer_hash = (uint64_t)self->tick_ms};
    const struct record_part task_part = {.name = "dedupe counters",
                                          .id = PART_DEDUPE,
                                          .version = 1,
                                          .kind = ENTITY_TASK,
                                          .bytes = sizeof(struct dedupe_counters)};
    enum status status = record_layout_add(layout, &part_of_kind, &self->offset, error);
    if (status == STATUS_OK) {
        status = record_layout_add(layout, &task_part, &self->counter_offset, error);
    }
    if (status != STATUS_OK) {
        free(self);
        return status;
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}

enum status dedupe_create(const struct dedupe_options *options, struct record_layout *layout,
                          struct stage **ret_stage, struct error *error)
{
    return create(options, ENTITY_USER, layout, ret_stage, error);
}

enum status dedupe_create_entity(const struct dedupe_options *options, enum entity_kind kind,
                                 struct record_layout *layout, struct stage **ret_stage,
                                 struct error *error)
{
    return create(options, kind, layout, ret_stage, error);
}

const struct dedupe_counters *dedupe_counters(const struct stage *stage, struct record *task)
{
    const struct dedupe *self = container_of(stage, struct dedupe, stage);
    return record_part_at(task, self->counter_offset);
}

int64_t dedupe_timer_floor_ms(const struct dedupe_options *options)
{
    (void)options;
    return INT64_MAX;
}
