/*
 * Marks events that this user has sent before: ROW_DUPLICATE where the hash of the event id (or of
 * the whole content; intake fills the same column) is among the last DEDUPE_IDS accepted ones of
 * the user and was seen at most a horizon ago. The first stage; one thread.
 *
 * Age is measured on the watermark, which never falls along the processing order, and not on event
 * times: so a late or out-of-order event is remembered as long as any other. It counts in steps of
 * 1/16384 of the horizon. A duplicate does not renew what is remembered. An event without an id
 * is never a duplicate.
 *
 * State: 200 bytes of the user's record: hashes of 48 bits, so an event is taken for a duplicate by
 * mistake with a chance of 24 in 2^48; and the counters in the task's record.
 */
#ifndef PIPELINE_RUN_DEDUPE_H
#define PIPELINE_RUN_DEDUPE_H

#include <stdint.h>

#include "pipeline/config/settings.h"
#include "pipeline/stage.h"
#include "pipeline/state/record.h"

#define DEDUPE_IDS 24
#define DEDUPE_ENTITY_IDS 7 /* Of a card, device...: what sends again does so soon. */

enum dedupe_mode { DEDUPE_NONE, DEDUPE_EVENT_ID, DEDUPE_CONTENT };

struct dedupe_options {
    int mode; /* enum dedupe_mode. DEDUPE_CONTENT differs in intake only. */
    int64_t horizon_ms;
};

/* Totals, committed with the task's record: a batch that is run again is not counted twice. */
struct dedupe_counters {
    uint64_t duplicates;
    uint64_t overflows; /* Ids pushed out by newer ones before the horizon had passed. */
};

extern const struct setting_section dedupe_section;
extern const struct stage_info dedupe_info;

/* Adds parts to the user's and the task's record. STATUS_INVALID: they do not fit, or the horizon
 * is not positive. Release with stage_destroy(). */
MUST_CHECK enum status dedupe_create(const struct dedupe_options *options,
                                     struct record_layout *layout, struct stage **ret_stage,
                                     struct error *error);

/*
 * The same by the record of another entity, for a task that keeps state by that alone: events of
 * the same user and id that name the entity, DEDUPE_ENTITY_IDS of them, in 64 bytes. Rows without
 * its record are left as they are.
 */
MUST_CHECK enum status dedupe_create_entity(const struct dedupe_options *options,
                                            enum entity_kind kind, struct record_layout *layout,
                                            struct stage **ret_stage, struct error *error);

/* The counters in a task's record. */
const struct dedupe_counters *dedupe_counters(const struct stage *stage, struct record *task);

/* It sets no timer: INT64_MAX. */
int64_t dedupe_timer_floor_ms(const struct dedupe_options *options);

#endif
