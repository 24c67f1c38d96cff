#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pipeline/config/settings.h"
#include "pipeline/event/mapping.h"
#include "test/fakes/fixture.h"

struct fixture {
    char *folder;
    char path[4096];
    struct event_batch batch;
    struct mapping *mapping;
    struct rejection rejection;
};

static int set_up(void **state)
{
    struct fixture *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->folder = fixture_directory();
    (void)snprintf(self->path, sizeof(self->path), "%s/m.yaml", self->folder);
    assert_int_equal(event_batch_init(&self->batch, 0, NULL), STATUS_OK);
    *state = self;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    mapping_destroy(self->mapping);
    event_batch_release(&self->batch);
    fixture_remove(self->folder);
    free(self->folder);
    free(self);
    return 0;
}

static enum status compile(struct fixture *self, const char *yaml, struct error *error)
{
    FILE *file = fopen(self->path, "w");
    assert_non_null(file);
    assert_true(fputs(yaml, file) >= 0);
    assert_int_equal(fclose(file), 0);
    mapping_destroy(self->mapping);
    self->mapping = NULL;
    return mapping_compile(self->path, &self->mapping, error);
}

static void must_compile(struct fixture *self, const char *yaml)
{
    struct error error = {""};
    if (compile(self, yaml, &error) != STATUS_OK) {
        fail_msg("%s\n%s", error.message, yaml);
    }
}

/* A record as NAME=VALUE, the values typed by a first letter: i5 n0.5 b1, else text. */
static enum mapping_result apply(struct fixture *self, const char *const *pairs)
{
    const struct text_list *sources = mapping_source_fields(self->mapping);
    struct field_value values[64] = {0};
    assert_true(sources->count <= 64);
    for (size_t i = 0; i < sources->count; i++) {
        for (const char *const *pair = pairs; *pair; pair++) {
            size_t length = strlen(sources->items[i]);
            if (strncmp(*pair, sources->items[i], length) != 0) {
                continue;
            }
            const char *value = *pair + length + 1;
            if ((*pair)[length] == '=') {
                values[i] = (struct field_value){VALUE_TEXT, text_of(value), 0, 0};
            } else if ((*pair)[length] == '#') {
                values[i] = (struct field_value){VALUE_INTEGER, {0}, strtoll(value, NULL, 10), 0};
            } else if ((*pair)[length] == '~') {
                values[i] = (struct field_value){VALUE_NUMBER, {0}, 0, strtod(value, NULL)};
            }
        }
    }
    event_batch_reset(&self->batch);
    self->rejection = (struct rejection){0};
    return mapping_apply(self->mapping, values, &self->batch, 0, &self->rejection);
}

static void must_apply(struct fixture *self, const char *const *pairs)
{
    if (apply(self, pairs) != MAPPING_EVENT) {
        fail_msg("%s", self->rejection.detail);
    }
}

static void must_have(const struct fixture *self, enum event_field field, const char *expected)
{
    struct text text = event_has(&self->batch, 0, field) ? self->batch.text[field][0] : text_of("");
    if (!text_is(text, expected)) {
        fail_msg("%s: \"%.*s\" instead of \"%s\"", event_fields[field].name, (int)text.length,
                 text.length ? text.data : "", expected);
    }
}

#define RECORD(...) ((const char *const[]){__VA_ARGS__, NULL})

#define MINIMAL "fields:\n  event_time: {from: t, format: epoch_ms}\n  type: type\n  user_id: u\n"

static void maps_fields_constants_and_words(void **state)
{
    struct fixture *self = *state;
    must_compile(self, "fields:\n"
                       "  event_time: {from: t, format: epoch_ms}\n"
                       "  type: {from: type, map: {view: product_view, '3': purchase}}\n"
                       "  user_id: {first: [u, cookie]}\n"
                       "  channel: {constant: app}\n"
                       "  category: {from: path, split: ., take: -1}\n"
                       "  brand: {from: brand, case: lower, map: {n/a: null}}\n"
                       "attributes: {colour: c, size: s}\n");
    must_apply(self, RECORD("t#1569888000000", "type= view ", "cookie=c1", "path=a.b.c",
                            "brand=N/A", "c=red"));
    assert_int_equal(self->batch.type[0], EVENT_PRODUCT_VIEW);
    assert_true(self->batch.time_ms[0] == 1569888000000);
    must_have(self, FIELD_TYPE_WORD, "product_view");
    must_have(self, FIELD_USER_ID, "c1");
    must_have(self, FIELD_CHANNEL, "app");
    must_have(self, FIELD_CATEGORY, "c");
    must_have(self, FIELD_BRAND, "");
    assert_int_equal(self->batch.attributes[0].count, 1);
    assert_true(text_is(self->batch.attributes[0].items[0].name, "colour"));
    assert_true(text_is(self->batch.attributes[0].items[0].value, "red"));

    must_apply(self, RECORD("t=1569888000000", "type#3", "u#17"));
    assert_int_equal(self->batch.type[0], EVENT_PURCHASE);
    must_have(self, FIELD_USER_ID, "17");
    assert_false(event_has(&self->batch, 0, FIELD_ATTRIBUTES));
}

static void keeps_words_that_are_no_known_type(void **state)
{
    struct fixture *self = *state;
    must_compile(self, MINIMAL);
    must_apply(self, RECORD("t#1569888000000", "type=Wishlist", "u=1"));
    assert_int_equal(self->batch.type[0], EVENT_OTHER);
    must_have(self, FIELD_TYPE_WORD, "Wishlist");
    must_apply(self, RECORD("t#1569888000000", "type=Add-To Cart", "u=1"));
    assert_int_equal(self->batch.type[0], EVENT_ADD_TO_CART);
    must_have(self, FIELD_TYPE_WORD, "add_to_cart");
}

static void joins_and_hashes_the_same_each_time(void **state)
{
    struct fixture *self = *state;
    must_compile(self, "fields:\n"
                       "  event_time: {from: t, format: epoch_ms}\n"
                       "  type: {constant: login}\n"
                       "  user_id: {join: [ip, ua], hash: true}\n"
                       "  shop: {join: [a, b], separator: '-'}\n");
    must_apply(self, RECORD("t#1569888000000", "ip=10.0.0.1", "ua=Mozilla", "a=x", "b=y"));
    /* For all time: state is kept under it. */
    must_have(self, FIELD_USER_ID, "149ea2e16314c5a0cbdd0270379885d4");
    must_have(self, FIELD_SHOP, "x-y");
    assert_int_equal(apply(self, RECORD("t#1569888000000", "a=x")), MAPPING_REJECTED);
    assert_int_equal(self->rejection.reason, REJECTION_NO_IDENTITY);
}

static void reads_prices_as_they_are_written(void **state)
{
    struct fixture *self = *state;
    must_compile(self, MINIMAL "  price: {from: p, extract: '{} *', decimal: ',', group: .}\n"
                               "  currency: {from: p, extract: '* {}'}\n");
    must_apply(self, RECORD("t#1569888000000", "type=purchase", "u=1", "p=1.234,56 eur"));
    assert_true(self->batch.price[0] == 1234560000);
    must_have(self, FIELD_CURRENCY, "EUR");

    must_compile(self, MINIMAL "  price: {from: cents, factor: 0.01}\n"
                               "  quantity: {from: q, absolute: true}\n");
    must_apply(self, RECORD("t#1569888000000", "type=refund", "u=1", "cents#1999", "q=-2.0"));
    assert_true(self->batch.price[0] == 19990000);
    assert_true(self->batch.quantity[0] == 2);
    must_apply(self, RECORD("t#1569888000000", "type=refund", "u=1", "cents~35.79"));
    assert_true(self->batch.price[0] == 357900);
    assert_false(event_has(&self->batch, 0, FIELD_QUANTITY));
}

static void reads_times_in_their_zone(void **state)
{
    struct fixture *self = *state;
    must_compile(self,
                 "fields:\n"
                 "  event_time: {from: t, format: ['%d.%m.%Y %H:%M', iso], zone: Asia/Tehran}\n"
                 "  type: {constant: login}\n"
                 "  ip: ip\n");
    must_apply(self, RECORD("t=01.10.2019 03:30", "ip=::1"));
    assert_true(self->batch.time_ms[0] == 1569888000000);
    must_apply(self, RECORD("t=2019-10-01T00:00:00Z", "ip=::1"));
    assert_true(self->batch.time_ms[0] == 1569888000000);
    assert_int_equal(mapping_traits(self->mapping).route_field, FIELD_IP);
}

static void reads_returns_and_times_in_two_columns(void **state)
{
    struct fixture *self = *state;
    must_compile(self, "rules:\n"
                       "  - when: {quantity: ..-1}\n"
                       "    type: refund\n"
                       "  - when: {kind: click, target: [buy, pay*]}\n"
                       "    type: checkout\n"
                       "fields:\n"
                       "  event_time: {join: [day, clock], separator: ' ', "
                       "format: ['%m/%d/%Y %H:%M', epoch_s]}\n"
                       "  type: {constant: purchase}\n"
                       "  user_id: customer\n"
                       "  quantity: {from: quantity, absolute: true}\n");
    must_apply(self, RECORD("day=10/1/2019", "clock=0:00", "customer#7", "quantity#-3"));
    assert_true(self->batch.time_ms[0] == 1569888000000);
    assert_int_equal(self->batch.type[0], EVENT_REFUND);
    assert_true(self->batch.quantity[0] == 3);
    must_apply(self, RECORD("day=10/1/2019", "clock=0:00", "customer#7", "quantity#3"));
    assert_int_equal(self->batch.type[0], EVENT_PURCHASE);
    must_apply(self,
               RECORD("day=10/1/2019", "clock=0:00", "customer#7", "kind=click", "target=pay1"));
    assert_int_equal(self->batch.type[0], EVENT_CHECKOUT);

    must_compile(self, "fields:\n"
                       "  event_time: {from: t, format: epoch_s}\n"
                       "  type: {from: is_login, map: {'true': login, 'false': login_failed}}\n"
                       "  ip: ip\n");
    must_apply(self, RECORD("t~1569888000.25", "is_login=false", "ip=1.2.3.4"));
    assert_true(self->batch.time_ms[0] == 1569888000250);
    assert_int_equal(self->batch.type[0], EVENT_LOGIN_FAILED);
}

#define LOG                                                                                        \
    "let:\n"                                                                                       \
    "  page: {from: url, part: path}\n"                                                            \
    "  q: {from: url, part: query.q}\n"                                                            \
    "rules:\n"                                                                                     \
    "  - when: {page: ['/img/**', '**.js']}\n"                                                     \
    "    skip: true\n"                                                                             \
    "  - when: {user_agent: {any: '**bot**', ignore_case: true}, status: 200..}\n"                 \
    "    type: impression\n"                                                                       \
    "    attributes: {is_bot: {constant: 'yes'}}\n"                                                \
    "  - when: {page: ['/p/{item}-{name}', '/p/{item}'], status: [200..299, 304]}\n"               \
    "    type: product_view\n"                                                                     \
    "    set: {brand: '{name}'}\n"                                                                 \
    "  - when: {page: '/cart/{item}', method: {not: [GET, HEAD]}}\n"                               \
    "    type: add_to_cart\n"                                                                      \
    "    set: {quantity: n}\n"                                                                     \
    "  - when: {page: /search, q: '{text:**}'}\n"                                                  \
    "    type: search\n"                                                                           \
    "  - when: {referrer: null, status: 500..}\n"                                                  \
    "    skip: true\n"                                                                             \
    "  - type: page_view\n"                                                                        \
    "fields:\n"                                                                                    \
    "  event_time: {from: time, format: epoch_s}\n"                                                \
    "  user_id: {from: cookie, part: cookie.uid}\n"                                                \
    "attributes: [status]\n"

static void decides_types_by_address(void **state)
{
    struct fixture *self = *state;
    must_compile(self, LOG);
    assert_true(mapping_traits(self->mapping).drops_rows);
#define HIT(...) RECORD("time#1569888000", "cookie=a=1; uid=7", "method=GET", __VA_ARGS__)
    assert_int_equal(apply(self, HIT("url=/img/x.png")), MAPPING_SKIPPED);
    assert_int_equal(apply(self, HIT("url=https://s.example/a/app.js?v=1")), MAPPING_SKIPPED);

    must_apply(self, HIT("url=/p/12-red%20shoe?x=1", "status=200"));
    assert_int_equal(self->batch.type[0], EVENT_PRODUCT_VIEW);
    must_have(self, FIELD_ITEM, "12");
    must_have(self, FIELD_BRAND, "red shoe");
    must_have(self, FIELD_USER_ID, "7");

    must_apply(self, HIT("url=/p/12", "status#304"));
    must_have(self, FIELD_ITEM, "12");
    must_have(self, FIELD_BRAND, ""); /* Nothing is left over from a pattern that did not fit. */

    must_apply(self, HIT("url=/p/12", "status=404", "referrer=x"));
    assert_int_equal(self->batch.type[0], EVENT_PAGE_VIEW);
    must_have(self, FIELD_ITEM, "");

    must_apply(self, HIT("url=/p/12", "status=200", "user_agent=GoogleBot/2"));
    assert_int_equal(self->batch.type[0], EVENT_IMPRESSION);
    assert_int_equal(self->batch.attributes[0].count, 2);

    must_apply(self, HIT("url=/search?q=red+shoes", "status=200"));
    assert_int_equal(self->batch.type[0], EVENT_SEARCH);
    must_have(self, FIELD_TEXT, "red shoes");

    must_apply(self, HIT("url=/cart/9", "n=2", "status=200"));
    assert_int_equal(self->batch.type[0], EVENT_PAGE_VIEW);
    must_apply(self,
               RECORD("time#1569888000", "cookie=uid=7", "method=POST", "url=/cart/9", "n=2"));
    assert_int_equal(self->batch.type[0], EVENT_ADD_TO_CART);
    assert_true(self->batch.quantity[0] == 2);

    assert_int_equal(apply(self, HIT("url=/x", "status=503")), MAPPING_SKIPPED);
    must_apply(self, HIT("url=/x", "status=503", "referrer=y"));
}

struct refusal_row {
    const char *name;
    const char *record[8];
    enum rejection_reason reason;
    const char *detail;
};

static void rejects_impossible_values(void **state)
{
    struct fixture *self = *state;
    static const struct refusal_row rows[] = {
        {"no time", {"type=login", "u=1"}, REJECTION_NO_TIME, "event_time: \"\": expected milli"},
        {"bad time", {"t=soon", "type=login", "u=1"}, REJECTION_NO_TIME, "event_time: \"soon\""},
        {"too early", {"t#946684799999", "type=a", "u=1"}, REJECTION_TIME_OUT_OF_RANGE, "2000"},
        {"too late", {"t#4102444800000", "type=a", "u=1"}, REJECTION_TIME_OUT_OF_RANGE, "2099"},
        {"no type", {"t#1569888000000", "type= ", "u=1"}, REJECTION_NO_TYPE, "type: \"\""},
        {"no identity", {"t#1569888000000", "type=a", "u=  "}, REJECTION_NO_IDENTITY, "user id"},
        {"negative price",
         {"t#1569888000000", "type=a", "u=1", "p=-3.5"},
         REJECTION_NEGATIVE_PRICE,
         "price: \"-3.500000\": expected zero or more"},
        {"no number",
         {"t#1569888000000", "type=a", "u=1", "p=NaN"},
         REJECTION_BAD_NUMBER,
         "\"NaN\""},
        {"not finite",
         {"t#1569888000000", "type=a", "u=1", "p~nan"},
         REJECTION_BAD_NUMBER,
         "\"nan\""},
        {"too much",
         {"t#1569888000000", "type=a", "u=1", "p=1e13"},
         REJECTION_OUT_OF_RANGE,
         "price"},
        {"too much for 64 bits",
         {"t#1569888000000", "type=a", "u=1", "p=1e40"},
         REJECTION_OUT_OF_RANGE,
         "price: \"1e40\""},
        {"half a piece",
         {"t#1569888000000", "type=a", "u=1", "q=1.5"},
         REJECTION_BAD_NUMBER,
         "whole"},
        {"minus one piece",
         {"t#1569888000000", "type=a", "u=1", "q=-1"},
         REJECTION_OUT_OF_RANGE,
         "\"-1\""},
        {"bad UTF-8",
         {"t#1569888000000", "type=a", "u=a\xFF\"\n"},
         REJECTION_BAD_UTF8,
         "user_id: \"a??\": expected valid UTF-8"},
        {"currency", {"t#1569888000000", "type=a", "u=1", "c=Euro"}, REJECTION_OUT_OF_RANGE, "EUR"},
    };
    must_compile(self, MINIMAL "  price: p\n  quantity: q\n  currency: c\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum mapping_result result = apply(self, rows[i].record);
        if (result != MAPPING_REJECTED || self->rejection.reason != rows[i].reason ||
            !strstr(self->rejection.detail, rows[i].detail)) {
            fail_msg("%s: %d %s: %s", rows[i].name, (int)result,
                     rejection_names[self->rejection.reason], self->rejection.detail);
        }
    }
}

static void rejects_texts_that_are_too_long(void **state)
{
    struct fixture *self = *state;
    must_compile(self, MINIMAL);
    size_t length = EVENT_TEXT_BYTES_MAX + 1;
    char *pair = malloc(length + 3);
    assert_non_null(pair);
    memset(pair, 'x', length + 2);
    memcpy(pair, "u=", 2);
    pair[length + 2] = '\0';
    assert_int_equal(apply(self, RECORD("t#1569888000000", "type=a", pair)), MAPPING_REJECTED);
    assert_int_equal(self->rejection.reason, REJECTION_TEXT_TOO_LONG);
    assert_true(strlen(self->rejection.detail) < sizeof(self->rejection.detail) - 1);
    pair[length + 1] = '\0';
    must_apply(self, RECORD("t#1569888000000", "type=a", pair));
    free(pair);
}

struct complaint_row {
    const char *yaml;
    const char *expected; /* Part of the message. */
};

static void refuses_mappings_with_file_line_and_nearest_name(void **state)
{
    struct fixture *self = *state;
    static const struct complaint_row rows[] = {
        {"feilds: {}\n", "m.yaml:1"},
        {"feilds: {}\n", "fields"},
        {MINIMAL "  prise: p\n", "m.yaml:5: prise: expected a field of the event"},
        {MINIMAL "  prise: p\n", "did you mean price?"},
        {MINIMAL "  price: {form: p}\n", "from"},
        {MINIMAL "  price: {from: p, constant: 1}\n", "expected one of from"},
        {MINIMAL "  price: {decimal: '.'}\n", "expected from, constant, first or join"},
        {MINIMAL "  price: {from: p, decimal: x}\n", "\"x\""},
        {MINIMAL "  price: {from: p, group: .}\n", "another mark"},
        {MINIMAL "  price: {from: p, factor: zero}\n", "factor"},
        {MINIMAL "  price: {from: p, format: iso}\n", "goes with the field event_time only"},
        {MINIMAL "  item: {from: p, part: pth}\n", "query.NAME"},
        {MINIMAL "  item: {from: p, extract: '*'}\n", "one capture"},
        {MINIMAL "  item: {from: p, take: 1}\n", "expected split"},
        {MINIMAL "  item: {from: p, split: ',', take: 0}\n", "number of a piece"},
        {MINIMAL "  item: {from: p, map: []}\n", "expected words"},
        {MINIMAL "  item: {from: '{x}'}\n", "capture"},
        {MINIMAL "  item: []\n", "expected a source field"},
        {MINIMAL "  attributes: {a: b}\n", "beside the fields"},
        {"fields:\n  event_time: {from: t, format: epoch}\n  type: x\n  ip: i\n",
         "m.yaml:2: format: \"epoch\""},
        {"fields:\n  event_time: {from: t, zone: Mars}\n  type: x\n  ip: i\n", "zone: \"Mars\""},
        {"fields:\n  event_time: t\n  type: {from: x, map: {v: prodct_view}}\n  ip: i\n",
         "did you mean product_view?"},
        {"fields:\n  event_time: t\n  type: {constant: veiw}\n  ip: i\n",
         "expected a type of event"},
        {"fields:\n  type: x\n  ip: i\n", "expected the field event_time"},
        {"fields:\n  event_time: t\n  ip: i\n", "expected the field type"},
        {"fields:\n  event_time: t\n  type: x\n", "expected one of the fields user_id"},
        {"", "expected the field event_time"},
        {MINIMAL "route_by: ip\n", "expected the field ip to be mapped"},
        {MINIMAL "route_by: brand\n", "expected user_id"},
        {MINIMAL "trust_session_hint: true\n", "session_hint"},
        {MINIMAL "trust_session_hint: perhaps\n", "trust_session_hint"},
        {MINIMAL "rules: {}\n", "expected a list"},
        {MINIMAL "rules:\n  - when: {p: '/a'}\n", "expected either skip"},
        {MINIMAL "rules:\n  - when: {p: '/a'}\n    skip: true\n    type: login\n",
         "expected either skip"},
        {MINIMAL "rules:\n  - when: {p: '{a'}\n    skip: true\n",
         "m.yaml:6: p: \"{a\": expected }"},
        {MINIMAL "rules:\n  - when: {p: {not: '{a}'}}\n    skip: true\n", "no captures"},
        {MINIMAL "rules:\n  - when: {p: {nto: a}}\n    skip: true\n", "not"},
        {MINIMAL "rules:\n  - type: login\n  - type: search\n", "never"},
        {MINIMAL "rules:\n  - type: logn\n", "did you mean login?"},
        {MINIMAL "rules:\n  - type: login\n    set: {type: x}\n", "once"},
        {"let: [a]\n" MINIMAL, "names and values"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error error = {""};
        enum status status = compile(self, rows[i].yaml, &error);
        if (status != STATUS_INVALID || !strstr(error.message, rows[i].expected)) {
            fail_msg("row %zu: %d \"%s\" instead of \"%s\"", i, (int)status, error.message,
                     rows[i].expected);
        }
    }
    assert_int_equal(mapping_compile("no/such/file.yaml", &self->mapping, NULL), STATUS_INVALID);
}

static void takes_canonical_events_field_for_field(void **state)
{
    struct fixture *self = *state;
    assert_int_equal(mapping_compile(NULL, &self->mapping, NULL), STATUS_OK);
    assert_true(mapping_is_canonical(self->mapping));
    assert_int_equal(mapping_source_fields(self->mapping)->count, FIELD_ATTRIBUTES);
    assert_int_equal(mapping_traits(self->mapping).route_field, FIELD_USER_ID);
    must_apply(self, RECORD("event_time#1569888000000", "type=purchase", "user_id=1",
                            "price#35790000", "quantity=2", "currency=usd", "event_id=e1"));
    assert_true(self->batch.price[0] == 35790000);
    assert_true(self->batch.quantity[0] == 2);
    must_have(self, FIELD_CURRENCY, "USD");
    must_have(self, FIELD_EVENT_ID, "e1");
}

static void cleans_rows_that_a_decoder_filled(void **state)
{
    struct fixture *self = *state;
    struct event_batch *batch = &self->batch;
    static const struct attribute attributes[] = {{{"a", 1}, {" x ", 3}}, {{"b", 1}, {"y", 1}}};
    batch->time_ms[0] = 1569888000000;
    batch->text[FIELD_TYPE_WORD][0] = text_of(" Purchase");
    batch->text[FIELD_DEVICE_ID][0] = text_of(" Cafe\xCC\x81 ");
    batch->text[FIELD_ITEM][0] = text_of("   ");
    batch->price[0] = 5;
    batch->attributes[0] = (struct attribute_list){attributes, 2};
    batch->present[0] = 1ull << FIELD_EVENT_TIME | 1ull << FIELD_TYPE_WORD |
                        1ull << FIELD_DEVICE_ID | 1ull << FIELD_ITEM | 1ull << FIELD_PRICE |
                        1ull << FIELD_ATTRIBUTES;
    assert_int_equal(mapping_clean_row(batch, 0, &self->rejection), MAPPING_EVENT);
    assert_int_equal(batch->type[0], EVENT_PURCHASE);
    must_have(self, FIELD_DEVICE_ID, "Caf\xC3\xA9");
    assert_false(event_has(batch, 0, FIELD_ITEM));
    assert_true(text_is(batch->attributes[0].items[0].value, "x"));
    assert_true(text_is(batch->attributes[0].items[1].value, "y"));
    assert_int_equal(mapping_clean_row(batch, 0, &self->rejection), MAPPING_EVENT);

    batch->price[0] = -1;
    assert_int_equal(mapping_clean_row(batch, 0, &self->rejection), MAPPING_REJECTED);
    assert_int_equal(self->rejection.reason, REJECTION_NEGATIVE_PRICE);
    assert_string_equal(self->rejection.detail, "price: \"-0.000001\": expected zero or more");
    batch->present[0] &= ~(1ull << FIELD_EVENT_TIME);
    assert_int_equal(mapping_clean_row(batch, 0, &self->rejection), MAPPING_REJECTED);
    assert_int_equal(self->rejection.reason, REJECTION_NO_TIME);
}

/* The blocks of YAML in the README are whole mappings, for people to copy. */
static void compiles_the_examples_of_its_readme(void **state)
{
    struct fixture *self = *state;
    FILE *file = fopen("schemas/mappings/README.md", "r");
    assert_non_null(file);
    char line[512];
    char block[8192] = "";
    bool is_yaml = false;
    uint32_t examples = 0;
    while (fgets(line, sizeof(line), file)) {
        if (strcmp(line, "```yaml\n") == 0) {
            is_yaml = true;
            block[0] = '\0';
        } else if (is_yaml && strcmp(line, "```\n") == 0) {
            is_yaml = false;
            must_compile(self, block);
            if (examples++ == 0) {
                must_apply(self,
                           RECORD("ts#1569888000123", "action=basket-add", "cookie=sid=9; lang=de",
                                  "page=https://shop.example/p/4711-red-shoe?ref=mail",
                                  "price=1.234,56 EUR", "qty#1"));
                must_have(self, FIELD_ITEM, "4711");
                must_have(self, FIELD_USER_ID, "9");
                must_have(self, FIELD_CURRENCY, "EUR");
                assert_true(self->batch.price[0] == 1234560000);
                assert_int_equal(self->batch.type[0], EVENT_ADD_TO_CART);
            }
        } else if (is_yaml) {
            assert_true(strlen(block) + strlen(line) < sizeof(block));
            strcat(block, line);
        }
    }
    (void)fclose(file);
    assert_int_equal(examples, 2);
}

static void count_line(void *context, const char *text)
{
    assert_true(strlen(text) > 0);
    *(int *)context += 1;
}

static void describes_what_it_does(void **state)
{
    struct fixture *self = *state;
    int lines = 0;
    must_compile(self, LOG);
    mapping_describe(self->mapping, count_line, &lines);
    assert_int_equal(lines, 1 + 2 + 7 + 2 + 3 + 3 + 2 + 1 + 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(maps_fields_constants_and_words),
        TEST(keeps_words_that_are_no_known_type),
        TEST(joins_and_hashes_the_same_each_time),
        TEST(reads_prices_as_they_are_written),
        TEST(reads_times_in_their_zone),
        TEST(reads_returns_and_times_in_two_columns),
        TEST(decides_types_by_address),
        TEST(rejects_impossible_values),
        TEST(rejects_texts_that_are_too_long),
        TEST(refuses_mappings_with_file_line_and_nearest_name),
        TEST(takes_canonical_events_field_for_field),
        TEST(cleans_rows_that_a_decoder_filled),
        TEST(compiles_the_examples_of_its_readme),
        TEST(describes_what_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
