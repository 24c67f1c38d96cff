/*
 * The form of a record in store and changelog. Layout, little-endian:
 *   u8 format (1), u8 flags (0), u16 part count, u32 epoch, i64 last event, i64 next index entry,
 *   u8 mask of the timer slots set and i64 for each of them, then the parts:
 *   u16 id (bit 15: no writer hash follows), u16 version, u64 writer hash, u32 length, bytes.
 * Part bytes are stored with their zero words left out (bitmap of 8-byte words, then the words), so
 * that a record costs what is in use. A part of zeros only is left out altogether.
 */
#ifndef PIPELINE_STATE_RECORD_CODEC_H
#define PIPELINE_STATE_RECORD_CODEC_H

#include <stddef.h>

#include "pipeline/state/record.h"

/* Fixed places, so that a compaction filter can look without decoding. */
#define RECORD_LAST_EVENT_AT 8u
#define RECORD_INDEX_AT 16u
#define RECORD_TIMER_MASK_AT 24u /* 0: no timer is set. */

#define RECORD_UNKNOWN_BYTES_MAX 65536u /* More of them in one record is corrupt. */

/* Upper bound of the encoded size of a record of that kind with `unknown_bytes` of unknown parts.
 */
size_t record_encoded_bytes_max(const struct record_layout *layout, uint8_t kind,
                                uint32_t unknown_bytes);

/* Writes the record to `out` and returns the bytes written. Deterministic: equal records, equal
 * bytes. */
size_t record_encode(const struct record_layout *layout, const struct record *record,
                     unsigned char *out);

struct record_decode_counts {
    uint64_t parts_cold; /* Another writer's hash, or a version that could not be upgraded. */
    uint64_t parts_upgraded;
    uint64_t parts_unknown; /* Carried along. */
};

/*
 * Fills `record` (its key set, parts zeroed by this call). Bytes that do not parse are
 * STATUS_FATAL: the store is corrupt. `counts` is added to.
 */
MUST_CHECK enum status record_decode(const struct record_layout *layout, const void *bytes,
                                     size_t length, struct record *record,
                                     struct record_decode_counts *counts, struct error *error);

/* Whether bytes would be decoded: STATUS_OK, or STATUS_FATAL that says what is wrong. */
MUST_CHECK enum status record_validate(struct record_key key, const void *bytes, size_t length,
                                       struct error *error);

/* Sets every field of a record that is seen for the first time. */
void record_init(const struct record_layout *layout, struct record_key key, struct record *record);

#endif
