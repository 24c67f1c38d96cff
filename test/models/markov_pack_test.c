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

static void counts_become_chances(void **state)
{
    (void)state;
    const struct markov_counts counts = {
        .state_count = STATES, .step = {{60, 20, 0}, {0, 0, 0}, {7, 0, 0}}, .leave = {20, 0, 0}};
    struct markov table;
    markov_fit(&counts, NULL, 1e-9, &table);
    check_chances(&table);
    assert_true(fabs(table.step[0][0] - 0.6) < 1e-9);
    assert_true(fabs(table.step[0][1] - 0.2) < 1e-9);
    assert_true(fabs(table.leave[0] - 0.2) < 1e-9);
    assert_true(fabs(table.step[1][2] - 0.25) < 1e-9); /* Never seen: all alike. */
    assert_true(table.leave[2] < 3e-6);                /* Never left from: hardly ever. */
    /* (60 + 10 * 0.5) / (100 + 10), (20 + 10 * 0) / 110, ... */
    const struct markov prior = {.state_count = STATES,
                                 .step = {{0.5, 0, 0.25}, {0, 0.9, 0}, {0, 0, 0.5}},
                                 .leave = {0.25, 0.1, 0.5}};
    markov_fit(&counts, &prior, 10, &table);
    check_chances(&table);
    assert_true(fabs(table.step[0][0] - 65.0 / 110) < 1e-15);
    assert_true(fabs(table.step[0][1] - 20.0 / 110) < 1e-15);
    assert_true(fabs(table.step[0][2] - 2.5 / 110) < 1e-15);
    assert_true(fabs(table.leave[0] - 22.5 / 110) < 1e-15);
    assert_true(fabs(table.step[1][1] - 0.9) < 1e-15);
    /* So many steps that the prior's chance to leave would be below what a table may say. */
    const struct markov_counts many = {
        .state_count = STATES,
        .step = {{UINT64_C(1) << 50}, {UINT64_C(1) << 50}, {UINT64_C(1) << 50}}};
    markov_fit(&many, &prior, 10, &table);
    check_chances(&table);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[600];
    struct markov table;
    struct error error = {""};
    const struct markov_counts counts = {
        .state_count = STATES, .step = {{61, 20, 3}, {1, 0, 0}, {7, 0, 0}}, .leave = {20, 5, 1}};
    markov_fit(&counts, NULL, 0.7, &table);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_become_chances),
        cmocka_unit_test(mistakes_are_refused_with_their_place),
        cmocka_unit_test(counts_become_chances),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
