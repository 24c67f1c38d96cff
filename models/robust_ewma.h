/*
 * How unusual the next value of a series is, measured against the series' own past. Three averages
 * with exponentially fading weights (Roberts, "Control chart tests based on geometric moving
 * averages", 1959), quick, middle and slow, give three deviations: of the value from the quick one
 * (a jump), of the value from the slow one (a height), and of the middle one from the slow one (a
 * shift of level). How rare a deviation is says its rank among those before it, as in conformal
 * prediction (Laxhammar, "Conformal anomaly detection", 2014): p = (1 + number as great) / (1 +
 * number), which makes no assumption on how values are spread, is not moved by how far the outliers
 * among them lie, and needs no unit. Ranks come from a count in quarter octaves.
 *
 *   surprise = - sum of ln p  - ln(number)
 *
 * so 0 is what chance brings once in a history if the three were independent. One value at a time,
 * bounded state, plain bytes, zeros at first.
 */
#ifndef MODELS_ROBUST_EWMA_H
#define MODELS_ROBUST_EWMA_H

#include <stdint.h>

#define ROBUST_EWMA_BUCKETS 64
#define ROBUST_EWMA_WARM_UP 50u /* Values that only set the scale. */

enum robust_ewma_part { EWMA_JUMP, EWMA_HEIGHT, EWMA_SHIFT, EWMA_PART_COUNT };

struct robust_ewma {
    float quick, middle, slow;
    float scale[EWMA_PART_COUNT]; /* What a deviation is counted relative to; 0: none so far. */
    uint32_t values;
    uint32_t ranked; /* Deviations counted, of each part. */
    float highest;   /* Of the last `hold` values. */
    uint32_t since_highest;
    uint16_t counts[EWMA_PART_COUNT][ROBUST_EWMA_BUCKETS]; /* At 65,535 all are halved. */
};

struct robust_ewma_options {
    /*
     * A surprise that is not above the highest of so many values before it is that one's aftermath:
     * NaN is returned for it. 0: each stands for itself.
     */
    uint32_t hold;
};

/*
 * The surprise of `value`, and what each part adds to it (ret_parts may be NULL; they and -ln of
 * the number sum to it). NaN while it warms up, and for a value that is NaN or beyond 1e37, which
 * changes nothing.
 */
float robust_ewma_observe(struct robust_ewma *series, const struct robust_ewma_options *options,
                          float value, float ret_parts[EWMA_PART_COUNT]);

#endif
