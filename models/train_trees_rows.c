/* Rows of a table as libxgboost takes them. */
#include <math.h>
#include <stdlib.h>

#include "models/train_trees_internal.h"

static bool is_in(uint8_t part, enum split_part wanted, bool with_held)
{
    return part == wanted || (with_held && part == SPLIT_HELD);
}

struct gathered {
    float *values, *labels, *weights;
    uint32_t count;
};

static enum status gather(const struct tree_training *training, enum split_part part,
                          bool with_held, struct gathered *ret, struct error *error)
{
    const struct row_table *table = training->table;
    const struct tree_train_options *options = training->options;
    uint32_t width = options->column_count;
    for (uint32_t i = 0; i < table->count; i++) {
        if (!is_in(training->parts[i], part, with_held)) {
            continue;
        }
        const float *row = row_table_features(table, i);
        float *to = ret->values + (size_t)ret->count * width;
        for (uint32_t c = 0; c < width; c++) {
            to[c] = row[options->columns[c]];
            if (isinf(to[c])) {
                return error_set(error, STATUS_INVALID, "training: feature %s is infinite in a row",
                                 options->names[options->columns[c]]);
            }
        }
        double factor = table->rows[i].label ? training->positive_factor : 1.0;
        ret->labels[ret->count] = table->rows[i].label;
        ret->weights[ret->count++] = (float)(table->weights[i] * factor);
    }
    return STATUS_OK;
}

static enum status hand_over(const struct tree_training *training, const struct gathered *rows,
                             struct tree_rows_made *made, struct error *error)
{
    const struct xgboost_library *library = &training->library;
    enum status status = tree_training_check(training,
                                             library->matrix_create(rows->values, rows->count,
                                                                    training->options->column_count,
                                                                    NAN, &made->matrix),
                                             error);
    if (status == STATUS_OK) {
        status = tree_training_check(
            training, library->matrix_set_floats(made->matrix, "label", rows->labels, rows->count),
            error);
    }
    if (status == STATUS_OK) {
        status = tree_training_check(
            training,
            library->matrix_set_floats(made->matrix, "weight", rows->weights, rows->count), error);
    }
    made->count = rows->count;
    return status;
}

enum status tree_rows_make(const struct tree_training *training, enum split_part part,
                           bool with_held, struct tree_rows_made *made, struct error *error)
{
    size_t room = (size_t)training->table->count + 1;
    struct gathered rows = {
        .values = calloc(room * training->options->column_count, sizeof(float)),
        .labels = calloc(room, sizeof(float)),
        .weights = calloc(room, sizeof(float)),
    };
    enum status status = rows.values && rows.labels && rows.weights
                             ? gather(training, part, with_held, &rows, error)
                             : error_set(error, STATUS_FATAL, "training: out of memory");
    if (status == STATUS_OK && rows.count > 0) {
        status = hand_over(training, &rows, made, error);
    }
    free(rows.values);
    free(rows.labels);
    made->weights = rows.weights;
    return status;
}

void tree_rows_free(const struct tree_training *training, struct tree_rows_made *made)
{
    if (made->matrix) {
        (void)training->library.matrix_free(made->matrix);
    }
    free(made->weights);
    *made = (struct tree_rows_made){0};
}
