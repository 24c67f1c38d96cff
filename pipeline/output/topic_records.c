#include "pipeline/output/topic_records.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/limits.h"

/* 16 hexadecimal digits, or null for 0. */
static void put_id(struct output_writer *writer, uint64_t id)
{
    if (id) {
        output_id(writer, id);
    } else {
        output_null(writer);
    }
}

void place_write(struct output_writer *writer, const struct event_places *places, uint64_t place)
{
    if (place == PLACE_UNKNOWN) {
        output_null(writer);
        output_null(writer);
        output_null(writer);
        return;
    }
    char buffer[12];
    struct text topic = place_topic(places, place);
    if (topic.data) {
        output_text(writer, topic);
    } else {
        output_null(writer);
    }
    output_text(writer, place_partition(places, place, buffer));
    output_long(writer, (int64_t)place_offset(place));
}

static void put_event_text(struct output_writer *writer, const struct event_batch *events,
                           uint32_t row, enum event_field field)
{
    assert(field < TEXT_FIELD_COUNT);
    if (event_has(events, row, field)) {
        output_text(writer, events->text[field][row]);
    } else {
        output_null(writer);
    }
}

static struct text row_type_name(const struct event_batch *events, uint32_t row)
{
    uint8_t type = events->type[row];
    return text_of(type < EVENT_TYPE_COUNT ? event_types[type].name : "timer");
}

static void put_scores(struct output_writer *writer, const struct event_batch *events, uint32_t row)
{
    output_record_begin(writer);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        output_float(writer, events->score[kind][row]); /* Not scored: NaN, written as null. */
    }
    output_record_end(writer);
}

/*
 * The detail quotes the start of the field's value, which is content too: without what stands
 * between the first and the last quotation mark it still says which field and what was expected.
 */
static struct text detail_shown(const struct rejection *rejection, bool has_content,
                                char shown[REJECTION_DETAIL_BYTES])
{
    const char *detail = rejection->detail;
    const char *first = strchr(detail, '"');
    if (has_content || !first) {
        return text_of(detail);
    }
    const char *last = strrchr(detail, '"');
    /* A quotation mark that nothing closes was cut off with the rest. */
    const char *rest = last > first ? last + 1 : detail + strlen(detail);
    (void)snprintf(shown, REJECTION_DETAIL_BYTES, "%.*s(not shown)%s", (int)(first - detail),
                   detail, rest);
    return text_of(shown);
}

void dead_letter_write(struct output_batch *batch, const struct input_place *place,
                       const struct rejection *rejection, struct text bytes,
                       const struct digest *whole, bool has_content, int64_t time_ms)
{
    uint32_t kept = bytes.length < DEAD_LETTER_BYTES_MAX ? bytes.length : DEAD_LETTER_BYTES_MAX;
    struct digest digest;
    if (!whole) {
        digest_of(bytes.data, bytes.length, &digest);
        whole = &digest;
    }
    struct output_writer *writer =
        output_begin(batch, TOPIC_DEAD_LETTERS, (struct key128){0}, time_ms);
    output_set_cause(writer, place->cause);
    output_text(writer, place->source);
    output_text(writer, place->partition);
    output_long(writer, (int64_t)place->ordinal);
    output_long(writer, (int64_t)place->byte_position);
    output_text(writer, text_of(rejection_names[rejection->reason]));
    if (rejection->detail[0]) {
        char shown[REJECTION_DETAIL_BYTES];
        output_text(writer, detail_shown(rejection, has_content, shown));
    } else {
        output_null(writer);
    }
    if (has_content) {
        output_bytes(writer, bytes.data, kept);
    } else {
        output_null(writer);
    }
    output_long(writer, (int64_t)whole->length);
    output_text(writer, (struct text){whole->sha256, 64});
    output_end(writer);
}

void late_event_write(struct output_batch *batch, const struct event_batch *events, uint32_t row)
{
    int64_t time_ms = events->time_ms[row];
    int64_t watermark_ms = events->watermark_ms[row];
    bool is_diverted = events->state[row] == ROW_DIVERTED;
    assert(time_ms < watermark_ms);
    struct output_writer *writer =
        output_begin(batch, TOPIC_LATE_EVENTS, events->user_key[row], time_ms);
    output_set_cause(writer, events->ordinal[row]);
    put_event_text(writer, events, row, FIELD_EVENT_ID);
    place_write(writer, &events->places, events->place[row]);
    output_key(writer, events->user_key[row]);
    output_time(writer, time_ms);
    output_time(writer, watermark_ms);
    output_long(writer, watermark_ms - time_ms);
    output_text(writer, row_type_name(events, row));
    put_event_text(writer, events, row, FIELD_ITEM);
    put_id(writer, is_diverted ? 0 : events->session_id[row]);
    output_text(writer, text_of(is_diverted ? "diverted" : "processed"));
    output_end(writer);
}

void scored_event_write(struct output_batch *batch, const struct scored_event_context *context,
                        const struct event_batch *events, uint32_t row)
{
    const float *features = events->features + (size_t)row * events->feature_stride;
    struct output_writer *writer =
        output_begin(batch, TOPIC_SCORED_EVENTS, events->user_key[row], events->time_ms[row]);
    output_set_cause(writer, events->ordinal[row]);
    put_event_text(writer, events, row, FIELD_EVENT_ID);
    place_write(writer, &events->places, events->place[row]);
    output_key(writer, events->user_key[row]);
    output_time(writer, events->time_ms[row]);
    output_text(writer, row_type_name(events, row));
    put_id(writer, events->session_id[row]);
    output_id(writer, context->feature_set_hash);
    output_float_array(writer, features, events->feature_count);
    put_scores(writer, events, row);
    output_long(writer, context->configuration_epoch);
    output_text(writer, context->numeric_profile);
    output_double(writer, context->sampling_rate);
    output_end(writer);
}
