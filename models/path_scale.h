/*
 * From a mean path to a logit without labels: a straight line that puts the median of a sample's
 * paths at PATH_LOGIT_MEDIAN and its 99th percentile, counted from the long ones, at
 * PATH_LOGIT_P99. So what is no more unusual than the sample scores low, and a score above one half
 * is well beyond it; being straight, it lets reasons add up.
 */
#ifndef MODELS_PATH_SCALE_H
#define MODELS_PATH_SCALE_H

#include <stdint.h>

#define PATH_LOGIT_MEDIAN (-7.0f)
#define PATH_LOGIT_P99 (-2.0f)

struct path_scale {
    float slope; /* Logits a step that the path is shorter. */
    float median;
};

/* Of `count` paths, at least one, which are put in order. */
struct path_scale path_scale_of(float *paths, uint32_t count);

static inline float path_scale_logit(const struct path_scale *scale, float path)
{
    return PATH_LOGIT_MEDIAN + scale->slope * (scale->median - path);
}

#endif
