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

#include "models/time_split.h"
#include "models/train_network.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define FEATURES 4u
#define GROUPS 1200u
#define LENGTH_MAX 12u

static const char *const names[FEATURES] = {"a", "b", "kind", "same"};
static const uint32_t columns[FEATURES] = {0, 1, 2, 3};

struct made {
    struct row_table table;
    uint8_t *parts;
};

static float unit(struct random *random)
{
    return (float)(random_next(random) >> 40) * 0x1p-23f - 1.0f;
}

/* The label is 1 where a and b have the same sign; a tenth of b is missing and counts as below. */
static uint8_t sign_label(const float *x)
{
    float b = isnan(x[1]) ? -1.0f : x[1];
    return (x[0] > 0) == (b > 0);
}

/* Sessions, one row after the other; `remembers`: the label is that the first kind was 3. */
static void make(struct made *made, bool remembers)
{
    struct random random = {17};
    assert_int_equal(row_table_init(&made->table, FEATURES, 100000, 1, NULL), STATUS_OK);
    uint64_t sequence = 0;
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint32_t length = 1 + random_below(&random, LENGTH_MAX);
        uint8_t label = 0;
        for (uint32_t i = 0; i < length; i++) {
            float x[FEATURES] = {unit(&random), unit(&random), (float)random_below(&random, 5), 7};
            x[1] = random_below(&random, 10) == 0 ? NAN : x[1];
            label = i == 0 && remembers ? x[2] == 3.0f : label;
            struct table_row row = {.time_ms = (int64_t)g * 100 + i,
                                    .group_time_ms = (int64_t)g * 100,
                                    .group = g + 1,
                                    .sequence = sequence++,
                                    .prefix = i + 1,
                                    .label = remembers ? label : sign_label(x),
                                    .is_on_schedule = !remembers || i % 2 == 1 || i + 1 == length};
            assert_int_equal(row_table_add(&made->table, &row, x, NULL), STATUS_OK);
        }
    }
    row_table_weigh(&made->table);
    int64_t from_ms;
    made->parts = calloc(made->table.count, 1);
    assert_non_null(made->parts);
    assert_int_equal(time_split(&made->table, 0.25, 0, made->parts, &from_ms, NULL), STATUS_OK);
}

static void release(struct made *made)
{
    row_table_release(&made->table);
    free(made->parts);
}

static struct network_train_options make_options(void)
{
    return (struct network_train_options){
        .names = names,
        .columns = columns,
        .column_count = FEATURES,
        .transform = TRANSFORM_NONE,
        .limit = 5,
        .layers = {{.size = 12, .activation = ACTIVATION_TANH}},
        .layer_count = 1,
        .loss = {LOSS_CROSS_ENTROPY, 2},
        .optimizer = OPTIMIZER_ADAM,
        .rate = 0.01,
        .momentum = 0.9,
        .decay = 0.999,
        .epochs = 12,
        .batch = 32,
        .steps = 8,
        .clip = 5,
        .positive_weight = 1,
        .seed = 3,
    };
}

/* The sequence needs to be remembered; the kind is an id. */
static struct network_train_options recurrent_options(enum network_cell cell)
{
    struct network_train_options options = make_options();
    options.cell = cell;
    options.hidden = 10;
    options.layer_count = 0;
    options.rate = 0.02;
    options.steps = 5;
    options.epochs = 8;
    options.embedding_count = 1;
    options.embeddings[0] =
        (struct train_embedding){.column = 2, .input = {.rows = 7, .width = 3, .first = 2}};
    return options;
}

static struct network_fit fit(const struct made *made, const struct network_train_options *options)
{
    struct network_fit result;
    struct error error = {""};
    if (train_network(&made->table, made->parts, options, &result, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return result;
}

static void an_mlp_learns_what_no_line_can_separate(void **state)
{
    (void)state;
    struct made made;
    make(&made, false);
    for (int optimizer = 0; optimizer < OPTIMIZER_KIND_COUNT; optimizer++) {
        struct network_train_options options = make_options();
        options.optimizer = (enum optimizer_kind)optimizer;
        options.rate = optimizer == OPTIMIZER_SGD        ? 1
                       : optimizer == OPTIMIZER_MOMENTUM ? 0.1
                                                         : 0.01;
        struct network_fit result = fit(&made, &options);
        assert_true(result.is_measured && result.held.roc_auc > 0.97);
        assert_true(result.held.calibration_error < 0.05);
        network_fit_release(&result);
    }
    release(&made);
}

static void every_loss_and_regularisation_learns(void **state)
{
    (void)state;
    struct made made;
    make(&made, false);
    for (int loss = 0; loss < LOSS_KIND_COUNT; loss++) {
        struct network_train_options options = make_options();
        options.loss.kind = (enum loss_kind)loss;
        options.layers[0] = (struct train_layer){20, ACTIVATION_RELU, true};
        options.dropout = 0.1;
        options.l1 = options.l2 = 1e-4;
        options.schedule = SCHEDULE_COSINE;
        options.warm_up = 0.05;
        options.positive_weight = 0;
        struct network_fit result = fit(&made, &options);
        assert_true(result.held.roc_auc > 0.95);
        network_fit_release(&result);
    }
    release(&made);
}

static void recurrent_networks_remember_the_first_event(void **state)
{
    (void)state;
    struct made made;
    make(&made, true);
    for (int cell = CELL_GRU; cell <= CELL_LSTM; cell++) {
        struct network_train_options options = recurrent_options((enum network_cell)cell);
        struct network_fit result = fit(&made, &options);
        assert_true(result.held.roc_auc > 0.97);
        /* Most rows are beyond the steps of one stretch, or rows without loss. */
        float *logits = calloc(made.table.count, sizeof(*logits));
        assert_non_null(logits);
        assert_int_equal(network_fit_logits(&result, &made.table, logits, NULL), STATUS_OK);
        uint32_t right = 0;
        for (uint32_t i = 0; i < made.table.count; i++) {
            right += (logits[i] > 0) == (made.table.rows[i].label == 1);
        }
        assert_true(right > made.table.count * 95 / 100);
        free(logits);
        network_fit_release(&result);
    }
    release(&made);
}

static void assert_same(const struct network_fit *a, const struct network_fit *b)
{
    assert_int_equal(a->shape.parameter_count, b->shape.parameter_count);
    assert_memory_equal(a->parameters, b->parameters,
                        a->shape.parameter_count * sizeof(*a->parameters));
    assert_int_equal(a->best_epoch, b->best_epoch);
    assert_true(a->calibration.slope == b->calibration.slope);
    assert_true(a->calibration.offset == b->calibration.offset);
}

static void the_same_seed_gives_the_same_bits_and_another_does_not(void **state)
{
    (void)state;
    struct made made;
    make(&made, true);
    struct network_train_options options = recurrent_options(CELL_GRU);
    options.epochs = 2;
    options.dropout = 0.2;
    options.layer_count = 1;
    struct network_fit first = fit(&made, &options);
    struct network_fit second = fit(&made, &options);
    assert_same(&first, &second);
    options.seed = 4;
    struct network_fit other = fit(&made, &options);
    assert_memory_not_equal(first.parameters, other.parameters,
                            first.shape.parameter_count * sizeof(float));
    network_fit_release(&first);
    network_fit_release(&second);
    network_fit_release(&other);
    release(&made);
}

/* A zero stops at the next chance. */
struct stopper {
    uint32_t calls_left;
};

static bool stop(void *context, uint32_t epoch, double share, double loss, double held_loss)
{
    struct stopper *stopper = context;
    (void)epoch;
    (void)share;
    (void)loss;
    (void)held_loss;
    return stopper->calls_left-- > 0;
}

static void an_interrupted_training_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    struct made made;
    char *directory = fixture_directory();
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/checkpoint", directory);
    make(&made, true);
    struct network_train_options options = recurrent_options(CELL_LSTM);
    options.epochs = 4;
    options.dropout = 0.2;
    options.layer_count = 1;
    struct network_fit expected = fit(&made, &options);
    options.checkpoint = path;
    for (uint32_t calls = 1; calls < 12; calls += 2) {
        struct stopper stopper = {calls};
        struct network_fit result;
        options.progress = stop;
        options.context = &stopper;
        enum status status = train_network(&made.table, made.parts, &options, &result, NULL);
        if (status == STATUS_OK) {
            network_fit_release(&result);
        }
        options.progress = NULL;
        result = fit(&made, &options);
        assert_same(&expected, &result);
        assert_int_not_equal(access(path, F_OK), 0); /* Done: it is gone. */
        network_fit_release(&result);
    }
    network_fit_release(&expected);
    fixture_remove(directory);
    free(directory);
    release(&made);
}

static void a_checkpoint_of_another_training_or_a_damaged_one_is_refused(void **state)
{
    (void)state;
    struct made made;
    char *directory = fixture_directory();
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/checkpoint", directory);
    make(&made, false);
    struct stopper stopper = {60};
    struct network_train_options options = make_options();
    struct network_fit result;
    struct error error;
    options.checkpoint = path;
    options.progress = stop;
    options.context = &stopper;
    assert_int_equal(train_network(&made.table, made.parts, &options, &result, &error),
                     STATUS_FATAL);
    assert_int_equal(access(path, F_OK), 0);
    options.progress = NULL;
    struct network_train_options others[] = {options, options, options, options};
    others[0].seed++;
    others[1].limit /= 2;
    others[2].transform = TRANSFORM_LOG1P;
    others[3].layers[0].has_norm = !options.layers[0].has_norm;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(train_network(&made.table, made.parts, &others[i], &result, &error),
                         STATUS_INVALID);
        assert_non_null(strstr(error.message, "other rows or settings"));
    }
    uint32_t held = 0; /* Its weight is in none of the features' means. */
    while (made.parts[held] != SPLIT_HELD) {
        held++;
    }
    made.table.weights[held] *= 2;
    assert_int_equal(train_network(&made.table, made.parts, &options, &result, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "other rows or settings"));
    made.table.weights[held] /= 2;
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -5, SEEK_END), 0);
    (void)fputc('x', file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(train_network(&made.table, made.parts, &options, &result, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "damaged"));
    assert_int_equal(truncate(path, 200), 0);
    assert_int_equal(train_network(&made.table, made.parts, &options, &result, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "cut short"));
    fixture_remove(directory);
    free(directory);
    release(&made);
}

static void training_stops_when_held_out_rows_get_no_better(void **state)
{
    (void)state;
    struct made made;
    make(&made, false);
    for (uint32_t i = 0; i < made.table.count; i++) {
        made.table.rows[i].label = (uint8_t)(i * 2654435761u >> 31); /* Nothing to learn. */
    }
    struct network_train_options options = make_options();
    options.epochs = 200;
    options.patience = 3;
    struct network_fit result = fit(&made, &options);
    assert_true(result.epochs < 60);
    assert_int_equal(result.epochs, result.best_epoch + 3);
    network_fit_release(&result);
    release(&made);
}

static void refuse(const struct made *made, const struct network_train_options *options,
                   enum status status, const char *message)
{
    struct network_fit result;
    struct error error = {""};
    assert_int_equal(train_network(&made->table, made->parts, options, &result, &error), status);
    if (!strstr(error.message, message)) {
        fail_msg("\"%s\", expected \"%s\"", error.message, message);
    }
}

static void says_what_is_wrong_with_the_rows_or_the_network(void **state)
{
    (void)state;
    struct made made;
    make(&made, false);
    struct network_train_options options = make_options();
    options.layers[0].size = 5000;
    refuse(&made, &options, STATUS_INVALID, "layer 0: size 5000: 1 to 1024 expected");
    options = recurrent_options(CELL_LSTM);
    options.hidden = 65;
    refuse(&made, &options, STATUS_INVALID, "at most 512 bytes");
    options = make_options();
    options.optimizer = OPTIMIZER_SGD;
    options.rate = 1e38;
    options.clip = 0;
    refuse(&made, &options, STATUS_FATAL, "not finite");
    options = make_options();
    options.columns = &columns[3];
    options.column_count = 1;
    refuse(&made, &options, STATUS_INVALID, "no feature varies");
    options = make_options();
    for (uint32_t i = 0; i < made.table.count; i++) {
        made.table.rows[i].label = 0;
    }
    refuse(&made, &options, STATUS_INVALID, "one class only");
    memset(made.parts, SPLIT_HELD, made.table.count);
    options.columns = columns;
    options.embedding_count = 0;
    struct network_fit result;
    assert_int_equal(train_network(&made.table, made.parts, &options, &result, NULL),
                     STATUS_INVALID);
    release(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_mlp_learns_what_no_line_can_separate),
        cmocka_unit_test(every_loss_and_regularisation_learns),
        cmocka_unit_test(recurrent_networks_remember_the_first_event),
        cmocka_unit_test(the_same_seed_gives_the_same_bits_and_another_does_not),
        cmocka_unit_test(an_interrupted_training_goes_on_to_the_same_bits),
        cmocka_unit_test(a_checkpoint_of_another_training_or_a_damaged_one_is_refused),
        cmocka_unit_test(training_stops_when_held_out_rows_get_no_better),
        cmocka_unit_test(says_what_is_wrong_with_the_rows_or_the_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
