/* A training of trees that is interrupted, against the same training that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "models/train_trees.h"
#include "models/tree_ensemble.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define FEATURES 10u
#define ROWS 1200u
#define HELD_FROM 800u
#define ROUNDS 30u
#define PATIENCE 5u

static const char *const names[FEATURES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
static const uint32_t columns[FEATURES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

struct scene {
    struct row_table table;
    uint8_t parts[ROWS];
    char *directory;
    char checkpoint[4096], copy[4096];
};

static double unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

/* Values that are many, few (so that they fall on the trees' bounds), and missing. */
static float value(struct random *random, uint32_t column)
{
    double x = unit(random);
    return column % 3 == 0   ? (float)x
           : column % 3 == 1 ? (float)(int)(x * 7)
           : x < 0.3         ? NAN
                             : (float)x;
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct random random = {11};
    struct error error;
    assert_int_equal(row_table_init(&scene->table, FEATURES, ROWS, 1, &error), STATUS_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        float x[FEATURES];
        for (uint32_t c = 0; c < FEATURES; c++) {
            x[c] = value(&random, c);
        }
        double chance =
            0.15 + 0.5 * ((double)x[0] > 0.6) * ((double)x[1] < 4) + 0.2 * (isnan(x[2]) != 0);
        struct table_row row = {.time_ms = i, .group_time_ms = i, .group = i + 1, .kind = NO_KIND};
        row.label = unit(&random) < chance;
        assert_int_equal(row_table_add(&scene->table, &row, x, &error), STATUS_OK);
        scene->parts[i] = i < HELD_FROM ? SPLIT_FIT : SPLIT_HELD;
    }
    row_table_weigh(&scene->table);
    scene->directory = fixture_directory();
    (void)snprintf(scene->checkpoint, sizeof(scene->checkpoint), "%s/checkpoint", scene->directory);
    (void)snprintf(scene->copy, sizeof(scene->copy), "%s/copy", scene->directory);
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

static struct tree_train_options make_options(void)
{
    return (struct tree_train_options){
        .names = names,
        .columns = columns,
        .column_count = FEATURES,
        .rounds_max = ROUNDS,
        .patience = PATIENCE,
        .depth = 3,
        .bins = 32,
        .threads = 1,
        .rate = 0.3,
        .leaf_weight_min = 1,
        .lambda = 1,
        .row_share = 1,
        .column_share = 1,
        .positive_weight = 0,
        .seed = 7,
        .is_refitted = true,
    };
}

static enum status attempt(const struct scene *scene, const struct tree_train_options *options,
                           struct tree_fit *ret_fit, struct error *error)
{
    return train_trees(&scene->table, scene->parts, options, ret_fit, error);
}

static struct tree_fit train(const struct scene *scene, const struct tree_train_options *options)
{
    struct tree_fit fit;
    struct error error;
    if (attempt(scene, options, &fit, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return fit;
}

static void assert_same(const struct tree_fit *a, const struct tree_fit *b)
{
    assert_int_equal(a->trees, b->trees);
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->bytes, b->bytes, a->length);
    assert_memory_equal(&a->threshold, &b->threshold, sizeof(a->threshold));
    assert_memory_equal(&a->calibration.slope, &b->calibration.slope, sizeof(float));
    assert_memory_equal(&a->calibration.offset, &b->calibration.offset, sizeof(float));
    assert_memory_equal(&a->held.log_loss, &b->held.log_loss, sizeof(double));
    assert_int_equal(a->is_measured, b->is_measured);
    assert_int_equal(a->fit_rows, b->fit_rows);
    assert_int_equal(a->held_rows, b->held_rows);
}

static long length_of(const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    long length = ftell(in);
    assert_int_equal(fclose(in), 0);
    return length;
}

static void copy_file(const char *from, const char *to)
{
    size_t length = (size_t)length_of(from);
    char *bytes = malloc(length);
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_true(bytes && in && out);
    assert_int_equal(fread(bytes, 1, length, in), length);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    free(bytes);
}

/* What a training tells, and where it is to end. */
struct listener {
    const struct scene *scene;
    uint32_t calls, calls_max; /* Stops at that call; 0: never. */
    uint32_t copied_at;        /* Keeps the checkpoint as it is at that call. */
};

static bool listen(void *context, uint32_t stage, uint32_t stages, uint32_t round, double loss)
{
    struct listener *listener = context;
    (void)stage;
    (void)stages;
    (void)round;
    (void)loss;
    listener->calls++;
    if (listener->calls == listener->copied_at) {
        copy_file(listener->scene->checkpoint, listener->scene->copy);
    }
    return listener->calls != listener->calls_max;
}

static uint32_t count_calls(const struct scene *scene, struct tree_train_options options)
{
    struct listener listener = {.scene = scene};
    options.progress = listen;
    options.context = &listener;
    struct tree_fit fit = train(scene, &options);
    tree_fit_release(&fit);
    return listener.calls;
}

/* Stopped after each round of both stages in turn, and gone on with. */
static void stop_everywhere(const struct scene *scene, struct tree_train_options options)
{
    struct tree_fit expected = train(scene, &options);
    uint32_t calls = count_calls(scene, options);
    assert_true(expected.trees + PATIENCE < ROUNDS || options.patience == 0);
    for (uint32_t at = 1; at <= calls; at++) {
        struct listener stopped = {.scene = scene, .calls_max = at};
        struct listener resumed = {.scene = scene};
        struct tree_fit fit;
        struct error error;
        options.checkpoint = scene->checkpoint;
        options.progress = listen;
        options.context = &stopped;
        assert_int_equal(attempt(scene, &options, &fit, &error), STATUS_FATAL);
        options.context = &resumed;
        fit = train(scene, &options);
        assert_same(&expected, &fit);
        /* At most one in twenty trees is grown again. */
        assert_in_range(resumed.calls, calls - at, calls - at + at / 20 + 1);
        assert_int_not_equal(access(scene->checkpoint, F_OK), 0); /* Done: it is gone. */
        tree_fit_release(&fit);
    }
    tree_fit_release(&expected);
}

static void a_training_that_was_stopped_goes_on_to_the_same_bits(void **state)
{
    stop_everywhere(*state, make_options());
}

static void it_does_with_rows_and_features_that_are_drawn(void **state)
{
    struct tree_train_options options = make_options();
    options.row_share = 0.7;
    options.column_share = 0.45;
    stop_everywhere(*state, options);
}

static void it_does_without_early_stopping_and_with_bounded_leaves(void **state)
{
    struct tree_train_options options = make_options();
    options.patience = 0;
    options.leaves = 9;
    options.column_share = 0.3;
    options.is_refitted = false;
    stop_everywhere(*state, options);
}

static void it_does_with_isotonic_calibration_and_one_class_held_out(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.calibration = CALIBRATE_ISOTONIC;
    stop_everywhere(scene, options);
    for (uint32_t i = HELD_FROM; i < ROWS; i++) {
        scene->table.rows[i].label = 0;
    }
    options.patience = 0;
    stop_everywhere(scene, options);
}

/* What a training leaves that is killed is the checkpoint as it is at that time. */
static void a_training_that_was_killed_goes_on_from_its_last_checkpoint(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.row_share = 0.7;
    options.column_share = 0.45;
    struct tree_fit expected = train(scene, &options);
    uint32_t calls = count_calls(scene, options);
    for (uint32_t at = 1; at <= calls; at += 3) {
        struct listener killed = {.scene = scene, .copied_at = at};
        struct listener resumed = {.scene = scene};
        options.progress = listen;
        options.context = &killed;
        options.checkpoint = scene->checkpoint;
        struct tree_fit fit = train(scene, &options);
        assert_same(&expected, &fit); /* A checkpoint changes nothing. */
        tree_fit_release(&fit);
        options.context = &resumed;
        options.checkpoint = scene->copy;
        fit = train(scene, &options);
        assert_same(&expected, &fit);
        assert_true(resumed.calls < calls);
        tree_fit_release(&fit);
    }
    tree_fit_release(&expected);
}

static void leave_checkpoint(const struct scene *scene, struct tree_train_options options,
                             uint32_t calls)
{
    struct listener listener = {.scene = scene, .calls_max = calls};
    struct tree_fit fit;
    struct error error;
    options.progress = listen;
    options.context = &listener;
    assert_int_equal(attempt(scene, &options, &fit, &error), STATUS_FATAL);
    assert_int_equal(access(scene->checkpoint, F_OK), 0);
}

static void expect_refusal(const struct scene *scene, const struct tree_train_options *options,
                           const char *expected)
{
    struct tree_fit fit;
    struct error error;
    assert_int_equal(attempt(scene, options, &fit, &error), STATUS_INVALID);
    if (!strstr(error.message, expected) || !strstr(error.message, scene->checkpoint)) {
        fail_msg("\"%s\" expected: %s", expected, error.message);
    }
    assert_int_equal(access(scene->checkpoint, F_OK), 0); /* It is left alone. */
}

static void a_checkpoint_of_another_training_is_refused(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.checkpoint = scene->checkpoint;
    leave_checkpoint(scene, options, 8);
    struct tree_train_options others[18];
    size_t count = sizeof(others) / sizeof(others[0]);
    for (size_t i = 0; i < count; i++) {
        others[i] = options;
    }
    const uint32_t other_columns[FEATURES] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 8};
    const char *const other_names[FEATURES] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "k"};
    others[0].seed++;
    others[1].seed += UINT64_C(1) << 60;
    others[2].rounds_max++;
    others[3].patience++;
    others[4].depth++;
    others[5].bins++;
    others[6].leaves = 8;
    others[7].rate /= 2;
    others[8].leaf_weight_min = 2;
    others[9].lambda = 2;
    others[10].gamma = 1;
    others[11].row_share = 0.5;
    others[12].column_share = 0.5;
    others[13].positive_weight = 3;
    others[14].is_refitted = false;
    others[15].columns = other_columns;
    others[16].names = other_names;
    others[17].threads = 2;
    for (size_t i = 0; i < count; i++) {
        expect_refusal(scene, &others[i], "other rows or settings; remove it");
    }
    scene->table.rows[3].label ^= 1;
    expect_refusal(scene, &options, "other rows or settings; remove it");
    scene->table.rows[3].label ^= 1;
    scene->parts[HELD_FROM - 1] = SPLIT_LEFT_OUT;
    expect_refusal(scene, &options, "other rows or settings; remove it");
    scene->parts[HELD_FROM - 1] = SPLIT_FIT;
    struct tree_fit fit = train(scene, &options);
    tree_fit_release(&fit);
}

static void a_damaged_checkpoint_is_refused(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.checkpoint = scene->checkpoint;
    leave_checkpoint(scene, options, 8);
    long length = length_of(scene->checkpoint);
    for (long at = 0; at < length; at += at < 160 ? 3 : 397) {
        FILE *file = fopen(scene->checkpoint, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        int was = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        (void)fputc(was ^ 4, file);
        assert_int_equal(fclose(file), 0);
        expect_refusal(scene, &options, "");
        file = fopen(scene->checkpoint, "r+b");
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        (void)fputc(was, file);
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(truncate(scene->checkpoint, length - 1), 0);
    expect_refusal(scene, &options, "cut short");
    assert_int_equal(truncate(scene->checkpoint, length), 0);
    expect_refusal(scene, &options, "damaged");
    assert_int_equal(truncate(scene->checkpoint, 20), 0);
    expect_refusal(scene, &options, "no checkpoint of a training");
}

static void a_checkpoint_that_cannot_be_written_ends_the_training(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    struct tree_fit fit;
    struct error error;
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/none/checkpoint", scene->directory);
    options.checkpoint = path;
    assert_int_equal(attempt(scene, &options, &fit, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "none/checkpoint"));
}

/* The trees' features, by what they do not change of: a row's score where a value is replaced. */
static uint32_t features_in_use(const struct scene *scene, const struct tree_train_options *options,
                                const struct tree_fit *fit, bool in_use[FEATURES])
{
    enum { SAMPLE = 200 };
    uint32_t chosen[SAMPLE];
    float before[SAMPLE];
    float after[SAMPLE];
    struct error error;
    uint32_t count = 0;
    for (uint32_t i = 0; i < SAMPLE; i++) {
        chosen[i] = i;
    }
    assert_int_equal(tree_fit_logits(fit, &scene->table, options, chosen, SAMPLE, before, &error),
                     STATUS_OK);
    for (uint32_t c = 0; c < FEATURES; c++) {
        float kept[SAMPLE];
        for (uint32_t i = 0; i < SAMPLE; i++) {
            float *at = &scene->table.features[(size_t)i * FEATURES + c];
            kept[i] = *at;
            *at = scene->table.features[(size_t)(i + 400) * FEATURES + c];
        }
        assert_int_equal(
            tree_fit_logits(fit, &scene->table, options, chosen, SAMPLE, after, &error), STATUS_OK);
        for (uint32_t i = 0; i < SAMPLE; i++) {
            scene->table.features[(size_t)i * FEATURES + c] = kept[i];
        }
        in_use[c] = memcmp(before, after, sizeof(before)) != 0;
        count += in_use[c];
    }
    return count;
}

/* Trees of one round and any number of splits: what they use was drawn. */
static void a_tree_uses_the_features_that_were_drawn_and_all_are_drawn_alike(void **state)
{
    struct scene *scene = *state;
    struct tree_train_options options = make_options();
    options.rounds_max = 1;
    options.patience = 0;
    options.depth = 10;
    options.leaf_weight_min = 0;
    options.is_refitted = false;
    options.column_share = 0.3;
    uint32_t used[FEATURES] = {0};
    enum { SEEDS = 300 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool in_use[FEATURES];
        options.seed = seed;
        struct tree_fit fit = train(scene, &options);
        assert_in_range(features_in_use(scene, &options, &fit, in_use), 1, 3);
        for (uint32_t c = 0; c < FEATURES; c++) {
            used[c] += in_use[c];
        }
        tree_fit_release(&fit);
    }
    for (uint32_t c = 0; c < FEATURES; c++) { /* 90 expected, 7.9 standard deviation. */
        if (used[c] < 58 || used[c] > 122) {
            fail_msg("feature %s: used by %u of %u trees", names[c], used[c], SEEDS);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_training_that_was_stopped_goes_on_to_the_same_bits),
        TEST(it_does_with_rows_and_features_that_are_drawn),
        TEST(it_does_without_early_stopping_and_with_bounded_leaves),
        TEST(it_does_with_isotonic_calibration_and_one_class_held_out),
        TEST(a_training_that_was_killed_goes_on_from_its_last_checkpoint),
        TEST(a_checkpoint_of_another_training_is_refused),
        TEST(a_damaged_checkpoint_is_refused),
        TEST(a_checkpoint_that_cannot_be_written_ends_the_training),
        TEST(a_tree_uses_the_features_that_were_drawn_and_all_are_drawn_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
