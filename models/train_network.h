/*
 * Fits a network to a table of rows by mini-batches: an MLP row by row, a GRU or LSTM along the
 * rows of a group (a session) by truncated backpropagation through time, its state zero at the
 * group's first row. Early stopping by the log loss of held-out rows. One thread, a fixed order,
 * our own kernels: the same rows, options and seed give the same bits on every machine; so does a
 * training that was interrupted and goes on from its checkpoint.
 */
#ifndef MODELS_TRAIN_NETWORK_H
#define MODELS_TRAIN_NETWORK_H

#include "models/held_out.h"
#include "models/loss.h"
#include "models/model_pack.h"
#include "models/network_shape.h"
#include "models/optimizer.h"
#include "models/row_table.h"

#define TRAIN_EMBEDDINGS_MAX 32u

enum network_start { START_AUTO, START_HE, START_XAVIER, START_COUNT };
extern const char *const network_start_names[START_COUNT + 1]; /* Ends with NULL. */

struct train_embedding {
    uint32_t column;            /* Of the table. */
    struct network_input input; /* rows, width, first, missing, unknown, bins. */
};

struct train_layer {
    uint32_t size;
    enum activation activation;
    bool has_norm;
};

struct network_train_options {
    const char *const *names; /* Borrowed: [table.feature_count]. */
    const uint32_t *columns;  /* Borrowed: features in use. */
    uint32_t column_count;
    int transform; /* enum feature_transform, or -1: by how skewed the feature is. */
    float limit;   /* Standardised values are cut off there. */

    enum network_cell cell;
    uint32_t hidden;
    struct train_layer layers[NETWORK_LAYERS_MAX]; /* Before the last, which is made. */
    uint32_t layer_count;
    struct train_embedding embeddings[TRAIN_EMBEDDINGS_MAX];
    uint32_t embedding_count;

    struct loss loss;
    enum optimizer_kind optimizer;
    double rate, momentum, decay; /* See optimizer.h. */
    enum schedule_kind schedule;
    double warm_up;           /* Share of the steps. */
    enum network_start start; /* Auto: He before relu and gelu, Xavier elsewhere. */
    uint32_t epochs, batch;   /* Rows, or groups with a cell, of a mini-batch. */
    uint32_t steps;           /* Through time, at most, before a step down the gradient. */
    uint32_t patience;        /* Epochs without a better held-out loss; 0: never stops early. */
    double l1, l2;            /* On weights, not on biases. L2 is half the factor of squares. */
    double dropout;           /* Of each layer's outputs but the last. */
    double clip;              /* The gradient's norm is cut off there; 0: never. */
    double positive_weight;   /* Factor on the positives; 0: both classes weigh the same. */
    uint64_t seed;
    enum calibration_method calibration;
    const char *checkpoint; /* Borrowed: a file, written after each epoch, gone on from where it is
                               there, removed at the end. NULL: none. */
    /* Told as it goes on; may be NULL. held_loss is NaN without held-out rows and before the first
     * epoch. False: stop, STATUS_FATAL; the checkpoint stays. */
    bool (*progress)(void *context, uint32_t epoch, double share_of_epoch, double loss,
                     double held_loss);
    void (*warn)(void *context, const char *message); /* Told of what is odd; may be NULL. */
    void *context;
};

struct network_fit {
    uint32_t feature_count;        /* Numeric ones, then the embedded ones. */
    uint32_t *columns;             /* Of the table. Owned. */
    struct pack_feature *features; /* Owned; names are borrowed from the options. */
    struct network_shape shape;
    float *parameters;                   /* [shape.parameter_count]. Owned. */
    struct pack_calibration calibration; /* Owned. */
    float threshold;
    uint32_t epochs, best_epoch; /* Gone through; whose parameters these are, from 1. */
    double fit_loss, held_loss;  /* Of that epoch; the second before calibration, NaN: none. */
    struct held_measures held;   /* After calibration, where is_measured. */
    bool is_measured, is_calibrated;
    uint32_t fit_rows, held_rows;
};

/*
 * `parts` [table.count] is enum split_part. With a cell the table must have the rows of a group in
 * their order, all of them; those that are not on schedule nor a first cart are steps without loss.
 * STATUS_INVALID: one class only, fewer rows than features, no feature that varies, a network out
 * of bounds, a checkpoint of another training; STATUS_FATAL: a loss that is not finite.
 */
MUST_CHECK enum status train_network(const struct row_table *table, const uint8_t *parts,
                                     const struct network_train_options *options,
                                     struct network_fit *ret_fit, struct error *error);
void network_fit_release(struct network_fit *fit);

/* The calibrated logits of all rows of the table, stepped along their groups. */
MUST_CHECK enum status network_fit_logits(const struct network_fit *fit,
                                          const struct row_table *table, float *logits,
                                          struct error *error);

#endif
