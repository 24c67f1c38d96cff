/* extract_features against its promises; by entity: extract_features_entities_test.c; against the
 * oracle: extract_features_oracle_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "operators/extract_features.h"
#include "operators/feature_funnel.h"
#include "operators/feature_table.h"
#include "pipeline/event/event_batch.h"
#include "test/fakes/feature_events.h"
#include "test/fakes/session_columns.h"
#include "test/fakes/stage_fixture.h"

/* What a run came to: the last live row, and a hash over all in their order. */
struct seen {
    float last[FEATURE_COUNT];
    uint64_t hash;
    uint32_t rows, timers;
    uint32_t infinities;
};

static void see(void *context, const struct event_batch *batch)
{
    struct seen *seen = context;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        const float *features = batch->features + (size_t)row * batch->feature_stride;
        memcpy(seen->last, features, sizeof(seen->last));
        struct text bytes = {(const char *)features, sizeof(seen->last)};
        seen->hash = hash64_combine(seen->hash, hash64(bytes));
        seen->rows++;
        seen->timers += batch->kind[row] == ROW_TIMER;
        for (int column = 0; column < FEATURE_COUNT; column++) {
            seen->infinities += isinf(features[column]) != 0;
        }
    }
}

struct bench {
    struct record_layout layout;
    struct stage *sessions;
    struct stage *features;
    struct stage_fixture *fixture;
    struct seen seen;
};

static void bench_open(struct bench *bench, const struct extract_features_options *options,
                       uint64_t cut_seed)
{
    memset(bench, 0, sizeof(*bench));
    struct error error = {{0}};
    bench->sessions = session_columns_create(&bench->layout);
    if (extract_features_create(options, NULL, &bench->layout, &bench->features, &error) !=
        STATUS_OK) {
        fail_msg("%s", error.message);
    }
    bench->fixture = stage_fixture_create(
        &(struct stage_fixture_options){.layout = &bench->layout,
                                        .stages = {bench->sessions, bench->features},
                                        .floor_ms = 60000,
                                        .lateness_ms = 5000,
                                        .cut_seed = cut_seed,
                                        .feature_count = FEATURE_COUNT,
                                        .visit = see,
                                        .context = &bench->seen});
}

static void bench_close(struct bench *bench)
{
    stage_fixture_destroy(bench->fixture);
    stage_destroy(bench->features);
    stage_destroy(bench->sessions);
}

/* The features after the last of `events`. */
static struct seen run(const struct fixture_event *events, uint32_t count)
{
    struct bench bench;
    struct extract_features_options options = feature_options_default();
    bench_open(&bench, &options, 0);
    stage_fixture_run(bench.fixture, events, count);
    bench_close(&bench);
    return bench.seen;
}

static void expect(const struct seen *seen, enum feature feature, double expected)
{
    double have = (double)seen->last[feature];
    if (isnan(expected) ? !isnan(have) : !(fabs(have - expected) <= 1e-6 * fabs(expected))) {
        fail_msg("%s is %.9g, %.9g expected", feature_table[feature].name, have, expected);
    }
}

#define RUN(events) run(events, sizeof(events) / sizeof((events)[0]))

static void counts_what_a_session_holds(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_SEARCH},
        {.user = "a",
         .time_ms = NOON + 10 * SECOND,
         .type = EVENT_PRODUCT_VIEW,
         .item = "i",
         .category = "c",
         .price = 20 * EURO},
        {.user = "b", .time_ms = NOON + 11 * SECOND, .type = EVENT_PRODUCT_VIEW},
        {.user = "a",
         .time_ms = NOON + 30 * SECOND,
         .type = EVENT_ADD_TO_CART,
         .item = "i",
         .category = "c",
         .price = 20 * EURO,
         .quantity = 2},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_SESSION_EVENTS, 3);
    expect(&seen, FEATURE_SESSION_DURATION, 30);
    expect(&seen, FEATURE_SESSION_VIEWS, 1);
    expect(&seen, FEATURE_SESSION_PACE, 15);
    expect(&seen, FEATURE_SESSION_FOCUS, 1);
    expect(&seen, FEATURE_SESSION_VIEW_PRICE, 20);
    expect(&seen, FEATURE_CART_VALUE, 40);
    expect(&seen, FEATURE_CART_PIECES, 2);
    expect(&seen, FEATURE_CART_AGE, 0);
    expect(&seen, FEATURE_CART_TOP_SHARE, 0.5);
    expect(&seen, FEATURE_GAP_LAST, 20);
    expect(&seen, FEATURE_USER_EVENTS, 3);
    expect(&seen, FEATURE_FUNNEL_STAGE, 2);
    expect(&seen, FEATURE_DAY_COS, -1);
    expect(&seen, FEATURE_DISTINCT_DEVICES, 0);
    expect(&seen, FEATURE_DEVICE_EVENTS_1H, NAN); /* No device was named. */
}

static void starts_anew_with_a_new_session(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_ADD_TO_CART, .price = EURO},
        {.user = "a", .time_ms = NOON + HOUR, .type = EVENT_PAGE_VIEW},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_SESSION_EVENTS, 1);
    expect(&seen, FEATURE_SESSION_CART_ADDS, 0);
    expect(&seen, FEATURE_SESSION_PACE, NAN);
    expect(&seen, FEATURE_FUNNEL_STAGE, 0);
    expect(&seen, FEATURE_USER_SESSIONS, 2);
    expect(&seen, FEATURE_RFM_RETURN, 3600);
    expect(&seen, FEATURE_CART_VALUE, 1); /* The cart outlives the session. */
    expect(&seen, FEATURE_CART_AGE, 3600);
}

static void puts_a_late_event_into_the_window_of_its_time_and_leaves_recency(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_PURCHASE, .price = EURO},
        {.user = "a", .time_ms = NOON - 2 * HOUR, .type = EVENT_PURCHASE, .price = EURO},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_WINDOW_EVENTS_1H, 1);
    expect(&seen, FEATURE_WINDOW_EVENTS_1D, 2);
    expect(&seen, FEATURE_WINDOW_PURCHASES_1D, 2);
    expect(&seen, FEATURE_RATE_EVENTS_1H, 1 + exp(-2));
    expect(&seen, FEATURE_RFM_SINCE_PURCHASE, 0);
    expect(&seen, FEATURE_RFM_AGE, 7200);
    expect(&seen, FEATURE_GAP_LAST, NAN);
    expect(&seen, FEATURE_SESSION_EVENTS, 1);
    expect(&seen, FEATURE_RFM_SPEND, 2);
}

static void forgets_windows_and_carts_as_time_goes_by(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_ADD_TO_CART, .price = EURO},
        {.user = "a", .time_ms = NOON + 15 * DAY, .type = EVENT_PAGE_VIEW},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_WINDOW_EVENTS_1M, 1);
    expect(&seen, FEATURE_WINDOW_EVENTS_1D, 1);
    expect(&seen, FEATURE_WINDOW_EVENTS_30D, 2);
    expect(&seen, FEATURE_CART_VALUE, 0);
    expect(&seen, FEATURE_CART_AGE, NAN);
}

static void never_counts_duplicates_nor_what_is_no_activity(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_PRODUCT_VIEW, .id = "one"},
        {.user = "a", .time_ms = NOON, .type = EVENT_PRODUCT_VIEW, .id = "dup-one"},
        {.user = "a", .time_ms = NOON + SECOND, .type = EVENT_PRICE_CHANGE},
        {.user = "a", .time_ms = NOON + 2 * SECOND, .type = EVENT_ERASE},
        {.user = "a", .time_ms = NOON + 3 * SECOND, .type = EVENT_PRODUCT_VIEW, .is_diverted = 1},
        {.user = "a", .time_ms = NOON + 4 * SECOND, .type = EVENT_LABEL, .query = "fraud"},
    };
    struct seen seen = RUN(events);
    assert_int_equal(seen.rows, 4);
    expect(&seen, FEATURE_USER_EVENTS, 1);
    expect(&seen, FEATURE_WINDOW_EVENTS_1M, 1);
    expect(&seen, FEATURE_USER_BAD_LABELS, 1);
    expect(&seen, FEATURE_GAP_LAST, 4); /* As of the label's time. */
    expect(&seen, FEATURE_DISTINCT_NEW_DEVICE, NAN);
}

static void tells_an_amount_from_the_usual_ones_before_it(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_PURCHASE, .price = 10 * EURO, .card = "k"},
        {.user = "a",
         .time_ms = NOON + DAY,
         .type = EVENT_PURCHASE,
         .price = 20 * EURO,
         .card = "k"},
        {.user = "a",
         .time_ms = NOON + 2 * DAY,
         .type = EVENT_PAYMENT_FAILED,
         .price = 100 * EURO,
         .card = "k"},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_AMOUNT_EVENT, 100);
    expect(&seen, FEATURE_AMOUNT_MEAN, 15);
    expect(&seen, FEATURE_AMOUNT_SPREAD, 5);
    expect(&seen, FEATURE_AMOUNT_DEVIATION, 17);
    expect(&seen, FEATURE_AMOUNT_TO_MAX, 5);
    expect(&seen, FEATURE_CARD_DEVIATION, 17);
    expect(&seen, FEATURE_CARD_PAYMENT_FAILED_10M, 1);
    expect(&seen, FEATURE_CARD_IDLE, 86400);
    expect(&seen, FEATURE_WINDOW_FAILURES_1D, 1);
}

static void counts_by_entity_over_all_users(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_LOGIN_FAILED, .device = "d", .address = "x"},
        {.user = "b",
         .time_ms = NOON + 1,
         .type = EVENT_LOGIN_FAILED,
         .device = "d",
         .address = "x"},
        {.user = "c",
         .time_ms = NOON + 2,
         .type = EVENT_PURCHASE,
         .price = 7 * EURO,
         .device = "d",
         .card = "k",
         .terminal = "t",
         .address = "y"},
        {.user = "c",
         .time_ms = NOON + 3,
         .type = EVENT_LABEL,
         .query = "fraud",
         .card = "k",
         .terminal = "t"},
        {.user = "e",
         .time_ms = NOON + 4,
         .type = EVENT_PURCHASE,
         .price = 9 * EURO,
         .device = "d",
         .card = "k",
         .terminal = "t",
         .address = "x"},
    };
    struct seen seen = RUN(events);
    expect(&seen, FEATURE_DEVICE_EVENTS_1H, 4);
    expect(&seen, FEATURE_DEVICE_LOGIN_FAILED_1H, 2);
    expect(&seen, FEATURE_ADDRESS_LOGIN_FAILED_10M, 2);
    expect(&seen, FEATURE_CARD_PURCHASES_1D, 2);
    expect(&seen, FEATURE_CARD_SPEND_1D, 16);
    expect(&seen, FEATURE_CARD_BAD_LABELS, 1);
    expect(&seen, FEATURE_TERMINAL_BAD_SHARE, 0.5);
    assert_true(seen.last[FEATURE_DEVICE_USERS] > 2.5f && seen.last[FEATURE_DEVICE_USERS] < 5);
    assert_true(seen.last[FEATURE_CARD_USERS] > 1.5f && seen.last[FEATURE_CARD_USERS] < 3);
    expect(&seen, FEATURE_USER_EVENTS, 1);
}

static void snapshots_a_timer_at_its_time_without_changing_state(void **state)
{
    (void)state;
    const struct fixture_event events[] = {
        {.user = "a", .time_ms = NOON, .type = EVENT_ADD_TO_CART, .price = EURO},
        {.user = "a", .time_ms = NOON + SECOND, .type = EVENT_PAGE_VIEW},
    };
    struct bench bench;
    struct extract_features_options options = feature_options_default();
    bench_open(&bench, &options, 0);
    stage_fixture_run(bench.fixture, events, 2);
    struct record *record = stage_fixture_record(bench.fixture, ENTITY_USER, "a");
    uint32_t bytes = bench.layout.bytes[ENTITY_USER];
    unsigned char before[1024];
    memcpy(before, record->parts, bytes);
    stage_fixture_drain(bench.fixture);
    assert_memory_equal(before, record->parts, bytes);
    assert_int_equal(bench.seen.timers, 1);
    expect(&bench.seen, FEATURE_CART_AGE, 1801);
    expect(&bench.seen, FEATURE_GAP_LAST, 1800);
    expect(&bench.seen, FEATURE_WINDOW_EVENTS_1M, 0);
    expect(&bench.seen, FEATURE_WINDOW_EVENTS_1D, 2);
    expect(&bench.seen, FEATURE_SESSION_EVENTS, 2);
    expect(&bench.seen, FEATURE_FUNNEL_SURPRISE, NAN);
    expect(&bench.seen, FEATURE_RATE_EVENTS_1D, exp(-1801.0 / 86400) + exp(-1800.0 / 86400));
    bench_close(&bench);
}

/* ---- Random streams ---- */

static void gives_the_same_rows_and_state_for_any_batch_cut(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct fixture_event *events = feature_events_random(COUNT, 99);
    struct extract_features_options options = feature_options_default();
    uint64_t first_hash = 0, first_state = 0;
    for (uint64_t cut_seed = 0; cut_seed < 12; cut_seed++) {
        struct bench bench;
        bench_open(&bench, &options, cut_seed);
        stage_fixture_run(bench.fixture, events, COUNT);
        stage_fixture_drain(bench.fixture);
        if (cut_seed == 0) {
            first_hash = bench.seen.hash;
            first_state = stage_fixture_state_hash(bench.fixture);
            assert_true(bench.seen.timers > 100);
        }
        assert_int_equal(bench.seen.infinities, 0);
        assert_int_equal(bench.seen.hash, first_hash);
        assert_int_equal(stage_fixture_state_hash(bench.fixture), first_state);
        bench_close(&bench);
    }
    free(events);
}

static void stays_finite_at_the_ends_of_every_range(void **state)
{
    (void)state;
    const int64_t times[] = {0, 1, NOON, INT64_MAX / 4, -5, INT64_MAX / 4, 7};
    const int64_t prices[] = {0, 1, INT64_MAX, INT64_MAX / 2};
    enum { COUNT = 7 * 4 * EVENT_TYPE_COUNT };
    static struct fixture_event events[COUNT];
    for (int i = 0; i < COUNT; i++) {
        events[i] = (struct fixture_event){.user = "a",
                                           .time_ms = times[i % 7],
                                           .type = (enum event_type)(i % EVENT_TYPE_COUNT),
                                           .price = prices[i % 4],
                                           .quantity = i % 3 ? INT64_MAX : 2,
                                           .card = "k",
                                           .terminal = "t",
                                           .device = "d",
                                           .address = "x"};
    }
    struct seen seen = RUN(events);
    assert_int_equal(seen.infinities, 0);
    assert_true(seen.rows >= COUNT);
}

static void stops_counters_at_their_greatest_value(void **state)
{
    (void)state;
    enum { COUNT = 70000 };
    struct fixture_event *events = calloc(COUNT, sizeof(*events));
    assert_non_null(events);
    for (int i = 0; i < COUNT; i++) {
        events[i] = (struct fixture_event){
            .user = "a", .time_ms = NOON, .type = EVENT_PRODUCT_VIEW, .device = "d"};
    }
    struct seen seen = run(events, COUNT);
    expect(&seen, FEATURE_USER_EVENTS, COUNT);
    expect(&seen, FEATURE_USER_VIEWS, 65535);
    expect(&seen, FEATURE_WINDOW_EVENTS_1M, 255);
    expect(&seen, FEATURE_WINDOW_EVENTS_1H, 65535);
    expect(&seen, FEATURE_DEVICE_EVENTS_1H, 65535);
    expect(&seen, FEATURE_GAP_LOG_SPREAD, 0);
    free(events);
}

/* ---- Options ---- */

static void refuses_options_that_make_no_sense(void **state)
{
    (void)state;
    struct extract_features_options offset = feature_options_default();
    offset.utc_offset_minutes = 10000;
    struct markov table;
    funnel_default_markov(&table);
    table.step[EVENT_SEARCH][0] += 0.25;
    const struct {
        const char *expected;
        struct extract_features_options options;
        const struct markov *markov;
    } cases[] = {{"utc_offset_minutes 10000", offset, NULL},
                 {"from state search sum to 1.25", feature_options_default(), &table}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct record_layout layout = {0};
        struct stage *stage = NULL;
        struct error error = {{0}};
        assert_int_equal(
            extract_features_create(&cases[i].options, cases[i].markov, &layout, &stage, &error),
            STATUS_INVALID);
        assert_null(stage);
        if (!strstr(error.message, cases[i].expected)) {
            fail_msg("\"%s\" does not say %s", error.message, cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_a_session_holds),
        cmocka_unit_test(starts_anew_with_a_new_session),
        cmocka_unit_test(puts_a_late_event_into_the_window_of_its_time_and_leaves_recency),
        cmocka_unit_test(forgets_windows_and_carts_as_time_goes_by),
        cmocka_unit_test(never_counts_duplicates_nor_what_is_no_activity),
        cmocka_unit_test(tells_an_amount_from_the_usual_ones_before_it),
        cmocka_unit_test(counts_by_entity_over_all_users),
        cmocka_unit_test(snapshots_a_timer_at_its_time_without_changing_state),
        cmocka_unit_test(gives_the_same_rows_and_state_for_any_batch_cut),
        cmocka_unit_test(stays_finite_at_the_ends_of_every_range),
        cmocka_unit_test(stops_counters_at_their_greatest_value),
        cmocka_unit_test(refuses_options_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
