#include "pipeline/event/event_place.h"

#include <assert.h>
#include <stdio.h>

#define OFFSET_BITS 43u
#define TOPIC_BITS 4u
#define TOPIC_AT OFFSET_BITS
#define ORIGIN_AT (OFFSET_BITS + TOPIC_BITS)

static_assert(ORIGIN_AT + 9 == PLACE_BITS, "one more than PLACE_ORIGINS_MAX in 9 bits");
static_assert(PLACE_TOPIC_OTHER < 1u << TOPIC_BITS, "a topic's number in its bits");

uint32_t event_topics_number(struct event_topics *topics, struct text name)
{
    if (!name.data || name.length == 0 || name.length >= PLACE_TOPIC_BYTES) {
        return PLACE_TOPIC_OTHER;
    }
    for (uint32_t i = 0; i < PLACE_TOPICS_MAX; i++) {
        char *known = topics->names[i];
        if (known[0] == '\0') {
            memcpy(known, name.data, name.length);
            return i;
        }
        if (memcmp(known, name.data, name.length) == 0 && known[name.length] == '\0') {
            return i;
        }
    }
    return PLACE_TOPIC_OTHER;
}

uint64_t place_make(uint32_t topic, uint64_t offset)
{
    assert(topic <= PLACE_TOPIC_OTHER);
    return offset > PLACE_OFFSET_MAX ? PLACE_UNKNOWN : (uint64_t)topic << TOPIC_AT | (offset + 1);
}

uint64_t place_of_origin(uint32_t topic, uint32_t partition, uint64_t offset)
{
    uint64_t place = place_make(topic, offset);
    return partition >= PLACE_ORIGINS_MAX || place == PLACE_UNKNOWN
               ? PLACE_UNKNOWN
               : place | (uint64_t)(partition + 1) << ORIGIN_AT;
}

uint64_t place_offset(uint64_t place)
{
    assert(place != PLACE_UNKNOWN);
    return (place & ((UINT64_C(1) << OFFSET_BITS) - 1)) - 1;
}

struct text place_topic(const struct event_places *places, uint64_t place)
{
    uint32_t number = (uint32_t)(place >> TOPIC_AT) & ((1u << TOPIC_BITS) - 1);
    bool is_named =
        places->topics && number != PLACE_TOPIC_OTHER && places->topics->names[number][0] != '\0';
    return is_named ? text_of(places->topics->names[number]) : (struct text){NULL, 0};
}

struct text place_partition(const struct event_places *places, uint64_t place, char buffer[12])
{
    uint32_t origin = (uint32_t)(place >> ORIGIN_AT);
    if (origin == 0) {
        return text_of(places->partition);
    }
    (void)snprintf(buffer, 12, "%u", origin - 1);
    return text_of(buffer);
}
