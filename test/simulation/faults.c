#include "test/simulation/faults.h"

#define NAME(ENUM, name) name,
const char *const simulated_fault_names[SIMULATED_FAULT_COUNT] = {SIMULATED_FAULTS(NAME)};
const char *const simulated_defect_names[SIMULATED_DEFECT_COUNT] = {SIMULATED_DEFECTS(NAME)};
#undef NAME
