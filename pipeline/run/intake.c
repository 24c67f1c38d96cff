#include "pipeline/run/intake.h"

#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/topic_records.h"
#include "pipeline/run/intake_records.h"
#include "pipeline/run/partition_time.h"

/* So that the timer slots of all popped records always find rows. */
#define POPPED_MAX ((BATCH_ROWS_MAX - BATCH_EVENTS_MAX) / TIMER_SLOT_COUNT)

/* A batch ends after so many records or bytes, even where few of the records are events. */
#define RECORDS_MAX (8u * BATCH_EVENTS_MAX)
#define BYTES_MAX (16u << 20)

struct intake {
    struct intake_options options;
    char *source_name; /* What the options point to. */
    char *partition;
    const struct record_layout *layout; /* Borrowed, as the four below. */
    struct input *input;
    struct record_cache *cache;
    struct timer_index *timers;

    struct timer_entry popped[POPPED_MAX];
    uint32_t popped_count;
    struct record_key keys[POPPED_MAX];
    struct record *popped_records[POPPED_MAX];
};

enum status intake_create(const struct intake_options *options, const struct record_layout *layout,
                          struct input *input, struct record_cache *cache,
                          struct timer_index *timers, struct intake **ret_intake,
                          struct error *error)
{
    assert(options->timer_floor_ms > 0);
    assert(options->batch_events_max > 0 && options->batch_events_max <= BATCH_EVENTS_MAX);

    struct intake *intake = calloc(1, sizeof(*intake));
    char *source_name = strdup(options->source_name);
    char *partition = strdup(options->partition);
    if (!intake || !source_name || !partition) {
        free(intake);
        free(source_name);
        free(partition);
        return error_set(error, STATUS_FATAL, "intake: out of memory");
    }
    intake->options = *options;
    intake->options.source_name = source_name;
    if (options->retention_ms > 0 && options->retention_ms < options->timer_floor_ms) {
        intake->options.retention_ms = options->timer_floor_ms;
    }
    intake->options.partition = partition;
    if (intake->options.batch_timers_max == 0 || intake->options.batch_timers_max > POPPED_MAX) {
        intake->options.batch_timers_max = POPPED_MAX;
    }
    if (intake->options.batch_bytes_max == 0 || intake->options.batch_bytes_max > BYTES_MAX) {
        intake->options.batch_bytes_max = BYTES_MAX;
    }
    intake->source_name = source_name;
    intake->partition = partition;
    intake->layout = layout;
    intake->input = input;
    intake->cache = cache;
    intake->timers = timers;
    *ret_intake = intake;
    return STATUS_OK;
}

void intake_destroy(struct intake *intake)
{
    if (intake) {
        free(intake->source_name);
        free(intake->partition);
        free(intake);
    }
}

bool intake_shrink(struct intake *intake)
{
    struct intake_options *options = &intake->options;
    if (options->batch_events_max == 1 && options->batch_timers_max == 1) {
        return false;
    }
    options->batch_events_max = (options->batch_events_max + 1) / 2;
    options->batch_timers_max = (options->batch_timers_max + 1) / 2;
    return true;
}

static int64_t subtract_clamped(int64_t a, int64_t b)
{
    return a < INT64_MIN + b ? INT64_MIN : a - b;
}

static int64_t add_clamped(int64_t a, int64_t b)
{
    return a > INT64_MAX - 1 - b ? INT64_MAX - 1 : a + b;
}

static int64_t watermark_of(const struct intake *intake, const struct task_progress *progress)
{
    return progress->is_started
               ? subtract_clamped(progress->time_max_ms, intake->options.allowed_lateness_ms)
               : INT64_MIN;
}

/* How far the batch being built has come. */
struct builder {
    struct event_batch *batch;
    struct task_progress *progress;
    struct origin_clock *clock; /* NULL: records were not sent on. */
    struct output_batch *outputs;
    int64_t watermark_ms;
    int64_t base_ms; /* Watermark of the first row. */
    uint64_t bytes;  /* Of the records read. */
    uint32_t records;
    bool is_empty;
};

/* The last watermark that a row of this batch may have. */
static int64_t builder_bound(const struct intake *intake, const struct builder *builder)
{
    return builder->is_empty ? INT64_MAX - 1
                             : add_clamped(builder->base_ms, intake->options.timer_floor_ms - 1);
}

static void builder_advance(struct builder *builder, int64_t watermark_ms)
{
    if (builder->is_empty) {
        builder->base_ms = watermark_ms;
        builder->is_empty = false;
    }
    builder->watermark_ms = watermark_ms;
}

/*
 * Pops the timers that come before a row with watermark `until_ms`. *ret_is_full: the batch cannot
 * take more of them, and must end before that row.
 */
static enum status pop_timers(struct intake *intake, struct builder *builder, int64_t until_ms,
                              bool *ret_is_full, struct error *error)
{
    *ret_is_full = false;
    for (;;) {
        if (intake->popped_count == intake->options.batch_timers_max) {
            *ret_is_full = true;
            return STATUS_OK;
        }
        int64_t bound_ms = builder_bound(intake, builder);
        int64_t limit_ms = until_ms < bound_ms ? until_ms : bound_ms;
        struct timer_entry entry;
        enum status status = timer_index_peek(intake->timers, limit_ms, &entry, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (entry.time_ms == TIMER_NONE || entry.time_ms > limit_ms) {
            return STATUS_OK;
        }
        timer_index_pop(intake->timers);
        intake->popped[intake->popped_count++] = entry;
        /* A stale entry may stand before the watermark, which does not fall within a batch. */
        int64_t row_ms =
            entry.time_ms > builder->watermark_ms ? entry.time_ms : builder->watermark_ms;
        builder_advance(builder, row_ms);
    }
}

static void reject_item(struct intake *intake, struct builder *builder,
                        const struct input_item *item)
{
    if (intake->options.sends_on) {
        return;
    }
    const struct task_progress *progress = builder->progress;
    const struct input_origin *origin = &item->origin;
    char partition[16];
    (void)snprintf(partition, sizeof(partition), "%u", origin->first_partition);
    builder->progress->counters.dead_letters[item->rejection.reason]++;
    struct input_place place = {
        .source = item->source.data ? item->source : text_of(intake->options.source_name),
        .partition = text_of(origin->is_known ? partition : intake->options.partition),
        .ordinal = item->source.data ? item->offset : item->raw.position.ordinal,
        .byte_position = item->raw.position.bytes,
        .cause = item->raw.position.ordinal,
    };
    dead_letter_write(builder->outputs, &place, &item->rejection, item->raw.bytes, item->raw.whole,
                      intake->options.keeps_rejected_bytes,
                      origin->is_known && origin->first_ms != ORIGIN_IDLE ? origin->first_ms
                      : progress->is_started                              ? progress->time_max_ms
                                                                          : 0);
}

static uint64_t place_of(struct task_progress *progress, const struct input_item *item)
{
    const struct input_origin *origin = &item->origin;
    uint32_t topic = event_topics_number(&progress->topics, item->source);
    return origin->is_known    ? place_of_origin(topic, origin->first_partition, item->offset)
           : item->source.data ? place_make(topic, item->offset)
                               : place_make(topic, item->raw.position.ordinal);
}

static struct partition_time time_of(const struct task_progress *progress)
{
    return (struct partition_time){.newest_ms = progress->time_max_ms,
                                   .is_started = progress->is_started != 0,
                                   .is_provisional = progress->is_provisional != 0};
}

/* An event that was sent on was judged there. */
static bool is_ahead(const struct intake *intake, const struct task_progress *progress,
                     const struct input_item *item, int64_t time_ms)
{
    struct partition_time time = time_of(progress);
    return item->origin.is_known
               ? item->origin.is_ahead
               : partition_time_is_ahead(&time, time_ms, intake->options.max_ahead_ms);
}

/* False: the event is a dead letter. */
static bool is_within_bounds(struct intake *intake, struct builder *builder,
                             struct input_item *item, int64_t time_ms)
{
    const struct task_progress *progress = builder->progress;
    if (!is_ahead(intake, progress, item, time_ms)) {
        return true;
    }
    int64_t newest_ms = item->origin.is_known ? item->origin.first_ms : progress->time_max_ms;
    item->rejection.reason = REJECTION_TIME_AHEAD;
    (void)snprintf(item->rejection.detail, sizeof(item->rejection.detail),
                   "event_time: %lld is %lld ms ahead of the newest event, at most %lld expected",
                   (long long)time_ms, (long long)(time_ms - newest_ms),
                   (long long)intake->options.max_ahead_ms);
    reject_item(intake, builder, item);
    return false;
}

static bool restarts_time(const struct intake *intake, const struct task_progress *progress,
                          int64_t time_ms)
{
    struct partition_time time = time_of(progress);
    return partition_time_restarts(&time, time_ms, intake->options.max_ahead_ms);
}

static void move_time(const struct intake *intake, struct task_progress *progress, int64_t time_ms)
{
    struct partition_time time = time_of(progress);
    partition_time_move(&time, time_ms, intake->options.max_ahead_ms);
    progress->time_max_ms = time.newest_ms;
    progress->is_started = 1;
    progress->is_provisional = time.is_provisional;
}

/* Where records were sent on: their origins' clock, which this one moves on, is the time. */
static void follow_origin(struct builder *builder, const struct input_origin *origin)
{
    struct task_progress *progress = builder->progress;
    origin_clock_tell(builder->clock, origin->partition, origin->mark_ms);
    int64_t time_ms = builder->clock->time_ms;
    if (!progress->is_started || time_ms > progress->time_max_ms) {
        progress->time_max_ms = time_ms;
        progress->is_started = 1;
    }
}

static void accept_event(struct intake *intake, struct builder *builder, uint32_t row,
                         const struct input_item *item, int64_t watermark_ms)
{
    struct event_batch *batch = builder->batch;
    struct task_progress *progress = builder->progress;
    int64_t time_ms = batch->time_ms[row];
    bool is_late = progress->is_started && !restarts_time(intake, progress, time_ms) &&
                   time_ms < watermark_of(intake, progress);
    if (builder->clock) {
        follow_origin(builder, &item->origin);
    } else {
        move_time(intake, progress, time_ms);
    }
    batch->kind[row] = ROW_EVENT;
    batch->ordinal[row] = item->raw.position.ordinal;
    batch->place[row] = place_of(progress, item);
    batch->watermark_ms[row] = watermark_ms;
    /* Who is to be erased is erased however late that is said. */
    bool is_erasure = batch->type[row] == EVENT_ERASE;
    batch->is_late[row] = is_late && !is_erasure;
    batch->state[row] = is_erasure                                ? ROW_ERASURE
                        : is_late && intake->options.diverts_late ? ROW_DIVERTED
                                                                  : ROW_LIVE;
    batch->timer_slot[row] = TIMER_SLOT_COUNT;
    batch->hash[HASH_EVENT_ID][row] =
        intake->options.deduplicates_by_content ? hash64(item->raw.bytes)
        : event_has(batch, row, FIELD_EVENT_ID) ? hash64(batch->text[FIELD_EVENT_ID][row])
                                                : 0;
    batch->event_count = row + 1;
    builder_advance(builder, watermark_ms);
}

/* The watermark that the item brings. */
static int64_t watermark_with(const struct intake *intake, const struct builder *builder,
                              const struct input_item *item, int64_t time_ms)
{
    const struct input_origin *origin = &item->origin;
    int64_t newest_ms = builder->clock
                            ? origin_clock_after(builder->clock, origin->partition, origin->mark_ms)
                            : time_ms;
    return subtract_clamped(newest_ms, intake->options.allowed_lateness_ms);
}

/*
 * Lets the timers come that are before an item with watermark `candidate_ms`. *ret_fits: the item
 * still belongs to this batch, and `builder->watermark_ms` may be moved to *ret_watermark_ms.
 */
static enum status make_way(struct intake *intake, struct builder *builder, int64_t candidate_ms,
                            bool restarts, bool *ret_fits, int64_t *ret_watermark_ms,
                            struct error *error)
{
    if (restarts && candidate_ms < builder->watermark_ms) {
        *ret_fits = builder->is_empty; /* A watermark falls only with the first row of a batch. */
        if (!*ret_fits) {
            return STATUS_OK;
        }
        builder->watermark_ms = candidate_ms;
    }
    int64_t watermark_ms =
        candidate_ms > builder->watermark_ms ? candidate_ms : builder->watermark_ms;
    bool is_full = false;
    enum status status = pop_timers(intake, builder, watermark_ms, &is_full, error);
    *ret_fits = !is_full && watermark_ms <= builder_bound(intake, builder);
    *ret_watermark_ms = watermark_ms;
    return status;
}

/*
 * Takes the next event, with the timers before it, if it still belongs to this batch. *ret_goes_on
 * says whether there may be more; *ret_result is what the input said last.
 */
static enum status take_event(struct intake *intake, struct builder *builder, bool *ret_goes_on,
                              enum input_result *ret_result, struct error *error)
{
    uint32_t row = builder->batch->event_count;
    struct input_item item = {.rejection.reason = REJECTION_NONE};
    enum status status = intake->input->ops->next(intake->input, builder->batch, row, &item, error);
    if (status != STATUS_OK) {
        return status;
    }
    *ret_result = item.result;
    *ret_goes_on = item.result != INPUT_WAIT && item.result != INPUT_END;
    if (!*ret_goes_on) {
        return STATUS_OK;
    }
    struct task_counters *counters = &builder->progress->counters;
    bool is_event = item.result == INPUT_EVENT;
    int64_t time_ms = is_event ? builder->batch->time_ms[row] : 0;
    int64_t watermark_ms = 0;
    bool moves_time =
        is_event ? !is_ahead(intake, builder->progress, &item, time_ms) : item.origin.is_known;
    builder->records++;
    builder->bytes += item.raw.bytes.length;
    if (moves_time) {
        bool fits = false;
        status = make_way(intake, builder, watermark_with(intake, builder, &item, time_ms),
                          restarts_time(intake, builder->progress, time_ms), &fits, &watermark_ms,
                          error);
        if (status != STATUS_OK) {
            return status;
        }
        if (!fits) {
            intake->input->ops->unread(intake->input);
            *ret_goes_on = false;
            return STATUS_OK;
        }
    }
    counters->events_read += item.result != INPUT_MARK;
    if (is_event && is_within_bounds(intake, builder, &item, time_ms)) {
        accept_event(intake, builder, row, &item, watermark_ms);
        /* It takes effect behind the stages: what comes after is for another batch. */
        *ret_goes_on = builder->batch->state[row] != ROW_ERASURE;
    } else if (!is_event && moves_time) {
        follow_origin(builder, &item.origin);
        builder_advance(builder, watermark_ms);
    }
    if (item.result == INPUT_SKIPPED) {
        counters->events_skipped++;
    } else if (item.result == INPUT_REJECTED) {
        reject_item(intake, builder, &item);
    }
    return STATUS_OK;
}

/* Validates the popped entries against their records and makes rows of the timers that are due. */
static enum status add_timer_rows(struct intake *intake, struct builder *builder,
                                  struct error *error)
{
    /* A batch that is full of timers ends with the last one popped; others may share its time. */
    const struct timer_entry *last = &intake->popped[intake->options.batch_timers_max - 1];
    bool is_cut = intake->popped_count == intake->options.batch_timers_max &&
                  last->time_ms == builder->watermark_ms;
    const struct key128 *last_id = is_cut ? &last->key.id : NULL;
    for (uint32_t i = 0; i < intake->popped_count; i++) {
        intake->keys[i] = intake->popped[i].key;
    }
    enum status status = record_cache_take(intake->cache, intake->keys, intake->popped_count,
                                           intake->popped_records, error);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < intake->popped_count; i++) {
        struct record *record = intake->popped_records[i];
        if (record->index_ms != intake->popped[i].time_ms) {
            continue; /* Stale: the record's entry stands elsewhere. */
        }
        record->index_ms = TIMER_NONE;
        intake_add_timer_rows(builder->batch, record, builder->watermark_ms, last_id);
    }
    return STATUS_OK;
}

static enum status finish_batch(struct intake *intake, struct builder *builder, struct error *error)
{
    struct event_batch *batch = builder->batch;
    batch->row_count = batch->event_count;
    batch->timer_floor_ms = intake->options.timer_floor_ms;
    enum status status = intake_take_records(intake->cache, &intake->options.key,
                                             intake->options.entity_mask, batch, error);
    if (status == STATUS_OK) {
        status = add_timer_rows(intake, builder, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    intake_sort_rows(batch);
    builder->progress->counters.records_expired +=
        intake_expire_records(batch, intake->layout, intake->options.retention_ms);
    for (uint32_t row = 0; row < batch->event_count; row++) {
        if (batch->state[row] == ROW_DIVERTED) {
            builder->progress->counters.late_diverted++;
        }
    }
    return STATUS_OK;
}

/* Lets the timers up to the journaled tick fire; the watermark follows when all of them have. */
static enum status tick(struct intake *intake, struct builder *builder, struct error *error)
{
    struct task_progress *progress = builder->progress;
    bool is_full = false;
    enum status status = pop_timers(intake, builder, progress->tick_ms, &is_full, error);
    if (status == STATUS_OK && !is_full && progress->tick_ms <= builder_bound(intake, builder)) {
        int64_t time_ms = add_clamped(progress->tick_ms, intake->options.allowed_lateness_ms);
        progress->time_max_ms = time_ms > progress->time_max_ms ? time_ms : progress->time_max_ms;
        progress->is_ticking = 0;
        /* A popped record's own timers may all be later than its entry, and before the tick. */
        builder_advance(builder, progress->tick_ms > builder->watermark_ms ? progress->tick_ms
                                                                           : builder->watermark_ms);
    }
    return status;
}

enum status intake_fill(struct intake *intake, struct task_progress *progress,
                        struct origin_clock *clock, bool is_draining, struct event_batch *batch,
                        struct output_batch *outputs, enum intake_result *ret_result,
                        struct error *error)
{
    event_batch_reset(batch);
    intake->input->ops->release(intake->input);
    intake->popped_count = 0;
    struct builder builder = {
        .batch = batch,
        .progress = progress,
        .clock = clock,
        .outputs = outputs,
        .watermark_ms = watermark_of(intake, progress),
        .is_empty = true,
    };
    bool is_ticking = progress->is_ticking;
    bool goes_on = !is_draining && !is_ticking;
    enum input_result said = is_draining ? INPUT_END : is_ticking ? INPUT_WAIT : INPUT_EVENT;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && goes_on &&
           batch->event_count < intake->options.batch_events_max && builder.records < RECORDS_MAX &&
           builder.bytes < intake->options.batch_bytes_max) {
        status = take_event(intake, &builder, &goes_on, &said, error);
    }
    bool is_full = false;
    if (status == STATUS_OK && is_draining) {
        status = pop_timers(intake, &builder, INT64_MAX - 1, &is_full, error);
    } else if (status == STATUS_OK && is_ticking) {
        status = tick(intake, &builder, error);
    }
    if (status == STATUS_OK) {
        status = finish_batch(intake, &builder, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    /* Records that were no events also are progress, so they make a batch, if one without rows. */
    *ret_result = !builder.is_empty || builder.records > 0 ? INTAKE_BATCH
                  : said == INPUT_END                      ? INTAKE_END
                                                           : INTAKE_NOTHING;
    return STATUS_OK;
}

/* Moves the record's entry to its earliest timer, unless the one that stands pops no later. */
static enum status move_entry(struct intake *intake, struct record *record, struct error *error)
{
    int64_t next_ms = record_next_timer(record);
    if (next_ms >= record->index_ms) {
        return STATUS_OK;
    }
    record->index_ms = next_ms;
    struct timer_entry entry = {.time_ms = next_ms, .key = record->key};
    return timer_index_add(intake->timers, entry, error);
}

enum status intake_settle(struct intake *intake, struct event_batch *batch, struct error *error)
{
    intake_note_timers(batch);
    intake_erase_user(batch, intake->layout);
    enum status status = STATUS_OK;
    for (uint32_t row = 0; status == STATUS_OK && row < batch->row_count; row++) {
        struct record *record = batch->record[ENTITY_USER][row];
        status = record ? move_entry(intake, record, error) : STATUS_OK;
    }
    /* Popped records whose timers were all later than they stood have no row, but need an entry. */
    for (uint32_t i = 0; status == STATUS_OK && i < intake->popped_count; i++) {
        status = move_entry(intake, intake->popped_records[i], error);
    }
    return status;
}
