/* The way of committed records from the cache to the store, and from the log into the cache. */
#include <assert.h>
#include <string.h>

#include "pipeline/state/record_cache_internal.h"

void cache_mark_dirty(struct record_cache *cache, uint32_t index, uint64_t log_position)
{
    struct cache_entry *entry = &cache->entries[index];
    if (entry->dirty_position != 0) {
        return;
    }
    entry->dirty_position = log_position;
    entry->next = CACHE_NO_ENTRY;
    if (cache->dirty_head == CACHE_NO_ENTRY) {
        cache->dirty_head = index;
    } else {
        cache->entries[cache->dirty_tail].next = index;
    }
    cache->dirty_tail = index;
    cache->dirty_bytes += record_ring_bytes(entry->length);
    cache->stats.dirty++;
}

/* Picks the oldest dirty entries, as many as a slice has room for. */
static uint32_t pick_slice(struct record_cache *cache, uint64_t records_max)
{
    uint32_t count = 0;
    for (uint32_t index = cache->dirty_head;
         index != CACHE_NO_ENTRY && count < cache->slice_records && count < records_max;
         index = cache->entries[index].next) {
        cache->slice[count++] = index;
    }
    return count;
}

static enum status read_stored_index(struct record_cache *cache, uint32_t count,
                                     struct error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        cache->load_keys[i] =
            store_key_of_record(cache_entry_key(&cache->entries[cache->missed[i]]));
    }
    enum status status = cache->store->ops->get_many(cache->store, cache->load_keys, count,
                                                     cache->load_values, error);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct cache_entry *entry = &cache->entries[cache->missed[i]];
        struct store_value value = cache->load_values[i];
        if (value.bytes && value.length <= RECORD_TIMER_MASK_AT) {
            return error_set(error, STATUS_FATAL, "stored record of %u bytes: cut off",
                             value.length);
        }
        entry->stored_index_ms = TIMER_NONE;
        if (value.bytes) {
            memcpy(&entry->stored_index_ms, (const char *)value.bytes + RECORD_INDEX_AT, 8);
        }
        entry->is_stored_unknown = 0;
    }
    return status;
}

/* Reads what the store has for those entries of the slice that came from the log. */
static enum status resolve_slice(struct record_cache *cache, uint32_t count, struct error *error)
{
    enum status status = STATUS_OK;
    uint32_t pending = 0;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (cache->entries[cache->slice[i]].is_stored_unknown) {
            cache->missed[pending++] = cache->slice[i];
        }
        if (pending == TAKE_BLOCK) {
            status = read_stored_index(cache, pending, error);
            pending = 0;
        }
    }
    return pending > 0 && status == STATUS_OK ? read_stored_index(cache, pending, error) : status;
}

/* Three puts a record at most; returns how many. */
static uint32_t put_entry(struct record_cache *cache, const struct cache_entry *entry,
                          struct store_put *puts)
{
    uint32_t count = 0;
    struct record_key key = cache_entry_key(entry);
    puts[count++] = (struct store_put){store_key_of_record(key), entry->committed, entry->length};
    int64_t index_ms = cache_entry_index_ms(entry);
    if (index_ms != entry->stored_index_ms) {
        if (entry->stored_index_ms != TIMER_NONE) {
            puts[count++] =
                (struct store_put){store_key_of_timer(entry->stored_index_ms, key), NULL, 0};
        }
        if (index_ms != TIMER_NONE) {
            /* The key says it all; the value is there so that it is no deletion. */
            puts[count++] =
                (struct store_put){store_key_of_timer(index_ms, key), entry->committed, 0};
        }
    }
    cache->stats.bytes_written += entry->length;
    return count;
}

static uint32_t put_slice(struct record_cache *cache, uint32_t count)
{
    uint32_t put_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 16 < count) {
            __builtin_prefetch(&cache->entries[cache->slice[i + 16]]);
        }
        if (i + 4 < count) {
            cache_prefetch_committed(&cache->entries[cache->slice[i + 4]]);
        }
        put_count += put_entry(cache, &cache->entries[cache->slice[i]], cache->puts + put_count);
    }
    return put_count;
}

static void clean_slice(struct record_cache *cache, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = cache->slice[i];
        struct cache_entry *entry = &cache->entries[index];
        assert(cache->dirty_head == index);
        cache->dirty_head = entry->next;
        entry->next = CACHE_NO_ENTRY;
        entry->dirty_position = 0;
        entry->stored_index_ms = cache_entry_index_ms(entry);
        cache->dirty_bytes -= record_ring_bytes(entry->length);
    }
    cache->stats.dirty -= count;
    cache->stats.records_written += count;
}

/* Where the log has to be replayed from once the first `count` dirty entries are written. */
static uint64_t position_behind_slice(const struct record_cache *cache, uint32_t count)
{
    uint32_t next = count == 0 ? cache->dirty_head : cache->entries[cache->slice[count - 1]].next;
    return next == CACHE_NO_ENTRY ? cache->complete_position
                                  : cache->entries[next].dirty_position - 1;
}

static enum status write_slice(struct record_cache *cache, uint64_t records_max,
                               struct error *error)
{
    uint32_t count = pick_slice(cache, records_max);
    enum status status = resolve_slice(cache, count, error);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t bytes_written = cache->stats.bytes_written;
    uint32_t put_count = put_slice(cache, count);
    uint64_t position = position_behind_slice(cache, count);
    status = cache->store->ops->write(cache->store, cache->puts, put_count, position, error);
    if (status != STATUS_OK) {
        cache->stats.bytes_written = bytes_written;
        return status;
    }
    clean_slice(cache, count);
    return STATUS_OK;
}

enum status record_cache_write_back(struct record_cache *cache, uint32_t dirty_max,
                                    struct error *error)
{
    assert(cache->taken_count == 0);
    enum status status = STATUS_OK;
    while (cache->stats.dirty > dirty_max && status == STATUS_OK) {
        status = write_slice(cache, cache->stats.dirty - dirty_max, error);
    }
    if (status == STATUS_OK && cache->stats.dirty == 0 &&
        cache->store->ops->position(cache->store) < cache->complete_position) {
        status = write_slice(cache, 0, error);
    }
    return status;
}

/*
 * High water: what dirty records may claim but for the largest transaction, which so always finds
 * room, or two thirds of it. The longer a record stays dirty, the more of its changes go to the
 * store in one write: most of all those of its session's end, half an hour after its last event.
 */
static bool is_high(const struct record_cache *cache)
{
    size_t claimed = cache_claimed_bytes_max(cache);
    size_t transaction = cache->encoded_bytes_max / 8 * 9; /* With the ring's heads. */
    size_t kept = transaction < claimed / 3 ? transaction : claimed / 3;
    return cache->dirty_bytes > claimed - kept || cache->stats.dirty > cache->claimed_max / 3 * 2;
}

enum status record_cache_relieve(struct record_cache *cache, struct error *error)
{
    assert(cache->taken_count == 0);
    return is_high(cache) ? write_slice(cache, UINT64_MAX, error) : STATUS_OK;
}

/* The entry of a key that need not be in the cache; nothing is loaded. */
static uint32_t find_or_add(struct record_cache *cache, struct record_key key)
{
    uint32_t hash = record_table_hash(key);
    uint32_t index = record_table_find(&cache->table, key, hash);
    if (index == CACHE_NO_ENTRY) {
        index = cache_entry_add(cache, key, hash);
        if (index != CACHE_NO_ENTRY) {
            cache->entries[index].is_stored_unknown = 1;
        }
    }
    return index;
}

enum status record_cache_apply(struct record_cache *cache, const struct changelog_entry *entry,
                               uint64_t log_position, struct error *error)
{
    assert(cache->taken_count == 0 && log_position > 0);
    if (entry->key.kind >= ENTITY_KIND_COUNT || cache->layout->bytes[entry->key.kind] == 0) {
        return error_set(error, STATUS_FATAL,
                         "changelog at %llu: record of kind %u, which has no state",
                         (unsigned long long)log_position, entry->key.kind);
    }
    /* All commits before this one have been applied; this one maybe in part. */
    if (log_position - 1 > cache->complete_position) {
        cache->complete_position = log_position - 1;
    }
    enum status status = record_cache_relieve(cache, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = record_validate(entry->key, entry->bytes, entry->length, error);
    if (status != STATUS_OK) {
        return error_prefix(error, status, "changelog at %llu", (unsigned long long)log_position);
    }
    uint32_t index = find_or_add(cache, entry->key);
    if (index == CACHE_NO_ENTRY || !cache_entry_store(cache, index, entry->bytes, entry->length)) {
        return error_set(error, STATUS_INVALID, "record cache: too small for a replay");
    }
    cache->entries[index].is_counted = 0;
    cache_mark_dirty(cache, index, log_position);
    return STATUS_OK;
}

void record_cache_visit_dirty(struct record_cache *cache, int64_t from_ms, int64_t to_ms,
                              void (*visit)(void *context, struct record_key key, int64_t index_ms),
                              void *context)
{
    for (uint32_t index = cache->dirty_head; index != CACHE_NO_ENTRY;) {
        const struct cache_entry *entry = &cache->entries[index];
        index = entry->next;
        if (index != CACHE_NO_ENTRY) {
            __builtin_prefetch(cache->entries[index].committed);
        }
        int64_t index_ms = cache_entry_index_ms(entry);
        if (index_ms >= from_ms && index_ms < to_ms) {
            visit(context, cache_entry_key(entry), index_ms);
        }
    }
}
