#include <stdlib.h>
#include <string.h>

#include "models/key_map.h"
#include "models/network_model.h"
#include "models/time_split.h"
#include "models/train_network_internal.h"

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_FATAL, "training: out of memory");
}

void network_data_release(struct network_data *data)
{
    free(data->rows);
    free(data->first);
    free(data->inputs);
    free(data->table_rows);
    free(data->labels);
    free(data->fit_weights);
    free(data->held_weights);
    *data = (struct network_data){0};
}

/* Numbers the groups in the order of their first rows, and puts the rows of each together. */
static enum status order_groups(const struct row_table *table, struct network_data *data,
                                struct error *error)
{
    struct key_map numbers = {0};
    uint32_t *of_row = calloc((size_t)table->count + 1, sizeof(*of_row));
    enum status status = of_row ? STATUS_OK : out_of_memory(error);
    for (uint32_t i = 0; status == STATUS_OK && i < table->count; i++) {
        uint64_t key = table->rows[i].group ? table->rows[i].group : 1;
        of_row[i] = key_map_add(&numbers, key);
        if (of_row[i] == KEY_MAP_NONE) {
            status = out_of_memory(error);
        }
    }
    if (status == STATUS_OK) {
        data->group_count = numbers.count;
        for (uint32_t i = 0; i < table->count; i++) {
            data->first[of_row[i] + 1]++;
        }
        for (uint32_t g = 0; g < numbers.count; g++) {
            data->first[g + 1] += data->first[g];
        }
        uint32_t *next = calloc((size_t)numbers.count + 1, sizeof(*next));
        status = next ? STATUS_OK : out_of_memory(error);
        for (uint32_t i = 0; next && i < table->count; i++) {
            data->rows[data->first[of_row[i]] + next[of_row[i]]++] = i;
        }
        free(next);
    }
    key_map_release(&numbers);
    free(of_row);
    return status;
}

static void own_groups(struct network_data *data)
{
    data->group_count = data->row_count;
    for (uint32_t i = 0; i < data->row_count; i++) {
        data->rows[i] = i;
        data->first[i + 1] = i + 1;
    }
}

/* The code that serves makes the inputs. */
static enum status fill_inputs(const struct row_table *table, const struct network_fit *fit,
                               struct network_data *data, struct error *error)
{
    const struct network_source source = {.shape = &fit->shape,
                                          .parameters = fit->parameters,
                                          .features = fit->features,
                                          .columns = fit->columns};
    struct network_model *model;
    enum status status = network_model_create(&source, &model, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct network_rows rows = {table->features, table->feature_count, data->rows,
                                      data->row_count};
    network_model_inputs(model, &rows, 0, data->row_count, data->inputs, data->stride);
    network_model_destroy(model);
    uint32_t *to = data->table_rows;
    for (uint32_t i = 0; i < data->row_count; i++) {
        const float *row = row_table_features(table, data->rows[i]);
        for (uint32_t f = 0; f < fit->feature_count; f++) {
            if (fit->shape.inputs[f].rows > 0) {
                *to++ = network_input_row(&fit->shape.inputs[f], row[fit->columns[f]]);
            }
        }
    }
    return STATUS_OK;
}

static void scale_weights(float *weights, uint32_t count)
{
    double sum = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)weights[i];
        used += weights[i] > 0;
    }
    for (uint32_t i = 0; sum > 0 && i < count; i++) {
        weights[i] = (float)((double)weights[i] * used / sum);
    }
}

static void weigh_rows(const struct row_table *table, const uint8_t *parts, double positive_factor,
                       struct network_data *data)
{
    for (uint32_t i = 0; i < data->row_count; i++) {
        uint32_t row = data->rows[i];
        const struct table_row *made = &table->rows[row];
        float weight = (float)table->weights[row];
        data->labels[i] = made->label;
        data->fit_weights[i] = parts && parts[row] == SPLIT_FIT
                                   ? weight * (made->label ? (float)positive_factor : 1.0f)
                                   : 0.0f;
        data->held_weights[i] = parts && parts[row] == SPLIT_HELD ? weight : 0.0f;
    }
    scale_weights(data->fit_weights, data->row_count);
    scale_weights(data->held_weights, data->row_count);
}

enum status network_data_make(const struct row_table *table, const uint8_t *parts,
                              double positive_factor, const struct network_fit *fit,
                              struct network_data *ret_data, struct error *error)
{
    size_t rows = table->count;
    struct network_data data = {.row_count = table->count,
                                .stride = network_padded(fit->shape.input_count)};
    for (uint32_t f = 0; f < fit->feature_count; f++) {
        data.table_count += fit->shape.inputs[f].rows > 0;
    }
    data.rows = calloc(rows + 1, sizeof(*data.rows));
    data.first = calloc(rows + 2, sizeof(*data.first));
    data.inputs = calloc(rows * data.stride + 1, sizeof(*data.inputs));
    data.table_rows = calloc(rows * data.table_count + 1, sizeof(*data.table_rows));
    data.labels = calloc(rows + 1, sizeof(*data.labels));
    data.fit_weights = calloc(rows + 1, sizeof(*data.fit_weights));
    data.held_weights = calloc(rows + 1, sizeof(*data.held_weights));
    enum status status = STATUS_OK;
    if (!data.rows || !data.first || !data.inputs || !data.table_rows || !data.labels ||
        !data.fit_weights || !data.held_weights) {
        status = out_of_memory(error);
    } else if (fit->shape.cell == CELL_NONE) {
        own_groups(&data);
    } else {
        status = order_groups(table, &data, error);
    }
    if (status == STATUS_OK) {
        status = fill_inputs(table, fit, &data, error);
    }
    if (status != STATUS_OK) {
        network_data_release(&data);
        return status;
    }
    weigh_rows(table, parts, positive_factor, &data);
    *ret_data = data;
    return STATUS_OK;
}

/* ---- Stretches ---- */

enum status network_stretch_init(struct network_stretch *stretch, const struct network_data *data,
                                 const struct network_shape *shape, uint32_t groups_max,
                                 uint32_t steps_max, struct error *error)
{
    size_t rows = (size_t)groups_max * steps_max;
    size_t hidden = (size_t)groups_max * shape->hidden;
    *stretch = (struct network_stretch){
        .places = calloc(rows, sizeof(*stretch->places)),
        .active = calloc(steps_max, sizeof(*stretch->active)),
        .inputs = calloc(rows * data->stride, sizeof(*stretch->inputs)),
        .table_rows = calloc(rows * data->table_count + 1, sizeof(*stretch->table_rows)),
        .h = calloc(hidden + 1, sizeof(*stretch->h)),
        .c = calloc(hidden + 1, sizeof(*stretch->c)),
        .groups = calloc(groups_max, sizeof(*stretch->groups)),
        .steps_max = steps_max,
        .has_c = shape->cell == CELL_LSTM,
    };
    bool is_whole = stretch->places && stretch->active && stretch->inputs && stretch->table_rows &&
                    stretch->h && stretch->c && stretch->groups;
    if (!is_whole) {
        network_stretch_release(stretch);
        return out_of_memory(error);
    }
    return STATUS_OK;
}

void network_stretch_release(struct network_stretch *stretch)
{
    free(stretch->places);
    free(stretch->active);
    free(stretch->inputs);
    free(stretch->table_rows);
    free(stretch->h);
    free(stretch->c);
    free(stretch->groups);
    *stretch = (struct network_stretch){0};
}

static uint32_t length_of(const struct network_data *data, uint32_t group)
{
    return data->first[group + 1] - data->first[group];
}

void network_stretch_take(struct network_stretch *stretch, const struct network_data *data,
                          const uint32_t *groups, uint32_t count, uint32_t hidden)
{
    stretch->group_count = count;
    for (uint32_t i = 0; i < count; i++) { /* Sorted by insertion: equal lengths keep order. */
        uint32_t at = i;
        uint32_t length = length_of(data, groups[i]);
        while (at > 0 && length_of(data, stretch->groups[at - 1]) < length) {
            stretch->groups[at] = stretch->groups[at - 1];
            at--;
        }
        stretch->groups[at] = groups[i];
    }
    memset(stretch->h, 0, (size_t)count * hidden * sizeof(*stretch->h));
    memset(stretch->c, 0, (size_t)count * hidden * sizeof(*stretch->c));
}

bool network_stretch_fill(struct network_stretch *stretch, const struct network_data *data,
                          uint32_t step)
{
    uint32_t rows = 0;
    uint32_t steps = 0;
    for (; steps < stretch->steps_max; steps++) {
        uint32_t active = 0;
        while (active < stretch->group_count &&
               length_of(data, stretch->groups[active]) > step + steps) {
            stretch->places[rows++] = data->first[stretch->groups[active++]] + step + steps;
        }
        if (active == 0) {
            break;
        }
        stretch->active[steps] = active;
    }
    for (uint32_t i = 0; i < rows; i++) {
        size_t place = stretch->places[i];
        memcpy(stretch->inputs + (size_t)i * data->stride, data->inputs + place * data->stride,
               data->stride * sizeof(*data->inputs));
        memcpy(stretch->table_rows + (size_t)i * data->table_count,
               data->table_rows + place * data->table_count,
               data->table_count * sizeof(*data->table_rows));
    }
    stretch->batch = (struct network_batch){.inputs = stretch->inputs,
                                            .input_stride = data->stride,
                                            .table_rows = stretch->table_rows,
                                            .step_count = steps,
                                            .active = stretch->active,
                                            .row_count = rows,
                                            .h = stretch->h,
                                            .c = stretch->has_c ? stretch->c : NULL};
    return rows > 0;
}
