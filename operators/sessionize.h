/*
 * Groups each user's events into sessions and writes a record when a session ends by event time,
 * and again when late events change it.
 *
 * Which session an event belongs to
 * - Sessions are kept by user and, where hints are trusted, by hint; events without a hint form
 *   sessions of their own.
 * - An event joins the nearest session of its user and hint that is at most `gap` (with a hint:
 *   `hint_gap`) away from it in event time and has room for it: length, number of events, and 255
 *   of each rare type (session_slot.h). Of two equally near ones, the one that started later. If
 *   there is none, the event opens a session.
 * - Two sessions of a user and hint that have come that near to each other become one, if there is
 *   room: the older one survives, the other one is retracted by a record.
 * - label, price_change, stock, erase and identity_link are in no session.
 *
 * What is within reach: the SESSIONS_KEPT (session_list.h) sessions of a user whose last events are
 * the newest. An event older than the watermark by more than `late_reach` changes no session: its
 * session_id is 0, and it is counted. A session that must make room before its end, or before its
 * last change was written, is written at once.
 *
 * End: the watermark has passed the last event by more than `gap`. The timer's row then carries the
 * session, SESSION_ENDED and its outcome; the record is written. One session ends a row; another
 * one that is due at the same time follows one floor later. A session that goes on after its end
 * (late events, or a hint that comes again within `hint_gap`) ends again. Changes that leave it
 * ended are gathered for one floor and written as a revision, on a timer row without SESSION_ENDED.
 *
 * Columns of other rows: a timer's or an uncounted event's are those of the user's newest session.
 *
 * Ids: hash of the user's pseudonym, the time of the event that opened the session and, where that
 * is not later than all events of the user's sessions before, how many sessions the user has had;
 * never 0. One thread.
 */
#ifndef OPERATORS_SESSIONIZE_H
#define OPERATORS_SESSIONIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/config/settings.h"
#include "pipeline/stage.h"
#include "pipeline/state/record.h"

struct sessionize_options {
    bool by_hint;
    int64_t gap_ms;
    int64_t hint_gap_ms; /* At least gap_ms. */
    int64_t max_length_ms;
    int64_t max_events;
    int64_t late_reach_ms;
};

/* Totals, committed with the task's record. */
struct sessionize_counters {
    uint64_t opened;
    uint64_t ended;     /* For the first time, by timer or crowded out. */
    uint64_t revised;   /* Records after the first of a session, retractions not among them. */
    uint64_t retracted; /* opened - retracted is the number of sessions. */
    uint64_t crowded;   /* Written before they ended, to make room. */
    uint64_t too_late;  /* Events that changed no session. */
};

extern const struct setting_section sessionize_section;
extern const struct stage_info sessionize_info;

/* STATUS_INVALID, naming the option: out of range, or hint_gap below gap. */
MUST_CHECK enum status sessionize_check(const struct sessionize_options *options,
                                        struct error *error);

/* Adds parts to the user's and the task's record. STATUS_INVALID: they do not fit, or
 * sessionize_check refuses. Release with stage_destroy(). */
MUST_CHECK enum status sessionize_create(const struct sessionize_options *options,
                                         struct record_layout *layout, struct stage **ret_stage,
                                         struct error *error);

/* The counters in a task's record. */
const struct sessionize_counters *sessionize_counters(const struct stage *stage,
                                                      struct record *task);

/* The shortest delay after which one of its timers can fall due. */
int64_t sessionize_timer_floor_ms(const struct sessionize_options *options);

#endif
