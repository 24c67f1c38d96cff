#include "operators/session_record.h"

#include "pipeline/output/topic_records.h"

static const char *const cause_names[] = {"ended", "late", "bridged", "crowded"};

static const char *const outcome_names[] = {"open", "bounced", "browsed", "abandoned_cart",
                                            "purchased"};
static_assert(OUTCOME_PURCHASED == 4, "a new outcome needs a name");

static void write_counts(struct output_writer *writer, const struct session_slot *slot)
{
    uint32_t counts[EVENT_TYPE_COUNT];
    uint32_t used = 0;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        counts[type] = session_count_of(slot, (enum event_type)type);
        used += counts[type] > 0;
    }
    output_map_begin(writer, used);
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        if (counts[type] > 0) {
            output_map_name(writer, text_of(event_types[type].name));
            output_long(writer, counts[type]);
        }
    }
    output_map_end(writer);
}

static void write_spend(struct output_writer *writer, const struct session_slot *slot)
{
    if (session_is(slot, SLOT_MIXED)) {
        output_null(writer);
    } else {
        output_long(writer, slot->spend);
    }
    char code[3];
    if (!session_is(slot, SLOT_MIXED) && session_currency_unpack(slot->currency, code)) {
        output_text(writer, (struct text){code, sizeof(code)});
    } else {
        output_null(writer);
    }
}

void session_record_write(const struct event_batch *batch, struct key128 user,
                          const struct session_slot *slot, enum session_cause cause,
                          uint64_t merged_into, uint64_t cause_place)
{
    int64_t last_ms = session_last_ms(slot);
    struct output_writer *writer = output_begin(batch->outputs, TOPIC_SESSIONS, user, last_ms);
    output_id(writer, slot->id);
    output_long(writer, slot->revision);
    output_bool(writer, cause == SESSION_CAUSE_BRIDGED);
    output_text(writer, text_of(cause_names[cause]));
    if (merged_into != 0) {
        output_id(writer, merged_into);
    } else {
        output_null(writer);
    }
    output_key(writer, user);
    output_time(writer, slot->start_ms);
    output_time(writer, last_ms);
    output_long(writer, slot->duration_ms);
    output_long(writer, slot->event_count);
    write_counts(writer, slot);
    output_long(writer, session_distinct_items(slot));
    output_long(writer, session_count_of(slot, EVENT_PURCHASE));
    write_spend(writer, slot);
    output_text(writer, text_of(event_types[slot->entry_type].name));
    output_text(writer, text_of(event_types[slot->exit_type].name));
    output_text(writer, text_of(outcome_names[session_outcome_of(slot)]));
    output_bool(writer, session_has_cart(slot));
    place_write(writer, &batch->places, cause_place);
    output_end(writer);
}
