/*
 * Scores on a GPU, by a plug-in that is opened at run time (backend_cuda_plugin.h): trees and
 * neural networks; what is cheaper than the way to the GPU and back, such as a linear model, stays
 * on the CPU.
 *
 * A model on the GPU has the same bits as on the CPU: its kernels take the same operations in the
 * same order (backend_cuda_kernels.h), and one whose results for rows made up at its load differ in
 * a single bit is refused. So it does not matter to any result where a batch was scored, and the
 * numeric profile is the CPU's. Where the GPU fails, the rows of the batch that have no result yet
 * are scored on the CPU, and so is all that this model is asked from then on; that is counted.
 */
#ifndef MODELS_BACKEND_CUDA_H
#define MODELS_BACKEND_CUDA_H

#include "models/backend_cuda_plugin.h"
#include "models/model_backend.h"

extern const struct model_backend_ops backend_cuda;

struct cuda_facts {
    const char *device;               /* NULL: no plug-in is open. */
    uint64_t rows;                    /* Scored by it, in this process, so far. */
    uint64_t failures;                /* Models that went over to the CPU. */
    char failure[CUDA_MESSAGE_BYTES]; /* What the last of them was told; "" where there is none. */
};

/*
 * Opens the plug-in at `path`, or with NULL libnudge_cuda.so beside the program or on the loader's
 * path, and the device. Before any thread is started; what is open stays so. STATUS_INVALID says
 * why there is none: no plug-in, one of another version, no driver, no device.
 */
MUST_CHECK enum status backend_cuda_open(const char *path, struct error *error);

/* The same with a table at hand, for tests; NULL closes. */
MUST_CHECK enum status backend_cuda_use(const struct cuda_plugin *plugin, struct error *error);

/*
 * Batches of fewer rows than `rows_min` go to the CPU; 0: each model finds out at its load from how
 * many rows on the device is the faster one, if ever. `is_required`: a model that the device cannot
 * take is refused, else it stays on the CPU and counts as one that went there. At first
 * required, 1.
 */
void backend_cuda_configure(bool is_required, uint32_t rows_min);

void backend_cuda_facts(struct cuda_facts *ret_facts);

#endif
