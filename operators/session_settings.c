#include "operators/session_slot.h"
#include "operators/sessionize.h"

#include <stddef.h>

#define LENGTH_MS_MAX (30 * INT64_C(86400000)) /* So that a session's span fits 32 bits. */

#define OPTION(member) offsetof(struct sessionize_options, member)
#define DAY_MS 86400000.0

static const struct setting sessionize_settings[] = {
    {.name = "by_hint",
     .type = SETTING_BOOL,
     .offset = OPTION(by_hint),
     .fallback = "false",
     .doc = "Trust the sender's session id: events of a user with different ones are in different "
            "sessions."},
    {.name = "gap",
     .type = SETTING_DURATION,
     .offset = OPTION(gap_ms),
     .fallback = "30m",
     .min = 1000,
     .max = 7 * DAY_MS,
     .doc = "A longer silence of the user, in event time, ends a session."},
    {.name = "hint_gap",
     .type = SETTING_DURATION,
     .offset = OPTION(hint_gap_ms),
     .fallback = "4h",
     .min = 1000,
     .max = 7 * DAY_MS,
     .doc = "With by_hint: the longest silence after which the same session id still goes on with "
            "its session, as a revision of it if it has ended; at least gap."},
    {.name = "max_length",
     .type = SETTING_DURATION,
     .offset = OPTION(max_length_ms),
     .fallback = "24h",
     .min = 1000,
     .max = 30 * DAY_MS,
     .doc = "From the first to the last event of a session; then a new one begins."},
    {.name = "max_events",
     .type = SETTING_INTEGER,
     .offset = OPTION(max_events),
     .fallback = "4000",
     .min = 1,
     .max = SESSION_EVENTS_MAX,
     .doc = "Events of a session; then a new one begins."},
    {.name = "late_reach",
     .type = SETTING_DURATION,
     .offset = OPTION(late_reach_ms),
     .fallback = "24h",
     .min = 0,
     .max = 30 * DAY_MS,
     .doc = "An event older than the watermark by more than this changes no session."},
};

const struct setting_section sessionize_section = {
    .name = "sessions",
    .doc = "How events are grouped into sessions.",
    .settings = sessionize_settings,
    .setting_count = sizeof(sessionize_settings) / sizeof(sessionize_settings[0]),
    .options_bytes = sizeof(struct sessionize_options),
};

static enum status check_option(const char *name, int64_t value, int64_t min, int64_t max,
                                struct error *error)
{
    if (value >= min && value <= max) {
        return STATUS_OK;
    }
    return error_set(error, STATUS_INVALID, "sessions: %s: %lld: expected %lld to %lld", name,
                     (long long)value, (long long)min, (long long)max);
}

enum status sessionize_check(const struct sessionize_options *options, struct error *error)
{
    enum status status = check_option("gap", options->gap_ms, 1, LENGTH_MS_MAX, error);
    if (status == STATUS_OK && options->by_hint) {
        status =
            check_option("hint_gap", options->hint_gap_ms, options->gap_ms, LENGTH_MS_MAX, error);
    }
    if (status == STATUS_OK) {
        status = check_option("max_length", options->max_length_ms, 0, LENGTH_MS_MAX, error);
    }
    if (status == STATUS_OK) {
        status = check_option("max_events", options->max_events, 1, SESSION_EVENTS_MAX, error);
    }
    if (status == STATUS_OK) {
        status = check_option("late_reach", options->late_reach_ms, 0, LENGTH_MS_MAX, error);
    }
    return status;
}
