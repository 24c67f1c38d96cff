#include "pipeline/kafka/kafka_traces.h"

#include <string.h>

struct entry {
    uint64_t ordinal;
    size_t start; /* Of its headers: u16 name's number, u16 length and bytes, one by one. */
    size_t end;
};

void kafka_traces_release(struct kafka_traces *traces)
{
    byte_buffer_release(&traces->entries);
    byte_buffer_release(&traces->bytes);
}

void kafka_traces_forget(struct kafka_traces *traces)
{
    traces->entries.length = 0;
    traces->entries.has_failed = false;
    traces->bytes.length = 0;
    traces->bytes.has_failed = false;
}

static size_t count_of(const struct kafka_traces *traces)
{
    return traces->entries.length / sizeof(struct entry);
}

static struct entry entry_at(const struct kafka_traces *traces, size_t index)
{
    struct entry entry;
    memcpy(&entry, traces->entries.bytes + index * sizeof(entry), sizeof(entry));
    return entry;
}

/* The last one of that name counts, as in Kafka's own client. */
static void keep_header(struct kafka_traces *traces, const rd_kafka_headers_t *headers,
                        uint16_t name, bool has_room)
{
    const void *value;
    size_t length;
    if (rd_kafka_header_get_last(headers, traces->names->items[name], &value, &length) !=
            RD_KAFKA_RESP_ERR_NO_ERROR ||
        !value) {
        return;
    }
    if (!has_room || length > KAFKA_TRACE_VALUE_BYTES_MAX) {
        traces->dropped_count++;
        return;
    }
    uint16_t head[2] = {name, (uint16_t)length};
    byte_buffer_append(&traces->bytes, head, sizeof(head));
    byte_buffer_append(&traces->bytes, value, length);
}

void kafka_traces_unkeep(struct kafka_traces *traces, uint64_t ordinal)
{
    size_t count = count_of(traces);
    if (count > 0 && entry_at(traces, count - 1).ordinal == ordinal) {
        traces->bytes.length = entry_at(traces, count - 1).start;
        traces->entries.length -= sizeof(struct entry);
    }
}

void kafka_traces_keep(struct kafka_traces *traces, uint64_t ordinal,
                       const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (traces->names->count == 0 ||
        rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    bool has_room = traces->bytes.length <= KAFKA_TRACES_BYTES_MAX;
    size_t start = traces->bytes.length;
    for (uint16_t i = 0; i < traces->names->count; i++) {
        keep_header(traces, headers, i, has_room);
    }
    struct entry entry = {.ordinal = ordinal, .start = start, .end = traces->bytes.length};
    if (entry.end > start && !traces->bytes.has_failed) {
        byte_buffer_append(&traces->entries, &entry, sizeof(entry));
    }
}

static void read_headers(const struct kafka_traces *traces, const struct entry *entry,
                         struct kafka_trace *trace)
{
    for (size_t at = entry->start; at < entry->end;) {
        uint16_t head[2];
        memcpy(head, traces->bytes.bytes + at, sizeof(head));
        at += sizeof(head);
        trace->names[trace->count] = traces->names->items[head[0]];
        trace->values[trace->count] = traces->bytes.bytes + at;
        trace->lengths[trace->count] = head[1];
        trace->count++;
        at += head[1];
    }
}

void kafka_traces_find(const struct kafka_traces *traces, uint64_t ordinal,
                       struct kafka_trace *ret_trace)
{
    size_t low = 0;
    size_t high = count_of(traces);
    ret_trace->count = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct entry entry = entry_at(traces, middle);
        if (entry.ordinal == ordinal) {
            read_headers(traces, &entry, ret_trace);
            return;
        }
        if (entry.ordinal < ordinal) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
}
