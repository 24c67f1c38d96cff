#include "pipeline/run/task_progress.h"

#include <stddef.h>
#include <string.h>

/* Version 1 ended before the counters that version 2 has behind it. */
static bool upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    const size_t bytes_1 = offsetof(struct task_progress, counters.users_erased);
    if (version != 1 || length != bytes_1) {
        return false;
    }
    memcpy(part, bytes, bytes_1);
    return true;
}

const struct record_part task_progress_part = {
    .name = "task progress",
    .id = PART_TASK_PROGRESS,
    .version = 2,
    .kind = ENTITY_TASK,
    .bytes = sizeof(struct task_progress),
    .upgrade = upgrade,
};
