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
    "{\"decision_id\":\"" id "\",\"cause\":\"event\",\"event_id\":\"e7\",\"partition\":\"p0\","    \
    "\"ordinal\":41,\"user\":\"feed\",\"time\":\"2019-10-01T00:00:00.005Z\",\"rule\":\"big\","
#define SCORES                                                                                     \
    "\"session_id\":null,\"scores\":{\"fraud\":0.8,\"purchase\":null,\"abandon\":0.25,"            \
    "\"anomaly\":null},\"fraud_parts\":{\"rules\":1.5,\"deviation\":-0.25,\"model\":null},"

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
        CAUSE(
            OTHER) "\"priority\":0,\"condition\":null,\"action\":\"promotion\","
                   "\"is_emitted\":false,\"suppressed_by\":\"held_out\",\"arm\":\"held_out\","
                   "\"propensity\":0.1," SCORES "\"rule_set\":\"aa\",\"feature_set\":\"bb\","
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
            ID) "\"severity\":\"high\",\"reason\":\"shoe at 80\",\"step\":\"step_up\"," SCORES
                "\"score\":\"fraud\",\"logit\":1.386,\"intercept\":-1,\"terms\":["
                "{\"name\":\"%s\",\"value\":2.5,\"logit\":2},{\"name\":\"x\",\"value\":null,"
                "\"logit\":-0.5}],\"others\":0.886,\"model\":\"fake 1\",\"rule_set\":\"aa\","
                "\"feature_set\":\"bb\",\"configuration\":\"cc\",\"fields\":{\"item\":\"shoe\"}}\n",
        extract_features_set()->features[0].name);
    make_file(directory, "alerts", content);
}

/* The page, to free(), or NULL with the error. */
static char *page_of(const char *id, const char *directory, struct error *error)
{
    char *page = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&page, &length);
    assert_non_null(out);
    enum status status = explain_decision(id, directory, NULL, out, error);
    (void)fclose(out);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_INVALID);
        free(page);
        return NULL;
    }
    return page;
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
        "An alert of severity high: shoe at 80",
        "when             2019-10-01T00:00:00.005Z",
        "record           41",
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
    for (uint32_t i = 0; i < features->count; i++) {
        assert_has(page, features->features[i].name);
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
    assert_has(page, "10.00% of shoppers");
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

static void the_page_is_written_for_a_browser(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[600];
    char content[65536];
    struct error error = {""};
    make_decisions(directory, 1);
    make_alerts(directory);
    (void)snprintf(path, sizeof(path), "%s/page.html", directory);
    FILE *out = fopen("/dev/null", "w");
    assert_int_equal(explain_decision(ID, directory, path, out, &error), STATUS_OK);
    assert_int_equal(explain_decision(ID, directory, "/nowhere/page.html", out, &error),
                     STATUS_FATAL);
    (void)fclose(out);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
    (void)fclose(file);
    assert_has(content, "fraud_score &gt;= 0.8");
    fixture_remove(directory);
    free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_is_explained),
        cmocka_unit_test(what_was_suppressed_is_explained_without_an_alert),
        cmocka_unit_test(what_cannot_be_found_is_said),
        cmocka_unit_test(the_page_is_written_for_a_browser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
