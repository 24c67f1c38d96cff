#include "pipeline/run/task_progress.h"

#include <stddef.h>
#include <string.h>

/* Each version ended before what the next one has behind it. */
static bool upgrade(uint16_t version, const void *bytes, uint32_t length, void *part)
{
    const size_t lengths[] = {[1] = offsetof(struct task_progress, counters.users_erased),
                              [2] = offsetof(struct task_progress, topics)};
    if (version < 1 || version > 2 || length != lengths[version]) {
        return false;
    }
    memcpy(part, bytes, length);
    return true;
}

const struct record_part task_progress_part = {
    .name = "task progress",
    .id = PART_TASK_PROGRESS,
    .version = 3,
    .kind = ENTITY_TASK,
    .bytes = sizeof(struct task_progress),
    .upgrade = upgrade,
};
