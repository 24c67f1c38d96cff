#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/generate/simulation.h"
#include "pipeline/run/labelled_rows.h"
#include "test/fakes/fixture.h"

#define PATH_BYTES 4096

struct scene {
    char *directory;
    char config[PATH_BYTES], events[PATH_BYTES], truth[PATH_BYTES];
    struct row_table table;
    struct row_counts counts;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->directory = fixture_directory();
    (void)snprintf(scene->config, PATH_BYTES, "%s/shop.yaml", scene->directory);
    (void)snprintf(scene->events, PATH_BYTES, "%s/events.jsonl", scene->directory);
    (void)snprintf(scene->truth, PATH_BYTES, "%s/truth.jsonl", scene->directory);
    fixture_write(scene->config, "input: {format: jsonl}\n");
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    row_table_release(&scene->table);
    fixture_remove(scene->directory);
    free(scene->directory);
    free(scene);
    return 0;
}

static enum status try_make(struct scene *scene, const struct row_options *options,
                            struct error *error)
{
    struct config config;
    assert_int_equal(config_load(scene->config, 1, &config, error), STATUS_OK);
    const char *files[] = {scene->events};
    row_table_release(&scene->table);
    enum status status =
        labelled_rows_make(&config, files, 1, options, &scene->table, &scene->counts, error);
    config_release(&config);
    return status;
}

static void make(struct scene *scene, const struct row_options *options)
{
    struct error error = {"none"};
    if (try_make(scene, options, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

static struct row_options make_options(enum row_target target)
{
    return (struct row_options){.target = target,
                                .from_ms = INT64_MIN,
                                .before_ms = INT64_MAX,
                                .until_ms = INT64_MAX,
                                .rows_max = 100000,
                                .score = SCORE_PURCHASE};
}

#define EVENT(user, second, type, more)                                                            \
    "{\"event_time\":17802720" second "000,\"event_id\":\"" user "-" second                        \
    "\",\"user_id\":\"" user "\",\"type\":\"" type "\"" more "}\n"
#define ITEM ",\"item\":\"i\",\"price\":5000000,\"currency\":\"EUR\",\"quantity\":1"

static const char small_shop[] = EVENT("a", "00", "product_view", ITEM)
    EVENT("b", "01", "product_view", ITEM) EVENT("a", "05", "add_to_cart", ITEM)
        EVENT("b", "06", "add_to_cart", ITEM) EVENT("a", "10", "purchase",
                                                    ITEM) EVENT("b", "11", "product_view", ITEM)
            EVENT("a", "15", "product_view", ITEM) EVENT("c", "50", "product_view", ITEM)
                EVENT("a", "55", "label", ",\"label_for\":\"a-10\",\"label_value\":\"chargeback\"");

struct expected {
    int64_t second;
    uint32_t prefix;
    int label;
    bool is_first_cart;
};

static void expect_rows(const struct scene *scene, const struct expected *expected, uint32_t count)
{
    for (uint32_t i = 0; i < scene->table.count && i < count; i++) {
        const struct table_row *row = &scene->table.rows[i];
        int64_t second = row->time_ms / 1000 % 100;
        if (second != expected[i].second || row->prefix != expected[i].prefix ||
            row->label != expected[i].label || row->is_first_cart != expected[i].is_first_cart) {
            fail_msg("row %u: second %lld, prefix %u, label %d", i, (long long)second, row->prefix,
                     row->label);
        }
    }
    assert_int_equal(scene->table.count, count);
}

static void rows_stop_before_the_purchase_that_they_foretell(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_PURCHASE);
    make(scene, &options);
    static const struct expected expected[] = {
        {0, 1, 1, false}, {1, 1, 0, false},  {5, 2, 1, true},
        {6, 2, 0, true},  {11, 3, 0, false}, {50, 1, 0, false},
    };
    expect_rows(scene, expected, 6);
}

static void a_cart_is_abandoned_where_no_purchase_follows(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_ABANDON);
    make(scene, &options);
    static const struct expected expected[] = {{5, 2, 0, true}, {6, 2, 1, true}, {11, 3, 1, false}};
    expect_rows(scene, expected, 3);
}

static void what_steps_along_sessions_sees_them_before_the_cart(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_ABANDON);
    options.keeps_all = true;
    make(scene, &options);
    static const struct expected expected[] = {
        {0, 1, 0, false}, {1, 1, 1, false},  {5, 2, 0, true},
        {6, 2, 1, true},  {11, 3, 1, false}, {50, 1, 1, false},
    };
    expect_rows(scene, expected, 6);
    for (uint32_t i = 0; i < 6; i++) { /* Asked for are those with a cart, as without. */
        assert_int_equal(scene->table.rows[i].is_on_schedule, i >= 2 && i <= 4);
    }
}

static char *const label_values[] = {(char *)(uintptr_t) "chargeback",
                                     (char *)(uintptr_t) "returned"};
static const struct text_list chargeback = {.items = (char **)(uintptr_t)label_values, .count = 1};
static const struct text_list returned = {.items = (char **)(uintptr_t)(label_values + 1),
                                          .count = 1};

static void expect_no_label(struct scene *scene, const struct row_options *options)
{
    struct error error;
    assert_int_equal(try_make(scene, options, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "none speaks of a row"));
}

static void a_label_makes_its_event_positive(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_LABEL);
    options.label_values = &chargeback;
    options.types = UINT64_C(1) << EVENT_PURCHASE;
    make(scene, &options);
    assert_int_equal(scene->table.count, 1);
    assert_int_equal(scene->table.rows[0].label, 1);

    options.label_values = &returned;
    expect_no_label(scene, &options);
}

static void a_user_who_buys_in_time_is_foretold_from_each_row_before(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_PURCHASE_WITHIN);
    options.within_ms = 6000;
    make(scene, &options);
    static const struct expected expected[] = {
        {0, 1, 0, false},  {1, 1, 0, false},  {5, 2, 1, true},   {6, 2, 0, true},
        {10, 3, 0, false}, {11, 3, 0, false}, {15, 4, 0, false},
    };
    expect_rows(scene, expected, 7);
    assert_true(scene->table.rows[0].group == scene->table.rows[2].group);
    assert_true(scene->table.rows[0].group != scene->table.rows[1].group);
}

static void a_label_of_a_user_speaks_of_what_they_did_in_the_time_before(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_LABEL);
    options.label_values = &chargeback;
    options.label_by_user = true;
    options.within_ms = 45000;
    make(scene, &options);
    static const struct expected expected[] = {
        {0, 1, 0, false}, {1, 1, 0, false}, {5, 2, 0, true}, {6, 2, 0, true}, {10, 3, 1, false}};
    expect_rows(scene, expected, 5);
    options.within_ms = 1000;
    expect_no_label(scene, &options);
}

static void rows_without_a_known_outcome_are_left_out(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_PURCHASE);
    options.gap_ms = 30000; /* The last event is at 50. */
    make(scene, &options);
    assert_int_equal(scene->table.count, 5);
    options.until_ms = 1780272010000; /* The purchase is not seen. */
    options.gap_ms = 0;
    make(scene, &options);
    for (uint32_t i = 0; i < scene->table.count; i++) {
        assert_int_equal(scene->table.rows[i].label, 0);
        assert_true(scene->table.rows[i].time_ms < options.until_ms);
    }
    assert_int_equal(scene->table.count, 4);
}

static void only_the_prefixes_asked_for_and_the_first_cart_are_rows(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    struct row_options options = make_options(TARGET_PURCHASE);
    options.prefixes[0] = 3;
    options.prefix_count = 1;
    make(scene, &options);
    static const struct expected expected[] = {{5, 2, 1, true}, {6, 2, 0, true}, {11, 3, 0, false}};
    expect_rows(scene, expected, 3);
}

static void generate(struct scene *scene, uint64_t events)
{
    struct simulation_options options = {
        .seed = 5,
        .event_count = events,
        .start_ms = 1780272000000,
        .duration_ms = 7200000,
        .shopper_count = 500,
        .item_count = 300,
        .shopper_exponent = 0.8,
        .fraud_factor = 5,
        .late_share = 0.02,
        .duplicate_share = 0.01,
        .partitions = 1,
        .format = EVENT_WRITER_JSONL,
        .directory = scene->directory,
    };
    struct simulation_result result;
    struct error error;
    assert_int_equal(simulation_run(&options, &result, &error), STATUS_OK);
}

/* Keeps the first `lines` lines of the file. */
static void cut_file(const char *path, uint32_t lines)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(64u << 20);
    size_t length = fread(bytes, 1, 64u << 20, file);
    (void)fclose(file);
    size_t kept = 0;
    while (lines > 0 && kept < length) {
        lines -= bytes[kept++] == '\n';
    }
    assert_true(kept < length);
    file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, kept, file), kept);
    (void)fclose(file);
    free(bytes);
}

static void rows_are_the_same_when_the_future_is_cut_off(void **state)
{
    struct scene *scene = *state;
    generate(scene, 4000);
    struct error error;
    struct truth_file *truth;
    assert_int_equal(truth_file_load(scene->truth, &truth, &error), STATUS_OK);
    struct row_options options = make_options(TARGET_TRUTH);
    options.truth = truth;
    make(scene, &options);
    struct row_table whole = scene->table;
    scene->table = (struct row_table){0};
    uint32_t positives = 0;
    for (uint32_t i = 0; i < whole.count; i++) {
        positives += whole.rows[i].label;
    }
    assert_in_range(positives, 10, whole.count - 10);
    for (uint32_t lines = 3000; lines > 100; lines = lines / 2 - 7) {
        cut_file(scene->events, lines);
        make(scene, &options);
        assert_true(scene->table.count > lines * 9 / 10 && scene->table.count < whole.count);
        for (uint32_t i = 0; i < scene->table.count; i++) {
            assert_int_equal(scene->table.rows[i].event, whole.rows[i].event);
            assert_memory_equal(row_table_features(&scene->table, i), row_table_features(&whole, i),
                                whole.feature_count * sizeof(float));
        }
    }
    row_table_release(&whole);
    truth_file_unload(truth);
}

static void truth_that_joins_nothing_is_refused(void **state)
{
    struct scene *scene = *state;
    fixture_write(scene->events, small_shop);
    fixture_write(scene->truth, "{\"visit\":\"other\",\"kind\":\"human\"}\n");
    struct truth_file *truth;
    struct error error;
    assert_int_equal(truth_file_load(scene->truth, &truth, &error), STATUS_OK);
    struct row_options options = make_options(TARGET_TRUTH);
    options.truth = truth;
    assert_int_equal(try_make(scene, &options, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "belongs to a visit of the truth"));
    truth_file_unload(truth);
}

static void broken_truth_is_refused_with_its_line(void **state)
{
    struct scene *scene = *state;
    static const char *const texts[] = {
        "{\"visit\":\"a\",\"kind\":\"human\"}\n{\"visit\":\n",
        "{\"visit\":\"a\",\"kind\":\"human\"}\n{\"kind\":\"human\"}\n",
        "{\"visit\":\"a\",\"kind\":\"human\"}\n{\"visit\":\"b\",\"kind\":7}\n",
    };
    for (size_t i = 0; i < 3; i++) {
        fixture_write(scene->truth, texts[i]);
        struct truth_file *truth;
        struct error error;
        assert_int_equal(truth_file_load(scene->truth, &truth, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "truth.jsonl:2"));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_stop_before_the_purchase_that_they_foretell),
        TEST(a_cart_is_abandoned_where_no_purchase_follows),
        TEST(what_steps_along_sessions_sees_them_before_the_cart),
        TEST(a_label_makes_its_event_positive),
        TEST(a_user_who_buys_in_time_is_foretold_from_each_row_before),
        TEST(a_label_of_a_user_speaks_of_what_they_did_in_the_time_before),
        TEST(rows_without_a_known_outcome_are_left_out),
        TEST(only_the_prefixes_asked_for_and_the_first_cart_are_rows),
        TEST(rows_are_the_same_when_the_future_is_cut_off),
        TEST(truth_that_joins_nothing_is_refused),
        TEST(broken_truth_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
