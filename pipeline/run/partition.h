/* Puts a task together: input, store, log, outputs and stages of one partition. */
#ifndef PIPELINE_RUN_PARTITION_H
#define PIPELINE_RUN_PARTITION_H

#include "pipeline/run/config.h"
#include "pipeline/run/task.h"

struct partition_options;

/*
 * Where a partition's input, state and commits are, other than in files. Sets those three of
 * `parts`; on failure what it has set is released by the caller.
 */
struct partition_ends {
    enum status (*open)(struct partition_ends *ends, const struct partition_options *options,
                        struct task_parts *parts, struct error *error);
    bool is_finite; /* The input ends. */
};

struct partition_options {
    const struct config *config;
    struct partition_ends *ends; /* NULL: files. */
    const char *file;            /* Or what else the source is called. */
    const char *name; /* Of the partition, in file names, records and ids; outlives the task. */
    uint32_t count;   /* Partitions of the run. */
    uint32_t origin_count; /* Partitions that its records were sent on from; 0: they were not. */
    const char *output_directory; /* NULL: nothing is written, state is in memory. */
    const char *state_directory;
    struct rocksdb_budget *budget;
    size_t cache_bytes;
    size_t output_bytes; /* Of a transaction, after which it is committed; 0: no bound. */
    /* A task that keeps state by this alone and sends on what it reads; ENTITY_USER: it does not.
     */
    enum entity_kind hop;
    struct stage *tap; /* NULL, or a last stage that is borrowed. */
};

/*
 * `layout` is filled and must outlive the task. STATUS_INVALID for what the user can mend, with the
 * file's or directory's name.
 */
MUST_CHECK enum status partition_open(const struct partition_options *options,
                                      struct record_layout *layout, struct task **ret_task,
                                      struct error *error);

#endif
