#include "pipeline/run/state_folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/commit/log_segments.h"

#define PATH_BYTES 4096
#define PARTITION_DIGITS_MAX 9

/* The partitions behind the last input file. */
struct left_over {
    const char *directory;
    uint32_t file_count;
    uint32_t lowest;
    uint32_t highest;
    uint32_t count;
    enum status status; /* Of the first that could not be looked at. */
    struct error *error;
};

/* True for what snprintf() makes of a partition's number with %u. */
static bool read_partition(const char *name, uint32_t *ret_partition)
{
    size_t digits = strspn(name, "0123456789");
    bool is_number = digits > 0 && digits <= PARTITION_DIGITS_MAX && name[digits] == '\0' &&
                     (name[0] != '0' || digits == 1);
    if (is_number) {
        *ret_partition = (uint32_t)strtoul(name, NULL, 10);
    }
    return is_number;
}

static void visit_folder(void *context, const char *name)
{
    struct left_over *found = context;
    uint32_t partition = 0;
    if (found->status != STATUS_OK || !read_partition(name, &partition) ||
        partition < found->file_count) {
        return;
    }
    char log_directory[PATH_BYTES];
    int length =
        snprintf(log_directory, sizeof(log_directory), "%s/%s/log", found->directory, name);
    if (length >= PATH_BYTES) {
        found->status =
            error_set(found->error, STATUS_INVALID, "%s: path too long", found->directory);
        return;
    }
    bool has_commits = false;
    found->status =
        log_segments_have_frames(storage_posix(), log_directory, &has_commits, found->error);
    if (found->status != STATUS_OK || !has_commits) {
        return;
    }
    found->lowest = found->count == 0 || partition < found->lowest ? partition : found->lowest;
    found->highest = found->count == 0 || partition > found->highest ? partition : found->highest;
    found->count++;
}

enum status state_folder_check(const char *directory, uint32_t file_count, struct error *error)
{
    struct left_over found = {.directory = directory, .file_count = file_count, .error = error};
    struct storage *storage = storage_posix();
    enum status status = storage->ops->list(storage, directory, visit_folder, &found, error);
    if (status == STATUS_OK) {
        status = found.status;
    }
    if (status != STATUS_OK || found.count == 0) {
        return status;
    }
    char named[64];
    (void)snprintf(named, sizeof(named), found.count > 1 ? "partitions %u to %u" : "partition %u",
                   found.lowest, found.highest);
    return error_set(error, STATUS_INVALID,
                     "%s: has state of %s, which no input file is given for (%u given, for the "
                     "partitions from 0 on); expected the same input files, in the same order, as "
                     "before, or another output directory",
                     directory, named, file_count);
}
