/* What the simulation writes: the same again, whole, valid, in order, and in one file a user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/base/hash.h"
#include "test/fakes/fixture.h"
#include "test/fakes/generated_files.h"

#define EVENTS 40000

static int setup(void **state)
{
    *state = fixture_directory();
    return 0;
}

static int teardown(void **state)
{
    fixture_remove(*state);
    free(*state);
    return 0;
}

/* Below the test's folder; the text lives until the next call but one. */
static const char *folder(void **state, const char *name)
{
    static char paths[2][4096];
    static int turn;
    turn = !turn;
    (void)snprintf(paths[turn], sizeof(paths[turn]), "%s/%s", (const char *)*state, name);
    return paths[turn];
}

static struct simulation_result run(const struct simulation_options *options)
{
    struct simulation_result result;
    struct error error = {""};
    if (simulation_run(options, &result, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return result;
}

static uint64_t file_hash(const char *directory, const char *name)
{
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint64_t hash = 0;
    char block[4096];
    size_t length;
    while ((length = fread(block, 1, sizeof(block), file)) > 0) {
        hash = hash64_combine(hash, hash64((struct text){block, (uint32_t)length}));
    }
    (void)fclose(file);
    return hash;
}

static void same_options_give_the_same_bytes_and_another_seed_others(void **state)
{
    struct simulation_options one = generated_options(folder(state, "one"), EVENTS);
    struct simulation_options two = generated_options(folder(state, "two"), EVENTS);
    (void)run(&one);
    (void)run(&two);
    uint64_t events = file_hash(one.directory, "events.avro");
    uint64_t truth = file_hash(one.directory, "truth.jsonl");
    assert_int_equal(file_hash(two.directory, "events.avro"), events);
    assert_int_equal(file_hash(two.directory, "truth.jsonl"), truth);
    two.seed++;
    (void)run(&two);
    assert_int_not_equal(file_hash(two.directory, "events.avro"), events);
    assert_int_not_equal(file_hash(two.directory, "truth.jsonl"), truth);
}

static int by_fingerprint(const void *a, const void *b)
{
    uint64_t left = ((const struct seen_event *)a)->fingerprint;
    uint64_t right = ((const struct seen_event *)b)->fingerprint;
    return left < right ? -1 : left > right;
}

static void assert_same_events(struct seen_events *a, struct seen_events *b)
{
    assert_int_equal(a->count, b->count);
    qsort(a->items, a->count, sizeof(*a->items), by_fingerprint);
    qsort(b->items, b->count, sizeof(*b->items), by_fingerprint);
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].fingerprint != b->items[i].fingerprint) {
            fail_msg("event v%llx-%u or v%llx-%u is in one of the two only",
                     (unsigned long long)a->items[i].visit, a->items[i].step,
                     (unsigned long long)b->items[i].visit, b->items[i].step);
        }
    }
}

static int by_key(const void *a, const void *b)
{
    uint64_t left = ((const struct seen_event *)a)->key;
    uint64_t right = ((const struct seen_event *)b)->key;
    return left < right ? -1 : left > right;
}

static void partitions_hold_the_same_events_and_a_user_is_in_one_of_them(void **state)
{
    struct simulation_options one = generated_options(folder(state, "one"), EVENTS);
    struct simulation_options many = generated_options(folder(state, "many"), EVENTS);
    many.partitions = 5;
    (void)run(&one);
    (void)run(&many);
    struct seen_events whole = generated_events_read(&one);
    struct seen_events parts = generated_events_read(&many);
    size_t sizes[5] = {0};
    for (size_t i = 0; i < parts.count; i++) {
        sizes[parts.items[i].file]++;
    }
    for (int i = 0; i < 5; i++) {
        assert_in_range(sizes[i], EVENTS / 10, EVENTS * 3 / 10);
    }
    qsort(parts.items, parts.count, sizeof(*parts.items), by_key);
    for (size_t i = 1; i < parts.count; i++) {
        if (parts.items[i].key == parts.items[i - 1].key) {
            assert_int_equal(parts.items[i].file, parts.items[i - 1].file);
        }
    }
    assert_same_events(&whole, &parts);
    assert_int_equal(file_hash(one.directory, "truth.jsonl"),
                     file_hash(many.directory, "truth.jsonl"));
    free(whole.items);
    free(parts.items);
}

static void each_event_is_canonical_and_both_formats_say_the_same(void **state)
{
    struct simulation_options avro = generated_options(folder(state, "avro"), EVENTS);
    struct simulation_options json = generated_options(folder(state, "json"), EVENTS);
    avro.fraud_factor = json.fraud_factor = 5; /* All kinds. */
    json.format = EVENT_WRITER_JSONL;
    (void)run(&avro);
    (void)run(&json);
    struct seen_events from_avro = generated_events_read(&avro);
    struct seen_events from_json = generated_events_read(&json);
    assert_int_equal(from_avro.rejected, 0);
    assert_int_equal(from_json.rejected, 0);
    bool has_type[EVENT_TYPE_COUNT] = {false};
    for (size_t i = 0; i < from_avro.count; i++) {
        has_type[from_avro.items[i].type] = true;
    }
    assert_false(has_type[EVENT_OTHER]);
    const enum event_type expected[] = {EVENT_PAGE_VIEW,
                                        EVENT_PRODUCT_VIEW,
                                        EVENT_IMPRESSION,
                                        EVENT_SEARCH,
                                        EVENT_ADD_TO_CART,
                                        EVENT_REMOVE_FROM_CART,
                                        EVENT_CHECKOUT,
                                        EVENT_PURCHASE,
                                        EVENT_PAYMENT_FAILED,
                                        EVENT_REFUND,
                                        EVENT_LOGIN,
                                        EVENT_LOGIN_FAILED,
                                        EVENT_REVIEW,
                                        EVENT_MESSAGE,
                                        EVENT_PROMOTION_SHOWN,
                                        EVENT_PROMOTION_ACCEPTED,
                                        EVENT_LABEL};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (!has_type[expected[i]]) {
            fail_msg("no event of type %s", event_types[expected[i]].name);
        }
    }
    assert_same_events(&from_avro, &from_json);
    free(from_avro.items);
    free(from_json.items);
}

static void number_of_events_is_exact(void **state)
{
    static const struct {
        uint64_t events;
        uint64_t users;
        double days, zipf;
    } rows[] = {
        {1, 1, 1, 0.8},
        {2, 10, 0.01, 0},
        {997, 3, 30, 0.8},
        {4000, 5000000, 0.05, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct simulation_options options = generated_options(folder(state, "n"), rows[i].events);
        options.shopper_count = rows[i].users;
        options.shopper_exponent = rows[i].zipf;
        options.duration_ms = (int64_t)(rows[i].days * 86400000);
        struct simulation_result result = run(&options);
        struct seen_events events = generated_events_read(&options);
        assert_int_equal(events.count, rows[i].events);
        assert_int_equal(result.events, rows[i].events);
        free(events.items);
    }
}

static void events_spread_over_the_days_asked_for(void **state)
{
    static const struct {
        double days, fraud, shift;
    } rows[] = {{1, 1, 0}, {7, 1, 0}, {0.25, 1, 0}, {1, 0, 0}, {1, 8, 0}, {1, 4, 0.5}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct simulation_options options = generated_options(folder(state, "days"), 100000);
        options.duration_ms = (int64_t)(rows[i].days * 86400000);
        options.fraud_factor = rows[i].fraud;
        options.shift = rows[i].shift;
        struct simulation_result result = run(&options);
        double span = (double)(result.end_ms - options.start_ms) / (double)options.duration_ms;
        if (span < 0.85 || span > 1.15) {
            fail_msg("%g days, fraud %g, shift %g: %.3f of the time", rows[i].days, rows[i].fraud,
                     rows[i].shift, span);
        }
    }
}

/* Events older than one before them. */
static size_t count_disorder(const struct seen_events *events)
{
    int64_t newest_ms = INT64_MIN;
    size_t disorder = 0;
    for (size_t i = 0; i < events->count; i++) {
        disorder += events->items[i].time_ms < newest_ms;
        newest_ms = events->items[i].time_ms > newest_ms ? events->items[i].time_ms : newest_ms;
    }
    return disorder;
}

static int by_id(const void *a, const void *b)
{
    const struct seen_event *left = a, *right = b;
    if (left->visit != right->visit) {
        return left->visit < right->visit ? -1 : 1;
    }
    return left->step < right->step ? -1 : left->step > right->step;
}

static size_t count_copies(struct seen_events *events)
{
    qsort(events->items, events->count, sizeof(*events->items), by_id);
    size_t copies = 0;
    for (size_t i = 1; i < events->count; i++) {
        bool is_copy = by_id(&events->items[i - 1], &events->items[i]) == 0;
        copies += is_copy;
        if (is_copy) {
            assert_int_equal(events->items[i].fingerprint, events->items[i - 1].fingerprint);
        }
    }
    return copies;
}

static void late_events_and_copies_are_as_many_as_asked_for(void **state)
{
    static const struct {
        double late, copies;
    } rows[] = {{0, 0}, {0.05, 0}, {0, 0.04}, {0.02, 0.01}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct simulation_options options = generated_options(folder(state, "late"), EVENTS);
        options.duration_ms = 3600000; /* Dense: whoever is late is overtaken. */
        options.late_share = rows[i].late;
        options.duplicate_share = rows[i].copies;
        struct simulation_result result = run(&options);
        struct seen_events events = generated_events_read(&options);
        double disorder = (double)count_disorder(&events) / EVENTS;
        double copies = (double)count_copies(&events) / EVENTS;
        print_message("late %g: disorder %g; copies %g: %g\n", rows[i].late, disorder,
                      rows[i].copies, copies);
        /* 40,000 draws: five deviations of 0.05 are 0.0055, in parts of 1 + the share of copies. */
        assert_true(copies >= 0.85 * rows[i].copies - 0.0001 && copies <= 1.12 * rows[i].copies);
        double expected = rows[i].late + rows[i].copies;
        assert_true(disorder >= 0.8 * expected && disorder <= 1.12 * expected);
        assert_true(result.duplicates >= (uint64_t)(copies * EVENTS));
        free(events.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_options_give_the_same_bytes_and_another_seed_others,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            partitions_hold_the_same_events_and_a_user_is_in_one_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(each_event_is_canonical_and_both_formats_say_the_same,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(number_of_events_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(events_spread_over_the_days_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(late_events_and_copies_are_as_many_as_asked_for, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
