/*
 * What the files of the task share: task.c (life and steps), task_batch.c (one batch through intake
 * and stages) and task_transaction.c (what all batches since the last commit are kept and committed
 * by, or forgotten).
 */
#ifndef PIPELINE_RUN_TASK_INTERNAL_H
#define PIPELINE_RUN_TASK_INTERNAL_H

#include "pipeline/run/task.h"
#include "pipeline/run/task_expiry.h"

#define JOURNAL_MAX 8

enum task_phase { PHASE_RUNNING, PHASE_COMMITTING, PHASE_FINISHED };

struct task {
    struct task_options options;
    struct task_parts parts;
    char *numeric_profile; /* What options.numeric_profile says. */
    char *partition;       /* What options.intake.partition says. */
    struct record_cache *cache;
    struct timer_index *timers;
    struct intake *intake;
    struct event_batch batch;

    struct task_progress progress; /* Working copy, as of the last batch ... */
    struct origin_clock origins;   /* ... as is this; count 0: records were not sent on. */
    struct journal_entry journal[JOURNAL_MAX];
    uint32_t journal_count;
    struct input_position position; /* After the last batch. */
    struct input_position committed_position;
    enum task_phase phase;
    bool is_dirty; /* Something was processed since the last commit. */
    bool wants_commit;
    enum intake_result said; /* What intake last came back with. */
    int64_t requested_tick_ms;
    uint64_t log_position;
    uint64_t trimmed_position;
    struct task_expiry expiry;
    uint32_t committed_records; /* By the last commit. */
    uint64_t commits;
    uint64_t counted_outputs[TOPIC_COUNT]; /* Of this transaction's, those in progress. */
    uint32_t batches;                      /* Of this transaction. */
    uint32_t batches_max;                  /* More did not fit into the cache. */
    uint64_t outgrown;                     /* Transactions. */
    bool asks_again; /* The input had ended when it was last committed; it may have grown. */
    bool needs_room; /* The cache is full of dirty records. */
    bool is_refused; /* The log could not take the commit at the moment. */
    uint64_t stage_ns[TASK_STAGES_MAX + 2]; /* intake, stages, commit */
};

/* Adds this thread's CPU time since `*mark_ns`, so that neighbours do not count, to a place of
 * task.stage_ns, and sets the mark to now. */
void task_account(struct task *task, uint32_t place, uint64_t *mark_ns);

/*
 * Intake, stages, side topics and counters of one batch; task.said is what intake came back with.
 * STATUS_RETRY: the cache has no room for it.
 */
MUST_CHECK enum status task_process_batch(struct task *task, struct error *error);

/* Takes the task's own record into the transaction; progress is copied to it before a commit. */
MUST_CHECK enum status task_take_own_record(struct task *task, struct record **ret_record,
                                            struct error *error);

/* Sets task.progress and the input back to what the last commit has. */
MUST_CHECK enum status task_return(struct task *task, struct error *error);

/* There has to be a place: see JOURNAL_MAX. The payload is borrowed until the commit is done. */
void task_journal_add(struct task *task, enum journal_kind kind, int64_t value,
                      struct text payload);

/* A changed configuration takes effect here, at a position of the input, and is journaled. */
void task_begin_epoch(struct task *task);

/* True when another batch would not fit into this transaction. */
bool task_is_transaction_full(const struct task *task);

/* Hands the transaction to the log, or, where the log is busy, leaves it for the next step. */
MUST_CHECK enum status task_start_commit(struct task *task, struct error *error);

/* Asks the log how the commit on its way is doing, and ends the transaction where it is done. */
MUST_CHECK enum status task_poll_commit(struct task *task, struct error *error);

/*
 * The transaction has outgrown the cache: it is begun again, with less in it, when
 * task_make_room() has got the dirty records into the store, which may be too busy for now.
 */
MUST_CHECK enum status task_begin_smaller(struct task *task, struct error *error);
MUST_CHECK enum status task_make_room(struct task *task, struct error *error);

/*
 * Gets dirty records into the store and cuts from the log what the store has: the store forgets
 * nothing that the log would still need.
 */
MUST_CHECK enum status task_relieve(struct task *task, struct error *error);

#endif
