/*
 * What must hold of a disturbed run: what stands in the topics, what time it is, and how it ends.
 * What does not is said to the simulation's watch.
 */
#ifndef TEST_SIMULATION_VERDICT_H
#define TEST_SIMULATION_VERDICT_H

#include "test/simulation/simulated_life.h"

/* The bytes of an output topic, committed or not; they are the broker's or the disk's. */
const unsigned char *verdict_output(const struct simulation *simulation, int topic,
                                    uint64_t *ret_bytes);

/* What is in the topics is what was committed, and the beginning of what the undisturbed run has.
 */
void verdict_on_outputs(struct simulation *simulation);

/* Where all origins are idle, time is the latest that one of them has told. */
void verdict_on_time(struct simulation *simulation, const struct committed *model);

/* The records, the outputs' counts and the journal are those of the undisturbed run. */
void verdict_on_end(struct simulation *simulation);

#endif
