/*
 * Half of the inputs are sources: any bytes compile or are refused. The other half are choices that
 * make expressions and rows: row by row and over columns must give the same.
 */
#include <stdlib.h>

#include "test/fuzz/expression_random.h"

#define ROWS 70u

static void check_agreement(const struct expression_program *program,
                            const struct expression *expression, struct event_batch *batch)
{
    struct expression_columns *columns = NULL;
    if (expression_columns_create(program, &columns, NULL) != STATUS_OK) {
        return;
    }
    for (uint32_t first = 0; first < ROWS; first += EXPRESSION_LANES) {
        uint32_t rows = ROWS - first < EXPRESSION_LANES ? ROWS - first : EXPRESSION_LANES;
        uint64_t output = 0;
        expression_columns_run(columns, batch, first, rows, &output, &batch->arena);
        for (uint32_t k = 0; k < rows; k++) {
            bool answer =
                expression_evaluate(program, expression->node, batch, first + k, &batch->arena)
                    .boolean;
            if (answer != (output >> k & 1)) {
                abort();
            }
        }
    }
    expression_columns_destroy(columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_batch batch;
    if (!batch.order && event_batch_init(&batch, RANDOM_FEATURES, NULL) != STATUS_OK) {
        return 0;
    }
    if (size == 0) {
        return 0;
    }
    bool generated = data[0] & 1;
    struct choices choices = {data + 1, size - 1, 99};
    struct writer writer = {.length = 0};
    struct text source = {(const char *)data + 1, (uint32_t)(size - 1)};
    if (generated) {
        write_boolean(&writer, &choices, 5);
        source = (struct text){writer.bytes, (uint32_t)writer.length};
    }
    event_batch_reset(&batch);
    random_batch(&batch, ROWS, &choices);
    struct expression_program *program = NULL;
    struct expression expression;
    struct error error;
    uint32_t output = 0;
    if (expression_program_create(&random_feature_set, random_classes, &program, NULL) !=
        STATUS_OK) {
        return 0;
    }
    enum status status =
        expression_compile(program, source, 1u << EXPRESSION_BOOLEAN, &expression, &error);
    if (status != STATUS_OK && generated && writer.length + 1 < sizeof(writer.bytes)) {
        abort(); /* What the generator writes is right. */
    }
    if (status == STATUS_OK &&
        expression_program_output(program, &expression, &output, NULL) == STATUS_OK &&
        expression_program_finish(program, NULL) == STATUS_OK) {
        check_agreement(program, &expression, &batch);
    }
    expression_program_destroy(program);
    return 0;
}
