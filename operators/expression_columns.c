/*
 * Evaluation over columns: each step is one loop of EXPRESSION_LANES turns without branches, which
 * the compiler turns into vector code. Booleans are words of all or no bits. Only leaves look at
 * the batch; rows beyond its end are missing.
 */
#include <math.h>
#include <stdlib.h>

#include "operators/expression_columns_internal.h"

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

static void load_numbers(const struct columns_run *run, const struct expression_step *step,
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
        case OP_CLASS:
            out[i] = expression_class_score(batch, row, step->index);
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
static void load_feature(const struct columns_run *run, uint32_t feature, float *restrict out)
{
    const struct event_batch *batch = run->batch;
    const float *from = batch->features + (size_t)run->first * batch->feature_stride + feature;
    for (uint32_t i = 0; i < run->rows; i++) {
        out[i] = from[(size_t)i * batch->feature_stride];
    }
}

static void load_leaf_number(const struct columns_run *run, const struct expression_step *step,
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

static void load_leaf_other(const struct columns_run *run, const struct expression_step *step,
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

static void load_leaf_text(const struct columns_run *run, const struct expression_step *step,
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

static void run_number_question(const struct columns_run *run, const struct expression_step *step,
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

/* A step that looks at the batch. False: it is none. */
static bool run_leaf(struct expression_columns *columns, const struct columns_run *run,
                     const struct expression_step *step)
{
    switch ((enum expression_op)step->op) {
    case OP_FEATURE:
    case OP_SCORE:
    case OP_CLASS:
    case OP_FRAUD_PART:
    case OP_FIELD:
    case OP_SESSION_EVENTS:
    case OP_SESSION_DURATION:
    case OP_CLOCK:
        load_leaf_number(run, step, columns->slots[step->out].numbers);
        return true;
    case OP_TEXT_FIELD:
    case OP_ATTRIBUTE:
        load_leaf_text(run, step, columns->texts[step->out]);
        return true;
    case OP_WORD:
    case OP_FLAG:
        load_leaf_other(run, step, columns->slots[step->out].codes);
        return true;
    default:
        return false;
    }
}

/* A step from numbers to numbers. False: it is none. */
static bool run_arithmetic(struct expression_columns *columns, const struct expression_step *step)
{
    float *out = columns->slots[step->out].numbers;
    const union columns_slot *a = &columns->slots[step->a];
    const union columns_slot *b = &columns->slots[step->b];
    switch ((enum expression_op)step->op) {
    case OP_NEGATE:
    case OP_ABS:
    case OP_FLOOR:
    case OP_ROUND:
    case OP_SQRT:
    case OP_LOG1P:
        run_unary(step->op, out, a->numbers);
        return true;
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MIN:
    case OP_MAX:
    case OP_DEFAULT:
        if (step->has_scalar) {
            run_binary_scalar(step->op, out, a->numbers, step->number);
        } else {
            run_binary(step->op, out, a->numbers, b->numbers);
        }
        return true;
    case OP_IF:
        run_if(out, a->booleans, b->numbers, columns->slots[step->c].numbers);
        return true;
    default:
        return false;
    }
}

/* A step to booleans. False: it is none. */
static bool run_question(struct expression_columns *columns, const struct columns_run *run,
                         const struct expression_step *step)
{
    int32_t *out = columns->slots[step->out].booleans;
    const union columns_slot *a = &columns->slots[step->a];
    const union columns_slot *b = &columns->slots[step->b];
    switch ((enum expression_op)step->op) {
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
    case OP_EQUAL:
    case OP_NOT_EQUAL:
        if (step->has_scalar) {
            run_compare_scalar(step->op, out, a->numbers, step->number);
        } else {
            run_compare(step->op, out, a->numbers, b->numbers);
        }
        return true;
    case OP_NUMBER_IN:
    case OP_NUMBER_PRESENT:
        run_number_question(run, step, out, a->numbers);
        return true;
    case OP_WORD_IN:
        run_word_in(step->index, out, a->codes);
        return true;
    case OP_NOT:
    case OP_AND:
    case OP_OR:
    case OP_SAME:
    case OP_DIFFER:
        run_logic(step->op, out, a->booleans, b->booleans);
        return true;
    default:
        return false;
    }
}

void expression_columns_run(struct expression_columns *columns, const struct event_batch *batch,
                            uint32_t first_row, uint32_t rows, uint64_t *ret_outputs,
                            struct arena *scratch)
{
    assert(rows <= LANES);
    const struct expression_program *program = columns->program;
    struct columns_run run = {program, batch, scratch, first_row, rows};
    for (uint32_t k = 0; k < program->step_count; k++) {
        const struct expression_step *step = &program->steps[k];
        if (step->op == OP_COUNT) {
            ret_outputs[step->index] = pack(columns->slots[step->a].booleans, rows);
        } else {
            bool is_run = run_leaf(columns, &run, step) || run_question(columns, &run, step) ||
                          run_arithmetic(columns, step) ||
                          expression_text_step(columns, &run, step);
            assert(is_run);
        }
    }
}
