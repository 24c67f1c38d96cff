/* What the files of the evaluation over columns share. */
#ifndef OPERATORS_EXPRESSION_COLUMNS_INTERNAL_H
#define OPERATORS_EXPRESSION_COLUMNS_INTERNAL_H

#include "operators/expression_internal.h"

#define LANES EXPRESSION_LANES
#define FOR_LANES(i) for (uint32_t(i) = 0; (i) < LANES; (i)++)

/* A column of numbers, of booleans, or of codes of words. */
union columns_slot {
    float numbers[LANES];
    int32_t booleans[LANES];
    int32_t codes[LANES];
};

struct expression_columns {
    const struct expression_program *program; /* Borrowed. */
    union columns_slot *slots;
    struct text (*texts)[LANES];
};

struct columns_run {
    const struct expression_program *program;
    const struct event_batch *batch;
    struct arena *scratch;
    uint32_t first, rows;
};

/* A step that reads or writes texts, other than a leaf. False: it is none. */
bool expression_text_step(struct expression_columns *columns, const struct columns_run *run,
                          const struct expression_step *step);

#endif
