/* Models on a GPU, for which a stand-in stands that runs the same kernels: beside the CPU's, bit by
 * bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend_cuda.h"
#include "models/model_device.h"
#include "models/pack_kind.h"
#include "models/pack_trees.h"
#include "test/fakes/backend_cuda_stand_in.h"
#include "test/fakes/random.h"

#define ROWS 640u
#define STRIDE 64u
#define STATE_FLOATS (MODEL_STATE_BYTES_MAX / 4)

static const char *const networks[] = {"literature", "deep", "normed", "gru", "lstm"};
static const char *const ensembles[] = {"lgb_binary.txt",       "lgb_categories.txt",
                                        "lgb_deep.txt",         "lgb_forest.txt",
                                        "lgb_zero_missing.txt", "xgb_binary.json"};
/* Of parts of a slot, of one, two and three slots. */
static const uint32_t counts[] = {1, 3, 16, 17, 255, 256, 257, 512, 513, ROWS};

struct pair {
    struct model_pack *pack;
    struct model_pack trees; /* What pack points to, where it was made here. */
    struct pack_trees body;
    struct pack_feature features[STRIDE];
    uint32_t columns[STRIDE];
    struct model *cpu, *gpu;
    float rows[ROWS * STRIDE];
    float states[2][ROWS][STATE_FLOATS];
};

static void check_ok(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        fail_msg("%s", error->message);
    }
}

static int open_stand_in(void **state)
{
    (void)state;
    struct error error;
    stand_in_faults = (struct stand_in_faults){0};
    backend_cuda_configure(true, 1);
    return backend_cuda_use(&stand_in_plugin, &error) == STATUS_OK ? 0 : -1;
}

/* The plug-in that NUDGE_CUDA_PLUGIN names, and with it a real GPU; without it the stand-in. */
static int open_device(void **state)
{
    const char *path = getenv("NUDGE_CUDA_PLUGIN");
    if (!path) {
        return open_stand_in(state);
    }
    struct error error;
    backend_cuda_configure(true, 1);
    bool is_open =
        backend_cuda_use(NULL, &error) == STATUS_OK && backend_cuda_open(path, &error) == STATUS_OK;
    if (!is_open) {
        print_error("%s\n", error.message);
    }
    return is_open ? 0 : -1;
}

/* Numbers of all sizes, whole ones for categories, and some missing. */
static void make_numbers(struct pair *pair, uint64_t seed)
{
    struct random random = {seed};
    for (size_t i = 0; i < ROWS * STRIDE; i++) {
        switch (random_below(&random, 8)) {
        case 0:
            pair->rows[i] = NAN;
            break;
        case 1:
        case 2:
            pair->rows[i] = (float)random_below(&random, 12);
            break;
        case 3:
            pair->rows[i] = ((float)random_below(&random, 2000) - 1000.0f) * 100.0f;
            break;
        default:
            pair->rows[i] = (float)random_below(&random, 1u << 20) * 0x1p-18f - 2.0f;
        }
    }
}

static void load_both(struct pair *pair)
{
    struct error error = {""};
    check_ok(model_load(&backend_lanes, pair->pack, pair->columns, STRIDE, &pair->cpu, &error),
             &error);
    check_ok(model_load(&backend_cuda, pair->pack, pair->columns, STRIDE, &pair->gpu, &error),
             &error);
    assert_int_equal(pair->cpu->state_bytes, pair->gpu->state_bytes);
}

static void read_network(struct pair *pair, const char *name)
{
    char path[256];
    struct error error = {""};
    *pair = (struct pair){0};
    (void)snprintf(path, sizeof(path), "test/models/networks/%s", name);
    check_ok(model_pack_load(path, &pair->pack, &error), &error);
    for (uint32_t i = 0; i < pair->pack->feature_count; i++) {
        pair->columns[i] = (i * 7 + 3) % 61; /* Anywhere. */
    }
    make_numbers(pair, 11);
}

static void read_trees(struct pair *pair, const char *name)
{
    char path[256];
    struct error error = {""};
    *pair = (struct pair){0};
    (void)snprintf(path, sizeof(path), "test/models/trees/%s", name);
    check_ok(tree_ensemble_load(path, &pair->body.ensemble, &error), &error);
    uint32_t count = tree_ensemble_facts(pair->body.ensemble)->feature_count;
    assert_true(count <= 60);
    pair->body.places = pair->columns; /* Any permutation; here of itself, see below. */
    pair->body.output = (struct pack_trees_output){.count = 1, .scale = 0.75f};
    for (uint32_t i = 0; i < count; i++) {
        pair->columns[i] = i;
        pair->features[i].name = (char *)(uintptr_t) "made";
    }
    pair->trees = (struct model_pack){.kind = &pack_kind_trees,
                                      .body = &pair->body,
                                      .name = (char *)(uintptr_t) "made",
                                      .features = pair->features,
                                      .feature_count = count,
                                      .calibration = {.slope = 0.9f, .offset = -0.3f}};
    pair->pack = &pair->trees;
    make_numbers(pair, 12);
}

static void release(struct pair *pair)
{
    model_unload(pair->cpu);
    model_unload(pair->gpu);
    if (pair->pack == &pair->trees) {
        tree_ensemble_unload(pair->body.ensemble);
    } else {
        model_pack_unload(pair->pack);
    }
}

/* Scores rows on one of the two; those of recurrent models are stepped. */
static void score(struct pair *pair, int which, const uint32_t *chosen, uint32_t count,
                  float *logits)
{
    struct model *model = which == 0 ? pair->cpu : pair->gpu;
    struct error error = {""};
    void *states[ROWS];
    for (uint32_t i = 0; i < count; i++) {
        states[i] = pair->states[which][chosen ? chosen[i] : i];
    }
    check_ok(model->state_bytes > 0
                 ? model_step(model, pair->rows, STRIDE, chosen, count, states, logits, &error)
                 : model_score(model, pair->rows, STRIDE, chosen, count, logits, &error),
             &error);
}

static void compare(struct pair *pair, const uint32_t *chosen, uint32_t count, const char *name)
{
    float logits[2][ROWS];
    for (int which = 0; which < 2; which++) {
        score(pair, which, chosen, count, logits[which]);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(&logits[0][i], &logits[1][i], sizeof(float)) != 0) {
            fail_msg("%s: row %u of %u: %a on the device, %a on the CPU", name, i, count,
                     (double)logits[1][i], (double)logits[0][i]);
        }
    }
    assert_memory_equal(pair->states[0], pair->states[1], sizeof(pair->states[0]));
}

static void compare_batches(struct pair *pair, const char *name)
{
    struct random random = {5};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        compare(pair, NULL, counts[i], name);
        /* In another order, each once. */
        uint32_t chosen[ROWS];
        for (uint32_t k = 0; k < ROWS; k++) {
            uint32_t other = random_below(&random, k + 1);
            chosen[k] = k;
            uint32_t swapped = chosen[other];
            chosen[other] = k;
            chosen[k] = swapped;
        }
        compare(pair, chosen, counts[i], name);
    }
    struct cuda_facts facts;
    backend_cuda_facts(&facts);
    assert_true(facts.rows > ROWS);
    assert_int_equal(facts.failures, 0);
}

static void a_network_on_the_device_has_the_bits_of_the_cpu(void **state)
{
    (void)state;
    static struct pair pair;
    for (size_t i = 0; i < sizeof(networks) / sizeof(networks[0]); i++) {
        read_network(&pair, networks[i]);
        load_both(&pair);
        compare_batches(&pair, networks[i]);
        release(&pair);
    }
}

static void trees_on_the_device_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    static struct pair pair;
    for (size_t i = 0; i < sizeof(ensembles) / sizeof(ensembles[0]); i++) {
        read_trees(&pair, ensembles[i]);
        load_both(&pair);
        compare_batches(&pair, ensembles[i]);
        release(&pair);
    }
}

/* Whichever call fails, in whichever part of a batch: all rows are scored, each stepped once. */
static void a_device_that_fails_leaves_no_trace(void **state)
{
    (void)state;
    static struct pair pair;
    static const char *const names[] = {"normed", "gru", "lstm"};
    for (uint32_t i = 0; i < 18; i++) {
        read_network(&pair, names[i % 3]);
        load_both(&pair);
        struct cuda_facts before, after;
        backend_cuda_facts(&before);
        *(i % 2 ? &stand_in_faults.submit : &stand_in_faults.wait) = 1 + i / 6;
        compare(&pair, NULL, ROWS, names[i % 3]); /* Three parts. */
        backend_cuda_facts(&after);
        assert_int_equal(after.failures, before.failures + 1);
        assert_int_equal(after.rows - before.rows,
                         i % 2 ? (i / 6 > 1 ? (i / 6 - 1) * CUDA_SLOT_ROWS : 0)
                               : i / 6 * CUDA_SLOT_ROWS);
        assert_non_null(strstr(after.failure, i % 2 ? "launch failure" : "illegal memory access"));
        /* From now on the CPU does it. */
        compare(&pair, NULL, ROWS, names[i % 3]);
        backend_cuda_facts(&before);
        assert_int_equal(after.rows, before.rows);
        assert_int_equal(after.failures, before.failures);
        release(&pair);
        assert_int_equal(open_stand_in(NULL), 0);
    }
}

static void small_batches_stay_on_the_cpu(void **state)
{
    (void)state;
    static struct pair pair;
    struct cuda_facts before, after;
    read_network(&pair, "deep");
    backend_cuda_configure(true, 100);
    load_both(&pair);
    backend_cuda_facts(&before);
    compare(&pair, NULL, 99, "deep");
    backend_cuda_facts(&after);
    assert_int_equal(before.rows, after.rows);
    compare(&pair, NULL, 100, "deep");
    backend_cuda_facts(&after);
    assert_int_equal(before.rows + 100, after.rows);
    release(&pair);
}

static void expect_refused(struct pair *pair, const char *words)
{
    struct error error = {""};
    assert_int_equal(
        model_load(&backend_cuda, pair->pack, pair->columns, STRIDE, &pair->gpu, &error),
        STATUS_INVALID);
    if (!strstr(error.message, words)) {
        fail_msg("\"%s\", expected with \"%s\"", error.message, words);
    }
    pair->gpu = NULL;
    release(pair);
}

static void a_model_that_does_not_fit_or_differs_is_refused(void **state)
{
    (void)state;
    static struct pair pair;
    stand_in_faults.create = 1;
    read_network(&pair, "gru");
    expect_refused(&pair, "out of memory");
    stand_in_faults.create = 1;
    read_trees(&pair, "lgb_binary.txt");
    expect_refused(&pair, "out of memory");
    stand_in_faults.is_inexact = true;
    read_network(&pair, "deep");
    expect_refused(&pair, "the same bits expected");
    stand_in_faults.is_inexact = false;
    stand_in_faults.wait = 1;
    read_network(&pair, "lstm");
    expect_refused(&pair, "illegal memory access");
}

static void expect_not_open(enum status status, const struct error *error, const char *words)
{
    struct cuda_facts facts;
    assert_int_equal(status, STATUS_INVALID);
    if (!strstr(error->message, words)) {
        fail_msg("\"%s\", expected with \"%s\"", error->message, words);
    }
    backend_cuda_facts(&facts);
    assert_null(facts.device);
}

static void a_plug_in_that_cannot_be_used_says_why(void **state)
{
    (void)state;
    struct error error = {""};
    struct cuda_plugin other = stand_in_plugin;
    other.version++;
    expect_not_open(backend_cuda_use(&other, &error), &error, "version 2, 1 expected");
    stand_in_faults.has_no_device = true;
    expect_not_open(backend_cuda_use(&stand_in_plugin, &error), &error, "there is no device");
    expect_not_open(backend_cuda_open("/nowhere/libnudge_cuda.so", &error), &error,
                    "cannot open shared object file");
    expect_not_open(backend_cuda_open("libm.so.6", &error), &error,
                    "libm.so.6: it has no nudge_cuda_plugin");
}

static void a_plug_in_is_opened_from_its_file(void **state)
{
    (void)state;
    static struct pair pair;
    struct error error = {""};
    struct cuda_facts facts;
    check_ok(backend_cuda_use(NULL, &error), &error);
    check_ok(backend_cuda_open(CUDA_STAND_IN, &error), &error);
    backend_cuda_facts(&facts);
    assert_string_equal(facts.device, "stand-in");
    read_network(&pair, "gru");
    load_both(&pair);
    compare(&pair, NULL, 300, "gru");
    release(&pair);
}

/* What is not required is had from the CPU, which is said. */
static void what_the_device_cannot_take_stays_on_the_cpu(void **state)
{
    (void)state;
    static struct pair pair;
    struct cuda_facts facts;
    backend_cuda_configure(false, 1);
    stand_in_faults.create = 1;
    read_network(&pair, "gru");
    load_both(&pair);
    compare(&pair, NULL, ROWS, "gru");
    release(&pair);
    backend_cuda_facts(&facts);
    assert_int_equal(facts.failures, 1);
    assert_int_equal(facts.rows, 0);
    assert_non_null(strstr(facts.failure, "out of memory"));
}

static void a_model_of_several_classes_stays_on_the_cpu(void **state)
{
    (void)state;
    static struct pair pair;
    struct cuda_facts facts;
    backend_cuda_configure(false, 1);
    read_trees(&pair, "xgb_classes.json");
    pair.body.output = (struct pack_trees_output){.count = 3, .chosen = 1, .is_softmax = true};
    pair.trees.classes = (struct pack_classes){.count = 3, .chosen = 1, .are_disjoint = true};
    load_both(&pair);
    compare(&pair, NULL, ROWS, "xgb_classes.json");
    static float values[2][ROWS * 3];
    struct model *const models[] = {pair.cpu, pair.gpu};
    for (int which = 0; which < 2; which++) {
        float logits[ROWS];
        struct error error;
        check_ok(model_score_classes(models[which], pair.rows, STRIDE, NULL, ROWS, logits,
                                     values[which], &error),
                 &error);
    }
    assert_memory_equal(values[0], values[1], sizeof(values[0]));
    release(&pair);
    backend_cuda_facts(&facts);
    assert_int_equal(facts.rows, 0);
    assert_non_null(strstr(facts.failure, "a model with 3 outputs; one expected"));
}

/* Where the device's speed is measured, no result depends on what was found. */
static void a_measured_model_scores_the_same(void **state)
{
    (void)state;
    static struct pair pair;
    backend_cuda_configure(false, 0);
    read_network(&pair, "lstm");
    load_both(&pair);
    compare(&pair, NULL, ROWS, "lstm");
    compare(&pair, NULL, 1, "lstm");
    release(&pair);
}

static void choose(int device, const struct model_pack *pack, const char *plugin, bool is_cuda,
                   const char *words)
{
    struct error error = {""};
    struct model_device_choice choice;
    struct model_device_options options = {.device = device,
                                           .cuda_plugin = (char *)(uintptr_t)plugin};
    check_ok(backend_cuda_use(NULL, &error), &error);
    check_ok(model_device_choose(&options, &pack, 1, &choice, &error), &error);
    assert_int_equal(choice.is_cuda, is_cuda);
    if (!strstr(choice.why, words)) {
        fail_msg("\"%s\", expected with \"%s\"", choice.why, words);
    }
}

static void the_device_is_chosen_and_it_is_said_why(void **state)
{
    (void)state;
    static struct pair pair;
    const struct model_pack linear = {.kind = &pack_kind_logistic};
    read_network(&pair, "gru");
    choose(MODEL_DEVICE_AUTO, pair.pack, CUDA_STAND_IN, true, "cuda: stand-in, found");
    choose(MODEL_DEVICE_CUDA, &linear, CUDA_STAND_IN, true, "models.device says so");
    choose(MODEL_DEVICE_CPU, pair.pack, CUDA_STAND_IN, false, "cpu: models.device says so");
    choose(MODEL_DEVICE_AUTO, &linear, CUDA_STAND_IN, false, "cpu: no trees or networks");
    choose(MODEL_DEVICE_AUTO, NULL, CUDA_STAND_IN, false, "cpu: no trees or networks");
    choose(MODEL_DEVICE_AUTO, pair.pack, "/nowhere.so", false, "cpu: /nowhere.so: cannot open");
    struct error error = {""};
    struct model_device_choice choice;
    const struct model_device_options options = {.device = MODEL_DEVICE_CUDA,
                                                 .cuda_plugin = (char *)(uintptr_t) "/nowhere.so"};
    const struct model_pack *pack = pair.pack;
    assert_int_equal(model_device_choose(&options, &pack, 1, &choice, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "models.device: cuda: /nowhere.so: cannot open"));
    release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_network_on_the_device_has_the_bits_of_the_cpu, open_device),
        cmocka_unit_test_setup(trees_on_the_device_have_the_bits_of_the_cpu, open_device),
        cmocka_unit_test_setup(a_device_that_fails_leaves_no_trace, open_stand_in),
        cmocka_unit_test_setup(small_batches_stay_on_the_cpu, open_device),
        cmocka_unit_test_setup(a_model_that_does_not_fit_or_differs_is_refused, open_stand_in),
        cmocka_unit_test_setup(what_the_device_cannot_take_stays_on_the_cpu, open_stand_in),
        cmocka_unit_test_setup(a_model_of_several_classes_stays_on_the_cpu, open_stand_in),
        cmocka_unit_test_setup(a_measured_model_scores_the_same, open_device),
        cmocka_unit_test_setup(the_device_is_chosen_and_it_is_said_why, open_stand_in),
        cmocka_unit_test_setup(a_plug_in_that_cannot_be_used_says_why, open_stand_in),
        cmocka_unit_test_setup(a_plug_in_is_opened_from_its_file, open_stand_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
