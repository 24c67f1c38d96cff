/*
 * Sessions against an independent oracle in Python (test/oracle/sessions_oracle.py) and against
 * themselves: the same rows, records and state however the input is cut into batches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "test/fakes/fixture.h"
#include "test/fakes/session_runner.h"

#define MIN_MS INT64_C(60000)
#define EVENTS 400
#define SEEDS 48
#define CUTS 4
#define ORACLE "python3 test/oracle/sessions_oracle.py --compare"

static const char *const users[] = {"ann", "bob", "cho", "dag", "eve"};
static const char *const items[] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"};
static const char *const hints[] = {NULL, "h0", "h1", "h2", "h3"};
static const char *const currencies[] = {"EUR", "EUR", "EUR", "USD", NULL};

struct setup {
    struct sessionize_options options;
    int64_t lateness_ms;
    int64_t floor_ms;
};

/* Each seed another corner: by hint or gap, short and long reach, tight and wide limits. */
static struct setup make_setup(uint64_t seed)
{
    static const int64_t lateness[] = {0, 5 * MIN_MS, 40 * MIN_MS, 600 * MIN_MS};
    static const int64_t gaps[] = {10 * MIN_MS, 30 * MIN_MS, 3 * MIN_MS};
    struct setup setup = {.options = session_options_default()};
    setup.lateness_ms = lateness[seed % 4];
    setup.options.gap_ms = gaps[seed % 3];
    setup.options.hint_gap_ms = setup.options.gap_ms * (seed % 5 ? 1 : 4);
    setup.options.by_hint = seed / 4 % 2;
    setup.options.late_reach_ms = seed % 7 == 0 ? 20 * MIN_MS : 1440 * MIN_MS;
    setup.options.max_length_ms = seed % 6 == 0 ? 35 * MIN_MS : 1440 * MIN_MS;
    setup.options.max_events = seed % 5 == 1 ? 6 : 4000;
    int64_t floor_ms = sessionize_timer_floor_ms(&setup.options);
    setup.floor_ms = seed % 2 ? floor_ms : 1000;
    return setup;
}

/*
 * A stream with pauses around the gap, events out of order, late ones and copies. Steps come in
 * whole minutes now and then, so that gaps are met exactly. Every third seed has events that are
 * very late, every other one a second currency.
 */
static int64_t make_step(uint64_t number, uint64_t other, int64_t gap_ms)
{
    switch (number % 24) {
    case 0:
        return MIN_MS * (int64_t)(other % 7) + gap_ms * (int64_t)(other >> 8 & 1);
    case 1:
        return (int64_t)(other % (uint64_t)(2 * gap_ms));
    default:
        return (int64_t)(other % 20000);
    }
}

static void make_stream(uint64_t seed, int64_t gap_ms, struct fixture_event *events)
{
    uint64_t random = seed * 0x9E3779B97F4A7C15ull;
    int64_t now_ms = 1000000 * MIN_MS;
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint64_t number = fixture_random(&random);
        uint64_t other = fixture_random(&random);
        now_ms += make_step(number, other, gap_ms);
        uint64_t far_ms =
            seed % 3 == 0 && (number >> 5) % 16 == 0 ? 300 * 60000 : (uint64_t)gap_ms * 3 / 2;
        int64_t behind_ms = (number >> 9) % 4 == 0 ? (int64_t)((other >> 20) % far_ms) : 0;
        if (i > 0 && (number >> 58) % 16 == 0) {
            uint32_t back = seed % 3 == 0 || i < 8 ? i : 8;
            events[i] = events[i - 1 - other % back]; /* A copy, at times of long ago. */
            continue;
        }
        events[i] = (struct fixture_event){
            .user = users[(number >> 12) % (1 + seed % 4)],
            .time_ms = now_ms - behind_ms,
            .type = (enum event_type)((number >> 16) % EVENT_TYPE_COUNT),
            .item = (number >> 24) % 4 ? items[(number >> 26) % 8] : NULL,
            .hint = hints[(number >> 30) % (seed % 2 ? 2 : 5)],
            .price = (number >> 34) % 8 ? (int64_t)(number >> 40) : 0,
            .quantity = (int64_t)(other >> 60 & 3),
            .currency = currencies[seed % 2 ? 0 : (other >> 50) % 5],
        };
    }
}

static struct session_run run_setup(const struct setup *setup, uint64_t cut_seed,
                                    const struct fixture_event *events, uint32_t count)
{
    return session_run_events(&setup->options, setup->lateness_ms, setup->floor_ms, cut_seed,
                              events, count);
}

static void is_the_same_however_the_input_is_cut(void **state)
{
    (void)state;
    struct sessionize_counters sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct fixture_event events[EVENTS];
        struct setup setup = make_setup(seed);
        make_stream(seed, setup.options.gap_ms, events);
        struct session_run whole = run_setup(&setup, 0, events, EVENTS);
        for (uint64_t cut = 1; cut <= CUTS; cut++) {
            struct session_run run = run_setup(&setup, seed * 31 + cut, events, EVENTS);
            bool is_same = run.row_count == whole.row_count && run.state_hash == whole.state_hash &&
                           strcmp(run.records, whole.records) == 0 &&
                           memcmp(run.rows, whole.rows, run.row_count * sizeof(*run.rows)) == 0;
            if (!is_same) {
                fail_msg("seed %u, cut %u: not the same as in large batches", (unsigned)seed,
                         (unsigned)cut);
            }
            assert_true(run.batches > whole.batches);
            session_run_release(&run);
        }
        sum.revised += whole.counters.revised;
        sum.retracted += whole.counters.retracted;
        sum.crowded += whole.counters.crowded;
        sum.too_late += whole.counters.too_late;
        session_run_release(&whole);
    }
    /* Streams without them would prove nothing. */
    print_message("%u revised, %u retracted, %u crowded, %u too late\n", (unsigned)sum.revised,
                  (unsigned)sum.retracted, (unsigned)sum.crowded, (unsigned)sum.too_late);
    assert_true(sum.revised > 100 && sum.retracted > 100);
    assert_true(sum.crowded > 100 && sum.too_late > 50);
}

/* Each event's last word on its session is in the records: counters and rows agree with them. */
static void counts_what_it_wrote(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct fixture_event events[EVENTS];
        struct setup setup = make_setup(seed);
        make_stream(seed, setup.options.gap_ms, events);
        struct session_run run = run_setup(&setup, 0, events, EVENTS);
        uint64_t lines = 0, opened = 0, bridged = 0, endings = 0;
        for (const char *at = run.records; (at = strchr(at, '\n')); at++) {
            lines++;
        }
        for (uint32_t i = 0; i < run.row_count; i++) {
            opened += (run.rows[i].flags & SESSION_IS_NEW) != 0;
            bridged += (run.rows[i].flags & SESSION_BRIDGED) != 0;
            endings += (run.rows[i].flags & SESSION_ENDED) != 0;
            assert_true(run.rows[i].is_timer || run.rows[i].outcome == OUTCOME_OPEN);
        }
        assert_int_equal(lines, run.counters.ended + run.counters.revised + run.counters.retracted);
        assert_int_equal(opened, run.counters.opened);
        assert_true(bridged <= run.counters.retracted);
        assert_true(endings + run.counters.crowded >= run.counters.ended);
        session_run_release(&run);
    }
}

/* Returns its exit status; prints its lines. */
static int run_oracle(const char *command, unsigned *ret_limited, unsigned *ret_order_free)
{
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    char line[4096];
    while (fgets(line, sizeof(line), pipe)) {
        print_message("%s", line);
        (void)sscanf(line, "%u limited users, %u order-free", ret_limited, ret_order_free);
    }
    return pclose(pipe);
}

static void equals_the_oracle_on_generated_streams(void **state)
{
    (void)state;
    char *folder = fixture_directory();
    static char command[SEEDS * 128 + 256];
    size_t length = (size_t)snprintf(command, sizeof(command), ORACLE);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct fixture_event events[EVENTS];
        struct setup setup = make_setup(seed);
        make_stream(seed, setup.options.gap_ms, events);
        struct session_run run = run_setup(&setup, seed, events, EVENTS);
        char path[256];
        (void)snprintf(path, sizeof(path), "%s/e%u", folder, (unsigned)seed);
        session_write_events(path, &setup.options, setup.lateness_ms, events, EVENTS);
        (void)snprintf(path, sizeof(path), "%s/r%u", folder, (unsigned)seed);
        session_write_records(path, &run);
        length += (size_t)snprintf(command + length, sizeof(command) - length, " %s/e%u %s/r%u",
                                   folder, (unsigned)seed, folder, (unsigned)seed);
        session_run_release(&run);
    }
    assert_true(length < sizeof(command));
    unsigned limited = 0, order_free = 0;
    int result = run_oracle(command, &limited, &order_free);
    fixture_remove(folder);
    free(folder);
    assert_int_equal(result, 0);
    assert_true(limited >= 20 && order_free >= 20); /* Both definitions were put to the test. */
}

/* ---- Real data ---- */

#define CLICKS_MAX 8192

struct clicks {
    struct fixture_event events[CLICKS_MAX];
    char lines[CLICKS_MAX][256];
    uint32_t count;
};

/* Columns: time, type, product, category, category code, brand, price, user, session. */
static void read_click(char *line, struct fixture_event *event)
{
    char *columns[9] = {0};
    line[strcspn(line, "\r\n")] = '\0';
    for (int i = 0; i < 9; i++) {
        columns[i] = line;
        line = strchr(line, ',');
        if (line) {
            *line++ = '\0';
        }
        assert_true(line || i == 8);
    }
    int day = 0, hour = 0, minute = 0, second = 0;
    assert_int_equal(sscanf(columns[0], "2019-10-%d %d:%d:%d UTC", &day, &hour, &minute, &second),
                     4);
    int64_t seconds = (int64_t)1569888000 + (day - 1) * 86400 + hour * 3600 + minute * 60 + second;
    *event =
        (struct fixture_event){.user = columns[7],
                               .time_ms = seconds * 1000,
                               .type = EVENT_PRODUCT_VIEW,
                               .item = columns[2],
                               .hint = columns[8],
                               .price = (int64_t)(strtod(columns[6], NULL) * 100 + 0.5) * 10000,
                               .currency = "USD"};
    event->type = strcmp(columns[1], "cart") == 0       ? EVENT_ADD_TO_CART
                  : strcmp(columns[1], "purchase") == 0 ? EVENT_PURCHASE
                                                        : EVENT_PRODUCT_VIEW;
}

/* NULL where the data are missing, which continuous integration does not allow. */
static struct clicks *load_clicks(void)
{
    const char *base = getenv("NUDGE_DATA");
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/rees46/2019-10-01_until_0230.csv.gz",
                   base ? base : "../shared/data");
    gzFile file = gzopen(path, "rb");
    if (!file) {
        assert_null(getenv("CI"));
        print_message("skipped: %s is not there\n", path);
        return NULL;
    }
    struct clicks *clicks = calloc(1, sizeof(*clicks));
    assert_non_null(clicks);
    char header[256];
    assert_non_null(gzgets(file, header, sizeof(header)));
    while (gzgets(file, clicks->lines[clicks->count], sizeof(clicks->lines[0]))) {
        read_click(clicks->lines[clicks->count], &clicks->events[clicks->count]);
        clicks->count++;
        assert_true(clicks->count < CLICKS_MAX);
    }
    (void)gzclose(file);
    return clicks;
}

static uint64_t sessions_by_oracle(const struct clicks *clicks, const struct setup *setup)
{
    struct session_run run = run_setup(setup, 0, clicks->events, clicks->count);
    struct session_run cut = run_setup(setup, 1, clicks->events, clicks->count);
    assert_string_equal(run.records, cut.records);
    assert_true(run.state_hash == cut.state_hash);
    char *folder = fixture_directory();
    char events_path[256], records_path[256], command[1024];
    (void)snprintf(events_path, sizeof(events_path), "%s/events", folder);
    (void)snprintf(records_path, sizeof(records_path), "%s/records", folder);
    (void)snprintf(command, sizeof(command), ORACLE " %s %s", events_path, records_path);
    session_write_events(events_path, &setup->options, setup->lateness_ms, clicks->events,
                         clicks->count);
    session_write_records(records_path, &run);
    assert_int_equal(system(command), 0);
    uint64_t sessions = run.counters.opened - run.counters.retracted;
    session_run_release(&run);
    session_run_release(&cut);
    fixture_remove(folder);
    free(folder);
    return sessions;
}

static void equals_the_oracle_on_a_real_clickstream(void **state)
{
    (void)state;
    struct clicks *clicks = load_clicks();
    if (!clicks) {
        return;
    }
    struct setup setup = {.options = session_options_default(), .floor_ms = MIN_MS};
    assert_int_equal(sessions_by_oracle(clicks, &setup), 1980);

    /* One of the 2,164 session ids occurs with two users, and a session has one user. */
    setup.options.by_hint = true;
    assert_int_equal(sessions_by_oracle(clicks, &setup), 2165);
    for (uint32_t i = 0; i < clicks->count; i++) {
        clicks->events[i].user = clicks->events[i].hint;
    }
    assert_int_equal(sessions_by_oracle(clicks, &setup), 2164);
    free(clicks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_same_however_the_input_is_cut),
        cmocka_unit_test(counts_what_it_wrote),
        cmocka_unit_test(equals_the_oracle_on_generated_streams),
        cmocka_unit_test(equals_the_oracle_on_a_real_clickstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
