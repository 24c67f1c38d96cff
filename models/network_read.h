/*
 * The shape of a network as a manifest has it, and its parameters from a safetensors file with the
 * names and layouts of a PyTorch state_dict.
 *
 * network:
 *   hidden: 64                 # of the cell; kinds gru and lstm only
 *   tensor: rnn                # prefix of the cell's tensors: rnn.weight_ih_l0, ...
 *   epsilon: 1e-5              # of layer norms
 *   indicators: [price]        # features whose missing values are an input of their own
 *   fill: {price: -0.5}        # what a missing value is, after scaling; 0 where nothing is said
 *   embeddings:                # features that choose a row of a table; others are numbers
 *     - {feature: event_type, rows: 12, width: 4, first: 2, missing: 0, unknown: 1, bins: [1, 5],
 *        tensor: embeddings.event_type.weight}
 *   layers:                    # the last has size 1 and gives the logit
 *     - {size: 32, activation: relu, norm: true, tensor: layers.0, norm_tensor: norms.0}
 *     - {size: 1}
 *
 * An id is the value without its fraction, or the number of bins that are <= it, and stands in row
 * first + id; `missing` is the row for no value, `unknown` for one below 0 or beyond the table.
 * rows, width, size are required, the rest has the values shown or 0 or none.
 */
#ifndef MODELS_NETWORK_READ_H
#define MODELS_NETWORK_READ_H

#include <stdio.h>

#include "models/network_shape.h"
#include "pipeline/config/yaml.h"

/* `names` [feature_count] are the features' names; `node` the value of network. STATUS_INVALID with
 * file, line and key. Release with network_shape_release(). */
MUST_CHECK enum status network_shape_read(const struct yaml_node *node, enum network_cell cell,
                                          const char *const *names, uint32_t feature_count,
                                          struct network_shape *ret_shape, struct error *error);

/* Writes what network_shape_read() reads, at the start of a line. */
void network_shape_print(const struct network_shape *shape, const char *const *names, FILE *out);

#endif
