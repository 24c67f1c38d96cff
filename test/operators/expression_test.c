#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "operators/expression.h"
#include "operators/extract_features.h"
#include "test/fuzz/expression_random.h"

#define ANY_TYPE 7u

static void evaluate(const char *source, const struct event_batch *batch, uint32_t row,
                     struct arena *scratch, struct expression_value *value)
{
    struct expression_program *program = NULL;
    struct expression expression;
    struct error error = {""};
    assert_int_equal(
        expression_program_create(&random_feature_set, random_classes, &program, &error),
        STATUS_OK);
    if (expression_compile(program, text_of(source), ANY_TYPE, &expression, &error) != STATUS_OK) {
        print_error("%s: %s\n", source, error.message);
        fail();
    }
    *value = expression_evaluate(program, expression.node, batch, row, scratch);
    if (value->type == EXPRESSION_TEXT && value->text.data) {
        char *copy = arena_take(scratch, value->text.length + 1u);
        memcpy(copy, value->text.data, value->text.length);
        value->text.data = copy; /* A literal dies with its program. */
    }
    expression_program_destroy(program);
}

/* One purchase: 2 pieces at 49.90 EUR on Friday 2019-10-04T13:37:00Z. */
static void fill_row(struct event_batch *batch)
{
    batch->row_count = batch->event_count = 1;
    batch->time_ms[0] = 1570196220000;
    batch->type[0] = EVENT_PURCHASE;
    batch->price[0] = 49900000;
    batch->quantity[0] = 2;
    batch->text[FIELD_CHANNEL][0] = text_of("Web");
    batch->text[FIELD_TYPE_WORD][0] = text_of("purchase");
    struct attribute *items = arena_array(&batch->arena, struct attribute, 1);
    items[0] = (struct attribute){text_of("age"), text_of("42")};
    batch->attributes[0] = (struct attribute_list){items, 1};
    batch->present[0] = UINT64_C(1) << FIELD_PRICE | UINT64_C(1) << FIELD_QUANTITY |
                        UINT64_C(1) << FIELD_CHANNEL | UINT64_C(1) << FIELD_TYPE_WORD |
                        UINT64_C(1) << FIELD_ATTRIBUTES;
    batch->session_id[0] = 9;
    batch->session_start_ms[0] = batch->time_ms[0] - 90500;
    batch->session_event_count[0] = 3;
    batch->session_flags[0] = SESSION_IS_LATE;
    batch->features[0] = 12.0f;
    batch->features[1] = 80.0f;
    batch->features[2] = NAN;
    batch->score[SCORE_FRAUD][0] = 0.97f;
    batch->score[SCORE_PURCHASE][0] = NAN;
    static const float classes[] = {NAN, 0.5f, 0.25f};
    batch->classes[SCORE_PURCHASE] = (struct class_scores){classes, 3};
}

static void booleans_are_what_the_language_says(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool expected;
    } rows[] = {
        {"true", true},
        {"1 < 2", true},
        {"2 <= 2 and 2 >= 2 and 2 == 2 and not (2 != 2)", true},
        {"1 + 2 * 3 == 7", true},
        {"(1 + 2) * 3 == 9", true},
        {"10 - 3 - 2 == 5", true},
        {"-2 * -3 == 6", true},
        {"true or false and false", true},
        {"not true or true", true},
        {"price == 49.9", true},
        {"price * quantity == 99.8", true},
        {"price * quantity >= 99 and fraud_score > 0.9", true},
        {"fraud_score == 0.97", true},
        {"purchase_score[\"leave\"] == 0.5 and purchase_score['just \"look\"'] == 0.25", true},
        {"missing(purchase_score) and missing(purchase_score[\"buy\"])", true},
        {"type == \"purchase\"", true},
        {"\"purchase\" == type", true},
        {"type != 'purchase'", false},
        {"type in [\"checkout\", \"purchase\"]", true},
        {"type not in [\"checkout\", \"purchase\"]", false},
        {"channel == \"web\"", false},
        {"lower(channel) == \"web\"", true},
        {"channel in [\"app\", \"Web\"]", true},
        {"starts_with(channel, \"We\") and ends_with(channel, 'eb') and contains(channel, 'e')",
         true},
        {"contains(type, \"chase\")", true},
        {"attributes[\"age\"] == \"42\"", true},
        {"number(attributes[\"age\"]) > 41.5", true},
        {"length(channel) == 3", true},
        {"hour() == 13 and minute() == 37 and weekday() == 5 and day() == 4 and month() == 10",
         true},
        {"hour(11) == 0 and weekday(11) == 6 and day(11) == 5", true},
        {"session_event_count == 3 and session_duration == 90.5 and session_is_late", true},
        {"session_outcome == \"open\"", true},
        {"events_1h in [11, 12] and events_1h not in [1, -1]", true},
        {"if(is_late, 1, 2) == 2", true},
        {"min(3, 2) == 2 and max(3, 2) == 3 and abs(-4) == 4", true},
        {"floor(-1.5) == -2 and round(2.5) == 3 and sqrt(9) == 3 and log1p(0) == 0", true},
        {"is_late == false", true},
        /* Missing values. */
        {"gap_mean_s < 5", false},
        {"gap_mean_s >= 5", false},
        {"gap_mean_s == gap_mean_s", false},
        {"gap_mean_s != 5", false},
        {"not (gap_mean_s < 5)", true},
        {"gap_mean_s in [1] or gap_mean_s not in [1]", false},
        {"missing(gap_mean_s) and present(events_1h)", true},
        {"gap_mean_s + 1 > 0", false},
        {"missing(min(gap_mean_s, 1)) and missing(max(1, gap_mean_s))", true},
        {"default(gap_mean_s, 7) == 7", true},
        {"missing(1 / 0) and missing(sqrt(-1)) and missing(log1p(-1)) and missing(3e38 * 10)",
         true},
        {"purchase_score > 0 or purchase_score <= 1", false},
        {"brand == \"x\" or brand != \"x\"", false},
        {"brand in [\"x\"] or brand not in [\"x\"]", false},
        {"missing(brand) and missing(attributes[\"none\"]) and missing(length(brand))", true},
        {"contains(brand, \"\")", false},
        {"missing(number(channel))", true},
        {"present(stock)", false},
    };
    struct event_batch batch;
    struct arena scratch;
    assert_int_equal(event_batch_init(&batch, RANDOM_FEATURES, NULL), STATUS_OK);
    arena_init(&scratch, 4096);
    fill_row(&batch);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct expression_value value;
        evaluate(rows[i].source, &batch, 0, &scratch, &value);
        if (value.type != EXPRESSION_BOOLEAN || value.boolean != rows[i].expected) {
            print_error("%s: expected %d\n", rows[i].source, rows[i].expected);
            fail();
        }
    }
    arena_release(&scratch);
    event_batch_release(&batch);
}

static void a_timer_row_has_no_type(void **state)
{
    (void)state;
    struct event_batch batch;
    struct arena scratch;
    struct expression_value value;
    assert_int_equal(event_batch_init(&batch, RANDOM_FEATURES, NULL), STATUS_OK);
    arena_init(&scratch, 4096);
    batch.type[0] = EVENT_NONE;
    evaluate("type == \"purchase\" or type != \"purchase\" or present(type)", &batch, 0, &scratch,
             &value);
    assert_false(value.boolean);
    evaluate("type", &batch, 0, &scratch, &value);
    assert_null(value.text.data);
    arena_release(&scratch);
    event_batch_release(&batch);
}

static void errors_say_where_and_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *message;
    } rows[] = {
        {"", "column 1: expected a value, got the end"},
        {"fraud_scor > 1", "column 1: unknown name \"fraud_scor\": did you mean \"fraud_score\"?"},
        {"price > cart_valu", "column 9: unknown name \"cart_valu\": did you mean \"cart_value\"?"},
        {"zzzzzzzzzzzzzz > 1",
         "column 1: unknown name \"zzzzzzzzzzzzzz\": expected a field, feature, score or function"},
        {"price > \"high\"", "column 7: \">\" needs two numbers, got number and text"},
        {"channel < 3", "column 9: \"<\" needs two numbers, got text and number"},
        {"channel == 3", "column 9: \"==\" needs two texts, got text and number"},
        {"price and true", "column 7: \"and\" needs two booleans, got number and boolean"},
        {"true or 1", "column 6: \"or\" needs two booleans, got boolean and number"},
        {"not price", "column 1: \"not\" needs a boolean, got number"},
        {"1 + channel", "column 3: \"+\" needs two numbers, got number and text"},
        {"-channel", "column 1: \"-\" needs a number, got text"},
        {"price = 3", "column 7: \"=\": did you mean \"==\"?"},
        {"true && false", "column 6: \"&&\": did you mean \"and\"?"},
        {"!true", "column 1: \"!\": did you mean \"not\"?"},
        {"1 < price < 3", "column 11: comparisons cannot be chained: join two of them with and"},
        {"(price > 3", "column 11: expected \")\", got the end"},
        {"price > 3)", "column 10: expected an operator or the end, got \")\""},
        {"price 3", "column 7: expected an operator or the end, got a number"},
        {"price in 3", "column 10: expected a list in brackets after \"in\", got a number"},
        {"price in [3, \"x\"]", "column 14: expected a number, got a text"},
        {"price in []", "column 11: expected a number, got \"]\""},
        {"is_late in [true]", "column 9: \"in\" needs a number or a text, got boolean"},
        {"type == \"purchse\"", "column 9: type is never \"purchse\": did you mean \"purchase\"? "
                                "(the sender's own words: type_word)"},
        {"type in [\"search\", \"serch\"]", "column 20: type is never \"serch\": did you mean "
                                            "\"search\"? (the sender's own words: type_word)"},
        {"session_outcome == \"bougth\"", "column 20: session_outcome is never \"bougth\""},
        {"event_time > 3",
         "column 1: event_time is no value: use hour(), weekday(), day() or month()"},
        {"attributes.x == 1", "column 11: unexpected character \".\""},
        {"attributes == 1", "column 12: expected [\"name\"] after attributes, got \"==\""},
        {"attributes[x] == 1", "column 12: expected the attribute's name in quotes, got \"x\""},
        {"price > 10m", "column 9: \"10m\": expected a plain number; units such as m or d are "
                        "not known here"},
        {"\"open", "column 1: the text that begins here has no end"},
        {"channel == \"a\\q\"", "column 14: unknown escape: expected \\\\, \\\", \\', \\n or \\t"},
        {"abz(1) > 1", "column 1: unknown function \"abz\": did you mean \"abs\"?"},
        {"abs() > 1", "column 5: abs(x): expected 1 argument"},
        {"abs(1, 2) > 1", "column 8: abs(x): too many arguments"},
        {"min(1) > 1", "column 6: min(x, y): expected 2 arguments"},
        {"min(1,) > 1", "column 7: expected an argument, got \")\""},
        {"abs(channel) > 1", "column 5: abs(x): expected a number, got a text"},
        {"lower(price) == 'x'", "column 7: lower(t): expected a text, got a number"},
        {"contains(channel, brand)",
         "column 19: contains(t, \"x\"): expected a text in quotes, got a text"},
        {"if(1, 2, 3) > 1", "column 4: if(c, x, y): expected a boolean, got a number"},
        {"hour(99) > 1", "column 6: hour(h): expected hours from UTC, -14 to 14 in quarters, "
                         "written as a number"},
        {"price", "column 1: expected a condition, got a number"},
        {"purchase_score[\"leve\"] > 1",
         "column 16: purchase_score[\"leve\"]: no class of its pack; did you mean \"leave\"?"},
        {"fraud_score[\"leave\"] > 1", "column 13: fraud_score[\"leave\"]: its pack has no "
                                       "classes; a pack whose model has several "
                                       "outputs expected"},
        {"purchase_score[leave] > 1",
         "column 16: expected the name of a class in quotes, got \"leave\""},
        {"1e99 > 1", "column 1: 1e99: expected at most 3.4e38"},
        {"price > 3 \x01", "column 11: unexpected byte 0x01"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct expression_program *program = NULL;
        struct expression expression;
        struct error error = {""};
        assert_int_equal(
            expression_program_create(&random_feature_set, random_classes, &program, &error),
            STATUS_OK);
        enum status status = expression_compile(program, text_of(rows[i].source),
                                                1u << EXPRESSION_BOOLEAN, &expression, &error);
        if (status != STATUS_INVALID || strcmp(error.message, rows[i].message) != 0) {
            print_error("%s\n  expected: %s\n  got:      %s\n", rows[i].source, rows[i].message,
                        status == STATUS_OK ? "(no error)" : error.message);
            fail();
        }
        expression_program_destroy(program);
    }
}

static void sources_are_bounded(void **state)
{
    (void)state;
    struct expression_program *program = NULL;
    struct expression expression;
    struct error error = {""};
    char source[EXPRESSION_BYTES_MAX + 2];
    assert_int_equal(
        expression_program_create(&random_feature_set, random_classes, &program, &error),
        STATUS_OK);

    memset(source, '(', sizeof(source) - 1);
    source[sizeof(source) - 1] = '\0';
    assert_int_equal(expression_compile(program, text_of(source), ANY_TYPE, &expression, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "column 4097: longer than 4096 bytes");
    source[EXPRESSION_BYTES_MAX] = '\0';
    assert_int_equal(expression_compile(program, text_of(source), ANY_TYPE, &expression, &error),
                     STATUS_INVALID);
    assert_string_equal(error.message, "column 65: nested more than 64 deep");
    memset(source, '-', EXPRESSION_BYTES_MAX);
    assert_int_equal(expression_compile(program, text_of(source), ANY_TYPE, &expression, &error),
                     STATUS_INVALID);
    expression_program_destroy(program);
}

static void equal_terms_are_computed_once(void **state)
{
    (void)state;
    struct expression_program *program = NULL;
    struct expression expression;
    uint32_t output = 0;
    assert_int_equal(expression_program_create(&random_feature_set, random_classes, &program, NULL),
                     STATUS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(expression_compile(program,
                                            text_of("events_1h + 1 > 2 and cart_value > 60 * 60"),
                                            ANY_TYPE, &expression, NULL),
                         STATUS_OK);
        assert_int_equal(expression_program_output(program, &expression, &output, NULL), STATUS_OK);
    }
    assert_int_equal(output, 2);
    assert_int_equal(expression_program_finish(program, NULL), STATUS_OK);
    /* events_1h, +, >, cart_value, >, and: six, and one for each output. */
    assert_int_equal(expression_program_steps(program), 9);
    expression_program_destroy(program);
}

static void compile_random(struct expression_program *program, struct choices *choices,
                           struct expression *ret_expression)
{
    struct writer writer = {.length = 0};
    struct error error = {""};
    write_boolean(&writer, choices, 4);
    enum status status =
        expression_compile(program, (struct text){writer.bytes, (uint32_t)writer.length}, ANY_TYPE,
                           ret_expression, &error);
    if (status != STATUS_OK) {
        print_error("%s\n%s\n", writer.bytes, error.message);
        fail();
    }
}

#define PROGRAMS 60
#define EXPRESSIONS 12

static void columns_agree_with_rows(void **state)
{
    (void)state;
    uint32_t seen_true = 0;
    uint32_t seen_false = 0;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        struct choices choices = {.state = seed};
        struct expression_program *program = NULL;
        struct expression_columns *columns = NULL;
        struct expression expressions[EXPRESSIONS];
        struct event_batch batch;
        uint64_t outputs[EXPRESSIONS];
        assert_int_equal(event_batch_init(&batch, RANDOM_FEATURES, NULL), STATUS_OK);
        assert_int_equal(
            expression_program_create(&random_feature_set, random_classes, &program, NULL),
            STATUS_OK);
        for (uint32_t i = 0; i < EXPRESSIONS; i++) {
            uint32_t output = 0;
            compile_random(program, &choices, &expressions[i]);
            assert_int_equal(expression_program_output(program, &expressions[i], &output, NULL),
                             STATUS_OK);
        }
        assert_int_equal(expression_program_finish(program, NULL), STATUS_OK);
        assert_int_equal(expression_columns_create(program, &columns, NULL), STATUS_OK);
        random_batch(&batch, 150, &choices);
        for (uint32_t first = 0; first < batch.row_count;) {
            uint32_t rows = 1 + choose(&choices, EXPRESSION_LANES);
            rows = rows < batch.row_count - first ? rows : batch.row_count - first;
            expression_columns_run(columns, &batch, first, rows, outputs, &batch.arena);
            for (uint32_t i = 0; i < EXPRESSIONS; i++) {
                for (uint32_t k = 0; k < EXPRESSION_LANES; k++) {
                    bool answer = k < rows && expression_evaluate(program, expressions[i].node,
                                                                  &batch, first + k, &batch.arena)
                                                  .boolean;
                    if ((outputs[i] >> k & 1) != answer) {
                        print_error("seed %u, expression %u, row %u\n", (unsigned)seed, i,
                                    first + k);
                        fail();
                    }
                    seen_true += answer;
                    seen_false += !answer;
                }
            }
            first += rows;
        }
        expression_columns_destroy(columns);
        expression_program_destroy(program);
        event_batch_release(&batch);
    }
    /* The test must have seen both answers often. */
    assert_true(seen_true > 5000 && seen_false > 5000);
}

static void every_name_is_described(const char *name, const char *doc)
{
    assert_true(name && doc && strlen(doc) > 5);
}

static void visit_name(void *context, const char *name, const char *doc)
{
    every_name_is_described(name, doc);
    ++*(int *)context;
}

static void the_language_describes_itself(void **state)
{
    (void)state;
    int count = 0;
    expression_describe(visit_name, &count);
    assert_true(count > 60);
}

/* Each feature of the program can be named in a rule and is what the name means. */
static void no_feature_hides_behind_another_name(void **state)
{
    (void)state;
    const struct feature_set *features = extract_features_set();
    struct event_batch batch;
    assert_int_equal(event_batch_init(&batch, features->count, NULL), STATUS_OK);
    for (uint32_t i = 0; i < features->count; i++) {
        batch.features[i] = 1000.0f + (float)i;
    }
    for (uint32_t i = 0; i < features->count; i++) {
        struct expression_program *program = NULL;
        struct expression expression;
        assert_int_equal(expression_program_create(features, NULL, &program, NULL), STATUS_OK);
        assert_int_equal(expression_compile(program, text_of(features->features[i].name), ANY_TYPE,
                                            &expression, NULL),
                         STATUS_OK);
        struct expression_value value =
            expression_evaluate(program, expression.node, &batch, 0, &batch.arena);
        if (value.type != EXPRESSION_NUMBER || value.number != 1000.0f + (float)i) {
            print_error("%s is not the feature\n", features->features[i].name);
            fail();
        }
        expression_program_destroy(program);
    }
    event_batch_release(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(booleans_are_what_the_language_says),
        cmocka_unit_test(a_timer_row_has_no_type),
        cmocka_unit_test(errors_say_where_and_what_was_meant),
        cmocka_unit_test(sources_are_bounded),
        cmocka_unit_test(equal_terms_are_computed_once),
        cmocka_unit_test(columns_agree_with_rows),
        cmocka_unit_test(the_language_describes_itself),
        cmocka_unit_test(no_feature_hides_behind_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
