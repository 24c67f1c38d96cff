/* Runs sessionize alone over a table of events and keeps all that it left behind. */
#ifndef TEST_FAKES_SESSION_RUNNER_H
#define TEST_FAKES_SESSION_RUNNER_H

#include <stdint.h>
#include <stdio.h>

#include "operators/sessionize.h"
#include "test/fakes/stage_fixture.h"

/* A live row, in processing order. */
struct session_row {
    int64_t time_ms;
    uint64_t ordinal; /* Timer rows: UINT64_MAX. */
    uint64_t session_id;
    int64_t start_ms;
    uint32_t event_count;
    uint8_t flags;
    uint8_t outcome;
    uint8_t is_timer;
    uint8_t reserved; /* So that rows can be compared as bytes. */
};

struct session_run {
    struct session_row *rows; /* Owned. */
    uint32_t row_count, row_capacity;
    char *records; /* Owned, terminated: the sessions topic as JSON lines. */
    size_t records_bytes;
    FILE *stream; /* Into records, while it runs. */
    struct sessionize_counters counters;
    uint64_t state_hash;
    uint32_t batches;
};

/* The defaults of the settings. */
struct sessionize_options session_options_default(void);

struct session_run session_run_events(const struct sessionize_options *options, int64_t lateness_ms,
                                      int64_t floor_ms, uint64_t cut_seed,
                                      const struct fixture_event *events, uint32_t event_count);
void session_run_release(struct session_run *run);

/* Row of the event with that ordinal. */
const struct session_row *session_run_event(const struct session_run *run, uint64_t ordinal);

/* Files that test/oracle/sessions_oracle.py reads. */
void session_write_events(const char *path, const struct sessionize_options *options,
                          int64_t lateness_ms, const struct fixture_event *events,
                          uint32_t event_count);
void session_write_records(const char *path, const struct session_run *run);

#endif
