#include "models/robust_ewma.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "pipeline/base/fixed_math.h"

/* Weights of a new value; while there are few, all weigh the same. */
#define QUICK 0.3f
#define MIDDLE 0.05f
#define SLOW 0.002f

#define VALUE_MAX 1e37f /* Differences of such values are still floats. */

#define OCTAVE 4           /* Buckets. */
#define SCALE_BUCKET 32.0f /* Where a deviation as great as the scale stands. */

static float follow(float mean, float value, float weight, uint32_t values)
{
    float equal = 1.0f / ((float)values + 1.0f);
    return mean + (weight > equal ? weight : equal) * (value - mean);
}

/* Place of a deviation among the buckets, with its fraction, from 0 on: log2 by straight lines
 * between the powers of two, as octaves_of() in model_pack.h. */
static float place_of(float deviation, float scale)
{
    if (!(deviation > 0) || !(scale > 0)) {
        return 0.0f;
    }
    int64_t bits = (int64_t)fixed_bits_of_float(deviation) - (int64_t)fixed_bits_of_float(scale);
    float place = SCALE_BUCKET + (float)OCTAVE * ((float)bits * 0x1p-23f);
    return place > 0 ? place : 0;
}

/* Whether at most a quarter of the deviations would become one in the lowest bucket. */
static bool can_move_down(const struct robust_ewma *series, enum robust_ewma_part part)
{
    uint32_t low = 0;
    for (uint32_t i = 0; i <= OCTAVE; i++) {
        low += series->counts[part][i];
    }
    return 4 * low <= series->ranked;
}

/*
 * Makes room for a deviation beyond the last bucket: all counts move down by whole octaves, as long
 * as what is usual keeps its differences; what is beyond even then stands in the last bucket, as
 * one with all that is there.
 */
static float make_room(struct robust_ewma *series, enum robust_ewma_part part, float place)
{
    while (place >= ROBUST_EWMA_BUCKETS && can_move_down(series, part)) {
        uint16_t *counts = series->counts[part];
        for (uint32_t i = 1; i <= OCTAVE; i++) { /* Never more in all than 65,535. */
            counts[0] = (uint16_t)(counts[0] + counts[i]);
        }
        memmove(counts + 1, counts + 1 + OCTAVE,
                (ROBUST_EWMA_BUCKETS - 1 - OCTAVE) * sizeof(*counts));
        memset(counts + ROBUST_EWMA_BUCKETS - OCTAVE, 0, OCTAVE * sizeof(*counts));
        series->scale[part] *= 2.0f;
        place -= OCTAVE;
    }
    return place < ROBUST_EWMA_BUCKETS ? place : ROBUST_EWMA_BUCKETS - 1;
}

/* -ln p. Within its bucket the deviation is taken to stand where it lies between the ends. */
static float rarity(const struct robust_ewma *series, enum robust_ewma_part part, float place)
{
    uint32_t bucket = (uint32_t)place;
    float as_great =
        (float)series->counts[part][bucket] * (bucket == 0 ? 1.0f : 1.0f - (place - (float)bucket));
    for (uint32_t i = bucket + 1; i < ROBUST_EWMA_BUCKETS; i++) {
        as_great += (float)series->counts[part][i];
    }
    return fixed_logf((1.0f + (float)series->ranked) / (1.0f + as_great));
}

static void halve(struct robust_ewma *series)
{
    for (int part = 0; part < EWMA_PART_COUNT; part++) {
        for (int i = 0; i < ROBUST_EWMA_BUCKETS; i++) {
            series->counts[part][i] /= 2;
        }
    }
    series->ranked /= 2;
}

static void count(struct robust_ewma *series, const float places[EWMA_PART_COUNT])
{
    if (series->ranked == UINT16_MAX) {
        halve(series);
    }
    series->ranked++;
    for (int part = 0; part < EWMA_PART_COUNT; part++) {
        series->counts[part][(uint32_t)places[part]]++;
    }
}

static float hold(struct robust_ewma *series, uint32_t length, float surprise)
{
    bool is_over = series->since_highest >= length;
    if (is_over || surprise > series->highest) {
        series->highest = surprise;
        series->since_highest = 0;
        return surprise;
    }
    series->since_highest++;
    return NAN;
}

float robust_ewma_observe(struct robust_ewma *series, const struct robust_ewma_options *options,
                          float value, float ret_parts[EWMA_PART_COUNT])
{
    if (!(fabsf(value) < VALUE_MAX)) {
        return NAN;
    }
    float before = series->values == 0 ? value : series->quick;
    float slow_before = series->values == 0 ? value : series->slow;
    series->middle = follow(series->middle, value, MIDDLE, series->values);
    series->slow = follow(series->slow, value, SLOW, series->values);
    series->quick = follow(series->quick, value, QUICK, series->values);
    const float deviations[EWMA_PART_COUNT] = {
        [EWMA_JUMP] = fabsf(value - before),
        [EWMA_HEIGHT] = fabsf(value - slow_before),
        [EWMA_SHIFT] = fabsf(series->middle - series->slow),
    };
    if (series->values < UINT32_MAX) {
        series->values++;
    }
    float places[EWMA_PART_COUNT];
    float surprise = -fixed_logf(1.0f + (float)series->ranked);
    for (int part = 0; part < EWMA_PART_COUNT; part++) {
        if (series->values <= ROBUST_EWMA_WARM_UP || !(series->scale[part] > 0)) {
            series->scale[part] =
                deviations[part] > series->scale[part] ? deviations[part] : series->scale[part];
        }
        places[part] = make_room(series, (enum robust_ewma_part)part,
                                 place_of(deviations[part], series->scale[part]));
        float rare = rarity(series, (enum robust_ewma_part)part, places[part]);
        surprise += rare;
        if (ret_parts) {
            ret_parts[part] = rare;
        }
    }
    if (series->values <= ROBUST_EWMA_WARM_UP) {
        return NAN;
    }
    count(series, places);
    return hold(series, options->hold, surprise);
}
