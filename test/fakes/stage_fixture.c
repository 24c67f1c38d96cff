#include "test/fakes/stage_fixture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/output/output.h"

#define DRAIN_ROUNDS_MAX 1000000u

struct stage_fixture {
    struct stage_fixture_options options;
    struct event_batch batch;
    struct record **records; /* Owned, each owned; in the order they were first touched. */
    uint32_t record_count, record_capacity;
    uint32_t *table; /* Open addressing: index + 1 into records, 0: free. */
    uint32_t table_slots;
    struct record *task_record;
    int64_t watermark_ms;
    uint64_t ordinal;
    uint64_t random;
    uint32_t batch_count;
};

/* A timer that falls due in the batch. */
struct candidate {
    int64_t due_ms;
    struct record *record;
    uint8_t slot;
};

uint64_t fixture_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545F4914F6CDD1Dull;
}

struct key128 stage_fixture_key(enum entity_kind kind, const char *id)
{
    struct pseudonym_key key = {.bytes = "fixture fixture"};
    return pseudonym_make(&key, (uint8_t)kind, text_of(id));
}

uint64_t stage_fixture_hash(const char *word)
{
    return word ? hash64(text_of(word)) : 0;
}

static struct record *record_new(const struct record_layout *layout, struct record_key key)
{
    size_t bytes = (sizeof(struct record) + layout->bytes[key.kind] + 15) / 16 * 16;
    struct record *record = aligned_alloc(16, bytes);
    assert(record);
    memset(record, 0, bytes);
    record->key = key;
    record->last_event_ms = INT64_MIN;
    record->index_ms = TIMER_NONE;
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        record->timer_ms[slot] = TIMER_NONE;
    }
    return record;
}

struct stage_fixture *stage_fixture_create(const struct stage_fixture_options *options)
{
    struct stage_fixture *fixture = calloc(1, sizeof(*fixture));
    assert(fixture && options->layout && options->floor_ms > 0);
    fixture->options = *options;
    fixture->watermark_ms = INT64_MIN;
    fixture->random = options->cut_seed;
    enum status status = event_batch_init(&fixture->batch, options->feature_count, NULL);
    assert(status == STATUS_OK);
    fixture->batch.places.partition = "p0";
    status = output_batch_create(OUTPUT_JSONL, &fixture->batch.outputs, NULL);
    assert(status == STATUS_OK);
    fixture->batch.timer_floor_ms = options->floor_ms;
    fixture->task_record =
        record_new(options->layout, (struct record_key){.kind = (uint8_t)ENTITY_TASK});
    fixture->batch.record[ENTITY_TASK][0] = fixture->task_record;
    return fixture;
}

void stage_fixture_destroy(struct stage_fixture *fixture)
{
    if (!fixture) {
        return;
    }
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        free(fixture->records[i]);
    }
    free(fixture->records);
    free(fixture->table);
    free(fixture->task_record);
    output_batch_destroy(fixture->batch.outputs);
    event_batch_release(&fixture->batch);
    free(fixture);
}

static uint32_t *table_find(struct stage_fixture *fixture, struct record_key key)
{
    uint32_t i = (uint32_t)(key.id.high ^ key.kind) & (fixture->table_slots - 1);
    for (;; i = (i + 1) & (fixture->table_slots - 1)) {
        uint32_t *slot = &fixture->table[i];
        if (*slot == 0) {
            return slot;
        }
        struct record_key have = fixture->records[*slot - 1]->key;
        if (have.kind == key.kind && key128_compare(have.id, key.id) == 0) {
            return slot;
        }
    }
}

static void table_grow(struct stage_fixture *fixture)
{
    fixture->record_capacity = fixture->record_capacity ? fixture->record_capacity * 2 : 64;
    fixture->table_slots = fixture->record_capacity * 4;
    fixture->records =
        realloc(fixture->records, fixture->record_capacity * sizeof(struct record *));
    free(fixture->table);
    fixture->table = calloc(fixture->table_slots, sizeof(*fixture->table));
    assert(fixture->records && fixture->table);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        *table_find(fixture, fixture->records[i]->key) = i + 1;
    }
}

static struct record *record_take(struct stage_fixture *fixture, enum entity_kind kind,
                                  struct key128 id)
{
    if (fixture->record_count == fixture->record_capacity) {
        table_grow(fixture);
    }
    struct record_key key = {.id = id, .kind = (uint8_t)kind};
    uint32_t *slot = table_find(fixture, key);
    if (*slot == 0) {
        fixture->records[fixture->record_count] = record_new(fixture->options.layout, key);
        *slot = ++fixture->record_count;
    }
    return fixture->records[*slot - 1];
}

struct record *stage_fixture_record(struct stage_fixture *fixture, enum entity_kind kind,
                                    const char *id)
{
    if (fixture->table_slots == 0) {
        return NULL;
    }
    uint32_t *slot = table_find(
        fixture, (struct record_key){.id = stage_fixture_key(kind, id), .kind = (uint8_t)kind});
    return *slot ? fixture->records[*slot - 1] : NULL;
}

struct record *stage_fixture_task_record(struct stage_fixture *fixture)
{
    return fixture->task_record;
}

uint32_t stage_fixture_batches(const struct stage_fixture *fixture)
{
    return fixture->batch_count;
}

static uint64_t record_hash(const struct record_layout *layout, const struct record *record)
{
    uint64_t hash = hash64_combine(record->key.id.high, record->key.id.low ^ record->key.kind);
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        hash = hash64_combine(hash, (uint64_t)record->timer_ms[slot]);
    }
    struct text parts = {(const char *)record->parts, layout->bytes[record->key.kind]};
    return hash64_combine(hash, hash64(parts));
}

uint64_t stage_fixture_state_hash(const struct stage_fixture *fixture)
{
    const struct record_layout *layout = fixture->options.layout;
    uint64_t sum = record_hash(layout, fixture->task_record);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        sum += record_hash(layout, fixture->records[i]); /* A sum: whatever the order. */
    }
    return sum;
}

/* ---- Filling one row ---- */

static void set_text(struct event_batch *batch, uint32_t row, enum event_field field,
                     const char *word)
{
    if (word) {
        batch->text[field][row] = text_of(word);
        batch->present[row] |= UINT64_C(1) << field;
    }
}

static void set_entity(struct stage_fixture *fixture, uint32_t row, enum entity_kind kind,
                       const char *id)
{
    bool has_state = id && (kind == ENTITY_USER || fixture->options.layout->bytes[kind] > 0);
    fixture->batch.record[kind][row] =
        has_state ? record_take(fixture, kind, stage_fixture_key(kind, id)) : NULL;
}

static void set_number(struct event_batch *batch, uint32_t row, enum event_field field,
                       int64_t *column, int64_t value)
{
    if (value != 0) {
        column[row] = value;
        batch->present[row] |= UINT64_C(1) << field;
    }
}

static void fill_texts(struct event_batch *batch, uint32_t row, const struct fixture_event *event)
{
    batch->present[row] = 0;
    set_text(batch, row, FIELD_EVENT_ID, event->id);
    set_text(batch, row, FIELD_SHOP, event->shop);
    set_text(batch, row, FIELD_USER_ID, event->user);
    set_text(batch, row, FIELD_DEVICE_ID, event->device);
    set_text(batch, row, FIELD_SESSION_HINT, event->hint);
    set_text(batch, row, FIELD_CHANNEL, event->channel);
    set_text(batch, row, FIELD_TYPE_WORD, event_types[event->type].name);
    set_text(batch, row, FIELD_ORDER_ID, event->order);
    set_text(batch, row, FIELD_ITEM, event->item);
    set_text(batch, row, FIELD_CATEGORY, event->category);
    set_text(batch, row, FIELD_BRAND, event->brand);
    set_text(batch, row, FIELD_CURRENCY, event->currency);
    set_text(batch, row, FIELD_TEXT, event->query);
    set_text(batch, row, FIELD_IP, event->address);
    set_text(batch, row, FIELD_REFERRER, event->referrer);
    set_text(batch, row, FIELD_INSTRUMENT, event->card);
    set_text(batch, row, FIELD_MERCHANT, event->terminal);
    batch->present[row] |= UINT64_C(1) << FIELD_EVENT_TIME;
    set_number(batch, row, FIELD_PRICE, batch->price, event->price);
    set_number(batch, row, FIELD_QUANTITY, batch->quantity, event->quantity);
    batch->attributes[row] = (struct attribute_list){0};
}

static void fill_hashes(struct event_batch *batch, uint32_t row, const struct fixture_event *event)
{
    batch->hash[HASH_EVENT_ID][row] = stage_fixture_hash(event->id);
    batch->hash[HASH_ITEM][row] = stage_fixture_hash(event->item);
    batch->hash[HASH_CATEGORY][row] = stage_fixture_hash(event->category);
    batch->hash[HASH_BRAND][row] = stage_fixture_hash(event->brand);
    batch->hash[HASH_ADDRESS][row] = stage_fixture_hash(event->address);
    batch->hash[HASH_DEVICE][row] = stage_fixture_hash(event->device);
    batch->hash[HASH_CARD][row] = stage_fixture_hash(event->card);
    batch->hash[HASH_TERMINAL][row] = stage_fixture_hash(event->terminal);
    batch->hash[HASH_QUERY][row] = stage_fixture_hash(event->query);
    batch->hash[HASH_ORDER][row] = stage_fixture_hash(event->order);
    batch->hash[HASH_SESSION_HINT][row] = stage_fixture_hash(event->hint);
}

static void fill_event(struct stage_fixture *fixture, uint32_t row,
                       const struct fixture_event *event)
{
    struct event_batch *batch = &fixture->batch;
    assert(event->user);
    fill_texts(batch, row, event);
    fill_hashes(batch, row, event);
    batch->time_ms[row] = event->time_ms;
    batch->type[row] = (uint8_t)event->type;
    batch->place[row] = place_make(PLACE_TOPIC_OTHER, fixture->ordinal);
    batch->ordinal[row] = fixture->ordinal++;
    batch->kind[row] = ROW_EVENT;
    batch->state[row] = event->is_diverted ? ROW_DIVERTED : ROW_LIVE;
    batch->timer_slot[row] = 0;
    batch->user_key[row] = stage_fixture_key(ENTITY_USER, event->user);
    set_entity(fixture, row, ENTITY_USER, event->user);
    set_entity(fixture, row, ENTITY_DEVICE, event->device);
    set_entity(fixture, row, ENTITY_CARD, event->card);
    set_entity(fixture, row, ENTITY_TERMINAL, event->terminal);
    set_entity(fixture, row, ENTITY_ADDRESS, event->address);
    set_entity(fixture, row, ENTITY_ITEM, event->item);
}

static void fill_timer(struct stage_fixture *fixture, uint32_t row,
                       const struct candidate *candidate)
{
    struct event_batch *batch = &fixture->batch;
    batch->present[row] = 0;
    for (int field = 0; field < HASHED_FIELD_COUNT; field++) {
        batch->hash[field][row] = 0;
    }
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        batch->record[kind][row] = NULL;
    }
    batch->time_ms[row] = candidate->due_ms;
    batch->type[row] = EVENT_NONE;
    batch->place[row] = PLACE_UNKNOWN;
    batch->attributes[row] = (struct attribute_list){0};
    batch->kind[row] = ROW_TIMER;
    batch->state[row] = ROW_LIVE;
    batch->timer_slot[row] = candidate->slot;
    batch->is_late[row] = 0;
    batch->user_key[row] = candidate->record->key.id;
    batch->record[candidate->record->key.kind][row] = candidate->record;
}

/* ---- Cutting one batch ---- */

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    if (a->due_ms != b->due_ms) {
        return a->due_ms < b->due_ms ? -1 : 1;
    }
    if (a->record->key.kind != b->record->key.kind) {
        return a->record->key.kind < b->record->key.kind ? -1 : 1;
    }
    int order = key128_compare(a->record->key.id, b->record->key.id);
    return order != 0 ? order : (int)a->slot - (int)b->slot;
}

/* All timers due before `limit_ms`, in order. Returns how many; the list is the caller's to free.
 */
static uint32_t find_candidates(const struct stage_fixture *fixture, int64_t limit_ms,
                                struct candidate **ret_list)
{
    uint32_t count = 0;
    size_t capacity = (size_t)fixture->record_count * TIMER_SLOT_COUNT + 1;
    struct candidate *list = malloc(sizeof(*list) * capacity);
    assert(list);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        struct record *record = fixture->records[i];
        for (uint32_t slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
            if (record->timer_ms[slot] != TIMER_NONE && record->timer_ms[slot] < limit_ms) {
                list[count++] = (struct candidate){record->timer_ms[slot], record, (uint8_t)slot};
            }
        }
    }
    qsort(list, count, sizeof(*list), compare_candidates);
    *ret_list = list;
    return count;
}

static int64_t earliest_timer(const struct stage_fixture *fixture)
{
    int64_t earliest_ms = TIMER_NONE;
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        int64_t next_ms = record_next_timer(fixture->records[i]);
        earliest_ms = next_ms < earliest_ms ? next_ms : earliest_ms;
    }
    return earliest_ms;
}

static int64_t watermark_after(const struct stage_fixture *fixture, int64_t watermark_ms,
                               const struct fixture_event *event)
{
    int64_t reached_ms = event->time_ms - fixture->options.lateness_ms;
    return reached_ms > watermark_ms ? reached_ms : watermark_ms;
}

static uint32_t random_size(struct stage_fixture *fixture, uint32_t max)
{
    if (fixture->options.cut_seed == 0) {
        return max;
    }
    uint64_t number = fixture_random(&fixture->random);
    uint32_t bound = number % 3 == 0 ? 2 : number % 3 == 1 ? 17 : 400; /* Small ones, too. */
    return 1 + (uint32_t)((number >> 8) % bound);
}

/* Appends candidates from `*at` that are due up to `until_ms`, as rows in processing order. */
static void place_timers(struct stage_fixture *fixture, const struct candidate *list,
                         uint32_t count, int64_t until_ms, uint32_t *at, int64_t *watermark_ms)
{
    struct event_batch *batch = &fixture->batch;
    for (; *at < count && list[*at].due_ms <= until_ms; (*at)++) {
        uint32_t row = batch->row_count;
        *watermark_ms = list[*at].due_ms > *watermark_ms ? list[*at].due_ms : *watermark_ms;
        /* Numbered from the back until the number of events is known; see finish_rows. */
        batch->order[row] = BATCH_ROWS_MAX + *at;
        batch->watermark_ms[row] = *watermark_ms;
        batch->row_count++;
    }
}

/* Timers stand behind the events: moves their watermarks there and numbers their rows. */
static void finish_rows(struct stage_fixture *fixture, const struct candidate *list)
{
    struct event_batch *batch = &fixture->batch;
    static int64_t watermarks[BATCH_ROWS_MAX];
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (row >= BATCH_ROWS_MAX) {
            uint32_t timer = row - BATCH_ROWS_MAX;
            row = batch->event_count + timer;
            fill_timer(fixture, row, &list[timer]);
            batch->order[i] = row;
        }
        watermarks[row] = batch->watermark_ms[i];
    }
    memcpy(batch->watermark_ms, watermarks, sizeof(*watermarks) * batch->row_count);
}

/* Every timer row was voided or its timer moved; anything else would fire for ever. */
static void check_timers(const struct event_batch *batch, const struct candidate *list)
{
    for (uint32_t row = batch->event_count; row < batch->row_count; row++) {
        const struct candidate *candidate = &list[row - batch->event_count];
        assert(batch->state[row] == ROW_VOID || batch->state[row] == ROW_LIVE);
        assert(candidate->record->timer_ms[candidate->slot] != candidate->due_ms);
    }
}

static void run_stages(struct stage_fixture *fixture)
{
    for (int i = 0; i < FIXTURE_STAGES_MAX && fixture->options.stages[i]; i++) {
        struct stage *stage = fixture->options.stages[i];
        struct error error = {0};
        enum status status = stage->ops->process(stage, &fixture->batch, &error);
        assert(status == STATUS_OK);
    }
    assert(!output_batch_failed(fixture->batch.outputs));
    fixture->batch_count++;
    if (fixture->options.visit) {
        fixture->options.visit(fixture->options.context, &fixture->batch);
    }
}

/* Runs one batch of events and due timers; returns how many events it took. */
static uint32_t run_batch(struct stage_fixture *fixture, const struct fixture_event *events,
                          uint32_t event_count, int64_t until_ms)
{
    struct event_batch *batch = &fixture->batch;
    event_batch_reset(batch);
    output_batch_reset(batch->outputs);

    /* Nothing falls due before the first timer, so the watermark moves freely up to there. */
    int64_t next_ms = earliest_timer(fixture);
    int64_t base_ms = next_ms < until_ms ? next_ms : until_ms;
    base_ms = base_ms > fixture->watermark_ms ? base_ms : fixture->watermark_ms;
    int64_t limit_ms = base_ms > INT64_MAX - fixture->options.floor_ms
                           ? INT64_MAX
                           : base_ms + fixture->options.floor_ms;
    struct candidate *list = NULL;
    uint32_t count = find_candidates(fixture, limit_ms, &list);
    uint32_t timers_max = random_size(fixture, BATCH_ROWS_MAX - BATCH_EVENTS_MAX);
    if (count > timers_max) {
        limit_ms = list[timers_max].due_ms; /* An event that reaches it waits for the next batch. */
        count = timers_max;
    }
    uint32_t events_max = random_size(fixture, BATCH_EVENTS_MAX);
    int64_t watermark_ms = fixture->watermark_ms;
    uint32_t at = 0;
    while (batch->event_count < event_count && batch->event_count < events_max) {
        const struct fixture_event *event = &events[batch->event_count];
        int64_t reached_ms = watermark_after(fixture, watermark_ms, event);
        if (reached_ms >= limit_ms) {
            break;
        }
        place_timers(fixture, list, count, reached_ms, &at, &watermark_ms);
        uint32_t row = batch->event_count++;
        fill_event(fixture, row, event);
        batch->is_late[row] = event->time_ms < watermark_ms;
        watermark_ms = reached_ms;
        batch->order[batch->row_count] = row;
        batch->watermark_ms[batch->row_count++] = watermark_ms;
    }
    if (batch->event_count == 0) {
        place_timers(fixture, list, count, until_ms, &at, &watermark_ms);
    }
    finish_rows(fixture, list);
    fixture->watermark_ms = watermark_ms;
    if (batch->row_count > 0) {
        run_stages(fixture);
        check_timers(batch, list);
    }
    free(list);
    for (uint32_t row = 0; row < batch->event_count; row++) {
        struct record *user = batch->record[ENTITY_USER][row];
        user->last_event_ms =
            batch->time_ms[row] > user->last_event_ms ? batch->time_ms[row] : user->last_event_ms;
    }
    return batch->event_count;
}

void stage_fixture_run(struct stage_fixture *fixture, const struct fixture_event *events,
                       uint32_t event_count)
{
    for (uint32_t done = 0; done < event_count;) {
        int64_t until_ms = watermark_after(fixture, fixture->watermark_ms, &events[done]);
        done += run_batch(fixture, events + done, event_count - done, until_ms);
    }
}

void stage_fixture_drain(struct stage_fixture *fixture)
{
    uint32_t rounds = 0;
    while (earliest_timer(fixture) != TIMER_NONE) {
        assert(++rounds < DRAIN_ROUNDS_MAX);
        (void)run_batch(fixture, NULL, 0, INT64_MAX - 1);
    }
}
