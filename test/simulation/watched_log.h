/*
 * A commit log that stands before another one, keeps a model of what is committed, compares what a
 * recovery finds with it, and can misbehave as a log may (abort, keep pending, refuse, fail) or,
 * to try the simulator, as it must not.
 */
#ifndef TEST_SIMULATION_WATCHED_LOG_H
#define TEST_SIMULATION_WATCHED_LOG_H

#include "pipeline/state/state_store.h"
#include "test/fakes/random.h"
#include "test/simulation/committed.h"
#include "test/simulation/faults.h"

/* What all lives of one run share. */
struct watch {
    struct committed model;      /* Acknowledged, or found by a recovery. */
    struct kept_content pending; /* Handed over; what became of it is not known. */
    enum simulated_defect defect;
    uint64_t hits[SIMULATED_FAULT_COUNT];
    char violation[600]; /* The first one; empty: none. */
    /* Called with the model after each commit and each recovery. */
    void (*on_committed)(void *context, const struct committed *model);
    void *context;
};

void watch_violate(struct watch *watch, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct watched_log {
    struct commit_log log;
    struct commit_log *inner;  /* Closed with it. */
    struct state_store *store; /* Borrowed: what the task's store stands on. */
    struct watch *watch;       /* Borrowed. */
    struct random random;
    bool misbehaves; /* Abort, pending, refusal and failure are drawn; else the inner log's own. */
    bool is_old;     /* An owner that has been replaced: nothing it does may count. */
    bool has_failed; /* It was made to. */
    bool is_recovered;
    bool is_started;                      /* By the inner log as well. */
    bool aborts;                          /* The commit under way. */
    uint32_t polls;                       /* That say pending. */
    const struct commit_content *content; /* Borrowed, of the commit under way. */
    struct commit_content late_copy;
    struct kept_content held_back; /* A defect's. */
};

void watched_log_init(struct watched_log *log, struct commit_log *inner, struct state_store *store,
                      struct watch *watch, uint64_t seed);

#endif
