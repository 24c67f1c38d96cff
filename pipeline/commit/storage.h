/*
 * The few file calls that commit and recovery are made of. storage_posix.c is the real thing; the
 * simulator has a disk of its own that can fail any call and forget what was not synced.
 */
#ifndef PIPELINE_COMMIT_STORAGE_H
#define PIPELINE_COMMIT_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/status.h"

/* Failures name the path and the cause. Paths are those of the caller, relative or absolute. */
struct storage;
struct storage_file;

struct storage_ops {
    /* Opens for reading and writing, creating file and folders where they are missing. */
    enum status (*open)(struct storage *storage, const char *path, struct storage_file **ret_file,
                        struct error *error);
    void (*close)(struct storage_file *file); /* NULL is a no-op. */
    enum status (*size)(struct storage_file *file, uint64_t *ret_bytes, struct error *error);
    /* All `length` bytes or an error. Short files: *ret_read is what there was. */
    enum status (*read_at)(struct storage_file *file, uint64_t offset, void *bytes, uint64_t length,
                           uint64_t *ret_read, struct error *error);
    enum status (*write_at)(struct storage_file *file, uint64_t offset, const void *bytes,
                            uint64_t length, struct error *error);
    enum status (*truncate)(struct storage_file *file, uint64_t bytes, struct error *error);
    enum status (*sync)(struct storage_file *file, struct error *error);
    /* The names in the folder `path` are made durable. Folders that open() and lock() create are
     * durable at once. */
    enum status (*sync_directory)(struct storage *storage, const char *path, struct error *error);
    /* A file that is not there is no failure. */
    enum status (*remove)(struct storage *storage, const char *path, struct error *error);
    /* Replaces a file at `to`; either both names change or none. */
    enum status (*rename)(struct storage *storage, const char *from, const char *to,
                          struct error *error);
    /* Calls visit with each file name in the folder, in no order; a missing folder is empty. */
    enum status (*list)(struct storage *storage, const char *path,
                        void (*visit)(void *context, const char *name), void *context,
                        struct error *error);
    /*
     * Takes the file `path`, created where missing, for this caller until closed or until the
     * process ends. STATUS_FATAL when someone else has it, of this process or another.
     */
    enum status (*lock)(struct storage *storage, const char *path, struct storage_file **ret_file,
                        struct error *error);
};

struct storage {
    const struct storage_ops *ops;
};

struct storage_file {
    const struct storage_ops *ops;
};

/* One for the process; never released. */
struct storage *storage_posix(void);

#endif
