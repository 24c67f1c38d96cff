#include "models/markov_fit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/hash.h"

static size_t history_count(uint32_t states)
{
    return (size_t)states * (states + 1) * (states + 1);
}

bool markov_counts_init(struct markov_counts *counts, uint32_t state_count)
{
    assert(state_count > 0 && state_count <= MARKOV_STATES_MAX);
    counts->state_count = state_count;
    counts->seen = calloc(history_count(state_count) * (state_count + 1), sizeof(*counts->seen));
    return counts->seen != NULL;
}

void markov_counts_release(struct markov_counts *counts)
{
    free(counts->seen);
    counts->seen = NULL;
}

/* What followed these last events. */
static uint64_t *seen_after(const struct markov_counts *counts, uint32_t last, uint32_t before,
                            uint32_t first)
{
    size_t ends = (size_t)counts->state_count + 1;
    assert(last > 0 && last < ends && before < ends && first < ends);
    return counts->seen + (((last - 1) * ends + before) * ends + first) * ends;
}

void markov_counts_add(struct markov_counts *counts, const struct markov_history *history,
                       uint32_t state, uint64_t times)
{
    assert(state <= counts->state_count);
    seen_after(counts, history->last[0], history->last[1], history->last[2])[state] += times;
}

uint64_t markov_counts_hash(const struct markov_counts *counts)
{
    size_t bytes =
        history_count(counts->state_count) * (counts->state_count + 1) * sizeof(*counts->seen);
    assert(bytes <= UINT32_MAX);
    return hash64((struct text){(const char *)counts->seen, (uint32_t)bytes});
}

/* Adds what followed `context`, of 1 to 3 events, to sums[state_count + 1]. */
static uint64_t sum_up(const struct markov_counts *counts, const struct markov_context *context,
                       uint64_t *sums)
{
    uint32_t ends = counts->state_count + 1;
    uint32_t before = context->length > 1 ? context->last[1] : 0;
    uint32_t before_end = context->length > 1 ? before + 1 : ends;
    uint64_t total = 0;
    memset(sums, 0, ends * sizeof(*sums));
    for (; before < before_end; before++) {
        uint32_t first = context->length > 2 ? context->last[2] : 0;
        uint32_t first_end = context->length > 2 ? first + 1 : ends;
        for (; first < first_end; first++) {
            const uint64_t *seen = seen_after(counts, context->last[0], before, first);
            for (uint32_t to = 0; to < ends; to++) {
                sums[to] += seen[to];
                total += seen[to];
            }
        }
    }
    return total;
}

/* The row of `table` from the sums of what followed and the chances that stand in for none. */
static void fill_row(struct markov *table, uint32_t row, const uint64_t *sums, double strength,
                     const double *step, double leave)
{
    uint32_t states = table->state_count;
    double sum = 0;
    for (uint32_t to = 0; to < states; to++) {
        table->step[row][to] = (double)sums[to] + strength * step[to];
        sum += table->step[row][to];
    }
    double leaves = (double)sums[states] + strength * leave;
    double least = 2 * MARKOV_LEAVE_MIN * sum; /* Of many events that none ever left from. */
    table->leave[row] = leaves > least ? leaves : least;
    sum += table->leave[row];
    for (uint32_t to = 0; to < states; to++) {
        table->step[row][to] /= sum;
    }
    table->leave[row] /= sum;
}

/* ---- Which contexts ---- */

struct candidate {
    uint64_t total;
    struct markov_context context;
};

static int compare_contexts(const struct markov_context *a, const struct markov_context *b)
{
    return a->length != b->length ? (a->length < b->length ? -1 : 1)
                                  : memcmp(a->last, b->last, sizeof(a->last));
}

/* The most frequent first, of equal ones the shorter, so that with a context come its parts. */
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    return a->total != b->total ? (a->total > b->total ? -1 : 1)
                                : compare_contexts(&a->context, &b->context);
}

static int compare_in_table(const void *left, const void *right)
{
    return compare_contexts(left, right);
}

static void consider(const struct markov_counts *counts, struct markov_context context,
                     struct candidate *candidates, size_t *count)
{
    uint64_t sums[MARKOV_STATES_MAX + 1];
    uint64_t total = sum_up(counts, &context, sums);
    if (total >= MARKOV_CONTEXT_EVENTS_MIN) {
        candidates[(*count)++] = (struct candidate){total, context};
    }
}

/* A session's begin is where no third event is: (start, x) has two places already. */
static bool choose_contexts(const struct markov_counts *counts, uint32_t order,
                            struct markov *table)
{
    uint32_t ends = counts->state_count + 1;
    struct candidate *candidates = calloc(2 * history_count(ends), sizeof(*candidates));
    size_t count = 0;
    if (!candidates) {
        return false;
    }
    for (uint32_t last = 1; last < ends; last++) {
        for (uint32_t before = 0; before < ends; before++) {
            struct markov_context context = {2, {(uint8_t)last, (uint8_t)before, 0}};
            consider(counts, context, candidates, &count);
            for (uint32_t first = 0; order > 2 && before > 0 && first < ends; first++) {
                context =
                    (struct markov_context){3, {(uint8_t)last, (uint8_t)before, (uint8_t)first}};
                consider(counts, context, candidates, &count);
            }
        }
    }
    qsort(candidates, count, sizeof(*candidates), compare_candidates);
    table->context_count = count < MARKOV_CONTEXTS_MAX ? (uint32_t)count : MARKOV_CONTEXTS_MAX;
    for (uint32_t k = 0; k < table->context_count; k++) {
        table->contexts[k] = candidates[k].context;
    }
    qsort(table->contexts, table->context_count, sizeof(table->contexts[0]), compare_in_table);
    free(candidates);
    return true;
}

/* The row of the context without its oldest event. */
static uint32_t shorter_row(const struct markov *table, const struct markov_context *context)
{
    uint32_t k = 0;
    if (context->length == 2) {
        return context->last[0] - 1u;
    }
    while (table->contexts[k].length != 2 || table->contexts[k].last[0] != context->last[0] ||
           table->contexts[k].last[1] != context->last[1]) {
        k++;
        assert(k < table->context_count);
    }
    return table->state_count + k;
}

bool markov_fit(const struct markov_counts *counts, const struct markov *prior, double strength,
                uint32_t order, struct markov *ret_table)
{
    uint32_t states = counts->state_count;
    uint64_t sums[MARKOV_STATES_MAX + 1];
    double even[MARKOV_STATES_MAX];
    assert(strength > 0 && order >= 1 && order <= MARKOV_ORDER_MAX);
    assert(!prior || prior->state_count == states);
    *ret_table = (struct markov){.state_count = states};
    for (uint32_t to = 0; to < states; to++) {
        even[to] = 1.0 / (states + 1);
    }
    for (uint32_t from = 0; from < states; from++) {
        const struct markov_context context = {1, {(uint8_t)(from + 1), 0, 0}};
        (void)sum_up(counts, &context, sums);
        fill_row(ret_table, from, sums, strength, prior ? prior->step[from] : even,
                 prior ? prior->leave[from] : even[0]);
    }
    if (order > 1 && !choose_contexts(counts, order, ret_table)) {
        return false;
    }
    for (uint32_t k = 0; k < ret_table->context_count; k++) {
        const struct markov_context *context = &ret_table->contexts[k];
        uint32_t shorter = shorter_row(ret_table, context);
        (void)sum_up(counts, context, sums);
        fill_row(ret_table, states + k, sums, strength, ret_table->step[shorter],
                 ret_table->leave[shorter]);
    }
    return true;
}
