#include "models/markov.h"

#include <assert.h>

void markov_index_make(const struct markov *table, struct markov_index *ret_index)
{
    uint32_t ends = table->state_count + 1;
    *ret_index = (struct markov_index){0};
    assert(table->state_count <= MARKOV_STATES_MAX && table->context_count <= MARKOV_CONTEXTS_MAX);
    for (uint32_t last = 1; last < ends; last++) {
        for (uint32_t before = 0; before < ends; before++) {
            ret_index->pair[last][before] = (uint16_t)(last - 1);
        }
    }
    for (uint32_t k = 0; k < table->context_count; k++) {
        const struct markov_context *context = &table->contexts[k];
        if (context->length == 2) {
            ret_index->pair[context->last[0]][context->last[1]] =
                (uint16_t)(table->state_count + k);
        }
    }
    for (uint32_t last = 1; last < ends; last++) {
        for (uint32_t before = 0; before < ends; before++) {
            for (uint32_t first = 0; first < ends; first++) {
                ret_index->triple[last][before][first] = ret_index->pair[last][before];
            }
        }
    }
    for (uint32_t k = 0; k < table->context_count; k++) {
        const struct markov_context *context = &table->contexts[k];
        if (context->length == 3) {
            ret_index->triple[context->last[0]][context->last[1]][context->last[2]] =
                (uint16_t)(table->state_count + k);
        }
    }
}

uint32_t markov_next_row(const struct markov *table, const struct markov_index *index, uint32_t row,
                         uint32_t state)
{
    if (row < table->state_count) {
        return index->pair[state + 1][row + 1];
    }
    const struct markov_context *context = &table->contexts[row - table->state_count];
    return index->triple[state + 1][context->last[0]][context->last[1]];
}
