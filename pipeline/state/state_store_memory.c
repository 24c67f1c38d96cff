/*
 * A sorted array of keys. Each write keeps what it replaced until the next flush, so that a crash
 * can be played: writes are undone, newest first, back to a chosen one.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/hash.h"
#include "pipeline/stage.h"
#include "pipeline/state/state_store.h"

struct cell {
    struct store_key key;
    uint32_t length;
    unsigned char *bytes; /* Owned. NULL in an undo list: the key was not there. */
};

/* What one write replaced. */
struct undo {
    struct cell *cells; /* Owned. */
    uint32_t count;
    uint64_t position_before;
};

struct memory_store {
    struct state_store store;
    struct cell *cells; /* Owned, sorted by key. */
    size_t count, capacity;
    struct undo *undos; /* Owned. Since the last flush, oldest first. */
    size_t undo_count, undo_capacity;
    uint64_t position;
    uint64_t durable_position;
};

static struct memory_store *self_of(struct state_store *store)
{
    return container_of(store, struct memory_store, store);
}

static int compare_keys(const struct store_key *a, const struct store_key *b)
{
    uint8_t shared = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->bytes, b->bytes, shared);
    return order != 0 ? order : (int)a->length - (int)b->length;
}

/* Index of the first cell whose key is not before `key`. */
static size_t lower_bound(const struct memory_store *self, const struct store_key *key)
{
    size_t begin = 0;
    size_t end = self->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (compare_keys(&self->cells[middle].key, key) < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return begin;
}

static int has_key_at(const struct memory_store *self, size_t index, const struct store_key *key)
{
    return index < self->count && compare_keys(&self->cells[index].key, key) == 0;
}

static enum status memory_get_many(struct state_store *store, const struct store_key *keys,
                                   uint32_t count, struct store_value *values, struct error *error)
{
    (void)error;
    const struct memory_store *self = self_of(store);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = lower_bound(self, &keys[i]);
        values[i] = (struct store_value){0};
        if (has_key_at(self, at, &keys[i])) {
            values[i] = (struct store_value){self->cells[at].bytes, self->cells[at].length};
        }
    }
    return STATUS_OK;
}

/* Puts `cell` (bytes NULL: nothing) in the place of its key and returns what was there. */
static struct cell exchange(struct memory_store *self, struct cell cell)
{
    size_t at = lower_bound(self, &cell.key);
    struct cell before = {.key = cell.key};
    if (has_key_at(self, at, &cell.key)) {
        before = self->cells[at];
        if (cell.bytes) {
            self->cells[at] = cell;
        } else {
            self->count--;
            memmove(&self->cells[at], &self->cells[at + 1],
                    (self->count - at) * sizeof(*self->cells));
        }
    } else if (cell.bytes) {
        assert(self->count < self->capacity);
        memmove(&self->cells[at + 1], &self->cells[at], (self->count - at) * sizeof(*self->cells));
        self->cells[at] = cell;
        self->count++;
    }
    return before;
}

static int reserve(void **array, size_t *capacity, size_t needed, size_t element_bytes)
{
    if (needed <= *capacity) {
        return 1;
    }
    size_t grown_capacity = needed * 2;
    void *grown = realloc(*array, grown_capacity * element_bytes);
    if (!grown) {
        return 0;
    }
    *array = grown;
    *capacity = grown_capacity;
    return 1;
}

static void undo_release(struct undo *undo)
{
    for (uint32_t i = 0; i < undo->count; i++) {
        free(undo->cells[i].bytes);
    }
    free(undo->cells);
}

/* Copies of the puts, as cells. NULL when memory is exhausted. */
static struct cell *copy_puts(const struct store_put *puts, uint32_t count)
{
    struct cell *cells = calloc(count + 1u, sizeof(*cells));
    for (uint32_t i = 0; cells && i < count; i++) {
        assert(puts[i].key.length <= STORE_KEY_BYTES_MAX);
        cells[i] = (struct cell){.key = puts[i].key, .length = puts[i].length};
        if (!puts[i].bytes) {
            continue;
        }
        cells[i].bytes = malloc(puts[i].length + 1u);
        if (!cells[i].bytes) {
            struct undo made = {cells, i, 0};
            undo_release(&made);
            return NULL;
        }
        memcpy(cells[i].bytes, puts[i].bytes, puts[i].length);
    }
    return cells;
}

static enum status memory_write(struct state_store *store, const struct store_put *puts,
                                uint32_t count, uint64_t log_position, struct error *error)
{
    struct memory_store *self = self_of(store);
    assert(log_position >= self->position);
    if (!reserve((void **)&self->cells, &self->capacity, self->count + count + 1,
                 sizeof(*self->cells)) ||
        !reserve((void **)&self->undos, &self->undo_capacity, self->undo_count + 1,
                 sizeof(*self->undos))) {
        return error_set(error, STATUS_FATAL, "memory store: out of memory");
    }
    struct cell *cells = copy_puts(puts, count);
    if (!cells) {
        return error_set(error, STATUS_FATAL, "memory store: out of memory");
    }
    for (uint32_t i = 0; i < count; i++) {
        cells[i] = exchange(self, cells[i]);
    }
    self->undos[self->undo_count++] = (struct undo){cells, count, self->position};
    self->position = log_position;
    return STATUS_OK;
}

static enum status memory_scan(struct state_store *store, const struct store_key *from,
                               const struct store_key *to, store_visitor *visit, void *context,
                               struct error *error)
{
    (void)error;
    const struct memory_store *self = self_of(store);
    for (size_t i = lower_bound(self, from); i < self->count; i++) {
        const struct cell *cell = &self->cells[i];
        if (compare_keys(&cell->key, to) >= 0 ||
            !visit(context, &cell->key, (struct store_value){cell->bytes, cell->length})) {
            break;
        }
    }
    return STATUS_OK;
}

static enum status memory_flush(struct state_store *store, struct error *error)
{
    (void)error;
    struct memory_store *self = self_of(store);
    for (size_t i = 0; i < self->undo_count; i++) {
        undo_release(&self->undos[i]);
    }
    self->undo_count = 0;
    self->durable_position = self->position;
    return STATUS_OK;
}

static uint64_t memory_durable_position(struct state_store *store)
{
    return self_of(store)->durable_position;
}

static uint64_t memory_position(struct state_store *store)
{
    return self_of(store)->position;
}

static void memory_close(struct state_store *store)
{
    if (!store) {
        return;
    }
    struct memory_store *self = self_of(store);
    (void)memory_flush(store, NULL);
    for (size_t i = 0; i < self->count; i++) {
        free(self->cells[i].bytes);
    }
    free(self->cells);
    free(self->undos);
    free(self);
}

static const struct state_store_ops memory_ops = {
    .name = "memory",
    .get_many = memory_get_many,
    .write = memory_write,
    .scan = memory_scan,
    .flush = memory_flush,
    .durable_position = memory_durable_position,
    .position = memory_position,
    .close = memory_close,
};

enum status state_store_memory_open(struct state_store **ret_store, struct error *error)
{
    struct memory_store *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "memory store: out of memory");
    }
    self->store.ops = &memory_ops;
    *ret_store = &self->store;
    return STATUS_OK;
}

void state_store_memory_crash(struct state_store *store, uint64_t seed)
{
    assert(store->ops == &memory_ops);
    struct memory_store *self = self_of(store);
    size_t kept = (size_t)(hash64_combine(seed, self->undo_count) % (self->undo_count + 1));
    while (self->undo_count > kept) {
        struct undo *undo = &self->undos[--self->undo_count];
        for (uint32_t i = undo->count; i > 0; i--) {
            free(exchange(self, undo->cells[i - 1]).bytes);
        }
        self->position = undo->position_before;
        free(undo->cells);
    }
    (void)memory_flush(store, NULL);
}
