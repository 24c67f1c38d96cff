#include "test/fakes/generated_files.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/json_tree.h"
#include "pipeline/event/decoder.h"

#define LINE_BYTES_MAX 4096

struct simulation_options generated_options(const char *directory, uint64_t event_count)
{
    return (struct simulation_options){
        .seed = 7,
        .event_count = event_count,
        .start_ms = 1780272000000,
        .duration_ms = 86400000,
        .shopper_count = 5000,
        .item_count = 5000,
        .shopper_exponent = 0.8,
        .fraud_factor = 1,
        .late_share = 0.01,
        .duplicate_share = 0.003,
        .partitions = 1,
        .format = EVENT_WRITER_AVRO,
        .directory = directory,
    };
}

static uint64_t hash_of(const struct event_batch *batch, enum event_field field)
{
    return event_has(batch, 0, field) ? hash64(batch->text[field][0]) : 0;
}

static uint64_t fingerprint(const struct event_batch *batch)
{
    uint64_t hash = hash64_combine((uint64_t)batch->time_ms[0], batch->present[0]);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        hash = hash64_combine(hash, hash_of(batch, (enum event_field)field));
    }
    const int64_t *columns[] = {batch->price, batch->quantity, batch->stock, batch->order_line};
    const enum event_field fields[] = {FIELD_PRICE, FIELD_QUANTITY, FIELD_STOCK, FIELD_ORDER_LINE};
    for (int i = 0; i < 4; i++) {
        hash = hash64_combine(hash, event_has(batch, 0, fields[i]) ? (uint64_t)columns[i][0] : 0);
    }
    return hash;
}

static void note_event(const struct event_batch *batch, uint32_t file, struct seen_event *event)
{
    char id[64] = "";
    struct text text = batch->text[FIELD_EVENT_ID][0];
    assert(text.length < sizeof(id));
    memcpy(id, text.data, text.length);
    char *hyphen;
    *event = (struct seen_event){.visit = strtoull(id + 1, &hyphen, 16), .file = file};
    assert(id[0] == 'v' && *hyphen == '-');
    event->step = (uint32_t)strtoul(hyphen + 1, NULL, 10);
    event->type = (enum event_type)batch->type[0];
    event->time_ms = batch->time_ms[0];
    event->price = event_has(batch, 0, FIELD_PRICE) ? batch->price[0] : -1;
    event->fingerprint = fingerprint(batch);
    event->user = hash_of(batch, FIELD_USER_ID);
    event->device = hash_of(batch, FIELD_DEVICE_ID);
    event->key = event->user ? event->user : event->device;
    event->card = hash_of(batch, FIELD_INSTRUMENT);
    event->label_for = hash_of(batch, FIELD_LABEL_FOR);
}

static void *grown(void *items, size_t count, size_t size)
{
    /* Doubles at each power of two. */
    if ((count & (count - 1)) != 0) {
        return items;
    }
    void *more = realloc(items, (count ? 2 * count : 1) * size);
    assert(more);
    return more;
}

static void read_file(const char *path, enum input_format format, uint32_t file,
                      struct event_batch *batch, struct seen_events *events)
{
    struct error error = {""};
    struct source_options options = {.path = path, .format = format};
    struct input_position start = {0};
    struct mapping *mapping = NULL;
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    enum status status = mapping_compile(NULL, &mapping, &error);
    status = status == STATUS_OK ? source_open(&options, &start, &source, &error) : status;
    status =
        status == STATUS_OK ? decoder_create(mapping, &options, source, &decoder, &error) : status;
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
    }
    assert(status == STATUS_OK);
    for (;;) {
        struct raw_record record;
        struct rejection rejection = {0};
        enum source_result result = SOURCE_END;
        status = source_next(source, &record, &result, &error);
        assert(status == STATUS_OK);
        if (result != SOURCE_RECORD) {
            break;
        }
        event_batch_reset(batch);
        if (decoder_decode(decoder, &record, batch, 0, &rejection) == MAPPING_EVENT) {
            events->items = grown(events->items, events->count, sizeof(*events->items));
            note_event(batch, file, &events->items[events->count++]);
        } else if (events->rejected++ == 0) {
            (void)fprintf(stderr, "%s: %s\n", rejection_names[rejection.reason], rejection.detail);
        }
        source_release(source);
    }
    decoder_destroy(decoder);
    source_close(source);
    mapping_destroy(mapping);
}

struct seen_events generated_events_read(const struct simulation_options *options)
{
    struct seen_events events = {0};
    struct event_batch batch;
    enum status status = event_batch_init(&batch, 0, NULL);
    assert(status == STATUS_OK);
    bool is_avro = options->format == EVENT_WRITER_AVRO;
    for (uint32_t file = 0; file < options->partitions; file++) {
        char suffix[16] = "", path[4096];
        if (options->partitions > 1) {
            (void)snprintf(suffix, sizeof(suffix), "-%u", file);
        }
        (void)snprintf(path, sizeof(path), "%s/events%s.%s", options->directory, suffix,
                       is_avro ? "avro" : "jsonl");
        read_file(path, is_avro ? INPUT_AVRO : INPUT_JSONL, file, &batch, &events);
    }
    event_batch_release(&batch);
    return events;
}

static bool flag(const struct json_value *visit, const char *name)
{
    const struct json_value *value = json_member(visit, name);
    assert(value && value->kind == JSON_BOOL);
    return value->flag;
}

static enum visit_kind kind_of(struct text name)
{
    int kind = 0;
    while (kind < VISIT_KIND_COUNT && !text_is(name, visit_kinds[kind].name)) {
        kind++;
    }
    assert(kind < VISIT_KIND_COUNT);
    return (enum visit_kind)kind;
}

static void note_visit(const struct json_value *line, struct seen_visit *visit)
{
    struct text id = json_member_text(line, "visit");
    char digits[32] = "";
    assert(id.length > 1 && id.length < sizeof(digits) && id.data[0] == 'v');
    memcpy(digits, id.data + 1, id.length - 1);
    *visit = (struct seen_visit){
        .number = strtoull(digits, NULL, 16),
        .kind = kind_of(json_member_text(line, "kind")),
        .is_bot = flag(line, "bot"),
        .is_fraud = flag(line, "fraud"),
        .is_complete = flag(line, "complete"),
        .reached_cart = flag(line, "reached_cart"),
        .purchased = flag(line, "purchased"),
        .coupon_shown = flag(line, "coupon_shown"),
        .buys_without_coupon = flag(line, "buys_without_coupon"),
        .buys_with_coupon = flag(line, "buys_with_coupon"),
        .shopper = (int64_t)json_member_number(line, "shopper", -1),
        .start_ms = (int64_t)json_member_number(line, "start", -1),
        .events = (uint32_t)json_member_number(line, "events", -1),
    };
}

struct seen_visits generated_truth_read(const struct simulation_options *options)
{
    char path[4096], line[LINE_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "%s/truth.jsonl", options->directory);
    FILE *file = fopen(path, "r");
    assert(file);
    struct seen_visits visits = {0};
    struct arena arena;
    arena_init(&arena, (size_t)LINE_BYTES_MAX * 4);
    while (fgets(line, sizeof(line), file)) {
        struct error error;
        const struct json_value *value = NULL;
        struct text text = text_of(line);
        assert(text.length > 0 && line[text.length - 1] == '\n');
        enum status status = json_tree_parse(text, &arena, &value, &error);
        assert(status == STATUS_OK);
        visits.items = grown(visits.items, visits.count, sizeof(*visits.items));
        note_visit(value, &visits.items[visits.count++]);
        arena_reset(&arena);
    }
    (void)fclose(file);
    arena_release(&arena);
    return visits;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = ((const struct seen_visit *)a)->number;
    uint64_t right = ((const struct seen_visit *)b)->number;
    return left < right ? -1 : left > right;
}

void generated_visits_sort(struct seen_visits *visits)
{
    qsort(visits->items, visits->count, sizeof(*visits->items), by_number);
}

const struct seen_visit *generated_visit_find(const struct seen_visits *visits, uint64_t number)
{
    const struct seen_visit wanted = {.number = number};
    return bsearch(&wanted, visits->items, visits->count, sizeof(*visits->items), by_number);
}
