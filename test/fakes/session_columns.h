/*
 * A stage that stands in for sessionize and dedupe in tests of the stages after them: it fills
 * their columns by simple rules that reach every flag, and sets timers.
 *
 * - Events of a user within 30 min of the newest are in its session; later ones open a new one;
 *   older ones by more than 30 min than its start are in an older session, of their own. One in 61
 *   joins its session with the newest one. label, identity_link, price_change, stock and erase are
 *   in no session, nor is what is older than newest by 3 days.
 * - An event whose id begins with "dup" is a duplicate.
 * - A user's timer falls due 30 min after its newest event; its row carries SESSION_ENDED.
 * - A label's value is the word in its text.
 */
#ifndef TEST_FAKES_SESSION_COLUMNS_H
#define TEST_FAKES_SESSION_COLUMNS_H

#include "pipeline/stage.h"
#include "pipeline/state/record.h"

#define SESSION_COLUMNS_GAP_MS INT64_C(1800000)

/* Never fails. Release with stage_destroy(). */
struct stage *session_columns_create(struct record_layout *layout);

#endif
