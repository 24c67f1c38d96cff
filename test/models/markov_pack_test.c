#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "models/markov_pack.h"
#include "test/fakes/fixture.h"
#include "test/fakes/stage_fixture.h"

#define STATES 3
static const char *const states[STATES] = {"view", "cart", "buy"};

#define HEAD "format: 1\nkind: markov\nname: shop\nversion: v1\n"
#define CART "  cart: {view: 1, buy: 2, leave: 1}\n"
#define BUY "  buy: {leave: 4}\n"

static void put(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void check_chances(const struct markov *table)
{
    for (uint32_t from = 0; from < table->state_count; from++) {
        double sum = table->leave[from];
        assert_true(table->leave[from] >= MARKOV_LEAVE_MIN);
        for (uint32_t to = 0; to < table->state_count; to++) {
            assert_true(table->step[from][to] >= 0);
            sum += table->step[from][to];
        }
        assert_true(fabs(sum - 1) < 1e-12);
    }
}

static void weights_become_chances(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[600];
    struct markov_pack *pack = NULL;
    struct error error = {""};
    (void)snprintf(path, sizeof(path), "%s/markov.yaml", directory);
    put(path, HEAD "trained_from: \"2026-01-01T00:00:00.000Z\"\ndata_hash: ab\nsteps:\n"
                   "  view: {view: 6, cart: 1.5, leave: 2.5}\n" CART BUY);
    const char *const paths[] = {path, directory}; /* The file, or the folder that it is in. */
    uint64_t hash = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(markov_pack_load(paths[i], states, STATES, &pack, &error), STATUS_OK);
        check_chances(&pack->table);
        assert_true(pack->table.step[0][0] == 0.6);
        assert_true(pack->table.step[0][1] == 0.15);
        assert_true(pack->table.step[0][2] == 0);
        assert_true(pack->table.leave[2] == 1);
        assert_string_equal(pack->name, "shop");
        assert_string_equal(pack->trained_from, "2026-01-01T00:00:00.000Z");
        assert_null(pack->trained_to);
        assert_non_null(strstr(pack->label, "shop v1 "));
        assert_true(i == 0 || pack->hash == hash);
        hash = pack->hash;
        markov_pack_unload(pack);
    }
    put(path, HEAD "steps:\n  view: {view: 6, cart: 1.5, leave: 2.6}\n" CART BUY);
    assert_int_equal(markov_pack_load(path, states, STATES, &pack, &error), STATUS_OK);
    assert_true(pack->hash != hash);
    markov_pack_unload(pack);
    fixture_remove(directory);
    free(directory);
}

static void mistakes_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        const char *message;
    } rows[] = {
        {"kind: markov\nname: a\nversion: b\nsteps: {}\n",
         "t:1: the setting \"format\" is missing"},
        {"format: 2\nkind: markov\nname: a\nversion: b\nsteps: {}\n", "t:1: format: \"2\""},
        {"format: 1\nkind: logistic\nname: a\nversion: b\nsteps: {}\n",
         "t:2: kind: \"logistic\": expected markov"},
        {HEAD "weights: 3\nsteps: {}\n", "t:5: weights: unknown key"},
        {HEAD "steps: 3\n", "t:5: steps: expected a line for each state"},
        {HEAD "steps:\n" CART BUY, "t:5: steps: the state view is missing"},
        {HEAD "steps:\n  vew: {leave: 1}\n", "t:6: vew: no such state; did you mean \"view\"?"},
        {HEAD "steps:\n  leave: {leave: 1}\n", "t:6: leave: no such state"},
        {HEAD "steps:\n  view: {leav: 1}\n", "t:6: leav: no such state; did you mean \"leave\"?"},
        {HEAD "steps:\n  view: [1]\n", "t:6: view: expected {STATE: WEIGHT"},
        {HEAD "steps:\n  view: {cart: many, leave: 1}\n", "t:6: cart: \"many\""},
        {HEAD "steps:\n  view: {cart: -1, leave: 1}\n",
         "t:6: cart: \"-1\": expected a weight from 0 to 1e15"},
        {HEAD "steps:\n  view: {cart: 1e16, leave: 1}\n", "t:6: cart: \"1e16\": expected a weight"},
        {HEAD "steps:\n  view: {cart: 1}\n",
         "t:6: view: weights of 1 in all, of 0 to leave: expected a share of at least 1e-06"},
        {HEAD "steps:\n  view: {leave: 0}\n", "t:6: view: weights of 0 in all"},
        {HEAD "steps:\n  view: {cart: 2000000, leave: 1}\n", "t:6: view: weights of 2000001"},
        {HEAD "steps:\n  view: {leave: 1}\n  view: {leave: 1}\n", "t:7"},
        {HEAD "order: 4\nsteps: {}\n", "t:5: order: \"4\""},
        {HEAD "steps:\n  view > cart: {leave: 1}\n", "t:6: view > cart: no such state"},
        {HEAD "order: 2\nsteps:\n  view > cat: {leave: 1}\n",
         "t:7: view > cat: no such state; did you mean \"cart\"?"},
        {HEAD "order: 2\nsteps:\n  view > start: {leave: 1}\n", "t:7: view > start: no such state"},
        {HEAD "order: 2\nsteps:\n  start: {leave: 1}\n", "t:7: start: no such state"},
        {HEAD "order: 2\nsteps:\n  view > view > cart: {leave: 1}\n",
         "t:7: view > view > cart: more events than the order, 2"},
        {HEAD "order: 2\nsteps:\n  view > cart: {view: 1}\n", "t:7: view > cart: weights of 1"},
        {HEAD "order: 3\nsteps:\n  view: {leave: 1}\n" CART BUY "  view > cart > view: {leave: 1}\n"
              "  cart > view: {leave: 1}\n",
         "t:6: steps: view > cart > view has a line, but its first or its last two"},
    };
    char *directory = fixture_directory();
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/t", directory);
    size_t skipped = strlen(directory) + 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct markov_pack *pack = NULL;
        struct error error = {""};
        put(path, rows[i].yaml);
        assert_int_equal(markov_pack_load(path, states, STATES, &pack, &error), STATUS_INVALID);
        assert_null(pack);
        if (strncmp(error.message + skipped, rows[i].message, strlen(rows[i].message)) != 0) {
            print_error("expected %s\ngot %s\n", rows[i].message, error.message + skipped);
            fail();
        }
    }
    struct markov_pack *pack = NULL;
    struct error error = {""};
    assert_int_equal(markov_pack_load("/nowhere/markov.yaml", states, STATES, &pack, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "/nowhere/markov.yaml"));
    fixture_remove(directory);
    free(directory);
}

/* Counts without what came before: step[from][to], and to STATES: leaving. */
static struct markov_counts count(const uint64_t step[STATES][STATES + 1])
{
    struct markov_counts counts;
    assert_true(markov_counts_init(&counts, STATES));
    for (uint32_t from = 0; from < STATES; from++) {
        const struct markov_history history = {{(uint8_t)(from + 1)}};
        for (uint32_t to = 0; to <= STATES; to++) {
            markov_counts_add(&counts, &history, to, step[from][to]);
        }
    }
    return counts;
}

static void fit(const uint64_t step[STATES][STATES + 1], const struct markov *prior,
                double strength, struct markov *ret_table)
{
    struct markov_counts counts = count(step);
    assert_true(markov_fit(&counts, prior, strength, 1, ret_table));
    markov_counts_release(&counts);
    assert_int_equal(ret_table->context_count, 0);
}

static void counts_become_chances(void **state)
{
    (void)state;
    static const uint64_t counts[STATES][STATES + 1] = {{60, 20, 0, 20}, {0}, {7, 0, 0, 0}};
    static struct markov table;
    fit(counts, NULL, 1e-9, &table);
    check_chances(&table);
    assert_true(fabs(table.step[0][0] - 0.6) < 1e-9);
    assert_true(fabs(table.step[0][1] - 0.2) < 1e-9);
    assert_true(fabs(table.leave[0] - 0.2) < 1e-9);
    assert_true(fabs(table.step[1][2] - 0.25) < 1e-9); /* Never seen: all alike. */
    assert_true(table.leave[2] < 3e-6);                /* Never left from: hardly ever. */
    /* (60 + 10 * 0.5) / (100 + 10), (20 + 10 * 0) / 110, ... */
    static const struct markov prior = {.state_count = STATES,
                                        .step = {{0.5, 0, 0.25}, {0, 0.9, 0}, {0, 0, 0.5}},
                                        .leave = {0.25, 0.1, 0.5}};
    fit(counts, &prior, 10, &table);
    check_chances(&table);
    assert_true(fabs(table.step[0][0] - 65.0 / 110) < 1e-15);
    assert_true(fabs(table.step[0][1] - 20.0 / 110) < 1e-15);
    assert_true(fabs(table.step[0][2] - 2.5 / 110) < 1e-15);
    assert_true(fabs(table.leave[0] - 22.5 / 110) < 1e-15);
    assert_true(fabs(table.step[1][1] - 0.9) < 1e-15);
    /* So many steps that the prior's chance to leave would be below what a table may say. */
    static const uint64_t many[STATES][STATES + 1] = {
        {UINT64_C(1) << 50}, {UINT64_C(1) << 50}, {UINT64_C(1) << 50}};
    fit(many, &prior, 10, &table);
    check_chances(&table);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[600];
    static struct markov table;
    struct error error = {""};
    static const uint64_t counts[STATES][STATES + 1] = {
        {61, 20, 3, 20}, {1, 0, 0, 5}, {7, 0, 0, 1}};
    fit(counts, NULL, 0.7, &table);
    (void)snprintf(path, sizeof(path), "%s/markov.yaml", directory);
    const struct markov_text text = {
        .name = "a \"b\" \\c", .version = "1\n2", .trained_to = "then"};
    assert_int_equal(markov_pack_write(path, &table, states, &text, &error), STATUS_OK);
    struct markov_pack *pack = NULL;
    assert_int_equal(markov_pack_load(path, states, STATES, &pack, &error), STATUS_OK);
    for (int from = 0; from < STATES; from++) {
        assert_true(fabs(pack->table.leave[from] - table.leave[from]) <= 1e-15);
        for (int to = 0; to < STATES; to++) {
            assert_true(fabs(pack->table.step[from][to] - table.step[from][to]) <= 1e-15);
        }
    }
    assert_string_equal(pack->name, "a \"b\" \\c");
    assert_string_equal(pack->version, "12");
    assert_string_equal(pack->trained_to, "then");
    assert_null(pack->trained_from);
    markov_pack_unload(pack);
    assert_int_equal(markov_pack_write("/nowhere/t", &table, states, &text, &error), STATUS_FATAL);
    fixture_remove(directory);
    free(directory);
}

/* ---- Longer contexts, against a count of the same sessions in plain words ---- */

#define SESSIONS 300u
#define SESSION_EVENTS_MAX 12u

struct visit {
    uint32_t count;
    uint32_t states[SESSION_EVENTS_MAX];
};

/* Visits that depend on more than the last event. */
static void make_visits(struct visit *visits)
{
    uint64_t random = 5;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct visit *visit = &visits[i];
        visit->count = 1 + (uint32_t)(fixture_random(&random) % SESSION_EVENTS_MAX);
        for (uint32_t k = 0; k < visit->count; k++) {
            uint32_t drawn = (uint32_t)(fixture_random(&random) % 7);
            uint32_t two_back = k > 1 ? visit->states[k - 2] : 2;
            visit->states[k] = drawn < 3 ? two_back : drawn < 5 ? 0 : drawn - 4;
        }
    }
}

/* How often `to` (STATES: leaving) followed the `length` last events of `last`, newest first. */
static uint32_t times_seen(const struct visit *visits, const uint8_t *last, uint32_t length,
                           uint32_t to)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        for (uint32_t k = 1; k <= visits[i].count; k++) {
            uint32_t next = k < visits[i].count ? visits[i].states[k] : STATES;
            bool is_same = next == to;
            for (uint32_t j = 0; is_same && j < length; j++) {
                uint8_t event = k > j ? (uint8_t)(visits[i].states[k - 1 - j] + 1) : MARKOV_START;
                is_same = event == last[j];
            }
            times += is_same;
        }
    }
    return times;
}

#define STRENGTH 4.0

/* The definition, word by word. */
static double chance_of(const struct visit *visits, const uint8_t *last, uint32_t length,
                        uint32_t to)
{
    double total = 0;
    for (uint32_t other = 0; other <= STATES; other++) {
        total += times_seen(visits, last, length, other);
    }
    double shorter = length > 1 ? chance_of(visits, last, length - 1, to) : 1.0 / (STATES + 1);
    return (times_seen(visits, last, length, to) + STRENGTH * shorter) / (total + STRENGTH);
}

static uint32_t total_of(const struct visit *visits, const uint8_t *last, uint32_t length)
{
    uint32_t total = 0;
    for (uint32_t to = 0; to <= STATES; to++) {
        total += times_seen(visits, last, length, to);
    }
    return total;
}

static void fit_visits(const struct visit *visits, uint32_t order, struct markov *ret_table)
{
    struct markov_counts counts;
    assert_true(markov_counts_init(&counts, STATES));
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct markov_history history = {{0}};
        for (uint32_t k = 0; k < visits[i].count; k++) {
            if (k > 0) {
                markov_counts_add(&counts, &history, visits[i].states[k], 1);
            }
            markov_history_add(&history, visits[i].states[k]);
        }
        markov_counts_add(&counts, &history, STATES, 1);
    }
    assert_true(markov_fit(&counts, NULL, STRENGTH, order, ret_table));
    markov_counts_release(&counts);
}

static void longer_contexts_are_mixed_with_shorter_ones(void **state)
{
    (void)state;
    static struct visit visits[SESSIONS];
    static struct markov table;
    static struct markov_index index;
    make_visits(visits);
    for (uint32_t order = 1; order <= 3; order++) {
        fit_visits(visits, order, &table);
        markov_index_make(&table, &index);
        uint32_t longest = 0;
        for (uint32_t i = 0; i < SESSIONS; i++) { /* At each event of each visit. */
            uint32_t row = 0;
            for (uint32_t k = 0; k < visits[i].count; k++) {
                uint8_t last[MARKOV_ORDER_MAX];
                uint32_t length = 1;
                row = k == 0 ? index.triple[visits[i].states[0] + 1][0][0]
                             : markov_next_row(&table, &index, row, visits[i].states[k]);
                for (uint32_t j = 0; j < MARKOV_ORDER_MAX; j++) {
                    last[j] = k >= j ? (uint8_t)(visits[i].states[k - j] + 1) : MARKOV_START;
                }
                assert_int_equal(row, index.triple[last[0]][last[1]][last[2]]);
                while (length < order && (length == 1 || last[length - 1] != MARKOV_START) &&
                       total_of(visits, last, length + 1) >= MARKOV_CONTEXT_EVENTS_MIN) {
                    length++;
                }
                longest = length > longest ? length : longest;
                for (uint32_t to = 0; to <= STATES; to++) {
                    double chance = to < STATES ? table.step[row][to] : table.leave[row];
                    assert_true(fabs(chance - chance_of(visits, last, length, to)) < 1e-12);
                }
            }
        }
        assert_int_equal(longest, order);
    }
}

static void longer_contexts_are_written_and_read(void **state)
{
    (void)state;
    static struct visit visits[SESSIONS];
    static struct markov table;
    char *directory = fixture_directory();
    char path[600];
    struct error error = {""};
    struct markov_pack *pack = NULL;
    make_visits(visits);
    fit_visits(visits, 3, &table);
    assert_true(table.context_count > 12);
    (void)snprintf(path, sizeof(path), "%s/markov.yaml", directory);
    const struct markov_text text = {.name = "a", .version = "1"};
    assert_int_equal(markov_pack_write(path, &table, states, &text, &error), STATUS_OK);
    if (markov_pack_load(path, states, STATES, &pack, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(pack->table.context_count, table.context_count);
    assert_memory_equal(pack->table.contexts, table.contexts,
                        table.context_count * sizeof(table.contexts[0]));
    for (uint32_t row = 0; row < STATES + table.context_count; row++) {
        assert_true(fabs(pack->table.leave[row] - table.leave[row]) <= 1e-15);
        for (uint32_t to = 0; to < STATES; to++) {
            assert_true(fabs(pack->table.step[row][to] - table.step[row][to]) <= 1e-15);
        }
    }
    markov_pack_unload(pack);
    fixture_remove(directory);
    free(directory);
}

static void the_most_frequent_contexts_come_with_their_parts(void **state)
{
    (void)state;
    static struct markov table;
    struct markov_counts counts;
    assert_true(markov_counts_init(&counts, 20));
    struct markov_history history = {{0}};
    uint64_t random = 9;
    for (uint32_t i = 0; i < 200000; i++) { /* More contexts than there is room for. */
        uint32_t next = (uint32_t)(fixture_random(&random) % 20);
        next = (uint32_t)(fixture_random(&random) % 20) < next ? 0 : next;
        if (history.last[0] > 0) {
            markov_counts_add(&counts, &history, next, 1);
        }
        markov_history_add(&history, next);
    }
    assert_true(markov_fit(&counts, NULL, 10, 3, &table));
    markov_counts_release(&counts);
    assert_int_equal(table.context_count, MARKOV_CONTEXTS_MAX);
    static struct markov_index index;
    markov_index_make(&table, &index);
    history = (struct markov_history){{1, 1, 1}};
    uint32_t row = index.triple[1][1][1];
    for (uint32_t i = 0; i < 20000; i++) { /* By steps as by looking back. */
        uint32_t next = (uint32_t)(fixture_random(&random) % 20);
        row = markov_next_row(&table, &index, row, next);
        markov_history_add(&history, next);
        assert_int_equal(row, index.triple[history.last[0]][history.last[1]][history.last[2]]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_become_chances),
        cmocka_unit_test(mistakes_are_refused_with_their_place),
        cmocka_unit_test(counts_become_chances),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(longer_contexts_are_mixed_with_shorter_ones),
        cmocka_unit_test(longer_contexts_are_written_and_read),
        cmocka_unit_test(the_most_frequent_contexts_come_with_their_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
