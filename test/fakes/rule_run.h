/*
 * A run of rules over events, for tests of emit_interventions. A stage stands for all before it: it
 * makes sessions by a gap of half an hour, and features and scores from the price of the event.
 */
#ifndef TEST_FAKES_RULE_RUN_H
#define TEST_FAKES_RULE_RUN_H

#include "operators/emit_interventions.h"
#include "pipeline/output/output.h"
#include "test/fakes/stage_fixture.h"

#define START_MS INT64_C(1569888000000) /* 2019-10-01T00:00:00Z */
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define GAP_MS (30 * MINUTE_MS)

enum { RUN_ALERTS, RUN_PROMOTIONS, RUN_DECISIONS, RUN_TOPICS };

struct rule_run {
    struct rule_set *set;
    struct stage fake;
    struct stage *stage;
    struct record_layout layout;
    struct stage_fixture *fixture;
    char *bytes[RUN_TOPICS]; /* Of each topic: records, a line each. */
    size_t length[RUN_TOPICS], room[RUN_TOPICS];
    uint32_t count[RUN_TOPICS];
};

struct rule_run_options {
    const char *rules;
    const char *fields; /* One listed field, or NULL. */
    int64_t lateness_ms;
    uint64_t cut_seed;
    uint32_t partition_count;
};

/* A run that nothing has been given to yet; rules that are refused fail the test. */
void rule_run_start(struct rule_run *run, const struct rule_run_options *options);
void rule_run_end(struct rule_run *run);

/* Starts, takes all events, and lets all timers fire. */
void rule_run_events(struct rule_run *run, const char *rules, const struct fixture_event *events,
                     uint32_t count);

/* How often `piece` is in `text`; text NULL: never. */
uint32_t rule_run_count_of(const char *text, const char *piece);
void rule_run_assert_has(const char *text, const char *piece);

#endif
