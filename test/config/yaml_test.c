#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/config/yaml.h"
#include "test/fakes/fixture.h"

static struct yaml_document *parse(const char *text)
{
    struct yaml_document *document = NULL;
    struct error error = {""};
    if (yaml_parse("a/shop.yaml", text, strlen(text), &document, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
    return document;
}

static void reads_a_tree_with_keys_and_lines(void **state)
{
    (void)state;
    struct yaml_document *document = parse("# a comment\n"
                                           "sessions:\n"
                                           "  gap: 30m\n"
                                           "  names: [ü, \"2\"]\n"
                                           "empty:\n"
                                           "json: {\"a\": [1, {\"b\": null}]}\n");
    const struct yaml_node *root = yaml_root(document);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->child_count, 3);
    const struct yaml_node *sessions = yaml_find(root, "sessions");
    assert_int_equal(sessions->line, 2);
    assert_string_equal(sessions->file, "a/shop.yaml");
    const struct yaml_node *gap = yaml_find(sessions, "gap");
    assert_string_equal(gap->key, "gap");
    assert_string_equal(gap->scalar, "30m");
    assert_int_equal(gap->line, 3);
    assert_false(gap->is_quoted);
    const struct yaml_node *names = yaml_find(sessions, "names");
    assert_int_equal(names->kind, YAML_SEQUENCE);
    assert_int_equal(names->child_count, 2);
    assert_string_equal(names->children[0].scalar, "ü");
    assert_null(names->children[0].key);
    assert_true(names->children[1].is_quoted);
    assert_true(yaml_is_null(yaml_find(root, "empty")));
    const struct yaml_node *b = &yaml_find(yaml_find(root, "json"), "a")->children[1];
    assert_true(yaml_is_null(yaml_find(b, "b")));
    assert_null(yaml_find(root, "nothing"));
    assert_null(yaml_find(NULL, "nothing"));
    assert_true(yaml_is_null(NULL));
    yaml_unload(document);
}

static void reads_an_empty_file_as_an_empty_mapping(void **state)
{
    (void)state;
    const char *texts[] = {"", "# only this\n", "---\n", "\n\n", "{}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct yaml_document *document = parse(texts[i]);
        assert_int_equal(yaml_root(document)->kind, YAML_MAPPING);
        assert_int_equal(yaml_root(document)->child_count, 0);
        yaml_unload(document);
    }
}

static void refuses_what_it_does_not_read(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *expected; /* In the message. */
    } rows[] = {
        {"a: 1\nb: 2\na: 3\n", "f:3: a: this key is already in line 1"},
        {"a: {x: 1, y: 2, x: 3}\n", "f:1: x: this key is already in line 1"},
        {"a: &anchor 1\n", "f:1: anchors"},
        {"a: &anchor [1]\n", "f:1: anchors"},
        {"a: 1\nb: *a\n", "f:2: aliases"},
        {"a: !!str 1\n", "f:1: tags"},
        {"a: !own {}\n", "f:1: tags"},
        {"a: 1\n---\nb: 2\n", "f:2: a second document"},
        {"---\n---\n", "f:2: a second document"},
        {"a: \"x\\0y\"\n", "f:1: a text with a NUL"},
        {"? [1, 2]\n: 3\n", "f:1: expected a plain text as a key"},
        {"?\n: 3\n", "f:1: a key is missing"},
        {"a: [1, 2\nb: 3\n", "not valid YAML"},
        {"a: 'b\n", "f:2: not valid YAML"},
        {"\tb: 3\n", "f:1: not valid YAML"},
        {"a: b: c\n", "f:1: not valid YAML"},
        {"a: \"\xff\"\n", "not valid YAML"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_document *document = NULL;
        struct error error = {""};
        enum status status = yaml_parse("f", rows[i].text, strlen(rows[i].text), &document, &error);
        if (status != STATUS_INVALID || !strstr(error.message, rows[i].expected)) {
            fail_msg("row %zu: status %d, \"%s\"", i, (int)status, error.message);
        }
        assert_null(document);
    }
}

static void refuses_nul_bytes_with_their_line(void **state)
{
    (void)state;
    struct yaml_document *document = NULL;
    struct error error = {""};
    assert_int_equal(yaml_parse("f", "a: 1\nb: \0\n", 10, &document, &error), STATUS_INVALID);
    assert_string_equal(error.message, "f:2: a NUL byte: not a text file in UTF-8");
}

static void reads_64_levels_and_refuses_65(void **state)
{
    (void)state;
    for (size_t depth = 64; depth <= 65; depth++) {
        char text[256];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct yaml_document *document = NULL;
        struct error error = {""};
        enum status status = yaml_parse("f", text, 2 * depth, &document, &error);
        assert_int_equal(status, depth == 64 ? STATUS_OK : STATUS_INVALID);
        if (depth == 65) {
            assert_non_null(strstr(error.message, "64 levels"));
        }
        yaml_unload(document);
    }
}

static void refuses_more_values_than_the_most(void **state)
{
    (void)state;
    size_t length = (2u << 20) + 16;
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t i = 0; i < length; i += 2) {
        text[i] = '1';
        text[i + 1] = ',';
    }
    text[0] = '[';
    text[1] = ' ';
    struct yaml_document *document = NULL;
    struct error error = {""};
    assert_int_equal(yaml_parse("f", text, length, &document, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "too large"));
    free(text);
}

static void names_files_that_cannot_be_read(void **state)
{
    (void)state;
    char *folder = fixture_directory();
    char path[4200];
    struct yaml_document *document = NULL;
    struct error error = {""};
    (void)snprintf(path, sizeof(path), "%s/none.yaml", folder);
    assert_int_equal(yaml_load(path, &document, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "none.yaml: cannot be opened: No such file"));
    assert_int_equal(yaml_load(folder, &document, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "cannot be read: Is a directory"));
    assert_int_equal(yaml_load("/dev/zero", &document, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "/dev/zero: larger than 16 MiB"));

    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs("a: 1\n", file);
    (void)fclose(file);
    assert_int_equal(yaml_load(path, &document, &error), STATUS_OK);
    assert_string_equal(yaml_find(yaml_root(document), "a")->scalar, "1");
    yaml_unload(document);
    fixture_remove(folder);
    free(folder);
}

static struct yaml_node scalar(const char *text)
{
    return (struct yaml_node){
        .kind = YAML_SCALAR, .key = "k", .scalar = text, .file = "f", .line = 7};
}

enum reader { BOOL, INTEGER, NUMBER, FLOAT, DURATION, SIZE };

static enum status read_as(enum reader reader, const struct yaml_node *node, double *ret,
                           struct error *error)
{
    bool boolean = false;
    int64_t integer = 0;
    float narrow = 0;
    enum status status = STATUS_OK;
    switch (reader) {
    case BOOL:
        status = yaml_bool(node, &boolean, error);
        integer = boolean;
        break;
    case INTEGER:
        status = yaml_integer(node, &integer, error);
        break;
    case NUMBER:
        return yaml_number(node, ret, error);
    case FLOAT:
        status = yaml_float(node, &narrow, error);
        *ret = (double)narrow;
        return status;
    case DURATION:
        status = yaml_duration_ms(node, &integer, error);
        break;
    case SIZE:
        status = yaml_size_bytes(node, &integer, error);
        break;
    }
    *ret = (double)integer;
    return status;
}

static void reads_scalars_of_each_kind(void **state)
{
    (void)state;
    const struct {
        enum reader reader;
        const char *text;
        double expected;
    } rows[] = {
        {BOOL, "true", 1},
        {BOOL, "False", 0},
        {BOOL, "yes", 1},
        {BOOL, "off", 0},
        {INTEGER, "0", 0},
        {INTEGER, "-12", -12},
        {INTEGER, "+12", 12},
        {INTEGER, "-9223372036854775808", -9223372036854775808.0},
        {NUMBER, "0.5", 0.5},
        {NUMBER, "-1e3", -1000},
        {NUMBER, "7", 7},
        {FLOAT, "0.5", 0.5},
        {FLOAT, "3e38", (double)3e38f},
        {DURATION, "250ms", 250},
        {DURATION, "30m", 1800000},
        {DURATION, "30 m", 1800000},
        {DURATION, "1.5h", 5400000},
        {DURATION, "0.1s", 100},
        {DURATION, "7d", 604800000},
        {DURATION, "-2h", -7200000},
        {DURATION, "0", 0},
        {SIZE, "10B", 10},
        {SIZE, "512MiB", 536870912},
        {SIZE, "1.5GB", 1610612736},
        {SIZE, "4 KB", 4096},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_node node = scalar(rows[i].text);
        struct error error = {""};
        double value = -1;
        if (read_as(rows[i].reader, &node, &value, &error) != STATUS_OK ||
            value != rows[i].expected) {
            fail_msg("\"%s\": %g, %s", rows[i].text, value, error.message);
        }
    }
}

static void refuses_scalars_of_another_kind(void **state)
{
    (void)state;
    const struct {
        enum reader reader;
        const char *text;
    } rows[] = {
        {BOOL, "1"},
        {BOOL, ""},
        {BOOL, "truee"},
        {INTEGER, ""},
        {INTEGER, "-"},
        {INTEGER, "1.0"},
        {INTEGER, "0x10"},
        {INTEGER, " 1"},
        {INTEGER, "1k"},
        {INTEGER, "9223372036854775808"},
        {NUMBER, "nan"},
        {NUMBER, "inf"},
        {NUMBER, "1e999"},
        {NUMBER, "0x1p3"},
        {NUMBER, "."},
        {NUMBER, "1..2"},
        {NUMBER, "e"},
        {FLOAT, "4e38"},
        {FLOAT, "-4e38"},
        {FLOAT, "inf"},
        {DURATION, "30"},
        {DURATION, "m"},
        {DURATION, "30 minutes"},
        {DURATION, "30M"},
        {DURATION, ".5s"},
        {DURATION, "1.2.3s"},
        {DURATION, "0.5ms"},
        {DURATION, "1  s"},
        {DURATION, "99999999999999999d"},
        {DURATION, "99999999999999999999s"},
        {DURATION, "--1s"},
        {SIZE, "512"},
        {SIZE, "1kb"},
        {SIZE, "0.5B"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_node node = scalar(rows[i].text);
        struct error error = {""};
        double value = 0;
        char prefix[64];
        (void)snprintf(prefix, sizeof(prefix), "f:7: k: \"%s\": expected ", rows[i].text);
        if (read_as(rows[i].reader, &node, &value, &error) != STATUS_INVALID ||
            strncmp(error.message, prefix, strlen(prefix)) != 0) {
            fail_msg("\"%s\": %s", rows[i].text, error.message);
        }
    }
}

static void takes_no_quoted_scalar_for_a_number(void **state)
{
    (void)state;
    for (int reader = BOOL; reader <= SIZE; reader++) {
        struct yaml_node node = scalar(reader == BOOL ? "true" : reader >= DURATION ? "0" : "1");
        struct error error = {""};
        double value = 0;
        assert_int_equal(read_as((enum reader)reader, &node, &value, &error), STATUS_OK);
        node.is_quoted = true;
        assert_int_equal(read_as((enum reader)reader, &node, &value, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "without quotes"));
        node.kind = YAML_SEQUENCE;
        assert_int_equal(read_as((enum reader)reader, &node, &value, &error), STATUS_INVALID);
        assert_non_null(strstr(error.message, "not a list"));
    }
}

static void shows_long_values_cut_and_on_one_line(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'x', sizeof(text));
    text[3] = '\n';
    text[sizeof(text) - 1] = '\0';
    struct yaml_node node = scalar(text);
    struct error error = {""};
    bool value = false;
    assert_int_equal(yaml_bool(&node, &value, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "\"xxx xxx"));
    assert_non_null(strstr(error.message, "...\": expected true or false"));
}

static void names_the_nearest_right_key(void **state)
{
    (void)state;
    const char *const names[] = {"idle_gap", "max_length", "max_events", NULL};
    const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"idle_gpa: 1", "f:1: idle_gpa: unknown key; did you mean \"idle_gap\"?"},
        {"a: 1", "f:1: a: unknown key; expected one of idle_gap, max_length, max_events"},
        {"max_event: 1", "f:1: max_event: unknown key; did you mean \"max_events\"?"},
        {"IDLE_GAP: 1", "f:1: IDLE_GAP: unknown key; did you mean \"idle_gap\"?"},
        {"[1]", "f:1: expected a mapping (\"key: value\" lines), not a list"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_document *document = NULL;
        struct error error = {""};
        assert_int_equal(yaml_parse("f", rows[i].text, strlen(rows[i].text), &document, &error),
                         STATUS_OK);
        assert_int_equal(yaml_known_keys(yaml_root(document), names, &error), STATUS_INVALID);
        assert_string_equal(error.message, rows[i].expected);
        yaml_unload(document);
    }
    assert_int_equal(yaml_known_keys(NULL, names, NULL), STATUS_OK);
    assert_null(nearest_name("", names, 3));
    assert_null(nearest_name("colour", names, 3));
}

static void resolves_paths_beside_the_file(void **state)
{
    (void)state;
    const struct {
        const char *file, *path, *expected;
    } rows[] = {
        {"conf/shop.yaml", "rules.yaml", "conf/rules.yaml"},
        {"shop.yaml", "rules.yaml", "rules.yaml"},
        {"conf/shop.yaml", "/etc/rules.yaml", "/etc/rules.yaml"},
        {"/shop.yaml", "../rules.yaml", "/../rules.yaml"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct yaml_node node = {.file = rows[i].file};
        char *resolved = yaml_resolve_path(&node, rows[i].path);
        assert_string_equal(resolved, rows[i].expected);
        free(resolved);
    }
}

static void prints_texts_that_read_back(void **state)
{
    (void)state;
    const char *const texts[][2] = {
        {"plain", "plain"}, {"", ""},         {"a: \"b\" # c", "a: \"b\" # c"},
        {"C:\\x", "C:\\x"}, {"true", "true"}, {"two\nlines\t", "twolines"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *printed = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&printed, &length);
        yaml_print_text(out, "key", texts[i][0]);
        yaml_print_text(out, "none", NULL);
        assert_int_equal(fclose(out), 0);
        struct yaml_document *document = parse(printed);
        const struct yaml_node *root = yaml_root(document);
        assert_int_equal(root->child_count, 1);
        assert_string_equal(root->children[0].key, "key");
        assert_string_equal(root->children[0].scalar, texts[i][1]);
        assert_true(root->children[0].is_quoted);
        yaml_unload(document);
        free(printed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_tree_with_keys_and_lines),
        cmocka_unit_test(reads_an_empty_file_as_an_empty_mapping),
        cmocka_unit_test(refuses_what_it_does_not_read),
        cmocka_unit_test(refuses_nul_bytes_with_their_line),
        cmocka_unit_test(reads_64_levels_and_refuses_65),
        cmocka_unit_test(refuses_more_values_than_the_most),
        cmocka_unit_test(names_files_that_cannot_be_read),
        cmocka_unit_test(reads_scalars_of_each_kind),
        cmocka_unit_test(refuses_scalars_of_another_kind),
        cmocka_unit_test(takes_no_quoted_scalar_for_a_number),
        cmocka_unit_test(shows_long_values_cut_and_on_one_line),
        cmocka_unit_test(names_the_nearest_right_key),
        cmocka_unit_test(resolves_paths_beside_the_file),
        cmocka_unit_test(prints_texts_that_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
