/* Rows divided by time: nothing that is fitted or held out may know of what is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "models/time_split.h"
#include "test/fakes/random.h"

#define ROWS 400u

struct scene {
    struct row_table table;
    uint8_t parts[ROWS], is_tested[ROWS], times_tested[ROWS];
};

/* Groups of a few rows, many of which share a time. */
static void fill(struct scene *scene, uint64_t seed)
{
    struct random random = {seed};
    struct error error;
    int64_t begin = 0;
    memset(scene, 0, sizeof(*scene));
    assert_int_equal(row_table_init(&scene->table, 1, ROWS, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool is_new = i == 0 || random_below(&random, 3) == 0;
        int64_t time = (int64_t)(i / 3) * 100;
        begin = is_new ? time : begin;
        struct table_row row = {.time_ms = time, .group_time_ms = begin, .group = 1};
        float feature = 0;
        assert_int_equal(row_table_add(&scene->table, &row, &feature, &error), STATUS_OK);
    }
}

static void folds_are_measured_by_what_came_before_alone(void **state)
{
    (void)state;
    static struct scene scene;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        fill(&scene, seed);
        int64_t gap_ms = (int64_t)(seed % 5) * 150;
        uint32_t folds = 1 + (uint32_t)(seed % 6);
        int64_t before_ms = -1;
        for (uint32_t fold = 1; fold <= folds; fold++) {
            int64_t from_ms = 0;
            struct error error;
            uint32_t fitted = 0;
            uint32_t tested = 0;
            assert_int_equal(time_fold(&scene.table, fold, folds, 0.25, gap_ms, scene.parts,
                                       scene.is_tested, &from_ms, &error),
                             STATUS_OK);
            assert_true(from_ms > before_ms);
            before_ms = from_ms;
            int64_t newest_fitted = INT64_MIN;
            int64_t oldest_held = INT64_MAX;
            for (uint32_t i = 0; i < ROWS; i++) {
                const struct table_row *row = &scene.table.rows[i];
                if (scene.is_tested[i]) {
                    assert_true(row->time_ms >= from_ms && row->group_time_ms >= from_ms);
                    assert_int_equal(scene.parts[i], SPLIT_LEFT_OUT);
                    assert_int_equal(scene.times_tested[i]++, 0);
                    tested++;
                } else if (scene.parts[i] != SPLIT_LEFT_OUT) {
                    assert_true(row->time_ms < from_ms - gap_ms);
                    bool is_fitted = scene.parts[i] == SPLIT_FIT;
                    fitted += is_fitted;
                    if (is_fitted && row->time_ms > newest_fitted) {
                        newest_fitted = row->time_ms;
                    }
                    if (!is_fitted && row->time_ms < oldest_held) {
                        oldest_held = row->time_ms;
                    }
                }
            }
            assert_true(fitted > 0 && tested > 0);
            assert_true(oldest_held == INT64_MAX || newest_fitted < oldest_held - gap_ms);
        }
        row_table_release(&scene.table);
    }
}

static void held_rows_are_the_last_and_their_groups_do_not_reach_back(void **state)
{
    (void)state;
    static struct scene scene;
    fill(&scene, 9);
    int64_t from_ms = 0;
    struct error error;
    assert_int_equal(time_split(&scene.table, 0.25, 300, scene.parts, &from_ms, &error), STATUS_OK);
    assert_int_equal(from_ms, 100 * 100);
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct table_row *row = &scene.table.rows[i];
        bool is_held = row->time_ms >= from_ms && row->group_time_ms >= from_ms;
        int expected = is_held                        ? SPLIT_HELD
                       : row->time_ms < from_ms - 300 ? SPLIT_FIT
                                                      : SPLIT_LEFT_OUT;
        assert_int_equal(scene.parts[i], expected);
    }
    assert_int_equal(time_split(&scene.table, 0, 300, scene.parts, &from_ms, &error), STATUS_OK);
    assert_true(from_ms == INT64_MAX && scene.parts[ROWS - 1] == SPLIT_FIT);
    row_table_release(&scene.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_are_measured_by_what_came_before_alone),
        cmocka_unit_test(held_rows_are_the_last_and_their_groups_do_not_reach_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
