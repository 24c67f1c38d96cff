/*
 * Loops that have nothing to do with the product, to scale figures of different machines by: a
 * chain of multiplications, a walk through memory that misses every cache, and a copy.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/clock.h"

#define STEPS 50000000u
#define WALK_ENTRIES (1u << 24) /* 64 MiB of 4 bytes: more than any L2, most of L3. */

static double chain_ns(void)
{
    uint64_t begin_ns = clock_thread_cpu_ns();
    uint64_t x = 1;
    for (uint32_t i = 0; i < STEPS; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
    }
    double ns = (double)(clock_thread_cpu_ns() - begin_ns) / STEPS;
    return x == 0 ? 0 : ns; /* So that the loop is not thrown away. */
}

static double walk_ns(uint32_t *next)
{
    uint64_t x = 88172645463325252u;
    for (uint32_t i = 0; i < WALK_ENTRIES; i++) {
        next[i] = i;
    }
    /* Sattolo's shuffle: one cycle through all entries. */
    for (uint32_t i = WALK_ENTRIES - 1; i > 0; i--) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint32_t other = (uint32_t)((x >> 33) % i);
        uint32_t kept = next[i];
        next[i] = next[other];
        next[other] = kept;
    }
    uint64_t begin_ns = clock_thread_cpu_ns();
    uint32_t at = 0;
    const uint32_t steps = STEPS / 10;
    for (uint32_t i = 0; i < steps; i++) {
        at = next[at];
    }
    double ns = (double)(clock_thread_cpu_ns() - begin_ns) / steps;
    return at == UINT32_MAX ? 0 : ns;
}

static double copy_gb_s(uint32_t *memory)
{
    const size_t half = (size_t)WALK_ENTRIES * 2;
    uint64_t begin_ns = clock_thread_cpu_ns();
    for (int i = 0; i < 20; i++) {
        memcpy((char *)memory + half, memory, half);
    }
    return 20.0 * (double)half / (double)(clock_thread_cpu_ns() - begin_ns);
}

int main(void)
{
    uint32_t *memory = malloc((size_t)WALK_ENTRIES * sizeof(*memory));
    if (!memory) {
        return 1;
    }
    (void)printf("reference loops: multiply-add %.3f ns, memory walk %.1f ns, copy %.1f GB/s\n",
                 chain_ns(), walk_ns(memory), copy_gb_s(memory));
    free(memory);
    return 0;
}
