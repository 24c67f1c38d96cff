/* Random samples: texts with control characters, valid and broken UTF-8, numbers of all sizes. */
#ifndef TEST_FAKES_OUTPUT_RANDOM_H
#define TEST_FAKES_OUTPUT_RANDOM_H

#include "pipeline/base/arena.h"
#include "test/fakes/output_sample.h"
#include "test/fakes/random.h"

/* Any bits; finite unless `may_be_special`. */
double random_double(struct random *random, bool may_be_special);

/* Texts live in the arena. */
struct sample sample_random(struct random *random, struct arena *arena);

#endif
