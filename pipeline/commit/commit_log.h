/*
 * What one commit makes durable at once, and the log that does it. The task knows nothing of files
 * or Kafka: a file log appends to output files and to a local log; the Kafka log sends one
 * transaction with outputs, changelog, journal and offsets.
 */
#ifndef PIPELINE_COMMIT_COMMIT_LOG_H
#define PIPELINE_COMMIT_COMMIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/text.h"
#include "pipeline/output/output.h"
#include "pipeline/state/record_cache.h"

/* Where to go on in a partition's input. */
struct input_position {
    uint64_t ordinal; /* Number of the next record, from 0; for Kafka its offset. */
    uint64_t bytes;   /* Where it (or its Avro block) starts in the uncompressed file. */
    uint64_t skip;    /* Records to skip from there. */
};

/* What a replay needs beside the input. */
enum journal_kind {
    JOURNAL_TICK = 1,         /* value: the watermark is moved to this event time. */
    JOURNAL_DRAIN = 2,        /* The input is finite and has ended: all timers fire. */
    JOURNAL_EPOCH = 3,        /* value: configuration epoch; payload: hash of the configuration. */
    JOURNAL_INTERLEAVING = 4, /* Which of several input topics came next. */
    JOURNAL_NUMERIC_PROFILE = 5, /* payload: backend, kernels and packs. */
    /* Reserved: 6 budget grant, 7 activation, 8 erasure, 9 identity link. */
};

struct journal_entry {
    uint64_t ordinal; /* Takes effect before this input record. */
    int64_t value;
    struct text payload;
    uint8_t kind;
};

struct commit_content {
    const struct output_batch *outputs;    /* Borrowed until the commit is done. */
    const struct changelog_entry *records; /* Bytes NULL: deleted; only where the task was told that
                                              the log keeps records for good. */
    uint32_t record_count;
    const struct journal_entry *journal;
    uint32_t journal_count;
    struct input_position position; /* The input is consumed up to here. */
};

enum commit_state { COMMIT_PENDING, COMMIT_DONE, COMMIT_ABORTED };

/* What recovery found. */
struct commit_point {
    bool is_new; /* Nothing was ever committed. */
    struct input_position position;
    uint64_t log_position; /* Of the last commit. */
};

struct recovery_visitor {
    void *context;
    /* A committed record, in order of commit; only those after the `from` of recover(). */
    enum status (*record)(void *context, const struct changelog_entry *entry, uint64_t log_position,
                          struct error *error);
    /* A committed journal entry; may be NULL. The same range. */
    enum status (*journal)(void *context, const struct journal_entry *entry, struct error *error);
};

struct commit_log;

struct commit_log_ops {
    const char *name; /* "file", "kafka" */

    /*
     * Called once, before the first start(): undoes what a crash left half done (output files are
     * cut to their committed lengths, a torn log tail is dropped) and visits all committed records
     * after log position `from`, which is what the store has. STATUS_FATAL when `from` is ahead of
     * the log or the log no longer reaches back to it, or when committed outputs are missing.
     */
    enum status (*recover)(struct commit_log *log, uint64_t from,
                           const struct recovery_visitor *visitor, struct commit_point *ret_point,
                           struct error *error);

    /*
     * Hands over one commit; `content` and what it points to stay as they are until poll() says
     * done or aborted. One commit at a time. A failure other than STATUS_RETRY leaves the log
     * unusable: what became of the commit is known after the next recover().
     */
    enum status (*start)(struct commit_log *log, const struct commit_content *content,
                         struct error *error);

    /*
     * Never blocks. On COMMIT_DONE `ret_log_position` is the commit's. It rises with each; a store
     * that has all earlier commits but not all of this one is as of one less.
     */
    enum status (*poll)(struct commit_log *log, enum commit_state *ret_state,
                        uint64_t *ret_log_position, struct error *error);

    /* All commits up to `log_position` are durable in the store: the log may forget them. */
    enum status (*trim)(struct commit_log *log, uint64_t log_position, struct error *error);

    void (*close)(struct commit_log *log); /* NULL is a no-op. */
};

/* Embedded by each implementation. */
struct commit_log {
    const struct commit_log_ops *ops;
};

/*
 * Outputs are files TOPIC/PARTITION.jsonl or .avro below `output_directory`, which the partitions
 * of a run may share; a topic without records has no file. The log is below `log_directory`, which
 * is this partition's alone. Both are locked while the log is open: STATUS_FATAL where another
 * process has them. recover() refuses, naming the file: a log of a newer version, of another
 * partition or format (STATUS_INVALID), or corrupt before its end; outputs that are missing, or
 * that are there while the log is new. start() does the whole commit and blocks for the disk; it
 * never asks for a retry.
 */
struct storage; /* storage.h: the file calls, so that the simulator can stand in for a disk. */
struct commit_log_file_options {
    struct storage *storage;      /* Borrowed. */
    const char *output_directory; /* Copied. */
    const char *log_directory;    /* Copied. */
    const char *partition;        /* Name of the partition in file names; copied. */
    enum output_format format;
    bool is_synced;         /* fsync before a commit counts: survives power loss, not only a
                               kill. */
    uint64_t segment_bytes; /* The log goes on in a new file beyond this size. */
};
MUST_CHECK enum status commit_log_file_open(const struct commit_log_file_options *options,
                                            struct commit_log **ret_log, struct error *error);

#endif
