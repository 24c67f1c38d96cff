#include "pipeline/run/user_outcomes.h"

#include <stdlib.h>

enum status user_outcomes_add(struct user_outcomes *outcomes, const struct user_outcome *outcome,
                              struct error *error)
{
    if (outcomes->count == outcomes->capacity) {
        uint32_t capacity = outcomes->capacity ? outcomes->capacity * 2 : 1024;
        struct user_outcome *larger =
            capacity > outcomes->capacity
                ? realloc(outcomes->outcomes, (size_t)capacity * sizeof(*larger))
                : NULL;
        if (!larger) {
            return error_set(error, STATUS_FATAL, "labelled rows: out of memory");
        }
        outcomes->outcomes = larger;
        outcomes->capacity = capacity;
    }
    outcomes->outcomes[outcomes->count++] = *outcome;
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    const struct user_outcome *x = a;
    const struct user_outcome *y = b;
    if (x->user != y->user) {
        return x->user < y->user ? -1 : 1;
    }
    if (x->time_ms != y->time_ms) {
        return x->time_ms < y->time_ms ? -1 : 1;
    }
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

void user_outcomes_sort(struct user_outcomes *outcomes)
{
    if (outcomes->count > 0) {
        qsort(outcomes->outcomes, outcomes->count, sizeof(*outcomes->outcomes), compare);
    }
}

void user_outcomes_release(struct user_outcomes *outcomes)
{
    free(outcomes->outcomes);
    *outcomes = (struct user_outcomes){0};
}

static bool is_after(const struct user_outcome *outcome, uint64_t user, int64_t time_ms)
{
    return outcome->user > user || (outcome->user == user && outcome->time_ms > time_ms);
}

const struct user_outcome *user_outcomes_next(const struct user_outcomes *outcomes, uint64_t user,
                                              int64_t time_ms, int64_t within_ms)
{
    uint32_t low = 0;
    uint32_t high = outcomes->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (is_after(&outcomes->outcomes[middle], user, time_ms)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    const struct user_outcome *next = low < outcomes->count ? &outcomes->outcomes[low] : NULL;
    bool is_found = next && next->user == user && next->time_ms - time_ms <= within_ms;
    return is_found ? next : NULL;
}
