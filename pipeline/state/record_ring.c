#include "pipeline/state/record_ring.h"

#include <assert.h>
#include <string.h>

#define NO_OWNER UINT32_MAX
#define TOUCH_BYTES ((size_t)1 << 16)
#define AHEAD_BYTES 2048u
/* One that is under way, one that takes the second chances, one that evicts, one for garbage. */
#define SWEEPS_MAX 4u

/* Before the bytes of each piece. */
struct piece {
    uint32_t owner; /* NO_OWNER: given back. */
    uint32_t length;
    unsigned char bytes[];
};

size_t record_ring_bytes(uint32_t length)
{
    return (sizeof(struct piece) + length + RING_ALIGN - 1) & ~(size_t)(RING_ALIGN - 1);
}

static struct piece *piece_at(const struct record_ring *ring, size_t at)
{
    return (struct piece *)(void *)(ring->memory + at);
}

static struct piece *piece_of(unsigned char *bytes)
{
    return (struct piece *)(void *)(bytes - offsetof(struct piece, bytes));
}

void record_ring_init(struct record_ring *ring, void *memory, size_t capacity,
                      const struct record_ring_owner *owner)
{
    *ring = (struct record_ring){
        .memory = memory, .capacity = capacity / RING_ALIGN * RING_ALIGN, .owner = *owner};
}

/* Asks for the owners of the next pieces, whose heads are read one after the other. */
static void look_ahead(struct record_ring *ring)
{
    ring->ahead = ring->ahead < ring->tail ? ring->tail : ring->ahead;
    while (ring->ahead < ring->end && ring->ahead < ring->tail + AHEAD_BYTES) {
        const struct piece *piece = piece_at(ring, ring->ahead);
        if (piece->owner != NO_OWNER) {
            __builtin_prefetch(ring->owner.entries + piece->owner * ring->owner.entry_bytes);
        }
        ring->ahead += record_ring_bytes(piece->length);
    }
}

/* Moves the tail by a piece; true when its owner gave it back. */
static bool sweep_one(struct record_ring *ring)
{
    look_ahead(ring);
    struct piece *piece = piece_at(ring, ring->tail);
    size_t bytes = record_ring_bytes(piece->length);
    bool has_owner = piece->owner != NO_OWNER;
    bool is_kept =
        has_owner && ring->owner.keeps(ring->owner.context, piece->owner, ring->may_evict);
    if (is_kept && ring->head != ring->tail) {
        struct piece *to = piece_at(ring, ring->head);
        memmove(to, piece, sizeof(*piece) + piece->length);
        ring->owner.moved(ring->owner.context, to->owner, to->bytes);
    }
    ring->head += is_kept ? bytes : 0;
    ring->tail += bytes;
    if (ring->tail == ring->end) {
        ring->touched = ring->head;
    }
    return has_owner && !is_kept;
}

static bool is_sweeping(const struct record_ring *ring)
{
    return ring->tail < ring->end;
}

static void begin_sweep(struct record_ring *ring, bool may_evict)
{
    ring->end = ring->head;
    ring->head = 0;
    ring->tail = 0;
    ring->ahead = 0;
    ring->may_evict = may_evict;
}

static bool has_room(const struct record_ring *ring, size_t bytes)
{
    size_t limit = is_sweeping(ring) ? ring->tail : ring->touched;
    return limit - ring->head >= bytes;
}

/* At the end of what is in use: takes fresh memory, or begins at the start again. */
static bool go_on(struct record_ring *ring, size_t bytes, unsigned *sweeps)
{
    bool is_sparse = ring->live_bytes < ring->head / 4 * 3;
    if (!is_sparse && ring->capacity - ring->head >= bytes) {
        size_t touched = ring->head + bytes + TOUCH_BYTES;
        ring->touched = touched < ring->capacity ? touched : ring->capacity;
        return true;
    }
    if (++*sweeps > SWEEPS_MAX) {
        return false;
    }
    begin_sweep(ring, !is_sparse);
    return true;
}

unsigned char *record_ring_take(struct record_ring *ring, uint32_t owner, uint32_t length)
{
    assert(owner != NO_OWNER);
    size_t bytes = record_ring_bytes(length);
    unsigned sweeps = 0;
    while (!has_room(ring, bytes)) {
        if (is_sweeping(ring)) {
            (void)sweep_one(ring);
        } else if (!go_on(ring, bytes, &sweeps)) {
            return NULL;
        }
    }
    struct piece *piece = piece_at(ring, ring->head);
    *piece = (struct piece){.owner = owner, .length = length};
    ring->head += bytes;
    ring->live_bytes += bytes;
    return piece->bytes;
}

void record_ring_give(struct record_ring *ring, unsigned char *bytes)
{
    struct piece *piece = piece_of(bytes);
    assert(piece->owner != NO_OWNER);
    piece->owner = NO_OWNER;
    ring->live_bytes -= record_ring_bytes(piece->length);
}

bool record_ring_refit(struct record_ring *ring, unsigned char *bytes, uint32_t length)
{
    struct piece *piece = piece_of(bytes);
    size_t before = record_ring_bytes(piece->length);
    size_t after = record_ring_bytes(length);
    if (after > before) {
        return false;
    }
    piece->length = length;
    if (after < before) { /* What is cut off is a piece of its own, which nobody has. */
        *piece_at(ring, (size_t)((unsigned char *)piece - ring->memory) + after) = (struct piece){
            .owner = NO_OWNER, .length = (uint32_t)(before - after - sizeof(struct piece))};
        ring->live_bytes -= before - after;
    }
    return true;
}

bool record_ring_evict(struct record_ring *ring)
{
    unsigned sweeps = 0;
    for (;;) {
        if (!is_sweeping(ring)) {
            if (++sweeps > SWEEPS_MAX) {
                return false;
            }
            begin_sweep(ring, true);
        }
        ring->may_evict = true;
        while (is_sweeping(ring)) {
            if (sweep_one(ring)) {
                return true;
            }
        }
    }
}

bool record_ring_shrink(struct record_ring *ring, size_t bytes)
{
    bool is_free = bytes <= ring->capacity && ring->touched <= ring->capacity - bytes;
    ring->capacity -= is_free ? bytes : 0;
    return is_free;
}
