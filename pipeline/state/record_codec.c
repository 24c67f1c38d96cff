#include "pipeline/state/record_codec.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/limits.h"

/* The compaction filter reads last event and timer mask at these places: they never move. */
static_assert(RECORD_LAST_EVENT_AT == 8 && RECORD_INDEX_AT == 16 && RECORD_TIMER_MASK_AT == 24,
              "fixed places of format 1");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are stored as they are");
static_assert(TIMER_SLOT_COUNT <= 8, "one mask byte");

#define RECORD_FORMAT 1u
#define TIMERS_AT (RECORD_TIMER_MASK_AT + 1u)
/* Set in the stored id: the writer's hash is 0 and left out. */
#define PART_WITHOUT_HASH 0x8000u
#define PART_HEADER_BYTES_MAX 16u
#define LEFT_OVER "bytes are left over behind its parts"

static uint32_t bitmap_bytes(uint32_t bytes)
{
    return (bytes / 8 + 7) / 8;
}

size_t record_encoded_bytes_max(const struct record_layout *layout, uint8_t kind,
                                uint32_t unknown_bytes)
{
    /* One word more than is kept, since the word loop stores before it knows. */
    size_t bytes = TIMERS_AT + 8u * TIMER_SLOT_COUNT + 8u + unknown_bytes;
    for (uint32_t i = 0; i < layout->part_count; i++) {
        const struct record_part *part = &layout->parts[i];
        if (part->kind == kind) {
            bytes += PART_HEADER_BYTES_MAX + bitmap_bytes(part->bytes) + part->bytes;
        }
    }
    return bytes;
}

/*
 * Copies the words that are not zero to `out` and returns their mask. Every word is stored and the
 * next place depends on it: no branch to mispredict.
 */
static inline unsigned squeeze_words(const unsigned char *words, unsigned count,
                                     unsigned char **out)
{
    unsigned char *next = *out;
    unsigned mask = 0;
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, words + (size_t)8 * i, 8);
        memcpy(next, &word, 8);
        unsigned is_set = word != 0;
        next += (size_t)8 * is_set;
        mask |= is_set << i;
    }
    *out = next;
    return mask;
}

/* Returns the end of what was written, or `out` when all words are zero. */
static unsigned char *encode_part(const struct record_part *part, const unsigned char *bytes,
                                  unsigned char *out)
{
    unsigned char *next = out;
    uint16_t id = (uint16_t)(part->id | (part->writer_hash == 0 ? PART_WITHOUT_HASH : 0));
    memcpy(next, &id, 2);
    memcpy(next + 2, &part->version, 2);
    next += 4;
    if (part->writer_hash != 0) {
        memcpy(next, &part->writer_hash, 8);
        next += 8;
    }
    memcpy(next, &part->bytes, 4);
    unsigned char *bitmap = next + 4;
    unsigned char *words = bitmap + bitmap_bytes(part->bytes);
    next = words;
    uint32_t word_count = part->bytes / 8;
    for (; word_count >= 8; word_count -= 8, bytes += 64) {
        *bitmap++ = (unsigned char)squeeze_words(bytes, 8, &next);
    }
    if (word_count > 0) {
        *bitmap = (unsigned char)squeeze_words(bytes, word_count, &next);
    }
    return next == words ? out : next;
}

static uint16_t count_unknown(const struct record *record);

size_t record_encode(const struct record_layout *layout, const struct record *record,
                     unsigned char *out)
{
    uint16_t part_count = 0;
    out[0] = RECORD_FORMAT;
    out[1] = 0;
    memcpy(out + 4, &record->epoch, 4);
    memcpy(out + RECORD_LAST_EVENT_AT, &record->last_event_ms, 8);
    memcpy(out + RECORD_INDEX_AT, &record->index_ms, 8);
    unsigned char *next = out + TIMERS_AT;
    unsigned mask = 0;
    for (unsigned slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        unsigned is_set = record->timer_ms[slot] != TIMER_NONE;
        memcpy(next, &record->timer_ms[slot], 8);
        next += (size_t)8 * is_set;
        mask |= is_set << slot;
    }
    out[RECORD_TIMER_MASK_AT] = (unsigned char)mask;
    for (uint32_t i = 0; i < layout->part_count; i++) {
        const struct record_part *part = &layout->parts[i];
        if (part->kind != record->key.kind) {
            continue;
        }
        unsigned char *end = encode_part(part, record->parts + layout->offsets[i], next);
        part_count = (uint16_t)(part_count + (end != next));
        next = end;
    }
    if (record->unknown_bytes > 0) {
        memcpy(next, record->unknown_parts, record->unknown_bytes);
        next += record->unknown_bytes;
        part_count = (uint16_t)(part_count + count_unknown(record));
    }
    memcpy(out + 2, &part_count, 2);
    return (size_t)(next - out);
}

/* A part as it stands in stored bytes. */
struct stored_part {
    const unsigned char *begin; /* Header included. */
    const unsigned char *bitmap;
    const unsigned char *words;
    const unsigned char *end;
    uint64_t writer_hash;
    uint32_t bytes;
    uint16_t id;
    uint16_t version;
};

/* Returns NULL, or what is wrong. */
static const char *read_bitmap(struct stored_part *part, const unsigned char *end)
{
    uint32_t length = bitmap_bytes(part->bytes);
    if ((size_t)(end - part->bitmap) < length) {
        return "a part's bitmap is cut off";
    }
    part->words = part->bitmap + length;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < length; i++) {
        kept += (uint32_t)__builtin_popcount(part->bitmap[i]);
    }
    uint32_t last_bits = part->bytes / 8 % 8;
    if (last_bits != 0 && part->bitmap[length - 1] >> last_bits != 0) {
        return "a part's bitmap names words beyond its length";
    }
    if ((size_t)(end - part->words) / 8 < kept) {
        return "a part's words are cut off";
    }
    part->end = part->words + 8u * (size_t)kept;
    return NULL;
}

static const char *read_part(const unsigned char *at, const unsigned char *end,
                             struct stored_part *part)
{
    if (end - at < 8) {
        return "a part's header is cut off";
    }
    *part = (struct stored_part){.begin = at};
    uint16_t id;
    memcpy(&id, at, 2);
    memcpy(&part->version, at + 2, 2);
    at += 4;
    if (!(id & PART_WITHOUT_HASH)) {
        if (end - at < 12) {
            return "a part's header is cut off";
        }
        memcpy(&part->writer_hash, at, 8);
        at += 8;
    }
    part->id = (uint16_t)(id & ~PART_WITHOUT_HASH);
    memcpy(&part->bytes, at, 4);
    part->bitmap = at + 4;
    if (part->bytes == 0 || part->bytes % 8 != 0 || part->bytes > TASK_BYTES_MAX) {
        return "a part's length is no multiple of 8 or beyond the maximum";
    }
    return read_bitmap(part, end);
}

static uint16_t count_unknown(const struct record *record)
{
    uint16_t count = 0;
    const unsigned char *at = record->unknown_parts;
    const unsigned char *end = at + record->unknown_bytes;
    while (at != end) {
        struct stored_part part;
        const char *wrong = read_part(at, end, &part);
        assert(!wrong);
        at = part.end;
        count++;
    }
    return count;
}

/* `out` is zeroed. */
static void expand_words(const struct stored_part *part, unsigned char *out)
{
    const unsigned char *words = part->words;
    uint32_t groups = bitmap_bytes(part->bytes);
    for (uint32_t group = 0; group < groups; group++, out += 64) {
        unsigned mask = part->bitmap[group];
        if (mask == 0xff) {
            memcpy(out, words, 64);
            words += 64;
            continue;
        }
        for (; mask != 0; mask &= mask - 1, words += 8) {
            memcpy(out + (size_t)8 * (unsigned)__builtin_ctz(mask), words, 8);
        }
    }
}

/* Returns -1 when memory is exhausted, else whether the part's own code took the old bytes. */
static int upgrade_part(const struct record_part *part, const struct stored_part *stored,
                        unsigned char *out)
{
    if (!part->upgrade) {
        return 0;
    }
    unsigned char *bytes = calloc(1, stored->bytes);
    if (!bytes) {
        return -1;
    }
    expand_words(stored, bytes);
    int is_taken = part->upgrade(stored->version, bytes, stored->bytes, out);
    free(bytes);
    if (!is_taken) {
        memset(out, 0, part->bytes);
    }
    return is_taken;
}

/* What decoding gathers on its way through the parts. */
struct decoding {
    const struct record_layout *layout;
    struct record *record;
    uint32_t seen_parts; /* Bit i: layout part i was met. */
    uint32_t unknown_count;
    struct record_decode_counts counts;
};
static_assert(RECORD_PARTS_MAX <= 32, "seen_parts has one bit a part");

static int find_part(const struct record_layout *layout, uint8_t kind, uint16_t id)
{
    for (uint32_t i = 0; i < layout->part_count; i++) {
        if (layout->parts[i].id == id && layout->parts[i].kind == kind) {
            return (int)i;
        }
    }
    return -1;
}

/* Appends the stored bytes to the unknown parts. */
static const char *carry_part(struct decoding *decoding, const struct stored_part *stored)
{
    struct record *record = decoding->record;
    uint32_t length = (uint32_t)(stored->end - stored->begin);
    if (length > RECORD_UNKNOWN_BYTES_MAX - record->unknown_bytes) {
        return "more bytes of unknown parts than the maximum";
    }
    unsigned char *grown = realloc(record->unknown_parts, record->unknown_bytes + (size_t)length);
    if (!grown) {
        return "out of memory for unknown parts";
    }
    memcpy(grown + record->unknown_bytes, stored->begin, length);
    record->unknown_parts = grown;
    record->unknown_bytes += length;
    decoding->counts.parts_unknown++;
    return NULL;
}

static const char *take_part(struct decoding *decoding, const struct stored_part *stored)
{
    int index = find_part(decoding->layout, decoding->record->key.kind, stored->id);
    if (index < 0) {
        return carry_part(decoding, stored);
    }
    if (decoding->seen_parts & 1u << index) {
        return "a part stands there twice";
    }
    decoding->seen_parts |= 1u << index;
    const struct record_part *part = &decoding->layout->parts[index];
    unsigned char *out = decoding->record->parts + decoding->layout->offsets[index];
    bool is_version = stored->version == part->version;
    /* A length that was changed without a new version is another writer's as well. */
    if (stored->writer_hash != part->writer_hash || (is_version && stored->bytes != part->bytes)) {
        decoding->counts.parts_cold++;
    } else if (is_version) {
        expand_words(stored, out);
    } else {
        int is_taken = upgrade_part(part, stored, out);
        if (is_taken < 0) {
            return "out of memory to upgrade a part";
        }
        decoding->counts.parts_upgraded += is_taken != 0;
        decoding->counts.parts_cold += is_taken == 0;
    }
    return NULL;
}

static const char *read_header(const unsigned char *bytes, size_t length, struct record *record,
                               size_t *ret_used, uint16_t *ret_part_count)
{
    if (length < TIMERS_AT) {
        return "the header is cut off";
    }
    if (bytes[0] != RECORD_FORMAT || bytes[1] != 0) {
        return "its format is not 1: written by a newer version, or not a record";
    }
    memcpy(ret_part_count, bytes + 2, 2);
    memcpy(&record->epoch, bytes + 4, 4);
    memcpy(&record->last_event_ms, bytes + RECORD_LAST_EVENT_AT, 8);
    memcpy(&record->index_ms, bytes + RECORD_INDEX_AT, 8);
    unsigned mask = bytes[RECORD_TIMER_MASK_AT];
    if (mask >> TIMER_SLOT_COUNT != 0) {
        return "it has a timer slot that does not exist";
    }
    size_t used = TIMERS_AT;
    if (length - used < 8u * (size_t)__builtin_popcount(mask)) {
        return "its timers are cut off";
    }
    for (unsigned slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        if (mask & 1u << slot) {
            memcpy(&record->timer_ms[slot], bytes + used, 8);
            used += 8;
        }
    }
    *ret_used = used;
    return NULL;
}

static const char *decode(struct decoding *decoding, const unsigned char *bytes, size_t length)
{
    size_t used = 0;
    uint16_t part_count = 0;
    const char *wrong = read_header(bytes, length, decoding->record, &used, &part_count);
    const unsigned char *at = bytes + used;
    for (uint16_t i = 0; i < part_count && !wrong; i++) {
        struct stored_part stored;
        wrong = read_part(at, bytes + length, &stored);
        if (!wrong) {
            wrong = take_part(decoding, &stored);
            at = stored.end;
        }
    }
    if (!wrong && at != bytes + length) {
        wrong = LEFT_OVER;
    }
    return wrong;
}

static enum status fail(struct record_key key, size_t length, const char *wrong,
                        struct error *error)
{
    char id[33];
    key128_format(key.id, id);
    return error_set(error, STATUS_FATAL, "stored record of %s %s, %zu bytes: %s",
                     entity_names[key.kind], id, length, wrong);
}

enum status record_validate(struct record_key key, const void *bytes, size_t length,
                            struct error *error)
{
    struct record head;
    size_t used = 0;
    uint16_t part_count = 0;
    const char *wrong = read_header(bytes, length, &head, &used, &part_count);
    const unsigned char *at = (const unsigned char *)bytes + used;
    const unsigned char *end = (const unsigned char *)bytes + length;
    for (uint16_t i = 0; i < part_count && !wrong; i++) {
        struct stored_part stored;
        wrong = read_part(at, end, &stored);
        at = wrong ? at : stored.end;
    }
    if (!wrong && at != end) {
        wrong = LEFT_OVER;
    }
    return wrong ? fail(key, length, wrong, error) : STATUS_OK;
}

enum status record_decode(const struct record_layout *layout, const void *bytes, size_t length,
                          struct record *record, struct record_decode_counts *counts,
                          struct error *error)
{
    record_init(layout, record->key, record);
    struct decoding decoding = {.layout = layout, .record = record};
    const char *wrong = decode(&decoding, bytes, length);
    if (wrong) {
        free(record->unknown_parts);
        record->unknown_parts = NULL;
        record->unknown_bytes = 0;
        return fail(record->key, length, wrong, error);
    }
    counts->parts_cold += decoding.counts.parts_cold;
    counts->parts_upgraded += decoding.counts.parts_upgraded;
    counts->parts_unknown += decoding.counts.parts_unknown;
    return STATUS_OK;
}

void record_init(const struct record_layout *layout, struct record_key key, struct record *record)
{
    assert(key.kind < ENTITY_KIND_COUNT);
    memset(record, 0, sizeof(*record) + layout->bytes[key.kind]);
    record->key.id = key.id;
    record->key.kind = key.kind;
    record->last_event_ms = INT64_MIN;
    record->index_ms = TIMER_NONE;
    for (int slot = 0; slot < TIMER_SLOT_COUNT; slot++) {
        record->timer_ms[slot] = TIMER_NONE;
    }
}
