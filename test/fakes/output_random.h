/* Random samples: texts with control characters, valid and broken UTF-8, numbers of all sizes. */
#ifndef TEST_FAKES_OUTPUT_RANDOM_H
#define TEST_FAKES_OUTPUT_RANDOM_H

#include "pipeline/base/arena.h"
#include "test/fakes/output_sample.h"

/* SplitMix64 (Steele, Lea, Flood, 2014): a test says its seed, and the same seed does the same. */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 <= result < limit */
uint32_t random_below(struct random *random, uint32_t limit);
/* Any bits; finite unless `may_be_special`. */
double random_double(struct random *random, bool may_be_special);
float random_float(struct random *random, bool may_be_special);

/* Texts live in the arena. */
struct sample sample_random(struct random *random, struct arena *arena);

#endif
