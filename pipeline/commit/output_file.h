/*
 * One topic of one partition as a file that only ever grows behind its committed length:
 * FOLDER/TOPIC/PARTITION.jsonl with one record a line, or .avro, an Avro container whose blocks are
 * the commits (null codec, sync marker made from topic and partition). A topic without records has
 * no file.
 */
#ifndef PIPELINE_COMMIT_OUTPUT_FILE_H
#define PIPELINE_COMMIT_OUTPUT_FILE_H

#include "pipeline/base/byte_buffer.h"
#include "pipeline/commit/storage.h"
#include "pipeline/output/output.h"

struct output_file {
    struct storage *storage; /* Borrowed. */
    char *folder;
    char *path;
    struct storage_file *file; /* NULL until there is something to write. */
    uint64_t committed_bytes;
    uint64_t pending_bytes; /* Appended by the commit under way. */
    enum output_format format;
    enum topic topic;
    unsigned char sync_marker[16];
};

MUST_CHECK enum status output_file_init(struct output_file *file, struct storage *storage,
                                        const char *output_directory, const char *partition,
                                        enum output_format format, enum topic topic,
                                        struct error *error);
void output_file_release(struct output_file *file); /* Closes it; zeroed is a no-op. */

/* STATUS_FATAL when there are bytes, which no log knows of: they must not be overwritten. */
MUST_CHECK enum status output_file_refuse_foreign(struct output_file *file, struct error *error);

/*
 * Cuts the file to `committed_bytes`, durably; at 0 it is removed. STATUS_FATAL, naming the file,
 * when it is missing or shorter.
 */
MUST_CHECK enum status output_file_recover(struct output_file *file, uint64_t committed_bytes,
                                           struct error *error);

/* Appends the topic's records of a batch; `buffer` is scratch. Nothing where there are none. */
MUST_CHECK enum status output_file_append(struct output_file *file,
                                          const struct output_batch *batch,
                                          struct byte_buffer *buffer, struct error *error);

/* Makes what was appended durable, a new file's name included. */
MUST_CHECK enum status output_file_sync(struct output_file *file, struct error *error);

/* What was appended is committed. */
void output_file_commit(struct output_file *file);

#endif
