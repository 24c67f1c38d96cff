#include "models/train_matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A feature counts as skewed, and gets octaves, from this third moment on. */
#define SKEWED 2.0

/* Missing in a smaller share of rows than this, or present in a smaller one: no indicator. */
#define INDICATOR_SHARE 0.005

struct moments {
    double weight, mean, spread, skew;
    uint32_t present;
    uint32_t rows;
};

static struct moments measure(const struct row_table *table, const uint8_t *parts, uint32_t column,
                              enum feature_transform transform)
{
    struct moments m = {0};
    double sum = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        float x = row_table_features(table, i)[column];
        m.rows += parts[i] == SPLIT_FIT;
        if (parts[i] == SPLIT_FIT && isfinite(x)) {
            m.present++;
            m.weight += table->weights[i];
            sum += table->weights[i] * (double)feature_transform_apply(transform, x);
        }
    }
    if (m.present == 0) {
        return m;
    }
    m.mean = sum / m.weight;
    double square = 0;
    double cube = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        float x = row_table_features(table, i)[column];
        if (parts[i] == SPLIT_FIT && isfinite(x)) {
            double d = (double)feature_transform_apply(transform, x) - m.mean;
            square += table->weights[i] * d * d;
            cube += table->weights[i] * d * d * d;
        }
    }
    m.spread = sqrt(square / m.weight);
    m.skew = m.spread > 0 ? cube / m.weight / (m.spread * m.spread * m.spread) : 0;
    return m;
}

static bool varies(const struct moments *m)
{
    return m->present > 0 && m->spread > 1e-6 * (fabs(m->mean) > 1e-3 ? fabs(m->mean) : 1e-3);
}

static bool wants_indicator(const struct moments *m)
{
    double missing = (double)(m->rows - m->present);
    double rows = (double)m->rows;
    return missing > INDICATOR_SHARE * rows && (double)m->present > INDICATOR_SHARE * rows;
}

static void warn_constant(const struct train_options *options, uint32_t column,
                          const struct moments *m)
{
    if (options->warn) {
        char message[256];
        (void)snprintf(message, sizeof(message), "feature %s left out: it is %s in all rows",
                       options->names[column], m->present ? "the same" : "missing");
        options->warn(options->context, message);
    }
}

static enum status allocate_fit(struct logistic_fit *fit, uint32_t count, struct error *error)
{
    fit->columns = calloc((size_t)count + 1, sizeof(*fit->columns));
    fit->features = calloc((size_t)count + 1, sizeof(*fit->features));
    fit->weights = calloc((size_t)count + 1, sizeof(*fit->weights));
    fit->missing = calloc((size_t)count + 1, sizeof(*fit->missing));
    bool is_whole = fit->columns && fit->features && fit->weights && fit->missing;
    return is_whole ? STATUS_OK : error_set(error, STATUS_FATAL, "training: out of memory");
}

/* Chooses transform, mean and scale of each feature; fills indicator[] with 0 where one is due. */
static enum status choose_features(const struct row_table *table, const uint8_t *parts,
                                   const struct train_options *options, struct logistic_fit *fit,
                                   struct train_matrix *matrix, struct error *error)
{
    for (uint32_t i = 0; i < options->column_count; i++) {
        uint32_t column = options->columns[i];
        enum feature_transform transform =
            options->transform >= 0 ? (enum feature_transform)options->transform : TRANSFORM_NONE;
        struct moments m = measure(table, parts, column, transform);
        if (options->transform < 0 && m.skew > SKEWED) {
            transform = TRANSFORM_OCTAVES;
            m = measure(table, parts, column, transform);
        }
        if (!varies(&m)) {
            warn_constant(options, column, &m);
            continue;
        }
        uint32_t place = fit->feature_count++;
        fit->columns[place] = column;
        fit->features[place] = (struct pack_feature){
            .name = (char *)(uintptr_t)options->names[column],
            .transform = transform,
            .mean = (float)m.mean,
            .scale = (float)m.spread,
            .limit = options->limit,
        };
        matrix->indicator[place] = wants_indicator(&m) ? 0 : -1;
    }
    return fit->feature_count > 0
               ? STATUS_OK
               : error_set(error, STATUS_INVALID, "training: no feature varies among the rows");
}

static uint32_t place_indicators(const struct logistic_fit *fit, struct train_matrix *matrix)
{
    uint32_t width = fit->feature_count;
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        if (matrix->indicator[i] == 0) {
            matrix->indicator[i] = (int32_t)width++;
        }
    }
    return (width + 7u) & ~7u;
}

static void fill_row(const struct logistic_fit *fit, const struct train_matrix *matrix,
                     const float *features, float *row)
{
    for (uint32_t i = 0; i < fit->feature_count; i++) {
        float x = features[fit->columns[i]];
        if (!isnan(x)) {
            row[i] = pack_feature_scale(&fit->features[i], x);
        } else if (matrix->indicator[i] >= 0) {
            row[matrix->indicator[i]] = 1.0f;
        }
    }
}

static enum status fill_rows(const struct row_table *table, const uint8_t *parts,
                             const struct logistic_fit *fit, struct train_matrix *matrix,
                             struct error *error)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        rows += parts[i] != SPLIT_LEFT_OUT;
    }
    matrix->values = calloc((size_t)rows * matrix->width + 1, sizeof(float));
    matrix->labels = calloc((size_t)rows + 1, 1);
    matrix->parts = calloc((size_t)rows + 1, 1);
    matrix->weights = calloc((size_t)rows + 1, sizeof(double));
    if (!matrix->values || !matrix->labels || !matrix->parts || !matrix->weights) {
        return error_set(error, STATUS_FATAL, "training: out of memory for %u rows of %u numbers",
                         rows, matrix->width);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        if (parts[i] == SPLIT_LEFT_OUT) {
            continue;
        }
        uint32_t row = matrix->row_count++;
        matrix->labels[row] = table->rows[i].label;
        matrix->parts[row] = parts[i];
        matrix->weights[row] = table->weights[i];
        fill_row(fit, matrix, row_table_features(table, i),
                 matrix->values + (size_t)row * matrix->width);
    }
    return STATUS_OK;
}

enum status train_matrix_make(const struct row_table *table, const uint8_t *parts,
                              const struct train_options *options, struct logistic_fit *fit,
                              struct train_matrix *ret_matrix, struct error *error)
{
    *ret_matrix = (struct train_matrix){0};
    enum status status = allocate_fit(fit, options->column_count, error);
    ret_matrix->indicator = calloc((size_t)options->column_count + 1, sizeof(int32_t));
    if (status == STATUS_OK && !ret_matrix->indicator) {
        status = error_set(error, STATUS_FATAL, "training: out of memory");
    }
    if (status == STATUS_OK) {
        status = choose_features(table, parts, options, fit, ret_matrix, error);
    }
    if (status == STATUS_OK) {
        ret_matrix->width = place_indicators(fit, ret_matrix);
        status = fill_rows(table, parts, fit, ret_matrix, error);
    }
    return status;
}

void train_matrix_release(struct train_matrix *matrix)
{
    free(matrix->values);
    free(matrix->labels);
    free(matrix->parts);
    free(matrix->weights);
    free(matrix->indicator);
    *matrix = (struct train_matrix){0};
}

double train_matrix_dot(const float *row, const double *x, uint32_t width)
{
    double lanes[8] = {0};
    for (uint32_t j = 0; j < width; j += 8) {
        for (uint32_t k = 0; k < 8; k++) {
            lanes[k] += (double)row[j + k] * x[j + k];
        }
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

void train_matrix_add(double *sum, double factor, const float *row, uint32_t width)
{
    for (uint32_t j = 0; j < width; j += 8) {
        for (uint32_t k = 0; k < 8; k++) {
            sum[j + k] += factor * (double)row[j + k];
        }
    }
}
