/*
 * The metrics of a run: which there are, and how they are taken from tasks. One run_metrics a
 * process, with the HTTP server; one partition_metrics a task, written by the thread that steps it.
 * All functions but run_metrics_start() take NULL for a run without metrics, and do nothing.
 */
#ifndef PIPELINE_RUN_RUN_METRICS_H
#define PIPELINE_RUN_RUN_METRICS_H

#include "pipeline/config/settings.h"
#include "pipeline/metrics/metrics.h"
#include "pipeline/run/task.h"

struct metrics_options {
    char *listen; /* NULL: no metrics. */
};

extern const struct setting_section metrics_section;

struct run_metrics_options {
    const char *listen;
    uint64_t memory_bytes; /* What the process may hold: state.memory. */
};

struct run_metrics;

/* Starts the server: /metrics, /healthz, /readyz. STATUS_INVALID: see http_server_start(). */
MUST_CHECK enum status run_metrics_start(const struct run_metrics_options *options,
                                         struct run_metrics **ret_metrics, struct error *error);
void run_metrics_stop(struct run_metrics *metrics);

uint16_t run_metrics_port(const struct run_metrics *metrics);

/* Where others add theirs: broker, registry. NULL for NULL. */
struct metrics *run_metrics_registry(struct run_metrics *metrics);

/* /readyz answers 200 while ready: partitions are open and read. At first it is not. */
void run_metrics_set_ready(struct run_metrics *metrics, bool is_ready);

/* /healthz answers 503 from now on. */
void run_metrics_set_failed(struct run_metrics *metrics);

struct rocksdb_budget;
/* Borrowed until it is set to NULL: what the block cache holds. */
void run_metrics_set_budget(struct run_metrics *metrics, const struct rocksdb_budget *budget);

struct partition_metrics;

/* `partition` is a label. *ret_metrics is NULL where `metrics` is. */
MUST_CHECK enum status partition_metrics_create(struct run_metrics *metrics, const char *partition,
                                                struct partition_metrics **ret_metrics,
                                                struct error *error);
void partition_metrics_destroy(struct partition_metrics *metrics);

/*
 * Around each task_step() and task_commit_step(). /healthz complains of a partition that was begun
 * and has not come to an end for a minute.
 */
void partition_metrics_begin_step(struct partition_metrics *metrics, const struct task *task);
MUST_CHECK enum status partition_metrics_end_step(struct partition_metrics *metrics,
                                                  struct task *task, struct error *error);

/* The table, for documentation and checks. */
extern const struct metric_info run_metric_infos[];
extern const uint32_t run_metric_count;

#endif
