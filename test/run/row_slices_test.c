/* What rows are divided by: kinds of devices, words and their codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/run/device_kind.h"
#include "pipeline/run/row_slices.h"

/* Agents as their makers publish them. */
static void user_agents_name_their_kind_of_device(void **state)
{
    (void)state;
    static const struct {
        const char *agent, *kind;
    } rows[] = {
        {"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0",
         "desktop"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.1 Safari/605.1.15", "desktop"},
        {"Mozilla/5.0 (X11; Linux x86_64) Chrome/119.0.0.0 Safari/537.36", "desktop"},
        {"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/119.0.0.0 Safari/537.36", "desktop"},
        {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) Mobile/15E148", "mobile"},
        {"Mozilla/5.0 (Linux; Android 13; Pixel 7) Chrome/119.0 Mobile Safari/537.36", "mobile"},
        {"Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) Chrome/99.0 Mobile Safari/537.36",
         "mobile"},
        {"Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119", "mobile"},
        {"Mozilla/5.0 (iPad; CPU OS 16_5 like Mac OS X) Version/16.5 Mobile/15E148", "tablet"},
        {"Mozilla/5.0 (Linux; Android 13; SM-X700) Chrome/119.0.0.0 Safari/537.36", "tablet"},
        {"Mozilla/5.0 (Android 13; Tablet; rv:120.0) Gecko/120.0 Firefox/120.0", "tablet"},
        {"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) Version/6.0 TV Safari/538.1", "tv"},
        {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"},
        {"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) Mobile (compatible; bingbot/2.0)", "bot"},
        {"Mozilla/5.0 (Linux; CUBOT X) Mobile (compatible; AhrefsBot/7.0)", "bot"},
        {"Baiduspider+(+http://www.baidu.com/search/spider.htm)", "bot"},
        {"curl/7.88.1", "other"},
        {"BOT", "bot"},
        {"bo", "other"},
        {"", "other"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *kind = device_kind_of(text_of(rows[i].agent));
        if (strcmp(kind, rows[i].kind) != 0) {
            fail_msg("%s: %s, %s expected", rows[i].agent, kind, rows[i].kind);
        }
    }
}

struct scene {
    struct event_batch batch;
    struct row_slices slices;
};

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct error error;
    assert_int_equal(event_batch_init(&scene->batch, 2, &error), STATUS_OK);
    scene->slices.visitor_column = 1;
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    event_batch_release(&scene->batch);
    row_slices_release(&scene->slices);
    free(scene);
    return 0;
}

static void set(struct scene *scene, uint32_t row, enum event_field field, const char *word)
{
    scene->batch.text[field][row] = text_of(word);
    scene->batch.present[row] |= UINT64_C(1) << field;
}

static const char *word_of(struct scene *scene, uint32_t row, enum slice_dimension dimension)
{
    uint16_t codes[SLICE_DIMENSION_COUNT];
    struct error error;
    assert_int_equal(row_slices_of_event(&scene->slices, &scene->batch, row, codes, &error),
                     STATUS_OK);
    return row_slices_word(&scene->slices, dimension, codes[dimension]);
}

static void a_row_has_the_words_of_its_own_event(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"first", "rfm_return_s"};
    struct error error;
    assert_int_equal(row_slices_choose(&scene->slices, "attributes.band", true, names, 2, &error),
                     STATUS_OK);
    const struct attribute attributes[] = {{text_of("other"), text_of("a")},
                                           {text_of("band"), text_of("18-24")}};
    scene->slices.utc_offset_ms = -3600000;
    scene->batch.time_ms[0] = 0; /* Midnight, 23 by the clock of the shop. */
    scene->batch.time_ms[1] = 3600000;
    scene->batch.features[1] = NAN;
    scene->batch.features[scene->batch.feature_stride + 1] = 5;
    set(scene, 0, FIELD_CHANNEL, "app");
    set(scene, 1, FIELD_USER_AGENT, "Mozilla/5.0 (iPhone)");
    scene->batch.attributes[1] = (struct attribute_list){attributes, 2};
    scene->batch.present[1] |= UINT64_C(1) << FIELD_ATTRIBUTES;
    static const char *const expected[2][SLICE_DIMENSION_COUNT] = {
        {"app", "(missing)", "new", "23", "(missing)"},
        {"(missing)", "mobile", "returning", "00", "18-24"}};
    for (uint32_t row = 0; row < 2; row++) {
        for (int d = 0; d < SLICE_DIMENSION_COUNT; d++) {
            assert_string_equal(word_of(scene, row, (enum slice_dimension)d), expected[row][d]);
        }
    }
    assert_int_equal(scene->slices.entries.count, 1);
    assert_string_equal(scene->slices.entries.words[0], "other");
}

static void words_are_cut_between_characters_and_cleaned(void **state)
{
    struct scene *scene = *state;
    char word[80];
    memset(word, 'x', sizeof(word));
    memcpy(word + 63, "\xC3\xA4", 2); /* Of two bytes; the second is beyond the limit. */
    word[79] = '\0';
    set(scene, 0, FIELD_CHANNEL, word);
    assert_int_equal(strlen(word_of(scene, 0, SLICE_CHANNEL)), 63);
    word[78] = 'y'; /* Another word, though what is kept of it is the same. */
    set(scene, 1, FIELD_CHANNEL, word);
    (void)word_of(scene, 1, SLICE_CHANNEL);
    set(scene, 2, FIELD_CHANNEL, "\x1B[2Ja\nb");
    assert_string_equal(word_of(scene, 2, SLICE_CHANNEL), "?[2Ja?b");
    assert_int_equal(scene->slices.words[SLICE_CHANNEL].count, 3);
}

static void words_beyond_the_maximum_are_one_slice(void **state)
{
    struct scene *scene = *state;
    char word[16];
    for (uint32_t i = 0; i < SLICE_WORDS_MAX + 10; i++) {
        (void)snprintf(word, sizeof(word), "w%u", i);
        set(scene, 0, FIELD_CHANNEL, word);
        const char *expected = i < SLICE_WORDS_MAX ? word : "(other)";
        assert_string_equal(word_of(scene, 0, SLICE_CHANNEL), expected);
    }
    set(scene, 0, FIELD_CHANNEL, "w7"); /* An early one is still known. */
    assert_string_equal(word_of(scene, 0, SLICE_CHANNEL), "w7");
}

static void a_column_is_chosen_where_no_field_has_the_name(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"views", "shop"};
    struct error error;
    assert_int_equal(row_slices_choose(&scene->slices, "shop", true, names, 2, &error), STATUS_OK);
    assert_int_equal(scene->slices.source, SLICE_FROM_FIELD);
    assert_int_equal(row_slices_choose(&scene->slices, "shop", false, names, 2, &error), STATUS_OK);
    assert_int_equal(scene->slices.source, SLICE_FROM_COLUMN);
    assert_int_equal(scene->slices.column, 1);
    assert_int_equal(row_slices_choose(&scene->slices, "views", true, names, 2, &error), STATUS_OK);
    scene->batch.features[0] = 2.5F;
    assert_string_equal(word_of(scene, 0, SLICE_ATTRIBUTE), "2.5");
    scene->batch.features[0] = NAN;
    assert_string_equal(word_of(scene, 0, SLICE_ATTRIBUTE), "(missing)");
    assert_int_equal(row_slices_choose(&scene->slices, "attributes.x", false, names, 2, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "a column of the table"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_agents_name_their_kind_of_device),
        cmocka_unit_test_setup_teardown(a_row_has_the_words_of_its_own_event, setup, teardown),
        cmocka_unit_test_setup_teardown(words_are_cut_between_characters_and_cleaned, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(words_beyond_the_maximum_are_one_slice, setup, teardown),
        cmocka_unit_test_setup_teardown(a_column_is_chosen_where_no_field_has_the_name, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
