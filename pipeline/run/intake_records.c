#include "pipeline/run/intake_records.h"

#include <stdlib.h>

/* Domains of pseudonyms: an entity's kind, or, where a user is known by something else, that. */
#define DOMAIN_USER_BY_DEVICE 64
#define DOMAIN_USER_BY_ADDRESS 65

enum event_field intake_user_field(const struct event_batch *batch, uint32_t row)
{
    return event_has(batch, row, FIELD_USER_ID)     ? FIELD_USER_ID
           : event_has(batch, row, FIELD_DEVICE_ID) ? FIELD_DEVICE_ID
                                                    : FIELD_IP;
}

struct key128 intake_pseudonym(const struct pseudonym_key *key, enum event_field field,
                               struct text identity)
{
    uint8_t domain = field == FIELD_USER_ID     ? ENTITY_USER
                     : field == FIELD_DEVICE_ID ? DOMAIN_USER_BY_DEVICE
                                                : DOMAIN_USER_BY_ADDRESS;
    return pseudonym_make(key, domain, identity);
}

static struct key128 make_user_key(const struct event_batch *batch, uint32_t row,
                                   const struct pseudonym_key *key)
{
    enum event_field field = intake_user_field(batch, row);
    return intake_pseudonym(key, field, batch->text[field][row]);
}

struct identity {
    enum event_field field;
    enum entity_kind kind;
    enum hashed_field hash;
};

static const struct identity identities[] = {
    {FIELD_DEVICE_ID, ENTITY_DEVICE, HASH_DEVICE},
    {FIELD_INSTRUMENT, ENTITY_CARD, HASH_CARD},
    {FIELD_MERCHANT, ENTITY_TERMINAL, HASH_TERMINAL},
    {FIELD_IP, ENTITY_ADDRESS, HASH_ADDRESS},
};

enum event_field intake_entity_field(const struct event_batch *batch, uint32_t row,
                                     enum entity_kind kind)
{
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
        if (identities[i].kind == kind && event_has(batch, row, identities[i].field)) {
            return identities[i].field;
        }
    }
    return intake_user_field(batch, row);
}

struct word {
    enum event_field field;
    enum hashed_field hash;
};

static const struct word words[] = {
    {FIELD_ITEM, HASH_ITEM},      {FIELD_CATEGORY, HASH_CATEGORY},
    {FIELD_BRAND, HASH_BRAND},    {FIELD_TEXT, HASH_QUERY},
    {FIELD_ORDER_ID, HASH_ORDER}, {FIELD_SESSION_HINT, HASH_SESSION_HINT},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The keys of a batch's rows, with where their records go. */
struct wanted {
    struct record_key *keys;
    struct record ***places;
    uint32_t count;
};

static void want(struct wanted *wanted, struct event_batch *batch, uint32_t row,
                 enum entity_kind kind, struct key128 id)
{
    wanted->keys[wanted->count] = (struct record_key){.id = id, .kind = (uint8_t)kind};
    wanted->places[wanted->count] = &batch->record[kind][row];
    wanted->count++;
}

static void want_row(struct wanted *wanted, const struct pseudonym_key *key, uint32_t entity_mask,
                     struct event_batch *batch, uint32_t row)
{
    bool has_state = batch->state[row] == ROW_LIVE;
    batch->user_key[row] = make_user_key(batch, row, key);
    if ((has_state || batch->state[row] == ROW_ERASURE) && (entity_mask >> ENTITY_USER & 1)) {
        want(wanted, batch, row, ENTITY_USER, batch->user_key[row]);
    }
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        const struct identity *identity = &identities[i];
        if (!event_has(batch, row, identity->field)) {
            continue;
        }
        struct key128 id =
            pseudonym_make(key, (uint8_t)identity->kind, batch->text[identity->field][row]);
        batch->hash[identity->hash][row] = id.low | 1; /* 0 means missing. */
        if (has_state && (entity_mask >> identity->kind & 1)) {
            want(wanted, batch, row, identity->kind, id);
        }
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (event_has(batch, row, words[i].field)) {
            batch->hash[words[i].hash][row] = hash64(batch->text[words[i].field][row]) | 1;
        }
    }
    if (has_state && (entity_mask >> ENTITY_ITEM & 1) && batch->hash[HASH_ITEM][row]) {
        struct key128 id = {.high = batch->hash[HASH_ITEM][row], .low = 0};
        want(wanted, batch, row, ENTITY_ITEM, id);
    }
}

/* The columns that rows fill only where they have something to say. */
static void clear_row_columns(struct event_batch *batch)
{
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        memset(batch->record[kind], 0, sizeof(batch->record[kind][0]) * BATCH_ROWS_MAX);
    }
    for (int field = HASH_EVENT_ID + 1; field < HASHED_FIELD_COUNT; field++) {
        memset(batch->hash[field], 0, sizeof(batch->hash[field][0]) * BATCH_ROWS_MAX);
    }
}

enum status intake_take_records(struct record_cache *cache, const struct pseudonym_key *key,
                                uint32_t entity_mask, struct event_batch *batch,
                                struct error *error)
{
    clear_row_columns(batch);
    size_t most = (size_t)batch->event_count * ENTITY_KIND_COUNT + 1;
    struct wanted wanted = {
        .keys = arena_array(&batch->arena, struct record_key, most),
        .places = arena_array(&batch->arena, struct record **, most),
    };
    struct record **records = arena_array(&batch->arena, struct record *, most);
    if (!wanted.keys || !wanted.places || !records) {
        return error_set(error, STATUS_FATAL, "batch: out of memory");
    }
    for (uint32_t row = 0; row < batch->event_count; row++) {
        want_row(&wanted, key, entity_mask, batch, row);
    }
    enum status status = record_cache_take(cache, wanted.keys, wanted.count, records, error);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < wanted.count; i++) {
        *wanted.places[i] = records[i];
    }
    return STATUS_OK;
}

void intake_add_timer_rows(struct event_batch *batch, struct record *record, int64_t watermark_ms,
                           const struct key128 *last_id)
{
    bool is_behind = last_id && key128_compare(record->key.id, *last_id) > 0;
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        if (record->timer_ms[slot] > watermark_ms ||
            (record->timer_ms[slot] == watermark_ms && is_behind)) {
            continue;
        }
        assert(batch->row_count < BATCH_ROWS_MAX);
        uint32_t row = batch->row_count++;
        batch->kind[row] = ROW_TIMER;
        batch->state[row] = ROW_LIVE;
        batch->timer_slot[row] = (uint8_t)slot;
        batch->time_ms[row] = record->timer_ms[slot];
        batch->watermark_ms[row] = record->timer_ms[slot];
        batch->type[row] = EVENT_NONE;
        batch->present[row] = 0;
        batch->is_late[row] = 0;
        batch->ordinal[row] = 0;
        batch->place[row] = PLACE_UNKNOWN;
        batch->hash[HASH_EVENT_ID][row] = 0;
        batch->user_key[row] = record->key.id;
        batch->record[record->key.kind][row] = record;
    }
}

struct timer_row {
    int64_t time_ms;
    struct key128 id;
    uint8_t slot;
    uint32_t row;
};

static int compare_timer_rows(const void *left, const void *right)
{
    const struct timer_row *a = left;
    const struct timer_row *b = right;
    if (a->time_ms != b->time_ms) {
        return a->time_ms < b->time_ms ? -1 : 1;
    }
    int by_id = key128_compare(a->id, b->id);
    return by_id != 0 ? by_id : (int)a->slot - (int)b->slot;
}

void intake_sort_rows(struct event_batch *batch)
{
    static_assert(sizeof(struct timer_row) <= 48, "a sort that fits the cache");
    uint32_t timer_count = batch->row_count - batch->event_count;
    struct timer_row *timers = NULL;
    if (timer_count > 0) {
        timers = arena_array(&batch->arena, struct timer_row, timer_count);
        assert(timers); /* The arena's first block is larger than this can be. */
    }
    for (uint32_t i = 0; i < timer_count; i++) {
        uint32_t row = batch->event_count + i;
        timers[i] = (struct timer_row){.time_ms = batch->time_ms[row],
                                       .id = batch->user_key[row],
                                       .slot = batch->timer_slot[row],
                                       .row = row};
    }
    if (timer_count > 1) {
        qsort(timers, timer_count, sizeof(timers[0]), compare_timer_rows);
    }
    uint32_t taken = 0;
    uint32_t place = 0;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        while (taken < timer_count && timers[taken].time_ms <= batch->watermark_ms[row]) {
            batch->order[place++] = timers[taken++].row;
        }
        batch->order[place++] = row;
    }
    while (taken < timer_count) {
        batch->order[place++] = timers[taken++].row;
    }
}

uint64_t intake_expire_records(struct event_batch *batch, const struct record_layout *layout,
                               int64_t retention_ms)
{
    uint64_t expired = 0;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        for (int kind = 0; kind < ENTITY_TASK; kind++) {
            struct record *record = batch->record[kind][row];
            if (!record) {
                continue;
            }
            int64_t last_ms = record->last_event_ms;
            if (retention_ms > 0 && last_ms != INT64_MIN && batch->watermark_ms[row] > last_ms &&
                batch->watermark_ms[row] - last_ms > retention_ms &&
                record_next_timer(record) == TIMER_NONE) {
                /* The unknown parts are the committed copy's, which goes with the commit. */
                record_init(layout, record->key, record);
                expired++;
            }
            /* A late event is heard of when it comes: else the next one would find it expired. */
            int64_t heard_ms = batch->time_ms[row] > batch->watermark_ms[row]
                                   ? batch->time_ms[row]
                                   : batch->watermark_ms[row];
            if (heard_ms > record->last_event_ms) {
                record->last_event_ms = heard_ms;
            }
        }
    }
    return expired;
}

void intake_note_timers(struct event_batch *batch)
{
    for (uint32_t row = batch->event_count; row < batch->row_count; row++) {
        struct record *record = batch->record[ENTITY_USER][row];
        if (batch->state[row] == ROW_LIVE && batch->time_ms[row] > record->last_event_ms) {
            record->last_event_ms = batch->time_ms[row];
        }
    }
}

void intake_erase_user(struct event_batch *batch, const struct record_layout *layout)
{
    if (batch->event_count == 0 || batch->state[batch->event_count - 1] != ROW_ERASURE) {
        return;
    }
    uint32_t row = batch->event_count - 1;
    assert(batch->order[batch->row_count - 1] == row);
    struct record *record = batch->record[ENTITY_USER][row];
    if (!record) {
        return; /* Another task has it. */
    }
    int64_t heard_ms = record->last_event_ms;
    record_init(layout, record->key, record);
    record->last_event_ms = heard_ms;
}
