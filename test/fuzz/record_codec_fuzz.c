/* Bytes of a store or changelog that nobody vouches for: decoded, and what was decoded encoded. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/state/record_codec.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length);

static bool upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    memcpy(part, bytes, length < 64 ? length : 64);
    return version != 7;
}

static const struct record_part parts[] = {
    {.name = "plain", .id = 1, .version = 1, .bytes = 128},
    {.name = "hashed", .id = 2, .version = 1, .bytes = 40, .writer_hash = 0x1111111111111111},
    {.name = "upgraded", .id = 3, .version = 9, .bytes = 64, .upgrade = upgrade},
};

static struct record *decode(const struct record_layout *layout, const unsigned char *bytes,
                             size_t length)
{
    struct record *record = malloc(sizeof(*record) + layout->bytes[ENTITY_USER]);
    struct record_decode_counts counts = {0};
    struct error error;
    assert(record);
    record->key = (struct record_key){{1, 2}, ENTITY_USER};
    if (record_decode(layout, bytes, length, record, &counts, &error) != STATUS_OK) {
        assert(!record->unknown_parts);
        free(record);
        return NULL;
    }
    return record;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length)
{
    struct record_layout layout = {0};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint32_t offset;
        enum status status = record_layout_add(&layout, &parts[i], &offset, NULL);
        assert(status == STATUS_OK);
    }
    struct record *record = decode(&layout, bytes, length);
    if (!record) {
        return 0;
    }
    size_t max = record_encoded_bytes_max(&layout, ENTITY_USER, record->unknown_bytes);
    unsigned char *encoded = malloc(max);
    assert(encoded);
    size_t encoded_length = record_encode(&layout, record, encoded);
    assert(encoded_length <= max);
    struct record *back = decode(&layout, encoded, encoded_length);
    assert(back && back->unknown_bytes == record->unknown_bytes);
    assert(memcmp(back->parts, record->parts, layout.bytes[ENTITY_USER]) == 0);
    assert(memcmp(back->timer_ms, record->timer_ms, sizeof(back->timer_ms)) == 0);
    free(back->unknown_parts);
    free(back);
    free(record->unknown_parts);
    free(record);
    free(encoded);
    return 0;
}
