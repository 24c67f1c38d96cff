/* Where a training of trees stands, as a file; see checkpoint_file.h. */
#ifndef MODELS_TRAIN_TREES_CHECKPOINT_H
#define MODELS_TRAIN_TREES_CHECKPOINT_H

#include "models/held_out.h"

struct tree_training;

/* What a training goes on from. */
struct tree_progress {
    uint32_t stage, round; /* Trees that the stage has. Stage 1 is the fit on all rows. */
    uint32_t best_round;   /* Of stage 0: how many trees gave ... */
    double best_loss;      /* ... the least loss of the held-out rows. */
    void *booster;         /* [booster_length] bytes of what was read; NULL: nothing. Owned. */
    uint64_t booster_length;
};

/* As the library has them, until its next call. */
struct tree_booster_bytes {
    const char *bytes;
    uint64_t length;
};

/* Of all that makes the result what it is. */
uint64_t tree_training_hash(const struct tree_training *training);

/* In stage 1 with the margins of the held-out rows, by which the calibration is made again. */
MUST_CHECK enum status tree_checkpoint_write(const char *path, uint64_t hash,
                                             const struct tree_progress *progress,
                                             const struct tree_booster_bytes *booster,
                                             const struct held_out *held, struct error *error);

/* Fills `progress`, and in stage 1 the margins. Leaves both as they are where there is no file.
 * STATUS_INVALID for another training's or a damaged one. */
MUST_CHECK enum status tree_checkpoint_read(const char *path, uint64_t hash,
                                            struct tree_progress *progress, struct held_out *held,
                                            struct error *error);

#endif
