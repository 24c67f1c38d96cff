/* The memory of a cache: how it is divided, and who has to leave when it is full (CLOCK). */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise. NOLINT(bugprone-reserved-identifier) */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "pipeline/state/record_cache_internal.h"

#define HUGE_PAGE_BYTES 2097152u
#define SMALL_PAGE_BYTES 4096u
#define LINE_BYTES 64u
/* A slot of the table for so many bytes at most: there are entries for small records as well. */
#define RECORD_BYTES_LEAST 112u
/*
 * The room for a transaction's encoded changes is for records in which every part is full; most are
 * a third of that, and what is never touched is no memory. So it counts for a third.
 */
#define ENCODED_COUNTED 3u
#define TRANSACTION_SHARE 7u
/* Entries are cut off the ring's memory, so many bytes at a time. */
#define ENTRY_CHUNK_BYTES 65536u

/* How many of each thing fit. */
struct plan {
    size_t encoded_bytes, working_bytes;
    size_t records_bytes; /* Ring and entries. */
    size_t encoded_smallest, encoded_largest;
    size_t encoded_mean; /* Of the kinds that have records, the task's own aside. */
    uint32_t taken_max, entries_max, table_slots;
};

static size_t slot_bytes_of(const struct record_layout *layout, unsigned kind)
{
    return (sizeof(struct record) + layout->bytes[kind] + LINE_BYTES - 1) &
           ~(size_t)(LINE_BYTES - 1);
}

/* False when the layout has no kinds. */
static bool plan_kinds(const struct record_layout *layout,
                       const struct record_cache_options *options, struct plan *plan)
{
    uint32_t share =
        options->transaction_share > 0 ? options->transaction_share : TRANSACTION_SHARE;
    size_t encoded_sum = 0;
    uint32_t averaged = 0;
    plan->encoded_bytes = options->bytes_max / share;
    plan->encoded_smallest = SIZE_MAX;
    for (unsigned kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        if (layout->bytes[kind] == 0) {
            continue;
        }
        size_t encoded = record_encoded_bytes_max(layout, (uint8_t)kind, 0);
        size_t working = plan->encoded_bytes / encoded * slot_bytes_of(layout, kind) + LINE_BYTES;
        plan->working_bytes = working > plan->working_bytes ? working : plan->working_bytes;
        plan->encoded_smallest =
            encoded < plan->encoded_smallest ? encoded : plan->encoded_smallest;
        plan->encoded_largest = encoded > plan->encoded_largest ? encoded : plan->encoded_largest;
        if (kind != ENTITY_TASK) {
            averaged++;
            encoded_sum += encoded;
        }
    }
    plan->encoded_mean = averaged > 0 ? encoded_sum / averaged : plan->encoded_largest;
    return plan->encoded_largest > 0;
}

static size_t scratch_bytes(uint32_t slice_records)
{
    return TAKE_BLOCK *
               (3 * sizeof(uint32_t) + sizeof(struct store_key) + sizeof(struct store_value)) +
           slice_records * (3 * sizeof(struct store_put) + sizeof(uint32_t)) +
           (size_t)16 * LINE_BYTES;
}

static size_t largest_piece(const struct plan *plan)
{
    return record_ring_bytes((uint32_t)plan->encoded_largest + RECORD_UNKNOWN_BYTES_MAX);
}

/* False when not even a transaction of a few large records fits. */
static bool plan_memory(const struct record_layout *layout,
                        const struct record_cache_options *options, struct plan *plan)
{
    *plan = (struct plan){0};
    size_t bytes = options->bytes_max;
    if (!plan_kinds(layout, options, plan)) {
        return false;
    }
    size_t taken_max = plan->encoded_bytes / plan->encoded_smallest + 1;
    size_t spent = scratch_bytes(options->slice_records) + plan->encoded_bytes / ENCODED_COUNTED +
                   plan->working_bytes +
                   taken_max * (sizeof(struct taken_record) + sizeof(struct changelog_entry));
    if (bytes < HUGE_PAGE_BYTES || bytes <= spent) {
        return false;
    }
    size_t rest = bytes - spent;
    size_t table_slots = LINE_BYTES;
    while (table_slots * 2 <= rest / RECORD_BYTES_LEAST && table_slots < UINT32_MAX / 4) {
        table_slots *= 2;
    }
    plan->taken_max = (uint32_t)(taken_max < UINT32_MAX ? taken_max : UINT32_MAX);
    plan->table_slots = (uint32_t)table_slots;
    plan->entries_max = (uint32_t)(table_slots / 4 * 3);
    plan->records_bytes =
        (rest - table_slots * sizeof(struct table_slot)) & ~(size_t)(LINE_BYTES - 1);
    return plan->records_bytes >= ENTRY_CHUNK_BYTES + 8 * largest_piece(plan);
}

/* Cuts pieces off the mapping, each on a cache line. */
static void *cut(unsigned char **next, size_t count, size_t element_bytes)
{
    void *piece = *next;
    *next += (count * element_bytes + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
    return piece;
}

/*
 * Second chance: what was used again since the tail last came by stays once more, and so does what
 * the store does not have or a transaction works on.
 */
static bool entry_keeps(void *context, uint32_t index, bool may_evict)
{
    struct record_cache *cache = context;
    struct cache_entry *entry = &cache->entries[index];
    if (!may_evict || entry->working || entry->is_pinned || entry->dirty_position != 0) {
        return true;
    }
    if (entry->is_referenced) {
        entry->is_referenced = 0;
        return true;
    }
    cache_entry_remove(cache, index);
    return false;
}

static void entry_moved(void *context, uint32_t index, unsigned char *bytes)
{
    struct record_cache *cache = context;
    cache->entries[index].committed = bytes;
}

static void lay_out(struct record_cache *cache, const struct plan *plan)
{
    unsigned char *next = cache->mapping;
    unsigned char *records = cut(&next, plan->records_bytes, 1);
    /* The ring begins below, entries are cut off above: see cut_entry(). */
    cache->entries = (struct cache_entry *)(void *)next - cache->entries_max;
    const struct record_ring_owner owner = {entry_keeps, entry_moved, cache,
                                            (const char *)cache->entries, sizeof(*cache->entries)};
    record_ring_init(&cache->ring, records, plan->records_bytes, &owner);
    cache->table = (struct record_table){
        .slots = cut(&next, plan->table_slots, sizeof(*cache->table.slots)),
        .entries = cache->entries,
        .mask = plan->table_slots - 1,
    };
    cache->working = cut(&next, plan->working_bytes, 1);
    cache->taken = cut(&next, plan->taken_max, sizeof(*cache->taken));
    cache->changes = cut(&next, plan->taken_max, sizeof(*cache->changes));
    cache->puts = cut(&next, 3 * (size_t)cache->slice_records, sizeof(*cache->puts));
    cache->slice = cut(&next, cache->slice_records, sizeof(*cache->slice));
    cache->found = cut(&next, TAKE_BLOCK, sizeof(*cache->found));
    cache->hashes = cut(&next, TAKE_BLOCK, sizeof(*cache->hashes));
    cache->missed = cut(&next, TAKE_BLOCK, sizeof(*cache->missed));
    cache->load_keys = cut(&next, TAKE_BLOCK, sizeof(*cache->load_keys));
    cache->load_values = cut(&next, TAKE_BLOCK, sizeof(*cache->load_values));
    cache->encoded = cut(&next, plan->encoded_bytes, 1);
    assert((size_t)(next - (unsigned char *)cache->mapping) <= cache->mapping_bytes);
}

static void bound_claims(struct record_cache *cache, const struct plan *plan, uint32_t records_max)
{
    cache->entries_max = plan->entries_max;
    cache->claimed_bytes_max = SIZE_MAX;
    cache->largest_piece = largest_piece(plan);
    if (records_max > 0 && records_max < plan->entries_max) {
        cache->entries_max = records_max;
        cache->claimed_bytes_max =
            records_max / 2 * record_ring_bytes((uint32_t)plan->encoded_mean) +
            record_ring_bytes((uint32_t)plan->encoded_largest);
    }
    cache->claimed_max = cache->entries_max / 4 * 3;
}

/* The kernel gives memory when it is touched, page by page; here all of it at once. */
static enum status touch_memory(unsigned char *bytes, size_t count, struct error *error)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(bytes, count, MADV_POPULATE_WRITE) == 0) {
        return STATUS_OK;
    }
    if (errno != EINVAL) { /* A kernel before Linux 5.14 does not know it. */
        return error_set(error, STATUS_FATAL,
                         "record cache: the system does not give %zu bytes: %s", count,
                         strerror(errno));
    }
#endif
    for (size_t i = 0; i < count; i += SMALL_PAGE_BYTES) {
        ((volatile unsigned char *)bytes)[i] = 0;
    }
    (void)error;
    return STATUS_OK;
}

enum status cache_map_memory(struct record_cache *cache, const struct record_cache_options *options,
                             struct error *error)
{
    struct plan plan = {0};
    if (options->slice_records == 0 || !plan_memory(cache->layout, options, &plan)) {
        return error_set(error, STATUS_INVALID,
                         "record cache: %zu bytes are too few for slices of %u records and eight "
                         "records of %zu bytes",
                         options->bytes_max, options->slice_records,
                         plan.encoded_largest + RECORD_UNKNOWN_BYTES_MAX);
    }
    cache->mapping_bytes =
        options->bytes_max + plan.encoded_bytes - plan.encoded_bytes / ENCODED_COUNTED;
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
    if (options->is_preallocated) {
        enum status status = touch_memory(cache->mapping, options->bytes_max, error);
        if (status != STATUS_OK) {
            (void)munmap(cache->mapping, cache->mapping_bytes);
            return status;
        }
    }
    for (unsigned kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        cache->encoded_size_max[kind] = record_encoded_bytes_max(cache->layout, (uint8_t)kind, 0);
        cache->slot_bytes[kind] = slot_bytes_of(cache->layout, kind);
    }
    cache->slice_records = options->slice_records;
    cache->taken_max = plan.taken_max;
    cache->encoded_bytes_max = plan.encoded_bytes;
    cache->working_bytes_max = plan.working_bytes;
    cache->free_entry = CACHE_NO_ENTRY;
    bound_claims(cache, &plan, options->records_max);
    lay_out(cache, &plan);
    return STATUS_OK;
}

void cache_entry_remove(struct record_cache *cache, uint32_t index)
{
    struct cache_entry *entry = &cache->entries[index];
    assert(entry->is_used && !entry->working && entry->dirty_position == 0);
    record_table_remove(&cache->table, index);
    if (entry->committed) {
        record_ring_give(&cache->ring, entry->committed);
        cache->stats.resident--;
    }
    *entry = (struct cache_entry){.next = cache->free_entry};
    cache->free_entry = index;
}

/*
 * Ring and entries share memory, since nobody knows how large records will be: the ring grows from
 * below, entries are taken from above, down to where the ring has been, and as long as what is
 * claimed of the ring stays within it.
 */
static bool cut_entry(struct record_cache *cache, uint32_t *ret_index)
{
    if (cache->entries_cut == cache->entries_max) {
        return false;
    }
    uint32_t index = cache->entries_max - 1 - cache->entries_cut;
    const unsigned char *end = cache->ring.memory + cache->ring.capacity;
    if ((unsigned char *)&cache->entries[index] < end &&
        (cache->dirty_bytes + 2 * cache->taken_ring_bytes + cache->largest_piece +
                 ENTRY_CHUNK_BYTES >
             cache->ring.capacity ||
         !record_ring_shrink(&cache->ring, ENTRY_CHUNK_BYTES))) {
        return false;
    }
    cache->entries_cut++;
    *ret_index = index;
    return true;
}

static uint32_t take_entry(struct record_cache *cache)
{
    uint32_t index = cache->free_entry;
    if (index == CACHE_NO_ENTRY && cut_entry(cache, &index)) {
        return index;
    }
    if (index == CACHE_NO_ENTRY && !record_ring_evict(&cache->ring)) {
        return CACHE_NO_ENTRY;
    }
    index = cache->free_entry;
    cache->free_entry = cache->entries[index].next;
    return index;
}

uint32_t cache_entry_add(struct record_cache *cache, struct record_key key, uint32_t hash)
{
    uint32_t index = take_entry(cache);
    if (index == CACHE_NO_ENTRY) {
        return index;
    }
    cache->entries[index] = (struct cache_entry){
        .id = key.id, .kind = key.kind, .is_used = 1, .stored_index_ms = TIMER_NONE};
    record_table_insert(&cache->table, index, hash);
    return index;
}

bool cache_entry_store(struct record_cache *cache, uint32_t index, const void *bytes,
                       uint32_t length)
{
    struct cache_entry *entry = &cache->entries[index];
    size_t before = entry->committed ? record_ring_bytes(entry->length) : 0;
    if (!entry->committed || !record_ring_refit(&cache->ring, entry->committed, length)) {
        if (entry->committed) {
            record_ring_give(&cache->ring, entry->committed);
            cache->stats.resident--;
        }
        entry->committed = NULL; /* While it is looked for nobody asks to keep the old one. */
        entry->committed = record_ring_take(&cache->ring, index, length);
        if (!entry->committed) {
            return false;
        }
        cache->stats.resident++;
    }
    memcpy(entry->committed, bytes, length);
    entry->length = length;
    if (entry->dirty_position != 0) {
        cache->dirty_bytes += record_ring_bytes(length) - before;
    }
    return true;
}
