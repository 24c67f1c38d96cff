/*
 * extract_features against test/oracle/features_oracle.py, which computes every value anew from the
 * definitions: random streams with late events, duplicates, labels, timers and entities, and a real
 * shop's clickstream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "operators/extract_features.h"
#include "operators/feature_funnel.h"
#include "operators/feature_table.h"
#include "operators/sessionize.h"
#include "pipeline/event/event_batch.h"
#include "test/fakes/fixture.h"
#include "test/fakes/session_columns.h"
#include "test/fakes/stage_fixture.h"

#define ORACLE "test/oracle/features_oracle.py"
#define COLUMNS                                                                                    \
    "kind\ttime\ttype\tuser\tuser_hash\tsession\tflags\tsession_start\tsession_events\titem\t"     \
    "category\tdevice\taddress\tcard\tterminal\tprice\tpieces\tbad_label\tlive\treferred"

/* A table of order 3 of steps drawn at random, most of them of a few types. */
static void draw_markov(struct markov *ret_markov)
{
    static struct markov common;
    struct markov_counts counts;
    uint64_t random = 3;
    funnel_default_markov(&common);
    assert_true(markov_counts_init(&counts, EVENT_TYPE_COUNT));
    for (uint32_t session = 0; session < 1500; session++) {
        struct markov_history history = {{0}};
        for (uint32_t drawn = 1; drawn % 8 != 0;) {
            drawn = (uint32_t)(fixture_random(&random) % 64);
            uint32_t type = drawn < 56 ? drawn % 8 : drawn % EVENT_TYPE_COUNT;
            if (history.last[0] > 0) {
                markov_counts_add(&counts, &history, drawn % 8 ? type : EVENT_TYPE_COUNT, 1);
            }
            markov_history_add(&history, type);
        }
    }
    assert_true(markov_fit(&counts, &common, 5, 3, ret_markov));
    markov_counts_release(&counts);
    assert_true(ret_markov->context_count > 100);
}

static void write_markov(FILE *out, const struct markov *markov)
{
    for (uint32_t from = 0; from < EVENT_TYPE_COUNT + markov->context_count; from++) {
        if (from < EVENT_TYPE_COUNT) {
            (void)fprintf(out, "markov\t%s", event_types[from].name);
        } else {
            const struct markov_context *context = &markov->contexts[from - EVENT_TYPE_COUNT];
            for (uint32_t i = context->length; i-- > 0;) {
                uint8_t event = context->last[i];
                (void)fprintf(out, "%s%s", i + 1u == context->length ? "markov\t" : ">",
                              event == MARKOV_START ? "start" : event_types[event - 1].name);
            }
        }
        (void)fprintf(out, "\t%.17g", markov->leave[from]);
        for (int to = 0; to < EVENT_TYPE_COUNT; to++) {
            (void)fprintf(out, "\t%.17g", markov->step[from][to]);
        }
        (void)fprintf(out, "\n");
    }
}

static void write_head(FILE *out, const struct extract_features_options *options,
                       const struct markov *markov)
{
    (void)fprintf(out, "option\tcart_lifetime_ms\t%" PRId64 "\n", options->cart_lifetime_ms);
    (void)fprintf(out, "option\tutc_offset_minutes\t%" PRId64 "\n", options->utc_offset_minutes);
    (void)fprintf(out, "option\tentities\tdevice card terminal address\n");
    write_markov(out, markov);
    (void)fprintf(out, "units");
    for (int i = 0; i < FEATURE_COUNT; i++) {
        (void)fprintf(out, "\t%s", feature_table[i].unit);
    }
    (void)fprintf(out, "\ncolumns\t" COLUMNS);
    for (int i = 0; i < FEATURE_COUNT; i++) {
        (void)fprintf(out, "\tf:%s", feature_table[i].name);
    }
    (void)fprintf(out, "\n");
}

static bool is_bad(const struct event_batch *batch, uint32_t row)
{
    struct text value = batch->text[FIELD_LABEL_VALUE][row];
    return batch->type[row] == EVENT_LABEL && event_has(batch, row, FIELD_LABEL_VALUE) &&
           (text_is(value, "fraud") || text_is(value, "chargeback"));
}

static void write_row(FILE *out, const struct event_batch *batch, uint32_t row)
{
    bool is_event = batch->kind[row] == ROW_EVENT;
    struct key128 key = batch->user_key[row];
    char hex[33];
    key128_format(key, hex);
    (void)fprintf(out, "row\t%d\t%" PRId64 "\t%s\t%s\t%" PRIu64, batch->kind[row],
                  batch->time_ms[row], is_event ? event_types[batch->type[row]].name : "", hex,
                  key.high ^ key.low);
    (void)fprintf(out, "\t%" PRIu64 "\t%d\t%" PRId64 "\t%u", batch->session_id[row],
                  is_event ? batch->session_flags[row] : 0, batch->session_start_ms[row],
                  batch->session_event_count[row]);
    static const enum hashed_field fields[] = {HASH_ITEM,    HASH_CATEGORY, HASH_DEVICE,
                                               HASH_ADDRESS, HASH_CARD,     HASH_TERMINAL};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        (void)fprintf(out, "\t%" PRIu64, is_event ? batch->hash[fields[i]][row] : 0);
    }
    if (is_event && event_has(batch, row, FIELD_PRICE)) {
        (void)fprintf(out, "\t%" PRId64, batch->price[row]);
    } else {
        (void)fprintf(out, "\t");
    }
    bool has_quantity = is_event && event_has(batch, row, FIELD_QUANTITY);
    (void)fprintf(out, "\t%" PRId64 "\t%d\t%d\t%d", has_quantity ? batch->quantity[row] : 1,
                  is_event && is_bad(batch, row), batch->state[row] == ROW_LIVE,
                  is_event && event_has(batch, row, FIELD_REFERRER));
    for (int i = 0; i < FEATURE_COUNT; i++) {
        float value = batch->features[(size_t)row * batch->feature_stride + (size_t)i];
        (void)fprintf(out, "\t%.9g", (double)value);
    }
    (void)fprintf(out, "\n");
}

static void write_rows(void *context, const struct event_batch *batch)
{
    for (uint32_t i = 0; i < batch->row_count; i++) {
        if (batch->state[batch->order[i]] == ROW_LIVE) {
            write_row(context, batch, batch->order[i]);
        }
    }
}

/* One line of the oracle's stream; its words stay in `line`. */
static struct fixture_event read_event(char *line)
{
    enum {
        USER,
        TIME,
        TYPE,
        ID,
        ITEM,
        CATEGORY,
        PRICE,
        QUANTITY,
        DEVICE,
        CARD,
        TERMINAL,
        ADDRESS,
        REFERRER,
        TEXT,
        WORD_COUNT
    };
    const char *words[WORD_COUNT] = {NULL};
    line[strcspn(line, "\n")] = '\0';
    for (int i = 0; i < WORD_COUNT && line; i++) {
        char *end = strchr(line, '\t');
        if (end) {
            *end = '\0';
        }
        words[i] = *line ? line : NULL;
        line = end ? end + 1 : NULL;
    }
    return (struct fixture_event){
        .user = words[USER],
        .time_ms = words[TIME] ? strtoll(words[TIME], NULL, 10) : 0,
        .type = event_type_of(text_of(words[TYPE] ? words[TYPE] : "")),
        .id = words[ID],
        .item = words[ITEM],
        .category = words[CATEGORY],
        .price = words[PRICE] ? strtoll(words[PRICE], NULL, 10) : 0,
        .quantity = words[QUANTITY] ? strtoll(words[QUANTITY], NULL, 10) : 0,
        .device = words[DEVICE],
        .card = words[CARD],
        .terminal = words[TERMINAL],
        .address = words[ADDRESS],
        .referrer = words[REFERRER],
        .query = words[TEXT],
    };
}

struct stream {
    char *lines[8192];
    struct fixture_event events[8192];
    uint32_t count;
};

static struct stream *stream_load(const char *path)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    FILE *in = fopen(path, "r");
    assert_true(stream && in);
    size_t capacity = 0;
    while (stream->count < 8192 && getline(&stream->lines[stream->count], &capacity, in) > 0) {
        stream->events[stream->count] = read_event(stream->lines[stream->count]);
        stream->count++;
        capacity = 0;
    }
    free(stream->lines[stream->count]);
    assert_int_equal(fclose(in), 0);
    assert_true(stream->count > 1000);
    return stream;
}

static void stream_free(struct stream *stream)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        free(stream->lines[i]);
    }
    free(stream);
}

/* The stage that writes the session columns: the real one, or one that reaches every flag. */
static struct stage *sessions_create(bool is_real, struct record_layout *layout)
{
    if (!is_real) {
        return session_columns_create(layout);
    }
    struct stage *sessions = NULL;
    struct sessionize_options options;
    assert_int_equal(settings_read(&sessionize_section, NULL, &options, NULL), STATUS_OK);
    assert_int_equal(sessionize_create(&options, layout, &sessions, NULL), STATUS_OK);
    settings_release(&sessionize_section, &options);
    return sessions;
}

static void run_stream(const struct stream *stream, int64_t utc_offset_minutes,
                       bool with_sessionize, const struct markov *markov, const char *path)
{
    static struct markov common;
    funnel_default_markov(&common);
    char *bad[] = {(char *)"fraud", (char *)"chargeback"};
    const uint32_t entities =
        1u << ENTITY_DEVICE | 1u << ENTITY_CARD | 1u << ENTITY_TERMINAL | 1u << ENTITY_ADDRESS;
    struct extract_features_options options = {.cart_lifetime_ms = INT64_C(5400000),
                                               .utc_offset_minutes = utc_offset_minutes,
                                               .bad_labels = {bad, 2},
                                               .entity_mask = entities};
    struct record_layout layout = {0};
    struct stage *sessions = sessions_create(with_sessionize, &layout), *features = NULL;
    assert_int_equal(extract_features_create(&options, markov, &layout, &features, NULL),
                     STATUS_OK);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    write_head(out, &options, markov ? markov : &common);
    struct stage_fixture *fixture =
        stage_fixture_create(&(struct stage_fixture_options){.layout = &layout,
                                                             .stages = {sessions, features},
                                                             .floor_ms = 60000,
                                                             .lateness_ms = 5000,
                                                             .cut_seed = 7,
                                                             .feature_count = FEATURE_COUNT,
                                                             .visit = write_rows,
                                                             .context = out});
    stage_fixture_run(fixture, stream->events, stream->count);
    stage_fixture_drain(fixture);
    stage_fixture_destroy(fixture);
    stage_destroy(features);
    stage_destroy(sessions);
    assert_int_equal(fclose(out), 0);
}

/* Runs the oracle with two or three arguments; its exit code as system() gives it. */
static int run_oracle(const char *verb, const char *first, const char *second)
{
    char command[16384];
    int length = snprintf(command, sizeof(command), "python3 " ORACLE " %s '%s' %s%s%s", verb,
                          first, second ? "'" : "", second ? second : "", second ? "'" : "");
    assert_true(length > 0 && (size_t)length < sizeof(command));
    (void)fflush(stdout);
    return system(command);
}

static void compare_stream(const char *name, int64_t utc_offset_minutes, bool with_sessionize,
                           const struct markov *markov)
{
    char *directory = fixture_directory();
    char events[4096], rows[4096];
    (void)snprintf(events, sizeof(events), "%s/events.tsv", directory);
    (void)snprintf(rows, sizeof(rows), "%s/rows.tsv", directory);
    assert_int_equal(run_oracle("make", name, events), 0);
    struct stream *stream = stream_load(events);
    run_stream(stream, utc_offset_minutes, with_sessionize, markov, rows);
    stream_free(stream);
    int rc = run_oracle("compare", rows, NULL);
    if (rc == 0) {
        fixture_remove(directory);
    }
    free(directory);
    assert_int_equal(rc, 0);
}

static void agrees_with_the_oracle_on_random_streams(void **state)
{
    (void)state;
    static struct markov drawn;
    draw_markov(&drawn);
    compare_stream("random:1", 0, false, NULL);
    compare_stream("random:2", 210, false, &drawn);
    compare_stream("random:3", -300, true, &drawn);
}

static void agrees_with_the_oracle_on_a_real_clickstream(void **state)
{
    (void)state;
    const char *folder = getenv("NUDGE_DATA");
    char path[4096], stream[4200];
    (void)snprintf(path, sizeof(path), "%s/rees46/2019-10-01_until_0230.csv.gz",
                   folder ? folder : "../shared/data");
    if (access(path, R_OK) != 0) {
        assert_null(getenv("CI"));
        print_message("skipped: %s is missing\n", path);
        skip();
    }
    (void)snprintf(stream, sizeof(stream), "shop:%s", path);
    compare_stream(stream, 0, true, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_oracle_on_random_streams),
        cmocka_unit_test(agrees_with_the_oracle_on_a_real_clickstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
