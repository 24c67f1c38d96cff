#include "pipeline/state/timer_index.h"

#include <assert.h>
#include <stdlib.h>

/* A list of entries; grows by doubling. */
struct entry_list {
    struct timer_entry *entries; /* Owned. */
    size_t count, capacity;
};

struct timer_index {
    struct state_store *store;
    struct record_cache *cache;
    /* Every entry before the horizon is in the heap or popped; none of the others is. */
    struct entry_list heap;
    struct timer_entry horizon;
    bool has_all; /* The horizon is behind every entry. */
    uint32_t entries_max;
    /* Of the running transaction. */
    struct entry_list popped;
    struct entry_list beyond; /* Added behind the horizon: not yet in cache or store. */
};

/* Entries of one time: so rare that it stays out of the loops. */
__attribute__((noinline)) static int compare_keys(const struct timer_entry *a,
                                                  const struct timer_entry *b)
{
    if (a->key.kind != b->key.kind) {
        return a->key.kind < b->key.kind ? -1 : 1;
    }
    return key128_compare(a->key.id, b->key.id);
}

static inline int compare_entries(const struct timer_entry *a, const struct timer_entry *b)
{
    if (a->time_ms != b->time_ms) {
        return a->time_ms < b->time_ms ? -1 : 1;
    }
    return compare_keys(a, b);
}

static inline bool is_before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->time_ms < b->time_ms || (a->time_ms == b->time_ms && compare_keys(a, b) < 0);
}

static int compare_for_sort(const void *a, const void *b)
{
    return compare_entries(a, b);
}

/* Makes room for one entry more. */
static bool list_reserve(struct entry_list *list)
{
    if (list->count < list->capacity) {
        return true;
    }
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    struct timer_entry *grown = realloc(list->entries, capacity * sizeof(*grown));
    if (!grown) {
        return false;
    }
    list->entries = grown;
    list->capacity = capacity;
    return true;
}

static bool list_push(struct entry_list *list, struct timer_entry entry)
{
    if (!list_reserve(list)) {
        return false;
    }
    list->entries[list->count++] = entry;
    return true;
}

static void list_sort(struct entry_list *list)
{
    if (list->count > 1) {
        qsort(list->entries, list->count, sizeof(*list->entries), compare_for_sort);
    }
}

enum status timer_index_create(struct state_store *store, struct record_cache *cache,
                               uint32_t entries_max, struct timer_index **ret_index,
                               struct error *error)
{
    assert(entries_max >= TIMER_INDEX_ENTRIES_MIN);
    struct timer_index *index = calloc(1, sizeof(*index));
    if (!index) {
        return error_set(error, STATUS_FATAL, "timer index: out of memory");
    }
    index->store = store;
    index->cache = cache;
    index->entries_max = entries_max;
    index->horizon = (struct timer_entry){.time_ms = INT64_MIN};
    *ret_index = index;
    return STATUS_OK;
}

void timer_index_destroy(struct timer_index *index)
{
    if (index) {
        free(index->heap.entries);
        free(index->popped.entries);
        free(index->beyond.entries);
        free(index);
    }
}

static bool is_before_horizon(const struct timer_index *index, const struct timer_entry *entry)
{
    return index->has_all || compare_entries(entry, &index->horizon) < 0;
}

/* Keeps the earlier half of the heap; the horizon comes forward. A sorted array is a heap. */
static void cut_heap(struct timer_index *index)
{
    list_sort(&index->heap);
    index->heap.count /= 2;
    index->horizon = index->heap.entries[index->heap.count];
    index->has_all = false;
}

/*
 * The heap has four children a node (D. B. Johnson: Priority queues with update and finding minimum
 * spanning trees, 1975): half the levels of a binary one, and the children stand side by side, so
 * that a pop touches half as many cache lines.
 */
#define HEAP_CHILDREN 4u

static void sift_up(struct timer_entry *heap, size_t at)
{
    struct timer_entry entry = heap[at];
    while (at > 0) {
        size_t parent = (at - 1) / HEAP_CHILDREN;
        if (!is_before(&entry, &heap[parent])) {
            break;
        }
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = entry;
}

static size_t earliest_child(const struct timer_entry *heap, size_t first, size_t count)
{
    size_t end = first + HEAP_CHILDREN < count ? first + HEAP_CHILDREN : count;
    size_t best = first;
    for (size_t child = first + 1; child < end; child++) {
        best = is_before(&heap[child], &heap[best]) ? child : best;
    }
    return best;
}

static void sift_down(struct timer_entry *heap, size_t count)
{
    struct timer_entry entry = heap[0];
    size_t at = 0;
    for (size_t first = 1; first < count; first = HEAP_CHILDREN * at + 1) {
        size_t child = earliest_child(heap, first, count);
        if (!is_before(&heap[child], &entry)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

/* Puts the entry where it belongs by the horizon. */
static bool index_put(struct timer_index *index, struct timer_entry entry)
{
    if (is_before_horizon(index, &entry) && index->heap.count == index->entries_max) {
        cut_heap(index);
    }
    if (!is_before_horizon(index, &entry)) {
        return true;
    }
    if (!list_push(&index->heap, entry)) {
        return false;
    }
    sift_up(index->heap.entries, index->heap.count - 1);
    return true;
}

/* A refill: the heap is empty and takes the earliest entries from the horizon on. */
struct refill {
    struct timer_index *index;
    struct timer_entry from;
    size_t stored; /* Taken from the store. */
    bool is_out_of_memory, is_corrupt;
};

static bool was_popped(const struct timer_index *index, const struct timer_entry *entry)
{
    return index->popped.count > 0 && bsearch(entry, index->popped.entries, index->popped.count,
                                              sizeof(*entry), compare_for_sort) != NULL;
}

static void refill_take(struct refill *refill, struct timer_entry entry)
{
    struct timer_index *index = refill->index;
    if (compare_entries(&entry, &refill->from) < 0 || was_popped(index, &entry)) {
        return;
    }
    refill->is_out_of_memory = refill->is_out_of_memory || !index_put(index, entry);
}

static void refill_visit_dirty(void *context, struct record_key key, int64_t index_ms)
{
    refill_take(context, (struct timer_entry){index_ms, key});
}

static bool refill_visit_store(void *context, const struct store_key *key, struct store_value value)
{
    (void)value;
    struct refill *refill = context;
    struct timer_entry entry;
    if (!store_key_read_timer(key, &entry.time_ms, &entry.key)) {
        refill->is_corrupt = true;
        return false;
    }
    if (!is_before_horizon(refill->index, &entry)) {
        return false;
    }
    /* Half of the heap stays free for what is added; the scan goes on from here another time. */
    if (refill->stored == (refill->index->entries_max + 1) / 2) {
        refill->index->horizon = entry;
        refill->index->has_all = false;
        return false;
    }
    refill->stored++;
    refill_take(refill, entry);
    return !refill->is_out_of_memory;
}

/* Entries of dirty records that a shorter horizon has put outside do not stay in the heap. */
static void drop_behind_horizon(struct timer_index *index)
{
    if (index->has_all) {
        return;
    }
    list_sort(&index->heap);
    while (index->heap.count > 0 &&
           !is_before_horizon(index, &index->heap.entries[index->heap.count - 1])) {
        index->heap.count--;
    }
}

static enum status refill_heap(struct timer_index *index, struct error *error)
{
    struct refill refill = {.index = index, .from = index->horizon};
    index->has_all = true;
    list_sort(&index->popped);
    for (size_t i = 0; i < index->beyond.count; i++) {
        refill_take(&refill, index->beyond.entries[i]);
    }
    record_cache_visit_dirty(index->cache, refill.from.time_ms, TIMER_NONE, refill_visit_dirty,
                             &refill);
    struct store_key from = store_key_of_timer(refill.from.time_ms, refill.from.key);
    struct store_key to = {.bytes = {'t' + 1}, .length = 1};
    enum status status =
        index->store->ops->scan(index->store, &from, &to, refill_visit_store, &refill, error);
    if (status == STATUS_OK && refill.is_out_of_memory) {
        status = error_set(error, STATUS_FATAL, "timer index: out of memory");
    }
    if (status == STATUS_OK && refill.is_corrupt) {
        status = error_set(error, STATUS_FATAL, "timer index: a stored timer's key is broken");
    }
    if (status != STATUS_OK) {
        index->heap.count = 0;
        index->horizon = refill.from;
        index->has_all = false;
        return status;
    }
    drop_behind_horizon(index);
    return STATUS_OK;
}

enum status timer_index_peek(struct timer_index *index, int64_t until_ms,
                             struct timer_entry *ret_entry, struct error *error)
{
    while (index->heap.count == 0 && !index->has_all && index->horizon.time_ms <= until_ms) {
        enum status status = refill_heap(index, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    /* Room to pop, so that it cannot fail. */
    if (!list_reserve(&index->popped)) {
        return error_set(error, STATUS_FATAL, "timer index: out of memory");
    }
    *ret_entry = (struct timer_entry){.time_ms = TIMER_NONE};
    if (index->heap.count > 0 && index->heap.entries[0].time_ms <= until_ms) {
        *ret_entry = index->heap.entries[0];
    }
    return STATUS_OK;
}

static struct timer_entry heap_pop(struct entry_list *heap)
{
    struct timer_entry entry = heap->entries[0];
    heap->entries[0] = heap->entries[--heap->count];
    if (heap->count > 1) {
        sift_down(heap->entries, heap->count);
    }
    return entry;
}

void timer_index_pop(struct timer_index *index)
{
    assert(index->heap.count > 0);
    struct timer_entry entry = heap_pop(&index->heap);
    /* An entry may be there twice: added, and met again in a dirty record. */
    while (index->heap.count > 0 && compare_entries(&index->heap.entries[0], &entry) == 0) {
        (void)heap_pop(&index->heap);
    }
    assert(index->popped.count < index->popped.capacity);
    index->popped.entries[index->popped.count++] = entry;
}

enum status timer_index_add(struct timer_index *index, struct timer_entry entry,
                            struct error *error)
{
    if (entry.time_ms == TIMER_NONE) {
        return STATUS_OK;
    }
    if (!list_push(&index->beyond, entry) || !index_put(index, entry)) {
        return error_set(error, STATUS_FATAL, "timer index: out of memory");
    }
    return STATUS_OK;
}

void timer_index_commit(struct timer_index *index)
{
    index->popped.count = 0;
    index->beyond.count = 0;
}

void timer_index_abort(struct timer_index *index)
{
    /* Filled again from what is committed, so that no entry outlives the transaction that made it:
     * it would pop, and take a record that is not there, where the watermark falls. */
    index->beyond.count = 0;
    index->popped.count = 0;
    index->heap.count = 0;
    index->horizon = (struct timer_entry){.time_ms = INT64_MIN};
    index->has_all = false;
}
