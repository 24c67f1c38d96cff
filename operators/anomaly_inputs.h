/* The numbers of an event that a detector of anomalies looks at; used by score_anomaly.c. */
#ifndef OPERATORS_ANOMALY_INPUTS_H
#define OPERATORS_ANOMALY_INPUTS_H

#include "operators/score_anomaly.h"
#include "pipeline/event/event_batch.h"

enum anomaly_source { INPUT_PRICE, INPUT_QUANTITY, INPUT_STOCK, INPUT_ATTRIBUTE, INPUT_FEATURE };

struct anomaly_input {
    char *name; /* Owned, as written. */
    enum anomaly_source source;
    uint32_t column; /* INPUT_FEATURE */
};

struct anomaly_inputs {
    struct anomaly_input inputs[ANOMALY_INPUTS_MAX];
    uint32_t count;
};

/* STATUS_INVALID: none, more than `most`, or a name that is none, with the nearest one. */
MUST_CHECK enum status anomaly_inputs_init(struct anomaly_inputs *inputs,
                                           const struct text_list *names, uint32_t most,
                                           const struct feature_set *set, struct error *error);
void anomaly_inputs_release(struct anomaly_inputs *inputs);

/* values[count]; NaN: missing, or an attribute that is no decimal number. */
void anomaly_inputs_read(const struct anomaly_inputs *inputs, const struct event_batch *batch,
                         uint32_t row, float *values);

bool anomaly_inputs_have_any(const struct anomaly_inputs *inputs, const float *values);

#endif
