#include "test/fakes/storage_fake_content.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A change that is not durable yet. */
struct change {
    uint64_t offset; /* Of a write; of a cut, the new length. */
    uint64_t length;
    size_t bytes_at; /* In `change_bytes`. */
    bool is_cut;
};

void fake_content_release(struct fake_content *content)
{
    byte_buffer_release(&content->cached);
    byte_buffer_release(&content->durable);
    byte_buffer_release(&content->change_bytes);
    free(content->changes);
    *content = (struct fake_content){0};
}

static void set_length(struct byte_buffer *buffer, uint64_t length)
{
    if (length > buffer->length) {
        unsigned char *room = byte_buffer_room(buffer, (size_t)(length - buffer->length));
        assert(room);
        memset(room, 0, (size_t)(length - buffer->length));
    }
    buffer->length = (size_t)length;
}

static void overwrite(struct byte_buffer *buffer, uint64_t offset, const void *bytes,
                      uint64_t length)
{
    if (length > 0) {
        if (offset + length > buffer->length) {
            set_length(buffer, offset + length);
        }
        memcpy(buffer->bytes + offset, bytes, (size_t)length);
    }
}

static void add_change(struct fake_content *content, struct change change, const void *bytes)
{
    if (content->change_count == content->change_capacity) {
        content->change_capacity = content->change_capacity ? 2 * content->change_capacity : 8;
        content->changes =
            realloc(content->changes, content->change_capacity * sizeof(*content->changes));
        assert(content->changes);
    }
    change.bytes_at = content->change_bytes.length;
    if (!change.is_cut) {
        byte_buffer_append(&content->change_bytes, bytes, (size_t)change.length);
    }
    content->changes[content->change_count++] = change;
}

/* The `length` bytes of a write that begin `skipped` bytes behind its start. */
static void apply_change(struct fake_content *content, const struct change *change,
                         uint64_t skipped, uint64_t length)
{
    if (change->is_cut) {
        set_length(&content->durable, change->offset);
    } else {
        overwrite(&content->durable, change->offset + skipped,
                  content->change_bytes.bytes + change->bytes_at + skipped, length);
    }
}

static void forget_changes(struct fake_content *content)
{
    content->change_count = 0;
    content->change_bytes.length = 0;
}

void fake_content_sync(struct fake_content *content)
{
    for (uint32_t i = 0; i < content->change_count; i++) {
        apply_change(content, &content->changes[i], 0, content->changes[i].length);
    }
    forget_changes(content);
}

static void keep_some(struct fake_content *content, struct random *random)
{
    uint32_t count = content->change_count;
    uint64_t way = random_next(random) % 4;
    if (way == 0 || count == 0) {
        return;
    }
    if (way == 1) {
        fake_content_sync(content);
        return;
    }
    for (uint32_t i = count; way == 3 && i > 1; i--) {
        uint32_t other = (uint32_t)(random_next(random) % i);
        struct change swapped = content->changes[i - 1];
        content->changes[i - 1] = content->changes[other];
        content->changes[other] = swapped;
    }
    uint32_t kept = (uint32_t)(random_next(random) % (count + 1));
    for (uint32_t i = 0; i < kept; i++) {
        const struct change *change = &content->changes[i];
        bool is_torn = (way == 3 && random_next(random) % 4 == 0) || (way == 2 && i + 1 == kept);
        uint64_t skipped = 0;
        uint64_t length = change->length;
        if (is_torn && length > 0) {
            length = random_next(random) % length;
            skipped = random_next(random) % 2 == 0 ? 0 : change->length - length;
        }
        apply_change(content, change, skipped, length);
    }
}

void fake_content_write(struct fake_content *content, uint64_t offset, const void *bytes,
                        uint64_t length)
{
    overwrite(&content->cached, offset, bytes, length);
    add_change(content, (struct change){.offset = offset, .length = length}, bytes);
}

void fake_content_cut(struct fake_content *content, uint64_t length)
{
    set_length(&content->cached, length);
    add_change(content, (struct change){.offset = length, .is_cut = true}, NULL);
}

void fake_content_lose_power(struct fake_content *content, struct random *random)
{
    if (content->change_count > 0) {
        keep_some(content, random);
        forget_changes(content);
        content->cached.length = 0;
        byte_buffer_append(&content->cached, content->durable.bytes, content->durable.length);
    }
}
