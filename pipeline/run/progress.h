/* Shows how far a run has come: a line that renews itself on a terminal, else a log line now and
 * then. */
#ifndef PIPELINE_RUN_PROGRESS_H
#define PIPELINE_RUN_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

/* What one partition tells; written by its worker, read by the display. */
struct progress_cell {
    _Atomic uint64_t events;
    _Atomic uint64_t alerts;
    _Atomic uint64_t promotions;
    _Atomic uint64_t dead_letters;
    _Atomic int64_t watermark_ms;
    _Atomic int64_t permille; /* Of the input; negative: not known. */
};

struct progress;

/* Starts a thread that shows the sum of the cells; borrows them. NULL if it cannot: no harm done.
 */
struct progress *progress_start(struct progress_cell *const *cells, uint32_t count);

/* Shows the last state and ends the thread. NULL is a no-op. */
void progress_stop(struct progress *progress);

#endif
