/* How the memory that the process may have is shared out; the rest is batches, buffers and code. */
#ifndef PIPELINE_RUN_MEMORY_PLAN_H
#define PIPELINE_RUN_MEMORY_PLAN_H

#include <stddef.h>
#include <stdint.h>

struct memory_plan {
    size_t cache_bytes; /* Of one task. */
    size_t block_cache_bytes;
    size_t filter_bytes; /* Of one task. */
    size_t output_bytes; /* Of one task's transaction, after which it is committed. */
};

struct memory_plan memory_plan_make(int64_t memory_bytes, uint32_t tasks);

#endif
