/*
 * The commit of files: outputs are appended and synced, then one frame is appended to the log and
 * synced. The frame is the commit. See ARCHITECTURE.md, "Commit".
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/base/crash_point.h"
#include "pipeline/commit/commit_log.h"
#include "pipeline/commit/log_segments.h"
#include "pipeline/commit/output_file.h"

#define SEGMENT_BYTES_MIN 4096u

struct commit_log_file {
    struct commit_log log; /* First, so that the two pointers are the same. */
    struct storage *storage;
    struct storage_file *output_lock;
    struct storage_file *log_lock;
    struct log_segments segments;
    struct output_file outputs[TOPIC_COUNT];
    struct byte_buffer buffer; /* Scratch for outputs, then for the frame. */
    uint64_t segment_bytes;
    uint64_t last_position; /* Of the last commit; 0: none. */
    struct input_position position;
    enum output_format format;
    bool is_synced;
    bool is_recovered;
    bool is_broken; /* A call failed: what is on the disk is known after the next recovery. */
};

static struct commit_log_file *self_of(struct commit_log *log)
{
    return (struct commit_log_file *)log;
}

/* ---- recovery ---- */

/* What the frames read so far say; of the last one, but for its records. */
struct tail {
    uint64_t last_position;
    struct input_position position;
    uint64_t output_bytes[TOPIC_COUNT];
    uint64_t end_offset; /* Behind the last good frame of the last segment. */
};

static enum status visit_frame(struct commit_frame *frame, uint64_t log_position,
                               const struct recovery_visitor *visitor, struct error *error)
{
    enum status status = STATUS_OK;
    struct journal_entry journal;
    while (status == STATUS_OK && commit_frame_next_journal(frame, &journal)) {
        if (visitor->journal) {
            status = visitor->journal(visitor->context, &journal, error);
        }
    }
    struct changelog_entry record;
    while (status == STATUS_OK && commit_frame_next_record(frame, &record)) {
        status = visitor->record(visitor->context, &record, log_position, error);
    }
    return status;
}

static enum status read_segment(const struct log_segments *segments, uint32_t index, uint64_t from,
                                const struct recovery_visitor *visitor, struct tail *tail,
                                struct error *error)
{
    struct segment_reader reader;
    enum status status = log_segments_read(segments, index, &reader, error);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_end = false;
    while (status == STATUS_OK) {
        struct commit_frame frame;
        uint64_t log_position = 0;
        status = segment_reader_next(&reader, &frame, &log_position, &is_end, error);
        if (status != STATUS_OK || is_end) {
            break;
        }
        tail->last_position = log_position;
        tail->position = frame.position;
        memcpy(tail->output_bytes, frame.output_bytes, sizeof(tail->output_bytes));
        if (log_position > from) {
            status = visit_frame(&frame, log_position, visitor, error);
        }
    }
    bool is_last = index + 1 == segments->count;
    if (status == STATUS_OK && !is_last && segments->firsts[index + 1] != reader.next_position) {
        status = error_set(error, STATUS_FATAL,
                           "%s: the log breaks off at commit %llu, and goes on at %llu: "
                           "a segment is missing or was cut",
                           reader.path, (unsigned long long)(reader.next_position - 1),
                           (unsigned long long)segments->firsts[index + 1]);
    }
    tail->end_offset = reader.offset;
    segment_reader_close(&reader);
    return status;
}

/* Where to begin: at the segment that holds the frame after `from`, but not behind the last one. */
static uint32_t first_segment(const struct log_segments *segments, uint64_t from)
{
    uint32_t index = segments->count - 1;
    while (index > 0 && segments->firsts[index] - 1 > from) {
        index--;
    }
    return index;
}

static enum status read_log(const struct log_segments *segments, uint64_t from,
                            const struct recovery_visitor *visitor, struct tail *ret_tail,
                            struct error *error)
{
    if (segments->firsts[0] - 1 > from) {
        return error_set(error, STATUS_FATAL,
                         "%s: the state is as of commit %llu, but the log only reaches back to "
                         "%llu: state and log do not belong together",
                         segments->directory, (unsigned long long)from,
                         (unsigned long long)segments->firsts[0]);
    }
    struct tail tail = {0};
    uint32_t first = first_segment(segments, from);
    enum status status = STATUS_OK;
    for (uint32_t i = first; i < segments->count && status == STATUS_OK; i++) {
        status = read_segment(segments, i, from, visitor, &tail, error);
    }
    if (status == STATUS_OK && tail.last_position == 0 && first > 0) {
        /* The last segment has a header only: the last commit is at the end of the one before. */
        uint64_t end_offset = tail.end_offset;
        status = read_segment(segments, first - 1, from, visitor, &tail, error);
        tail.end_offset = end_offset;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (tail.last_position == 0 && segments->firsts[0] > 1) {
        return error_set(error, STATUS_FATAL,
                         "%s: the last commit is missing: the log begins at %llu and is empty",
                         segments->directory, (unsigned long long)segments->firsts[0]);
    }
    if (from > tail.last_position) {
        return error_set(error, STATUS_FATAL,
                         "%s: the state is as of commit %llu, but the log ends at %llu: state and "
                         "log do not belong together, or the log was cut",
                         segments->directory, (unsigned long long)from,
                         (unsigned long long)tail.last_position);
    }
    *ret_tail = tail;
    return STATUS_OK;
}

/* The log is there before the first output, so that outputs without a log are somebody else's. */
static enum status begin_log(struct commit_log_file *self, uint64_t from, struct error *error)
{
    if (from > 0) {
        return error_set(error, STATUS_FATAL,
                         "%s: no log here, but the state is as of commit %llu: state and log do "
                         "not belong together",
                         self->segments.directory, (unsigned long long)from);
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        enum status status = output_file_refuse_foreign(&self->outputs[topic], error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return log_segments_add(&self->segments, 1, error);
}

static enum status resume(struct commit_log_file *self, const struct tail *tail,
                          struct error *error)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        enum status status =
            output_file_recover(&self->outputs[topic], tail->output_bytes[topic], error);
        crash_point(CRASH_RECOVER_OUTPUT_CUT);
        if (status != STATUS_OK) {
            return status;
        }
    }
    self->last_position = tail->last_position;
    self->position = tail->position;
    return log_segments_resume(&self->segments, tail->end_offset, error);
}

static enum status file_recover(struct commit_log *log, uint64_t from,
                                const struct recovery_visitor *visitor,
                                struct commit_point *ret_point, struct error *error)
{
    struct commit_log_file *self = self_of(log);
    assert(!self->is_recovered && !self->is_broken);
    struct tail tail = {0};
    enum status status = log_segments_list(&self->segments, error);
    if (status == STATUS_OK && self->segments.count == 0) {
        status = begin_log(self, from, error);
    } else if (status == STATUS_OK) {
        status = read_log(&self->segments, from, visitor, &tail, error);
        crash_point(CRASH_RECOVER_LOG_READ);
        if (status == STATUS_OK) {
            status = resume(self, &tail, error);
        }
    }
    crash_point(CRASH_RECOVER_LOG_CUT);
    if (status != STATUS_OK) {
        self->is_broken = true;
        return error_prefix(error, status == STATUS_RETRY ? STATUS_FATAL : status,
                            "recovery failed");
    }
    self->is_recovered = true;
    *ret_point = (struct commit_point){.is_new = self->last_position == 0,
                                       .position = self->position,
                                       .log_position = self->last_position};
    return STATUS_OK;
}

/* ---- commit ---- */

static enum status write_outputs(struct commit_log_file *self, const struct output_batch *batch,
                                 struct error *error)
{
    enum status status = STATUS_OK;
    for (int topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
        status = output_file_append(&self->outputs[topic], batch, &self->buffer, error);
    }
    crash_point(CRASH_COMMIT_OUTPUTS_WRITTEN);
    for (int topic = 0; topic < TOPIC_COUNT && status == STATUS_OK && self->is_synced; topic++) {
        status = output_file_sync(&self->outputs[topic], error);
    }
    crash_point(CRASH_COMMIT_OUTPUTS_SYNCED);
    return status;
}

static enum status write_frame(struct commit_log_file *self, const struct commit_content *content,
                               struct error *error)
{
    uint64_t output_bytes[TOPIC_COUNT];
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        output_bytes[topic] =
            self->outputs[topic].committed_bytes + self->outputs[topic].pending_bytes;
    }
    enum status status =
        commit_frame_encode(&self->buffer, self->last_position + 1, content, output_bytes, error);
    return status == STATUS_OK ? log_segments_append(&self->segments, &self->buffer, error)
                               : status;
}

static enum status file_start(struct commit_log *log, const struct commit_content *content,
                              struct error *error)
{
    struct commit_log_file *self = self_of(log);
    assert(self->is_recovered);
    assert(!content->outputs || output_batch_format(content->outputs) == self->format);
    if (self->is_broken) {
        return error_set(error, STATUS_FATAL, "%s: an earlier commit failed: start again",
                         self->segments.directory);
    }
    enum status status = STATUS_OK;
    if (self->segments.current_bytes >= self->segment_bytes) {
        status = log_segments_add(&self->segments, self->last_position + 1, error);
        crash_point(CRASH_COMMIT_SEGMENT_ADDED);
    }
    if (status == STATUS_OK && content->outputs) {
        status = write_outputs(self, content->outputs, error);
    }
    if (status == STATUS_OK) {
        status = write_frame(self, content, error);
        crash_point(CRASH_COMMIT_FRAME_SYNCED);
    }
    if (status != STATUS_OK) {
        self->is_broken = true;
        return error_prefix(error, STATUS_FATAL,
                            "commit %llu failed, records %llu to %llu of the input are not "
                            "acknowledged",
                            (unsigned long long)self->last_position + 1,
                            (unsigned long long)self->position.ordinal,
                            (unsigned long long)content->position.ordinal);
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        output_file_commit(&self->outputs[topic]);
    }
    self->last_position++;
    self->position = content->position;
    return STATUS_OK;
}

/* start() does the whole commit, so there is never one pending. */
static enum status file_poll(struct commit_log *log, enum commit_state *ret_state,
                             uint64_t *ret_log_position, struct error *error)
{
    struct commit_log_file *self = self_of(log);
    assert(self->last_position > 0);
    if (self->is_broken) {
        return error_set(error, STATUS_FATAL, "%s: an earlier commit failed: start again",
                         self->segments.directory);
    }
    *ret_state = COMMIT_DONE;
    *ret_log_position = self->last_position;
    return STATUS_OK;
}

static enum status file_trim(struct commit_log *log, uint64_t log_position, struct error *error)
{
    struct commit_log_file *self = self_of(log);
    assert(self->is_recovered && log_position <= self->last_position);
    if (self->last_position == 0) {
        return STATUS_OK;
    }
    /* Never the last frame: it says where input and outputs go on. */
    uint64_t last_removed =
        log_position < self->last_position ? log_position : self->last_position - 1;
    return log_segments_trim(&self->segments, last_removed, error);
}

static void file_close(struct commit_log *log)
{
    if (!log) {
        return;
    }
    struct commit_log_file *self = self_of(log);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        output_file_release(&self->outputs[topic]);
    }
    log_segments_release(&self->segments);
    byte_buffer_release(&self->buffer);
    self->storage->ops->close(self->log_lock);
    self->storage->ops->close(self->output_lock);
    free(self);
}

static const struct commit_log_ops file_ops = {
    .name = "file",
    .recover = file_recover,
    .start = file_start,
    .poll = file_poll,
    .trim = file_trim,
    .close = file_close,
};

static enum status check_partition(const char *partition, struct error *error)
{
    size_t length = strlen(partition);
    if (length == 0 || length > PARTITION_NAME_BYTES_MAX || partition[0] == '.' ||
        strchr(partition, '/')) {
        return error_set(error, STATUS_INVALID,
                         "partition \"%.250s\": expected a name of 1 to %u bytes that can be a "
                         "file name",
                         partition, PARTITION_NAME_BYTES_MAX);
    }
    return STATUS_OK;
}

static enum status take_lock(struct storage *storage, const char *directory, const char *prefix,
                             const char *name, struct storage_file **ret_lock, struct error *error)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s%s", directory, prefix, name);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return error_set(error, STATUS_INVALID, "%s: the path is too long", directory);
    }
    return storage->ops->lock(storage, path, ret_lock, error);
}

/* Partitions of one run share the output directory, so its lock is of one partition. */
static enum status take_locks(struct commit_log_file *self,
                              const struct commit_log_file_options *options, struct error *error)
{
    enum status status =
        take_lock(self->storage, options->log_directory, "", "lock", &self->log_lock, error);
    return status == STATUS_OK ? take_lock(self->storage, options->output_directory, ".lock-",
                                           options->partition, &self->output_lock, error)
                               : status;
}

enum status commit_log_file_open(const struct commit_log_file_options *options,
                                 struct commit_log **ret_log, struct error *error)
{
    enum status status = check_partition(options->partition, error);
    if (status != STATUS_OK) {
        return status;
    }
    struct commit_log_file *self = calloc(1, sizeof(*self));
    if (!self) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->log_directory);
    }
    self->log.ops = &file_ops;
    self->storage = options->storage;
    self->format = options->format;
    self->is_synced = options->is_synced;
    self->segment_bytes =
        options->segment_bytes > SEGMENT_BYTES_MIN ? options->segment_bytes : SEGMENT_BYTES_MIN;
    status = take_locks(self, options, error);
    if (status == STATUS_OK) {
        status = log_segments_init(&self->segments, options->storage, options->log_directory,
                                   options->partition, options->format, options->is_synced, error);
    }
    for (int topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
        status =
            output_file_init(&self->outputs[topic], options->storage, options->output_directory,
                             options->partition, options->format, (enum topic)topic, error);
    }
    if (status != STATUS_OK) {
        file_close(&self->log);
        return status;
    }
    *ret_log = &self->log;
    return STATUS_OK;
}
