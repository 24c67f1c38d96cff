/* What the files of network_tape share. */
#ifndef MODELS_NETWORK_TAPE_INTERNAL_H
#define MODELS_NETWORK_TAPE_INTERNAL_H

#include "models/network_tape.h"

struct tape_layer {
    uint32_t padded;
    float *before;  /* [rows][padded] what the activation saw; gelu only. */
    float *after;   /* [rows][padded] */
    float *centred; /* [rows][padded] before the norm's weight; with norm only. */
    float *inverse; /* [rows] one by the standard deviation; with norm only. */
    float *dropped; /* [rows][padded] factors; with dropout only. */
};

/* Panels of weights that do not change. */
#define KEPT_PANELS_MAX (8u + 2u * NETWORK_LAYERS_MAX)
struct kept_panels {
    const float *weight; /* Borrowed: what they are of. */
    float *panels;       /* Owned. */
    bool is_turned;
};

struct network_tape {
    struct network_shape shape; /* Copy. */
    const struct network_kernels *kernels;
    uint32_t rows_max;
    bool has_gradient; /* Else only the gradient by the inputs is asked for. */
    float *block;      /* Owned: all below. */
    uint32_t input_padded, hidden_padded, widest;
    float *inputs;         /* [rows][input_padded] */
    float *gates;          /* [rows][4][hidden_padded]: r, z, n and n's inner sum, or i, f, g, o. */
    float *h, *c, *tanh_c; /* [rows][hidden_padded] */
    float *before_h, *before_c;           /* The same before the step. */
    float *hidden_panels, *hidden_turned; /* [gates] panels of weight_hh, and of it turned. */
    struct tape_layer layers[NETWORK_LAYERS_MAX];
    float *pulls[2];          /* [rows][widest] gradients by a layer's outputs and inputs. */
    float *gate_pulls;        /* [rows][4][hidden_padded] */
    float *inner_pulls;       /* [rows][hidden_padded] GRU: by n's inner sum. */
    float *carry_h, *carry_c; /* [rows][hidden_padded] from the step after. */
    float *input_pulls;       /* [rows][input_padded] */
    float *panels;            /* Of weights or of rows. */
    float *bias, *product;
    bool keeps_panels, has_hidden; /* has_hidden: hidden_panels and hidden_turned are made. */
    uint32_t kept_count;
    struct kept_panels kept[KEPT_PANELS_MAX];
};

/* c[rows][..] = a x weight^T + bias; bias NULL: added. */
void tape_times(struct network_tape *tape, const float *a, uint32_t a_row, uint32_t rows,
                const float *weight, uint32_t out, uint32_t in, const float *bias, float *c,
                uint32_t c_row);
/* c[rows][..] += d x weight, for d [rows][out]. */
void tape_times_turned(struct network_tape *tape, const float *d, uint32_t d_row, uint32_t rows,
                       const float *weight, uint32_t out, uint32_t in, float *c, uint32_t c_row);
/* gradient[out][in] += d^T x, and bias[out] += the sums of d. */
void tape_gather(struct network_tape *tape, const float *d, uint32_t d_row, const float *x,
                 uint32_t x_row, uint32_t rows, uint32_t out, uint32_t in, float *gradient,
                 float *bias);

/* panels[j / 16][o][j % 16] = weight[o * in + j] */
void tape_turned_panels(const float *weight, uint32_t out, uint32_t in, float *panels);

/* The gates' share of the inputs: see network_tape_first(). */
void tape_cell_first(struct network_tape *tape, const float *parameters, const float *inputs,
                     uint32_t rows, float *gates, uint32_t gates_row);
/* inputs [rows][input_padded] from the gates' pulls. */
void tape_cell_first_back(struct network_tape *tape, const float *parameters, const float *d,
                          uint32_t d_row, uint32_t rows, float *inputs);
void tape_cell_forward(struct network_tape *tape, const float *parameters,
                       const struct network_batch *batch);
/* `pulls` [rows][hidden_padded] by h; fills gate_pulls and, unless the batch has `first`,
 * input_pulls. */
void tape_cell_backward(struct network_tape *tape, const float *parameters,
                        const struct network_batch *batch, const float *pulls, float *gradient);

#endif
