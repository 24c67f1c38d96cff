/* The configurations that the simulated shops run with, loaded once from YAML. */
#ifndef TEST_SIMULATION_PLANS_H
#define TEST_SIMULATION_PLANS_H

#include "pipeline/run/stages.h"

#define PLAN_COUNT 3u

/* Never NULL: a configuration that is refused is asserted. */
const struct stage_plan *plans_get(uint32_t variant);
void plans_release(void);

#endif
