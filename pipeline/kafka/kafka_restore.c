#include "pipeline/kafka/kafka_restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/clock.h"
#include "pipeline/base/log.h"
#include "pipeline/base/time_text.h"
#include "pipeline/kafka/kafka_fetch.h"
#include "pipeline/kafka/kafka_records.h"

#define REQUEST_TIMEOUT_MS 10000
#define METADATA_BYTES 96
#define ROUTE_COUNTING 1u
#define ROUTE_STARTED 2u
#define ROUTE_PROVISIONAL 4u
#define ROUTE_HOPS_AT 8u /* The entities of the hops are the flags from there on. */
/* A fetch waits this long for a whole block of records, also where there are fewer. */
#define FETCH_TIMEOUT_MS 3
#define SILENCE_NS_MAX (30ull * 1000000000u)
#define REPORT_NS (2ull * 1000000000u)

/* A route's: r, number, next record's number, newest event time, flags. */
static void read_routed(const char *text, int64_t offset, struct kafka_committed *committed)
{
    unsigned long long number = 0;
    unsigned long long ordinal = 0;
    long long newest_ms = 0;
    unsigned flags = 0;
    if (sscanf(text, "r%llu %llu %lld %u", &number, &ordinal, &newest_ms, &flags) != 4 ||
        number < committed->number) {
        return;
    }
    committed->is_routed = true;
    committed->number = number;
    committed->is_counting = flags & ROUTE_COUNTING;
    committed->ordinal = committed->is_counting ? ordinal : (uint64_t)offset;
    committed->time = (struct partition_time){.newest_ms = newest_ms,
                                              .is_started = flags & ROUTE_STARTED,
                                              .is_provisional = flags & ROUTE_PROVISIONAL};
    committed->hop_mask = flags >> ROUTE_HOPS_AT;
}

static int write_routed(const struct kafka_committed *committed, char ret_text[METADATA_BYTES])
{
    const struct partition_time *time = &committed->time;
    unsigned flags =
        (committed->is_counting ? ROUTE_COUNTING : 0) | (time->is_started ? ROUTE_STARTED : 0) |
        (time->is_provisional ? ROUTE_PROVISIONAL : 0) | committed->hop_mask << ROUTE_HOPS_AT;
    return snprintf(ret_text, METADATA_BYTES, "r%llu %llu %lld %u",
                    (unsigned long long)committed->number, (unsigned long long)committed->ordinal,
                    (long long)time->newest_ms, flags);
}

/* Beside each offset: the number of the commit, and the next record's where records are counted. */
static void read_metadata(const rd_kafka_topic_partition_t *found,
                          struct kafka_committed *committed)
{
    char text[METADATA_BYTES] = "";
    if (found->metadata_size > 0 && found->metadata_size < sizeof(text)) {
        memcpy(text, found->metadata, found->metadata_size);
    }
    if (text[0] == 'r') {
        read_routed(text, found->offset, committed);
        return;
    }
    char *rest = text;
    uint64_t number = strtoull(text, &rest, 10);
    if (number >= committed->number) {
        committed->number = number;
        committed->is_counting = *rest == ' ';
        committed->ordinal =
            committed->is_counting ? strtoull(rest, NULL, 10) : (uint64_t)found->offset;
    }
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_topics *topics,
                                                int32_t partition)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)topics->input_count);
    for (uint32_t i = 0; i < topics->input_count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, topics->inputs[i], partition);
    }
    return list;
}

enum status kafka_read_committed(rd_kafka_t *member, const struct kafka_topics *topics,
                                 int32_t partition, struct kafka_committed *ret_committed,
                                 struct error *error)
{
    rd_kafka_topic_partition_list_t *list = list_of(topics, partition);
    rd_kafka_resp_err_t code = rd_kafka_committed(member, list, REQUEST_TIMEOUT_MS);
    struct kafka_committed committed = {.is_new = true};
    for (uint32_t i = 0; i < topics->input_count; i++) {
        const rd_kafka_topic_partition_t *found = &list->elems[i];
        code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? found->err : code;
        committed.offsets[i] = found->offset;
        if (found->offset >= 0) {
            committed.is_new = false;
            read_metadata(found, &committed);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: committed offset of %s %d: %s",
                         topics->inputs[0], (int)partition, rd_kafka_err2str(code));
    }
    *ret_committed = committed;
    return STATUS_OK;
}

static void list_entities(uint32_t mask, char *ret_text, size_t bytes)
{
    size_t used = 0;
    (void)snprintf(ret_text, bytes, "the user alone");
    for (int kind = 0; kind < ENTITY_KIND_COUNT; kind++) {
        if (mask >> kind & 1 && used < bytes) {
            used += (size_t)snprintf(ret_text + used, bytes - used, "%s%s", used > 0 ? ", " : "",
                                     entity_names[kind]);
        }
    }
}

static enum status check_hops(const struct kafka_setup *setup, const struct kafka_topics *inputs,
                              const struct kafka_committed *committed, struct error *error)
{
    char wanted[64];
    char found[64];
    uint32_t mask = kafka_topics_hop_mask(inputs);
    if (committed->hop_mask == mask) {
        return STATUS_OK;
    }
    list_entities(mask, wanted, sizeof(wanted));
    list_entities(committed->hop_mask, found, sizeof(found));
    return error_set(error, STATUS_INVALID,
                     "state.entities: %s, and group %s has sent %s on by %s: records on their way "
                     "would be left behind; give the application another name",
                     wanted, setup->group, inputs->inputs[0], found);
}

enum status kafka_check_way(rd_kafka_t *member, const struct kafka_setup *setup,
                            const struct kafka_topics *topics, int32_t partition,
                            struct error *error)
{
    const struct kafka_topics *inputs = topics->sources ? topics->sources : topics;
    bool is_routed = setup->options->is_repartitioned;
    struct kafka_committed committed = {.is_new = true};
    enum status status = kafka_read_committed(member, inputs, partition, &committed, error);
    if (status != STATUS_OK || committed.is_new) {
        return status;
    }
    if (committed.is_routed != is_routed) {
        return error_set(
            error, STATUS_INVALID,
            "kafka.repartition: %s, and group %s has read %s with%s it: users' state is in "
            "other partitions; give the application another name",
            is_routed ? "true" : "false", setup->group, inputs->inputs[0], is_routed ? "out" : "");
    }
    return is_routed ? check_hops(setup, inputs, &committed, error) : STATUS_OK;
}

rd_kafka_topic_partition_list_t *kafka_committed_list(const struct kafka_topics *topics,
                                                      int32_t partition,
                                                      const struct kafka_committed *committed)
{
    rd_kafka_topic_partition_list_t *list = list_of(topics, partition);
    char text[METADATA_BYTES];
    int length =
        committed->is_routed ? write_routed(committed, text)
        : committed->is_counting
            ? snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)committed->number,
                       (unsigned long long)committed->ordinal)
            : snprintf(text, sizeof(text), "%llu", (unsigned long long)committed->number);
    for (uint32_t i = 0; i < topics->input_count; i++) {
        rd_kafka_topic_partition_t *place = &list->elems[i];
        place->offset = committed->offsets[i];
        place->metadata = strdup(text); /* Freed with the list. */
        place->metadata_size = place->metadata ? (size_t)length : 0;
    }
    return list;
}

static enum status offset_of_time(rd_kafka_t *fetcher, const struct kafka_options *options,
                                  const char *topic, int32_t partition, int64_t *ret_offset,
                                  struct error *error)
{
    static const struct time_format iso_time = {.notation = TIME_ISO};
    int64_t time_ms;
    if (!time_parse(&iso_time, NULL, text_of(options->start_time), &time_ms)) {
        return error_set(error, STATUS_INVALID,
                         "kafka.start_time: \"%s\": expected an ISO 8601 time",
                         options->start_time);
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(fetcher, list, REQUEST_TIMEOUT_MS);
    code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? list->elems[0].err : code;
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: offset of a time in %s %d: %s",
                         topic, (int)partition, rd_kafka_err2str(code));
    }
    *ret_offset = offset; /* Negative: no record is as young. */
    return STATUS_OK;
}

enum status kafka_start_offset(rd_kafka_t *fetcher, const struct kafka_options *options,
                               const char *topic, int32_t partition, int64_t *ret_offset,
                               struct error *error)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(fetcher, topic, partition, &low,
                                                                &high, REQUEST_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return error_set(error, kafka_status_of(code), "kafka: offsets of %s %d: %s", topic,
                         (int)partition, rd_kafka_err2str(code));
    }
    int64_t offset = options->start == KAFKA_START_EARLIEST ? low : high;
    if (options->start == KAFKA_START_TIME) {
        enum status status = offset_of_time(fetcher, options, topic, partition, &offset, error);
        if (status != STATUS_OK) {
            return status;
        }
        offset = offset < 0 ? high : offset;
    }
    *ret_offset = offset;
    return STATUS_OK;
}

/* How far a restore has come; told when it takes long. */
struct restore {
    const struct kafka_restore_options *options;
    uint64_t records, bytes;
    uint64_t told_records, told_bytes; /* As progress. */
    uint64_t begin_ns, reported_ns, heard_ns;
};

/* What was read back by earlier openings counts on. */
static void tell(struct restore *restore, double left_seconds)
{
    struct kafka_progress *progress = restore->options->progress;
    atomic_fetch_add(&progress->records, restore->records - restore->told_records);
    atomic_fetch_add(&progress->bytes, restore->bytes - restore->told_bytes);
    restore->told_records = restore->records;
    restore->told_bytes = restore->bytes;
    atomic_store(&progress->left_ms, (uint64_t)(left_seconds * 1e3));
}

static void report(struct restore *restore, uint64_t offset, bool is_done)
{
    uint64_t now_ns = clock_monotonic_ns();
    double seconds = (double)(now_ns - restore->begin_ns) / 1e9;
    double share = (double)(offset - restore->options->from) /
                   (double)(restore->options->to - restore->options->from);
    double left = share > 0 && !is_done ? seconds / share - seconds : 0.0;
    tell(restore, left);
    if (!is_done && now_ns - restore->reported_ns < REPORT_NS) {
        return;
    }
    restore->reported_ns = now_ns;
    log_line(LOG_INFO, is_done ? "restored" : "restoring",
             "partition=%d records=%llu megabytes=%.1f seconds=%.2f seconds_left=%.1f changelog=%s",
             (int)restore->options->partition, (unsigned long long)restore->records,
             (double)restore->bytes / 1e6, seconds, left, restore->options->changelog);
}

static enum status visit_record(struct restore *restore, const rd_kafka_message_t *message,
                                const struct recovery_visitor *visitor, struct error *error)
{
    struct changelog_entry entry = {.bytes = message->payload, .length = (uint32_t)message->len};
    if (!kafka_record_key_read(message->key, message->key_len, &entry.key)) {
        return error_set(error, STATUS_INVALID,
                         "kafka: topic %s, partition %d, offset %lld: no record of a changelog",
                         restore->options->changelog, (int)restore->options->partition,
                         (long long)message->offset);
    }
    restore->records++;
    restore->bytes += message->len + message->key_len;
    if (!message->payload) {
        return STATUS_OK;
    }
    return visitor->record(visitor->context, &entry, (uint64_t)message->offset + 1, error);
}

static enum status read_changelog(struct restore *restore, struct kafka_fetch *fetch,
                                  const struct recovery_visitor *visitor, struct error *error)
{
    for (;;) {
        const rd_kafka_message_t *message;
        enum status status = kafka_fetch_next(fetch, FETCH_TIMEOUT_MS, &message, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (atomic_load(restore->options->is_cancelled)) {
            return error_set(error, STATUS_RETRY, "kafka: restoring was cancelled");
        }
        uint64_t now_ns = clock_monotonic_ns();
        if (message && (uint64_t)message->offset < restore->options->to) {
            restore->heard_ns = now_ns;
            status = visit_record(restore, message, visitor, error);
            if (status != STATUS_OK) {
                return status;
            }
            if (restore->records % 4096 == 0) {
                report(restore, (uint64_t)message->offset, false);
            }
        } else if (message || (fetch->end >= 0 && (uint64_t)fetch->end >= restore->options->to)) {
            return STATUS_OK;
        } else if (now_ns - restore->heard_ns > SILENCE_NS_MAX) {
            return error_set(error, STATUS_RETRY, "kafka: topic %s, partition %d does not come",
                             restore->options->changelog, (int)restore->options->partition);
        }
    }
}

enum status kafka_restore(const struct kafka_restore_options *options,
                          const struct recovery_visitor *visitor, uint64_t *ret_records,
                          struct error *error)
{
    *ret_records = 0;
    if (options->from >= options->to) {
        return STATUS_OK;
    }
    struct kafka_fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    struct restore restore = {.options = options, .begin_ns = clock_monotonic_ns()};
    restore.reported_ns = restore.begin_ns;
    restore.heard_ns = restore.begin_ns;
    enum status status = kafka_fetch_start(fetch, options->fetcher, options->changelog,
                                           options->partition, (int64_t)options->from, error);
    if (status == STATUS_OK) {
        status = read_changelog(&restore, fetch, visitor, error);
    }
    if (status == STATUS_OK) {
        report(&restore, options->to, true);
        *ret_records = restore.records;
    }
    kafka_fetch_stop(fetch);
    free(fetch);
    return status;
}
