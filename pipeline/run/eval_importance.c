/* The importance of eval_report.h. */
#include <math.h>
#include <stdlib.h>

#include "pipeline/run/eval_report.h"

static int compare(const void *a, const void *b)
{
    const struct eval_importance *x = a;
    const struct eval_importance *y = b;
    if (x->mean_term != y->mean_term) {
        return x->mean_term > y->mean_term ? -1 : 1;
    }
    return x->column < y->column ? -1 : x->column > y->column;
}

enum status eval_report_explain(struct eval_report *report, struct model *model,
                                const struct row_table *table, const uint32_t *columns,
                                struct error *error)
{
    uint32_t count = model->pack->feature_count;
    uint32_t rows = table->count < IMPORTANCE_ROWS ? table->count : IMPORTANCE_ROWS;
    float *terms = calloc(count, sizeof(*terms));
    if (!terms) {
        return error_set(error, STATUS_FATAL, "eval: out of memory");
    }
    for (uint32_t f = 0; f < count; f++) {
        report->importance[f] = (struct eval_importance){.column = columns[f]};
    }
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t row = (uint32_t)((uint64_t)table->count * i / rows);
        float base;
        model_explain(model, row_table_features(table, row), NULL, terms, &base);
        for (uint32_t f = 0; f < count; f++) {
            report->importance[f].mean_term += fabs((double)terms[f]) / rows;
        }
    }
    free(terms);
    report->importance_count = count;
    report->importance_rows = rows;
    qsort(report->importance, count, sizeof(*report->importance), compare);
    return STATUS_OK;
}
