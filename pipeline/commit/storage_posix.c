#define _GNU_SOURCE /* O_DIRECT. NOLINT(bugprone-reserved-identifier) */
#include "pipeline/commit/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096u

/*
 * The middle of a large write goes past the page cache: nobody reads a log again, outputs are read
 * later, and what is synced at once needs no copy in the kernel, whose pages would push others out.
 */
#define DIRECT_BLOCK_BYTES 4096u
#define DIRECT_WRITE_BYTES ((size_t)256 << 10)
#define STAGING_BYTES ((size_t)1 << 20) /* Copied to, since the caller's bytes are not aligned. */

struct posix_file {
    struct storage_file file; /* First, so that the two pointers are the same. */
    int descriptor;
    int direct_descriptor; /* Of the same file; -1: not opened yet. */
    bool is_never_direct;  /* The file system cannot. */
    char path[];
};

static enum status fail(struct error *error, const char *path, const char *what, int cause)
{
    return error_set(error, STATUS_FATAL, "%s: cannot be %s: %s", path, what, strerror(cause));
}

static enum status sync_folder(struct storage *storage, const char *path, struct error *error)
{
    (void)storage;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return fail(error, path, "opened", errno);
    }
    /* Some file systems cannot sync a folder and say so with EINVAL: there is nothing to do. */
    int cause = fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
    (void)close(descriptor);
    return cause == 0 ? STATUS_OK : fail(error, path, "made durable", cause);
}

/* Makes the folder `path` where it is missing; its name is made durable in the one above. */
static enum status make_folder(struct storage *storage, char *path, struct error *error)
{
    if (mkdir(path, 0777) == 0) {
        char *slash = strrchr(path, '/');
        if (!slash) {
            return sync_folder(storage, ".", error);
        }
        *slash = '\0';
        enum status status = sync_folder(storage, slash == path ? "/" : path, error);
        *slash = '/';
        return status;
    }
    struct stat info;
    int cause = errno;
    if (cause == EEXIST && stat(path, &info) == 0) {
        cause = S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    }
    return cause == 0 ? STATUS_OK : fail(error, path, "created", cause);
}

/* The folders above the file `path`. */
static enum status make_folders(struct storage *storage, const char *path, struct error *error)
{
    char folder[PATH_BYTES_MAX];
    size_t length = strlen(path);
    if (length >= sizeof(folder)) {
        return fail(error, path, "created", ENAMETOOLONG);
    }
    memcpy(folder, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (folder[i] != '/' || folder[i - 1] == '/') {
            continue;
        }
        folder[i] = '\0';
        enum status status = make_folder(storage, folder, error);
        if (status != STATUS_OK) {
            return status;
        }
        folder[i] = '/';
    }
    return STATUS_OK;
}

static const struct storage_ops posix_ops;

static enum status posix_open(struct storage *storage, const char *path,
                              struct storage_file **ret_file, struct error *error)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == ENOENT) {
        enum status status = make_folders(storage, path, error);
        if (status != STATUS_OK) {
            return status;
        }
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    }
    if (descriptor < 0) {
        return fail(error, path, "opened", errno);
    }
    struct posix_file *file = malloc(sizeof(*file) + strlen(path) + 1);
    if (!file) {
        (void)close(descriptor);
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    file->file.ops = &posix_ops;
    file->descriptor = descriptor;
    file->direct_descriptor = -1;
    file->is_never_direct = false;
    memcpy(file->path, path, strlen(path) + 1);
    *ret_file = &file->file;
    return STATUS_OK;
}

static void posix_close(struct storage_file *file)
{
    if (file) {
        const struct posix_file *self = (struct posix_file *)file;
        (void)close(self->descriptor);
        if (self->direct_descriptor >= 0) {
            (void)close(self->direct_descriptor);
        }
        free(file);
    }
}

static enum status posix_size(struct storage_file *file, uint64_t *ret_bytes, struct error *error)
{
    const struct posix_file *self = (const struct posix_file *)file;
    struct stat info;
    if (fstat(self->descriptor, &info) != 0) {
        return fail(error, self->path, "examined", errno);
    }
    *ret_bytes = (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status posix_read_at(struct storage_file *file, uint64_t offset, void *bytes,
                                 uint64_t length, uint64_t *ret_read, struct error *error)
{
    const struct posix_file *self = (const struct posix_file *)file;
    uint64_t done = 0;
    while (done < length) {
        ssize_t got = pread(self->descriptor, (char *)bytes + done, (size_t)(length - done),
                            (off_t)(offset + done));
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return fail(error, self->path, "read", errno);
        }
        done += got > 0 ? (uint64_t)got : 0;
    }
    *ret_read = done;
    return STATUS_OK;
}

static enum status write_cached(const struct posix_file *self, uint64_t offset, const char *bytes,
                                uint64_t length, struct error *error)
{
    uint64_t done = 0;
    while (done < length) {
        ssize_t put =
            pwrite(self->descriptor, bytes + done, (size_t)(length - done), (off_t)(offset + done));
        if (put <= 0 && errno != EINTR) {
            return fail(error, self->path, "written", put == 0 ? EIO : errno);
        }
        done += put > 0 ? (uint64_t)put : 0;
    }
    return STATUS_OK;
}

/* Opened again through the descriptor: the file may have another name by now. */
static bool open_direct(struct posix_file *self)
{
    if (self->direct_descriptor < 0 && !self->is_never_direct) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", self->descriptor);
        self->direct_descriptor = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
        self->is_never_direct = self->direct_descriptor < 0;
    }
    return !self->is_never_direct;
}

/*
 * Writes whole blocks from a whole block on. Returns how many bytes were written: fewer where the
 * file system refuses, or the disk is full, which the caller will hear when it writes the rest.
 */
static uint64_t write_direct(struct posix_file *self, uint64_t offset, const char *bytes,
                             uint64_t length)
{
    char *staging = open_direct(self) ? aligned_alloc(DIRECT_BLOCK_BYTES, STAGING_BYTES) : NULL;
    uint64_t done = 0;
    while (staging && done < length) {
        size_t piece = length - done < STAGING_BYTES ? (size_t)(length - done) : STAGING_BYTES;
        memcpy(staging, bytes + done, piece);
        ssize_t put = pwrite(self->direct_descriptor, staging, piece, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        done += put > 0 ? (uint64_t)put : 0;
        if (put != (ssize_t)piece) {
            self->is_never_direct = self->is_never_direct || (put < 0 && errno == EINVAL);
            break;
        }
    }
    free(staging);
    return done;
}

static enum status posix_write_at(struct storage_file *file, uint64_t offset, const void *bytes,
                                  uint64_t length, struct error *error)
{
    struct posix_file *self = (struct posix_file *)file;
    const char *next = bytes;
    if (length >= DIRECT_WRITE_BYTES && !self->is_never_direct) {
        uint64_t head = (DIRECT_BLOCK_BYTES - offset % DIRECT_BLOCK_BYTES) % DIRECT_BLOCK_BYTES;
        enum status status = write_cached(self, offset, next, head, error);
        if (status != STATUS_OK) {
            return status;
        }
        uint64_t middle = (length - head) / DIRECT_BLOCK_BYTES * DIRECT_BLOCK_BYTES;
        uint64_t done = head + write_direct(self, offset + head, next + head, middle);
        offset += done;
        next += done;
        length -= done;
    }
    return write_cached(self, offset, next, length, error);
}

static enum status posix_truncate(struct storage_file *file, uint64_t bytes, struct error *error)
{
    const struct posix_file *self = (const struct posix_file *)file;
    if (ftruncate(self->descriptor, (off_t)bytes) != 0) {
        return fail(error, self->path, "cut", errno);
    }
    return STATUS_OK;
}

static enum status posix_sync(struct storage_file *file, struct error *error)
{
    const struct posix_file *self = (const struct posix_file *)file;
    /* The size, which is needed to read the bytes, is synced too; times are not. */
    if (fdatasync(self->descriptor) != 0) {
        return fail(error, self->path, "made durable", errno);
    }
    return STATUS_OK;
}

static enum status posix_remove(struct storage *storage, const char *path, struct error *error)
{
    (void)storage;
    if (unlink(path) != 0 && errno != ENOENT) {
        return fail(error, path, "removed", errno);
    }
    return STATUS_OK;
}

static enum status posix_rename(struct storage *storage, const char *from, const char *to,
                                struct error *error)
{
    (void)storage;
    return rename(from, to) == 0 ? STATUS_OK : fail(error, to, "renamed", errno);
}

static enum status posix_list(struct storage *storage, const char *path,
                              void (*visit)(void *context, const char *name), void *context,
                              struct error *error)
{
    (void)storage;
    DIR *folder = opendir(path);
    if (!folder) {
        return errno == ENOENT ? STATUS_OK : fail(error, path, "listed", errno);
    }
    errno = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            visit(context, entry->d_name);
        }
        errno = 0;
    }
    int cause = errno;
    (void)closedir(folder);
    return cause == 0 ? STATUS_OK : fail(error, path, "listed", cause);
}

static enum status posix_lock(struct storage *storage, const char *path,
                              struct storage_file **ret_file, struct error *error)
{
    struct storage_file *file = NULL;
    enum status status = posix_open(storage, path, &file, error);
    if (!file) {
        return status;
    }
    if (flock(((struct posix_file *)file)->descriptor, LOCK_EX | LOCK_NB) != 0) {
        int cause = errno;
        posix_close(file);
        return cause == EWOULDBLOCK
                   ? error_set(error, STATUS_FATAL, "%s: locked: another process is using it", path)
                   : fail(error, path, "locked", cause);
    }
    *ret_file = file;
    return STATUS_OK;
}

static const struct storage_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .sync_directory = sync_folder,
    .remove = posix_remove,
    .rename = posix_rename,
    .list = posix_list,
    .lock = posix_lock,
};

struct storage *storage_posix(void)
{
    static struct storage storage = {.ops = &posix_ops};
    return &storage;
}
