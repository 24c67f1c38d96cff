/*
 * The GPU's plug-in: see backend_cuda_plugin.h for what it promises and backend_cuda_kernels.h for
 * what its kernels do. Built where nvcc is, into libnudge_cuda.so, with CUDA's runtime linked in.
 * Each model has two slots with a stream each, so that one batch is under way while the host gathers
 * the next into pinned memory.
 */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "models/backend_cuda_kernels.h"

namespace
{

constexpr uint32_t kThreads = 256;
constexpr uint32_t kAllocationsMax = 4 * CUDA_LAYERS_MAX + 16;

__global__ void __launch_bounds__(kThreads) network_kernel(const struct network_work work)
{
    extern __shared__ float shared[];
    network_block(&work, blockIdx.x, shared);
}

__global__ void __launch_bounds__(kThreads) trees_kernel(const struct trees_work work)
{
    trees_block(&work, blockIdx.x);
}

struct slot_memory {
    struct cuda_slot host; /* Pinned. */
    float *inputs, *h, *c, *outputs, *values;
    double *sums;
    cudaStream_t stream;
};

int shared_bytes; /* That a block may have; set by open(). */

} // namespace

struct cuda_model {
    bool is_trees;
    struct cuda_network network; /* Its arrays in device memory. */
    struct cuda_network *network_copy; /* The same in device memory. */
    struct cuda_trees trees;
    struct network_room room;
    uint32_t tile_rows;
    struct slot_memory slots[CUDA_SLOTS];
    void *allocations[kAllocationsMax];
    uint32_t allocation_count;
};

namespace
{

/* Remembers the first failure of a chain of calls. */
struct outcome {
    char *message;
    size_t size;
    bool has_failed = false;

    bool check(cudaError_t code, const char *doing)
    {
        if (code != cudaSuccess && !has_failed) {
            has_failed = true;
            (void)std::snprintf(message, size, "%s: %s", doing, cudaGetErrorString(code));
        }
        return !has_failed;
    }
};

template <typename T> T *allocate(struct cuda_model *model, size_t count, struct outcome *outcome)
{
    void *memory = nullptr;
    if (!outcome->check(cudaMalloc(&memory, count * sizeof(T)), "memory of the device")) {
        return nullptr;
    }
    model->allocations[model->allocation_count++] = memory;
    return static_cast<T *>(memory);
}

/* Puts a copy of the host's array in its place; NULL stays NULL. */
template <typename T>
void move_over(struct cuda_model *model, const T **array, size_t count, struct outcome *outcome)
{
    if (!*array) {
        return;
    }
    T *memory = allocate<T>(model, count, outcome);
    if (memory) {
        outcome->check(cudaMemcpy(memory, *array, count * sizeof(T), cudaMemcpyHostToDevice),
                       "copying the model");
    }
    *array = memory;
}

template <typename T> T *pin(size_t count, struct outcome *outcome)
{
    void *memory = nullptr;
    outcome->check(cudaMallocHost(&memory, count * sizeof(T)), "pinned memory");
    return static_cast<T *>(memory);
}

void unpin(void *memory)
{
    if (memory) {
        (void)cudaFreeHost(memory);
    }
}

void destroy(struct cuda_model *model)
{
    if (!model) {
        return;
    }
    for (struct slot_memory &slot : model->slots) {
        if (slot.stream) {
            (void)cudaStreamSynchronize(slot.stream);
            (void)cudaStreamDestroy(slot.stream);
        }
        unpin(slot.host.inputs);
        unpin(slot.host.h);
        unpin(slot.host.c);
        unpin(slot.host.outputs);
        unpin(slot.host.sums);
    }
    for (uint32_t i = 0; i < model->allocation_count; i++) {
        (void)cudaFree(model->allocations[i]);
    }
    delete model;
}

int finish(struct cuda_model *model, const struct outcome &outcome, struct cuda_model **ret_model)
{
    if (outcome.has_failed) {
        destroy(model);
        return 1;
    }
    *ret_model = model;
    return 0;
}

void copy_network(struct cuda_model *model, struct outcome *outcome)
{
    struct cuda_network *network = &model->network;
    size_t gates = network->cell == CUDA_CELL_GRU ? 3 : 4;
    size_t columns = gates * network->hidden_padded;
    move_over(model, &network->input_panels, columns * network->input_count, outcome);
    move_over(model, &network->hidden_panels, columns * network->hidden, outcome);
    move_over(model, &network->gate_bias, columns, outcome);
    move_over(model, &network->inner_bias, network->hidden_padded, outcome);
    for (uint32_t i = 0; i < network->layer_count; i++) {
        struct cuda_layer *layer = &network->layers[i];
        move_over(model, &layer->panels, (size_t)layer->padded * layer->inputs, outcome);
        move_over(model, &layer->bias, layer->padded, outcome);
        move_over(model, &layer->norm_weight, layer->padded, outcome);
        move_over(model, &layer->norm_bias, layer->padded, outcome);
    }
    const struct cuda_network *copy = network;
    move_over(model, &copy, 1, outcome);
    model->network_copy = const_cast<struct cuda_network *>(copy);
}

void make_network_slot(struct cuda_model *model, struct slot_memory *slot, struct outcome *outcome)
{
    const struct cuda_network *network = &model->network;
    size_t inputs = (size_t)CUDA_SLOT_ROWS * network->input_padded;
    size_t hidden = (size_t)CUDA_SLOT_ROWS * network->hidden_padded;
    slot->host.inputs = pin<float>(inputs, outcome);
    slot->inputs = allocate<float>(model, inputs, outcome);
    slot->host.outputs = pin<float>(CUDA_SLOT_ROWS, outcome);
    slot->outputs = allocate<float>(model, CUDA_SLOT_ROWS, outcome);
    if (network->cell != CUDA_CELL_NONE) {
        slot->host.h = pin<float>(hidden, outcome);
        slot->h = allocate<float>(model, hidden, outcome);
    }
    if (network->cell == CUDA_CELL_LSTM) {
        slot->host.c = pin<float>(hidden, outcome);
        slot->c = allocate<float>(model, hidden, outcome);
    }
}

int create_network(const struct cuda_network *network, struct cuda_model **ret_model, char *message,
                   size_t size)
{
    struct cuda_model *model = new (std::nothrow) cuda_model();
    struct outcome outcome = {message, size};
    if (!model) {
        (void)std::snprintf(message, size, "out of memory");
        return 1;
    }
    model->network = *network;
    model->tile_rows = network_tile_rows(network, (size_t)shared_bytes);
    if (model->tile_rows == 0) {
        (void)std::snprintf(message, size, "the network needs %zu bytes of shared memory, %d are there",
                            network_room_of(network, CUDA_GROUP).total * sizeof(float), shared_bytes);
        delete model;
        return 1;
    }
    model->room = network_room_of(network, model->tile_rows);
    outcome.check(cudaFuncSetAttribute(network_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       shared_bytes),
                  "shared memory");
    copy_network(model, &outcome);
    for (struct slot_memory &slot : model->slots) {
        outcome.check(cudaStreamCreateWithFlags(&slot.stream, cudaStreamNonBlocking), "a stream");
        make_network_slot(model, &slot, &outcome);
    }
    return finish(model, outcome, ret_model);
}

int create_trees(const struct cuda_trees *trees, struct cuda_model **ret_model, char *message,
                 size_t size)
{
    struct cuda_model *model = new (std::nothrow) cuda_model();
    struct outcome outcome = {message, size};
    if (!model) {
        (void)std::snprintf(message, size, "out of memory");
        return 1;
    }
    model->is_trees = true;
    model->trees = *trees;
    move_over(model, &model->trees.nodes, trees->node_count, &outcome);
    move_over(model, &model->trees.roots, trees->tree_count, &outcome);
    for (struct slot_memory &slot : model->slots) {
        size_t inputs = (size_t)CUDA_SLOT_ROWS * trees->column_count;
        outcome.check(cudaStreamCreateWithFlags(&slot.stream, cudaStreamNonBlocking), "a stream");
        slot.host.inputs = pin<float>(inputs, &outcome);
        slot.inputs = allocate<float>(model, inputs, &outcome);
        slot.host.sums = pin<double>(CUDA_SLOT_ROWS, &outcome);
        slot.sums = allocate<double>(model, CUDA_SLOT_ROWS, &outcome);
        slot.values = allocate<float>(model, (size_t)CUDA_SLOT_ROWS * trees->tree_count, &outcome);
    }
    return finish(model, outcome, ret_model);
}

template <typename T>
void send(T *to, const T *from, size_t count, cudaStream_t stream, struct outcome *outcome)
{
    outcome->check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyHostToDevice, stream),
                   "sending a batch");
}

template <typename T>
void fetch(T *to, const T *from, size_t count, cudaStream_t stream, struct outcome *outcome)
{
    outcome->check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDeviceToHost, stream),
                   "fetching a batch");
}

void submit_network(struct cuda_model *model, struct slot_memory *slot, uint32_t rows,
                    struct outcome *outcome)
{
    const struct cuda_network *network = &model->network;
    size_t hidden = (size_t)rows * network->hidden_padded;
    bool has_c = network->cell == CUDA_CELL_LSTM;
    send(slot->inputs, slot->host.inputs, (size_t)rows * network->input_padded, slot->stream,
         outcome);
    if (network->cell != CUDA_CELL_NONE) {
        send(slot->h, slot->host.h, hidden, slot->stream, outcome);
    }
    if (has_c) {
        send(slot->c, slot->host.c, hidden, slot->stream, outcome);
    }
    if (outcome->has_failed) {
        return;
    }
    const struct network_work work = {model->network_copy, model->room, model->tile_rows,
                                      slot->inputs,        slot->h,     slot->c,
                                      slot->outputs,       rows};
    uint32_t blocks = (rows + model->tile_rows - 1) / model->tile_rows;
    network_kernel<<<blocks, kThreads, model->room.total * sizeof(float), slot->stream>>>(work);
    outcome->check(cudaGetLastError(), "starting the network's kernel");
    fetch(slot->host.outputs, slot->outputs, rows, slot->stream, outcome);
    if (network->cell != CUDA_CELL_NONE) {
        fetch(slot->host.h, slot->h, hidden, slot->stream, outcome);
    }
    if (has_c) {
        fetch(slot->host.c, slot->c, hidden, slot->stream, outcome);
    }
}

void submit_trees(struct cuda_model *model, struct slot_memory *slot, uint32_t rows,
                  struct outcome *outcome)
{
    size_t tiles = (rows + CUDA_LANES - 1) / CUDA_LANES;
    send(slot->inputs, slot->host.inputs, tiles * CUDA_LANES * model->trees.column_count,
         slot->stream, outcome);
    if (outcome->has_failed) {
        return;
    }
    const struct trees_work work = {model->trees, slot->inputs, slot->values, slot->sums};
    trees_kernel<<<rows, kThreads, 0, slot->stream>>>(work);
    outcome->check(cudaGetLastError(), "starting the trees' kernel");
    fetch(slot->host.sums, slot->sums, rows, slot->stream, outcome);
}

int submit(struct cuda_model *model, uint32_t slot, uint32_t rows, char *message, size_t size)
{
    struct outcome outcome = {message, size};
    if (model->is_trees) {
        submit_trees(model, &model->slots[slot], rows, &outcome);
    } else {
        submit_network(model, &model->slots[slot], rows, &outcome);
    }
    return outcome.has_failed;
}

int wait(struct cuda_model *model, uint32_t slot, char *message, size_t size)
{
    struct outcome outcome = {message, size};
    outcome.check(cudaStreamSynchronize(model->slots[slot].stream), "scoring a batch");
    return outcome.has_failed;
}

struct cuda_slot *slot_of(struct cuda_model *model, uint32_t slot)
{
    return &model->slots[slot].host;
}

int open_device(char *device, size_t device_size, char *message, size_t size)
{
    struct outcome outcome = {message, size};
    int count = 0;
    cudaDeviceProp properties;
    outcome.check(cudaGetDeviceCount(&count), "looking for devices");
    if (!outcome.has_failed && count == 0) {
        (void)std::snprintf(message, size, "there is no device");
        return 1;
    }
    if (!outcome.has_failed) {
        outcome.check(cudaGetDeviceProperties(&properties, 0), "asking device 0");
    }
    if (!outcome.has_failed) {
        outcome.check(cudaDeviceGetAttribute(&shared_bytes,
                                             cudaDevAttrMaxSharedMemoryPerBlockOptin, 0),
                      "asking device 0");
    }
    if (outcome.has_failed) {
        return 1;
    }
    (void)std::snprintf(device, device_size, "%s, sm_%d%d", properties.name, properties.major,
                        properties.minor);
    return 0;
}

const struct cuda_plugin plugin = {
    CUDA_PLUGIN_VERSION, open_device, create_network, create_trees, destroy, slot_of, submit, wait,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const struct cuda_plugin *nudge_cuda_plugin(void)
{
    return &plugin;
}
