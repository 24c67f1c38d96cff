#include "operators/extract_features.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "operators/feature_entity.h"
#include "operators/feature_user.h"

#define OPTION(member) offsetof(struct extract_features_options, member)

static const struct setting settings[] = {
    {.name = "utc_offset_minutes",
     .type = SETTING_INTEGER,
     .offset = OPTION(utc_offset_minutes),
     .fallback = "0",
     .min = -720,
     .max = 840,
     .doc = "Minutes that the shop's clock is ahead of UTC, for the time of day and of week."},
    {.name = "cart_lifetime",
     .type = SETTING_DURATION,
     .offset = OPTION(cart_lifetime_ms),
     .fallback = "14d",
     .min = 60000,
     .max = 366 * 86400000.0,
     .doc = "A cart that was not touched for longer is taken as empty."},
    {.name = "bad_labels",
     .type = SETTING_LIST,
     .offset = OPTION(bad_labels),
     .fallback = "[chargeback, fraud]",
     .doc = "Values of label events that say that the labelled event was fraud."},
    {.name = "markov",
     .type = SETTING_PATH,
     .offset = OPTION(markov),
     .doc = "Markov table of the shop's own history, for the family funnel: a file, or the folder "
            "of a pack with markov.yaml. Without it a common shop's stands in."},
};

const struct setting_section extract_features_section = {
    .name = "extract_features",
    .doc = "What is computed of each user's and entity's history.",
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
    .options_bytes = sizeof(struct extract_features_options),
};

const struct stage_info extract_features_info = {
    .name = "extract_features",
    .doc = "Keeps the history of users, cards, devices, addresses and terminals and writes a row "
           "of features for each event and due timer.",
    .reads = "order, state, kind, time_ms, type, present, price, quantity, text, hash, user_key, "
             "record, session_id, session_flags, session_start_ms, session_event_count",
    .writes = "features",
};

static struct feature_set the_set = {.features = feature_table, .count = FEATURE_COUNT};

static void hash_names(void)
{
    the_set.hash = feature_set_hash(feature_table, FEATURE_COUNT);
}

const struct feature_set *extract_features_set(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, hash_names);
    return &the_set;
}

static const enum entity_kind entity_kinds[] = {ENTITY_DEVICE, ENTITY_CARD, ENTITY_TERMINAL,
                                                ENTITY_ADDRESS};
#define KIND_COUNT (sizeof(entity_kinds) / sizeof(entity_kinds[0]))
#define OFFSET_NONE UINT32_MAX

struct extract_features {
    struct stage stage;
    struct feature_tables tables;
    uint32_t user_offset;
    uint32_t entity_offset[KIND_COUNT];       /* OFFSET_NONE: no state is kept by this kind. */
    struct carried_columns carried;           /* Of the options' carried_mask. */
    uint16_t own_columns[ENTITY_COLUMNS_MAX]; /* Of the one kind, where there is only that. */
    uint32_t own_column_count;
    char **bad_labels; /* Owned, each owned. */
    size_t bad_label_count;
};

static bool is_activity(enum event_type type)
{
    switch (type) {
    case EVENT_LABEL:
    case EVENT_IDENTITY_LINK:
    case EVENT_PRICE_CHANGE:
    case EVENT_STOCK_CHANGE:
    case EVENT_ERASE:
    case EVENT_NONE:
        return false;
    default:
        return true;
    }
}

static bool is_bad_label(const struct extract_features *self, const struct event_batch *batch,
                         uint32_t row)
{
    if (batch->type[row] != EVENT_LABEL || !event_has(batch, row, FIELD_LABEL_VALUE)) {
        return false;
    }
    for (size_t i = 0; i < self->bad_label_count; i++) {
        if (text_is(batch->text[FIELD_LABEL_VALUE][row], self->bad_labels[i])) {
            return true;
        }
    }
    return false;
}

static void read_money(const struct event_batch *batch, uint32_t row, struct feature_event *event)
{
    bool has_quantity = event_has(batch, row, FIELD_QUANTITY) && batch->quantity[row] > 0;
    int64_t quantity = has_quantity ? batch->quantity[row] : 1;
    event->pieces = quantity < UINT16_MAX ? (uint16_t)quantity : UINT16_MAX;
    event->has_price = event_has(batch, row, FIELD_PRICE) && batch->price[row] >= 0;
    if (event->has_price) {
        event->price = batch->price[row];
        if (__builtin_mul_overflow(event->price, quantity, &event->amount)) {
            event->amount = INT64_MAX;
        }
    }
}

static struct feature_event read_row(const struct extract_features *self,
                                     const struct event_batch *batch, uint32_t row)
{
    struct feature_event event = {
        .time_ms = batch->time_ms[row] > 0 ? batch->time_ms[row] : 0,
        .type = EVENT_NONE,
    };
    if (batch->kind[row] != ROW_EVENT) {
        return event;
    }
    event.type = (enum event_type)batch->type[row];
    event.is_activity = is_activity(event.type);
    event.is_bad_label = is_bad_label(self, batch, row);
    event.session_flags = batch->session_flags[row];
    event.session_start_ms = batch->session_start_ms[row];
    event.session_id = batch->session_id[row];
    event.session_events = batch->session_event_count[row];
    event.user = batch->user_key[row].high ^ batch->user_key[row].low;
    event.item = batch->hash[HASH_ITEM][row];
    event.category = batch->hash[HASH_CATEGORY][row];
    event.device = batch->hash[HASH_DEVICE][row];
    event.address = batch->hash[HASH_ADDRESS][row];
    event.card = batch->hash[HASH_CARD][row];
    event.has_referrer = event_has(batch, row, FIELD_REFERRER);
    read_money(batch, row, &event);
    return event;
}

#define CATEGORY_BUCKET_BITS 6

static void write_event(const struct feature_event *event, float *features)
{
    if (event->type == EVENT_NONE) {
        return;
    }
    features[FEATURE_EVENT_TYPE] = (float)event->type;
    if (event->category != 0) {
        uint64_t mixed = event->category * UINT64_C(0x9E3779B97F4A7C15);
        features[FEATURE_EVENT_CATEGORY] = (float)(mixed >> (64 - CATEGORY_BUCKET_BITS));
    }
    if (event->has_price) {
        features[FEATURE_EVENT_PRICE] = (float)((double)event->price / MILLIONTHS);
    }
}

static void process_user(const struct extract_features *self, const struct event_batch *batch,
                         uint32_t row, struct feature_event *event, float *features)
{
    struct user_features *user = record_part_at(batch->record[ENTITY_USER][row], self->user_offset);
    if (event->is_bad_label) {
        feature_count16(&user->totals.bad_labels);
    }
    if (event->is_activity) {
        user_features_observe(user, &self->tables, event, features);
    } else {
        user_features_peek(user, &self->tables, event, features);
    }
}

static void process_entities(const struct extract_features *self, const struct event_batch *batch,
                             uint32_t row, const struct feature_event *event, float *features)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        enum entity_kind kind = entity_kinds[i];
        struct record *record = batch->record[kind][row];
        if (self->entity_offset[i] != OFFSET_NONE && record) {
            entity_features_observe(record_part_at(record, self->entity_offset[i]), kind,
                                    &self->tables.sketches, event, features);
        }
    }
}

/* The records of a row that comes soon. */
RECORD_PREFETCHES void prefetch_row(const struct extract_features *self,
                                    const struct event_batch *batch, uint32_t row)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (self->entity_offset[i] != OFFSET_NONE) {
            record_prefetch(batch->record[entity_kinds[i]][row], self->entity_offset[i],
                            ENTITY_FEATURES_BYTES);
        }
    }
    record_prefetch(batch->record[ENTITY_USER][row], self->user_offset, USER_FEATURES_BYTES);
}

void extract_features_carried(uint32_t mask, struct carried_columns *ret_columns)
{
    *ret_columns = (struct carried_columns){0};
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        uint16_t columns[ENTITY_COLUMNS_MAX];
        uint32_t count =
            mask >> kind & 1 ? entity_features_columns((enum entity_kind)kind, columns) : 0;
        assert(ret_columns->count + count <= CARRIED_COLUMNS_MAX);
        for (uint32_t i = 0; i < count; i++) {
            ret_columns->columns[ret_columns->count++] = columns[i];
            ret_columns->hash =
                hash64_combine(ret_columns->hash, hash64(text_of(feature_table[columns[i]].name)));
        }
    }
}

/* What hops have computed of the events. */
static void copy_carried(const struct extract_features *self, struct event_batch *batch)
{
    for (uint32_t row = 0; row < batch->event_count; row++) {
        const float *values = batch->carried[row];
        if (batch->state[row] != ROW_LIVE || !values) {
            continue;
        }
        float *features = batch->features + (size_t)row * batch->feature_stride;
        for (uint32_t i = 0; i < self->carried.count; i++) {
            features[self->carried.columns[i]] = values[i];
        }
    }
}

static enum status extract_features_process(struct stage *stage, struct event_batch *batch,
                                            struct error *error)
{
    (void)error;
    const struct extract_features *self = container_of(stage, struct extract_features, stage);
    assert(batch->feature_count == FEATURE_COUNT);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        if (i + RECORD_PREFETCH_ROWS < batch->row_count) {
            prefetch_row(self, batch, batch->order[i + RECORD_PREFETCH_ROWS]);
        }
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        float *features = batch->features + (size_t)row * batch->feature_stride;
        for (uint32_t column = 0; column < batch->feature_stride; column++) {
            features[column] = NAN;
        }
        struct feature_event event = read_row(self, batch, row);
        process_user(self, batch, row, &event, features);
        process_entities(self, batch, row, &event, features);
        write_event(&event, features);
    }
    if (self->carried.count > 0) {
        copy_carried(self, batch);
    }
    return STATUS_OK;
}

/* Rows of a task that keeps state by one kind of entity, which has no timers. */
static enum status process_entity(struct stage *stage, struct event_batch *batch,
                                  struct error *error)
{
    (void)error;
    const struct extract_features *self = container_of(stage, struct extract_features, stage);
    assert(batch->feature_count == FEATURE_COUNT && batch->row_count == batch->event_count);
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        float *features = batch->features + (size_t)row * batch->feature_stride;
        for (uint32_t column = 0; column < self->own_column_count; column++) {
            features[self->own_columns[column]] = NAN;
        }
        struct feature_event event = read_row(self, batch, row);
        process_entities(self, batch, row, &event, features);
    }
    return STATUS_OK;
}

static void extract_features_destroy(struct stage *stage)
{
    struct extract_features *self = container_of(stage, struct extract_features, stage);
    for (size_t i = 0; i < self->bad_label_count; i++) {
        free(self->bad_labels[i]);
    }
    free(self->bad_labels);
    free(self);
}

static const struct stage_ops extract_features_ops = {
    .info = &extract_features_info,
    .process = extract_features_process,
    .destroy = extract_features_destroy,
};

static const struct stage_ops entity_ops = {
    .info = &extract_features_info,
    .process = process_entity,
    .destroy = extract_features_destroy,
};

static enum status copy_bad_labels(struct extract_features *self, const struct text_list *labels,
                                   struct error *error)
{
    if (labels->count == 0) {
        return STATUS_OK;
    }
    self->bad_labels = calloc(labels->count, sizeof(*self->bad_labels));
    for (size_t i = 0; self->bad_labels && i < labels->count; i++) {
        self->bad_labels[i] = strdup(labels->items[i]);
        if (!self->bad_labels[i]) {
            break;
        }
        self->bad_label_count++;
    }
    return self->bad_label_count == labels->count
               ? STATUS_OK
               : error_set(error, STATUS_FATAL, "extract_features: out of memory");
}

static enum status add_user_part(struct extract_features *self, struct record_layout *layout,
                                 struct error *error)
{
    const struct record_part part = {
        .name = "features",
        .id = PART_FEATURES_USER,
        .version = USER_FEATURES_VERSION,
        .kind = ENTITY_USER,
        .bytes = USER_FEATURES_BYTES,
        .upgrade = user_features_upgrade,
    };
    return record_layout_add(layout, &part, &self->user_offset, error);
}

enum status extract_features_load(const struct extract_features_options *options,
                                  struct markov_pack **ret_markov, struct error *error)
{
    const char *states[EVENT_TYPE_COUNT];
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        states[type] = event_types[type].name;
    }
    *ret_markov = NULL;
    return options->markov
               ? markov_pack_load(options->markov, states, EVENT_TYPE_COUNT, ret_markov, error)
               : STATUS_OK;
}

static enum status add_entity_parts(struct extract_features *self, uint32_t entity_mask,
                                    struct record_layout *layout, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < KIND_COUNT; i++) {
        self->entity_offset[i] = OFFSET_NONE;
        if (entity_mask >> entity_kinds[i] & 1) {
            const struct record_part part = {
                .name = "features",
                .id = PART_FEATURES_ENTITY,
                .version = ENTITY_FEATURES_VERSION,
                .kind = (uint8_t)entity_kinds[i],
                .bytes = ENTITY_FEATURES_BYTES,
            };
            status = record_layout_add(layout, &part, &self->entity_offset[i], error);
        }
    }
    return status;
}

static enum status init_tables(struct extract_features *self,
                               const struct extract_features_options *options,
                               const struct markov *markov, struct error *error)
{
    if (options->utc_offset_minutes < -720 || options->utc_offset_minutes > 840 ||
        options->cart_lifetime_ms < 1000) {
        return error_set(error, STATUS_INVALID,
                         "extract_features: utc_offset_minutes %lld, cart_lifetime %lld ms: -720 "
                         "to 840 and at least 1000 ms expected",
                         (long long)options->utc_offset_minutes,
                         (long long)options->cart_lifetime_ms);
    }
    sketch_table_init(&self->tables.sketches);
    calendar_table_init(&self->tables.calendar, options->utc_offset_minutes);
    self->tables.cart_lifetime_ms = options->cart_lifetime_ms;
    struct markov common;
    if (!markov) {
        funnel_default_markov(&common);
        markov = &common;
    }
    return funnel_table_init(&self->tables.funnel, markov, error);
}

enum status extract_features_create(const struct extract_features_options *options,
                                    const struct markov *markov, struct record_layout *layout,
                                    struct stage **ret_stage, struct error *error)
{
    struct extract_features *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "extract_features: out of memory");
    }
    self->stage.ops = &extract_features_ops;
    enum status status = init_tables(self, options, markov, error);
    if (status == STATUS_OK) {
        status = copy_bad_labels(self, &options->bad_labels, error);
    }
    if (status == STATUS_OK) {
        status = add_user_part(self, layout, error);
    }
    if (status == STATUS_OK) {
        status = add_entity_parts(self, options->entity_mask, layout, error);
    }
    if (status != STATUS_OK) {
        extract_features_destroy(&self->stage);
        return status;
    }
    extract_features_carried(options->carried_mask, &self->carried);
    *ret_stage = &self->stage;
    return STATUS_OK;
}

enum status extract_features_create_entity(const struct extract_features_options *options,
                                           enum entity_kind kind, struct record_layout *layout,
                                           struct stage **ret_stage, struct error *error)
{
    struct extract_features *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "extract_features: out of memory");
    }
    self->stage.ops = &entity_ops;
    self->own_column_count = entity_features_columns(kind, self->own_columns);
    enum status status = init_tables(self, options, NULL, error);
    if (status == STATUS_OK) {
        status = copy_bad_labels(self, &options->bad_labels, error);
    }
    if (status == STATUS_OK) {
        status = add_entity_parts(self, 1u << kind, layout, error);
    }
    if (status != STATUS_OK) {
        extract_features_destroy(&self->stage);
        return status;
    }
    *ret_stage = &self->stage;
    return STATUS_OK;
}

int64_t extract_features_timer_floor_ms(const struct extract_features_options *options)
{
    (void)options;
    return INT64_MAX;
}

void extract_features_describe(bool is_markdown, FILE *out)
{
    feature_table_describe(is_markdown, out);
}
