#include "models/checkpoint_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/base/hash.h"

#define MAGIC "nudgeck2"
#define PATH_BYTES 4096
#define HASHED_AT_ONCE (UINT64_C(1) << 30) /* A text's length has 32 bits. */

struct checkpoint_head {
    char magic[8];
    uint64_t training, count, lengths[CHECKPOINT_PARTS_MAX], sum;
};

/* Of all that the file holds but for the sum. */
static uint64_t sum_of(const struct checkpoint_head *head, const struct checkpoint_part *parts)
{
    struct checkpoint_head summed = *head;
    summed.sum = 0;
    uint64_t sum = hash64((struct text){(const char *)&summed, (uint32_t)sizeof(summed)});
    for (uint64_t i = 0; i < head->count; i++) {
        for (uint64_t at = 0; at < parts[i].length; at += HASHED_AT_ONCE) {
            uint64_t rest = parts[i].length - at;
            uint32_t length = (uint32_t)(rest < HASHED_AT_ONCE ? rest : HASHED_AT_ONCE);
            sum = hash64_combine(sum,
                                 hash64((struct text){(const char *)parts[i].bytes + at, length}));
        }
    }
    return sum;
}

static bool write_all(const char *path, const struct checkpoint_head *head,
                      const struct checkpoint_part *parts)
{
    FILE *out = fopen(path, "wb");
    if (!out) {
        return false;
    }
    bool is_written = fwrite(head, sizeof(*head), 1, out) == 1;
    for (uint64_t i = 0; is_written && i < head->count; i++) {
        size_t length = (size_t)parts[i].length;
        is_written = length == 0 || fwrite(parts[i].bytes, 1, length, out) == length;
    }
    is_written = is_written && fflush(out) == 0 && fsync(fileno(out)) == 0;
    return fclose(out) == 0 && is_written;
}

enum status checkpoint_file_write(const char *path, uint64_t training,
                                  const struct checkpoint_part *parts, uint32_t count,
                                  struct error *error)
{
    assert(count <= CHECKPOINT_PARTS_MAX);
    char made[PATH_BYTES];
    if (snprintf(made, sizeof(made), "%s.new", path) >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%.80s...: path too long", path);
    }
    struct checkpoint_head head = {.magic = MAGIC, .training = training, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        head.lengths[i] = parts[i].length;
    }
    head.sum = sum_of(&head, parts);
    if (!write_all(made, &head, parts) || rename(made, path) != 0) {
        enum status status = error_set(error, STATUS_FATAL, "%s: %s", path, strerror(errno));
        (void)unlink(made);
        return status;
    }
    return STATUS_OK;
}

static enum status complain(const char *path, const char *how, struct error *error)
{
    return error_set(error, STATUS_INVALID, "%s: %s; remove it to start anew", path, how);
}

/* Whether the file is as long as its head says. */
static enum status check_length(const char *path, FILE *in, const struct checkpoint_head *head,
                                struct error *error)
{
    struct stat facts;
    if (fstat(fileno(in), &facts) != 0) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    uint64_t rest = (uint64_t)facts.st_size - sizeof(*head);
    for (uint64_t i = 0; i < head->count; i++) {
        if (head->lengths[i] > rest) {
            return complain(path, "cut short", error);
        }
        rest -= head->lengths[i];
    }
    return rest == 0 ? STATUS_OK : complain(path, "damaged", error);
}

static enum status check_head(const char *path, FILE *in, uint64_t training,
                              const struct checkpoint_part *parts, uint32_t count,
                              struct checkpoint_head *ret_head, struct error *error)
{
    if (fread(ret_head, sizeof(*ret_head), 1, in) != 1 || memcmp(ret_head->magic, MAGIC, 8) != 0) {
        return error_set(error, STATUS_INVALID, "%s: no checkpoint of a training", path);
    }
    bool is_ours = ret_head->training == training && ret_head->count == count;
    for (uint32_t i = 0; is_ours && i < count; i++) {
        is_ours = !parts[i].bytes || parts[i].length == ret_head->lengths[i];
    }
    return is_ours ? check_length(path, in, ret_head, error)
                   : complain(path, "of a training with other rows or settings", error);
}

static enum status read_parts(const char *path, FILE *in, const struct checkpoint_head *head,
                              struct checkpoint_part *made, struct error *error)
{
    for (uint32_t i = 0; i < head->count; i++) {
        size_t length = (size_t)head->lengths[i];
        made[i].length = length;
        if (!made[i].bytes) {
            made[i].bytes = malloc(length + 1);
        }
        if (!made[i].bytes) {
            return error_set(error, STATUS_FATAL, "training: out of memory");
        }
        if (fread(made[i].bytes, 1, length, in) != length) {
            return complain(path, "cut short", error);
        }
    }
    return head->sum == sum_of(head, made) ? STATUS_OK : complain(path, "damaged", error);
}

enum status checkpoint_file_read(const char *path, uint64_t training, struct checkpoint_part *parts,
                                 uint32_t count, bool *ret_is_there, struct error *error)
{
    assert(count <= CHECKPOINT_PARTS_MAX);
    FILE *in = fopen(path, "rb");
    if (!in && errno == ENOENT) {
        *ret_is_there = false;
        return STATUS_OK;
    }
    if (!in) {
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    struct checkpoint_head head;
    struct checkpoint_part made[CHECKPOINT_PARTS_MAX] = {0};
    memcpy(made, parts, count * sizeof(*parts));
    enum status status = check_head(path, in, training, parts, count, &head, error);
    if (status == STATUS_OK) {
        status = read_parts(path, in, &head, made, error);
    }
    (void)fclose(in);
    for (uint32_t i = 0; status != STATUS_OK && i < count; i++) {
        if (!parts[i].bytes) {
            free(made[i].bytes);
        }
    }
    if (status == STATUS_OK) {
        memcpy(parts, made, count * sizeof(*parts));
        *ret_is_there = true;
    }
    return status;
}
