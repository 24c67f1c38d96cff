#include "test/fakes/rule_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/fuzz/expression_random.h"

/* ---- A stage that stands for all before ---- */

static uint32_t explain_score(void *context, const struct event_batch *batch, uint32_t row,
                              struct contribution *terms, uint32_t max)
{
    static const char *const names[] = {"a", "b", "c", "intercept", "d", "e", "f", "g"};
    (void)context;
    float logit = batch->score_logit[SCORE_FRAUD][row];
    float sum = 0;
    assert_true(max >= 8);
    for (int i = 0; i < 8; i++) {
        float part = i == 7 ? logit - sum : (i % 2 ? -0.25f : 0.5f) * (float)(i + 1);
        terms[i] = (struct contribution){names[i], (float)i, part};
        sum += part;
    }
    return 8;
}

struct fake_part {
    int64_t last_ms;
    uint64_t place;
};
static uint32_t fake_offset;

static enum status fake_process(struct stage *stage, struct event_batch *batch, struct error *error)
{
    (void)stage;
    (void)error;
    for (uint32_t i = 0; i < batch->row_count; i++) {
        uint32_t row = batch->order[i];
        if (batch->state[row] != ROW_LIVE) {
            continue;
        }
        struct record *record = batch->record[ENTITY_USER][row];
        bool is_event = batch->kind[row] == ROW_EVENT;
        batch->session_id[row] = 77;
        batch->session_flags[row] = 0;
        struct fake_part *kept = record_part_at(record, fake_offset);
        if (is_event) {
            kept->last_ms = batch->time_ms[row];
            kept->place = batch->place[row];
            record_set_timer(record, TIMER_SESSIONIZE, batch->time_ms[row] + GAP_MS,
                             batch->watermark_ms[row], batch->timer_floor_ms);
        } else if (batch->timer_slot[row] == TIMER_SESSIONIZE) {
            if (record->timer_ms[TIMER_SESSIONIZE] != batch->time_ms[row]) {
                batch->state[row] = ROW_VOID;
                continue;
            }
            record->timer_ms[TIMER_SESSIONIZE] = TIMER_NONE;
            batch->session_flags[row] = SESSION_ENDED;
            batch->session_last_ms[row] = kept->last_ms;
        }
        batch->session_cause[row] = kept->place;
        float price = is_event && event_has(batch, row, FIELD_PRICE)
                          ? (float)((double)batch->price[row] / 1e6)
                          : 0.0f;
        for (uint32_t k = 0; k < batch->feature_count; k++) {
            batch->features[(size_t)row * batch->feature_stride + k] = price + (float)k;
        }
        for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
            batch->score[kind][row] = is_event ? price / 100 : NAN;
            batch->score_logit[kind][row] = is_event ? price / 50 - 1 : NAN;
        }
        for (int part = 0; part < FRAUD_PART_COUNT; part++) {
            batch->fraud_logit[part][row] = NAN;
        }
    }
    batch->explainer[SCORE_FRAUD] =
        (struct score_explainer){.explain = explain_score, .version = "fake 1"};
    return STATUS_OK;
}

static void fake_destroy(struct stage *stage)
{
    (void)stage;
}

static const struct stage_ops fake_ops = {.process = fake_process, .destroy = fake_destroy};

/* ---- A run: rules, events, and what came out ---- */

static const enum topic watched[RUN_TOPICS] = {TOPIC_ALERTS, TOPIC_PROMOTIONS, TOPIC_DECISIONS};

static void collect(void *context, const struct event_batch *batch)
{
    struct rule_run *run = context;
    for (int k = 0; k < RUN_TOPICS; k++) {
        for (uint64_t i = 0; i < output_batch_count(batch->outputs, watched[k]); i++) {
            struct output_record record = output_batch_get(batch->outputs, watched[k], i);
            if (run->length[k] + record.length + 2 > run->room[k]) {
                run->room[k] = 2 * (run->room[k] + record.length + 2);
                run->bytes[k] = realloc(run->bytes[k], run->room[k]);
                assert_non_null(run->bytes[k]);
            }
            memcpy(run->bytes[k] + run->length[k], record.bytes, record.length);
            run->length[k] += record.length;
            run->bytes[k][run->length[k]++] = '\n';
            run->bytes[k][run->length[k]] = '\0';
            run->count[k]++;
        }
    }
}

void rule_run_start(struct rule_run *run, const struct rule_run_options *options)
{
    struct yaml_document *document = NULL;
    struct error error = {""};
    *run = (struct rule_run){.fake = {&fake_ops}};
    char *field = (char *)options->fields;
    assert_int_equal(yaml_parse("rules", options->rules, strlen(options->rules), &document, &error),
                     STATUS_OK);
    struct emit_interventions_options settings = {.rules = yaml_root(document),
                                                  .fields = {&field, field ? 1 : 0}};
    if (emit_interventions_rules(&settings, NULL, &random_feature_set, NULL, &run->set, &error) !=
        STATUS_OK) {
        print_error("%s\n", error.message);
        fail();
    }
    const struct record_part part = {.name = "fake",
                                     .id = PART_SESSIONIZE,
                                     .version = 1,
                                     .kind = ENTITY_USER,
                                     .bytes = sizeof(struct fake_part)};
    assert_int_equal(record_layout_add(&run->layout, &part, &fake_offset, &error), STATUS_OK);
    struct emit_interventions_context context = {
        .partition = "p0",
        .partition_count = options->partition_count ? options->partition_count : 1,
        .configuration = 5,
        .numeric_profile = "test profile"};
    assert_int_equal(emit_interventions_create(&settings, run->set, &random_feature_set, &context,
                                               &run->layout, &run->stage, &error),
                     STATUS_OK);
    yaml_unload(document);
    int64_t floor_ms = emit_interventions_timer_floor_ms(run->set);
    run->fixture = stage_fixture_create(
        &(struct stage_fixture_options){.layout = &run->layout,
                                        .stages = {&run->fake, run->stage},
                                        .lateness_ms = options->lateness_ms,
                                        .floor_ms = floor_ms < GAP_MS ? floor_ms : GAP_MS,
                                        .cut_seed = options->cut_seed,
                                        .feature_count = RANDOM_FEATURES,
                                        .visit = collect,
                                        .context = run});
}

void rule_run_end(struct rule_run *run)
{
    stage_fixture_destroy(run->fixture);
    stage_destroy(run->stage);
    rule_set_destroy(run->set);
    for (int k = 0; k < RUN_TOPICS; k++) {
        free(run->bytes[k]);
    }
}

void rule_run_events(struct rule_run *run, const char *rules, const struct fixture_event *events,
                     uint32_t count)
{
    rule_run_start(run, &(struct rule_run_options){.rules = rules});
    stage_fixture_run(run->fixture, events, count);
    stage_fixture_drain(run->fixture);
}

uint32_t rule_run_count_of(const char *text, const char *piece)
{
    uint32_t count = 0;
    for (const char *at = text; at && (at = strstr(at, piece)); at++) {
        count++;
    }
    return count;
}

void rule_run_assert_has(const char *text, const char *piece)
{
    if (!text || !strstr(text, piece)) {
        print_error("missing: %s\nin: %s\n", piece, text ? text : "(nothing)");
        fail();
    }
}
