#include "pipeline/state/record_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pipeline/state/record_cache_internal.h"

/* Entries, and then the records that they name. */
#define PREFETCH_AHEAD 16u
#define PREFETCH_RECORDS 4u

enum status record_cache_create(const struct record_layout *layout, struct state_store *store,
                                const struct record_cache_options *options,
                                struct record_cache **ret_cache, struct error *error)
{
    struct record_cache *cache = calloc(1, sizeof(*cache));
    if (!cache) {
        return error_set(error, STATUS_FATAL, "record cache: out of memory");
    }
    cache->layout = layout;
    cache->store = store;
    enum status status = cache_map_memory(cache, options, error);
    if (status != STATUS_OK) {
        free(cache);
        return status;
    }
    for (unsigned kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        cache->encoded_size_max[kind] = record_encoded_bytes_max(layout, (uint8_t)kind, 0);
    }
    cache->dirty_head = CACHE_NO_ENTRY;
    cache->dirty_tail = CACHE_NO_ENTRY;
    cache->complete_position = store->ops->position(store);
    *ret_cache = cache;
    return STATUS_OK;
}

void record_cache_destroy(struct record_cache *cache)
{
    if (!cache) {
        return;
    }
    record_cache_abort(cache);
    for (uint32_t i = 0; i < cache->entries_cut; i++) {
        if (cache->entries[i].committed) {
            free(cache->entries[i].committed->unknown_parts);
        }
    }
    (void)munmap(cache->mapping, cache->mapping_bytes);
    free(cache);
}

enum status cache_decode(struct record_cache *cache, uint32_t index, const void *bytes,
                         uint32_t length, struct error *error)
{
    struct cache_entry *entry = &cache->entries[index];
    assert(!entry->committed);
    struct record *record = cache_slot_take(cache, entry->key.kind);
    if (!record) {
        return error_set(error, STATUS_RETRY, "record cache: all records are needed");
    }
    record->key = entry->key;
    enum status status =
        record_decode(cache->layout, bytes, length, record, &cache->stats.decode, error);
    if (status != STATUS_OK) {
        record_slab_give(&cache->slab, record);
        return status;
    }
    record->cache_entry = index;
    entry->committed = record;
    cache->stats.resident++;
    cache->unknown_bytes += record->unknown_bytes;
    return STATUS_OK;
}

/* Finds or adds the entries of a block and pins them; new ones are `missed`. */
static enum status find_block(struct record_cache *cache, const struct record_key *keys,
                              uint32_t count, uint32_t *ret_found, uint32_t *ret_missed,
                              struct error *error)
{
    *ret_missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        assert(keys[i].kind < ENTITY_KIND_COUNT && cache->layout->bytes[keys[i].kind] > 0);
        cache->hashes[i] = record_table_hash(keys[i]);
        record_table_prefetch_slot(&cache->table, cache->hashes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH_AHEAD < count) {
            record_table_prefetch_entry(&cache->table, cache->hashes[i + PREFETCH_AHEAD]);
        }
        uint32_t index = record_table_find(&cache->table, keys[i], cache->hashes[i]);
        if (index == CACHE_NO_ENTRY) {
            index = cache_entry_add(cache, keys[i], cache->hashes[i]);
            if (index == CACHE_NO_ENTRY) {
                return error_set(error, STATUS_RETRY, "record cache: all records are needed");
            }
            cache->missed[(*ret_missed)++] = index;
        } else {
            cache->stats.hits++;
        }
        cache->entries[index].is_pinned = 1;
        cache->entries[index].is_referenced = 1;
        cache->found[i] = index;
        *ret_found = i + 1;
    }
    return STATUS_OK;
}

static enum status load_missed(struct record_cache *cache, uint32_t count, struct error *error)
{
    if (count == 0) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        cache->load_keys[i] = store_key_of_record(cache->entries[cache->missed[i]].key);
    }
    enum status status = cache->store->ops->get_many(cache->store, cache->load_keys, count,
                                                     cache->load_values, error);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct store_value value = cache->load_values[i];
        if (!value.bytes) {
            cache->stats.new_records++;
            continue;
        }
        struct cache_entry *entry = &cache->entries[cache->missed[i]];
        status = cache_decode(cache, cache->missed[i], value.bytes, value.length, error);
        if (status == STATUS_OK) {
            entry->stored_index_ms = entry->committed->index_ms;
        }
    }
    cache->stats.misses += count;
    return status;
}

/* Makes the working copy and appends it to the transaction. */
static enum status start_working(struct record_cache *cache, uint32_t index, struct error *error)
{
    struct cache_entry *entry = &cache->entries[index];
    uint8_t kind = entry->key.kind;
    size_t slot_bytes = cache->slab.slot_bytes[kind];
    size_t encoded_bytes =
        cache->encoded_size_max[kind] + (entry->committed ? entry->committed->unknown_bytes : 0);
    bool is_full = cache->taken_count == cache->taken_max ||
                   cache->taken_encoded_bytes + encoded_bytes > cache->encoded_bytes_max ||
                   cache->dirty_bytes + cache->taken_bytes + slot_bytes > cache->claimed_bytes_max;
    struct record *working = is_full ? NULL : cache_slot_take(cache, kind);
    if (!working) {
        return error_set(error, STATUS_RETRY, "record cache: full of changed records");
    }
    if (entry->committed) {
        memcpy(working, entry->committed, sizeof(struct record) + cache->layout->bytes[kind]);
    } else {
        record_init(cache->layout, entry->key, working);
    }
    working->cache_entry = index;
    entry->working = working;
    cache->taken[cache->taken_count++] = index;
    cache->taken_bytes += slot_bytes;
    cache->taken_encoded_bytes += encoded_bytes;
    return STATUS_OK;
}

/* All of what is about to be copied; of a working copy its head, the stages ask for their parts. */
RECORD_PREFETCHES void prefetch_taken(const struct record_cache *cache, uint32_t index)
{
    const struct cache_entry *entry = &cache->entries[index];
    if (entry->working) {
        __builtin_prefetch(entry->working);
    } else {
        cache_prefetch(cache, entry->committed, entry->key.kind);
    }
}

static enum status start_block(struct record_cache *cache, uint32_t count,
                               struct record **ret_records, struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH_RECORDS < count) {
            prefetch_taken(cache, cache->found[i + PREFETCH_RECORDS]);
        }
        if (!cache->entries[cache->found[i]].working) {
            enum status status = start_working(cache, cache->found[i], error);
            if (status != STATUS_OK) {
                return status;
            }
        }
        ret_records[i] = cache->entries[cache->found[i]].working;
    }
    return STATUS_OK;
}

static enum status take_block(struct record_cache *cache, const struct record_key *keys,
                              uint32_t count, struct record **ret_records, struct error *error)
{
    uint32_t found = 0;
    uint32_t missed = 0;
    enum status status = find_block(cache, keys, count, &found, &missed, error);
    if (status == STATUS_OK) {
        status = load_missed(cache, missed, error);
    }
    if (status == STATUS_OK) {
        status = start_block(cache, count, ret_records, error);
    }
    for (uint32_t i = 0; i < found; i++) {
        struct cache_entry *entry = &cache->entries[cache->found[i]];
        entry->is_pinned = 0;
        /* After a failure: what was added for this block and never came to be. */
        if (entry->is_used && !entry->committed && !entry->working) {
            cache_entry_remove(cache, cache->found[i]);
        }
    }
    return status;
}

/* Forgets the working copies from the `kept`-th on. */
static void discard_working(struct record_cache *cache, uint32_t kept)
{
    for (uint32_t i = kept; i < cache->taken_count; i++) {
        struct cache_entry *entry = &cache->entries[cache->taken[i]];
        struct record *working = entry->working;
        size_t unknown_bytes = entry->committed ? entry->committed->unknown_bytes : 0;
        entry->working = NULL;
        cache->taken_bytes -= cache_slot_bytes(cache, cache->taken[i]);
        cache->taken_encoded_bytes -= cache->encoded_size_max[entry->key.kind] + unknown_bytes;
        cache_slot_give(cache, working, entry->committed);
        if (!entry->committed) {
            cache_entry_remove(cache, cache->taken[i]);
        }
    }
    cache->taken_count = kept;
}

enum status record_cache_take(struct record_cache *cache, const struct record_key *keys,
                              uint32_t count, struct record **ret_records, struct error *error)
{
    uint32_t taken_before = cache->taken_count;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i += TAKE_BLOCK) {
        uint32_t block = count - i < TAKE_BLOCK ? count - i : TAKE_BLOCK;
        status = take_block(cache, keys + i, block, ret_records + i, error);
    }
    if (status != STATUS_OK) {
        discard_working(cache, taken_before);
        if (status == STATUS_RETRY && taken_before == 0 && cache->dirty_head == CACHE_NO_ENTRY) {
            status = error_set(error, STATUS_RETRY,
                               "record cache: %zu bytes are too few for a batch of %u records",
                               cache->mapping_bytes + cache->unknown_bytes_max, count);
        }
    }
    cache_bound_unknown(cache);
    return status;
}

uint32_t record_cache_taken(const struct record_cache *cache)
{
    return cache->taken_count;
}

size_t record_cache_taken_bytes(const struct record_cache *cache)
{
    return cache->taken_encoded_bytes;
}

uint32_t record_cache_encode_changes(struct record_cache *cache,
                                     const struct changelog_entry **ret_entries)
{
    size_t used = 0;
    for (uint32_t i = 0; i < cache->taken_count; i++) {
        if (i + PREFETCH_AHEAD < cache->taken_count) {
            __builtin_prefetch(&cache->entries[cache->taken[i + PREFETCH_AHEAD]]);
        }
        if (i + PREFETCH_RECORDS < cache->taken_count) {
            const struct cache_entry *soon = &cache->entries[cache->taken[i + PREFETCH_RECORDS]];
            cache_prefetch(cache, soon->working, soon->key.kind);
        }
        const struct cache_entry *entry = &cache->entries[cache->taken[i]];
        unsigned char *out = cache->encoded + used;
        size_t length = record_encode(cache->layout, entry->working, out);
        assert(used + length <= cache->encoded_bytes_max);
        cache->changes[i] = (struct changelog_entry){entry->key, out, (uint32_t)length};
        used += length;
    }
    *ret_entries = cache->changes;
    return cache->taken_count;
}

void record_cache_commit(struct record_cache *cache, uint64_t log_position)
{
    assert(log_position > 0 && log_position >= cache->complete_position);
    for (uint32_t i = 0; i < cache->taken_count; i++) {
        if (i + PREFETCH_AHEAD < cache->taken_count) {
            __builtin_prefetch(&cache->entries[cache->taken[i + PREFETCH_AHEAD]]);
        }
        if (i + PREFETCH_RECORDS < cache->taken_count) {
            const struct record *soon =
                cache->entries[cache->taken[i + PREFETCH_RECORDS]].committed;
            __builtin_prefetch(soon);
            __builtin_prefetch(soon ? &soon->unknown_parts : NULL);
        }
        struct cache_entry *entry = &cache->entries[cache->taken[i]];
        struct record *before = entry->committed;
        entry->committed = entry->working;
        entry->working = NULL;
        cache->stats.resident += before == NULL;
        cache_slot_give(cache, before, entry->committed);
        cache_mark_dirty(cache, cache->taken[i], log_position);
    }
    cache->taken_count = 0;
    cache->taken_bytes = 0;
    cache->taken_encoded_bytes = 0;
    cache->complete_position = log_position;
}

void record_cache_abort(struct record_cache *cache)
{
    discard_working(cache, 0);
}

bool record_cache_is_settled(const struct record_cache *cache, struct record_key key)
{
    uint32_t index = record_table_find(&cache->table, key, record_table_hash(key));
    const struct cache_entry *entry = index == CACHE_NO_ENTRY ? NULL : &cache->entries[index];
    return !entry || (!entry->working && entry->dirty_position == 0);
}

struct record_cache_stats record_cache_stats(const struct record_cache *cache)
{
    return cache->stats;
}
