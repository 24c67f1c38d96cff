/*
 * One partition: fill a batch, run the stages, commit. The task owns everything that the partition
 * has and is used by one thread at a time. It knows no clock: its runner says when to commit.
 */
#ifndef PIPELINE_RUN_TASK_H
#define PIPELINE_RUN_TASK_H

#include "pipeline/commit/commit_log.h"
#include "pipeline/run/intake.h"
#include "pipeline/stage.h"

#define TASK_STAGES_MAX 16

struct task_sender;

/*
 * Where a task's records go on to another task, in place of outputs. Embedded by who does it; used
 * by the task's thread.
 */
struct task_sender_ops {
    /* A batch is about to be taken, at that time. */
    void (*begin)(struct task_sender *sender, const struct origin_clock *clock);
    /* All records that were taken since, events of `batch` among them, with what the stages made of
     * those. The batch may be without rows. */
    enum status (*send)(struct task_sender *sender, const struct event_batch *batch,
                        struct error *error);
};

struct task_sender {
    const struct task_sender_ops *ops;
};

/* What a task is made of. The task takes ownership of all pointers but `layout`. */
struct task_parts {
    struct input *input;
    struct state_store *store;
    struct commit_log *log;
    struct output_batch *outputs;
    struct task_sender *sender; /* Of a task that sends on: it has the input's life. Else NULL. */
    struct stage *stages[TASK_STAGES_MAX]; /* In order. */
    uint32_t stage_count;
    const struct record_layout *layout; /* Borrowed; with task_progress_part added. */
    uint32_t progress_offset;           /* Of that part. */
    uint32_t origin_count;   /* Partitions that records were sent on from; 0: none were. */
    uint32_t origins_offset; /* Then of origin_marks_part. */
};

/* Releases what there is of them; for when they never reached a task. */
void task_parts_release(struct task_parts *parts);

struct task_options {
    struct intake_options intake;
    struct record_cache_options cache;
    /* Records taken, and bytes of them encoded at most, after which the task commits by itself. */
    uint32_t transaction_records_max;
    size_t transaction_bytes_max; /* 0: the cache's own bound. */
    size_t output_bytes_max;      /* And of outputs. 0: no bound. */
    uint32_t timer_entries_max;
    uint32_t feature_count;
    uint64_t feature_set_hash;
    uint64_t plan_hash;          /* Of the configuration; a change is journaled as an epoch. */
    const char *numeric_profile; /* Journaled with it. Copied. */
    double scored_events_share;  /* Of events, written to scored_events. */
    /* Told the watermark of each commit, so that the store may forget what it has passed; or NULL.
     */
    void (*reached)(struct state_store *store, int64_t watermark_ms);
    /* The log keeps records until they are deleted: those not heard of for so long are. 0: none. */
    int64_t expire_after_ms;
    bool is_finite; /* The input ends; then timers fire and the task is finished. */
};

struct task;

/*
 * Recovers: afterwards store, outputs and input stand where the last commit left them. On failure
 * the parts are released as well.
 */
MUST_CHECK enum status task_create(const struct task_options *options,
                                   const struct task_parts *parts, struct task **ret_task,
                                   struct error *error);

/* Commits nothing; what was not committed is gone. NULL is a no-op. */
void task_destroy(struct task *task);

enum task_state {
    TASK_BUSY,     /* There is more to do: call again. */
    TASK_WAITING,  /* For input, or for a commit on its way. */
    TASK_FINISHED, /* The input has ended, its timers have fired, and all is committed. */
};

/* Processes at most one batch, or moves a commit on. */
MUST_CHECK enum status task_step(struct task *task, enum task_state *ret_state,
                                 struct error *error);

/* Moves a requested commit on and processes nothing; for a stop. */
MUST_CHECK enum status task_commit_step(struct task *task, enum task_state *ret_state,
                                        struct error *error);

/*
 * Asks for a commit of what is processed; task_step carries it out. The task also commits by itself
 * when a transaction has grown large.
 */
void task_request_commit(struct task *task);

/* True when everything that was processed is committed. */
bool task_is_committed(const struct task *task);

/* True while a commit is on its way; another one that is asked for meanwhile is not made. */
bool task_is_committing(const struct task *task);

/* Moves the watermark of an idle partition to `watermark_ms`; journaled. */
void task_tick(struct task *task, int64_t watermark_ms);

/*
 * Writes all dirty records to the store and makes them durable; for a clean stop. What a busy store
 * does not take stays in the log.
 */
MUST_CHECK enum status task_flush(struct task *task, struct error *error);

/*
 * What the stages have counted, as committed; only while task_is_committed(). Returns the number
 * written, at most `max`.
 */
MUST_CHECK enum status task_stage_counters(struct task *task, struct stage_counter *ret_counters,
                                           uint32_t max, uint32_t *ret_count, struct error *error);

/* A copy of the progress as of the last batch. */
struct task_progress task_progress(const struct task *task);
int64_t task_watermark_ms(const struct task *task);
double task_input_progress(const struct task *task);
struct record_cache_stats task_cache_stats(const struct task *task);
uint64_t task_commits(const struct task *task);
struct state_store *task_store(const struct task *task); /* For its statistics. */
/* Transactions that were begun again, in smaller pieces, for want of memory. */
uint64_t task_outgrown(const struct task *task);

/* Nanoseconds of CPU spent in each stage, for the benchmark; [0] intake, then the stages. */
const uint64_t *task_stage_ns(const struct task *task);

#endif
