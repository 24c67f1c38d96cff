#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "operators/extract_features.h"
#include "pipeline/commands/explain.h"
#include "test/fakes/fixture.h"

#define ID "0123456789abcdef0123456789abcdef"
#define OTHER "00000000000000000000000000000001"
#define CAUSE(id)                                                                                  \
    "{\"decision_id\":\"" id "\",\"cause\":\"event\",\"event_id\":\"e7\","                         \
    "\"topic\":\"clicks\",\"partition\":\"3\",\"ordinal\":41,\"cause_time\":\"2019-10-01T00:00:"   \
    "00.005Z\",\"user\":\"feed\",\"time\":"                                                        \
    "\"2019-10-01T00:00:00.005Z\",\"rule\":\"big\","
#define SCORES                                                                                     \
    "\"session_id\":null,\"scores\":{\"fraud\":0.8,\"purchase\":null,\"abandon\":0.25,"            \
    "\"anomaly\":null},\"fraud_parts\":{\"rules\":1.5,\"deviation\":-0.25,\"model\":null},"

#define TIMER(id)                                                                                  \
    "{\"decision_id\":\"" id "\",\"cause\":\"idle_cart\",\"event_id\":null,\"topic\":null,"        \
    "\"partition\":\"p0\",\"ordinal\":39,\"cause_time\":\"2019-09-30T23:50:00.000Z\",\"user\":"    \
    "\"feed\","                                                                                    \
    "\"time\":\"2019-10-01T00:00:00.000Z\",\"rule\":\"big\","
#define LIMITS                                                                                     \
    "\"limits\":{\"delay_ms\":600000,\"cooldown_ms\":7200000,\"cap_count\":3,"                     \
    "\"cap_window_ms\":2592000000,\"budget_count\":null,\"budget_amount\":12.5,"                   \
    "\"budget_currency\":\"EUR\",\"budget_per\":\"day\",\"holdout_share\":0.1},"

static void make_file(const char *directory, const char *topic, const char *content)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, topic);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/%s/p0.jsonl", directory, topic);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(content, file);
    assert_int_equal(fclose(file), 0);
}

static void make_decisions(const char *directory, uint64_t feature_hash)
{
    const struct feature_set *features = extract_features_set();
    char content[32768];
    size_t length = (size_t)snprintf(
        content, sizeof(content),
        TIMER(
            OTHER) "\"priority\":0,\"condition\":null,\"action\":\"promotion\","
                   "\"is_emitted\":false,\"suppressed_by\":\"held_out\",\"arm\":\"held_out\","
                   "\"propensity\":0.1," LIMITS SCORES "\"rule_set\":\"aa\",\"feature_set\":\"bb\","
                   "\"configuration\":\"cc\",\"features\":[1],\"numeric_profile\":\"np\"}\n" CAUSE(
                       ID) "\"priority\":3,\"condition\":\"fraud_score >= 0.8 \\\"\xc3\xa9\\\"\","
                           "\"action\":\"alert\",\"is_emitted\":true,\"suppressed_by\":null,"
                           "\"arm\":\"treated\",\"propensity\":1," SCORES
                           "\"rule_set\":\"aa\",\"feature_set\":\"%016" PRIx64
                           "\",\"configuration\":\"cc\","
                           "\"features\":[",
        feature_hash);
    for (uint32_t i = 0; i < features->count; i++) {
        length += (size_t)snprintf(content + length, sizeof(content) - length, "%s%s", i ? "," : "",
                                   i % 5 == 4 ? "null" : "2.5");
    }
    (void)snprintf(content + length, sizeof(content) - length, "],\"numeric_profile\":\"np\"}\n");
    make_file(directory, "decisions", content);
}

static void make_alerts(const char *directory)
{
    char content[4096];
    (void)snprintf(
        content, sizeof(content),
        CAUSE(
            ID) "\"severity\":\"high\",\"reason\":\"shoe <script>alert(1)</script> & "
                "80\",\"step\":\"step_up\"," SCORES
                "\"score\":\"fraud\",\"logit\":1.386,\"intercept\":-1,\"terms\":["
                "{\"name\":\"%s\",\"value\":2.5,\"logit\":2},{\"name\":\"x\",\"value\":null,"
                "\"logit\":-0.5}],\"others\":0.886,\"model\":\"fake 1\",\"rule_set\":\"aa\","
                "\"feature_set\":\"bb\",\"configuration\":\"cc\",\"fields\":{\"item\":\"shoe\"}}\n",
        extract_features_set()->features[0].name);
    make_file(directory, "alerts", content);
}

/* The page, to free(), or NULL with the error. */
static char *page_with(const char *id, const char *directory, bool show_all, struct error *error)
{
    char *page = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&page, &length);
    assert_non_null(out);
    struct explain_options options = {.id = id, .directory = directory, .show_all = show_all};
    enum status status = explain_decision(&options, out, error);
    (void)fclose(out);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_INVALID);
        free(page);
        return NULL;
    }
    return page;
}

static char *page_of(const char *id, const char *directory, struct error *error)
{
    return page_with(id, directory, false, error);
}

static void assert_has(const char *page, const char *piece)
{
    if (!page || !strstr(page, piece)) {
        print_error("missing: %s\nin:\n%s\n", piece, page ? page : "(nothing)");
        fail();
    }
}

static void an_alert_is_explained(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    const struct feature_set *features = extract_features_set();
    make_decisions(directory, features->hash);
    make_alerts(directory);
    struct error error = {""};
    char *page = page_of(ID, directory, &error);
    static const char *const expected[] = {
        "An alert of severity high: shoe <script>alert(1)</script> & 80",
        "when             2019-10-01T00:00:00.005Z",
        "event id         e7",
        "topic            clicks",
        "partition        3",
        "offset           41",
        "item             shoe",
        "condition        fraud_score >= 0.8 \"\xc3\xa9\"",
        "fraud            ########################......  80.00%",
        "purchase         not scored",
        "fraud, rules     +1.500",
        "+2.000             |>>>>>>>>>>>>",
        "-0.500          <<<|",
        "where the score starts",
        "all other terms",
        "+1.386",
        "step             step_up",
        "100.00% of shoppers",
        "model            fake 1",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        assert_has(page, expected[i]);
    }
    free(page);
    page = page_of("012345", directory, &error);
    assert_has(page, "Decision " ID);
    free(page);
    fixture_remove(directory);
    free(directory);
}

static void what_was_suppressed_is_explained_without_an_alert(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    make_decisions(directory, 1);
    struct error error = {""};
    char *page = page_of(OTHER, directory, &error);
    assert_has(page, "No promotion: the shopper is in the control group that the rule leaves alone "
                     "(held_out).");
    static const char *const expected[] = {
        "goes back to     2019-09-30T23:50:00.000Z",
        "record           39",
        "delay            10m after the event that it goes back to",
        "cool-down        2h for each shopper",
        "cap              3 for each shopper in 30d",
        "budget           12.5 EUR a day for all shoppers together",
        "control group    10.00% of shoppers are left alone",
        "10.00% of shoppers are in this arm",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        assert_has(page, expected[i]);
    }
    assert_has(page, "none: the rule always matches");
    assert_has(page, "The decision quotes feature set bb");
    free(page);
    fixture_remove(directory);
    free(directory);
}

static void what_cannot_be_found_is_said(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    struct error error = {""};
    assert_null(page_of(ID, directory, &error));
    assert_has(error.message, "expected the output folder of a run");
    make_decisions(directory, 1);
    assert_null(page_of("ffffffffffff", directory, &error));
    assert_has(error.message, "no decision ffffffffffff in ");
    assert_null(page_of("12", directory, &error));
    assert_has(error.message, "\"12\": expected a decision's id");
    assert_null(page_of("XYZXYZXYZ", directory, &error));
    assert_has(error.message, "\"XYZXYZXYZ\": expected a decision's id");
    fixture_remove(directory);
    free(directory);
}

/* Lines of the features as they stand: those of the terms, then family by family. */
static void features_are_shown_by_contribution_then_family(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    const struct feature_set *set = extract_features_set();
    make_decisions(directory, set->hash);
    make_alerts(directory);
    for (int show_all = 0; show_all < 2; show_all++) {
        struct error error = {""};
        char *page = page_with(ID, directory, show_all, &error);
        assert_has(page, "Feature values\n--------------\n  in the terms above\n    ");
        const char *at = strstr(page, "Feature values");
        const char *first = strstr(at, set->features[0].name);
        const char *previous = first;
        for (uint32_t i = 0; i < set->count; i++) {
            char line[80];
            (void)snprintf(line, sizeof(line), "\n    %-28s ", set->features[i].name);
            const char *found = strstr(at, line);
            bool is_missing = i % 5 == 4;
            assert_int_equal(found != NULL, show_all || !is_missing);
            assert_true(!found || i == 0 || found > first);
            if (found && i > 0 &&
                strcmp(set->features[i].family, set->features[i - 1].family) == 0) {
                assert_true(found > previous);
            }
            previous = found ? found : previous;
        }
        char hidden[80];
        (void)snprintf(hidden, sizeof(hidden), "  %u more are missing; --all shows them.",
                       set->count / 5);
        assert_int_equal(strstr(page, hidden) != NULL, !show_all);
        assert_has(page, set->features[0].doc);
        free(page);
    }
    fixture_remove(directory);
    free(directory);
}

/* Fails where a tag is not closed by its own kind; returns the number of tags. */
static uint32_t check_tags(const char *page)
{
    char open[64][16];
    uint32_t depth = 0;
    uint32_t count = 0;
    for (const char *at = strstr(page, "<html"); (at = strchr(at, '<')); at++) {
        const char *end = strchr(at, '>');
        assert_non_null(end);
        char name[16] = "";
        bool is_end = at[1] == '/';
        assert_int_equal(sscanf(at + 1 + is_end, "%15[a-z0-9]", name), 1);
        count++;
        if (end[-1] == '/' || strcmp(name, "meta") == 0) {
            continue;
        }
        if (is_end) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof(name));
        }
    }
    assert_int_equal(depth, 0);
    return count;
}

static char *read_file(const char *path)
{
    char *content = calloc(1, 1 << 20);
    FILE *file = fopen(path, "r");
    assert_non_null(content);
    assert_non_null(file);
    assert_true(fread(content, 1, (1 << 20) - 1, file) > 0);
    (void)fclose(file);
    return content;
}

static void the_page_is_written_for_a_browser(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[600];
    struct error error = {""};
    make_decisions(directory, extract_features_set()->hash);
    make_alerts(directory);
    (void)snprintf(path, sizeof(path), "%s/page.html", directory);
    FILE *out = fopen("/dev/null", "w");
    struct explain_options options = {.id = ID, .directory = directory, .html_path = path};
    assert_int_equal(explain_decision(&options, out, &error), STATUS_OK);
    char *page = read_file(path);
    static const char *const expected[] = {
        "<!doctype html>\n<html lang=\"en\">",
        "<code>fraud_score &gt;= 0.8 &quot;\xc3\xa9&quot;</code>",
        "<h1>An alert of severity high: shoe &lt;script&gt;alert(1)&lt;/script&gt; &amp; 80</h1>",
        "<dt>offset</dt><dd>41</dd>",
        "It starts at 26.89% and comes to 80.00%.",
        "width=\"176.0\"",                                        /* 80% of a whole bar. */
        "<rect class=\"up\" x=\"110.0\" y=\"3\" width=\"110.0\"", /* The largest term. */
        "<rect class=\"down\" x=\"82.5\" y=\"3\" width=\"27.5\"", /* -0.5 of 2. */
        "<td class=\"n\">+2.000</td>",
        " more are missing.",
        "@media print",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        assert_has(page, expected[i]);
    }
    static const char *const foreign[] = {"<script", "http:", "https:", "src=", "url(", "@import"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
        assert_null(strstr(page, foreign[i]));
    }
    assert_true(check_tags(page) > 300);
    free(page);
    options.id = OTHER;
    assert_int_equal(explain_decision(&options, out, &error), STATUS_OK);
    page = read_file(path);
    assert_has(page, "<dt>goes back to</dt><dd>2019-09-30T23:50:00.000Z</dd>");
    assert_has(page, "nothing was emitted");
    (void)check_tags(page);
    free(page);
    options.html_path = "/nowhere/page.html";
    assert_int_equal(explain_decision(&options, out, &error), STATUS_FATAL);
    (void)fclose(out);
    fixture_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_is_explained),
        cmocka_unit_test(what_was_suppressed_is_explained_without_an_alert),
        cmocka_unit_test(what_cannot_be_found_is_said),
        cmocka_unit_test(features_are_shown_by_contribution_then_family),
        cmocka_unit_test(the_page_is_written_for_a_browser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
