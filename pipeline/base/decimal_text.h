/* Numbers written as decimal text, read exactly into scaled integers: no float on the way. */
#ifndef PIPELINE_BASE_DECIMAL_TEXT_H
#define PIPELINE_BASE_DECIMAL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/text.h"

enum decimal_result {
    DECIMAL_OK,
    DECIMAL_SYNTAX, /* Not a number, or not in the given notation. */
    DECIMAL_RANGE,  /* More than 64 bits hold. */
};

/* How numbers are written, and what they are multiplied by. */
struct decimal_notation {
    char point;              /* '.' or ',' */
    char group;              /* Between groups of three digits: , . ' or a space; 0: none. A space
                                stands for no-break spaces too. */
    uint32_t factor_digits;  /* The factor is factor_digits x 10^factor_exponent, at least 1 ... */
    int32_t factor_exponent; /* ... and at most DECIMAL_FACTOR_MAX digits. */
};

#define DECIMAL_FACTOR_MAX 999999999u

extern const struct decimal_notation decimal_plain; /* Point, no groups, factor 1. */

/*
 * value x factor x 10^scale, rounded to the nearest integer, halves to the even one. Takes a sign,
 * digits, a fraction and an exponent of at most four digits; no white space.
 */
enum decimal_result decimal_parse(struct text text, const struct decimal_notation *notation,
                                  int scale, int64_t *ret_value);

/* integer x factor x 10^scale, rounded likewise. */
enum decimal_result decimal_scale(int64_t integer, const struct decimal_notation *notation,
                                  int scale, int64_t *ret_value);

/* Reads a positive factor such as 0.01 into `notation`. False where it is none. */
bool decimal_set_factor(struct text text, struct decimal_notation *notation);

#endif
