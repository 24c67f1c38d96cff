#include "pipeline/kafka/kafka_route_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/run/intake_records.h"

#define ARENA_BLOCK_BYTES (64u << 10)

enum status kafka_route_batch_init(struct kafka_route_batch *batch, struct error *error)
{
    batch->entries = calloc(KAFKA_ROUTE_RECORDS_MAX, sizeof(*batch->entries));
    arena_init(&batch->keys, ARENA_BLOCK_BYTES);
    return batch->entries ? STATUS_OK : error_set(error, STATUS_FATAL, "kafka: out of memory");
}

void kafka_route_batch_reset(struct kafka_route_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].headers) {
            rd_kafka_headers_destroy(batch->entries[i].headers);
        }
    }
    batch->count = 0;
    batch->bytes = 0;
    arena_reset(&batch->keys);
}

void kafka_route_batch_release(struct kafka_route_batch *batch)
{
    kafka_route_batch_reset(batch);
    free(batch->entries);
    arena_release(&batch->keys);
    *batch = (struct kafka_route_batch){0};
}

bool kafka_route_batch_is_full(const struct kafka_route_batch *batch)
{
    return batch->count == KAFKA_ROUTE_RECORDS_MAX || batch->bytes >= KAFKA_ROUTE_BYTES_MAX;
}

/* A header of ours that the record came with is of another application. */
static rd_kafka_headers_t *make_headers(const rd_kafka_headers_t *from,
                                        const struct kafka_route_mark *mark)
{
    unsigned char bytes[KAFKA_ROUTE_MARK_BYTES_MAX];
    size_t length = kafka_route_mark_write(mark, bytes);
    rd_kafka_headers_t *headers = from ? rd_kafka_headers_copy(from) : rd_kafka_headers_new(1);
    if (headers && from) {
        (void)rd_kafka_header_remove(headers, KAFKA_ROUTE_HEADER);
    }
    if (headers && rd_kafka_header_add(headers, KAFKA_ROUTE_HEADER, -1, bytes, (ssize_t)length) !=
                       RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        headers = NULL;
    }
    return headers;
}

enum status kafka_route_batch_add(struct kafka_route_batch *batch, int32_t partition,
                                  struct text key, struct text value,
                                  const rd_kafka_headers_t *headers,
                                  const struct kafka_route_mark *mark, struct error *error)
{
    assert(batch->count < KAFKA_ROUTE_RECORDS_MAX);
    char *copy = key.data ? arena_take(&batch->keys, key.length + 1u) : NULL;
    rd_kafka_headers_t *made = make_headers(headers, mark);
    if (!made || (key.data && !copy)) {
        if (made) {
            rd_kafka_headers_destroy(made);
        }
        return error_set(error, STATUS_FATAL, "kafka: out of memory for a record to send on");
    }
    if (copy) {
        memcpy(copy, key.data, key.length);
    }
    batch->entries[batch->count++] = (struct kafka_route_entry){
        .headers = made,
        .key = {copy, key.length},
        .value = value,
        .timestamp_ms = mark->timestamp_ms,
        .partition = partition,
    };
    batch->bytes += key.length + value.length + KAFKA_ROUTE_MARK_BYTES_MAX;
    return STATUS_OK;
}

/* False: no memory. */
static bool copy_text(struct kafka_route_batch *batch, struct text from, struct text *ret_copy)
{
    char *copy = from.data ? arena_take(&batch->keys, from.length + 1u) : NULL;
    if (copy) {
        memcpy(copy, from.data, from.length);
    }
    *ret_copy = (struct text){copy, from.length};
    return copy || !from.data;
}

enum status kafka_route_batch_add_copy(struct kafka_route_batch *batch,
                                       const struct kafka_route_entry *entry, struct error *error)
{
    assert(batch->count < KAFKA_ROUTE_RECORDS_MAX);
    struct kafka_route_entry *place = &batch->entries[batch->count++];
    *place = *entry; /* With the headers: they go with the batch. */
    if (!copy_text(batch, entry->key, &place->key) ||
        !copy_text(batch, entry->value, &place->value)) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory for a record to send on");
    }
    batch->bytes += entry->key.length + entry->value.length + KAFKA_ROUTE_MARK_BYTES_MAX;
    return STATUS_OK;
}

int32_t kafka_route_target(const struct event_batch *batch, uint32_t row, enum entity_kind kind,
                           uint32_t partition_count)
{
    struct text identity = batch->text[intake_entity_field(batch, row, kind)][row];
    return rd_kafka_msg_partitioner_murmur2(NULL, identity.data, identity.length,
                                            (int32_t)partition_count, NULL, NULL);
}

rd_kafka_resp_err_t kafka_route_entry_produce(struct kafka_route_entry *entry, rd_kafka_t *client,
                                              rd_kafka_topic_t *topic)
{
    /* The value stays where it is until the commit is done. 0 would stand for now. */
    rd_kafka_resp_err_t code = rd_kafka_producev(
        client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(entry->partition),
        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(entry->key.data, entry->key.length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)entry->value.data, entry->value.length),
        RD_KAFKA_V_TIMESTAMP(entry->timestamp_ms > 0 ? entry->timestamp_ms : 1),
        RD_KAFKA_V_HEADERS(entry->headers), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        entry->headers = NULL; /* The producer's now. */
    }
    return code;
}
