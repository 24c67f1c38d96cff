#include "operators/anomaly_inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/decimal_text.h"

#define ATTRIBUTE "attributes."
#define MILLIONTHS 1e6

static const char *const fields[] = {
    [INPUT_PRICE] = "price", [INPUT_QUANTITY] = "quantity", [INPUT_STOCK] = "stock"};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static enum status refuse(const char *name, const struct feature_set *set, struct error *error)
{
    const char *names[FEATURES_MAX + FIELD_COUNT];
    uint32_t count = 0;
    for (; count < FIELD_COUNT; count++) {
        names[count] = fields[count];
    }
    for (uint32_t i = 0; i < set->count && i < FEATURES_MAX; i++) {
        names[count++] = set->features[i].name;
    }
    const char *near = nearest_name(name, names, count);
    return error_set(error, STATUS_INVALID,
                     "inputs: \"%.60s\": price, quantity, stock, " ATTRIBUTE
                     "NAME or a feature expected%s%s%s",
                     name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum status init_one(struct anomaly_input *input, const char *name,
                            const struct feature_set *set, struct error *error)
{
    int32_t column = feature_index(set, name);
    bool is_known = column >= 0;
    if (is_known) {
        input->source = INPUT_FEATURE;
        input->column = (uint32_t)column;
    } else if (strncmp(name, ATTRIBUTE, strlen(ATTRIBUTE)) == 0 && name[strlen(ATTRIBUTE)]) {
        input->source = INPUT_ATTRIBUTE;
        is_known = true;
    }
    for (size_t i = 0; !is_known && i < FIELD_COUNT; i++) {
        if (strcmp(name, fields[i]) == 0) {
            input->source = (enum anomaly_source)i;
            is_known = true;
        }
    }
    if (!is_known) {
        return refuse(name, set, error);
    }
    input->name = strdup(name);
    return input->name ? STATUS_OK : error_set(error, STATUS_FATAL, "out of memory");
}

enum status anomaly_inputs_init(struct anomaly_inputs *inputs, const struct text_list *names,
                                uint32_t most, const struct feature_set *set, struct error *error)
{
    *inputs = (struct anomaly_inputs){.count = 0};
    if (names->count < 1 || names->count > most) {
        return error_set(error, STATUS_INVALID, "inputs: %zu names; %s%u expected", names->count,
                         most > 1 ? "1 to " : "", most);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < names->count; i++) {
        status = init_one(&inputs->inputs[i], names->items[i], set, error);
        inputs->count += status == STATUS_OK;
    }
    if (status != STATUS_OK) {
        anomaly_inputs_release(inputs);
    }
    return status;
}

void anomaly_inputs_release(struct anomaly_inputs *inputs)
{
    for (uint32_t i = 0; i < inputs->count; i++) {
        free(inputs->inputs[i].name);
    }
    inputs->count = 0;
}

static float read_attribute(const struct event_batch *batch, uint32_t row, const char *name)
{
    const struct attribute_list *list = &batch->attributes[row];
    for (uint32_t i = 0; i < list->count; i++) {
        int64_t millionths;
        if (text_is(list->items[i].name, name)) {
            return decimal_parse(list->items[i].value, &decimal_plain, 6, &millionths) == DECIMAL_OK
                       ? (float)((double)millionths / MILLIONTHS)
                       : NAN;
        }
    }
    return NAN;
}

static float read_one(const struct anomaly_input *input, const struct event_batch *batch,
                      uint32_t row)
{
    switch (input->source) {
    case INPUT_PRICE:
        return event_has(batch, row, FIELD_PRICE) ? (float)((double)batch->price[row] / MILLIONTHS)
                                                  : NAN;
    case INPUT_QUANTITY:
        return event_has(batch, row, FIELD_QUANTITY) ? (float)batch->quantity[row] : NAN;
    case INPUT_STOCK:
        return event_has(batch, row, FIELD_STOCK) ? (float)batch->stock[row] : NAN;
    case INPUT_ATTRIBUTE:
        return read_attribute(batch, row, input->name + strlen(ATTRIBUTE));
    case INPUT_FEATURE:
        break;
    }
    return batch->features[(size_t)row * batch->feature_stride + input->column];
}

void anomaly_inputs_read(const struct anomaly_inputs *inputs, const struct event_batch *batch,
                         uint32_t row, float *values)
{
    for (uint32_t i = 0; i < inputs->count; i++) {
        values[i] = read_one(&inputs->inputs[i], batch, row);
    }
}

bool anomaly_inputs_have_any(const struct anomaly_inputs *inputs, const float *values)
{
    for (uint32_t i = 0; i < inputs->count; i++) {
        if (!isnan(values[i])) {
            return true;
        }
    }
    return false;
}
