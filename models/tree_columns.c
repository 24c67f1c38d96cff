#include <assert.h>
#include <math.h>

#include "models/tree_layout.h"

/* What LightGBM takes for zero: its kZeroThreshold. */
#define ZERO_MAX 1e-35f

/* XGBoost's OutOfRangeCat(): from here on floats do not tell categories apart. */
#define CATEGORY_END 16777216.0f

static float missing_value(const struct tree_column *column)
{
    return column->missing_left ? -INFINITY : INFINITY;
}

static float category_value(const struct tree_column *column, const uint32_t *set, float x)
{
    if (isnan(x)) {
        return column->missing_left ? 0.0f : 1.0f;
    }
    bool is_inside = column->rounds_up ? x > -1.0f : x >= 0.0f;
    bool is_member = false;
    if (is_inside && x < CATEGORY_END) {
        uint32_t category = (uint32_t)(int32_t)x;
        uint32_t word = category >> 5;
        is_member = word < column->set_words && (set[word] >> (category & 31) & 1u) != 0;
    }
    return is_member == column->set_left ? 0.0f : 1.0f;
}

static void fill_column(const struct tree_ensemble *ensemble, const struct tree_column *column,
                        const float *const *starts, uint32_t place, uint32_t count, float *lanes)
{
    float missing = missing_value(column);
    switch (column->kind) {
    case TREE_COLUMN_ZERO:
        for (uint32_t i = 0; i < count; i++) {
            lanes[i] = 0.0f;
        }
        return;
    case TREE_COLUMN_NUMBER:
        for (uint32_t i = 0; i < count; i++) {
            float value = starts[i][place];
            lanes[i] = value == value ? value : missing;
        }
        return;
    case TREE_COLUMN_NOT_ZERO:
        for (uint32_t i = 0; i < count; i++) {
            float value = starts[i][place];
            lanes[i] = fabsf(value) > ZERO_MAX ? value : missing; /* NaN is not greater. */
        }
        return;
    case TREE_COLUMN_CATEGORY:
        for (uint32_t i = 0; i < count; i++) {
            lanes[i] = category_value(column, ensemble->sets + column->set_first, starts[i][place]);
        }
        return;
    }
    assert(!"a kind of column");
}

void tree_columns_fill(const struct tree_ensemble *ensemble, const struct tree_rows *rows,
                       uint32_t first, uint32_t count, float *tile)
{
    const float *starts[TREE_TILE_ROWS];
    assert(count <= TREE_TILE_ROWS);
    for (uint32_t i = 0; i < count; i++) {
        size_t row = rows->rows ? rows->rows[first + i] : first + i;
        starts[i] = rows->features + row * rows->stride;
    }
    for (uint32_t c = 0; c < ensemble->column_count; c++) {
        const struct tree_column *column = &ensemble->columns[c];
        uint32_t place = rows->columns ? rows->columns[column->feature] : column->feature;
        fill_column(ensemble, column, starts, place, count, tile + (size_t)c * TREE_TILE_ROWS);
    }
}
