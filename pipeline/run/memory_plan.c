#include "pipeline/run/memory_plan.h"

/* More than this in one commit gains nothing; less, and a commit costs more than what it holds. */
#define OUTPUT_BYTES_MOST ((int64_t)32 << 20)
#define OUTPUT_BYTES_LEAST ((int64_t)1 << 18)

static int64_t within(int64_t bytes, int64_t least, int64_t most)
{
    return bytes < least ? least : bytes > most ? most : bytes;
}

struct memory_plan memory_plan_make(int64_t memory_bytes, uint32_t tasks)
{
    const int64_t overhead_bytes = (int64_t)(48u << 20) + (int64_t)tasks * (24 << 20);
    int64_t floor_bytes = memory_bytes / 2;
    int64_t free_bytes = memory_bytes - overhead_bytes;
    free_bytes = free_bytes > floor_bytes ? free_bytes : floor_bytes;
    return (struct memory_plan){
        .cache_bytes = (size_t)(free_bytes * 72 / 100 / tasks),
        .block_cache_bytes = (size_t)(free_bytes * 7 / 100),
        .filter_bytes = (size_t)(free_bytes * 2 / 100 / tasks),
        .output_bytes =
            (size_t)within(free_bytes / 16 / tasks, OUTPUT_BYTES_LEAST, OUTPUT_BYTES_MOST),
    };
}
