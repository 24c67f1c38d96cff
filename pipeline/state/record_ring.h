/*
 * Memory for encoded records: a ring of pieces. New ones go to its head; from its tail on, what is
 * still wanted is moved to the head, and the room of the rest is used again. So records of any
 * size share it, with nothing lost between them ("log-structured memory": Rumble, Kejriwal and
 * Ousterhout, Log-structured Memory for DRAM-based Storage, FAST 2014). Memory beyond what is in
 * use is touched only when less than a quarter of that is lost to pieces given back.
 *
 * Pieces move while others are taken: `moved` says where to. One cache's, one thread.
 */
#ifndef PIPELINE_STATE_RECORD_RING_H
#define PIPELINE_STATE_RECORD_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_ALIGN 32u

struct record_ring_owner {
    /*
     * Whether the owner keeps its piece, asked when the tail comes by. If not, which is for the
     * owner to say only where `may_evict`, it has given the piece back.
     */
    bool (*keeps)(void *context, uint32_t owner, bool may_evict);
    void (*moved)(void *context, uint32_t owner, unsigned char *bytes);
    void *context;
    const char *entries; /* What the callbacks will look at: asked for ahead of them. */
    size_t entry_bytes;
};

struct record_ring {
    unsigned char *memory; /* Borrowed; aligned to RING_ALIGN. */
    size_t capacity;
    struct record_ring_owner owner;
    size_t head;    /* Where the next piece goes. */
    size_t tail;    /* Of the sweep under way: the piece that it looks at next. */
    size_t ahead;   /* Up to where owners have been asked for. */
    size_t end;     /* Where the sweep ends; tail == end: none is under way. */
    size_t touched; /* Memory beyond has not been used since the last sweep. */
    size_t live_bytes;
    bool may_evict; /* The sweep under way. */
};

/* `memory` has `capacity` bytes, fewer than 4 GiB times RING_ALIGN. */
void record_ring_init(struct record_ring *ring, void *memory, size_t capacity,
                      const struct record_ring_owner *owner);

/* What a piece of `length` bytes takes up. */
size_t record_ring_bytes(uint32_t length);

/* A piece of `length` bytes, or NULL when what its owners keep leaves no room. */
unsigned char *record_ring_take(struct record_ring *ring, uint32_t owner, uint32_t length);

/* Gives the piece another length where it is; false: it is too small. */
bool record_ring_refit(struct record_ring *ring, unsigned char *bytes, uint32_t length);

void record_ring_give(struct record_ring *ring, unsigned char *bytes);

/* Sweeps until an owner has given a piece back; false when all of them keep theirs. */
bool record_ring_evict(struct record_ring *ring);

/* Gives `bytes`, a multiple of RING_ALIGN, at the end of the memory back; false: it is in use. */
bool record_ring_shrink(struct record_ring *ring, size_t bytes);

#endif
