/*
 * How changed records and journal entries look in their topics. A record's key is u8 kind, then
 * high and low half of the id, big-endian; its value is that of record_codec.h. A journal entry is
 * u8 kind, u64 ordinal, i64 value, then the payload, little-endian. The committed offset's metadata
 * is the number of the commit.
 */
#ifndef PIPELINE_KAFKA_KAFKA_RECORDS_H
#define PIPELINE_KAFKA_KAFKA_RECORDS_H

#include "pipeline/commit/commit_log.h"

#define KAFKA_RECORD_KEY_BYTES 17u
#define KAFKA_JOURNAL_PAYLOAD_MAX 4096u
#define KAFKA_JOURNAL_BYTES_MAX (17u + KAFKA_JOURNAL_PAYLOAD_MAX)

void kafka_record_key_write(struct record_key key, unsigned char ret_bytes[KAFKA_RECORD_KEY_BYTES]);
/* False: these bytes are no key of a record. */
bool kafka_record_key_read(const void *bytes, size_t length, struct record_key *ret_key);

/* Returns the length. A payload beyond the maximum is a bug. */
size_t kafka_journal_write(const struct journal_entry *entry,
                           unsigned char ret_bytes[KAFKA_JOURNAL_BYTES_MAX]);
/* The payload points into `bytes`. False: these bytes are no entry. */
bool kafka_journal_read(const void *bytes, size_t length, struct journal_entry *ret_entry);

#endif
