#include "operators/session_list.h"

#include <stddef.h>
#include <string.h>

/* Version 1 knew the number of a session's last event, and not its place. */
#define HEAD_BYTES offsetof(struct session_list, slots)

bool session_list_upgrade(uint16_t version, const void *bytes, uint32_t length, void *list)
{
    struct session_list *out = list;
    if (version != 1 || length != HEAD_BYTES + SESSIONS_KEPT * SESSION_SLOT_BYTES_1) {
        return false;
    }
    memcpy(out, bytes, HEAD_BYTES);
    for (uint32_t i = 0; i < SESSIONS_KEPT; i++) {
        session_slot_upgrade((const char *)bytes + HEAD_BYTES + (size_t)i * SESSION_SLOT_BYTES_1,
                             &out->slots[i]);
    }
    return true;
}

void session_list_remove(struct session_list *list, uint32_t index)
{
    memmove(&list->slots[index], &list->slots[index + 1],
            (SESSIONS_KEPT - 1 - index) * sizeof(list->slots[0]));
    list->slots[SESSIONS_KEPT - 1] = (struct session_slot){0};
}

uint32_t session_list_resort(struct session_list *list, uint32_t index)
{
    struct session_slot slot = list->slots[index];
    while (index > 0 && session_last_ms(&list->slots[index - 1]) <= session_last_ms(&slot)) {
        list->slots[index] = list->slots[index - 1];
        index--;
    }
    list->slots[index] = slot;
    return index;
}

uint32_t session_list_find(const struct session_list *list, const struct session_event *event,
                           const struct session_limits *limits)
{
    uint32_t count = session_list_count(list);
    uint32_t found = count;
    int64_t found_ms = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct session_slot *slot = &list->slots[i];
        int64_t distance_ms = session_distance_ms(slot, event->time_ms);
        if (slot->hint != event->hint || distance_ms > session_join_gap_ms(limits, slot) ||
            slot->revision == SESSION_REVISIONS_MAX || !session_fits(slot, event, limits)) {
            continue;
        }
        bool is_tie_won = distance_ms == found_ms && slot->start_ms > list->slots[found].start_ms;
        if (distance_ms < found_ms || is_tie_won) {
            found = i;
            found_ms = distance_ms;
        }
    }
    return found;
}

uint32_t session_list_neighbour(const struct session_list *list, uint32_t index,
                                const struct session_limits *limits)
{
    const struct session_slot *slot = &list->slots[index];
    uint32_t count = session_list_count(list);
    for (uint32_t i = 0; i < count; i++) {
        const struct session_slot *other = &list->slots[i];
        int64_t gap_ms = session_join_gap_ms(limits, other);
        if (i != index && other->hint == slot->hint && other->revision < SESSION_REVISIONS_MAX &&
            slot->revision < SESSION_REVISIONS_MAX &&
            session_last_ms(other) + gap_ms >= slot->start_ms &&
            session_last_ms(slot) + gap_ms >= other->start_ms &&
            session_fits_session(slot, other, limits)) {
            return i;
        }
    }
    return count;
}

uint32_t session_list_first_due(const struct session_list *list)
{
    uint32_t count = session_list_count(list);
    uint32_t first = count;
    for (uint32_t i = 0; i < count; i++) {
        if (session_is(&list->slots[i], SLOT_CHANGED)) {
            first = i; /* Newest first: the last one found is due first. */
        }
    }
    return first;
}
