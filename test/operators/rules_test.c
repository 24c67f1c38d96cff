#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "operators/rule_limits.h"
#include "test/fakes/fixture.h"
#include "test/fuzz/expression_random.h"

#define ALERT "alert: {reason: hello}"
#define OFFER "promotion: {kind: coupon, value: 5, currency: EUR, valid_for: 1d}"

static enum status compile(const char *yaml, uint64_t shown, struct rule_set **set,
                           struct error *error)
{
    struct yaml_document *document = NULL;
    enum status status = yaml_parse("shop.yaml", yaml, strlen(yaml), &document, error);
    if (status == STATUS_OK) {
        status =
            rules_compile(yaml_root(document), NULL, &random_feature_set, NULL, shown, set, error);
    }
    yaml_unload(document);
    return status;
}

static struct rule_set *must_compile(const char *yaml, uint64_t shown)
{
    struct rule_set *set = NULL;
    struct error error = {""};
    if (compile(yaml, shown, &set, &error) != STATUS_OK || !set) {
        fail_msg("%s", error.message);
    }
    return set;
}

struct mistake {
    const char *yaml;
    const char *message; /* Its beginning. */
};

static const struct mistake mistakes[] = {
    {"{a: 1}", "shop.yaml:1: expected a list of rules"},
    {"- name: a\n  iff: x\n", "shop.yaml:2: iff: unknown key; did you mean \"if\"?"},
    {"- on: any\n  " ALERT, "shop.yaml:1: the setting \"name\" is missing"},
    {"- name: a\n  " ALERT, "shop.yaml:1: the setting \"on\" is missing"},
    {"- name: a b\n  on: any\n  " ALERT, "shop.yaml:1: name: \"a b\": expected letters"},
    {"- name: a\n  on: purchse\n  " ALERT,
     "shop.yaml:2: on: \"purchse\": expected an event type, a list of them, any, session_end, "
     "{idle_cart: TIME} or {after: {event: TYPE, delay: TIME}}; did you mean \"purchase\"?"},
    {"- name: a\n  on: [search, chekout]\n  " ALERT,
     "shop.yaml:2: on: \"chekout\": expected an event type"},
    {"- name: a\n  on: [search, any]\n  " ALERT,
     "shop.yaml:2: on: \"any\" stands alone, not in a list"},
    {"- name: a\n  on: []\n  " ALERT, "shop.yaml:2: on: an empty list"},
    {"- name: a\n  on: {idle_cat: 3m}\n  " ALERT,
     "shop.yaml:2: idle_cat: unknown key; did you mean \"idle_cart\"?"},
    {"- name: a\n  on: {idle_cart: 3m, after: {event: search, delay: 1d}}\n  " ALERT,
     "shop.yaml:2: on: expected either idle_cart or after"},
    {"- name: a\n  on: {idle_cart: 3}\n  " ALERT, "shop.yaml:2: idle_cart: \"3\": expected a "},
    {"- name: a\n  on: {idle_cart: 10ms}\n  " ALERT,
     "shop.yaml:2: idle_cart: \"10ms\": expected 1s to 400d"},
    {"- name: a\n  on: {after: {event: purchase}}\n  " ALERT,
     "shop.yaml:2: after: the setting \"delay\" is missing"},
    {"- name: a\n  on: {after: {event: purchase, delay: 500d}}\n  " ALERT,
     "shop.yaml:2: delay: \"500d\""},
    {"- name: a\n  on: any\n  if: fraud_scor > 1\n  " ALERT,
     "shop.yaml:3: if: column 1: unknown name \"fraud_scor\": did you mean \"fraud_score\"?"},
    {"- name: a\n  on: any\n  if: price\n  " ALERT,
     "shop.yaml:3: if: column 1: expected a condition, got a number"},
    {"- name: a\n  on: any\n  if: price > channel\n  " ALERT,
     "shop.yaml:3: if: column 7: \">\" needs two numbers, got number and text"},
    {"- name: a\n  on: any\n", "shop.yaml:1: rule \"a\": expected either alert or promotion, "
                               "got neither"},
    {"- name: a\n  on: any\n  " ALERT "\n  " OFFER,
     "shop.yaml:1: rule \"a\": expected either alert or promotion, got both"},
    {"- name: a\n  on: any\n  alert: {reason: x, severity: hihg}",
     "shop.yaml:3: severity: \"hihg\""},
    {"- name: a\n  on: any\n  alert: {severity: high}",
     "shop.yaml:3: alert: the setting \"reason\" is missing"},
    {"- name: a\n  on: any\n  alert:\n    reason: \"{prize}\"",
     "shop.yaml:4: reason: \"{prize}\": column 1: unknown name \"prize\": did you mean "
     "\"price\"?"},
    {"- name: a\n  on: any\n  alert:\n    reason: \"a {price\"",
     "shop.yaml:4: reason: column 3: the brace that opens here has no end"},
    {"- name: a\n  on: any\n  alert:\n    reason: \"{user_id}\"",
     "shop.yaml:4: reason: user_id is of class identity"},
    {"- name: a\n  on: any\n  alert:\n    reason: \"{lower(text)}\"",
     "shop.yaml:4: reason: text is of class content"},
    {"- name: a\n  on: any\n  promotion: {kind: coupn, valid_for: 1d}",
     "shop.yaml:3: kind: \"coupn\""},
    {"- name: a\n  on: any\n  promotion: {kind: reminder}",
     "shop.yaml:3: promotion: the setting \"valid_for\" is missing"},
    {"- name: a\n  on: any\n  promotion: {kind: coupon, valid_for: 1d}",
     "shop.yaml:3: promotion: a coupon needs a value and currency, or a percentage"},
    {"- name: a\n  on: any\n  promotion: {kind: coupon, value: 3, valid_for: 1d}",
     "shop.yaml:3: value: a value needs a currency"},
    {"- name: a\n  on: any\n  promotion: {kind: coupon, value: 3, currency: euro, valid_for: "
     "1d}",
     "shop.yaml:3: currency: \"euro\": expected three capital letters"},
    {"- name: a\n  on: any\n  promotion: {kind: coupon, value: -3, currency: EUR, valid_for: "
     "1d}",
     "shop.yaml:3: value: \"-3\""},
    {"- name: a\n  on: any\n  cooldown: soon\n  " ALERT, "shop.yaml:3: cooldown: \"soon\""},
    {"- name: a\n  on: any\n  cap: {count: 0, per: 1d}\n  " ALERT, "shop.yaml:3: count: \"0\""},
    {"- name: a\n  on: any\n  cap: {count: 300, per: 1d}\n  " ALERT, "shop.yaml:3: count: \"300\""},
    {"- name: a\n  on: any\n  cap: {count: 3}\n  " ALERT,
     "shop.yaml:3: cap: the setting \"per\" is missing"},
    {"- name: a\n  on: any\n  budget: {per: day}\n  " OFFER,
     "shop.yaml:3: budget: expected either amount or count"},
    {"- name: a\n  on: any\n  budget: {amount: 5, per: day}\n  " ALERT,
     "shop.yaml:3: amount: an amount needs a promotion with a value"},
    {"- name: a\n  on: any\n  budget: {count: 5, per: week}\n  " ALERT,
     "shop.yaml:3: per: \"week\""},
    {"- name: a\n  on: any\n  holdout: {share: 1.5}\n  " ALERT, "shop.yaml:3: share: \"1.5\""},
    {"- name: a\n  on: any\n  priority: high\n  " ALERT, "shop.yaml:3: priority: \"high\""},
    {"- name: a\n  on: any\n  " ALERT "\n- name: a\n  on: any\n  " ALERT,
     "shop.yaml:4: name: \"a\": a rule of this name stands in shop.yaml:1 already"},
};

static void mistakes_are_refused_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
        struct rule_set *set = NULL;
        struct error error = {""};
        enum status status = compile(mistakes[i].yaml, 0, &set, &error);
        if (status != STATUS_INVALID ||
            strncmp(error.message, mistakes[i].message, strlen(mistakes[i].message)) != 0) {
            print_error("%s\n  expected: %s\n  got:      %s\n", mistakes[i].yaml,
                        mistakes[i].message, status == STATUS_OK ? "(no error)" : error.message);
            fail();
        }
    }
}

static void rules_are_ranked_by_priority_then_name(void **state)
{
    (void)state;
    struct rule_set *set =
        must_compile("- {name: b, on: any, alert: {reason: x}}\n"
                     "- {name: a, on: session_end, alert: {reason: x}}\n"
                     "- {name: c, on: {idle_cart: 90s}, priority: 5, alert: {reason: x}}\n"
                     "- {name: d, on: {after: {event: purchase, delay: 3d}}, priority: -1,\n"
                     "   alert: {reason: x}}\n",
                     0);
    assert_int_equal(set->count, 4);
    assert_string_equal(set->rules[0].name, "c");
    assert_string_equal(set->rules[1].name, "a");
    assert_string_equal(set->rules[2].name, "b");
    assert_string_equal(set->rules[3].name, "d");
    assert_int_equal(set->delay_min_ms, 90000);
    assert_int_equal(set->output_count, 2);
    rule_set_destroy(set);
}

static uint64_t hash_of(const char *yaml)
{
    struct rule_set *set = must_compile(yaml, 0);
    uint64_t hash = set->hash;
    rule_set_destroy(set);
    return hash;
}

static void the_hash_tells_what_rules_say_and_not_their_order(void **state)
{
    (void)state;
    const char *a = "- {name: a, on: any, if: price > 1, alert: {reason: \"x {price}\"}}\n"
                    "- {name: b, on: any, if: price > 2, alert: {reason: x}}\n";
    const char *swapped =
        "- {name: b, on: any, if: price > 2, alert: {reason: x}}\n"
        "- {name: a, on: any, if: price > 1, doc: y, alert: {reason: \"x {price}\"}}\n";
    const char *other = "- {name: a, on: any, if: price > 1, alert: {reason: \"x {price}\"}}\n"
                        "- {name: b, on: any, if: price > 2.5, alert: {reason: x}}\n";
    assert_true(hash_of(a) == hash_of(swapped));
    assert_true(hash_of(a) != hash_of(other));
}

static void rules_come_from_a_file_too(void **state)
{
    (void)state;
    char *directory = fixture_directory();
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/rules.yaml", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("rules:\n  - {name: a, on: any, alert: {reason: x}}\n  - {name: b, on: any}\n",
                file);
    (void)fclose(file);
    struct rule_set *set = NULL;
    struct error error = {""};
    char expected[600];
    assert_int_equal(rules_compile(NULL, path, &random_feature_set, NULL, 0, &set, &error),
                     STATUS_INVALID);
    (void)snprintf(expected, sizeof(expected),
                   "%s:3: rule \"b\": expected either alert or promotion, got neither", path);
    assert_string_equal(error.message, expected);
    assert_int_equal(
        rules_compile(NULL, "/nowhere/rules.yaml", &random_feature_set, NULL, 0, &set, &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.message, "/nowhere/rules.yaml"));
    fixture_remove(directory);
    free(directory);
}

static void reasons_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *expected;
    } rows[] = {
        {"plain", "plain"},
        {"{price}", "49.9"},
        {"{price:.0} and {price:.3}!", "50 and 49.900!"},
        {"{quantity} x {item}, {brand}", "2 x shoe, ?"},
        {"{if(price > 3, 1, 0)} {price > 3} {type}", "1 yes purchase"},
        {"{default(stock, 0)} {stock}", "0 ?"},
        {"{starts_with(item, \"}\")}", "no"},
    };
    struct event_batch batch;
    assert_int_equal(event_batch_init(&batch, RANDOM_FEATURES, NULL), STATUS_OK);
    batch.type[0] = EVENT_PURCHASE;
    batch.price[0] = 49900000;
    batch.quantity[0] = 2;
    batch.text[FIELD_ITEM][0] = text_of("shoe");
    batch.present[0] =
        UINT64_C(1) << FIELD_PRICE | UINT64_C(1) << FIELD_QUANTITY | UINT64_C(1) << FIELD_ITEM;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct expression_program *program = NULL;
        struct rule_template template;
        struct error error = {""};
        assert_int_equal(expression_program_create(&random_feature_set, NULL, &program, NULL),
                         STATUS_OK);
        assert_int_equal(rule_template_compile(program, rows[i].source, 0, &template, &error),
                         STATUS_OK);
        struct text text = rule_template_render(&template, program, &batch, 0, &batch.arena);
        if (!text_is(text, rows[i].expected)) {
            print_error("%s: expected %s, got %.*s\n", rows[i].source, rows[i].expected,
                        (int)text.length, text.data);
            fail();
        }
        rule_template_release(&template);
        expression_program_destroy(program);
    }
    event_batch_release(&batch);
}

static void holdout_shares_are_kept_and_salts_are_shared(void **state)
{
    (void)state;
    struct rule_set *set =
        must_compile("- {name: a, on: any, alert: {reason: x}, holdout: {share: 0.1, salt: one}}\n"
                     "- {name: b, on: any, alert: {reason: x}, holdout: {share: 0.1, salt: one}}\n"
                     "- {name: c, on: any, alert: {reason: x}, holdout: {share: 0.3}}\n",
                     0);
    enum { USERS = 100000 };
    uint32_t held[3] = {0};
    uint32_t both = 0;
    for (uint64_t user = 0; user < USERS; user++) {
        struct key128 key = {user * 0x9E3779B97F4A7C15u, user};
        bool in[3];
        for (int k = 0; k < 3; k++) {
            in[k] = rule_holds_out(&set->rules[k], key);
            held[k] += in[k];
        }
        assert_true(in[0] == in[1]);
        both += in[0] && in[2];
    }
    /* Four standard deviations of a binomial: 95 and 145 each; the product of independent ones 54.
     */
    assert_in_range(held[0], 10000 - 380, 10000 + 380);
    assert_in_range(held[2], 30000 - 580, 30000 + 580);
    assert_in_range(both, 3000 - 216, 3000 + 216);
    rule_set_destroy(set);
}

struct lines {
    char text[8192];
    size_t length;
};

static void add_line(void *context, const char *text)
{
    struct lines *lines = context;
    lines->length += (size_t)snprintf(lines->text + lines->length,
                                      sizeof(lines->text) - lines->length, "%s\n", text);
}

static void rules_describe_themselves(void **state)
{
    (void)state;
    struct rule_set *set = NULL;
    struct lines lines = {.length = 0};
    set = must_compile("- name: cart\n  on: {idle_cart: 10m}\n  if: abandon_score > 0.6\n  " OFFER
                       "\n  cap: {count: 2, per: 30d}\n  cooldown: 1d\n"
                       "  budget: {amount: 90, per: day}\n  holdout: {share: 0.1, salt: s}\n",
                       0);
    rule_set_describe(set, 4, add_line, &lines);
    static const char *const expected[] = {
        "cart (priority 0)",
        "when a filled cart was not touched for 10m",
        "if abandon_score > 0.6",
        "promotion: coupon of 5 EUR, valid for 1d",
        "cool-down: 1d",
        "cap: 2 for each user in 30d",
        "budget: 90.00 EUR a day, 22.50 for each of 4 partitions",
        "hold-out: 10% of users, salt \"s\"",
        "explained by the terms of the abandon score",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        if (!strstr(lines.text, expected[i])) {
            print_error("missing: %s\nin:\n%s", expected[i], lines.text);
            fail();
        }
    }
    rule_set_destroy(set);
}

/* Nine limited rules for eight places. */
static void a_full_table_of_limits_suppresses_until_a_place_is_free(void **state)
{
    (void)state;
    char yaml[2048];
    size_t length = 0;
    for (int i = 0; i < 9; i++) {
        length += (size_t)snprintf(yaml + length, sizeof(yaml) - length,
                                   "- {name: r%d, on: any, alert: {reason: x}, cooldown: %dm}\n", i,
                                   10 + i);
    }
    struct rule_set *set = must_compile(yaml, 0);
    struct user_limits user = {0};
    const int64_t now_ms = INT64_C(1570000000000);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(limits_ask(&user, set, &set->rules[i], now_ms), SUPPRESSED_NOT);
        limits_note(&user, set, &set->rules[i], now_ms);
        assert_int_equal(limits_ask(&user, set, &set->rules[i], now_ms), SUPPRESSED_COOLDOWN);
    }
    const struct rule *last = &set->rules[8];
    assert_int_equal(limits_ask(&user, set, last, now_ms), SUPPRESSED_LIMITS_FULL);
    assert_int_equal(limits_ask(&user, set, last, now_ms + 599999), SUPPRESSED_LIMITS_FULL);
    assert_int_equal(limits_ask(&user, set, last, now_ms + 600000), SUPPRESSED_NOT);
    limits_note(&user, set, last, now_ms + 600000);
    assert_int_equal(limits_ask(&user, set, &set->rules[0], now_ms + 600000),
                     SUPPRESSED_LIMITS_FULL);
    rule_set_destroy(set);
}

#define OLD_RULES                                                                                  \
    "- {name: a, on: {idle_cart: 10m}, alert: {reason: x}}\n"                                      \
    "- {name: b, on: {after: {event: purchase, delay: 1h}}, alert: {reason: x}}\n"                 \
    "- {name: c, on: any, alert: {reason: x}, cap: {count: 3, per: 1d}}\n"

/* As version 2 wrote them: a deadline had one more than a number of 48 bits in place of a start. */
static struct user_limits limits_of_version_2(const struct rule_set *set)
{
    struct user_limits old = {.cart_touched_ms = 5, .cart_pieces = 2, .cart_cause = 100};
    uint32_t tag = set->rules[1].deadline_tag;
    old.places[3] = (struct limit_place){.last = UINT64_C(7) << 16 | (tag & 0xFFFF),
                                         .start = UINT64_C(43) << 16 | (tag >> 16 & 0xFF) << 8};
    tag = set->rules[2].limit_tag;
    old.places[7] = (struct limit_place){.last = UINT64_C(90) << 16 | (tag & 0xFFFF),
                                         .start = UINT64_C(80) << 16 | (tag >> 16 & 0xFF) << 8 | 3};
    return old;
}

static void limits_and_deadlines_of_older_versions_are_kept_without_their_places(void **state)
{
    (void)state;
    struct rule_set *set = must_compile(OLD_RULES, 0);
    const struct user_limits old = limits_of_version_2(set);
    for (uint16_t version = 1; version <= 2; version++) {
        uint32_t length = sizeof(old) - (version == 1 ? sizeof(old.cart_cause) : 0);
        struct user_limits read = {0};
        assert_true(user_limits_upgrade(version, &old, length, &read));
        assert_false(user_limits_upgrade(version, &old, length - 8, &read));
        struct rule_cause cause = deadline_cause(&read, &set->rules[0]);
        assert_true(cause.time_ms == 5 && cause.place == PLACE_UNKNOWN);
        assert_int_equal(deadlines_next(&read, set), 5 + 600000);
        assert_true(deadline_is_pending(&read, &set->rules[1]));
        cause = deadline_cause(&read, &set->rules[1]);
        assert_true(cause.time_ms == 7 && cause.place == PLACE_UNKNOWN);
        assert_int_equal(limits_ask(&read, set, &set->rules[2], 91), SUPPRESSED_CAP);
        assert_memory_equal(&read.places[7], &old.places[7], sizeof(old.places[7]));
    }
    struct user_limits read;
    assert_false(user_limits_upgrade(3, &old, sizeof(old), &read));
    rule_set_destroy(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_refused_with_their_place),
        cmocka_unit_test(rules_are_ranked_by_priority_then_name),
        cmocka_unit_test(the_hash_tells_what_rules_say_and_not_their_order),
        cmocka_unit_test(rules_come_from_a_file_too),
        cmocka_unit_test(reasons_are_filled_in),
        cmocka_unit_test(holdout_shares_are_kept_and_salts_are_shared),
        cmocka_unit_test(rules_describe_themselves),
        cmocka_unit_test(limits_and_deadlines_of_older_versions_are_kept_without_their_places),
        cmocka_unit_test(a_full_table_of_limits_suppresses_until_a_place_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
