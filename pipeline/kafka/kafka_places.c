#include "pipeline/kafka/kafka_places.h"

#include <assert.h>

static void forget_order(struct kafka_places *places)
{
    places->taken = 0;
    places->change_count = 0;
}

void kafka_places_rewind(struct kafka_places *places)
{
    places->now = places->committed;
    forget_order(places);
}

void kafka_places_commit(struct kafka_places *places)
{
    places->committed = places->now;
    forget_order(places);
}

bool kafka_places_take(struct kafka_places *places, uint32_t topic, int64_t offset, uint32_t at_end)
{
    assert(topic < places->count);
    if (places->count > 1) {
        if (places->taken == KAFKA_PLACES_TAKEN_MAX) {
            return false;
        }
        uint32_t count = places->change_count;
        if (count == 0 || places->changes[count - 1].at_end != at_end) {
            if (count == KAFKA_PLACES_CHANGES_MAX) {
                return false;
            }
            places->changes[count].before = places->taken;
            places->changes[count].at_end = at_end;
            places->change_count++;
        }
    }
    places->taken++;
    places->now.offsets[topic] = offset + 1;
    places->now.ordinal = places->is_counting ? places->now.ordinal + 1 : (uint64_t)offset + 1;
    return true;
}

void kafka_places_untake(struct kafka_places *places, uint32_t topic, int64_t offset)
{
    assert(places->taken > 0);
    places->taken--;
    if (places->change_count > 0 &&
        places->changes[places->change_count - 1].before == places->taken) {
        places->change_count--;
    }
    places->now.offsets[topic] = offset;
    places->now.ordinal = places->is_counting ? places->now.ordinal - 1 : (uint64_t)offset;
}

static size_t put_number(unsigned char *bytes, uint32_t number)
{
    size_t length = 0;
    for (; number > 127; number >>= 7) {
        bytes[length++] = (unsigned char)(number | 128);
    }
    bytes[length++] = (unsigned char)number;
    return length;
}

size_t kafka_places_write(const struct kafka_places *places,
                          unsigned char ret_bytes[KAFKA_INTERLEAVING_BYTES_MAX])
{
    static_assert(KAFKA_INPUTS_MAX <= 21, "a set of topics fits into three bytes");
    size_t length = 0;
    for (uint32_t i = 0; i < places->change_count; i++) {
        length += put_number(ret_bytes + length, places->changes[i].before);
        length += put_number(ret_bytes + length, places->changes[i].at_end);
    }
    return length;
}
