#include "pipeline/generate/agenda.h"

#include <stdlib.h>

static bool is_before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->time_ms != b->time_ms ? a->time_ms < b->time_ms : a->sequence < b->sequence;
}

bool agenda_add(struct agenda *agenda, int64_t time_ms, int kind, void *object)
{
    if (agenda->count == agenda->capacity) {
        size_t capacity = agenda->capacity ? agenda->capacity * 2 : 1024;
        struct agenda_item *items = realloc(agenda->items, capacity * sizeof(*items));
        if (!items) {
            return false;
        }
        agenda->items = items;
        agenda->capacity = capacity;
    }
    struct agenda_item item = {
        .time_ms = time_ms, .sequence = agenda->next_sequence++, .kind = kind, .object = object};
    size_t place = agenda->count++;
    while (place > 0 && is_before(&item, &agenda->items[(place - 1) / 2])) {
        agenda->items[place] = agenda->items[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    agenda->items[place] = item;
    return true;
}

bool agenda_take(struct agenda *agenda, struct agenda_item *ret_item)
{
    if (agenda->count == 0) {
        return false;
    }
    *ret_item = agenda->items[0];
    struct agenda_item last = agenda->items[--agenda->count];
    size_t place = 0;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= agenda->count) {
            break;
        }
        if (child + 1 < agenda->count &&
            is_before(&agenda->items[child + 1], &agenda->items[child])) {
            child++;
        }
        if (!is_before(&agenda->items[child], &last)) {
            break;
        }
        agenda->items[place] = agenda->items[child];
        place = child;
    }
    if (agenda->count > 0) {
        agenda->items[place] = last;
    }
    return true;
}

void agenda_release(struct agenda *agenda)
{
    free(agenda->items);
    *agenda = (struct agenda){0};
}
