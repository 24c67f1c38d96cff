#include "models/score_table.h"

#include <stdlib.h>

#include "models/key_map.h"

static enum status step_rows(struct model *model, const struct row_table *table,
                             const struct score_observer *observer, const uint32_t *groups,
                             unsigned char *memory, float *logits, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < table->count; i++) {
        void *states[] = {memory + (size_t)groups[i] * model->state_bytes};
        if (observer) {
            observer->see(observer->context, i, states[0]);
        }
        status = model_step(model, table->features, table->feature_count, &i, 1, states, &logits[i],
                            error);
    }
    return status;
}

enum status score_table(struct model *model, const struct row_table *table,
                        const struct score_observer *observer, float *logits, struct error *error)
{
    if (model->state_bytes == 0) {
        for (uint32_t i = 0; observer && i < table->count; i++) {
            observer->see(observer->context, i, NULL);
        }
        return model_score(model, table->features, table->feature_count, NULL, table->count, logits,
                           error);
    }
    struct key_map numbers = {0};
    uint32_t *groups = calloc((size_t)table->count + 1, sizeof(*groups));
    bool is_whole = groups != NULL;
    for (uint32_t i = 0; is_whole && i < table->count; i++) {
        groups[i] = key_map_add(&numbers, table->rows[i].group ? table->rows[i].group : 1);
        is_whole = groups[i] != KEY_MAP_NONE;
    }
    unsigned char *memory = calloc((size_t)numbers.count + 1, model->state_bytes);
    enum status status = is_whole && memory
                             ? step_rows(model, table, observer, groups, memory, logits, error)
                             : error_set(error, STATUS_FATAL, "scoring rows: out of memory");
    key_map_release(&numbers);
    free(memory);
    free(groups);
    return status;
}
