#include "pipeline/run/side_topics.h"

#include "pipeline/limits.h"

void side_topics_dead_letter(struct output_batch *outputs, const char *source_name,
                             const char *partition, int64_t time_ms, const struct raw_record *raw,
                             const struct rejection *rejection)
{
    char sha256[65];
    sha256_format(raw->bytes.length ? raw->bytes.data : "", raw->bytes.length, sha256);
    uint32_t kept_bytes =
        raw->bytes.length < DEAD_LETTER_BYTES_MAX ? raw->bytes.length : DEAD_LETTER_BYTES_MAX;
    struct output_writer *writer =
        output_begin(outputs, TOPIC_DEAD_LETTERS, (struct key128){0}, time_ms);
    output_text(writer, text_of(source_name));
    output_text(writer, text_of(partition));
    output_long(writer, (int64_t)raw->position.ordinal);
    output_long(writer, (int64_t)raw->position.bytes);
    output_text(writer, text_of(rejection_names[rejection->reason]));
    if (rejection->detail[0]) {
        output_text(writer, text_of(rejection->detail));
    } else {
        output_null(writer);
    }
    output_bytes(writer, raw->bytes.data, kept_bytes);
    output_long(writer, raw->bytes.length);
    output_text(writer, text_of(sha256));
    output_end(writer);
}

static void write_text_or_null(struct output_writer *writer, const struct event_batch *batch,
                               uint32_t row, enum event_field field)
{
    if (event_has(batch, row, field)) {
        output_text(writer, batch->text[field][row]);
    } else {
        output_null(writer);
    }
}

static void write_session(struct output_writer *writer, uint64_t session_id)
{
    if (session_id) {
        output_id(writer, session_id);
    } else {
        output_null(writer);
    }
}

static void write_late_event(const struct event_batch *batch, const char *partition, uint32_t row)
{
    struct output_writer *writer =
        output_begin(batch->outputs, TOPIC_LATE_EVENTS, batch->user_key[row], batch->time_ms[row]);
    bool is_diverted = batch->state[row] == ROW_DIVERTED;
    write_text_or_null(writer, batch, row, FIELD_EVENT_ID);
    output_text(writer, text_of(partition));
    output_long(writer, (int64_t)batch->ordinal[row]);
    output_key(writer, batch->user_key[row]);
    output_time(writer, batch->time_ms[row]);
    output_time(writer, batch->watermark_ms[row]);
    output_long(writer, batch->watermark_ms[row] - batch->time_ms[row]);
    output_text(writer, text_of(event_types[batch->type[row]].name));
    write_text_or_null(writer, batch, row, FIELD_ITEM);
    write_session(writer, is_diverted ? 0 : batch->session_id[row]);
    output_text(writer, text_of(is_diverted ? "diverted" : "processed"));
    output_end(writer);
}

void side_topics_late_events(const struct event_batch *batch, const char *partition)
{
    for (uint32_t row = 0; row < batch->event_count; row++) {
        if (batch->is_late[row] && batch->state[row] != ROW_DUPLICATE) {
            write_late_event(batch, partition, row);
        }
    }
}

static void write_scored_event(const struct event_batch *batch, uint32_t row,
                               const struct scored_events_options *options)
{
    struct output_writer *writer = output_begin(batch->outputs, TOPIC_SCORED_EVENTS,
                                                batch->user_key[row], batch->time_ms[row]);
    write_text_or_null(writer, batch, row, FIELD_EVENT_ID);
    output_text(writer, text_of(options->partition));
    output_long(writer, (int64_t)batch->ordinal[row]);
    output_key(writer, batch->user_key[row]);
    output_time(writer, batch->time_ms[row]);
    output_text(writer, text_of(event_types[batch->type[row]].name));
    write_session(writer, batch->session_id[row]);
    output_id(writer, options->feature_set_hash);
    output_float_array(writer, batch->features + (size_t)row * batch->feature_stride,
                       batch->feature_count);
    output_record_begin(writer);
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        output_float(writer, batch->score[kind][row]);
    }
    output_record_end(writer);
    output_long(writer, (int64_t)options->epoch);
    output_text(writer, text_of(options->numeric_profile));
    output_double(writer, options->share);
    output_end(writer);
}

void side_topics_scored_events(const struct event_batch *batch,
                               const struct scored_events_options *options)
{
    if (options->share <= 0) {
        return;
    }
    uint64_t partition_hash = hash64(text_of(options->partition));
    /* 2^53: every integer up to it is a double, so the comparison is exact. */
    uint64_t bound = (uint64_t)(options->share * 9007199254740992.0);
    for (uint32_t row = 0; row < batch->event_count; row++) {
        uint64_t drawn = hash64_combine(partition_hash, batch->ordinal[row]) >> 11;
        if (batch->state[row] == ROW_LIVE && drawn < bound) {
            write_scored_event(batch, row, options);
        }
    }
}
