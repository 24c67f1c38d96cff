#include "test/fakes/broker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/stage.h" /* container_of */
#include "test/fakes/kept_content.h"

struct broker_record {
    struct record_key key;
    unsigned char *bytes; /* Owned. */
    uint32_t length;
    uint64_t log_position;
};

struct broker_entry {
    struct journal_entry entry; /* Its payload is owned. */
    uint64_t log_position;
};

struct broker {
    struct byte_buffer outputs[TOPIC_COUNT];
    struct broker_record *changelog; /* Owned, in order. */
    size_t record_count, record_capacity;
    struct broker_entry *journal; /* Owned, in order. */
    size_t entry_count, entry_capacity;
    struct input_position position;
    uint64_t log_position;

    uint64_t epoch; /* Of the newest owner. */
    uint64_t orphans;
    bool forgets_epochs;
    bool orphan_commits;
    struct kept_content transaction; /* The open one, if held. */
    bool was_asked_to_commit;
    enum broker_fate fate;
    uint32_t polls;
};

struct broker_log {
    struct commit_log log;
    struct broker *broker; /* Borrowed. */
    uint64_t epoch;
};

static void *must_grow(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes > 0 ? bytes : 1);
    assert(grown);
    return grown;
}

static void *copy_of(const void *bytes, size_t length)
{
    void *copy = must_grow(NULL, length);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    return copy;
}

struct broker *broker_create(void)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    assert(broker);
    return broker;
}

void broker_destroy(struct broker *broker)
{
    if (!broker) {
        return;
    }
    for (size_t i = 0; i < broker->record_count; i++) {
        free(broker->changelog[i].bytes);
    }
    for (size_t i = 0; i < broker->entry_count; i++) {
        free((char *)(uintptr_t)broker->journal[i].entry.payload.data);
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        byte_buffer_release(&broker->outputs[topic]);
    }
    kept_content_release(&broker->transaction);
    free(broker->changelog);
    free(broker->journal);
    free(broker);
}

void broker_set_fate(struct broker *broker, enum broker_fate fate, uint32_t polls)
{
    broker->fate = fate;
    broker->polls = polls;
}

void broker_set_orphan_commits(struct broker *broker, bool commits)
{
    broker->orphan_commits = commits;
}

uint64_t broker_orphans(const struct broker *broker)
{
    return broker->orphans;
}

void broker_forget_epochs(struct broker *broker)
{
    broker->forgets_epochs = true;
}

const unsigned char *broker_output(const struct broker *broker, enum topic topic,
                                   uint64_t *ret_bytes)
{
    *ret_bytes = broker->outputs[topic].length;
    return broker->outputs[topic].bytes;
}

static bool is_replaced(const struct broker *broker, size_t at)
{
    const struct broker_record *record = &broker->changelog[at];
    for (size_t i = at + 1; i < broker->record_count; i++) {
        const struct broker_record *later = &broker->changelog[i];
        if (later->key.kind == record->key.kind &&
            key128_compare(later->key.id, record->key.id) == 0) {
            return true;
        }
    }
    return false;
}

void broker_compact(struct broker *broker)
{
    size_t kept = 0;
    for (size_t i = 0; i < broker->record_count; i++) {
        if (is_replaced(broker, i)) {
            free(broker->changelog[i].bytes);
        } else {
            broker->changelog[kept++] = broker->changelog[i];
        }
    }
    broker->record_count = kept;
}

/* ---- transactions ---- */

static void add_record(struct broker *broker, const struct changelog_entry *entry)
{
    if (broker->record_count == broker->record_capacity) {
        broker->record_capacity = broker->record_capacity ? 2 * broker->record_capacity : 64;
        broker->changelog =
            must_grow(broker->changelog, broker->record_capacity * sizeof(*broker->changelog));
    }
    broker->changelog[broker->record_count++] =
        (struct broker_record){.key = entry->key,
                               .bytes = copy_of(entry->bytes, entry->length),
                               .length = entry->length,
                               .log_position = broker->log_position};
}

static void add_journal(struct broker *broker, const struct journal_entry *entry)
{
    if (broker->entry_count == broker->entry_capacity) {
        broker->entry_capacity = broker->entry_capacity ? 2 * broker->entry_capacity : 16;
        broker->journal =
            must_grow(broker->journal, broker->entry_capacity * sizeof(*broker->journal));
    }
    struct broker_entry *added = &broker->journal[broker->entry_count++];
    *added = (struct broker_entry){.entry = *entry, .log_position = broker->log_position};
    added->entry.payload.data = copy_of(entry->payload.data, entry->payload.length);
}

static void end_transaction(struct broker *broker, bool is_committed)
{
    const struct kept_content *kept = &broker->transaction;
    if (is_committed) {
        broker->log_position++;
        broker->position = kept->content.position;
        for (uint32_t i = 0; i < kept->content.record_count; i++) {
            add_record(broker, &kept->records[i]);
        }
        for (uint32_t i = 0; i < kept->content.journal_count; i++) {
            add_journal(broker, &kept->journal[i]);
        }
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            byte_buffer_append(&broker->outputs[topic], kept->lines[topic],
                               kept->line_bytes[topic]);
            assert(!broker->outputs[topic].has_failed);
        }
    }
    kept_content_release(&broker->transaction);
    broker->was_asked_to_commit = false;
}

/* ---- the log ---- */

static struct broker_log *self_of(struct commit_log *log)
{
    return container_of(log, struct broker_log, log);
}

static bool is_fenced(const struct broker_log *self)
{
    return self->epoch != self->broker->epoch && !self->broker->forgets_epochs;
}

static enum status complain_fenced(struct error *error)
{
    return error_set(error, STATUS_FATAL,
                     "broker: this producer is fenced: the partition has a "
                     "newer owner");
}

static enum status broker_recover(struct commit_log *log, uint64_t from,
                                  const struct recovery_visitor *visitor,
                                  struct commit_point *ret_point, struct error *error)
{
    struct broker_log *self = self_of(log);
    struct broker *broker = self->broker;
    self->epoch = ++broker->epoch;
    if (broker->transaction.is_held && !broker->forgets_epochs) {
        broker->orphans++;
        end_transaction(broker, broker->was_asked_to_commit && broker->orphan_commits);
    }
    if (from > broker->log_position) {
        return error_set(error, STATUS_FATAL, "broker: the state is ahead of the changelog");
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < broker->entry_count && status == STATUS_OK && visitor->journal; i++) {
        if (broker->journal[i].log_position > from) {
            status = visitor->journal(visitor->context, &broker->journal[i].entry, error);
        }
    }
    for (size_t i = 0; i < broker->record_count && status == STATUS_OK; i++) {
        const struct broker_record *record = &broker->changelog[i];
        struct changelog_entry entry = {record->key, record->bytes, record->length};
        if (record->log_position > from) {
            status = visitor->record(visitor->context, &entry, record->log_position, error);
        }
    }
    *ret_point = (struct commit_point){.is_new = broker->log_position == 0,
                                       .position = broker->position,
                                       .log_position = broker->log_position};
    return status;
}

static enum status broker_start(struct commit_log *log, const struct commit_content *content,
                                struct error *error)
{
    struct broker_log *self = self_of(log);
    struct broker *broker = self->broker;
    if (is_fenced(self)) {
        return complain_fenced(error);
    }
    if (broker->fate == BROKER_REFUSES) {
        broker->fate = BROKER_COMMITS;
        return error_set(error, STATUS_RETRY, "broker: the queue is full");
    }
    kept_content_take(&broker->transaction, content);
    broker->was_asked_to_commit = false;
    return STATUS_OK;
}

static enum status broker_poll(struct commit_log *log, enum commit_state *ret_state,
                               uint64_t *ret_log_position, struct error *error)
{
    struct broker_log *self = self_of(log);
    struct broker *broker = self->broker;
    if (is_fenced(self)) {
        return complain_fenced(error);
    }
    if (!broker->transaction.is_held) {
        return error_set(error, STATUS_FATAL, "broker: no transaction");
    }
    broker->was_asked_to_commit = true;
    if (broker->polls > 0) {
        broker->polls--;
        *ret_state = COMMIT_PENDING;
        return STATUS_OK;
    }
    enum broker_fate fate = broker->fate;
    broker->fate = BROKER_COMMITS;
    end_transaction(broker, fate == BROKER_COMMITS || fate == BROKER_COMMITS_SILENTLY);
    if (fate == BROKER_COMMITS_SILENTLY || fate == BROKER_ABORTS_SILENTLY) {
        return error_set(error, STATUS_FATAL, "broker: no answer in time");
    }
    *ret_state = fate == BROKER_ABORTS ? COMMIT_ABORTED : COMMIT_DONE;
    *ret_log_position = broker->log_position;
    return STATUS_OK;
}

static enum status broker_trim(struct commit_log *log, uint64_t log_position, struct error *error)
{
    if (log_position > self_of(log)->broker->log_position) {
        return error_set(error, STATUS_FATAL, "broker: trimmed beyond the last commit");
    }
    return STATUS_OK; /* Compaction does it. */
}

static void broker_close(struct commit_log *log)
{
    if (log) {
        free(self_of(log));
    }
}

static const struct commit_log_ops broker_ops = {
    .name = "broker",
    .recover = broker_recover,
    .start = broker_start,
    .poll = broker_poll,
    .trim = broker_trim,
    .close = broker_close,
};

struct commit_log *broker_log_open(struct broker *broker)
{
    struct broker_log *self = calloc(1, sizeof(*self));
    assert(self);
    self->log.ops = &broker_ops;
    self->broker = broker;
    return &self->log;
}
