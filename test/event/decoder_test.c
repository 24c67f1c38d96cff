#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/event/decoder.h"
#include "test/event/decoder_fixture.h"

/* The mapping wants these names, separated by commas; `names` must live on. */
static void want(struct fixture *fixture, char *names)
{
    fixture->mapping.wanted.count = 0;
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        fixture->names[fixture->mapping.wanted.count++] = name;
    }
}

/* Writes the value so that a table can say what is expected. */
static void describe(const struct field_value *value, char *out, size_t room)
{
    switch (value->kind) {
    case VALUE_MISSING:
        (void)snprintf(out, room, "-");
        break;
    case VALUE_TEXT:
        (void)snprintf(out, room, "'%.*s'", (int)value->text.length, value->text.data);
        break;
    case VALUE_INTEGER:
        (void)snprintf(out, room, "%lld", (long long)value->integer);
        break;
    case VALUE_NUMBER:
        (void)snprintf(out, room, "%g", value->number);
        break;
    case VALUE_BOOL:
        (void)snprintf(out, room, "%s", value->integer ? "true" : "false");
        break;
    }
}

struct decode_case {
    const char *name;
    const char *wanted;
    const char *input;    /* The file; its last record counts. */
    const char *expected; /* Values with spaces between, or "!reason". */
    const char *detail;   /* Part of the rejection's detail, or NULL. */
};

/* Decodes all records of the file; the result is the last one's. */
static void decode_file(struct fixture *fixture, const struct source_options *options, char *out,
                        size_t room, struct rejection *rejection)
{
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    struct error error = {""};
    struct input_position start = {0};
    if (source_open(options, &start, &source, &error) != STATUS_OK ||
        decoder_create(&fixture->mapping, options, source, &decoder, &error) != STATUS_OK) {
        (void)snprintf(out, room, "!!%s", error.message);
        source_close(source);
        return;
    }
    event_batch_reset(&fixture->batch);
    for (;;) {
        struct raw_record record;
        enum source_result result = SOURCE_END;
        assert_int_equal(source_next(source, &record, &result, &error), STATUS_OK);
        if (result != SOURCE_RECORD) {
            break;
        }
        *rejection = (struct rejection){.reason = REJECTION_NONE};
        out[0] = '\0';
        if (decoder_decode(decoder, &record, &fixture->batch, 0, rejection) == MAPPING_REJECTED) {
            (void)snprintf(out, room, "!%s", rejection_names[rejection->reason]);
            continue;
        }
        for (size_t i = 0; i < fixture->mapping.wanted.count; i++) {
            size_t length = strlen(out);
            (void)snprintf(out + length, room - length, "%s", i ? " " : "");
            length = strlen(out);
            describe(&fixture->mapping.values[i], out + length, room - length);
        }
    }
    decoder_destroy(decoder);
    source_close(source);
}

static void run_cases(struct fixture *fixture, const struct decode_case *cases, size_t count,
                      struct source_options options)
{
    options.path = fixture->path;
    for (size_t i = 0; i < count; i++) {
        const struct decode_case *row = &cases[i];
        FILE *file = fopen(fixture->path, "wb");
        assert_non_null(file);
        assert_int_equal(fputs(row->input, file) >= 0, 1);
        assert_int_equal(fclose(file), 0);
        char wanted[512];
        (void)snprintf(wanted, sizeof(wanted), "%s", row->wanted);
        want(fixture, wanted);
        char found[1024] = "";
        struct rejection rejection = {.reason = REJECTION_NONE};
        decode_file(fixture, &options, found, sizeof(found), &rejection);
        if (strcmp(found, row->expected) != 0) {
            fail_msg("%s: found %s (%s), expected %s", row->name, found, rejection.detail,
                     row->expected);
        }
        if (row->detail && !strstr(rejection.detail, row->detail)) {
            fail_msg("%s: detail is \"%s\", expected \"%s\" in it", row->name, rejection.detail,
                     row->detail);
        }
    }
}

#define ROWS(cases) (cases), sizeof(cases) / sizeof((cases)[0])

static const struct decode_case json_cases[] = {
    {"every kind", "t,i,n,b,f,z,m",
     "{\"t\":\"x\",\"i\":-5,\"n\":1.5,\"b\":true,\"f\":false,\"z\":null}\n",
     "'x' -5 1.5 true false - -", NULL},
    {"escapes", "t,u,k\"", "{\"t\":\"a\\\"b\\\\\\n\\u00e9\",\"u\":\"\\ud83d\\ude00\",\"k\\\"\":1}",
     "'a\"b\\\n\xc3\xa9' '\xf0\x9f\x98\x80' 1", NULL},
    {"nested", "a.b.c,a.d,a", "{\"a\":{\"b\":{\"c\":1,\"x\":[2]},\"d\":\"y\"}}", "1 'y' -", NULL},
    {"nested where the name itself is wanted", "a", "{\"a\": {\"b\": [1, 2]} }",
     "'{\"b\": [1, 2]}'", NULL},
    {"a scalar where an object was wanted", "a.b", "{\"a\":5}", "-", NULL},
    {"array", "a", "{\"a\":[1,{\"b\":2}] ,\"c\":1}", "'[1,{\"b\":2}]'", NULL},
    {"element of an array", "a[1],a[0].b,a[2][1],a[3]",
     "{\"a\":[{\"c\":1,\"b\":\"x\"},true,[5,6,7]]}", "true 'x' 6 -", NULL},
    {"element that a member names", "a[k=x y].v.s,a[k=\"].v.n,a[k=3].v,a[k=none].v,a[k=t]",
     "{\"a\":[{\"v\":{\"s\":\"one\"},\"k\":\"x "
     "y\"},7,{\"k\":null},{\"k\":\"\\\"\",\"v\":{\"n\":2}},"
     "{\"v\":4,\"k\":3},{\"k\":\"x y\",\"v\":{\"s\":\"two\"}},{\"k\":\"t\"} ],\"z\":1}",
     "'one' 2 4 - '{\"k\":\"t\"}'", NULL},
    {"one element by place and by two members", "a[0].v,a[k=x].w,a[l=y].u,b",
     "{\"a\":[{\"k\":\"x\",\"u\":1,\"v\":2,\"w\":3,\"l\":\"y\"}],\"b\":4}", "2 3 1 4", NULL},
    {"a word with dots", "a[k=.x.y].v",
     "{\"a\":[{\"k\":\"x.y\",\"v\":1},{\"k\":\".x.y\",\"v\":2}]}", "2", NULL},
    {"brackets in a name", "a[b],a[],a[12345]", "{\"a[b]\":1,\"a[]\":2,\"a\":[3],\"a[12345]\":4}",
     "1 2 4", NULL},
    {"array that is cut", "a[k=x].v", "{\"a\":[{\"k\":\"x\",\"v\":1},{\"k\":", "!not_parsed", NULL},
    {"object in place of an array", "a[0].b", "{\"a\":{\"b\":1}}", "-", NULL},
    {"first of two of a name", "a", "{\"a\":1,\"a\":2}", "1", NULL},
    {"unknown fields are passed over", "a", "{\"x\":{\"a\":3},\"y\":[{\"a\":4}],\"a\":1}", "1",
     NULL},
    {"large integers", "a,b,c",
     "{\"a\":9223372036854775807,\"b\":9223372036854775808,\"c\":123456789012345678901234567890}",
     "9223372036854775807 9.22337e+18 inf", NULL},
    {"white space", "a,b", " {\t\"a\" : 1 , \"b\":\"x\" } ", "1 'x'", NULL},
    {"names alike in their first eight letters", "payment_a,payment_b",
     "{\"payment_b\":2,\"payment_a\":1}", "1 2", NULL},
    {"empty object", "a", "{}", "-", NULL},
    {"empty name", "a", "{\"\":1,\"a\":2}", "2", NULL},
    {"array at the top", "a", "[1]", "!not_parsed", NULL},
    {"number at the top", "a", "17", "!not_parsed", NULL},
    {"cut", "a", "{\"a\":1,\"b\":", "!not_parsed", NULL},
    {"text not closed", "a", "{\"a\":\"x", "!not_parsed", NULL},
    {"no colon", "a", "{\"a\" 1}", "!not_parsed", "at byte 5"},
    {"bad number", "a", "{\"a\":1x}", "!not_parsed", "JSON"},
    {"bad word", "a", "{\"a\":nul}", "!not_parsed", NULL},
    {"two objects on a line", "a", "{\"a\":1}{\"a\":2}", "!not_parsed", NULL},
    {"bad UTF-8", "a", "{\"a\":\"\xff\"}", "!bad_utf8", NULL},
    {"half a surrogate", "a", "{\"a\":\"\\ud800\"}", "!not_parsed", NULL},
};

static void reads_wanted_fields_of_json(void **state)
{
    run_cases(*state, ROWS(json_cases), (struct source_options){.format = INPUT_JSONL});
}

static const struct decode_case csv_cases[] = {
    {"columns by name, in any order", "b,a", "a,x,b\n1,2,3\n", "'3' '1'", NULL},
    {"empty is missing", "a,b", "a,b\n,\"\"\n", "- -", NULL},
    {"quotes", "a,b", "a,b\n\"x,\"\"y\"\"\",\"\n\"\n", "'x,\"y\"' '\n'", NULL},
    {"white space is kept", "a", "a,b\n x ,1\n", "' x '", NULL},
    {"too few fields", "a", "a,b\n1\n", "!not_parsed", "1 fields, expected 2"},
    {"too many fields", "a", "a,b\n1,2,3\n", "!not_parsed", "more than 2 fields, expected 2"},
    {"text behind a quote", "a", "a,b\n\"1\"2,3\n", "!not_parsed", "field 1"},
    {"quote not closed", "a", "a,b\n1,\"2", "!not_parsed", "field 2"},
    {"missing column", "price", "prise,b\n1,2\n", NULL, NULL},
};

static void reads_wanted_columns_of_csv(void **state)
{
    struct fixture *fixture = *state;
    size_t count = sizeof(csv_cases) / sizeof(csv_cases[0]) - 1; /* The last stands alone. */
    struct source_options options = {.format = INPUT_CSV, .csv_has_header = true};
    run_cases(fixture, csv_cases, count, options);
}

static void names_the_column_that_is_missing(void **state)
{
    struct fixture *fixture = *state;
    char expected[5000];
    (void)snprintf(expected, sizeof(expected),
                   "!!%.4100s: has no column \"price\", which the mapping reads; did you mean "
                   "\"prise\"?",
                   fixture->path);
    struct decode_case row = csv_cases[sizeof(csv_cases) / sizeof(csv_cases[0]) - 1];
    row.expected = expected;
    run_cases(fixture, &row, 1,
              (struct source_options){.format = INPUT_CSV, .csv_has_header = true});
}

static void reads_csv_with_given_names_and_delimiter(void **state)
{
    static char user[] = "user", item[] = "item";
    char *names[] = {user, item};
    struct text_list columns = {names, 2};
    static const struct decode_case rows[] = {
        {"given", "item,user", "1;2\n3;4\n", "'4' '3'", NULL}};
    run_cases(*state, rows, 1,
              (struct source_options){
                  .format = INPUT_CSV, .csv_delimiter = ';', .csv_columns = &columns});
}

static void lines_of_csv_that_are_comments_are_no_records(void **state)
{
    static char user[] = "user", item[] = "item";
    char *names[] = {user, item};
    struct text_list columns = {names, 2};
    /* What is found is the last record's; the second one would not parse. */
    static const struct decode_case rows[] = {
        {"a comment", "item,user", "1 2\n#Fields: a \"b c d\n3 #4\n", "'#4' '3'", NULL}};
    struct source_options options = {
        .format = INPUT_CSV, .csv_delimiter = ' ', .csv_comment = '#', .csv_columns = &columns};
    run_cases(*state, rows, 1, options);
    static const struct decode_case without[] = {{"no comments", "item", "#1 2\n", "'2'", NULL}};
    options.csv_comment = '\0';
    run_cases(*state, without, 1, options);
}

static void ragged_csv_lacks_fields_and_has_more(void **state)
{
    static char user[] = "user", item[] = "item", price[] = "price";
    char *names[] = {user, item, price};
    struct text_list columns = {names, 3};
    static const struct decode_case rows[] = {
        {"more", "user,price", "1,2,3,\"4\",5\n", "'1' '3'", NULL},
        {"fewer, behind one that has all", "user,item,price", "1,2,3\n4\n", "'4' - -", NULL},
        {"one empty", "user,price", "1,,\n", "'1' -", NULL},
        {"a quote that is not closed", "user", "1,\"2", "!not_parsed", NULL},
    };
    struct source_options options = {
        .format = INPUT_CSV, .csv_columns = &columns, .csv_is_ragged = true};
    run_cases(*state, rows, sizeof(rows) / sizeof(rows[0]), options);
    static const struct decode_case strict[] = {
        {"more than columns", "user", "1,2,3,4\n", "!not_parsed", "more than 3 fields"},
        {"fewer than columns", "user", "1,2\n", "!not_parsed", "with 2 fields"},
    };
    options.csv_is_ragged = false;
    run_cases(*state, strict, sizeof(strict) / sizeof(strict[0]), options);
}

#define LOG_HEAD "10.0.0.1 - - [26/Jan/2019:19:45:25 +0330] "

static const struct decode_case log_cases[] = {
    {"all fields",
     "remote_address,remote_user,time,method,target,path,status,bytes,referrer,user_agent,extra.1,"
     "extra.2",
     "::1 - al ice [26/Jan/2019:19:45:25 +0330] \"GET /a%20b?c=d HTTP/1.1\" 200 30 \"https://r/\" "
     "\"Agent (x)\" \"e 1\" 17\n",
     "'::1' 'al ice' '26/Jan/2019:19:45:25 +0330' 'GET' '/a%20b?c=d' '/a b' 200 30 'https://r/' "
     "'Agent (x)' 'e 1' '17'",
     NULL},
    {"dashes are missing", "remote_user,bytes,referrer,user_agent,extra.1",
     LOG_HEAD "\"GET / HTTP/1.0\" 304 - \"-\" \"-\" \"-\"", "- - - - -", NULL},
    {"common format", "status,bytes,user_agent", LOG_HEAD "\"GET / HTTP/1.0\" 404 7", "404 7 -",
     NULL},
    {"parameters", "query.a,query.b c,query.d,query.e,query.none",
     LOG_HEAD "\"GET /x?a=1%2B2+3&b%20c=%D8%A7&a=9&d=&e=%zz%4 HTTP/1.1\" 200 1",
     "'1+2 3' '\xd8\xa7' - '%zz%4' -", NULL},
    {"escapes of the server", "target,user_agent",
     LOG_HEAD "\"GET /\\x22\\xD8 HTTP/1.1\" 200 1 \"-\" \"a\\\"b\\\\c\"", "'/\"\xd8' 'a\"b\\c'",
     NULL},
    {"absolute target", "path,query.q", LOG_HEAD "\"GET http://h:80/p?q=1#f HTTP/1.1\" 200 1",
     "'/p' '1'", NULL},
    {"no request", "method,target,path", LOG_HEAD "\"-\" 408 0", "- - -", NULL},
    {"a handshake where a request should be", "method,path", LOG_HEAD "\"\\x16\\x03\\x01 a\" 400 0",
     "- -", NULL},
    {"a request without protocol", "method,target", LOG_HEAD "\"GET /a b\" 200 1", "'GET' '/a b'",
     NULL},
    {"no time", "path", "10.0.0.1 - - \"GET / HTTP/1.1\" 200 1", "!not_parsed",
     "at byte 11: expected a user and a time"},
    {"cut in the agent", "path", LOG_HEAD "\"GET / HTTP/1.1\" 200 1 \"-\" \"Agen", "!not_parsed",
     "expected a quoted user agent"},
    {"a virtual host before it", "virtual_host,remote_address,remote_user,status",
     "shop.example:443 10.0.0.9 - ann [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "'shop.example' '10.0.0.9' 'ann' 200", NULL},
    {"one without port, and a client of the newer kind", "virtual_host,remote_address,remote_user",
     "shop 2001:db8::7 - - [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "'shop' '2001:db8::7' -", NULL},
    {"an address as the host", "virtual_host,remote_address",
     "[::1]:80 10.0.0.9 - - [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "'[::1]' '10.0.0.9'", NULL},
    {"proxies behind the client", "virtual_host,remote_address,remote_user",
     "10.0.0.9, 172.16.0.1,172.16.0.2 - ann [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "- '10.0.0.9' 'ann'", NULL},
    {"a host, and proxies", "virtual_host,remote_address,remote_user",
     "shop:80 10.0.0.9, 172.16.0.1 - - [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "'shop' '10.0.0.9' -", NULL},
    {"an identity, and a name of several words", "virtual_host,remote_address,remote_user",
     "10.0.0.9 id1 10.0.0.8 and more [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "- '10.0.0.9' '10.0.0.8 and more'", NULL},
    {"what syslog puts before it", "virtual_host,remote_address,remote_user,status",
     "<190>Mar  2 10:00:00 10.0.0.5 nginx: 10.0.0.9, 10.0.0.1 - ann lee "
     "[26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "- '10.0.0.9' 'ann lee' 200", NULL},
    {"a client by its name", "virtual_host,remote_address,remote_user",
     "pc.example - 10.0.0.8 [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1",
     "- 'pc.example' '10.0.0.8'", NULL},
    {"a client of whom its proxy says nothing", "virtual_host,remote_address",
     "unknown, 10.0.0.1 - - [26/Jan/2019:19:45:25 +0330] \"GET / HTTP/1.1\" 200 1", "- 'unknown'",
     NULL},
    {"a comma and no more", "remote_address", "10.0.0.9,", "!not_parsed", "after the comma"},
    {"nothing but commas", "remote_address", ", , - [", "!not_parsed", "expected an address"},
    {"not a log at all", "path", "hello", "!not_parsed", "byte 5"},
};

static void reads_wanted_fields_of_access_logs(void **state)
{
    run_cases(*state, ROWS(log_cases), (struct source_options){.format = INPUT_COMBINED_LOG});
}

static void names_the_log_field_that_does_not_exist(void **state)
{
    struct fixture *fixture = *state;
    char expected[5000];
    (void)snprintf(
        expected, sizeof(expected),
        "!!%.4100s: an access log has no field \"refferer\", which the mapping reads; did "
        "you mean \"referrer\"?",
        fixture->path);
    struct decode_case row = {"field", "refferer", "x\n", expected, NULL};
    run_cases(fixture, &row, 1, (struct source_options){.format = INPUT_COMBINED_LOG});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_wanted_fields_of_json, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_wanted_fields_of_access_logs, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_log_field_that_does_not_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_wanted_columns_of_csv, setup, teardown),
        cmocka_unit_test_setup_teardown(names_the_column_that_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_csv_with_given_names_and_delimiter, setup, teardown),
        cmocka_unit_test_setup_teardown(ragged_csv_lacks_fields_and_has_more, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_csv_that_are_comments_are_no_records, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
