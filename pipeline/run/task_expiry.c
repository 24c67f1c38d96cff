#include "pipeline/run/task_expiry.h"

#include <stdlib.h>
#include <string.h>

#define PASSES_A_RETENTION 16
#define SETTLED_RECORDS 4096u

/* Keys of records begin with it; the next letter is where they end. */
#define FIRST_LETTER 'r'

void task_expiry_release(struct task_expiry *expiry)
{
    free(expiry->entries);
    expiry->entries = NULL;
}

void task_expiry_forget(struct task_expiry *expiry)
{
    expiry->count = 0;
}

static struct store_key letter_key(char letter)
{
    struct store_key key = {.length = 1};
    key.bytes[0] = (unsigned char)letter;
    return key;
}

/* Begins a pass where event time has reached another period. */
static void pace(struct task_expiry *expiry, const struct record_cache *cache, int64_t watermark_ms)
{
    int64_t length_ms = expiry->retention_ms / PASSES_A_RETENTION;
    int64_t period = watermark_ms / (length_ms > 0 ? length_ms : 1);
    bool is_new = expiry->is_begun && period != expiry->period;
    expiry->is_begun = true;
    expiry->period = period;
    if (is_new && !expiry->is_passing && !expiry->is_settling) {
        expiry->is_settling = true;
        expiry->unsettled = record_cache_stats(cache).dirty;
    }
}

struct visit {
    struct task_expiry *expiry;
    const struct record_cache *cache;
    int64_t watermark_ms;
    uint32_t looked_at;
};

static bool is_expired(const struct visit *visit, struct store_value value)
{
    int64_t newest_ms;
    const unsigned char *bytes = value.bytes;
    if (value.length <= RECORD_TIMER_MASK_AT || bytes[RECORD_TIMER_MASK_AT] != 0) {
        return false;
    }
    memcpy(&newest_ms, bytes + RECORD_LAST_EVENT_AT, sizeof(newest_ms));
    return newest_ms != INT64_MIN && newest_ms < visit->watermark_ms - visit->expiry->retention_ms;
}

static bool look_at(void *context, const struct store_key *key, struct store_value value)
{
    struct visit *visit = context;
    struct task_expiry *expiry = visit->expiry;
    struct record_key record;
    if (visit->looked_at == EXPIRY_SLICE_RECORDS) {
        expiry->cursor = *key;
        return false;
    }
    visit->looked_at++;
    if (store_key_read_record(key, &record) && is_expired(visit, value) &&
        record_cache_is_settled(visit->cache, record)) {
        expiry->keys[expiry->count++] = record;
    }
    return true;
}

static enum status append_deletions(struct task_expiry *expiry,
                                    const struct changelog_entry **entries, uint32_t *count,
                                    struct error *error)
{
    uint32_t needed = *count + expiry->count;
    if (needed > expiry->entries_max) {
        struct changelog_entry *grown = realloc(expiry->entries, 2 * needed * sizeof(*grown));
        if (!grown) {
            return error_set(error, STATUS_FATAL, "expiry: out of memory");
        }
        expiry->entries = grown;
        expiry->entries_max = 2 * needed;
    }
    memcpy(expiry->entries, *entries, *count * sizeof(**entries));
    for (uint32_t i = 0; i < expiry->count; i++) {
        expiry->entries[(*count)++] = (struct changelog_entry){.key = expiry->keys[i]};
    }
    *entries = expiry->entries;
    return STATUS_OK;
}

enum status task_expiry_add(struct task_expiry *expiry, struct state_store *store,
                            const struct record_cache *cache, int64_t watermark_ms,
                            const struct changelog_entry **entries, uint32_t *count,
                            struct error *error)
{
    expiry->count = 0;
    if (expiry->retention_ms == 0 || watermark_ms < expiry->retention_ms) {
        return STATUS_OK;
    }
    pace(expiry, cache, watermark_ms);
    if (!expiry->is_passing) {
        return STATUS_OK;
    }
    struct visit visit = {.expiry = expiry, .cache = cache, .watermark_ms = watermark_ms};
    struct store_key end = letter_key(FIRST_LETTER + 1);
    enum status status = store->ops->scan(store, &expiry->cursor, &end, look_at, &visit, error);
    /* Fewer than a slice: that was all. */
    expiry->is_passing = visit.looked_at == EXPIRY_SLICE_RECORDS;
    return status == STATUS_OK && expiry->count > 0
               ? append_deletions(expiry, entries, count, error)
               : status;
}

/* The oldest ones go first, so those that were dirty then are written when as many are. */
static enum status settle(struct task_expiry *expiry, struct record_cache *cache,
                          struct error *error)
{
    if (!expiry->is_settling) {
        return STATUS_OK;
    }
    uint64_t dirty = record_cache_stats(cache).dirty;
    uint64_t wanted =
        expiry->unsettled < SETTLED_RECORDS ? expiry->unsettled : (uint64_t)SETTLED_RECORDS;
    uint64_t left = dirty > wanted ? dirty - wanted : 0;
    enum status status = record_cache_write_back(cache, (uint32_t)left, error);
    if (status != STATUS_OK) {
        return status == STATUS_RETRY ? STATUS_OK : status; /* Busy: with the next commit. */
    }
    expiry->unsettled -= wanted;
    if (expiry->unsettled == 0) {
        expiry->is_settling = false;
        expiry->is_passing = true;
        expiry->cursor = letter_key(FIRST_LETTER);
    }
    return STATUS_OK;
}

static enum status remove_from_store(struct task_expiry *expiry, struct state_store *store,
                                     struct error *error)
{
    struct store_put puts[EXPIRY_SLICE_RECORDS];
    for (uint32_t i = 0; i < expiry->count; i++) {
        puts[i] = (struct store_put){.key = store_key_of_record(expiry->keys[i])};
    }
    uint32_t count = expiry->count;
    expiry->count = 0;
    expiry->removed += count;
    if (count == 0) {
        return STATUS_OK;
    }
    enum status status = store->ops->write(store, puts, count, store->ops->position(store), error);
    /* A busy store drops them itself, when it compacts. */
    return status == STATUS_RETRY ? STATUS_OK : status;
}

enum status task_expiry_finish(struct task_expiry *expiry, struct state_store *store,
                               struct record_cache *cache, struct error *error)
{
    enum status status = remove_from_store(expiry, store, error);
    return status == STATUS_OK ? settle(expiry, cache, error) : status;
}
