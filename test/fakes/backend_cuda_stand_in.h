/*
 * The GPU's kernels on the CPU, as a plug-in: the same code as on the device, its threads as loops.
 * Finds what is computed wrongly, read too early or out of bounds; not races between threads.
 */
#ifndef TEST_FAKES_BACKEND_CUDA_STAND_IN_H
#define TEST_FAKES_BACKEND_CUDA_STAND_IN_H

#include <stdbool.h>

#include "models/backend_cuda_plugin.h"

extern const struct cuda_plugin stand_in_plugin;

/* What goes wrong: the n-th call from now on; 0: none. */
struct stand_in_faults {
    bool has_no_device;
    bool is_inexact; /* The last row of each batch of a network is off by its last bit. */
    uint32_t create, submit, wait;
};
extern struct stand_in_faults stand_in_faults;

#endif
