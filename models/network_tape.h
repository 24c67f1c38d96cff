/*
 * A network's outputs for a mini-batch of sequences and the gradient of its parameters, by
 * backpropagation (through time: Werbos, 1990). Sums run in the fixed order of kernel_network.h, so
 * that a training is the same on every machine.
 *
 * A mini-batch has its sequences from the longest to the shortest, so that those with a step t are
 * the first active[t]; its rows are the steps one after the other. A network without a cell sees
 * rows that have nothing to do with each other: one step.
 */
#ifndef MODELS_NETWORK_TAPE_H
#define MODELS_NETWORK_TAPE_H

#include "models/network_shape.h"

struct network_tape;

struct network_batch {
    const float *inputs;   /* [rows][input_stride]: numbers and indicators; tables are filled in. */
    uint32_t input_stride; /* >= network_padded(input_count) */
    const uint32_t *table_rows; /* [rows][table_count] */
    uint32_t step_count;        /* 1 without a cell. */
    const uint32_t *active;     /* [step_count], not rising. */
    uint32_t row_count;         /* Their sum. */
    const float *h, *c;         /* [active[0]][hidden] before the first step; NULL: zeros. */
    const float *first;         /* [rows][network_tape_first_width()] instead of inputs; or NULL. */
    uint64_t dropout_seed;      /* 0: no dropout. */
};

MUST_CHECK enum status network_tape_create(const struct network_shape *shape, uint32_t rows_max,
                                           struct network_tape **ret_tape, struct error *error);
void network_tape_destroy(struct network_tape *tape); /* NULL is a no-op. */

/*
 * The parameters given from here on are always the same, unchanged: what is made of them for the
 * kernels is made once.
 */
void network_tape_keep_panels(struct network_tape *tape);

/* outputs[row_count]; at most rows_max rows. */
void network_tape_forward(struct network_tape *tape, const float *parameters,
                          const struct network_batch *batch, float *outputs);

/*
 * What a network does to its inputs first is a product and a bias: the cell's gates, or the first
 * layer before its norm and activation. Along a straight line from one row of inputs to another
 * their results lie on a straight line, too.
 */
uint32_t network_tape_first_width(const struct network_tape *tape);
/* ret_first[rows][width] of inputs [rows][network_padded(input_count)] without tables. */
void network_tape_first(struct network_tape *tape, const float *parameters, const float *inputs,
                        uint32_t rows, float *ret_first);
/* From pulls by that, [rows][width]: those by the inputs, [rows][network_padded(input_count)]. */
void network_tape_first_back(struct network_tape *tape, const float *parameters, const float *pulls,
                             uint32_t rows, float *ret_inputs);

/*
 * Of the same parameters and batch as the last forward: adds to gradient [parameter_count] that of
 * the sum over the rows of pulls[row] * outputs[row]; NULL: nobody asks for it. ret_inputs, unless
 * NULL, is [row_count][network_padded(input_count)]: the same by input; where the batch has
 * `first`, by that, in its shape.
 */
void network_tape_backward(struct network_tape *tape, const float *parameters,
                           const struct network_batch *batch, const float *pulls, float *gradient,
                           float *ret_inputs);

/* The state after the last step that each sequence took: h and c [active[0]][hidden]; c may be NULL
 * where there is none. */
void network_tape_state(const struct network_tape *tape, const struct network_batch *batch,
                        float *h, float *c);

#endif
