#include "test/fakes/storage_reorder.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HELD_MAX 64u

struct held_call {
    struct storage_file *file; /* The inner one. */
    void *bytes;               /* NULL: a sync. */
    uint64_t offset;
    uint64_t length;
};

struct storage_reorder {
    struct storage storage; /* First. */
    struct storage *inner;
    const char *prefix;
    struct held_call held[HELD_MAX];
    uint32_t held_count;
};

struct reorder_file {
    struct storage_file file; /* First. */
    struct storage_reorder *reorder;
    struct storage_file *inner;
    bool is_held;
};

static struct storage_reorder *reorder_of(struct storage *storage)
{
    return (struct storage_reorder *)storage;
}

static struct reorder_file *file_of(struct storage_file *file)
{
    return (struct reorder_file *)file;
}

static enum status hold(struct reorder_file *file, uint64_t offset, const void *bytes,
                        uint64_t length)
{
    struct storage_reorder *reorder = file->reorder;
    assert(reorder->held_count < HELD_MAX);
    struct held_call *call = &reorder->held[reorder->held_count++];
    *call = (struct held_call){.file = file->inner, .offset = offset, .length = length};
    if (bytes) {
        call->bytes = malloc((size_t)length + 1);
        assert(call->bytes);
        memcpy(call->bytes, bytes, (size_t)length);
    }
    return STATUS_OK;
}

static enum status let_go(struct storage_reorder *reorder, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < reorder->held_count; i++) {
        struct held_call *call = &reorder->held[i];
        const struct storage_ops *ops = reorder->inner->ops;
        if (status == STATUS_OK) {
            status = call->bytes
                         ? ops->write_at(call->file, call->offset, call->bytes, call->length, error)
                         : ops->sync(call->file, error);
        }
        free(call->bytes);
    }
    reorder->held_count = 0;
    return status;
}

static const struct storage_ops reorder_ops;

static enum status wrap(struct storage_reorder *reorder, const char *path,
                        struct storage_file *inner, struct storage_file **ret_file)
{
    struct reorder_file *file = calloc(1, sizeof(*file));
    assert(file);
    *file = (struct reorder_file){.file.ops = &reorder_ops,
                                  .reorder = reorder,
                                  .inner = inner,
                                  .is_held =
                                      strncmp(path, reorder->prefix, strlen(reorder->prefix)) == 0};
    *ret_file = &file->file;
    return STATUS_OK;
}

static enum status reorder_open(struct storage *storage, const char *path,
                                struct storage_file **ret_file, struct error *error)
{
    struct storage_reorder *reorder = reorder_of(storage);
    struct storage_file *inner = NULL;
    enum status status = reorder->inner->ops->open(reorder->inner, path, &inner, error);
    return status == STATUS_OK ? wrap(reorder, path, inner, ret_file) : status;
}

static enum status reorder_lock(struct storage *storage, const char *path,
                                struct storage_file **ret_file, struct error *error)
{
    struct storage_reorder *reorder = reorder_of(storage);
    struct storage_file *inner = NULL;
    enum status status = reorder->inner->ops->lock(reorder->inner, path, &inner, error);
    return status == STATUS_OK ? wrap(reorder, path, inner, ret_file) : status;
}

/* What is held for a file that is closed goes with it: the process that wrote it is gone. */
static void drop_held(struct storage_reorder *reorder, const struct storage_file *inner)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < reorder->held_count; i++) {
        if (reorder->held[i].file == inner) {
            free(reorder->held[i].bytes);
        } else {
            reorder->held[kept++] = reorder->held[i];
        }
    }
    reorder->held_count = kept;
}

static void reorder_close(struct storage_file *file)
{
    if (file) {
        drop_held(file_of(file)->reorder, file_of(file)->inner);
        file_of(file)->inner->ops->close(file_of(file)->inner);
        free(file);
    }
}

static enum status reorder_size(struct storage_file *file, uint64_t *ret_bytes, struct error *error)
{
    struct storage_file *inner = file_of(file)->inner;
    return inner->ops->size(inner, ret_bytes, error);
}

static enum status reorder_read_at(struct storage_file *file, uint64_t offset, void *bytes,
                                   uint64_t length, uint64_t *ret_read, struct error *error)
{
    struct storage_file *inner = file_of(file)->inner;
    return inner->ops->read_at(inner, offset, bytes, length, ret_read, error);
}

static enum status reorder_write_at(struct storage_file *file, uint64_t offset, const void *bytes,
                                    uint64_t length, struct error *error)
{
    struct reorder_file *self = file_of(file);
    return self->is_held ? hold(self, offset, bytes, length)
                         : self->inner->ops->write_at(self->inner, offset, bytes, length, error);
}

static enum status reorder_truncate(struct storage_file *file, uint64_t bytes, struct error *error)
{
    struct storage_file *inner = file_of(file)->inner;
    return inner->ops->truncate(inner, bytes, error);
}

static enum status reorder_sync(struct storage_file *file, struct error *error)
{
    struct reorder_file *self = file_of(file);
    if (self->is_held) {
        return hold(self, 0, NULL, 0);
    }
    enum status status = self->inner->ops->sync(self->inner, error);
    return status == STATUS_OK ? let_go(self->reorder, error) : status;
}

static enum status reorder_sync_directory(struct storage *storage, const char *path,
                                          struct error *error)
{
    struct storage *inner = reorder_of(storage)->inner;
    return inner->ops->sync_directory(inner, path, error);
}

static enum status reorder_remove(struct storage *storage, const char *path, struct error *error)
{
    struct storage *inner = reorder_of(storage)->inner;
    return inner->ops->remove(inner, path, error);
}

static enum status reorder_rename(struct storage *storage, const char *from, const char *to,
                                  struct error *error)
{
    struct storage *inner = reorder_of(storage)->inner;
    return inner->ops->rename(inner, from, to, error);
}

static enum status reorder_list(struct storage *storage, const char *path,
                                void (*visit)(void *context, const char *name), void *context,
                                struct error *error)
{
    struct storage *inner = reorder_of(storage)->inner;
    return inner->ops->list(inner, path, visit, context, error);
}

static const struct storage_ops reorder_ops = {
    .open = reorder_open,
    .close = reorder_close,
    .size = reorder_size,
    .read_at = reorder_read_at,
    .write_at = reorder_write_at,
    .truncate = reorder_truncate,
    .sync = reorder_sync,
    .sync_directory = reorder_sync_directory,
    .remove = reorder_remove,
    .rename = reorder_rename,
    .list = reorder_list,
    .lock = reorder_lock,
};

struct storage_reorder *storage_reorder_create(struct storage *storage, const char *held_prefix)
{
    struct storage_reorder *reorder = calloc(1, sizeof(*reorder));
    assert(reorder);
    reorder->storage.ops = &reorder_ops;
    reorder->inner = storage;
    reorder->prefix = held_prefix;
    return reorder;
}

void storage_reorder_destroy(struct storage_reorder *reorder)
{
    if (reorder) {
        for (uint32_t i = 0; i < reorder->held_count; i++) {
            free(reorder->held[i].bytes);
        }
        free(reorder);
    }
}

struct storage *storage_reorder_storage(struct storage_reorder *reorder)
{
    return &reorder->storage;
}
