/* What a file of the fake disk holds: as processes see it, and as it is durable. */
#ifndef TEST_FAKES_STORAGE_FAKE_CONTENT_H
#define TEST_FAKES_STORAGE_FAKE_CONTENT_H

#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "test/fakes/random.h"

struct change;
struct fake_content {
    struct byte_buffer cached;
    struct byte_buffer durable;
    struct byte_buffer change_bytes;
    struct change *changes; /* Not durable yet, in their order. */
    uint32_t change_count;
    uint32_t change_capacity;
};

void fake_content_release(struct fake_content *content);

void fake_content_write(struct fake_content *content, uint64_t offset, const void *bytes,
                        uint64_t length);
void fake_content_cut(struct fake_content *content, uint64_t length);

/* All changes so far are durable. */
void fake_content_sync(struct fake_content *content);

/* Of the changes that were not durable all are left, none, the first ones with the last of them
 * torn, or any of them in any order. */
void fake_content_lose_power(struct fake_content *content, struct random *random);

#endif
