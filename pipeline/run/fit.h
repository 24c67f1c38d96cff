/*
 * Fits a model of the kind that the training file asks for, whichever it is, and writes its pack.
 */
#ifndef PIPELINE_RUN_FIT_H
#define PIPELINE_RUN_FIT_H

#include <stdio.h>

#include "models/pack_writer.h"
#include "models/train_isolation.h"
#include "models/train_logistic.h"
#include "models/train_network.h"
#include "models/train_trees.h"
#include "pipeline/run/train_config.h"

struct fit {
    enum train_kind kind;
    struct logistic_fit logistic; /* TRAIN_LOGISTIC */
    struct tree_fit trees;        /* TRAIN_TREES */
    struct isolation_fit forest;  /* TRAIN_ISOLATION_FOREST */
    struct network_fit network;   /* The others. */
};

/* What a fit tells as it goes on; each may be NULL. */
struct fit_listener {
    bool (*progress)(void *context, uint32_t stage, uint32_t stages, uint32_t step, double loss);
    void (*warn)(void *context, const char *message);
    void *context;
};

/* `parts` [table.count] is enum split_part. */
MUST_CHECK enum status fit_make(const struct train_config *config, const struct row_table *table,
                                const uint8_t *parts, const struct fit_listener *listener,
                                struct fit *ret_fit, struct error *error);
void fit_release(struct fit *fit);

/* The calibrated logits of rows `chosen` [count]. */
MUST_CHECK enum status fit_logits(const struct fit *fit, const struct train_config *config,
                                  const struct row_table *table, const uint32_t *chosen,
                                  uint32_t count, float *logits, struct error *error);

/* Writes the pack with the quantiles of its features among the table's negatives. */
MUST_CHECK enum status fit_write(const struct fit *fit, const struct train_config *config,
                                 const struct row_table *table, const char *directory,
                                 const struct pack_text *text, struct error *error);

/* "fitted on 900 rows, 12 features; l2 0.01" and how it did on the held-out rows. */
void fit_print(const struct fit *fit, const struct train_config *config, const char *held_from,
               FILE *out);

#endif
