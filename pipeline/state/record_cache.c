#include "pipeline/state/record_cache.h"

#include <assert.h>
#include <stdlib.h>
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
    (void)munmap(cache->mapping, cache->mapping_bytes);
    free(cache);
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
            cache->entries[index].is_referenced = 1;
        }
        cache->entries[index].is_pinned = 1;
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
        cache->load_keys[i] =
            store_key_of_record(cache_entry_key(&cache->entries[cache->missed[i]]));
    }
    enum status status = cache->store->ops->get_many(cache->store, cache->load_keys, count,
                                                     cache->load_values, error);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct store_value value = cache->load_values[i];
        if (!value.bytes) {
            cache->stats.new_records++;
            continue;
        }
        struct record_key key = cache_entry_key(&cache->entries[cache->missed[i]]);
        status = record_validate(key, value.bytes, value.length, error);
        if (status == STATUS_OK &&
            !cache_entry_store(cache, cache->missed[i], value.bytes, value.length)) {
            status = error_set(error, STATUS_RETRY, "record cache: all records are needed");
        }
        if (status == STATUS_OK) {
            struct cache_entry *entry = &cache->entries[cache->missed[i]];
            entry->stored_index_ms = cache_entry_index_ms(entry);
        }
    }
    cache->stats.misses += count;
    return status;
}

/* Whether the transaction has room for `working`, whose unknown parts are known by now. */
static bool has_room(const struct record_cache *cache, const struct record *working)
{
    size_t encoded = cache->encoded_size_max[working->key.kind] + working->unknown_bytes;
    size_t ring = cache->taken_ring_bytes + record_ring_bytes((uint32_t)encoded);
    return cache->stats.dirty + cache->taken_count < cache->claimed_max &&
           cache->taken_encoded_bytes + encoded <= cache->encoded_bytes_max &&
           ring + cache->largest_piece <= cache->ring.capacity / 4 &&
           cache->dirty_bytes + ring <= cache_claimed_bytes_max(cache);
}

static enum status decode_committed(struct record_cache *cache, struct cache_entry *entry,
                                    struct record *working, struct error *error)
{
    struct record_decode_counts known = {0};
    struct record_decode_counts *counts = entry->is_counted ? &known : &cache->stats.decode;
    entry->is_counted = 1;
    return record_decode(cache->layout, entry->committed, entry->length, working, counts, error);
}

/* Makes the working copy and appends it to the transaction. */
static enum status start_working(struct record_cache *cache, uint32_t index, struct error *error)
{
    struct cache_entry *entry = &cache->entries[index];
    struct record *working = (struct record *)(void *)(cache->working + cache->working_bytes);
    if (cache->taken_count == cache->taken_max ||
        cache->working_bytes_max - cache->working_bytes < cache->slot_bytes[entry->kind]) {
        return error_set(error, STATUS_RETRY, "record cache: full of changed records");
    }
    working->key = cache_entry_key(entry);
    enum status status = STATUS_OK;
    if (entry->committed) {
        status = decode_committed(cache, entry, working, error);
    } else {
        record_init(cache->layout, working->key, working);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!has_room(cache, working)) {
        free(working->unknown_parts);
        return error_set(error, STATUS_RETRY, "record cache: full of changed records");
    }
    size_t encoded = cache->encoded_size_max[entry->kind] + working->unknown_bytes;
    entry->working = working;
    cache->taken[cache->taken_count++] =
        (struct taken_record){working->unknown_parts, working->unknown_bytes, index};
    cache->working_bytes += cache->slot_bytes[entry->kind];
    cache->taken_encoded_bytes += encoded;
    cache->taken_ring_bytes += record_ring_bytes((uint32_t)encoded);
    return STATUS_OK;
}

/* All of what is about to be decoded; of a working copy its head, the stages ask for their parts.
 */
RECORD_PREFETCHES void prefetch_taken(const struct record_cache *cache, uint32_t index)
{
    const struct cache_entry *entry = &cache->entries[index];
    if (entry->working) {
        __builtin_prefetch(entry->working);
    } else {
        cache_prefetch_committed(entry);
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

/* The transaction's memory is as it was before the `kept`-th was taken. */
static void give_back_working(struct record_cache *cache, uint32_t kept)
{
    for (uint32_t i = kept; i < cache->taken_count; i++) {
        const struct taken_record *taken = &cache->taken[i];
        struct cache_entry *entry = &cache->entries[taken->entry];
        size_t encoded = cache->encoded_size_max[entry->kind] + taken->unknown_bytes;
        cache->working_bytes -= cache->slot_bytes[entry->kind];
        cache->taken_encoded_bytes -= encoded;
        cache->taken_ring_bytes -= record_ring_bytes((uint32_t)encoded);
        free(taken->unknown_parts);
        entry->working = NULL;
    }
    cache->taken_count = kept;
}

/* Forgets the working copies from the `kept`-th on. */
static void discard_working(struct record_cache *cache, uint32_t kept)
{
    uint32_t taken_count = cache->taken_count;
    give_back_working(cache, kept);
    for (uint32_t i = kept; i < taken_count; i++) {
        uint32_t index = cache->taken[i].entry;
        if (!cache->entries[index].committed) {
            cache_entry_remove(cache, index);
        }
    }
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
                               cache->mapping_bytes, count);
        }
    }
    cache->is_encoded = false;
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

RECORD_PREFETCHES void prefetch_working(const struct record_cache *cache,
                                        const struct cache_entry *entry)
{
    for (uint32_t at = 0; at < cache->slot_bytes[entry->kind]; at += 64) {
        __builtin_prefetch((const char *)entry->working + at);
    }
}

uint32_t record_cache_encode_changes(struct record_cache *cache,
                                     const struct changelog_entry **ret_entries)
{
    size_t used = 0;
    for (uint32_t i = 0; i < cache->taken_count; i++) {
        if (i + PREFETCH_AHEAD < cache->taken_count) {
            __builtin_prefetch(&cache->entries[cache->taken[i + PREFETCH_AHEAD].entry]);
        }
        if (i + PREFETCH_RECORDS < cache->taken_count) {
            const struct cache_entry *soon =
                &cache->entries[cache->taken[i + PREFETCH_RECORDS].entry];
            prefetch_working(cache, soon);
        }
        const struct cache_entry *entry = &cache->entries[cache->taken[i].entry];
        unsigned char *out = cache->encoded + used;
        size_t length = record_encode(cache->layout, entry->working, out);
        assert(used + length <= cache->encoded_bytes_max);
        cache->changes[i] = (struct changelog_entry){cache_entry_key(entry), out, (uint32_t)length};
        used += length;
    }
    cache->is_encoded = true;
    *ret_entries = cache->changes;
    return cache->taken_count;
}

/* The transaction was let grow only as far as the ring has room for it. */
static void commit_change(struct record_cache *cache, uint32_t index,
                          const struct changelog_entry *change, uint64_t log_position)
{
    bool is_stored = cache_entry_store(cache, index, change->bytes, change->length);
    assert(is_stored);
    cache->entries[index].is_counted = 1;
    cache_mark_dirty(cache, index, log_position);
}

void record_cache_commit(struct record_cache *cache, uint64_t log_position)
{
    assert(log_position > 0 && log_position >= cache->complete_position);
    assert(cache->is_encoded || cache->taken_count == 0);
    for (uint32_t i = 0; i < cache->taken_count; i++) {
        if (i + PREFETCH_AHEAD < cache->taken_count) {
            __builtin_prefetch(&cache->entries[cache->taken[i + PREFETCH_AHEAD].entry]);
        }
        if (i + PREFETCH_RECORDS < cache->taken_count) {
            cache_prefetch_committed(&cache->entries[cache->taken[i + PREFETCH_RECORDS].entry]);
        }
        commit_change(cache, cache->taken[i].entry, &cache->changes[i], log_position);
    }
    give_back_working(cache, 0);
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
