/* What the files of train_network share. */
#ifndef MODELS_TRAIN_NETWORK_INTERNAL_H
#define MODELS_TRAIN_NETWORK_INTERNAL_H

#include "models/network_tape.h"
#include "models/train_network.h"

/* The rows of a table along their groups, as inputs. */
struct network_data {
    uint32_t row_count, group_count;
    uint32_t *rows;       /* [row_count] of the table, group by group. */
    uint32_t *first;      /* [group_count + 1] places in `rows`. */
    uint32_t stride;      /* Of the inputs. */
    uint32_t table_count; /* Embedded features. */
    float *inputs;        /* [row_count][stride], by place. */
    uint32_t *table_rows; /* [row_count][table_count] */
    uint8_t *labels;      /* [row_count] by place, as the next two. */
    float *fit_weights;   /* 0 where the row is not fitted ... */
    float *held_weights;  /* ... or not held out. Their means over the rows in use are 1. */
};

/* Every row is a group of its own without a cell. `fit` has its features and its shape. `parts`
 * NULL: no weights. */
MUST_CHECK enum status network_data_make(const struct row_table *table, const uint8_t *parts,
                                         double positive_factor, const struct network_fit *fit,
                                         struct network_data *ret_data, struct error *error);
void network_data_release(struct network_data *data);

/* One mini-batch: chosen groups, the longest first, and a stretch of their steps. */
struct network_stretch {
    struct network_batch batch;
    uint32_t *places; /* [rows_max] in the data, by row of the batch. */
    uint32_t *active; /* [steps_max] */
    float *inputs;    /* [rows_max][stride] */
    uint32_t *table_rows;
    float *h, *c;     /* [groups_max][hidden] */
    uint32_t *groups; /* [groups_max] */
    uint32_t group_count, steps_max;
    bool has_c;
};

MUST_CHECK enum status network_stretch_init(struct network_stretch *stretch,
                                            const struct network_data *data,
                                            const struct network_shape *shape, uint32_t groups_max,
                                            uint32_t steps_max, struct error *error);
void network_stretch_release(struct network_stretch *stretch);

/* Takes groups, and sets the state to zeros. */
void network_stretch_take(struct network_stretch *stretch, const struct network_data *data,
                          const uint32_t *groups, uint32_t count, uint32_t hidden);

/* Steps from `step` on, at most steps_max, into `batch`. False: all groups are at their end. */
bool network_stretch_fill(struct network_stretch *stretch, const struct network_data *data,
                          uint32_t step);

/* What a training goes on from. */
struct train_progress {
    uint32_t epoch, best_epoch, waited; /* Epochs done, the best, those without a better one. */
    double best_loss, fit_loss, best_fit_loss;
    struct optimizer optimizer;
    float *parameters, *best; /* [count]. Owned. */
    size_t count;
};

/* `hash` says which training it is. */
MUST_CHECK enum status checkpoint_write(const char *path, uint64_t hash,
                                        const struct train_progress *progress, struct error *error);
/* Leaves `progress` as it is where there is no file. STATUS_INVALID for another training's or a
 * damaged one. */
MUST_CHECK enum status checkpoint_read(const char *path, uint64_t hash,
                                       struct train_progress *progress, struct error *error);

/* All that a training has at hand. */
struct network_training {
    const struct row_table *table;
    uint8_t *parts; /* [table.count] Owned: rows that nobody asks for are left out. */
    const struct network_train_options *options;
    struct network_fit *fit;
    struct network_data data;
    struct network_stretch stretch;
    struct network_tape *tape;
    struct train_progress progress;
    uint32_t *order; /* [group_count]: groups with rows to fit. */
    uint32_t order_count;
    float *gradient, *decay;          /* [parameter_count]; decay: 1 where L1 and L2 apply. */
    float *outputs, *pulls, *weights; /* [rows of a stretch] */
    uint8_t *labels;
    float *margins; /* [row_count] by place. */
    uint64_t hash;
};

/* Chooses the features and makes the shape of `fit`. As train_network(). */
MUST_CHECK enum status network_training_choose_features(struct network_training *training,
                                                        struct error *error);

/* Sets the parameters of `fit` to those to begin with, and `decay`. */
MUST_CHECK enum status network_training_start(struct network_training *training,
                                              struct error *error);

/*
 * Goes through the epochs that `progress` has not, and leaves the best parameters there and the
 * margins that they give. STATUS_FATAL: stopped, a loss that is not finite, a checkpoint that
 * cannot be written.
 */
MUST_CHECK enum status network_training_go(struct network_training *training, struct error *error);

/* A number made from `seed`, another for each place. */
static inline uint64_t train_mixed(uint64_t seed, uint64_t place)
{
    uint64_t word = seed + (place + 1) * UINT64_C(0x9e3779b97f4a7c15); /* Splitmix64. */
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

#endif
