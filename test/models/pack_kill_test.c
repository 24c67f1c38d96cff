/* A process that is killed while it writes packs, at moments all over the writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "models/model_pack.h"
#include "models/pack_writer.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define FEATURES 400u /* So that a pack is more than one write. */
#define KILLS_WANTED 20u
#define KILLS_MAX 3000u
#define DELAY_MAX_US 4000u

/* Weights of value `version`: a pack of two halves would show. */
static enum status write_pack(const char *directory, unsigned version, struct error *error)
{
    static struct pack_feature features[FEATURES];
    static char names[FEATURES][16];
    static float values[FEATURES];
    static uint32_t columns[FEATURES];
    char number[16];
    for (uint32_t i = 0; i < FEATURES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%u_of_%u", i, version);
        features[i] = (struct pack_feature){names[i], TRANSFORM_NONE, 0.0f, 1.0f, 5.0f};
        values[i] = (float)version;
        columns[i] = i;
    }
    (void)snprintf(number, sizeof(number), "%u", version);
    struct logistic_fit fit = {.feature_count = FEATURES,
                               .columns = columns,
                               .features = features,
                               .weights = values,
                               .missing = values,
                               .calibration = {.slope = 1.0f},
                               .threshold = 0.5f};
    struct pack_quantiles population = {values, values, values};
    struct pack_text text = {.name = "killed",
                             .version = number,
                             .target = "purchase_in_session",
                             .seed = "1",
                             .training = "  gap: 5ms\n"};
    return pack_write(directory, &text, &fit, &population, error);
}

/* Writes versions 1, 2 ... until it is killed. */
static _Noreturn void write_for_ever(const char *directory)
{
    for (unsigned version = 1;; version++) {
        struct error error;
        if (write_pack(directory, version, &error) != STATUS_OK) {
            _exit(1);
        }
    }
}

static void kill_a_writer(const char *directory, uint32_t delay_us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        write_for_ever(directory);
    }
    struct timespec delay = {0, (long)delay_us * 1000};
    while (nanosleep(&delay, &delay) != 0 && errno == EINTR) {
    }
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status)); /* It did not end by itself: no write has failed. */
}

static void check_whole(const char *directory)
{
    struct model_pack *pack;
    struct error error;
    if (model_pack_load(directory, &pack, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    char name[16];
    (void)snprintf(name, sizeof(name), "f0_of_%s", pack->version);
    assert_string_equal(pack->features[0].name, name);
    assert_int_equal(pack->feature_count, FEATURES);
    for (uint32_t i = 0; i < FEATURES; i++) {
        assert_true(pack->p50[i] == (float)atoi(pack->version));
    }
    model_pack_unload(pack);
}

static void a_writer_that_is_killed_at_any_moment_leaves_a_whole_pack_or_none(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[4096];
    char made[4096];
    struct random random = {5};
    uint32_t in_the_middle = 0;
    uint32_t from_nothing = 0;
    (void)snprintf(path, sizeof(path), "%s/pack", directory);
    (void)snprintf(made, sizeof(made), "%s/pack.being-written", directory);
    for (uint32_t i = 0; i < KILLS_MAX && (in_the_middle < KILLS_WANTED || from_nothing == 0);
         i++) {
        kill_a_writer(path, (uint32_t)(random_next(&random) % DELAY_MAX_US));
        in_the_middle += access(made, F_OK) == 0;
        if (access(path, F_OK) == 0) {
            check_whole(path);
            fixture_remove(path);
        } else {
            from_nothing += access(made, F_OK) == 0;
        }
    }
    assert_true(in_the_middle >= KILLS_WANTED && from_nothing > 0);
    struct error error;
    assert_int_equal(write_pack(path, 7, &error), STATUS_OK); /* What was left is no hindrance. */
    check_whole(path);
    assert_int_not_equal(access(made, F_OK), 0);
    fixture_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_writer_that_is_killed_at_any_moment_leaves_a_whole_pack_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
