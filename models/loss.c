#include "models/loss.h"

#include <stddef.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"

const char *const loss_names[LOSS_KIND_COUNT + 1] = {"cross_entropy", "focal", "squared",
                                                     "pairwise", NULL};

/* Of one row, by its margin m: the logit, with the sign turned for negatives. */
static double row_loss(const struct loss *loss, double margin, double *ret_pull)
{
    double p = fixed_sigmoid(margin); /* The label's chance. */
    double rest = fixed_sigmoid(-margin);
    if (loss->kind == LOSS_SQUARED) {
        *ret_pull = -2 * rest * rest * p;
        return rest * rest;
    }
    double entropy = logistic_loss(margin);
    if (loss->kind != LOSS_FOCAL) {
        *ret_pull = -rest;
        return entropy;
    }
    /* log(rest) = -log(1 + exp(m)) is finite where rest is 0. */
    double focus = fixed_exp(-loss->gamma * logistic_loss(-margin));
    *ret_pull = -focus * (loss->gamma * p * entropy + rest);
    return focus * entropy;
}

static double pair_sum(const float *logits, const uint8_t *labels, const float *weights,
                       uint32_t count, float *pulls)
{
    double positive = 0;
    double negative = 0;
    for (uint32_t i = 0; i < count; i++) {
        *(labels[i] ? &positive : &negative) += (double)weights[i];
    }
    if (positive == 0 || negative == 0) {
        return 0;
    }
    double scale = (positive + negative) / (positive * negative);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; labels[i] && weights[i] > 0 && j < count; j++) {
            double weight = scale * (double)weights[i] * (double)weights[j];
            if (labels[j] || weight == 0) {
                continue;
            }
            double margin = (double)logits[i] - (double)logits[j];
            sum += weight * logistic_loss(margin);
            if (pulls) {
                float pull = (float)(weight * fixed_sigmoid(-margin));
                pulls[i] -= pull;
                pulls[j] += pull;
            }
        }
    }
    return sum;
}

double loss_sum(const struct loss *loss, const float *logits, const uint8_t *labels,
                const float *weights, uint32_t count, float *pulls)
{
    if (pulls) {
        memset(pulls, 0, count * sizeof(*pulls));
    }
    if (loss->kind == LOSS_PAIRWISE) {
        return pair_sum(logits, labels, weights, count, pulls);
    }
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (weights[i] == 0) {
            continue;
        }
        double sign = labels[i] ? 1.0 : -1.0;
        double pull;
        sum += (double)weights[i] * row_loss(loss, sign * (double)logits[i], &pull);
        if (pulls) {
            pulls[i] = (float)((double)weights[i] * sign * pull);
        }
    }
    return sum;
}
