/*
 * What the GPU's plug-in (backend_cuda_device.cu) offers, as a table of C functions, so that the
 * program neither links CUDA nor needs it to start. Knows no pack: networks and trees come as
 * arrays laid out for the kernels (backend_cuda_kernels.h). Included by C and C++.
 *
 * Functions that may fail return 0, or another number and what went wrong in message[size]. After a
 * failure of submit or wait the model may only be destroyed. One thread a model; the models of
 * several threads are independent.
 */
#ifndef MODELS_BACKEND_CUDA_PLUGIN_H
#define MODELS_BACKEND_CUDA_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define CUDA_PLUGIN_VERSION 1u
#define CUDA_PLUGIN_SYMBOL "nudge_cuda_plugin"

#define CUDA_LAYERS_MAX 8u
#define CUDA_SLOTS 2u       /* Batches under way at a time, of one model. */
#define CUDA_SLOT_ROWS 256u /* Rows of a batch at most. */
#define CUDA_MESSAGE_BYTES 256u

enum cuda_activation {
    CUDA_NONE,
    CUDA_RELU,
    CUDA_TANH,
    CUDA_SIGMOID,
    CUDA_GELU,
};

enum cuda_cell { CUDA_CELL_NONE, CUDA_CELL_GRU, CUDA_CELL_LSTM };

/* `padded` counts are multiples of 16, panels as network_panels() makes them (network_model.h). */
struct cuda_layer {
    const float *panels;      /* [padded / 16][inputs][16] */
    const float *bias;        /* [padded] */
    const float *norm_weight; /* [padded]; NULL: no layer norm. */
    const float *norm_bias;
    uint32_t inputs, size, padded;
    uint32_t activation; /* enum cuda_activation */
};

struct cuda_network {
    uint32_t cell; /* enum cuda_cell */
    uint32_t input_count, input_padded;
    uint32_t hidden, hidden_padded;
    const float *input_panels;  /* [gates * hidden_padded / 16][input_count][16] */
    const float *hidden_panels; /* [gates * hidden_padded / 16][hidden][16] */
    const float *gate_bias;     /* [gates * hidden_padded] */
    const float *inner_bias;    /* [hidden_padded], of a GRU. */
    float norm_epsilon;
    uint32_t layer_count;
    struct cuda_layer layers[CUDA_LAYERS_MAX];
};

struct cuda_tree_node { /* As struct tree_node (tree_layout.h). */
    float threshold;
    uint32_t column;
    uint32_t left;
    float value;
};

struct cuda_trees {
    const struct cuda_tree_node *nodes; /* [node_count] */
    const uint32_t *roots;              /* [tree_count] */
    uint32_t node_count, tree_count, column_count;
};

/* Where the host puts the rows of a slot and finds their results: memory that the device reads. */
struct cuda_slot {
    float *inputs;  /* Networks: [CUDA_SLOT_ROWS][input_padded]; trees: tiles [column_count][16]. */
    float *h, *c;   /* Networks with a cell: [CUDA_SLOT_ROWS][hidden_padded], before and after. */
    float *outputs; /* Networks: [CUDA_SLOT_ROWS] */
    double *sums;   /* Trees: [CUDA_SLOT_ROWS], of their leaves in the order of the trees. */
};

struct cuda_model;

struct cuda_plugin {
    uint32_t version; /* CUDA_PLUGIN_VERSION */
    /* Finds a device and says what it is, such as "NVIDIA H200, sm_90". */
    int (*open)(char *device, size_t device_size, char *message, size_t size);
    /* Copies what it is given to the device. */
    int (*create_network)(const struct cuda_network *network, struct cuda_model **ret_model,
                          char *message, size_t size);
    int (*create_trees)(const struct cuda_trees *trees, struct cuda_model **ret_model,
                        char *message, size_t size);
    void (*destroy)(struct cuda_model *model); /* NULL is a no-op. */
    struct cuda_slot *(*slot)(struct cuda_model *model, uint32_t slot);
    /* Begins to score the first `rows` rows of a slot, and returns. */
    int (*submit)(struct cuda_model *model, uint32_t slot, uint32_t rows, char *message,
                  size_t size);
    int (*wait)(struct cuda_model *model, uint32_t slot, char *message, size_t size);
};

typedef const struct cuda_plugin *cuda_plugin_function(void);

#endif
