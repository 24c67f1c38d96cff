/*
 * Evaluation over columns: each step is one loop of EXPRESSION_LANES turns without branches, which
 * the compiler turns into vector code. Booleans are words of all or no bits. Only leaves look at
 * the batch; rows beyond its end are missing.
 */
#include <math.h>
#include <stdlib.h>

#include "operators/expression_internal.h"

#define LANES EXPRESSION_LANES
#define FOR_LANES(i) for (uint32_t(i) = 0; (i) < LANES; (i)++)

/* A column of numbers, of booleans, or of codes of words. */
union slot {
    float numbers[LANES];
    int32_t booleans[LANES];
    int32_t codes[LANES];
};

struct expression_columns {
    const struct expression_program *program; /* Borrowed. */
    union slot *slots;
    struct text (*texts)[LANES];
};

struct run {
    const struct expression_program *program;
    const struct event_batch *batch;
    struct arena *scratch;
    uint32_t first, rows;
};

static void fill_constants(struct expression_columns *columns)
{
    const struct expression_program *program = columns->program;
    for (uint32_t k = 0; k < program->constant_count; k++) {
        const struct expression_node *node = &program->nodes[program->constants[k]];
        FOR_LANES(i)
        {
            if (node->op == OP_NUMBER) {
                columns->slots[k].numbers[i] = node->number;
            } else {
                columns->slots[k].booleans[i] = node->index ? -1 : 0;
            }
        }
    }
    for (uint32_t k = 0; k < program->text_constant_count; k++) {
        const struct expression_node *node = &program->nodes[program->text_constants[k]];
        FOR_LANES(i)
        {
            columns->texts[k][i] = expression_literal_text(&program->literals[node->index]);
        }
    }
}

static void *zeroed(size_t bytes)
{
    void *memory = aligned_alloc(64, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

enum status expression_columns_create(const struct expression_program *program,
                                      struct expression_columns **ret_columns, struct error *error)
{
    assert(program->is_finished);
    struct expression_columns *columns = calloc(1, sizeof(*columns));
    if (columns) {
        columns->program = program;
        /* Steps on texts only point at a slot of their number, so both kinds have as many. */
        uint32_t slots = program->slot_count > program->text_slot_count ? program->slot_count
                                                                        : program->text_slot_count;
        columns->slots = zeroed((slots + 1u) * sizeof(*columns->slots));
        columns->texts = zeroed((program->text_slot_count + 1u) * sizeof(*columns->texts));
    }
    if (!columns || !columns->slots || !columns->texts) {
        expression_columns_destroy(columns);
        return error_set(error, STATUS_FATAL, "expressions: out of memory");
    }
    fill_constants(columns);
    *ret_columns = columns;
    return STATUS_OK;
}

void expression_columns_destroy(struct expression_columns *columns)
{
    if (columns) {
        free(columns->slots);
        free(columns->texts);
        free(columns);
    }
}

/* Leaves. */

static void load_numbers(const struct run *run, const struct expression_step *step,
                         float *restrict out)
{
    const struct event_batch *batch = run->batch;
    for (uint32_t i = 0; i < run->rows; i++) {
        uint32_t row = run->first + i;
        switch (step->op) {
        case OP_FIELD:
            out[i] = expression_field_number(batch, row, (enum event_field)step->index);
            break;
        case OP_SESSION_EVENTS:
            out[i] = batch->session_id[row] ? (float)batch->session_event_count[row] : NAN;
            break;
        case OP_SESSION_DURATION:
            out[i] = expression_session_duration(batch, row);
            break;
        default:
            out[i] = expression_clock_value(batch->time_ms[row], (enum expression_clock)step->index,
                                            (int32_t)step->number);
            break;
        }
    }
}

/* From the row-major matrix to a column. */
static void load_feature(const struct run *run, uint32_t feature, float *restrict out)
{
    const struct event_batch *batch = run->batch;
    const float *from = batch->features + (size_t)run->first * batch->feature_stride + feature;
    for (uint32_t i = 0; i < run->rows; i++) {
        out[i] = from[(size_t)i * batch->feature_stride];
    }
}

static void load_leaf_number(const struct run *run, const struct expression_step *step,
                             float *restrict out)
{
    for (uint32_t i = run->rows; i < LANES; i++) {
        out[i] = NAN;
    }
    if (step->op == OP_FEATURE) {
        load_feature(run, step->index, out);
    } else if (step->op == OP_SCORE) {
        memcpy(out, run->batch->score[step->index] + run->first, run->rows * sizeof(float));
    } else if (step->op == OP_FRAUD_PART) {
        memcpy(out, run->batch->fraud_logit[step->index] + run->first, run->rows * sizeof(float));
    } else {
        load_numbers(run, step, out);
    }
    FOR_LANES(i)
    {
        out[i] = expression_finite(out[i]);
    }
}

static void load_leaf_other(const struct run *run, const struct expression_step *step,
                            int32_t *restrict out)
{
    memset(out, 0, LANES * sizeof(*out));
    for (uint32_t i = 0; i < run->rows; i++) {
        uint32_t row = run->first + i;
        if (step->op == OP_WORD) {
            enum expression_words words = (enum expression_words)step->index;
            out[i] = (int32_t)expression_word_code(run->batch, row, words);
        } else {
            enum expression_flag flag = (enum expression_flag)step->index;
            out[i] = expression_flag_value(run->batch, row, flag) ? -1 : 0;
        }
    }
}

static void load_leaf_text(const struct run *run, const struct expression_step *step,
                           struct text *restrict out)
{
    for (uint32_t i = 0; i < run->rows; i++) {
        uint32_t row = run->first + i;
        out[i] = step->op == OP_TEXT_FIELD
                     ? expression_field_text(run->batch, row, (enum event_field)step->index)
                     : expression_attribute(run->batch, row, &run->program->literals[step->index]);
    }
    for (uint32_t i = run->rows; i < LANES; i++) {
        out[i] = (struct text){NULL, 0};
    }
}

/* Numbers of numbers. */

#define NUMBER_LOOP(expression)                                                                    \
    FOR_LANES(i)                                                                                   \
    {                                                                                              \
        out[i] = expression_finite(expression);                                                    \
    }                                                                                              \
    break

static void run_unary(uint8_t op, float *restrict out, const float *restrict a)
{
    switch (op) {
    case OP_NEGATE:
        NUMBER_LOOP(-a[i]);
    case OP_ABS:
        NUMBER_LOOP(fabsf(a[i]));
    case OP_FLOOR:
        NUMBER_LOOP(floorf(a[i]));
    case OP_ROUND:
        NUMBER_LOOP(floorf(a[i] + 0.5f));
    case OP_SQRT:
        NUMBER_LOOP(sqrtf(a[i]));
    default:
        NUMBER_LOOP(expression_log1p(a[i]));
    }
}

/* What `b` is, a column or one number, is decided once a step. */
#define BINARY_LOOPS(B)                                                                            \
    switch (op) {                                                                                  \
    case OP_ADD:                                                                                   \
        NUMBER_LOOP(a[i] + (B));                                                                   \
    case OP_SUBTRACT:                                                                              \
        NUMBER_LOOP(a[i] - (B));                                                                   \
    case OP_MULTIPLY:                                                                              \
        NUMBER_LOOP(a[i] * (B));                                                                   \
    case OP_DIVIDE:                                                                                \
        NUMBER_LOOP(a[i] / (B));                                                                   \
    case OP_MIN: /* A missing `a` stays; where `b` is missing, no comparison holds. */             \
        NUMBER_LOOP(a[i] <= (B) || a[i] != a[i] ? a[i] : (B));                                     \
    case OP_MAX:                                                                                   \
        NUMBER_LOOP(a[i] >= (B) || a[i] != a[i] ? a[i] : (B));                                     \
    default:                                                                                       \
        NUMBER_LOOP(a[i] == a[i] ? a[i] : (B));                                                    \
    }

static void run_binary(uint8_t op, float *restrict out, const float *a, const float *b)
{
    BINARY_LOOPS(b[i])
}

static void run_binary_scalar(uint8_t op, float *restrict out, const float *a, float b)
{
    BINARY_LOOPS(b)
}

static void run_if(float *restrict out, const int32_t *condition, const float *a, const float *b)
{
    FOR_LANES(i)
    {
        out[i] = condition[i] ? a[i] : b[i];
    }
}

/* Booleans. Comparisons with NaN are false by IEEE 754, but for !=, which is written as < or >. */

#define BOOLEAN_LOOP(expression)                                                                   \
    FOR_LANES(i)                                                                                   \
    {                                                                                              \
        out[i] = -(int32_t)(expression);                                                           \
    }                                                                                              \
    break

#define COMPARE_LOOPS(B)                                                                           \
    switch (op) {                                                                                  \
    case OP_LESS:                                                                                  \
        BOOLEAN_LOOP(a[i] < (B));                                                                  \
    case OP_LESS_EQUAL:                                                                            \
        BOOLEAN_LOOP(a[i] <= (B));                                                                 \
    case OP_GREATER:                                                                               \
        BOOLEAN_LOOP(a[i] > (B));                                                                  \
    case OP_GREATER_EQUAL:                                                                         \
        BOOLEAN_LOOP(a[i] >= (B));                                                                 \
    case OP_EQUAL:                                                                                 \
        BOOLEAN_LOOP(a[i] == (B));                                                                 \
    default:                                                                                       \
        BOOLEAN_LOOP((a[i] < (B)) | (a[i] > (B)));                                                 \
    }

static void run_compare(uint8_t op, int32_t *restrict out, const float *a, const float *b)
{
    COMPARE_LOOPS(b[i])
}

static void run_compare_scalar(uint8_t op, int32_t *restrict out, const float *a, float b)
{
    COMPARE_LOOPS(b)
}

static void run_logic(uint8_t op, int32_t *restrict out, const int32_t *a, const int32_t *b)
{
    switch (op) {
    case OP_AND:
        FOR_LANES(i)
        {
            out[i] = a[i] & b[i];
        }
        break;
    case OP_OR:
        FOR_LANES(i)
        {
            out[i] = a[i] | b[i];
        }
        break;
    case OP_SAME:
        FOR_LANES(i)
        {
            out[i] = ~(a[i] ^ b[i]);
        }
        break;
    case OP_DIFFER:
        FOR_LANES(i)
        {
            out[i] = a[i] ^ b[i];
        }
        break;
    default: /* OP_NOT */
        FOR_LANES(i)
        {
            out[i] = ~a[i];
        }
        break;
    }
}

static void run_number_question(const struct run *run, const struct expression_step *step,
                                int32_t *restrict out, const float *restrict a)
{
    if (step->op == OP_NUMBER_PRESENT) {
        FOR_LANES(i)
        {
            out[i] = -(int32_t)(a[i] == a[i]);
        }
        return;
    }
    const struct expression_list *list = &run->program->lists[step->index];
    for (uint32_t i = 0; i < run->rows; i++) {
        out[i] = expression_number_in(list, a[i]) ? -1 : 0;
    }
}

/* Texts: rows that are there only, since each may cost. */

static void run_text_equal(const struct run *run, const struct expression_step *step, int32_t *out,
                           const struct text *a, const struct text *b)
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
static void run_text_literal(const struct run *run, const struct expression_step *step,
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

static void run_text_question(const struct run *run, const struct expression_step *step,
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

static void run_text_numbers(const struct run *run, uint8_t op, float *out, const struct text *a)
{
    FOR_LANES(i)
    {
        out[i] = NAN;
    }
    for (uint32_t i = 0; i < run->rows; i++) {
        out[i] = op == OP_TEXT_NUMBER ? expression_text_number(a[i]) : expression_text_length(a[i]);
    }
}

static void run_lower(const struct run *run, struct text *out, const struct text *a)
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

static void run_word_in(uint32_t mask, int32_t *restrict out, const int32_t *restrict codes)
{
    FOR_LANES(i)
    {
        out[i] = -(int32_t)(mask >> codes[i] & 1);
    }
}

static uint64_t pack(const int32_t *booleans, uint32_t rows)
{
    int32_t any = 0;
    FOR_LANES(i)
    {
        any |= booleans[i];
    }
    uint64_t bits = 0;
    for (uint32_t i = 0; any && i < rows; i++) {
        bits |= (uint64_t)(booleans[i] & 1) << i;
    }
    return bits;
}

static void run_step(struct expression_columns *columns, const struct run *run,
                     const struct expression_step *step)
{
    union slot *out = &columns->slots[step->out];
    const union slot *a = &columns->slots[step->a];
    const union slot *b = &columns->slots[step->b];
    switch ((enum expression_op)step->op) {
    case OP_FEATURE:
    case OP_SCORE:
    case OP_FRAUD_PART:
    case OP_FIELD:
    case OP_SESSION_EVENTS:
    case OP_SESSION_DURATION:
    case OP_CLOCK:
        load_leaf_number(run, step, out->numbers);
        break;
    case OP_TEXT_FIELD:
    case OP_ATTRIBUTE:
        load_leaf_text(run, step, columns->texts[step->out]);
        break;
    case OP_WORD:
    case OP_FLAG:
        load_leaf_other(run, step, out->codes);
        break;
    case OP_NEGATE:
    case OP_ABS:
    case OP_FLOOR:
    case OP_ROUND:
    case OP_SQRT:
    case OP_LOG1P:
        run_unary(step->op, out->numbers, a->numbers);
        break;
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MIN:
    case OP_MAX:
    case OP_DEFAULT:
        if (step->has_scalar) {
            run_binary_scalar(step->op, out->numbers, a->numbers, step->number);
        } else {
            run_binary(step->op, out->numbers, a->numbers, b->numbers);
        }
        break;
    case OP_IF:
        run_if(out->numbers, a->booleans, b->numbers, columns->slots[step->c].numbers);
        break;
    case OP_TEXT_NUMBER:
    case OP_TEXT_LENGTH:
        run_text_numbers(run, step->op, out->numbers, columns->texts[step->a]);
        break;
    case OP_LOWER:
        run_lower(run, columns->texts[step->out], columns->texts[step->a]);
        break;
    case OP_WORD_TEXT:
        run_word_text(step, columns->texts[step->out], a->codes);
        break;
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
    case OP_EQUAL:
    case OP_NOT_EQUAL:
        if (step->has_scalar) {
            run_compare_scalar(step->op, out->booleans, a->numbers, step->number);
        } else {
            run_compare(step->op, out->booleans, a->numbers, b->numbers);
        }
        break;
    case OP_NUMBER_IN:
    case OP_NUMBER_PRESENT:
        run_number_question(run, step, out->booleans, a->numbers);
        break;
    case OP_TEXT_EQUAL:
    case OP_TEXT_NOT_EQUAL:
        run_text_equal(run, step, out->booleans, columns->texts[step->a], columns->texts[step->b]);
        break;
    case OP_TEXT_IS:
    case OP_TEXT_IS_NOT:
    case OP_STARTS_WITH:
    case OP_ENDS_WITH:
    case OP_CONTAINS:
        run_text_literal(run, step, out->booleans, columns->texts[step->a]);
        break;
    case OP_TEXT_IN:
    case OP_TEXT_PRESENT:
        run_text_question(run, step, out->booleans, columns->texts[step->a]);
        break;
    case OP_WORD_IN:
        run_word_in(step->index, out->booleans, a->codes);
        break;
    case OP_NOT:
    case OP_AND:
    case OP_OR:
    case OP_SAME:
    case OP_DIFFER:
        run_logic(step->op, out->booleans, a->booleans, b->booleans);
        break;
    case OP_NUMBER:
    case OP_TEXT:
    case OP_BOOLEAN:
    case OP_COUNT:
        assert(!"not a step");
        break;
    }
}

void expression_columns_run(struct expression_columns *columns, const struct event_batch *batch,
                            uint32_t first_row, uint32_t rows, uint64_t *ret_outputs,
                            struct arena *scratch)
{
    assert(rows <= LANES);
    const struct expression_program *program = columns->program;
    struct run run = {program, batch, scratch, first_row, rows};
    for (uint32_t k = 0; k < program->step_count; k++) {
        const struct expression_step *step = &program->steps[k];
        if (step->op == OP_COUNT) {
            ret_outputs[step->index] = pack(columns->slots[step->a].booleans, rows);
        } else {
            run_step(columns, &run, step);
        }
    }
}
