#include "test/simulation/reference.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t place_hash(struct run_place place)
{
    uint64_t hash = hash64_combine(place.events_read, place.timers_fired);
    hash = hash64_combine(hash, place.ticks);
    return hash64_combine(hash, place.is_ticking << 1 | place.is_drained);
}

static struct reference_state *find(const struct reference *reference, struct run_place place)
{
    for (uint64_t at = place_hash(place);; at++) {
        struct reference_state *state = &reference->states[at & (reference->capacity - 1)];
        if (!state->is_used || memcmp(&state->place, &place, sizeof(place)) == 0) {
            return state;
        }
    }
}

static void grow(struct reference *reference)
{
    struct reference before = *reference;
    reference->capacity = before.capacity ? 2 * before.capacity : 1024;
    reference->states = calloc(reference->capacity, sizeof(*reference->states));
    assert(reference->states);
    for (uint32_t i = 0; i < before.capacity; i++) {
        if (before.states[i].is_used) {
            *find(reference, before.states[i].place) = before.states[i];
        }
    }
    free(before.states);
}

void reference_release(struct reference *reference)
{
    free(reference->states);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        byte_buffer_release(&reference->outputs[topic]);
    }
    committed_release(&reference->end);
    *reference = (struct reference){0};
}

static struct reference_state state_of(const struct committed *model)
{
    struct reference_state state = {
        .place = committed_place(model),
        .is_used = true,
        .counters = model->progress.counters,
    };
    memcpy(state.meaning, model->records.meaning, sizeof(state.meaning));
    memcpy(state.output_bytes, model->output_bytes, sizeof(state.output_bytes));
    return state;
}

/* What is different, or NULL. */
static const char *difference(const struct reference_state *a, const struct reference_state *b)
{
    for (int kind = 0; kind < ENTITY_TASK; kind++) {
        if (a->meaning[kind] != b->meaning[kind]) {
            return entity_names[kind];
        }
    }
    if (memcmp(&a->counters, &b->counters, sizeof(a->counters)) != 0) {
        return "the counters";
    }
    if (memcmp(a->output_bytes, b->output_bytes, sizeof(a->output_bytes)) != 0) {
        return "the outputs' lengths";
    }
    /* How far a tick has come depends on the batches. */
    return a->place.is_ticking == b->place.is_ticking &&
                   a->meaning[ENTITY_TASK] != b->meaning[ENTITY_TASK]
               ? "the task's record"
               : NULL;
}

void reference_add(struct reference *reference, struct watch *watch, const struct committed *model)
{
    if (4 * (reference->count + 1) > 3 * reference->capacity) {
        grow(reference);
    }
    struct reference_state state = state_of(model);
    struct reference_state *place = find(reference, state.place);
    const char *different = place->is_used ? difference(place, &state) : NULL;
    if (different) {
        watch_violate(watch, "undisturbed: a step without a row has changed %s", different);
    }
    reference->count += !place->is_used;
    *place = state;
}

void reference_compare(const struct reference *reference, struct watch *watch,
                       const struct committed *model)
{
    if (model->log_position == 0) {
        return;
    }
    struct reference_state state = state_of(model);
    const struct reference_state *expected = find(reference, state.place);
    if (!expected->is_used && state.place.is_ticking) {
        struct run_place place = state.place;
        place.is_ticking = 0;
        expected = find(reference, place);
    }
    struct reference_state before;
    if (!expected->is_used && state.place.is_ticking) {
        /* A tick that has met nothing but entries that moved: as before it, but that it counts. */
        struct run_place place = state.place;
        place.is_ticking = 0;
        place.ticks--;
        before = *find(reference, place);
        before.counters.ticks++;
        expected = &before;
    }
    const char *different = !expected->is_used ? "the place" : difference(expected, &state);
    if (different) {
        watch_violate(
            watch,
            "commit %llu: %s: not as undisturbed after %llu events, %llu timers and "
            "%llu ticks%s%s",
            (unsigned long long)model->log_position, different,
            (unsigned long long)state.place.events_read,
            (unsigned long long)state.place.timers_fired, (unsigned long long)state.place.ticks,
            state.place.is_ticking ? ", ticking" : "", state.place.is_drained ? ", draining" : "");
    }
    if (model->position.ordinal != state.place.events_read) {
        watch_violate(watch, "commit %llu: the input goes on at %llu, but %llu are counted",
                      (unsigned long long)model->log_position,
                      (unsigned long long)model->position.ordinal,
                      (unsigned long long)state.place.events_read);
    }
}
