/*
 * The rule language: small, typed, without loops or side effects. An expression reads one row of a
 * batch (event fields, features, scores, session columns) and gives a number, a text or a boolean.
 *
 *     fraud_score > 0.9 and price * quantity >= 200 and channel in ["app", "web"]
 *
 * Precedence, loosest first: or, and, not, comparisons and in, + and -, * and /, unary minus.
 * Numbers are floats (7 digits), as features and scores are; a literal is rounded likewise. A value
 * may be missing: arithmetic with a missing number is missing, and so is a result that is not
 * finite; every comparison with a missing value is false, != included; present(x) and missing(x)
 * ask. A boolean is never missing.
 *
 * All expressions of a rule set are compiled into one program, in which equal sub-terms are one
 * node. Two evaluators give equal results: expression_evaluate(), one row at a time by plain
 * recursion, and expression_columns_run(), a chunk of rows by loops over columns.
 *
 * A program is constant once finished and may be shared between threads.
 */
#ifndef OPERATORS_EXPRESSION_H
#define OPERATORS_EXPRESSION_H

#include "pipeline/base/status.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/feature_set.h"

#define EXPRESSION_BYTES_MAX 4096u  /* Of one expression's source. */
#define EXPRESSION_DEPTH_MAX 64u    /* Of nesting: parentheses, calls, unary operators. */
#define EXPRESSION_LITERAL_MAX 256u /* Bytes of a text literal. */
#define EXPRESSION_LIST_MAX 1024u   /* Members of one `in` list. */
#define EXPRESSION_NODES_MAX 32768u /* Of a program. */

enum expression_type { EXPRESSION_NUMBER, EXPRESSION_TEXT, EXPRESSION_BOOLEAN };

struct expression_program;

/* The classes that a score's pack has, which score["class"] names; count 0: none. */
struct expression_classes {
    const char *const *names;
    uint32_t count;
};

/* One compiled expression and what it reads. */
struct expression {
    uint32_t node;
    enum expression_type type;
    uint32_t scores_used; /* Bit per enum score_kind; a part of the fraud score counts as it. */
    uint64_t fields_used; /* Bit per enum event_field. */
};

struct expression_value {
    enum expression_type type;
    float number;     /* NaN: missing. */
    struct text text; /* data NULL: missing. */
    bool boolean;
};

/* Borrows `features`, `classes` [SCORE_KIND_COUNT] (NULL: no score has any) and their names. */
MUST_CHECK enum status expression_program_create(const struct feature_set *features,
                                                 const struct expression_classes *classes,
                                                 struct expression_program **ret_program,
                                                 struct error *error);
void expression_program_destroy(struct expression_program *program); /* NULL is a no-op. */

/*
 * Compiles `source`; `types` is a mask of (1 << enum expression_type) that the result may have.
 * STATUS_INVALID names the column (from 1) within the source, and for an unknown name the nearest
 * right one; STATUS_FATAL: out of memory. Not after expression_program_finish().
 */
MUST_CHECK enum status expression_compile(struct expression_program *program, struct text source,
                                          unsigned types, struct expression *ret_expression,
                                          struct error *error);

/* The conjunction of two booleans of one program. */
MUST_CHECK enum status expression_and(struct expression_program *program,
                                      const struct expression *a, const struct expression *b,
                                      struct expression *ret_expression, struct error *error);

/* `expression`, a boolean, is to be evaluated over columns. Returns the number of its output. */
MUST_CHECK enum status expression_program_output(struct expression_program *program,
                                                 const struct expression *expression,
                                                 uint32_t *ret_output, struct error *error);

/* Plans the evaluation over columns. To be called once, after the last compile and output. */
MUST_CHECK enum status expression_program_finish(struct expression_program *program,
                                                 struct error *error);

/* Instructions that a row costs; for describe and tests. */
uint32_t expression_program_steps(const struct expression_program *program);

/*
 * The value of one row, live or not; texts point into the batch or its arena. Steps are bounded by
 * the source's length, and by the bytes of the texts it reads.
 */
struct expression_value expression_evaluate(const struct expression_program *program, uint32_t node,
                                            const struct event_batch *batch, uint32_t row,
                                            struct arena *scratch);

/* Rows of one run; outputs are bits of a word. */
#define EXPRESSION_LANES 64u

struct expression_columns; /* Working memory of one thread. */

/* Borrows the finished program. */
MUST_CHECK enum status expression_columns_create(const struct expression_program *program,
                                                 struct expression_columns **ret_columns,
                                                 struct error *error);
void expression_columns_destroy(struct expression_columns *columns); /* NULL is a no-op. */

/*
 * Evaluates every output for rows [first_row, first_row + rows), rows <= EXPRESSION_LANES.
 * ret_outputs[output] has bit i for row first_row + i; bits beyond `rows` are 0. Rows need not be
 * live; what is computed for dead ones means nothing.
 */
void expression_columns_run(struct expression_columns *columns, const struct event_batch *batch,
                            uint32_t first_row, uint32_t rows, uint64_t *ret_outputs,
                            struct arena *scratch);

/* Calls `line` for each name and function of the language, for the reference documentation. */
void expression_describe(void (*line)(void *context, const char *name, const char *doc),
                         void *context);

#endif
