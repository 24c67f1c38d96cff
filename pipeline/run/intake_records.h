/* The parts of intake that deal with rows and records, once it is known which rows there are. */
#ifndef PIPELINE_RUN_INTAKE_RECORDS_H
#define PIPELINE_RUN_INTAKE_RECORDS_H

#include "pipeline/event/event_batch.h"
#include "pipeline/state/record_cache.h"

/* What the user of an event row is known by: their id, else the device, else the address. */
enum event_field intake_user_field(const struct event_batch *batch, uint32_t row);

/* What an event row is sent on by: the entity of `kind`, or where it names none the user. */
enum event_field intake_entity_field(const struct event_batch *batch, uint32_t row,
                                     enum entity_kind kind);

/*
 * The pseudonym of a user who is known by `field`, one that intake_user_field returns, with the
 * cleaned `identity`.
 */
struct key128 intake_pseudonym(const struct pseudonym_key *key, enum event_field field,
                               struct text identity);

/*
 * Hashes the identities and words of the event rows and takes their records: columns user_key, hash
 * and record. Diverted rows get no records, and erasures only that of their user.
 */
MUST_CHECK enum status intake_take_records(struct record_cache *cache,
                                           const struct pseudonym_key *key, uint32_t entity_mask,
                                           struct event_batch *batch, struct error *error);

/*
 * Appends a row for each timer of `record` that is due by `watermark_ms`. With a `last_id`, those
 * at that very time only if the record's id is not behind it: the timers of the ids behind it,
 * which come later in the order, are not all in this batch.
 */
void intake_add_timer_rows(struct event_batch *batch, struct record *record, int64_t watermark_ms,
                           const struct key128 *last_id);

/* Writes `order`: by watermark, timers before the event that reaches them, timers by time and key.
 */
void intake_sort_rows(struct event_batch *batch);

/*
 * Starts records anew that have no timer and were last heard of more than `retention_ms` before the
 * watermark of their row (0: never), and notes when they were heard of. Returns how many it started
 * anew. Does not depend on the batch's cut: a timer that is set when the batch begins and fires
 * before the row has let the record be heard of less than the floor ago, which is shorter than any
 * retention (see intake_note_timers).
 */
uint64_t intake_expire_records(struct event_batch *batch, const struct record_layout *layout,
                               int64_t retention_ms);

/* After the stages: a record is heard of when its timer fires as well. */
void intake_note_timers(struct event_batch *batch);

/*
 * After the stages: where the last event is a ROW_ERASURE (no other can be), starts the record of
 * its user anew, timers and unknown parts included; only when it was heard of last is kept, so that
 * the store can drop what is left.
 */
void intake_erase_user(struct event_batch *batch, const struct record_layout *layout);

#endif
