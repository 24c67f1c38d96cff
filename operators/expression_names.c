#include "operators/expression_names.h"

#include <stdlib.h>

#include "pipeline/config/yaml.h"

#define NUMBER EXPRESSION_NUMBER
#define BOOLEAN EXPRESSION_BOOLEAN
#define TEXT EXPRESSION_TEXT

const struct expression_function expression_functions[] = {
    {"abs", OP_ABS, NUMBER, 1, 1, {ARGUMENT_NUMBER}, 0, "abs(x)", "x without its sign"},
    {"floor",
     OP_FLOOR,
     NUMBER,
     1,
     1,
     {ARGUMENT_NUMBER},
     0,
     "floor(x)",
     "The largest whole number up to x"},
    {"round",
     OP_ROUND,
     NUMBER,
     1,
     1,
     {ARGUMENT_NUMBER},
     0,
     "round(x)",
     "The nearest whole number, halves up"},
    {"sqrt",
     OP_SQRT,
     NUMBER,
     1,
     1,
     {ARGUMENT_NUMBER},
     0,
     "sqrt(x)",
     "Square root; missing below 0"},
    {"log1p",
     OP_LOG1P,
     NUMBER,
     1,
     1,
     {ARGUMENT_NUMBER},
     0,
     "log1p(x)",
     "Natural logarithm of 1 + x; missing from -1 down"},
    {"min",
     OP_MIN,
     NUMBER,
     2,
     2,
     {ARGUMENT_NUMBER, ARGUMENT_NUMBER},
     0,
     "min(x, y)",
     "The smaller one; missing where one is"},
    {"max",
     OP_MAX,
     NUMBER,
     2,
     2,
     {ARGUMENT_NUMBER, ARGUMENT_NUMBER},
     0,
     "max(x, y)",
     "The larger one; missing where one is"},
    {"default",
     OP_DEFAULT,
     NUMBER,
     2,
     2,
     {ARGUMENT_NUMBER, ARGUMENT_NUMBER},
     0,
     "default(x, y)",
     "x, or y where x is missing"},
    {"if",
     OP_IF,
     NUMBER,
     3,
     3,
     {ARGUMENT_BOOLEAN, ARGUMENT_NUMBER, ARGUMENT_NUMBER},
     0,
     "if(c, x, y)",
     "x where c is true, else y"},
    {"number",
     OP_TEXT_NUMBER,
     NUMBER,
     1,
     1,
     {ARGUMENT_TEXT},
     0,
     "number(t)",
     "The decimal number that a text is; missing where it is none"},
    {"length",
     OP_TEXT_LENGTH,
     NUMBER,
     1,
     1,
     {ARGUMENT_TEXT},
     0,
     "length(t)",
     "Characters of a text"},
    {"lower", OP_LOWER, TEXT, 1, 1, {ARGUMENT_TEXT}, 0, "lower(t)", "The text in lower case"},
    {"starts_with",
     OP_STARTS_WITH,
     BOOLEAN,
     2,
     2,
     {ARGUMENT_TEXT, ARGUMENT_LITERAL},
     0,
     "starts_with(t, \"x\")",
     "True where the text begins with x"},
    {"ends_with",
     OP_ENDS_WITH,
     BOOLEAN,
     2,
     2,
     {ARGUMENT_TEXT, ARGUMENT_LITERAL},
     0,
     "ends_with(t, \"x\")",
     "True where the text ends with x"},
    {"contains",
     OP_CONTAINS,
     BOOLEAN,
     2,
     2,
     {ARGUMENT_TEXT, ARGUMENT_LITERAL},
     0,
     "contains(t, \"x\")",
     "True where x stands in the text"},
    {"present",
     OP_NUMBER_PRESENT,
     BOOLEAN,
     1,
     1,
     {ARGUMENT_VALUE},
     0,
     "present(v)",
     "True where a number or text is there"},
    {"missing",
     OP_NOT,
     BOOLEAN,
     1,
     1,
     {ARGUMENT_VALUE},
     0,
     "missing(v)",
     "True where a number or text is not there"},
    {"minute",
     OP_CLOCK,
     NUMBER,
     0,
     1,
     {ARGUMENT_OFFSET},
     CLOCK_MINUTE,
     "minute(h)",
     "Minute of the row's event time, 0 to 59; h: hours from UTC, 0 where left out"},
    {"hour",
     OP_CLOCK,
     NUMBER,
     0,
     1,
     {ARGUMENT_OFFSET},
     CLOCK_HOUR,
     "hour(h)",
     "Hour of the row's event time, 0 to 23; h as for minute"},
    {"weekday",
     OP_CLOCK,
     NUMBER,
     0,
     1,
     {ARGUMENT_OFFSET},
     CLOCK_WEEKDAY,
     "weekday(h)",
     "Day of the week, Monday 1 to Sunday 7; h as for minute"},
    {"day",
     OP_CLOCK,
     NUMBER,
     0,
     1,
     {ARGUMENT_OFFSET},
     CLOCK_DAY,
     "day(h)",
     "Day of the month, from 1; h as for minute"},
    {"month",
     OP_CLOCK,
     NUMBER,
     0,
     1,
     {ARGUMENT_OFFSET},
     CLOCK_MONTH,
     "month(h)",
     "Month, January 1 to December 12; h as for minute"},
};
const uint32_t expression_function_count =
    sizeof(expression_functions) / sizeof(*expression_functions);

/* Names that are no event field and no feature. */
static const struct {
    const char *name;
    enum expression_op op;
    enum expression_type type;
    uint32_t index;
    const char *doc;
} other_names[] = {
    {"type", OP_WORD, TEXT, WORDS_TYPE, "Known type of the event; missing on a timer's row"},
    {"type_word", OP_TEXT_FIELD, TEXT, FIELD_TYPE_WORD,
     "Type as the sender wrote it, also where it is none of the known ones"},
    {"is_late", OP_FLAG, BOOLEAN, FLAG_LATE, "The event is older than the watermark"},
    {"session_is_new", OP_FLAG, BOOLEAN, FLAG_SESSION_NEW, "The event opened its session"},
    {"session_is_late", OP_FLAG, BOOLEAN, FLAG_SESSION_LATE,
     "The event belongs to an earlier session than the newest one"},
    {"session_ended", OP_FLAG, BOOLEAN, FLAG_SESSION_ENDED, "The row is the end of a session"},
    {"session_event_count", OP_SESSION_EVENTS, NUMBER, 0,
     "Events of the session so far, this one included"},
    {"session_duration", OP_SESSION_DURATION, NUMBER, 0,
     "Seconds from the session's first event to this row"},
    {"session_outcome", OP_WORD, TEXT, WORDS_OUTCOME,
     "What the session came to: open, bounced, browsed, abandoned_cart, purchased"},
    {"fraud_score", OP_SCORE, NUMBER, SCORE_FRAUD, "Chance of fraud, 0 to 1"},
    {"purchase_score", OP_SCORE, NUMBER, SCORE_PURCHASE,
     "Chance that the session ends in a purchase, 0 to 1"},
    {"abandon_score", OP_SCORE, NUMBER, SCORE_ABANDON,
     "Chance that the filled cart is abandoned, 0 to 1"},
    {"anomaly_score", OP_SCORE, NUMBER, SCORE_ANOMALY, "How unusual the row is, 0 to 1"},
    {"fraud_rules", OP_FRAUD_PART, NUMBER, FRAUD_RULES,
     "Part of the fraud score's logit: rules on velocity"},
    {"fraud_deviation", OP_FRAUD_PART, NUMBER, FRAUD_DEVIATION,
     "Part of the fraud score's logit: deviation from what is usual"},
    {"fraud_model", OP_FRAUD_PART, NUMBER, FRAUD_MODEL,
     "Part of the fraud score's logit: the model"},
};
#define OTHER_NAMES (sizeof(other_names) / sizeof(*other_names))

static bool find_field(struct text name, struct expression_node *node)
{
    enum event_field field = event_field_of(name);
    if (field >= FIELD_EVENT_TIME && (field < FIELD_ORDER_LINE || field >= FIELD_ATTRIBUTES)) {
        return false; /* Event time has functions, attributes have brackets. */
    }
    bool text = (int)field < TEXT_FIELD_COUNT;
    node->op = text ? OP_TEXT_FIELD : OP_FIELD;
    node->type = text ? EXPRESSION_TEXT : EXPRESSION_NUMBER;
    node->index = field;
    return true;
}

static bool find_feature(const struct feature_set *features, struct text name,
                         struct expression_node *node)
{
    for (uint32_t i = 0; i < features->count; i++) {
        if (text_is(name, features->features[i].name)) {
            node->op = OP_FEATURE;
            node->type = EXPRESSION_NUMBER;
            node->index = i;
            return true;
        }
    }
    return false;
}

bool expression_find_name(const struct feature_set *features, struct text name,
                          struct expression_node *ret_node)
{
    for (size_t i = 0; i < OTHER_NAMES; i++) {
        if (text_is(name, other_names[i].name)) {
            ret_node->op = (uint8_t)other_names[i].op;
            ret_node->type = (uint8_t)other_names[i].type;
            ret_node->index = other_names[i].index;
            return true;
        }
    }
    return find_field(name, ret_node) || find_feature(features, name, ret_node);
}

const char *expression_nearest(const struct feature_set *features, struct text name)
{
    char wanted[64];
    if (name.length >= sizeof(wanted)) {
        return NULL;
    }
    memcpy(wanted, name.data, name.length);
    wanted[name.length] = '\0';
    size_t room = EVENT_FIELD_COUNT + OTHER_NAMES + expression_function_count + features->count;
    const char **names = calloc(room, sizeof(*names));
    if (!names) {
        return NULL;
    }
    size_t count = 0;
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        if (field != FIELD_EVENT_TIME) {
            names[count++] = event_fields[field].name;
        }
    }
    for (size_t i = 0; i < OTHER_NAMES; i++) {
        names[count++] = other_names[i].name;
    }
    for (uint32_t i = 0; i < expression_function_count; i++) {
        names[count++] = expression_functions[i].name;
    }
    for (uint32_t i = 0; i < features->count; i++) {
        names[count++] = features->features[i].name;
    }
    const char *nearest = nearest_name(wanted, names, count);
    free(names);
    return nearest;
}

void expression_describe(void (*line)(void *context, const char *name, const char *doc),
                         void *context)
{
    for (int field = 0; field < EVENT_FIELD_COUNT; field++) {
        if (field == FIELD_PRICE) {
            line(context, "price", "Price of one piece in units of the currency");
        } else if (field == FIELD_ATTRIBUTES) {
            line(context, "attributes[\"x\"]", "The attribute x of the event, a text");
        } else if (field != FIELD_EVENT_TIME && field != FIELD_TYPE_WORD) {
            line(context, event_fields[field].name, event_fields[field].doc);
        }
    }
    for (size_t i = 0; i < OTHER_NAMES; i++) {
        line(context, other_names[i].name, other_names[i].doc);
    }
    line(context, "purchase_score[\"x\"]",
         "The score of class x of the score's pack, where its model has several outputs; so for "
         "abandon_score, and for fraud_score as the pack alone has it");
    for (uint32_t i = 0; i < expression_function_count; i++) {
        line(context, expression_functions[i].usage, expression_functions[i].doc);
    }
}
