#include "test/simulation/committed.h"

#include <stdlib.h>

#include "pipeline/limits.h"

static void *must_grow(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes > 0 ? bytes : 1);
    assert(grown);
    return grown;
}

/* ---- records ---- */

/* All that the stages could see of it. */
static uint64_t meaning_of(const struct record_layout *layout, struct record_key key,
                           const void *bytes, uint32_t length)
{
    static _Alignas(16) unsigned char memory[sizeof(struct record) + TASK_BYTES_MAX];
    struct record *record = (struct record *)(void *)memory;
    struct record_decode_counts counts = {0};
    struct error error;
    record->key = key;
    enum status status = record_decode(layout, bytes, length, record, &counts, &error);
    assert(status == STATUS_OK && !record->unknown_parts);
    struct text parts = {(const char *)record->parts, layout->bytes[key.kind]};
    uint64_t hash = hash64_combine(hash64(parts), key.kind);
    hash = hash64_combine(hash64_combine(hash, key.id.high), key.id.low);
    hash = hash64_combine(hash, (uint64_t)record->last_event_ms);
    hash = hash64_combine(hash, record->epoch);
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        hash = hash64_combine(hash, (uint64_t)record->timer_ms[slot]);
    }
    return hash;
}

static struct committed_record *place_of(const struct record_map *map, struct record_key key)
{
    uint32_t at = (uint32_t)(key.id.low ^ key.id.high >> 32 ^ key.kind * 0x9e3779b9u);
    for (;; at++) {
        struct committed_record *place = &map->places[at & (map->capacity - 1)];
        if (place->length == 0 ||
            (place->key.kind == key.kind && key128_compare(place->key.id, key.id) == 0)) {
            return place;
        }
    }
}

static void grow_map(struct record_map *map)
{
    struct record_map grown = {.capacity = map->capacity ? 2 * map->capacity : 128,
                               .count = map->count};
    memcpy(grown.meaning, map->meaning, sizeof(grown.meaning));
    grown.places = calloc(grown.capacity, sizeof(*grown.places));
    assert(grown.places);
    for (uint32_t i = 0; i < map->capacity; i++) {
        if (map->places[i].length > 0) {
            *place_of(&grown, map->places[i].key) = map->places[i];
        }
    }
    free(map->places);
    *map = grown;
}

void record_map_put(struct record_map *map, const struct record_layout *layout,
                    struct record_key key, const void *bytes, uint32_t length)
{
    assert(length > 0);
    if (4 * (map->count + 1) > 3 * map->capacity) {
        grow_map(map);
    }
    struct committed_record *place = place_of(map, key);
    map->count += place->length == 0;
    map->meaning[key.kind] -= place->meaning;
    place->key = key;
    place->length = length;
    place->bytes = must_grow(place->bytes, length);
    memcpy(place->bytes, bytes, length);
    place->meaning = layout ? meaning_of(layout, key, bytes, length) : 0;
    map->meaning[key.kind] += place->meaning;
}

const struct committed_record *record_map_find(const struct record_map *map, struct record_key key)
{
    const struct committed_record *place = map->capacity > 0 ? place_of(map, key) : NULL;
    return place && place->length > 0 ? place : NULL;
}

void record_map_release(struct record_map *map)
{
    for (uint32_t i = 0; i < map->capacity; i++) {
        free(map->places[i].bytes);
    }
    free(map->places);
    *map = (struct record_map){0};
}

/* ---- the rest ---- */

void committed_journal_add(struct committed_journal *journal, const struct journal_entry *entry,
                           uint64_t log_position)
{
    if (journal->count == journal->capacity) {
        journal->capacity = journal->capacity ? 2 * journal->capacity : 16;
        journal->entries =
            must_grow(journal->entries, journal->capacity * sizeof(*journal->entries));
    }
    journal->entries[journal->count++] = (struct committed_entry){.ordinal = entry->ordinal,
                                                                  .value = entry->value,
                                                                  .payload = hash64(entry->payload),
                                                                  .log_position = log_position,
                                                                  .kind = entry->kind};
}

void committed_release(struct committed *committed)
{
    record_map_release(&committed->records);
    free(committed->journal.entries);
    *committed = (struct committed){.layout = committed->layout,
                                    .progress_offset = committed->progress_offset};
}

static void read_progress(struct committed *committed)
{
    static _Alignas(16) unsigned char memory[sizeof(struct record) + TASK_BYTES_MAX];
    struct record *record = (struct record *)(void *)memory;
    struct record_key key = {.kind = ENTITY_TASK};
    const struct committed_record *own = record_map_find(&committed->records, key);
    struct record_decode_counts counts = {0};
    struct error error;
    if (own) {
        record->key = key;
        enum status status =
            record_decode(committed->layout, own->bytes, own->length, record, &counts, &error);
        assert(status == STATUS_OK);
        memcpy(&committed->progress, record_part_at(record, committed->progress_offset),
               sizeof(committed->progress));
    }
}

static void add(struct committed *committed, const struct commit_content *content,
                uint64_t log_position)
{
    for (uint32_t i = 0; i < content->record_count; i++) {
        const struct changelog_entry *entry = &content->records[i];
        record_map_put(&committed->records, committed->layout, entry->key, entry->bytes,
                       entry->length);
    }
    for (uint32_t i = 0; i < content->journal_count; i++) {
        committed_journal_add(&committed->journal, &content->journal[i], log_position);
    }
    committed->position = content->position;
    committed->log_position = log_position;
    read_progress(committed);
}

void committed_add(struct committed *committed, const struct kept_content *kept,
                   uint64_t log_position)
{
    add(committed, &kept->content, log_position);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        committed->output_count[topic] += kept->line_count[topic];
        committed->output_bytes[topic] += kept->line_bytes[topic];
    }
}

struct run_place committed_place(const struct committed *committed)
{
    const struct task_progress *progress = &committed->progress;
    return (struct run_place){
        .events_read = progress->counters.events_read,
        .timers_fired = progress->counters.timers_fired,
        .ticks = progress->counters.ticks,
        .is_ticking = progress->is_ticking,
        .is_drained = progress->is_drained,
    };
}
