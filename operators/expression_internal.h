/* The nodes of an expression program; shared by parser, planner and the two evaluators. */
#ifndef OPERATORS_EXPRESSION_INTERNAL_H
#define OPERATORS_EXPRESSION_INTERNAL_H

#include "operators/expression.h"

enum expression_op {
    /* Leaves: numbers. */
    OP_NUMBER,     /* number */
    OP_FEATURE,    /* index: feature */
    OP_SCORE,      /* index: enum score_kind */
    OP_CLASS,      /* index: enum score_kind, and in the upper 16 bits the class */
    OP_FRAUD_PART, /* index: enum fraud_part */
    OP_FIELD,      /* index: enum event_field, a number */
    OP_SESSION_EVENTS,
    OP_SESSION_DURATION,
    OP_CLOCK, /* index: enum expression_clock; number: offset from UTC in minutes */
    /* Leaves: texts and booleans. */
    OP_TEXT,       /* index: literal */
    OP_TEXT_FIELD, /* index: enum event_field, a text */
    OP_ATTRIBUTE,  /* index: literal, the attribute's name */
    OP_WORD,       /* index: enum expression_words; a text out of a known list */
    OP_BOOLEAN,    /* index: 0 or 1 */
    OP_FLAG,       /* index: enum expression_flag */
    /* Numbers of numbers. */
    OP_NEGATE,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MIN,
    OP_MAX,
    OP_DEFAULT,
    OP_ABS,
    OP_FLOOR,
    OP_ROUND,
    OP_SQRT,
    OP_LOG1P,
    OP_IF, /* args: boolean, number, number */
    /* Of texts. */
    OP_TEXT_NUMBER,
    OP_TEXT_LENGTH,
    OP_LOWER,
    OP_WORD_TEXT, /* A word as a text like any other. index: enum expression_words */
    /* Booleans. */
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_EQUAL,
    OP_NOT_EQUAL,
    OP_NUMBER_IN, /* index: list */
    OP_NUMBER_PRESENT,
    OP_TEXT_EQUAL,
    OP_TEXT_NOT_EQUAL,
    OP_TEXT_IS, /* index: literal */
    OP_TEXT_IS_NOT,
    OP_TEXT_IN,     /* index: list */
    OP_WORD_IN,     /* args: word; index: mask of its codes */
    OP_STARTS_WITH, /* index: literal */
    OP_ENDS_WITH,
    OP_CONTAINS,
    OP_TEXT_PRESENT,
    OP_NOT,
    OP_AND,
    OP_OR,
    OP_SAME,   /* two booleans are equal */
    OP_DIFFER, /* two booleans are not */
    OP_COUNT
};

enum expression_clock {
    CLOCK_MINUTE,
    CLOCK_HOUR,
    CLOCK_WEEKDAY,
    CLOCK_DAY,
    CLOCK_MONTH,
};

enum expression_words { WORDS_TYPE, WORDS_OUTCOME, WORDS_COUNT };
enum expression_flag { FLAG_LATE, FLAG_SESSION_NEW, FLAG_SESSION_LATE, FLAG_SESSION_ENDED };

#define NO_NODE UINT32_MAX

struct expression_node {
    uint8_t op;   /* enum expression_op */
    uint8_t type; /* enum expression_type */
    uint8_t arg_count;
    uint32_t args[3];
    uint32_t index;
    float number;
};

/* A text literal, with what contains() needs: the failure function of Knuth, Morris and Pratt. */
struct expression_literal {
    char *bytes; /* Owned. */
    uint32_t length;
    uint16_t *failure; /* Owned, [length]. */
};

/* Members of an `in` list: an open hash table of a power of two of places. */
struct expression_list {
    float *numbers;  /* Owned; NaN: empty place. NULL for texts. */
    uint32_t *texts; /* Owned; literals, NO_NODE: empty place. NULL for numbers. */
    uint32_t mask;   /* Places - 1. */
    uint32_t count;
};

/* One step of the plan. Slots are numbered apart for texts and for all else. */
struct expression_step {
    uint8_t op;         /* OP_COUNT: the boolean in slot a is output `index` */
    uint8_t has_scalar; /* The second argument is `number`, not slot b. */
    uint16_t out, a, b, c;
    uint32_t index;
    float number;
};

struct expression_program {
    const struct feature_set *features;       /* Borrowed. */
    const struct expression_classes *classes; /* Borrowed; or NULL. */
    struct expression_node *nodes;
    uint32_t node_count, node_room;
    uint32_t *table; /* Open hash table of nodes, so that equal ones are one. */
    uint32_t table_mask;
    struct expression_literal *literals;
    uint32_t literal_count, literal_room;
    struct expression_list *lists;
    uint32_t list_count, list_room;
    uint32_t *outputs; /* Nodes. */
    uint32_t output_count, output_room;

    /* The plan. */
    struct expression_step *steps;
    uint32_t step_count;
    uint32_t slot_count, text_slot_count;
    uint32_t constant_count; /* Slots [0, constant_count) hold literals. */
    uint32_t *constants;     /* Their nodes. */
    uint32_t text_constant_count;
    uint32_t *text_constants;
    bool is_finished;
};

/* Adds a node or finds an equal one; returns NO_NODE when there is no room or no memory. */
uint32_t expression_node_add(struct expression_program *program,
                             const struct expression_node *node);
/* Adds a literal or finds an equal one; likewise. */
uint32_t expression_literal_add(struct expression_program *program, struct text value);
/* Adds a list of numbers, or of literals where `numbers` is NULL; likewise. */
uint32_t expression_list_add(struct expression_program *program, const float *numbers,
                             const uint32_t *literals, uint32_t count);

/* The word of a code, or NULL for a missing one; NULL `ret_count` is allowed. */
const char *expression_word(enum expression_words words, uint32_t code);
uint32_t expression_word_count(enum expression_words words);

/* Leaves of one row and operations on texts that both evaluators take from one place. */
float expression_field_number(const struct event_batch *batch, uint32_t row,
                              enum event_field field);
struct text expression_field_text(const struct event_batch *batch, uint32_t row,
                                  enum event_field field);
struct text expression_attribute(const struct event_batch *batch, uint32_t row,
                                 const struct expression_literal *name);
uint32_t expression_word_code(const struct event_batch *batch, uint32_t row,
                              enum expression_words words);
bool expression_flag_value(const struct event_batch *batch, uint32_t row,
                           enum expression_flag flag);
float expression_clock_value(int64_t time_ms, enum expression_clock clock, int32_t offset_minutes);
float expression_class_score(const struct event_batch *batch, uint32_t row, uint32_t index);
float expression_session_duration(const struct event_batch *batch, uint32_t row);

struct text expression_lower(struct text value, struct arena *scratch);
float expression_text_number(struct text value);
float expression_text_length(struct text value);
bool expression_contains(struct text value, const struct expression_literal *literal);
bool expression_text_in(const struct expression_program *program,
                        const struct expression_list *list, struct text value);
bool expression_number_in(const struct expression_list *list, float value);
float expression_log1p(float value);

/* A number that is not finite becomes NaN, which is missing. */
static inline float expression_finite(float value)
{
    return value + (value - value);
}

static inline struct text expression_literal_text(const struct expression_literal *literal)
{
    return (struct text){literal->bytes, literal->length};
}

#endif
