#include "pipeline/source/read_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/source/source.h"

/* Large enough that reads are few and the moved end of a window is little; fits a level-2 cache. */
#define BLOCK_BYTES ((size_t)512 * 1024)
#define SPARE_BLOCKS_MAX 8u

struct read_block {
    struct read_block *next;
    size_t bytes;
    size_t used; /* Read or handed out. */
    char data[];
};

static struct read_block *block_new(struct read_window *window, size_t bytes)
{
    struct read_block *block = window->spare;
    if (block && bytes <= BLOCK_BYTES) {
        window->spare = block->next;
        window->spare_count--;
    } else {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block = malloc(sizeof(*block) + size + RAW_RECORD_PADDING);
        if (!block) {
            return NULL;
        }
        block->bytes = size;
        memset(block->data + size, 0, RAW_RECORD_PADDING);
    }
    block->next = NULL;
    block->used = 0;
    return block;
}

static void hold(struct read_window *window, struct read_block *block)
{
    block->next = window->held;
    window->held = block;
    window->held_bytes += block->bytes;
}

static void free_list(struct read_block *block)
{
    while (block) {
        struct read_block *next = block->next;
        free(block);
        block = next;
    }
}

void read_window_release_all(struct read_window *window)
{
    free_list(window->held);
    free_list(window->spare);
    free(window->current);
    *window = (struct read_window){0};
}

/* Makes room behind the window: half a block at least, so that a read is worth its call. */
static enum status make_room(struct read_window *window, struct error *error)
{
    struct read_block *current = window->current;
    if (current && current->bytes - current->used >= BLOCK_BYTES / 2) {
        return STATUS_OK;
    }
    size_t wanted = window->length > BLOCK_BYTES / 2 ? window->length * 2 : BLOCK_BYTES;
    struct read_block *next = block_new(window, wanted);
    if (!next) {
        return error_set(error, STATUS_FATAL, "%s: out of memory",
                         byte_stream_name(window->stream));
    }
    if (window->length > 0) {
        memcpy(next->data, window->data, window->length);
    }
    next->used = window->length;
    if (current) {
        hold(window, current);
    }
    window->current = next;
    window->data = next->data;
    return STATUS_OK;
}

enum status read_window_fill(struct read_window *window, bool may_block,
                             enum stream_event *ret_event, struct error *error)
{
    enum status status = make_room(window, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct read_block *current = window->current;
    size_t count = 0;
    status = byte_stream_read(window->stream, current->data + current->used,
                              current->bytes - current->used, may_block, &count, ret_event, error);
    if (status == STATUS_OK) {
        current->used += count;
        window->length += count;
    }
    return status;
}

void read_window_take(struct read_window *window, size_t count)
{
    assert(count <= window->length);
    window->data += count;
    window->data_bytes += count;
    window->length -= count;
}

void read_window_skip(struct read_window *window, size_t count)
{
    assert(count <= window->length);
    char *start = window->current->data + (window->current->used - window->length);
    memmove(start, start + count, window->length - count);
    window->current->used -= count;
    window->length -= count;
    window->data_bytes += count;
}

void read_window_drop(struct read_window *window)
{
    window->data_bytes += window->length;
    if (window->current) {
        /* Only what nobody was given is read over. */
        window->current->used -= window->length;
    }
    window->length = 0;
}

void read_window_restart(struct read_window *window, uint64_t bytes)
{
    read_window_drop(window);
    window->data_bytes = bytes;
}

char *read_window_extra(struct read_window *window, size_t bytes)
{
    struct read_block *block = block_new(window, bytes);
    if (!block) {
        return NULL;
    }
    block->used = bytes;
    hold(window, block);
    return block->data;
}

static bool holds(const struct read_block *block, struct text text)
{
    uintptr_t start = (uintptr_t)block->data;
    uintptr_t place = (uintptr_t)text.data;
    return text.data && place >= start && place <= start + block->bytes;
}

void read_window_recycle(struct read_window *window, struct text kept, struct text also_kept)
{
    struct read_block **link = &window->held;
    while (*link) {
        struct read_block *block = *link;
        if (holds(block, kept) || holds(block, also_kept)) {
            link = &block->next;
            continue;
        }
        *link = block->next;
        if (block->bytes > BLOCK_BYTES || window->spare_count >= SPARE_BLOCKS_MAX) {
            free(block);
        } else {
            block->next = window->spare;
            window->spare = block;
            window->spare_count++;
        }
    }
    window->held_bytes = 0;
    struct read_block *current = window->current;
    if (current && window->length == 0 && !holds(current, kept) && !holds(current, also_kept)) {
        current->used = 0; /* Nothing of it is needed: the next read goes over warm memory. */
        window->data = current->data;
    }
}
