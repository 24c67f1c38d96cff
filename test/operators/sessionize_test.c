#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "operators/session_list.h"
#include "test/fakes/session_runner.h"

#define MIN_MS INT64_C(60000)
#define GAP_MS (30 * MIN_MS)
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static uint32_t length_of(const struct fixture_event *events, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && events[count].user) {
        count++;
    }
    return count;
}

static struct session_run run_with(const struct sessionize_options *options, int64_t lateness_ms,
                                   const struct fixture_event *events, uint32_t count)
{
    return session_run_events(options, lateness_ms, MIN_MS, 0, events, count);
}

/* How often `words` stands in the records. */
static uint32_t occurrences(const struct session_run *run, const char *words)
{
    uint32_t count = 0;
    for (const char *at = run->records; (at = strstr(at, words)); at++) {
        count++;
    }
    return count;
}

static void expect_record(const struct session_run *run, const char *words)
{
    if (!strstr(run->records, words)) {
        fail_msg("%s expected in\n%s", words, run->records);
    }
}

#define VIEW(name, minutes)                                                                        \
    {                                                                                              \
        .user = (name), .time_ms = (minutes)*MIN_MS, .type = EVENT_PRODUCT_VIEW                    \
    }
#define HINTED(name, minutes, word)                                                                \
    {                                                                                              \
        .user = (name), .time_ms = (minutes)*MIN_MS, .type = EVENT_PRODUCT_VIEW, .hint = (word)    \
    }

static void groups_events_by_user_gap_and_hint(void **state)
{
    (void)state;
    enum { N = 8 };
    static const struct {
        const char *name;
        bool by_hint;
        struct fixture_event events[N];
        int expected[N]; /* Events with equal numbers are in one session in the end. */
    } table[] = {
        {"gap not exceeded", false, {VIEW("a", 0), VIEW("a", 30)}, {1, 1}},
        {"gap exceeded by 1 ms",
         false,
         {VIEW("a", 0), {.user = "a", .time_ms = GAP_MS + 1, .type = EVENT_SEARCH}},
         {1, 2}},
        {"two users", false, {VIEW("a", 0), VIEW("b", 1), VIEW("a", 2)}, {1, 2, 1}},
        {"an earlier event joins", false, {VIEW("a", 10), VIEW("a", 0), VIEW("a", 40)}, {1, 1, 1}},
        {"a hint that is not trusted", false, {HINTED("a", 0, "x"), HINTED("a", 1, "y")}, {1, 1}},
        {"hints side by side",
         true,
         {HINTED("a", 0, "x"), HINTED("a", 1, "y"), HINTED("a", 2, "x"), VIEW("a", 3)},
         {1, 2, 1, 3}},
        {"a hint of two users", true, {HINTED("a", 0, "x"), HINTED("b", 1, "x")}, {1, 2}},
        {"a hint goes on after the gap",
         true,
         {HINTED("a", 0, "x"), HINTED("a", 100, "x"), HINTED("a", 341, "x")},
         {1, 1, 2}},
        {"events that are in no session",
         false,
         {VIEW("a", 0), {.user = "a", .time_ms = 20 * MIN_MS, .type = EVENT_LABEL}, VIEW("a", 40)},
         {1, 1, 2}},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct sessionize_options options = session_options_default();
        options.by_hint = table[i].by_hint;
        uint32_t count = length_of(table[i].events, N);
        struct session_run run = run_with(&options, 600 * MIN_MS, table[i].events, count);
        for (uint32_t j = 0; j < count; j++) {
            for (uint32_t k = 0; k < j; k++) {
                bool is_same = session_run_event(&run, j)->session_id ==
                               session_run_event(&run, k)->session_id;
                if (is_same != (table[i].expected[j] == table[i].expected[k])) {
                    fail_msg("%s: events %u and %u", table[i].name, k, j);
                }
            }
        }
        assert_int_equal(occurrences(&run, "\"ended\""), run.counters.opened);
        session_run_release(&run);
    }
}

static void shows_the_session_on_each_row(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        VIEW("a", 0),
        {.user = "a", .time_ms = 5 * MIN_MS, .type = EVENT_ADD_TO_CART},
        VIEW("b", 120),
        {.user = "a", .time_ms = 121 * MIN_MS, .type = EVENT_LABEL},
        {.user = "c", .time_ms = 122 * MIN_MS, .type = EVENT_LABEL},
    };
    const struct sessionize_options options = session_options_default();
    struct session_run run = run_with(&options, 0, events, COUNT(events));
    const struct session_row *first = session_run_event(&run, 0);
    const struct session_row *second = session_run_event(&run, 1);
    assert_true(first->session_id != 0);
    assert_int_equal(first->flags, SESSION_IS_NEW);
    assert_int_equal(first->event_count, 1);
    assert_int_equal(second->flags, 0);
    assert_int_equal(second->event_count, 2);
    assert_int_equal(second->start_ms, 0);
    assert_int_equal(second->outcome, OUTCOME_OPEN);

    const struct session_row *end = &run.rows[2];
    assert_true(end->is_timer);
    assert_int_equal(end->time_ms, 35 * MIN_MS + 1);
    assert_int_equal(end->session_id, first->session_id);
    assert_int_equal(end->flags, SESSION_ENDED);
    assert_int_equal(end->outcome, OUTCOME_ABANDONED_CART);

    const struct session_row *label = session_run_event(&run, 3);
    assert_int_equal(label->session_id, first->session_id);
    assert_int_equal(label->flags, 0);
    assert_int_equal(session_run_event(&run, 4)->session_id, 0);
    session_run_release(&run);
}

static void writes_all_that_a_session_came_to(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = 0, .type = EVENT_SEARCH},
        {.user = "a", .time_ms = 1000, .type = EVENT_PAGE_VIEW},
        {.user = "a", .time_ms = 2000, .type = EVENT_ADD_TO_CART, .item = "red"},
        {.user = "a", .time_ms = 3000, .type = EVENT_ADD_TO_CART, .item = "green"},
        {.user = "a",
         .time_ms = 4000,
         .type = EVENT_PURCHASE,
         .item = "red",
         .price = 2500000,
         .quantity = 3,
         .currency = "EUR"},
        {.user = "a", .time_ms = 4500, .type = EVENT_LOGIN},
    };
    const struct sessionize_options options = session_options_default();
    struct session_run run = run_with(&options, 0, events, COUNT(events));
    expect_record(&run, "\"revision\":1,\"is_retracted\":false,\"cause\":\"ended\","
                        "\"merged_into\":null,");
    expect_record(
        &run,
        "\"start\":\"1970-01-01T00:00:00.000Z\",\"end\":\"1970-01-01T00:00:04.500Z\","
        "\"duration_ms\":4500,\"events\":6,\"events_by_type\":{\"page_view\":1,"
        "\"search\":1,\"add_to_cart\":2,\"purchase\":1,\"login\":1},"
        "\"distinct_items\":2,\"purchases\":1,\"spend\":7500000,\"currency\":\"EUR\","
        "\"entry_type\":\"search\",\"exit_type\":\"login\",\"outcome\":\"purchased\","
        "\"has_cart\":true,\"cause_topic\":null,\"cause_partition\":\"p0\",\"cause_ordinal\":5}");
    assert_int_equal(run.counters.opened, 1);
    assert_int_equal(run.counters.ended, 1);
    session_run_release(&run);
}

static void says_what_was_spent_in_one_currency_only(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct fixture_event events[3];
        const char *expected;
    } table[] = {
        {"nothing bought", {VIEW("a", 0)}, "\"spend\":0,\"currency\":null"},
        {"two currencies",
         {{.user = "a", .type = EVENT_PURCHASE, .price = 5, .currency = "EUR"},
          {.user = "a", .type = EVENT_PURCHASE, .price = 5, .currency = "USD"}},
         "\"purchases\":2,\"spend\":null,\"currency\":null"},
        {"one without a currency counts as another currency",
         {{.user = "a", .type = EVENT_PURCHASE, .price = 5, .currency = "EUR"},
          {.user = "a", .type = EVENT_PURCHASE, .price = 5}},
         "\"spend\":null,\"currency\":null"},
        {"one without a price",
         {{.user = "a", .type = EVENT_PURCHASE, .currency = "USD"},
          {.user = "a", .type = EVENT_PURCHASE, .price = 5, .currency = "EUR"}},
         "\"purchases\":2,\"spend\":5,\"currency\":\"EUR\""},
        {"more than can be said",
         {{.user = "a", .type = EVENT_PURCHASE, .price = INT64_MAX / 2, .quantity = 3},
          {.user = "a", .type = EVENT_PURCHASE, .price = 5}},
         "\"spend\":9223372036854775807,\"currency\":null"},
    };
    const struct sessionize_options options = session_options_default();
    for (size_t i = 0; i < COUNT(table); i++) {
        struct session_run run =
            run_with(&options, 0, table[i].events, length_of(table[i].events, 3));
        if (!strstr(run.records, table[i].expected)) {
            fail_msg("%s: %s expected in %s", table[i].name, table[i].expected, run.records);
        }
        session_run_release(&run);
    }
}

static void revises_an_ended_session_that_a_late_event_changes(void **state)
{
    (void)state;
    const struct fixture_event events[] = {VIEW("a", 0), VIEW("a", 10), VIEW("b", 200),
                                           VIEW("a", 5), VIEW("a", 6),  VIEW("b", 202)};
    const struct sessionize_options options = session_options_default();
    struct session_run run = run_with(&options, 0, events, COUNT(events));
    expect_record(&run, "\"revision\":1,\"is_retracted\":false,\"cause\":\"ended\"");
    /* Both late events in one revision. */
    expect_record(&run, "\"revision\":2,\"is_retracted\":false,\"cause\":\"late\"");
    assert_int_equal(run.counters.revised, 1);
    assert_int_equal(session_run_event(&run, 3)->session_id,
                     session_run_event(&run, 0)->session_id);
    uint32_t endings = 0;
    for (uint32_t i = 0; i < run.row_count; i++) {
        endings += (run.rows[i].flags & SESSION_ENDED) != 0;
    }
    assert_int_equal(endings, 2); /* One of each user: a revision is no second end. */
    session_run_release(&run);
}

static void bridges_two_sessions_into_the_older_one(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct fixture_event events[5];
        uint32_t bridging;
        const char *retraction;
        bool is_late;
    } table[] = {
        {"both still open",
         {VIEW("a", 0), VIEW("a", 50), VIEW("a", 25)},
         2,
         "\"revision\":1,\"is_retracted\":true,\"cause\":\"bridged\"",
         false},
        {"by an event exactly one gap from both",
         {VIEW("a", 0), VIEW("a", 60), VIEW("a", 30)},
         2,
         "\"revision\":1,\"is_retracted\":true,\"cause\":\"bridged\"",
         false},
        {"the older one has ended",
         {VIEW("a", 0), VIEW("a", 50), VIEW("b", 75), VIEW("a", 25)},
         3,
         "\"revision\":1,\"is_retracted\":true,\"cause\":\"bridged\"",
         false},
        {"both have ended",
         {VIEW("a", 0), VIEW("a", 50), VIEW("b", 300), VIEW("a", 25), VIEW("b", 301)},
         3,
         "\"revision\":2,\"is_retracted\":true,\"cause\":\"bridged\"",
         false},
        {"both have ended, and there is a newer one",
         {VIEW("a", 0), VIEW("a", 50), VIEW("a", 300), VIEW("b", 400), VIEW("a", 25)},
         4,
         "\"revision\":2,\"is_retracted\":true,\"cause\":\"bridged\"",
         true},
    };
    const struct sessionize_options options = session_options_default();
    for (size_t i = 0; i < COUNT(table); i++) {
        struct session_run run =
            run_with(&options, 10 * MIN_MS, table[i].events, length_of(table[i].events, 5));
        const struct session_row *bridging = session_run_event(&run, table[i].bridging);
        uint64_t older_id = session_run_event(&run, 0)->session_id;
        char merged[64];
        (void)snprintf(merged, sizeof(merged), "\"merged_into\":\"%016llx\"",
                       (unsigned long long)older_id);
        if (!strstr(run.records, table[i].retraction) || !strstr(run.records, merged) ||
            bridging->session_id != older_id || bridging->event_count != 3 ||
            bridging->flags !=
                (unsigned)(SESSION_BRIDGED | (table[i].is_late ? SESSION_IS_LATE : 0))) {
            fail_msg("%s: flags %u, %u events:\n%s", table[i].name, bridging->flags,
                     bridging->event_count, run.records);
        }
        assert_int_equal(run.counters.retracted, 1);
        session_run_release(&run);
    }
}

static void begins_a_new_session_where_there_is_no_room(void **state)
{
    (void)state;
    static struct fixture_event logins[300];
    for (uint32_t i = 0; i < COUNT(logins); i++) {
        logins[i] = (struct fixture_event){.user = "a", .time_ms = i, .type = EVENT_LOGIN_FAILED};
    }
    struct sessionize_options options = session_options_default();
    struct session_run run = run_with(&options, 0, logins, COUNT(logins));
    assert_int_equal(run.counters.opened, 2);
    expect_record(&run, "\"events\":255,");
    expect_record(&run, "\"events\":45,");
    session_run_release(&run);

    options.max_events = 100;
    run = run_with(&options, 0, logins, COUNT(logins));
    assert_int_equal(run.counters.opened, 3);
    assert_int_equal(occurrences(&run, "\"events\":100,"), 3);
    session_run_release(&run);

    const struct fixture_event hours[] = {VIEW("a", 0),  VIEW("a", 25), VIEW("a", 50),
                                          VIEW("a", 61), VIEW("a", 60), VIEW("a", 80)};
    options = session_options_default();
    options.max_length_ms = 60 * MIN_MS;
    run = run_with(&options, 100 * MIN_MS, hours, COUNT(hours));
    assert_int_equal(run.counters.opened, 2);
    /* The event at 60 is nearer to the second session. */
    assert_int_equal(session_run_event(&run, 4)->session_id,
                     session_run_event(&run, 3)->session_id);
    assert_int_equal(run.counters.retracted, 0);
    session_run_release(&run);

    /* As near to both, and no room for one that holds all. */
    const struct fixture_event between[] = {VIEW("a", 0), VIEW("a", 60), VIEW("a", 30)};
    options.max_length_ms = 40 * MIN_MS;
    run = run_with(&options, 100 * MIN_MS, between, COUNT(between));
    assert_int_equal(session_run_event(&run, 2)->session_id,
                     session_run_event(&run, 1)->session_id);
    session_run_release(&run);
}

static void writes_a_session_before_it_is_pushed_out(void **state)
{
    (void)state;
    const struct fixture_event events[] = {VIEW("a", 0), VIEW("a", 100), VIEW("a", 200),
                                           VIEW("a", 300), VIEW("a", 50)};
    const struct sessionize_options options = session_options_default();
    struct session_run run = run_with(&options, 600 * MIN_MS, events, COUNT(events));
    /* The first leaves for the fourth; the fifth is older than all that are kept. */
    assert_int_equal(occurrences(&run, "\"crowded\""), 2);
    assert_int_equal(run.counters.crowded, 2);
    assert_int_equal(run.counters.opened, 5);
    assert_int_equal(run.counters.ended, 5);
    const struct session_row *fifth = session_run_event(&run, 4);
    assert_int_equal(fifth->flags, SESSION_IS_NEW | SESSION_IS_LATE);
    assert_int_equal(fifth->event_count, 1);
    session_run_release(&run);
}

static void leaves_sessions_alone_when_an_event_is_too_late(void **state)
{
    (void)state;
    const struct fixture_event events[] = {VIEW("a", 0), VIEW("b", 1000), VIEW("a", 20),
                                           VIEW("a", 940)};
    struct sessionize_options options = session_options_default();
    options.late_reach_ms = 60 * MIN_MS;
    struct session_run run = run_with(&options, 0, events, COUNT(events));
    assert_int_equal(run.counters.too_late, 1);
    assert_int_equal(session_run_event(&run, 2)->session_id, 0);
    assert_int_equal(session_run_event(&run, 2)->flags, SESSION_IS_LATE);
    assert_true(session_run_event(&run, 3)->session_id != 0);
    assert_int_equal(run.counters.revised, 0);
    session_run_release(&run);
}

static void gives_each_session_of_a_user_its_own_id(void **state)
{
    (void)state;
    enum { N = 12 };
    struct fixture_event events[N];
    for (uint32_t i = 0; i < N; i++) {
        events[i] = (struct fixture_event){.user = "a", .time_ms = 7, .type = EVENT_SEARCH};
    }
    struct sessionize_options options = session_options_default();
    options.max_events = 1;
    struct session_run run = run_with(&options, 0, events, N);
    assert_int_equal(run.counters.opened, N);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(session_run_event(&run, i)->session_id != 0);
        /* Of equal times the one that came last is the newest. */
        assert_int_equal(session_run_event(&run, i)->flags, SESSION_IS_NEW);
        for (uint32_t j = 0; j < i; j++) {
            assert_true(session_run_event(&run, i)->session_id !=
                        session_run_event(&run, j)->session_id);
        }
    }
    session_run_release(&run);
}

/* Time passes between the two ends, so that the second is gone with nothing written of it if what
 * no event can reach is forgotten too soon. */
static void writes_each_of_several_sessions_that_end_at_once(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        HINTED("a", 0, "x"),
        {.user = "a", .time_ms = 1, .type = EVENT_SEARCH, .hint = "y"},
        {.user = "a", .time_ms = 2, .type = EVENT_SEARCH, .hint = "z"},
        {.user = "a", .time_ms = GAP_MS + 30000, .type = EVENT_SEARCH, .hint = "u"},
        {.user = "a", .time_ms = GAP_MS + 31000, .type = EVENT_SEARCH, .hint = "v"},
    };
    struct sessionize_options options = session_options_default();
    options.by_hint = true;
    options.hint_gap_ms = GAP_MS;
    options.late_reach_ms = 0;
    struct session_run run = run_with(&options, 0, events, COUNT(events));
    assert_int_equal(run.counters.opened, 5);
    assert_int_equal(occurrences(&run, "\"revision\":1,"), 5);
    session_run_release(&run);
}

/* Reached again after its end, a session ends a second time, and rules are told. */
static void ends_again_a_session_that_goes_on_after_its_end(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct fixture_event events[4];
    } table[] = {
        {"bridged with one that is open",
         {HINTED("a", 0, "x"), HINTED("a", 50, "x"), VIEW("b", 55), HINTED("a", 25, "x")}},
        {"its hint comes again", {HINTED("a", 0, "x"), HINTED("a", 50, "x")}},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct sessionize_options options = session_options_default();
        options.by_hint = i == 1;
        struct session_run run =
            run_with(&options, 0, table[i].events, length_of(table[i].events, 4));
        uint64_t id = session_run_event(&run, 0)->session_id;
        uint32_t endings = 0;
        for (uint32_t j = 0; j < run.row_count; j++) {
            endings += run.rows[j].session_id == id && (run.rows[j].flags & SESSION_ENDED) != 0;
        }
        if (endings != 2) {
            fail_msg("%s: %u endings:\n%s", table[i].name, endings, run.records);
        }
        expect_record(&run, "\"revision\":2,\"is_retracted\":false,\"cause\":\"ended\"");
        session_run_release(&run);
    }
}

/* A user whose sessions keep beginning must not hold up the end of an earlier one. */
static void ends_a_session_in_time_while_others_go_on(void **state)
{
    (void)state;
    static struct fixture_event events[100];
    events[0] = (struct fixture_event)HINTED("a", 0, "quiet");
    for (uint32_t i = 1; i < COUNT(events); i++) {
        events[i] = (struct fixture_event)HINTED("a", i, "busy");
    }
    struct sessionize_options options = session_options_default();
    options.by_hint = true;
    struct session_run run = session_run_events(&options, 0, 5 * MIN_MS, 0, events, COUNT(events));
    for (uint32_t i = 0; i < run.row_count; i++) {
        if (run.rows[i].is_timer) {
            assert_int_equal(run.rows[i].time_ms, 30 * MIN_MS + 1);
            break;
        }
    }
    session_run_release(&run);
}

static void bears_a_timer_whose_part_started_cold(void **state)
{
    (void)state;
    const struct sessionize_options options = session_options_default();
    struct record_layout layout = {0};
    struct stage *stage = NULL;
    assert_int_equal(sessionize_create(&options, &layout, &stage, NULL), STATUS_OK);
    struct stage_fixture *fixture = stage_fixture_create(
        &(struct stage_fixture_options){.layout = &layout, .stages = {stage}, .floor_ms = MIN_MS});
    const struct fixture_event events[] = {VIEW("a", 0), VIEW("a", 100)};
    stage_fixture_run(fixture, events, 1);
    struct record *record = stage_fixture_record(fixture, ENTITY_USER, "a");
    assert_int_equal(record->timer_ms[TIMER_SESSIONIZE], GAP_MS + 1);
    memset(record->parts, 0, layout.bytes[ENTITY_USER]);
    stage_fixture_run(fixture, events + 1, 1);
    assert_int_equal(record->timer_ms[TIMER_SESSIONIZE], 130 * MIN_MS + 1);
    stage_fixture_drain(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(stage);
}

static void refuses_options_out_of_range(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
        int64_t value;
    } table[] = {
        {"gap", offsetof(struct sessionize_options, gap_ms), 0},
        {"hint_gap", offsetof(struct sessionize_options, hint_gap_ms), MIN_MS},
        {"max_length", offsetof(struct sessionize_options, max_length_ms), INT64_MAX},
        {"max_events", offsetof(struct sessionize_options, max_events), 4096},
        {"max_events", offsetof(struct sessionize_options, max_events), 0},
        {"late_reach", offsetof(struct sessionize_options, late_reach_ms), -1},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct sessionize_options options = session_options_default();
        options.by_hint = true;
        memcpy((char *)&options + table[i].offset, &table[i].value, sizeof(table[i].value));
        struct record_layout layout = {0};
        struct stage *stage = NULL;
        struct error error;
        assert_int_equal(sessionize_create(&options, &layout, &stage, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, table[i].name));
        assert_null(stage);
    }
}

/* What version 1 had of a session: all but the last word, where there was nothing. */
static void a_part_of_the_older_version_is_read_without_places(void **state)
{
    (void)state;
    unsigned char old[8 + 3 * 72];
    unsigned char read[8 + 3 * 80] = {0};
    for (size_t i = 0; i < sizeof(old); i++) {
        old[i] = (unsigned char)(i % 250 + 1);
    }
    assert_true(session_list_upgrade(1, old, sizeof(old), read));
    assert_memory_equal(read, old, 8);
    for (size_t i = 0; i < 3; i++) {
        const unsigned char *from = old + 8 + i * 72;
        const unsigned char *to = read + 8 + i * 80;
        const unsigned char nothing[8] = {0};
        assert_memory_equal(to, from, 48);
        assert_memory_equal(to + 48, nothing, 6); /* The number of the last event. */
        assert_memory_equal(to + 54, from + 54, 18);
        assert_memory_equal(to + 72, nothing, 8);
    }
    assert_false(session_list_upgrade(1, old, sizeof(old) - 8, read));
    assert_false(session_list_upgrade(2, old, sizeof(old), read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_the_older_version_is_read_without_places),
        cmocka_unit_test(groups_events_by_user_gap_and_hint),
        cmocka_unit_test(shows_the_session_on_each_row),
        cmocka_unit_test(writes_all_that_a_session_came_to),
        cmocka_unit_test(says_what_was_spent_in_one_currency_only),
        cmocka_unit_test(revises_an_ended_session_that_a_late_event_changes),
        cmocka_unit_test(bridges_two_sessions_into_the_older_one),
        cmocka_unit_test(begins_a_new_session_where_there_is_no_room),
        cmocka_unit_test(writes_a_session_before_it_is_pushed_out),
        cmocka_unit_test(leaves_sessions_alone_when_an_event_is_too_late),
        cmocka_unit_test(gives_each_session_of_a_user_its_own_id),
        cmocka_unit_test(ends_a_session_in_time_while_others_go_on),
        cmocka_unit_test(writes_each_of_several_sessions_that_end_at_once),
        cmocka_unit_test(ends_again_a_session_that_goes_on_after_its_end),
        cmocka_unit_test(bears_a_timer_whose_part_started_cold),
        cmocka_unit_test(refuses_options_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
