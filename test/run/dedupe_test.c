#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "pipeline/run/dedupe.h"
#include "test/fakes/stage_fixture.h"

#define HOUR_MS INT64_C(3600000)
#define EVENTS_MAX 512

/* What became of each event, by ordinal. */
struct seen {
    uint8_t state[4096];
    uint32_t duplicates;
};

struct run {
    struct seen seen;
    struct dedupe_counters counters;
    uint64_t state_hash;
};

static void note_states(void *context, const struct event_batch *batch)
{
    struct seen *seen = context;
    for (uint32_t row = 0; row < batch->event_count; row++) {
        seen->state[batch->ordinal[row]] = batch->state[row];
        seen->duplicates += batch->state[row] == ROW_DUPLICATE;
    }
}

static void run_events(enum dedupe_mode mode, int64_t lateness_ms, uint64_t cut_seed,
                       const struct fixture_event *events, uint32_t count, struct run *ret_run)
{
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    struct error error;
    *ret_run = (struct run){0};
    assert_int_equal(dedupe_create(&(struct dedupe_options){.mode = mode, .horizon_ms = HOUR_MS},
                                   &layout, &stage, &error),
                     STATUS_OK);
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = &layout,
                                                             .stages = {stage},
                                                             .lateness_ms = lateness_ms,
                                                             .floor_ms = 1000,
                                                             .cut_seed = cut_seed,
                                                             .visit = note_states,
                                                             .context = &ret_run->seen});
    stage_fixture_run(fixture, events, count);
    ret_run->counters = *dedupe_counters(stage, stage_fixture_task_record(fixture));
    ret_run->state_hash = stage_fixture_state_hash(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
}

static void marks_what_the_user_sent_before_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dedupe_mode mode;
        struct fixture_event events[4];
        uint8_t expected[4];
    } table[] = {
        {"the same id twice",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "a", .time_ms = 5, .id = "1"}},
         {ROW_LIVE, ROW_DUPLICATE}},
        {"the same id of another user",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "b", .time_ms = 0, .id = "1"}},
         {ROW_LIVE, ROW_LIVE}},
        {"no id",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0}, {.user = "a", .time_ms = 0}},
         {ROW_LIVE, ROW_LIVE}},
        {"exactly one horizon later",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "a", .time_ms = HOUR_MS, .id = "1"}},
         {ROW_LIVE, ROW_DUPLICATE}},
        {"more than one horizon later",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"},
          {.user = "a", .time_ms = HOUR_MS + 1000, .id = "1"}},
         {ROW_LIVE, ROW_LIVE}},
        {"four horizons later, when ticks have wrapped round",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "a", .time_ms = 65536 * 220, .id = "1"}},
         {ROW_LIVE, ROW_LIVE}},
        {"a late copy, while the partition has not moved",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 9 * HOUR_MS, .id = "1"},
          {.user = "a", .time_ms = 0, .id = "2"},
          {.user = "a", .time_ms = 0, .id = "2"},
          {.user = "a", .time_ms = 0, .id = "1"}},
         {ROW_LIVE, ROW_LIVE, ROW_DUPLICATE, ROW_DUPLICATE}},
        {"a duplicate does not renew what is remembered",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1"},
          {.user = "a", .time_ms = HOUR_MS - 1000, .id = "1"},
          {.user = "a", .time_ms = HOUR_MS + 1000, .id = "1"}},
         {ROW_LIVE, ROW_DUPLICATE, ROW_LIVE}},
        {"a diverted event is not remembered",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = 0, .id = "1", .is_diverted = true},
          {.user = "a", .time_ms = 0, .id = "1"}},
         {ROW_DIVERTED, ROW_LIVE}},
        {"times before 1970",
         DEDUPE_EVENT_ID,
         {{.user = "a", .time_ms = -3 * HOUR_MS, .id = "1"},
          {.user = "a", .time_ms = -3 * HOUR_MS + 5, .id = "1"},
          {.user = "a", .time_ms = HOUR_MS, .id = "1"}},
         {ROW_LIVE, ROW_DUPLICATE, ROW_LIVE}},
        {"by content: the same column",
         DEDUPE_CONTENT,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "a", .time_ms = 0, .id = "1"}},
         {ROW_LIVE, ROW_DUPLICATE}},
        {"none",
         DEDUPE_NONE,
         {{.user = "a", .time_ms = 0, .id = "1"}, {.user = "a", .time_ms = 0, .id = "1"}},
         {ROW_LIVE, ROW_LIVE}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint32_t count = 0;
        while (count < 4 && table[i].events[count].user) {
            count++;
        }
        struct run run;
        run_events(table[i].mode, 0, 0, table[i].events, count, &run);
        for (uint32_t j = 0; j < count; j++) {
            if (run.seen.state[j] != table[i].expected[j]) {
                fail_msg("%s: event %u: state %u, %u expected", table[i].name, j, run.seen.state[j],
                         table[i].expected[j]);
            }
        }
        assert_int_equal(run.counters.duplicates, run.seen.duplicates);
    }
}

static void remembers_the_last_ids_and_counts_what_is_pushed_out_young(void **state)
{
    (void)state;
    static char ids[DEDUPE_IDS + 8][8];
    struct fixture_event events[DEDUPE_IDS + 8];
    for (uint32_t i = 0; i < DEDUPE_IDS + 8; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "e%u", i);
        events[i] = (struct fixture_event){.user = "a", .time_ms = 0, .id = ids[i]};
    }
    struct fixture_event again[DEDUPE_IDS + 10];
    for (uint32_t i = 0; i < DEDUPE_IDS + 8; i++) {
        again[i] = events[i];
    }
    again[DEDUPE_IDS + 8] = events[8]; /* The oldest of the last 24. */
    again[DEDUPE_IDS + 9] = events[7]; /* Just pushed out. */
    struct run run;
    run_events(DEDUPE_EVENT_ID, 0, 0, again, DEDUPE_IDS + 10, &run);
    assert_int_equal(run.seen.state[DEDUPE_IDS + 8], ROW_DUPLICATE);
    assert_int_equal(run.seen.state[DEDUPE_IDS + 9], ROW_LIVE);
    assert_int_equal(run.counters.duplicates, 1);
    assert_int_equal(run.counters.overflows, 9);

    for (uint32_t i = 0; i < DEDUPE_IDS + 8; i++) {
        events[i].time_ms = i < 8 ? 0 : 2 * HOUR_MS; /* Old ones make room uncounted. */
    }
    run_events(DEDUPE_EVENT_ID, 0, 0, events, DEDUPE_IDS + 8, &run);
    assert_int_equal(run.counters.overflows, 0);
}

/* The definition, slowly: a list of (arrival clock, id) of accepted events for each user. */
static void expect_by_definition(const struct fixture_event *events, uint32_t count,
                                 int64_t lateness_ms, uint8_t *ret_states)
{
    const int64_t tick_ms = (HOUR_MS + 16383) / 16384;
    const int64_t horizon_ticks = (HOUR_MS + tick_ms - 1) / tick_ms;
    int64_t clocks[EVENTS_MAX];
    int64_t watermark_ms = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int64_t reached_ms = events[i].time_ms - lateness_ms;
        watermark_ms = reached_ms > watermark_ms ? reached_ms : watermark_ms;
        clocks[i] = watermark_ms / tick_ms; /* Times are large here: no rounding below zero. */
        ret_states[i] = ROW_LIVE;
        uint32_t remembered = 0;
        for (uint32_t j = i; j-- > 0 && remembered < DEDUPE_IDS;) {
            if (ret_states[j] != ROW_LIVE || events[j].user[0] != events[i].user[0]) {
                continue;
            }
            remembered++;
            if (clocks[i] - clocks[j] <= horizon_ticks && strcmp(events[j].id, events[i].id) == 0) {
                ret_states[i] = ROW_DUPLICATE;
                break;
            }
        }
    }
}

static void equals_the_definition_however_the_input_is_cut(void **state)
{
    (void)state;
    static const char *const users[] = {"a", "b", "c"};
    static char ids[64][8];
    for (uint32_t i = 0; i < 64; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "%u", i);
    }
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t random = seed * 0x9E3779B97F4A7C15ull;
        struct fixture_event events[EVENTS_MAX];
        int64_t now_ms = 1000 * HOUR_MS;
        for (uint32_t i = 0; i < EVENTS_MAX; i++) {
            uint64_t number = fixture_random(&random);
            now_ms += (int64_t)(number % 61) * (number % 7 == 0 ? 20000 : 100);
            int64_t behind_ms = number % 5 == 0 ? (int64_t)(number >> 40) % (2 * HOUR_MS) : 0;
            events[i] = (struct fixture_event){.user = users[(number >> 8) % 3],
                                               .time_ms = now_ms - behind_ms,
                                               .id = ids[(number >> 16) % (seed % 2 ? 64 : 20)]};
        }
        int64_t lateness_ms = (int64_t)(seed % 4) * HOUR_MS / 3;
        uint8_t expected[EVENTS_MAX];
        expect_by_definition(events, EVENTS_MAX, lateness_ms, expected);
        uint64_t state_hash = 0;
        for (uint64_t cut = 0; cut < 4; cut++) {
            struct run run;
            run_events(DEDUPE_EVENT_ID, lateness_ms, cut * seed, events, EVENTS_MAX, &run);
            for (uint32_t i = 0; i < EVENTS_MAX; i++) {
                if (run.seen.state[i] != expected[i]) {
                    fail_msg("seed %u, cut %u: event %u: state %u, %u expected", (unsigned)seed,
                             (unsigned)cut, i, run.seen.state[i], expected[i]);
                }
            }
            assert_true(run.counters.duplicates > 0);
            assert_int_equal(run.counters.duplicates, run.seen.duplicates);
            assert_true(cut == 0 || run.state_hash == state_hash);
            state_hash = run.state_hash;
        }
    }
}

static void refuses_what_cannot_work(void **state)
{
    (void)state;
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    struct error error;
    assert_int_equal(
        dedupe_create(&(struct dedupe_options){.horizon_ms = 0}, &layout, &stage, &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.message, "horizon"));
    const struct dedupe_options options = {.mode = DEDUPE_EVENT_ID, .horizon_ms = 1};
    assert_int_equal(dedupe_create(&options, &layout, &stage, &error), STATUS_OK);
    struct stage *second = NULL;
    assert_int_equal(dedupe_create(&options, &layout, &second, &error), STATUS_INVALID);
    assert_null(second);
    stage_destroy(stage);
    assert_int_equal(dedupe_timer_floor_ms(&options), INT64_MAX);
}

static void by_another_entity_it_is_the_same_user_and_id_that_counts(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = 0, .id = "1", .card = "k"},
        {.user = "b", .time_ms = 1, .id = "1", .card = "k"},
        {.user = "a", .time_ms = 2, .id = "1", .card = "k"}, /* Again. */
        {.user = "a", .time_ms = 3, .id = "1", .card = "l"},
        {.user = "a", .time_ms = 4, .id = "1"},
        {.user = "a", .time_ms = 5, .id = "1"}, /* No card has it. */
        {.user = "a", .time_ms = 6, .card = "k"},
        {.user = "a", .time_ms = 6, .card = "k"}, /* No id. */
        {.user = "a", .time_ms = 7, .id = "2", .card = "k"},
        {.user = "a", .time_ms = 7, .id = "3", .card = "k"},
        {.user = "a", .time_ms = 7, .id = "4", .card = "k"},
        {.user = "a", .time_ms = 7, .id = "5", .card = "k"},
        {.user = "a", .time_ms = 7, .id = "6", .card = "k"},
        {.user = "b", .time_ms = 8, .id = "1", .card = "k"}, /* Again. */
        {.user = "a", .time_ms = 9, .id = "1", .card = "k"}, /* The oldest of seven. */
    };
    static const uint8_t again[] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    enum { COUNT = sizeof(events) / sizeof(events[0]) };
    static_assert(DEDUPE_ENTITY_IDS == 7, "as many ids of the card as there are above");
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    struct error error;
    static struct seen seen;
    const struct dedupe_options options = {.mode = DEDUPE_EVENT_ID, .horizon_ms = HOUR_MS};
    assert_int_equal(dedupe_create_entity(&options, ENTITY_CARD, &layout, &stage, &error),
                     STATUS_OK);
    assert_int_equal(layout.bytes[ENTITY_CARD], 64);
    assert_int_equal(layout.bytes[ENTITY_USER], 0);
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = &layout,
                                                             .stages = {stage},
                                                             .floor_ms = 1000,
                                                             .visit = note_states,
                                                             .context = &seen});
    stage_fixture_run(fixture, events, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(seen.state[i], again[i] ? ROW_DUPLICATE : ROW_LIVE);
    }
    const struct fixture_event later[] = {
        {.user = "a", .time_ms = 20, .id = "7", .card = "k"}, /* An eighth: the first is gone. */
        {.user = "a", .time_ms = 21, .id = "1", .card = "k"},
        {.user = "a", .time_ms = 21 + 3 * HOUR_MS, .id = "7", .card = "k"}, /* Too long ago. */
    };
    stage_fixture_run(fixture, later, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(seen.state[COUNT + i], ROW_LIVE);
    }
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_what_the_user_sent_before_and_nothing_else),
        cmocka_unit_test(remembers_the_last_ids_and_counts_what_is_pushed_out_young),
        cmocka_unit_test(equals_the_definition_however_the_input_is_cut),
        cmocka_unit_test(by_another_entity_it_is_the_same_user_and_id_that_counts),
        cmocka_unit_test(refuses_what_cannot_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
