/* What the simulator injects, and how often it came to be: a fault that never hits proves nothing.
 */
#ifndef TEST_SIMULATION_FAULTS_H
#define TEST_SIMULATION_FAULTS_H

#include <stdint.h>

/* X(ENUM, name) */
#define SIMULATED_FAULTS(X)                                                                        \
    X(STORAGE_FAIL, "storage call fails")                                                          \
    X(STORAGE_CRASH_BEFORE, "crash before a storage call")                                         \
    X(STORAGE_CRASH_DURING, "crash during a storage call")                                         \
    X(STORAGE_CRASH_AFTER, "crash after a storage call")                                           \
    X(STORAGE_FULL, "disk full")                                                                   \
    X(KILL, "process killed")                                                                      \
    X(POWER_LOSS, "power lost")                                                                    \
    X(STORE_FAIL, "store call fails")                                                              \
    X(STORE_BUSY, "store is busy")                                                                 \
    X(STORE_CRASH_BEFORE, "crash before a store call")                                             \
    X(STORE_CRASH_AFTER, "crash after a store call")                                               \
    X(STORE_CORRUPT, "store found corrupt, and made anew from the changelog")                      \
    X(STORE_CORRUPT_AGAIN, "store found corrupt while it was made anew")                           \
    X(STORE_ROLLED_BACK, "store back at an earlier write")                                         \
    X(COMMIT_ABORTED, "commit aborted")                                                            \
    X(COMMIT_PENDING, "commit pending for a while")                                                \
    X(COMMIT_REFUSED, "commit refused for now")                                                    \
    X(COMMIT_FAILED, "commit fails at its start")                                                  \
    X(LATE_COMMIT, "failure reported, committed all the same")                                     \
    X(LATE_ABORT, "failure reported, not committed")                                               \
    X(CRASH_IN_COMMIT, "crash while the broker had the commit")                                    \
    X(FENCED, "old owner fenced while it had a commit on its way")                                 \
    X(INPUT_FAIL, "input fails")                                                                   \
    X(INPUT_WAIT, "input has nothing for now")                                                     \
    X(DESTROYED, "task destroyed between two steps")                                               \
    X(CRASH_IN_RECOVERY, "crash during recovery")                                                  \
    X(CRASH_IN_SECOND_RECOVERY, "crash during the recovery from a crash during recovery")          \
    X(CACHE_FULL, "cache full of dirty records")                                                   \
    X(CACHE_EVICTED, "record evicted and read again")                                              \
    X(REPLAYED, "records replayed from the log")                                                   \
    X(ALL_IDLE, "all origins idle")                                                                \
    X(OUTPUTS_CUT, "uncommitted outputs cut off")

#define SIMULATED_FAULT_ENUM(ENUM, name) FAULT_##ENUM,
enum simulated_fault { SIMULATED_FAULTS(SIMULATED_FAULT_ENUM) SIMULATED_FAULT_COUNT };
#undef SIMULATED_FAULT_ENUM

extern const char *const simulated_fault_names[SIMULATED_FAULT_COUNT];

/* Defects that a run can be given; each breaks the order of the commit in one place. */
#define SIMULATED_DEFECTS(X)                                                                       \
    X(NONE, "none")                                                                                \
    X(STORE_BEFORE_LOG, "records are in the store before their commit is in the log")              \
    X(OUTPUTS_AFTER_FRAME, "the frame is durable before the outputs that it commits")              \
    X(SYNC_SKIPPED, "nothing is synced")                                                           \
    X(POSITION_BEFORE_RECORDS, "a commit's records come with the next one")                        \
    X(POSITION_AHEAD, "the position is one record ahead")                                          \
    X(TRIMMED_EARLY, "the log is trimmed up to what the store has, durable or not")                \
    X(DONE_BEFORE_COMMIT, "a commit is said to be done before it is in the log")                   \
    X(OUTPUTS_NOT_CUT, "recovery leaves uncommitted outputs behind")                               \
    X(JOURNAL_LEFT_OUT, "the journal is not committed")                                            \
    X(ABORT_NOT_REWOUND, "the input goes on where it was after an abort")                          \
    X(RECORD_LEFT_OUT, "one record in many is not committed")                                      \
    X(REPLAY_TOO_LATE, "recovery replays from one commit too late")                                \
    X(NOT_FENCED, "an old owner's commits are taken")

#define SIMULATED_DEFECT_ENUM(ENUM, name) DEFECT_##ENUM,
enum simulated_defect { SIMULATED_DEFECTS(SIMULATED_DEFECT_ENUM) SIMULATED_DEFECT_COUNT };
#undef SIMULATED_DEFECT_ENUM

extern const char *const simulated_defect_names[SIMULATED_DEFECT_COUNT];

#endif
