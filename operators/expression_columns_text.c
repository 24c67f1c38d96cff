/* The steps over columns of texts: loops over the rows that there are, without vector code. */
#include <math.h>

#include "operators/expression_columns_internal.h"

/* Texts: rows that are there only, since each may cost. */

static void run_text_equal(const struct columns_run *run, const struct expression_step *step,
                           int32_t *out, const struct text *a, const struct text *b)
{
    bool wanted = step->op == OP_TEXT_EQUAL;
    for (uint32_t i = 0; i < run->rows; i++) {
        bool answer = a[i].data && b[i].data && text_equal(a[i], b[i]) == wanted;
        out[i] = answer ? -1 : 0;
    }
}

static bool bytes_equal(const char *a, const char *b, uint32_t length)
{
    return length == 0 || memcmp(a, b, length) == 0;
}

/* One text and one literal. */
static void run_text_literal(const struct columns_run *run, const struct expression_step *step,
                             int32_t *out, const struct text *a)
{
    const struct expression_literal *literal = &run->program->literals[step->index];
    uint32_t length = literal->length;
    for (uint32_t i = 0; i < run->rows; i++) {
        bool answer = false;
        switch (step->op) {
        case OP_TEXT_IS:
            answer = a[i].length == length && a[i].data &&
                     bytes_equal(a[i].data, literal->bytes, length);
            break;
        case OP_TEXT_IS_NOT:
            answer = a[i].data &&
                     !(a[i].length == length && bytes_equal(a[i].data, literal->bytes, length));
            break;
        case OP_STARTS_WITH:
            answer = a[i].data && a[i].length >= length &&
                     bytes_equal(a[i].data, literal->bytes, length);
            break;
        case OP_ENDS_WITH:
            answer = a[i].data && a[i].length >= length &&
                     bytes_equal(a[i].data + (a[i].length - length), literal->bytes, length);
            break;
        default:
            answer = expression_contains(a[i], literal);
            break;
        }
        out[i] = answer ? -1 : 0;
    }
}

static void run_text_question(const struct columns_run *run, const struct expression_step *step,
                              int32_t *out, const struct text *a)
{
    const struct expression_program *program = run->program;
    for (uint32_t i = 0; i < run->rows; i++) {
        bool answer = a[i].data != NULL;
        if (answer && step->op == OP_TEXT_IN) {
            answer = expression_text_in(program, &program->lists[step->index], a[i]);
        }
        out[i] = answer ? -1 : 0;
    }
}

static void run_text_numbers(const struct columns_run *run, uint8_t op, float *out,
                             const struct text *a)
{
    FOR_LANES(i)
    {
        out[i] = NAN;
    }
    for (uint32_t i = 0; i < run->rows; i++) {
        out[i] = op == OP_TEXT_NUMBER ? expression_text_number(a[i]) : expression_text_length(a[i]);
    }
}

static void run_lower(const struct columns_run *run, struct text *out, const struct text *a)
{
    FOR_LANES(i)
    {
        out[i] = i < run->rows ? expression_lower(a[i], run->scratch) : (struct text){NULL, 0};
    }
}

static void run_word_text(const struct expression_step *step, struct text *out,
                          const int32_t *codes)
{
    FOR_LANES(i)
    {
        const char *word = expression_word((enum expression_words)step->index, (uint32_t)codes[i]);
        out[i] = word ? text_of(word) : (struct text){NULL, 0};
    }
}

bool expression_text_step(struct expression_columns *columns, const struct columns_run *run,
                          const struct expression_step *step)
{
    union columns_slot *out = &columns->slots[step->out];
    struct text *texts = columns->texts[step->out];
    const struct text *a = columns->texts[step->a];
    switch ((enum expression_op)step->op) {
    case OP_TEXT_NUMBER:
    case OP_TEXT_LENGTH:
        run_text_numbers(run, step->op, out->numbers, a);
        return true;
    case OP_LOWER:
        run_lower(run, texts, a);
        return true;
    case OP_WORD_TEXT:
        run_word_text(step, texts, columns->slots[step->a].codes);
        return true;
    case OP_TEXT_EQUAL:
    case OP_TEXT_NOT_EQUAL:
        run_text_equal(run, step, out->booleans, a, columns->texts[step->b]);
        return true;
    case OP_TEXT_IS:
    case OP_TEXT_IS_NOT:
    case OP_STARTS_WITH:
    case OP_ENDS_WITH:
    case OP_CONTAINS:
        run_text_literal(run, step, out->booleans, a);
        return true;
    case OP_TEXT_IN:
    case OP_TEXT_PRESENT:
        run_text_question(run, step, out->booleans, a);
        return true;
    default:
        return false;
    }
}
