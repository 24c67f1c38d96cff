#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/pack_logistic.h"
#include "models/pack_writer.h"
#include "test/fakes/fixture.h"

#define FEATURES 3u

static char *words(const char *text)
{
    return (char *)(uintptr_t)text;
}

static struct logistic_fit make_fit(void)
{
    static struct pack_feature features[FEATURES];
    static float weights[FEATURES] = {0.5f, -1.25f, 1e-3f};
    static float missing[FEATURES] = {0.0f, 0.75f, 0.0f};
    static uint32_t columns[FEATURES] = {0, 1, 2};
    features[0] = (struct pack_feature){words("cart_value"), TRANSFORM_OCTAVES, 1.5f, 2.0f, 5.0f};
    features[1] = (struct pack_feature){words("session_events"), TRANSFORM_NONE, 3.1f, 0.3f, 5.0f};
    features[2] = (struct pack_feature){words("gap_last_s"), TRANSFORM_LOG1P, 0.0f, 1.0f, 8.0f};
    return (struct logistic_fit){
        .feature_count = FEATURES,
        .columns = columns,
        .features = features,
        .weights = weights,
        .missing = missing,
        .bias = -2.5f,
        .calibration = {.slope = 1.125f, .offset = 0.0625f},
        .threshold = 0.375f,
    };
}

static enum status write_pack(const char *directory, const char *version, struct error *error)
{
    static const float quantiles[FEATURES] = {1, 2, 3};
    struct logistic_fit fit = make_fit();
    struct pack_quantiles population = {quantiles, quantiles, quantiles};
    struct pack_text text = {.name = "a \"name\"\\",
                             .version = version,
                             .target = "purchase_in_session",
                             .seed = "1",
                             .training = "  gap: 5ms\n"};
    return pack_write(directory, &text, &fit, &population, error);
}

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

static void path_below(const char *directory, const char *name, char *ret_path, size_t size)
{
    (void)snprintf(ret_path, size, "%s/%s", directory, name);
}

static void what_was_written_is_read_back(void **state)
{
    char path[4096];
    struct error error;
    path_below(*state, "deep/in/pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "7", &error), STATUS_OK);
    struct model_pack *pack;
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_OK);
    struct logistic_fit fit = make_fit();
    assert_string_equal(pack->name, "a \"name\"\\");
    assert_string_equal(pack->version, "7");
    assert_int_equal(pack->feature_count, FEATURES);
    for (uint32_t i = 0; i < FEATURES; i++) {
        assert_string_equal(pack->features[i].name, fit.features[i].name);
        assert_int_equal(pack->features[i].transform, fit.features[i].transform);
        assert_true(pack->features[i].mean == fit.features[i].mean);
        assert_true(pack->features[i].scale == fit.features[i].scale);
        assert_true(pack->features[i].limit == fit.features[i].limit);
    }
    assert_memory_equal(pack_logistic_of(pack)->weights, fit.weights, sizeof(float) * FEATURES);
    assert_memory_equal(pack_logistic_of(pack)->missing, fit.missing, sizeof(float) * FEATURES);
    assert_true(pack_logistic_of(pack)->bias == fit.bias);
    assert_true(pack->calibration.slope == fit.calibration.slope &&
                pack->calibration.offset == fit.calibration.offset);
    assert_true(pack->threshold == fit.threshold);
    assert_true(pack->p999[2] == 3.0f);
    model_pack_unload(pack);
}

static void a_pack_takes_the_place_of_another_whole(void **state)
{
    char path[4096];
    char beside[4096];
    struct error error;
    path_below(*state, "pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
    assert_int_equal(write_pack(path, "2", &error), STATUS_OK);
    struct model_pack *pack;
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_OK);
    assert_string_equal(pack->version, "2");
    model_pack_unload(pack);
    static const char *const leftovers[] = {"pack.being-written", "pack.being-replaced"};
    for (size_t i = 0; i < 2; i++) {
        path_below(*state, leftovers[i], beside, sizeof(beside));
        assert_int_not_equal(access(beside, F_OK), 0);
    }
}

static void a_refused_write_leaves_the_old_pack(void **state)
{
    char path[4096];
    char in_the_way[4096];
    struct error error;
    path_below(*state, "pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
    path_below(*state, "pack.being-written", in_the_way, sizeof(in_the_way));
    FILE *file = fopen(in_the_way, "w"); /* A file where the new folder would be made. */
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(write_pack(path, "2", &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "pack.being-written"));
    struct model_pack *pack;
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_OK);
    assert_string_equal(pack->version, "1");
    model_pack_unload(pack);
}

static void put_notes(const char *directory, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s/notes.txt", directory, folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void what_is_no_pack_is_not_replaced(void **state)
{
    static const char *const folders[] = {"pack", "mine"};
    char path[4096];
    struct error error;
    for (int i = 0; i < 2; i++) {
        path_below(*state, folders[i], path, sizeof(path));
        assert_int_equal(mkdir(path, 0777), 0);
        if (i == 0) { /* An empty folder may become a pack. */
            assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
        }
        put_notes(*state, folders[i]);
        assert_int_equal(pack_write_check(path, &error), STATUS_INVALID);
        assert_int_equal(write_pack(path, "2", &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, path));
        assert_non_null(strstr(error.message, "notes.txt"));
    }
    path_below(*state, "mine/notes.txt", path, sizeof(path));
    assert_int_equal(write_pack(path, "2", &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "a file stands there"));
    path_below(*state, "mine/notes.txt/pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "2", &error), STATUS_FATAL);
    path_below(*state, "pack/notes.txt", path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0);
}

static void write_bytes(const char *directory, const char *name, const void *bytes, size_t length)
{
    char path[4096];
    path_below(directory, name, path, sizeof(path));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_weights(const char *directory, const char *header, const float *data,
                          size_t data_bytes)
{
    unsigned char bytes[4096];
    uint64_t length = (strlen(header) + 7) & ~(uint64_t)7;
    memset(bytes, ' ', sizeof(bytes));
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, strlen(header));
    memcpy(bytes + 8 + length, data, data_bytes);
    write_bytes(directory, "weights.safetensors", bytes, 8 + (size_t)length + data_bytes);
}

#define GOOD_FEATURES "features: [{name: cart_value}, {name: gap_last_s}]\n"
#define HEAD "format: 1\nkind: logistic\nname: x\nversion: 1\n"
#define GOOD_WEIGHTS                                                                               \
    "{\"weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"                        \
    "\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}"

static void weights_that_are_too_many_or_no_file_are_refused_unread(void **state)
{
    char path[4096];
    struct error error;
    struct model_pack *pack;
    path_below(*state, "pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
    char weights[4096];
    path_below(*state, "pack/weights.safetensors", weights, sizeof(weights));
    struct stat found;
    assert_int_equal(stat(weights, &found), 0);
    assert_int_equal(truncate(weights, found.st_size + 8), 0);
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "of which its tensors are no more than"));
    assert_int_equal(truncate(weights, (off_t)1 << 31), 0); /* A hole: no disk is filled. */
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "weights.safetensors: 2147483648 bytes; "));
    assert_int_equal(unlink(weights), 0);
    assert_int_equal(mkdir(weights, 0777), 0);
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "weights.safetensors: a file expected"));
}

static void refuses_by_name_what_is_wrong(void **state)
{
    static const float good[] = {1, 2, 3, 4};
    static const float broken[] = {1, NAN, 3, 4};
    const struct {
        const char *manifest, *header;
        const float *data;
        const char *complaint; /* NULL: accepted. */
    } table[] = {
        {HEAD GOOD_FEATURES, GOOD_WEIGHTS, good, NULL},
        {"format: 2\n" GOOD_FEATURES, GOOD_WEIGHTS, good, "manifest.yaml:1: format"},
        {HEAD "colour: red\n" GOOD_FEATURES, GOOD_WEIGHTS, good, "colour"},
        {"format: 1\nkind: logistik\nname: x\nversion: 1\n" GOOD_FEATURES, GOOD_WEIGHTS, good,
         "logistic expected"},
        {HEAD, GOOD_WEIGHTS, good, "features"},
        {HEAD "features: [{name: a}, {name: a}]\n", GOOD_WEIGHTS, good,
         "feature a stands here twice"},
        {HEAD "features: [{name: a, scale: 0}, {name: b}]\n", GOOD_WEIGHTS, good, "scale"},
        {HEAD "features: [{name: a, limit: -1}, {name: b}]\n", GOOD_WEIGHTS, good, "limit"},
        {HEAD "features: [{name: a, transform: cube}, {name: b}]\n", GOOD_WEIGHTS, good, "cube"},
        {HEAD "features: [{name: a, maen: 0}, {name: b}]\n", GOOD_WEIGHTS, good, "maen"},
        {HEAD "features: [{name: a}]\n", GOOD_WEIGHTS, good, "tensor weight: 2 values, 1 expected"},
        {HEAD GOOD_FEATURES, GOOD_WEIGHTS, broken, "tensor weight: a value that is not finite"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", good,
         "tensor bias is missing"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", good,
         "tensor weight: dtype F32 expected"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4000]}}", good,
         "tensor weight: data_offsets"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", good,
         "tensor weight: shape"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F32\",\"shape\":[2000000000,2000000000],"
         "\"data_offsets\":[0,8]}}",
         good, "tensor weight: shape"},
        {HEAD GOOD_FEATURES,
         "{\"weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         good, "overlap"},
        {HEAD GOOD_FEATURES, "[1, 2]", good, "header"},
        {HEAD GOOD_FEATURES, "{\"weight\":", good, "weights.safetensors"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        write_bytes(*state, "manifest.yaml", table[i].manifest, strlen(table[i].manifest));
        write_weights(*state, table[i].header, table[i].data,
                      strstr(table[i].header, "bias") ? 12 : 8);
        struct model_pack *pack = NULL;
        struct error error = {"accepted"};
        enum status status = model_pack_load(*state, &pack, &error);
        model_pack_unload(pack);
        bool is_right = table[i].complaint
                            ? status == STATUS_INVALID && strstr(error.message, table[i].complaint)
                            : status == STATUS_OK;
        if (!is_right) {
            fail_msg("row %zu: \"%s\", %s expected", i, error.message,
                     table[i].complaint ? table[i].complaint : "success");
        }
    }
}

static void refuses_files_that_are_cut_anywhere(void **state)
{
    char path[4096];
    struct error error;
    path_below(*state, "pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
    char weights[8192];
    path_below(path, "weights.safetensors", weights, sizeof(weights));
    FILE *file = fopen(weights, "rb");
    assert_non_null(file);
    unsigned char bytes[4096];
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    for (size_t kept = 0; kept < length; kept++) {
        write_bytes(path, "weights.safetensors", bytes, kept);
        struct model_pack *pack = NULL;
        if (model_pack_load(path, &pack, &error) == STATUS_OK) {
            fail_msg("%zu of %zu bytes were accepted", kept, length);
        }
    }
}

static void a_folder_in_place_of_a_file_is_refused(void **state)
{
    char path[4096];
    struct error error;
    struct model_pack *pack;
    path_below(*state, "manifest.yaml", path, sizeof(path));
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(model_pack_load(*state, &pack, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "manifest.yaml"));
}

static void a_feature_that_is_not_there_is_named_with_the_nearest(void **state)
{
    char path[4096];
    struct error error;
    path_below(*state, "pack", path, sizeof(path));
    assert_int_equal(write_pack(path, "1", &error), STATUS_OK);
    struct model_pack *pack;
    assert_int_equal(model_pack_load(path, &pack, &error), STATUS_OK);
    static const char *const names[] = {"gap_last_s", "cart_value", "session_event"};
    uint32_t columns[FEATURES];
    assert_int_equal(model_pack_match(pack, names, 3, columns, &error), STATUS_INVALID);
    assert_non_null(
        strstr(error.message, "no feature session_events; did you mean session_event?"));
    static const char *const right[] = {"gap_last_s", "other", "session_events", "cart_value"};
    assert_int_equal(model_pack_match(pack, right, 4, columns, &error), STATUS_OK);
    assert_int_equal(columns[0], 3);
    assert_int_equal(columns[1], 2);
    assert_int_equal(columns[2], 0);
    model_pack_unload(pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pack_takes_the_place_of_another_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_write_leaves_the_old_pack, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_pack_is_not_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(weights_that_are_too_many_or_no_file_are_refused_unread,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_by_name_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_files_that_are_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_in_place_of_a_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_feature_that_is_not_there_is_named_with_the_nearest,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
