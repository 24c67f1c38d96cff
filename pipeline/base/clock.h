/* Clocks, for progress, pacing and accounting only: no decision and no record reads one. */
#ifndef PIPELINE_BASE_CLOCK_H
#define PIPELINE_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void);
uint64_t clock_thread_cpu_ns(void);
uint64_t clock_process_cpu_ns(void);
int64_t clock_wall_ms(void); /* Since 1970. */

#endif
