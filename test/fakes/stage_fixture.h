/*
 * Runs stages over a compact table of events as the task would, by the rules of ARCHITECTURE.md
 * ("Rows and time"): watermarks, late marks, due timers as rows in order, the floor, ROW_VOID,
 * drain. Records are held in a plain map and are never dropped. For tests of operators and of
 * dedupe.
 *
 *     struct record_layout layout = {0};
 *     sessionize_create(&options, &layout, &stage, &error);
 *     struct stage_fixture *fixture = stage_fixture_create(&(struct stage_fixture_options){
 *         .layout = &layout, .stages = {stage}, .floor_ms = 60000, .lateness_ms = 5000,
 *         .visit = check_rows, .context = &seen, .cut_seed = seed});
 *     stage_fixture_run(fixture, events, event_count);    may be called again with later events
 *     stage_fixture_drain(fixture);
 *     stage_fixture_destroy(fixture);                     the stages are still the caller's
 *
 * What a stage leaves behind must be the same for every cut_seed. A failed stage, a timer that its
 * owner neither fired nor moved, and a watermark that falls are asserted.
 */
#ifndef TEST_FAKES_STAGE_FIXTURE_H
#define TEST_FAKES_STAGE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/event/event_batch.h"
#include "pipeline/stage.h"

/* One row of a table of events. What is NULL or 0 is missing, but user, time and type. */
struct fixture_event {
    const char *user;
    int64_t time_ms;
    enum event_type type;
    const char *id;
    const char *item;
    const char *hint; /* Session hint. */
    int64_t price;    /* Millionths. */
    int64_t quantity;
    const char *currency;
    const char *category;
    const char *brand;
    const char *device;
    const char *card;
    const char *terminal;
    const char *address;
    const char *referrer;
    const char *order;
    const char *query;
    const char *channel;
    const char *shop;
    bool is_diverted; /* The row comes in as ROW_DIVERTED. */
};

#define FIXTURE_STAGES_MAX 8

struct stage_fixture_options {
    const struct record_layout *layout;       /* Borrowed. */
    struct stage *stages[FIXTURE_STAGES_MAX]; /* Run in this order, up to the first NULL. */
    int64_t lateness_ms;                      /* Allowed lateness: what the watermark lags. */
    int64_t floor_ms;                         /* At least 1; the stages' shortest timer. */
    uint64_t cut_seed; /* Batches are cut at random; 0: as large as can be. */
    uint32_t feature_count;
    /* Called after each batch, when all stages have run; its columns and its outputs (JSON lines,
     * in batch->outputs) are still there. */
    void (*visit)(void *context, const struct event_batch *batch);
    void *context;
};

struct stage_fixture;

/* Never NULL: memory that runs out is asserted. `options` is copied. */
struct stage_fixture *stage_fixture_create(const struct stage_fixture_options *options);
void stage_fixture_destroy(struct stage_fixture *fixture);

/* The batch's ordinals go on counting from the run before. */
void stage_fixture_run(struct stage_fixture *fixture, const struct fixture_event *events,
                       uint32_t event_count);

/* Every timer falls due, in order, until none is set. */
void stage_fixture_drain(struct stage_fixture *fixture);

/* The record of an entity's id, or NULL where it was never touched. */
struct record *stage_fixture_record(struct stage_fixture *fixture, enum entity_kind kind,
                                    const char *id);
struct record *stage_fixture_task_record(struct stage_fixture *fixture);

/* Hash of all records, their keys and timers: equal state, equal hash. */
uint64_t stage_fixture_state_hash(const struct stage_fixture *fixture);

/* Pseudonym of an entity as the fixture makes it, and hash of a word as its columns hold it. */
struct key128 stage_fixture_key(enum entity_kind kind, const char *id);
uint64_t stage_fixture_hash(const char *word);

uint32_t stage_fixture_batches(const struct stage_fixture *fixture); /* Run so far. */

/* Small deterministic generator of random numbers for tests; `state` must not be 0. */
uint64_t fixture_random(uint64_t *state);

#endif
