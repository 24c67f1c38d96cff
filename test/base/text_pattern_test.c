#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipeline/base/text_pattern.h"
#include "pipeline/base/url_text.h"

struct pattern_row {
    const char *pattern;
    const char *text;
    const char *expected; /* Captures in order, joined by |; NULL: does not fit. */
};

static void fits_and_captures(void **state)
{
    (void)state;
    static const struct pattern_row rows[] = {
        {"/", "/", ""},
        {"/a", "/a", ""},
        {"/a", "/ab", NULL},
        {"/a", "", NULL},
        {"*", "", ""},
        {"*", "abc", ""},
        {"*", "a/c", NULL},
        {"**", "a/c", ""},
        {"/image/**", "/image/1/2", ""},
        {"/image/**", "/image/", ""},
        {"/image/**", "/image", ""},
        {"/image/**", "/images", NULL},
        {"/product/{item}", "/product/12", "12"},
        {"/product/{item}", "/product/", NULL},
        {"/product/{item}/**", "/product/12", "12"},
        {"/product/{item}/**", "/product/12/red-shoe", "12"},
        {"/product/{item:digits}/**", "/product/12a", NULL},
        {"/product/{item:digits}/**", "/product/12/a", "12"},
        {"/{kind}/{item:digits}", "/x/7", "x|7"},
        {"*-{id:digits}", "a-b-12", "12"},
        {"*-{id:digits}", "12-x-", NULL},
        {"**/{id:digits}.html", "/a/b/77.html", "77"},
        {"/s/{text:**}", "/s/a/b", "a/b"},
        {"{} *", "12,50 EUR", "12,50"},
        {"* {}", "12,50 EUR", "EUR"},
        {"{a}.{b}.{c}", "1.2.3.4", "1|2|3.4"},
        {"\\*\\{x", "*{x", ""},
        {"a*b*c", "aXbYbZc", ""},
        {"a*b*c", "aXb/Zc", NULL},
        {"a**b*c", "aXb/bZc", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct capture_names names = {0};
        struct text_pattern *pattern = NULL;
        struct error error = {""};
        struct text captures[TEXT_PATTERN_CAPTURES_MAX] = {{0}};
        char found[256] = "";
        if (text_pattern_compile(rows[i].pattern, false, &names, &pattern, &error) != STATUS_OK) {
            fail_msg("%s: %s", rows[i].pattern, error.message);
        }
        bool fits = text_pattern_match(pattern, text_of(rows[i].text), captures);
        for (uint32_t j = 0; j < names.count; j++) {
            size_t length = strlen(found);
            (void)snprintf(found + length, sizeof(found) - length, "%s%.*s", j > 0 ? "|" : "",
                           (int)captures[j].length, captures[j].length ? captures[j].data : "");
        }
        if (fits != (rows[i].expected != NULL) || (fits && strcmp(found, rows[i].expected) != 0)) {
            fail_msg("%s on %s: %s \"%s\"", rows[i].pattern, rows[i].text, fits ? "fits" : "no",
                     found);
        }
        text_pattern_destroy(pattern);
    }
}

static void refuses_patterns_that_cannot_be(void **state)
{
    (void)state;
    static const char *const patterns[] = {"{a",
                                           "{a}{b}",
                                           "*{a}",
                                           "***",
                                           "{a:word}",
                                           "{a-b}",
                                           "{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
                                           "{a_name_of_thirty_two_bytes_or_so_}"};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct capture_names names = {0};
        struct text_pattern *pattern = NULL;
        struct error error = {""};
        if (text_pattern_compile(patterns[i], false, &names, &pattern, &error) != STATUS_INVALID) {
            fail_msg("%s: compiled", patterns[i]);
        }
        assert_non_null(strstr(error.message, "expected"));
    }
}

/* The same language by plain recursion over all possibilities. */
static bool fits_slowly(const char *pattern, const char *text)
{
    if (*pattern == '\0') {
        return *text == '\0';
    }
    if (*pattern == '*') {
        bool is_deep = pattern[1] == '*';
        const char *rest = pattern + (is_deep ? 2 : 1);
        for (;; text++) {
            if (fits_slowly(rest, text)) {
                return true;
            }
            if (*text == '\0' || (!is_deep && *text == '/')) {
                return false;
            }
        }
    }
    if (*pattern == '{') { /* {x:digits} or {x} */
        bool is_digits = pattern[2] == ':';
        const char *rest = strchr(pattern, '}') + 1;
        for (; *text && (is_digits ? *text == '1' : *text != '/'); text++) {
            if (fits_slowly(rest, text + 1)) {
                return true;
            }
        }
        return false;
    }
    return *pattern == *text && fits_slowly(pattern + 1, text + 1);
}

static void agrees_with_trying_everything(void **state)
{
    (void)state;
    static const char *const parts[] = {"*", "**", "{x}", "{x:digits}"};
    static const char *const literals[] = {"a", "1", "/", "a1", "/a", "1/", "aa"};
    uint32_t seed = 7;
    uint32_t fitting = 0;
    for (int run = 0; run < 60000; run++) {
        char text[16];
        char pattern[128] = "";
        uint32_t length = 0;
        for (; length < 9; length++) {
            seed = seed * 1664525u + 1013904223u;
            text[length] = "aa1/1"[(seed >> 16) % 5];
        }
        text[(seed >> 24) % 9] = '\0';
        text[length] = '\0';
        for (uint32_t i = 0; i < 5; i++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(pattern, i % 2 ? literals[(seed >> 16) % 7] : parts[(seed >> 16) % 4]);
        }
        strcat(pattern, "1"); /* So that it does not end in a slash and **. */
        struct capture_names names = {0};
        struct text_pattern *compiled = NULL;
        struct text captures[TEXT_PATTERN_CAPTURES_MAX];
        assert_int_equal(text_pattern_compile(pattern, false, &names, &compiled, NULL), STATUS_OK);
        bool fits = text_pattern_match(compiled, text_of(text), captures);
        if (fits != fits_slowly(pattern, text)) {
            fail_msg("%s on %s: %d", pattern, text, fits);
        }
        fitting += fits;
        text_pattern_destroy(compiled);
    }
    assert_true(fitting > 500);
}

static void ignores_case_where_asked_to(void **state)
{
    (void)state;
    struct capture_names names = {0};
    struct text_pattern *pattern = NULL;
    assert_int_equal(text_pattern_compile("**BOT**", true, &names, &pattern, NULL), STATUS_OK);
    assert_true(text_pattern_match(pattern, text_of("Mozilla (Googlebot/2.1)"), NULL));
    assert_false(text_pattern_match(pattern, text_of("Mozilla"), NULL));
    text_pattern_destroy(pattern);
}

struct url_row {
    const char *text;
    enum url_part part;
    const char *name;
    const char *expected;
};

static void takes_addresses_apart(void **state)
{
    (void)state;
    static const struct url_row rows[] = {
        {"https://Shop.example:8443/a/b?x=1#top", URL_HOST, "", "shop.example"},
        {"https://u:p@shop.example", URL_HOST, "", "shop.example"},
        {"https://[::1]:80/", URL_HOST, "", "[::1]"},
        {"/a/b", URL_HOST, "", ""},
        {"https://shop.example/a/b?x=1", URL_PATH, "", "/a/b"},
        {"https://shop.example", URL_PATH, "", "/"},
        {"//shop.example/a", URL_PATH, "", "/a"},
        {"/a?x=http://y/z", URL_PATH, "", "/a"},
        {"/%DB%8C%D8%AE", URL_PATH, "", "/\xDB\x8C\xD8\xAE"},
        {"/a%2Fb%20c", URL_PATH, "", "/a%2Fb c"},
        {"/bad%ff%zz%1", URL_PATH, "", "/bad%ff%zz%1"},
        {"/nul%00", URL_PATH, "", "/nul%00"},
        {"/s?q=red+shoes%21&p=2", URL_QUERY, "q", "red shoes!"},
        {"/s?q=red+shoes&p=2", URL_QUERY, "p", "2"},
        {"/s?q=1", URL_QUERY, "x", ""},
        {"/s?pq=1&q=2", URL_QUERY, "q", "2"},
        {"q=1&r=2", URL_QUERY, "r", "2"},
        {"/s?q=a?b#c", URL_QUERY, "q", "a?b"},
        {"uid=7; theme=dark%20blue", URL_COOKIE, "theme", "dark blue"},
        {"uid=7; theme=dark", URL_COOKIE, "uid", "7"},
        {"", URL_COOKIE, "uid", ""},
    };
    struct arena arena;
    arena_init(&arena, 1024);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text part = {0};
        assert_true(
            url_part(text_of(rows[i].text), rows[i].part, text_of(rows[i].name), &arena, &part));
        if (!text_is(part, rows[i].expected)) {
            fail_msg("%s: \"%.*s\" instead of \"%s\"", rows[i].text, (int)part.length, part.data,
                     rows[i].expected);
        }
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_and_captures),
        cmocka_unit_test(refuses_patterns_that_cannot_be),
        cmocka_unit_test(agrees_with_trying_everything),
        cmocka_unit_test(ignores_case_where_asked_to),
        cmocka_unit_test(takes_addresses_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
