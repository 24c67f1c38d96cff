/* The importance of eval_report.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/score_table.h"
#include "pipeline/run/eval_report.h"

static int compare(const void *a, const void *b)
{
    const struct eval_importance *x = a;
    const struct eval_importance *y = b;
    if (x->mean_term != y->mean_term) {
        return x->mean_term > y->mean_term ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

struct explainer {
    struct model *model;
    const struct row_table *table;
    struct eval_importance *importance; /* [features + 1]; the last is of the session before. */
    float *terms;                       /* [features] */
    float start;                        /* What a session's first row would begin with. */
    uint32_t rows, seen;                /* To be explained; explained so far. */
};

static void explain(void *context, uint32_t row, const void *state)
{
    static const uint32_t no_state[MODEL_STATE_BYTES_MAX / sizeof(uint32_t)];
    struct explainer *self = context;
    if (self->seen == self->rows ||
        row != (uint32_t)((uint64_t)self->table->count * self->seen / self->rows)) {
        return;
    }
    uint32_t count = self->model->pack->feature_count;
    const float *values = row_table_features(self->table, row);
    float base;
    if (state && self->seen == 0) {
        model_explain(self->model, values, no_state, self->terms, &self->start);
    }
    model_explain(self->model, values, state, self->terms, &base);
    for (uint32_t f = 0; f < count; f++) {
        self->importance[f].mean_term += fabs((double)self->terms[f]) / self->rows;
    }
    if (state) {
        self->importance[count].mean_term += fabs((double)(base - self->start)) / self->rows;
    }
    self->seen++;
}

enum status eval_report_score(struct eval_report *report, struct model *model,
                              const struct row_table *table, const uint32_t *columns, float *logits,
                              struct error *error)
{
    uint32_t count = model->pack->feature_count;
    struct explainer explainer = {
        .model = model,
        .table = table,
        .importance = report->importance,
        .terms = calloc(count, sizeof(float)),
        .rows = table->count < IMPORTANCE_ROWS ? table->count : IMPORTANCE_ROWS,
    };
    if (!explainer.terms) {
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    for (uint32_t f = 0; f < count; f++) {
        report->importance[f] = (struct eval_importance){.name = report->names[columns[f]]};
    }
    report->importance[count] = (struct eval_importance){.name = "session_before"};
    const struct score_observer observer = {explain, &explainer};
    enum status status = score_table(model, table, &observer, logits, error);
    free(explainer.terms);
    report->importance_count = count + (model->state_bytes > 0);
    report->importance_rows = explainer.rows;
    qsort(report->importance, report->importance_count, sizeof(*report->importance), compare);
    return status;
}
