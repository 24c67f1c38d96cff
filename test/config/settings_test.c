#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/config/settings.h"

enum policy { POLICY_KEEP, POLICY_DROP };

struct options {
    bool is_on;
    int64_t events_max;
    double share;
    int64_t gap_ms;
    int64_t cache_bytes;
    char *name;
    char *key;
    char *rules;
    int policy;
    struct text_list fields;
    const struct yaml_node *windows;
};

static const char *const policies[] = {"keep", "drop", NULL};

#define MEMBER(member) .offset = offsetof(struct options, member)

static const struct setting table[] = {
    {.name = "on", .type = SETTING_BOOL, MEMBER(is_on), .fallback = "true", .doc = "Whether."},
    {.name = "events_max",
     .type = SETTING_INTEGER,
     MEMBER(events_max),
     .fallback = "500",
     .min = 1,
     .max = 10000,
     .doc = "Events of a session."},
    {.name = "share",
     .type = SETTING_NUMBER,
     MEMBER(share),
     .fallback = "0.25",
     .min = 0,
     .max = 1,
     .doc = "Share held out, a|b."},
    {.name = "gap",
     .type = SETTING_DURATION,
     MEMBER(gap_ms),
     .fallback = "30m",
     .min = 1000,
     .max = 86400000,
     .doc = "Silence that ends a session."},
    {.name = "cache", .type = SETTING_SIZE, MEMBER(cache_bytes), .fallback = "64MiB", .doc = "C."},
    {.name = "name", .type = SETTING_TEXT, MEMBER(name), .is_required = true, .doc = "Name."},
    {.name = "key", .type = SETTING_TEXT, MEMBER(key), .is_secret = true, .doc = "Key"},
    {.name = "rules",
     .type = SETTING_PATH,
     MEMBER(rules),
     .fallback = "rules.yaml",
     .doc = "Rules."},
    {.name = "policy",
     .type = SETTING_CHOICE,
     MEMBER(policy),
     .fallback = "drop",
     .choices = policies,
     .doc = "What becomes of them."},
    {.name = "fields",
     .type = SETTING_LIST,
     MEMBER(fields),
     .fallback = "[user, item]",
     .doc = "Fields."},
    {.name = "windows", .type = SETTING_CUSTOM, MEMBER(windows), .doc = "Windows."},
};

static const struct setting_section section = {.name = "sessions",
                                               .doc = "How events are grouped.",
                                               .settings = table,
                                               .setting_count = sizeof(table) / sizeof(table[0]),
                                               .options_bytes = sizeof(struct options)};

static enum status read_text(const char *text, struct options *options,
                             struct yaml_document **ret_document, struct error *error)
{
    assert_int_equal(yaml_parse("conf/f", text, strlen(text), ret_document, error), STATUS_OK);
    const struct yaml_node *node = yaml_find(yaml_root(*ret_document), "sessions");
    return settings_read(&section, node, options, error);
}

static void fills_in_defaults(void **state)
{
    (void)state;
    struct options options;
    struct yaml_document *document = NULL;
    struct error error = {""};
    assert_int_equal(read_text("sessions: {name: x, gap: }", &options, &document, &error),
                     STATUS_OK);
    assert_true(options.is_on);
    assert_int_equal(options.events_max, 500);
    assert_true(options.share == 0.25);
    assert_int_equal(options.gap_ms, 1800000);
    assert_int_equal(options.cache_bytes, 64 << 20);
    assert_string_equal(options.name, "x");
    assert_null(options.key);
    assert_string_equal(options.rules, "conf/rules.yaml");
    assert_int_equal(options.policy, POLICY_DROP);
    assert_int_equal(options.fields.count, 2);
    assert_string_equal(options.fields.items[1], "item");
    assert_null(options.windows);
    settings_release(&section, &options);
    assert_null(options.name);
    assert_null(options.fields.items);
    yaml_unload(document);
}

static void reads_each_type(void **state)
{
    (void)state;
    struct options options;
    struct yaml_document *document = NULL;
    struct error error = {""};
    const char *text = "sessions:\n"
                       "  on: false\n"
                       "  events_max: 7\n"
                       "  share: 1\n"
                       "  gap: 90s\n"
                       "  cache: 1KiB\n"
                       "  name: \"12\"\n"
                       "  key: secret\n"
                       "  rules: /r.yaml\n"
                       "  policy: keep\n"
                       "  fields: one\n"
                       "  windows: [1m, 1h]\n";
    assert_int_equal(read_text(text, &options, &document, &error), STATUS_OK);
    assert_false(options.is_on);
    assert_int_equal(options.events_max, 7);
    assert_true(options.share == 1);
    assert_int_equal(options.gap_ms, 90000);
    assert_int_equal(options.cache_bytes, 1024);
    assert_string_equal(options.name, "12");
    assert_string_equal(options.key, "secret");
    assert_string_equal(options.rules, "/r.yaml");
    assert_int_equal(options.policy, POLICY_KEEP);
    assert_int_equal(options.fields.count, 1);
    assert_string_equal(options.fields.items[0], "one");
    assert_int_equal(options.windows->child_count, 2);
    settings_release(&section, &options);
    yaml_unload(document);
}

static void names_place_key_value_and_what_was_expected(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"sessions:\n  name: x\n  gpa: 1s", "conf/f:3: gpa: unknown key; did you mean \"gap\"?"},
        {"sessions:\n  name: x\n  gap: 1ms", "conf/f:3: gap: \"1ms\": expected 1s to 1d"},
        {"sessions: {name: x, gap: 5}", "conf/f:1: gap: \"5\": expected a duration: a number "
                                        "with its unit ms, s, m, h or d, such as 30m"},
        {"sessions: {name: x, events_max: 0}", "conf/f:1: events_max: \"0\": expected 1 to 10000"},
        {"sessions: {name: x, share: -0.1}", "conf/f:1: share: \"-0.1\": expected 0 to 1"},
        {"sessions: {name: x, cache: -1B}", "conf/f:1: cache: \"-1B\": expected at least 0B"},
        {"sessions: {name: x, on: 1}", "conf/f:1: on: \"1\": expected true or false"},
        {"sessions: {name: x, policy: dropp}",
         "conf/f:1: policy: \"dropp\": expected one of keep, drop; did you mean \"drop\"?"},
        {"sessions: {name: x, policy: [keep]}",
         "conf/f:1: policy: expected one of keep, drop, not a list"},
        {"sessions: {name: x, rules: \"\"}", "conf/f:1: rules: \"\": expected a path"},
        {"sessions: {name: [x]}", "conf/f:1: name: expected a text, not a list"},
        {"sessions: {name: x, key: {secret: 1}}", "conf/f:1: key: expected a text, not a mapping"},
        {"sessions: {name: x, fields: [a, [b]]}",
         "conf/f:1: fields: item 2: expected a text, not a list"},
        {"sessions: {name: x, fields: {a: b}}",
         "conf/f:1: fields: expected a list of texts, not a mapping"},
        {"sessions: {}", "conf/f:1: sessions: the setting \"name\" is missing: Name."},
        {"other: {}", "sessions: the setting \"name\" is missing: Name."},
        {"sessions: 5", "conf/f:1: sessions: \"5\": expected a mapping (\"key: value\" lines)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options options;
        struct yaml_document *document = NULL;
        struct error error = {""};
        assert_int_equal(read_text(rows[i].text, &options, &document, &error), STATUS_INVALID);
        assert_string_equal(error.message, rows[i].expected);
        assert_null(options.name);
        yaml_unload(document);
    }
}

static char *describe(bool markdown)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    settings_describe(&section, markdown, out);
    (void)fclose(out);
    return text;
}

static void describes_the_settings_as_a_table_or_text(void **state)
{
    (void)state;
    char *table_text = describe(true);
    assert_non_null(strstr(table_text, "## sessions\n\nHow events are grouped.\n"));
    assert_non_null(
        strstr(table_text, "| `gap` | duration | 30m | 1s to 1d | Silence that ends a session. |"));
    assert_non_null(strstr(table_text, "| Share held out, a\\|b. |"));
    assert_non_null(strstr(table_text, "| `name` | text | required |  | Name. |"));
    assert_non_null(strstr(table_text, "| `policy` | choice | drop | one of keep, drop |"));
    assert_non_null(strstr(table_text, "| Key. Secret: never printed. |"));
    free(table_text);
    char *plain = describe(false);
    assert_non_null(strstr(plain, "  gap: duration, 1s to 1d; default 30m\n"));
    assert_non_null(strstr(plain, "  name: text; required\n"));
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_defaults),
        cmocka_unit_test(reads_each_type),
        cmocka_unit_test(names_place_key_value_and_what_was_expected),
        cmocka_unit_test(describes_the_settings_as_a_table_or_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
