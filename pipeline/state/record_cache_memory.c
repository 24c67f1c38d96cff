/* The memory of a cache: how it is divided, and who has to leave when it is full (CLOCK). */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise. NOLINT(bugprone-reserved-identifier) */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pipeline/limits.h"
#include "pipeline/state/record_cache_internal.h"

#define HUGE_PAGE_BYTES 2097152u

/* How many of each thing fit. */
struct plan {
    size_t slot_mean; /* Of the kinds that have records, the task's own aside. */
    uint32_t kinds;
    size_t encoded_bytes, unknown_bytes;
    uint32_t taken_max, entries_max, table_slots, chunks;
};

static void plan_kinds(const struct record_layout *layout, struct plan *plan, size_t *ret_smallest)
{
    size_t slots = 0;
    uint32_t averaged = 0;
    *ret_smallest = SIZE_MAX;
    for (unsigned kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        if (layout->bytes[kind] == 0) {
            continue;
        }
        plan->kinds++;
        if (kind != ENTITY_TASK) {
            averaged++;
            slots += (sizeof(struct record) + layout->bytes[kind] + 63) & ~(size_t)63;
        }
        size_t encoded = record_encoded_bytes_max(layout, (uint8_t)kind, 0);
        *ret_smallest = encoded < *ret_smallest ? encoded : *ret_smallest;
    }
    plan->slot_mean = averaged > 0 ? slots / averaged : SLAB_CHUNK_BYTES;
}

static size_t scratch_bytes(uint32_t slice_records)
{
    return TAKE_BLOCK *
               (3 * sizeof(uint32_t) + sizeof(struct store_key) + sizeof(struct store_value)) +
           slice_records * (3 * sizeof(struct store_put) + sizeof(uint32_t));
}

/* False when not even two chunks a kind and a few entries fit. */
static bool plan_memory(const struct record_layout *layout,
                        const struct record_cache_options *options, struct plan *plan)
{
    *plan = (struct plan){0};
    size_t smallest;
    plan_kinds(layout, plan, &smallest);
    size_t bytes = options->bytes_max;
    size_t fixed = scratch_bytes(options->slice_records) + (size_t)64 * 16;
    if (plan->kinds == 0 || bytes < fixed + HUGE_PAGE_BYTES) {
        return false;
    }
    /* Encoded changes, of a transaction or a slice, and the unknown parts of all records. */
    plan->encoded_bytes = bytes / 8;
    plan->unknown_bytes = bytes / 32;
    size_t taken_max = plan->encoded_bytes / smallest + 1;
    size_t taken_bytes = taken_max * (sizeof(uint32_t) + sizeof(struct changelog_entry));
    size_t spent = fixed + plan->encoded_bytes + plan->unknown_bytes + taken_bytes;
    if (bytes <= spent + SLAB_CHUNK_BYTES) {
        return false;
    }
    /* An entry has its line and at most 8 / 3 slots of the table, see below. */
    size_t rest = bytes - spent - SLAB_CHUNK_BYTES;
    size_t entries_max = rest / (plan->slot_mean + sizeof(struct cache_entry) + 22);
    entries_max = entries_max < UINT32_MAX / 4 ? entries_max : UINT32_MAX / 4;
    size_t table_slots = 64;
    while (table_slots * 3 / 4 < entries_max) {
        table_slots *= 2;
    }
    size_t chunks = (rest - entries_max * sizeof(struct cache_entry) -
                     table_slots * sizeof(struct table_slot)) /
                    SLAB_CHUNK_BYTES;
    plan->taken_max = (uint32_t)(taken_max < UINT32_MAX ? taken_max : UINT32_MAX);
    plan->entries_max = (uint32_t)entries_max;
    plan->table_slots = (uint32_t)table_slots;
    plan->chunks = (uint32_t)(chunks < SLAB_NO_CHUNK ? chunks : SLAB_NO_CHUNK - 1);
    return rest > entries_max * sizeof(struct cache_entry) + table_slots * 8 && entries_max >= 16 &&
           chunks >= (size_t)2 * plan->kinds;
}

/* Cuts pieces off the mapping, each on a cache line. */
static void *cut(unsigned char **next, size_t count, size_t element_bytes)
{
    void *piece = *next;
    *next += (count * element_bytes + 63) & ~(size_t)63;
    return piece;
}

static void lay_out(struct record_cache *cache, const struct plan *plan)
{
    uintptr_t start = (uintptr_t)cache->mapping;
    size_t to_chunk = (SLAB_CHUNK_BYTES - start % SLAB_CHUNK_BYTES) % SLAB_CHUNK_BYTES;
    unsigned char *chunks = (unsigned char *)cache->mapping + to_chunk;
    /* What precedes the first chunk is lost, less than a chunk; it was set aside. */
    unsigned char *next = chunks + (size_t)plan->chunks * SLAB_CHUNK_BYTES;
    record_slab_init(&cache->slab, cache->layout, chunks, plan->chunks);
    cache->entries = cut(&next, plan->entries_max, sizeof(*cache->entries));
    cache->table = (struct record_table){
        .slots = cut(&next, plan->table_slots, sizeof(*cache->table.slots)),
        .entries = cache->entries,
        .mask = plan->table_slots - 1,
    };
    cache->taken = cut(&next, plan->taken_max, sizeof(*cache->taken));
    cache->changes = cut(&next, plan->taken_max, sizeof(*cache->changes));
    cache->encoded = cut(&next, plan->encoded_bytes, 1);
    cache->puts = cut(&next, 3 * (size_t)cache->slice_records, sizeof(*cache->puts));
    cache->slice = cut(&next, cache->slice_records, sizeof(*cache->slice));
    cache->found = cut(&next, TAKE_BLOCK, sizeof(*cache->found));
    cache->hashes = cut(&next, TAKE_BLOCK, sizeof(*cache->hashes));
    cache->missed = cut(&next, TAKE_BLOCK, sizeof(*cache->missed));
    cache->load_keys = cut(&next, TAKE_BLOCK, sizeof(*cache->load_keys));
    cache->load_values = cut(&next, TAKE_BLOCK, sizeof(*cache->load_values));
    assert((size_t)(next - (unsigned char *)cache->mapping) <= cache->mapping_bytes);
}

enum status cache_map_memory(struct record_cache *cache, const struct record_cache_options *options,
                             struct error *error)
{
    struct plan plan = {0};
    if (options->slice_records == 0 || !plan_memory(cache->layout, options, &plan)) {
        return error_set(error, STATUS_INVALID,
                         "record cache: %zu bytes with slices of %u records are too few for two "
                         "chunks of %u bytes for each of %u kinds",
                         options->bytes_max, options->slice_records, SLAB_CHUNK_BYTES, plan.kinds);
    }
    cache->mapping_bytes = options->bytes_max - plan.unknown_bytes;
    cache->mapping = mmap(NULL, cache->mapping_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cache->mapping == MAP_FAILED) {
        cache->mapping = NULL;
        return error_set(error, STATUS_FATAL, "record cache: cannot map %zu bytes",
                         cache->mapping_bytes);
    }
#ifdef MADV_HUGEPAGE
    /* Random access to hundreds of megabytes: fewer misses of the address cache. Only a hint. */
    (void)madvise(cache->mapping, cache->mapping_bytes, MADV_HUGEPAGE);
#endif
    cache->slice_records = options->slice_records;
    cache->entries_max = plan.entries_max;
    cache->taken_max = plan.taken_max;
    cache->encoded_bytes_max = plan.encoded_bytes;
    cache->unknown_bytes_max = plan.unknown_bytes;
    cache->free_entry = CACHE_NO_ENTRY;
    /* Three quarters of the slots, less what is lost where kinds share the chunks. */
    cache->claimed_bytes_max = (size_t)(plan.chunks - plan.kinds) * (SLAB_CHUNK_BYTES / 4 * 3);
    if (options->records_max > 0 && options->records_max < plan.entries_max) {
        size_t own_bytes = sizeof(struct record) + cache->layout->bytes[ENTITY_TASK] + 64;
        size_t claimed_bytes = options->records_max / 2 * plan.slot_mean + own_bytes;
        cache->entries_max = options->records_max;
        cache->claimed_bytes_max =
            claimed_bytes < cache->claimed_bytes_max ? claimed_bytes : cache->claimed_bytes_max;
    }
    lay_out(cache, &plan);
    return STATUS_OK;
}

void cache_slot_give(struct record_cache *cache, struct record *record, const struct record *kept)
{
    if (!record) {
        return;
    }
    if (record->unknown_parts && (!kept || kept->unknown_parts != record->unknown_parts)) {
        cache->unknown_bytes -= record->unknown_bytes;
        free(record->unknown_parts);
    }
    record_slab_give(&cache->slab, record);
}

void cache_entry_remove(struct record_cache *cache, uint32_t index)
{
    struct cache_entry *entry = &cache->entries[index];
    assert(entry->is_used && !entry->working && entry->dirty_position == 0);
    record_table_remove(&cache->table, index);
    cache_slot_give(cache, entry->committed, NULL);
    cache->stats.resident -= entry->committed != NULL;
    *entry = (struct cache_entry){.next = cache->free_entry};
    cache->free_entry = index;
}

/* Evicts the clean record that was not used for longest, roughly; its kind or -1. */
static int evict_one(struct record_cache *cache)
{
    for (uint64_t step = 0; step < 2 * (uint64_t)cache->entries_cut; step++) {
        uint32_t index = cache->clock_hand;
        cache->clock_hand = index + 1 < cache->entries_cut ? index + 1 : 0;
        struct cache_entry *entry = &cache->entries[index];
        if (!entry->is_used || entry->working || entry->is_pinned || entry->dirty_position != 0) {
            continue;
        }
        if (entry->is_referenced) {
            entry->is_referenced = 0;
            continue;
        }
        int kind = entry->key.kind;
        cache_entry_remove(cache, index);
        return kind;
    }
    return -1;
}

uint32_t cache_entry_add(struct record_cache *cache, struct record_key key, uint32_t hash)
{
    if (cache->free_entry == CACHE_NO_ENTRY && cache->entries_cut == cache->entries_max &&
        evict_one(cache) < 0) {
        return CACHE_NO_ENTRY;
    }
    uint32_t index = cache->free_entry;
    if (index != CACHE_NO_ENTRY) {
        cache->free_entry = cache->entries[index].next;
    } else {
        index = cache->entries_cut++;
    }
    cache->entries[index] =
        (struct cache_entry){.key = key, .is_used = 1, .stored_index_ms = TIMER_NONE};
    record_table_insert(&cache->table, index, hash);
    return index;
}

static struct cache_entry *entry_of(struct record_cache *cache, const struct record *record)
{
    assert(record->cache_entry < cache->entries_cut);
    return &cache->entries[record->cache_entry];
}

/* Working copies are in the callers' hands and stay. */
static bool may_move(void *context, const struct record *record)
{
    return entry_of(context, record)->committed == record;
}

static void repoint(void *context, const struct record *from, struct record *to)
{
    struct cache_entry *entry = entry_of(context, to);
    assert(entry->committed == from);
    entry->committed = to;
}

/* Frees a chunk of `kind` where its free slots, taken together, are one. */
static bool give_up_chunk(struct record_cache *cache, uint8_t kind)
{
    struct record_slab *slab = &cache->slab;
    return slab->slots_of_chunk[kind] > 0 && slab->free_slots[kind] >= slab->slots_of_chunk[kind] &&
           record_slab_compact(slab, kind, may_move, repoint, cache);
}

/*
 * The same where the kind has more free slots than its own next records will soon fill: an eighth
 * of what it holds. It costs a walk through the chunk, and where working copies are everywhere, a
 * walk for nothing: then there is no other try before a chunk more is free.
 */
static void give_up_spare_chunk(struct record_cache *cache, uint8_t kind)
{
    struct record_slab *slab = &cache->slab;
    uint64_t chunk_slots = slab->slots_of_chunk[kind];
    uint64_t spare = chunk_slots + slab->chunks_of[kind] / 8 * chunk_slots;
    if (slab->free_slots[kind] < cache->compact_from[kind]) {
        return;
    }
    bool is_freed = slab->free_slots[kind] >= spare && give_up_chunk(cache, kind);
    cache->compact_from[kind] = is_freed ? spare : slab->free_slots[kind] + chunk_slots;
}

struct record *cache_slot_take(struct record_cache *cache, uint8_t kind)
{
    struct record *record = record_slab_take(&cache->slab, kind);
    int evicted = 0;
    while (!record && evicted >= 0) {
        evicted = evict_one(cache);
        if (evicted >= 0 && evicted != kind) {
            give_up_spare_chunk(cache, (uint8_t)evicted);
        }
        record = record_slab_take(&cache->slab, kind);
    }
    for (uint8_t other = 0; !record && other < ENTITY_KIND_COUNT; other++) {
        if (other != kind && give_up_chunk(cache, other)) {
            record = record_slab_take(&cache->slab, kind);
        }
    }
    return record;
}

void cache_bound_unknown(struct record_cache *cache)
{
    while (cache->unknown_bytes > cache->unknown_bytes_max && evict_one(cache) >= 0) {
    }
}
