#include "pipeline/kafka/kafka_records.h"

#include <assert.h>
#include <string.h>

#define JOURNAL_HEADER_BYTES 17u

static void put_big_endian(unsigned char *bytes, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        bytes[i] = (unsigned char)value;
        value >>= 8;
    }
}

static uint64_t get_big_endian(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void kafka_record_key_write(struct record_key key, unsigned char ret_bytes[KAFKA_RECORD_KEY_BYTES])
{
    ret_bytes[0] = key.kind;
    put_big_endian(ret_bytes + 1, key.id.high);
    put_big_endian(ret_bytes + 9, key.id.low);
}

bool kafka_record_key_read(const void *bytes, size_t length, struct record_key *ret_key)
{
    const unsigned char *from = bytes;
    if (!from || length != KAFKA_RECORD_KEY_BYTES || from[0] >= ENTITY_KIND_COUNT) {
        return false;
    }
    *ret_key = (struct record_key){.kind = from[0],
                                   .id = {get_big_endian(from + 1), get_big_endian(from + 9)}};
    return true;
}

size_t kafka_journal_write(const struct journal_entry *entry,
                           unsigned char ret_bytes[KAFKA_JOURNAL_BYTES_MAX])
{
    assert(entry->payload.length <= KAFKA_JOURNAL_PAYLOAD_MAX);
    ret_bytes[0] = entry->kind;
    memcpy(ret_bytes + 1, &entry->ordinal, 8);
    memcpy(ret_bytes + 9, &entry->value, 8);
    if (entry->payload.length > 0) {
        memcpy(ret_bytes + JOURNAL_HEADER_BYTES, entry->payload.data, entry->payload.length);
    }
    return JOURNAL_HEADER_BYTES + entry->payload.length;
}

bool kafka_journal_read(const void *bytes, size_t length, struct journal_entry *ret_entry)
{
    const unsigned char *from = bytes;
    if (!from || length < JOURNAL_HEADER_BYTES || length > KAFKA_JOURNAL_BYTES_MAX) {
        return false;
    }
    *ret_entry = (struct journal_entry){.kind = from[0],
                                        .payload = {(const char *)from + JOURNAL_HEADER_BYTES,
                                                    (uint32_t)(length - JOURNAL_HEADER_BYTES)}};
    memcpy(&ret_entry->ordinal, from + 1, 8);
    memcpy(&ret_entry->value, from + 9, 8);
    return true;
}
