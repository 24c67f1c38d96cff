/* Writes one record of the sessions topic (pipeline/output/topic_sessions.c). */
#ifndef OPERATORS_SESSION_RECORD_H
#define OPERATORS_SESSION_RECORD_H

#include <stdint.h>

#include "operators/session_slot.h"
#include "pipeline/base/hash.h"

/* Why a record is written. */
enum session_cause {
    SESSION_CAUSE_ENDED,   /* The watermark has passed the last event by the gap. */
    SESSION_CAUSE_LATE,    /* Late events changed it after it had ended. */
    SESSION_CAUSE_BRIDGED, /* An event joined it to an older one: it is retracted. */
    SESSION_CAUSE_CROWDED, /* The user has more sessions within reach than are kept. */
};

/*
 * `slot->revision` is the number of this record. `merged_into` is the session that took it over,
 * for SESSION_CAUSE_BRIDGED, else 0. `cause_place` is that of the event that changed it last.
 * Failure shows in output_batch_failed().
 */
void session_record_write(const struct event_batch *batch, struct key128 user,
                          const struct session_slot *slot, enum session_cause cause,
                          uint64_t merged_into, uint64_t cause_place);

#endif
