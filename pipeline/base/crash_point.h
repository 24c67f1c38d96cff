/*
 * Named steps at which a test can kill the process. Compiled in with NUDGE_CRASH_POINTS only; then
 * the environment variable NUDGE_CRASH_AT=NAME:COUNT has the process killed, as kill -9 would, when
 * it comes to that step for the COUNT-th time.
 */
#ifndef PIPELINE_BASE_CRASH_POINT_H
#define PIPELINE_BASE_CRASH_POINT_H

/* X(ENUM, "name"): the table that the tests read. */
#define CRASH_POINTS(X)                                                                            \
    X(COMMIT_SEGMENT_ADDED, "commit.segment_added")                                                \
    X(COMMIT_OUTPUTS_WRITTEN, "commit.outputs_written")                                            \
    X(COMMIT_OUTPUTS_SYNCED, "commit.outputs_synced")                                              \
    X(COMMIT_FRAME_WRITTEN, "commit.frame_written")                                                \
    X(COMMIT_FRAME_SYNCED, "commit.frame_synced")                                                  \
    X(COMMIT_PROMOTED, "commit.promoted")                                                          \
    X(STORE_SLICE_WRITTEN, "store.slice_written")                                                  \
    X(STORE_FLUSHED, "store.flushed")                                                              \
    X(LOG_TRIMMED, "log.trimmed")                                                                  \
    X(RECOVER_LOG_READ, "recover.log_read")                                                        \
    X(RECOVER_OUTPUT_CUT, "recover.output_cut")                                                    \
    X(RECOVER_LOG_CUT, "recover.log_cut")                                                          \
    X(RECOVER_RECORD_APPLIED, "recover.record_applied")                                            \
    X(RECOVER_DONE, "recover.done")

#define CRASH_POINT_ENUM(ENUM, name) CRASH_##ENUM,
enum crash_point { CRASH_POINTS(CRASH_POINT_ENUM) CRASH_POINT_COUNT };
#undef CRASH_POINT_ENUM

#ifdef NUDGE_CRASH_POINTS
void crash_point(enum crash_point point);
#else
static inline void crash_point(enum crash_point point)
{
    (void)point;
}
#endif

#endif
