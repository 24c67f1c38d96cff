/*
 * Random batches and random expressions that compile, for the property test and the fuzz target.
 * Choices come from bytes where there are some, then from a generator with a seed.
 */
#ifndef TEST_FUZZ_EXPRESSION_RANDOM_H
#define TEST_FUZZ_EXPRESSION_RANDOM_H

#include <math.h>
#include <stdio.h>

#include "operators/expression.h"

struct choices {
    const unsigned char *bytes;
    size_t length;
    uint64_t state;
};

static inline uint32_t choose(struct choices *choices, uint32_t count)
{
    if (choices->length > 0) {
        choices->length--;
        return *choices->bytes++ % count;
    }
    choices->state = choices->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(choices->state >> 33) % count;
}

#define RANDOM_FEATURES 6u
static const struct feature_info random_features[RANDOM_FEATURES] = {
    {"events_1h", "rate", "events", "Events.", "never"},
    {"cart_value", "cart", "currency", "Value.", "never"},
    {"gap_mean_s", "gap", "s", "Mean gap.", "first event"},
    {"amount_ratio", "amount", "1", "Ratio.", "no purchase"},
    {"hour_sine", "calendar", "1", "Sine.", "never"},
    {"distinct_items", "distinct", "items", "Items.", "never"},
};
static const struct feature_set random_feature_set = {random_features, RANDOM_FEATURES, 7};

static const char *const random_class_names[] = {"buy", "leave", "just \"look\""};
static const struct expression_classes random_classes[SCORE_KIND_COUNT] = {
    [SCORE_PURCHASE] = {random_class_names, 3},
};

static inline float random_number(struct choices *choices)
{
    static const float numbers[] = {0.0f,   -0.0f, 1.0f,       -1.0f,     0.5f,    2.0f,  3.0f,
                                    100.0f, 1e30f, -1e30f,     1e38f,     1e-40f,  NAN,   INFINITY,
                                    12.75f, 0.1f,  16777217.f, -INFINITY, 3.4e38f, 0.333f};
    return numbers[choose(choices, sizeof(numbers) / sizeof(*numbers))];
}

static inline struct text random_word(struct choices *choices)
{
    static const char *const words[] = {"",       "web",      "app",       "Web",
                                        "webapp", "aab",      "12",        "-3.5",
                                        "1e3",    "purchase", "aabaabaac", "\xc3\x89t\xc3\xa9",
                                        "a\xff",  "nan",      "x",         "product_view"};
    return text_of(words[choose(choices, sizeof(words) / sizeof(*words))]);
}

static inline void random_event(struct event_batch *batch, uint32_t row, struct choices *choices)
{
    batch->kind[row] = (uint8_t)(choose(choices, 8) == 0 ? ROW_TIMER : ROW_EVENT);
    batch->time_ms[row] =
        (int64_t)choose(choices, 200) * 997 * 86400000 / 10 - (int64_t)choose(choices, 7) * 12345;
    batch->type[row] = (uint8_t)choose(choices, EVENT_NONE + 1);
    batch->present[row] = 0;
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        batch->present[row] |= (uint64_t)(choose(choices, 3) > 0) << field;
    }
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        batch->text[field][row] = random_word(choices);
    }
    batch->price[row] = (int64_t)choose(choices, 200) * 990000;
    batch->quantity[row] = choose(choices, 5);
    batch->stock[row] = choose(choices, 3);
    batch->order_line[row] = choose(choices, 3);
    struct attribute *items = arena_array(&batch->arena, struct attribute, 2);
    items[0] = (struct attribute){text_of("x"), random_word(choices)};
    items[1] = (struct attribute){text_of("y"), random_word(choices)};
    batch->attributes[row] = (struct attribute_list){items, choose(choices, 3)};
}

static inline void random_classes_of(struct event_batch *batch, uint32_t rows,
                                     struct choices *choices)
{
    uint32_t count = random_classes[SCORE_PURCHASE].count;
    float *values = arena_array(&batch->arena, float, (size_t)rows *count);
    for (uint32_t i = 0; i < rows * count; i++) {
        values[i] = random_number(choices);
    }
    batch->classes[SCORE_PURCHASE] = (struct class_scores){values, count};
}

static inline void random_batch(struct event_batch *batch, uint32_t rows, struct choices *choices)
{
    batch->row_count = rows;
    batch->event_count = rows;
    for (uint32_t row = 0; row < rows; row++) {
        random_event(batch, row, choices);
        batch->is_late[row] = (uint8_t)choose(choices, 2);
        batch->session_id[row] = choose(choices, 4);
        batch->session_flags[row] = (uint8_t)choose(choices, 16);
        batch->session_start_ms[row] = batch->time_ms[row] - (int64_t)choose(choices, 250) * 777;
        batch->session_event_count[row] = choose(choices, 9);
        batch->session_outcome[row] = (uint8_t)choose(choices, 5);
        for (uint32_t k = 0; k < batch->feature_count; k++) {
            batch->features[(size_t)row * batch->feature_stride + k] = random_number(choices);
        }
        for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
            batch->score[kind][row] = random_number(choices);
        }
        for (int part = 0; part < FRAUD_PART_COUNT; part++) {
            batch->fraud_logit[part][row] = random_number(choices);
        }
    }
    random_classes_of(batch, rows, choices);
}

struct writer {
    char bytes[EXPRESSION_BYTES_MAX];
    size_t length;
};

static inline void write_text(struct writer *writer, const char *text)
{
    size_t room = sizeof(writer->bytes) - writer->length;
    int length = snprintf(writer->bytes + writer->length, room, "%s", text);
    writer->length += (size_t)length < room ? (size_t)length : room - 1;
}

static inline void write_one(struct writer *writer, struct choices *choices,
                             const char *const *texts, uint32_t count)
{
    write_text(writer, texts[choose(choices, count)]);
}
#define WRITE_ONE(writer, choices, ...)                                                            \
    write_one(writer, choices, (const char *const[]){__VA_ARGS__},                                 \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static inline void write_boolean(struct writer *writer, struct choices *choices, int depth);

static inline void write_string(struct writer *writer, struct choices *choices, int depth)
{
    if (depth > 0 && choose(choices, 5) == 0) {
        write_text(writer, "lower(");
        write_string(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    }
    WRITE_ONE(writer, choices, "channel", "item", "brand", "type", "type_word", "session_outcome",
              "attributes[\"x\"]", "attributes['none']", "\"web\"", "\"\"", "'aab'", "category");
}

static inline void write_number(struct writer *writer, struct choices *choices, int depth)
{
    switch (depth > 0 ? choose(choices, 8) : 0) {
    case 1:
    case 2:
        write_text(writer, "(");
        write_number(writer, choices, depth - 1);
        WRITE_ONE(writer, choices, " + ", " - ", " * ", " / ");
        write_number(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    case 3:
        WRITE_ONE(writer, choices, "abs(", "floor(", "round(", "sqrt(", "log1p(", "(-");
        write_number(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    case 4:
        WRITE_ONE(writer, choices, "min(", "max(", "default(");
        write_number(writer, choices, depth - 1);
        write_text(writer, ", ");
        write_number(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    case 5:
        write_text(writer, "if(");
        write_boolean(writer, choices, depth - 1);
        write_text(writer, ", ");
        write_number(writer, choices, depth - 1);
        write_text(writer, ", ");
        write_number(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    case 6:
        WRITE_ONE(writer, choices, "number(", "length(");
        write_string(writer, choices, depth - 1);
        write_text(writer, ")");
        return;
    default:
        WRITE_ONE(writer, choices, "0", "1", "0.5", "3.4e38", "1e-40", "100", "price", "quantity",
                  "stock", "order_line", "events_1h", "cart_value", "gap_mean_s", "amount_ratio",
                  "fraud_score", "purchase_score", "fraud_model", "purchase_score[\"leave\"]",
                  "session_event_count", "session_duration", "hour()", "hour(3.5)", "weekday(-5)",
                  "day()", "month()", "minute()");
        return;
    }
}

static inline void write_question(struct writer *writer, struct choices *choices, int depth)
{
    switch (choose(choices, 7)) {
    case 0:
        write_string(writer, choices, depth);
        WRITE_ONE(writer, choices, " == ", " != ");
        write_text(writer, "lower(");
        write_string(writer, choices, depth);
        write_text(writer, ")");
        return;
    case 1:
        WRITE_ONE(writer, choices, "channel", "item", "attributes[\"y\"]");
        WRITE_ONE(writer, choices, " in ", " not in ");
        WRITE_ONE(writer, choices, "[\"web\", \"app\"]", "[\"\"]",
                  "['x', 'x', \"aab\", '12', 'q']");
        return;
    case 2:
        WRITE_ONE(writer, choices, "type ==", "type !=", "\"purchase\" ==", "type in [\"search\",");
        write_text(writer, writer->bytes[writer->length - 1] == ','   ? "\"purchase\"]"
                           : writer->bytes[writer->length - 4] == '"' ? "type"
                                                                      : "\"purchase\"");
        return;
    case 3:
        WRITE_ONE(writer, choices, "starts_with(", "ends_with(", "contains(");
        write_string(writer, choices, depth);
        WRITE_ONE(writer, choices, ", \"\")", ", 'web')", ", \"aabaac\")", ", 'a')");
        return;
    case 4:
        WRITE_ONE(writer, choices, "present(", "missing(");
        write_string(writer, choices, depth);
        write_text(writer, ")");
        return;
    case 5:
        WRITE_ONE(writer, choices, "present(", "missing(");
        write_number(writer, choices, depth);
        write_text(writer, ")");
        return;
    default:
        write_number(writer, choices, depth);
        WRITE_ONE(writer, choices, " in [1, 0.5, -1, 100]", " not in [0, 2]",
                  " in [1,2,3,4,5,6,7,8,9,10,11,12,13]");
        return;
    }
}

static inline void write_boolean(struct writer *writer, struct choices *choices, int depth)
{
    write_text(writer, "(");
    switch (depth > 0 ? choose(choices, 8) : 7) {
    case 0:
    case 1:
    case 2:
        write_boolean(writer, choices, depth - 1);
        WRITE_ONE(writer, choices, " and ", " or ", " == ", " != ");
        write_boolean(writer, choices, depth - 1);
        break;
    case 3:
        write_text(writer, "not ");
        write_boolean(writer, choices, depth - 1);
        break;
    case 4:
        WRITE_ONE(writer, choices, "true", "false", "is_late", "session_is_new", "session_ended",
                  "session_is_late");
        break;
    case 5:
        write_question(writer, choices, depth - 1);
        break;
    default:
        write_number(writer, choices, depth > 0 ? depth - 1 : 0);
        WRITE_ONE(writer, choices, " < ", " <= ", " > ", " >= ", " == ", " != ");
        write_number(writer, choices, depth > 0 ? depth - 1 : 0);
        break;
    }
    write_text(writer, ")");
}

#endif
