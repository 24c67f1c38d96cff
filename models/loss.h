/*
 * What a training makes small, of logits and labels, and how each logit pulls on it.
 */
#ifndef MODELS_LOSS_H
#define MODELS_LOSS_H

#include <stdint.h>

#include "pipeline/base/fixed_math.h"

/* log(1 + exp(-margin)), where the margin is a logit times the sign of its label: cross entropy. */
static inline double logistic_loss(double margin)
{
    double far = margin < 0 ? -margin : 0;
    return far + fixed_log1p(fixed_exp(margin < 0 ? margin : -margin));
}

enum loss_kind {
    LOSS_CROSS_ENTROPY, /* -log of the label's chance. */
    LOSS_FOCAL,         /* The same times (1 - that chance)^gamma (Lin and others, 2017). */
    LOSS_SQUARED,       /* (chance - label)^2, the Brier score. */
    LOSS_PAIRWISE,      /* -log of the chance that a positive ranks above a negative, over all
                           pairs (Burges and others, "RankNet", 2005). */
    LOSS_KIND_COUNT
};
extern const char *const loss_names[LOSS_KIND_COUNT + 1]; /* Ends with NULL. */

struct loss {
    enum loss_kind kind;
    double gamma; /* Of focal. */
};

/*
 * Returns the weighted sum of the rows' losses; pulls[i] is its derivative by logit i. Of pairwise,
 * each row has its share of the pairs' mean, so that the sum grows with the weight as the others.
 * Rows of weight 0 count for nothing. `pulls` may be NULL.
 */
double loss_sum(const struct loss *loss, const float *logits, const uint8_t *labels,
                const float *weights, uint32_t count, float *pulls);

#endif
