#include "pipeline/run/task_progress.h"

const struct record_part task_progress_part = {
    .name = "task progress",
    .id = PART_TASK_PROGRESS,
    .version = 1,
    .kind = ENTITY_TASK,
    .bytes = sizeof(struct task_progress),
};
