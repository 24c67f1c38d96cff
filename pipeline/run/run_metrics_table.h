/* The table of the run's metrics. For run_metrics*.c. */
#ifndef PIPELINE_RUN_RUN_METRICS_TABLE_H
#define PIPELINE_RUN_RUN_METRICS_TABLE_H

#include "pipeline/run/run_metrics.h"

#define NS_PER_SECOND 1e9

/* X(ENUM, "name", type, "unit", divisor, "doc"): one series a partition. */
#define PARTITION_METRICS(X)                                                                       \
    X(COMMITS, "nudge_commits_total", COUNTER, "", 1, "Commits made by this process")              \
    X(ABORTS, "nudge_commit_aborts_total", COUNTER, "", 1,                                         \
      "Commits that the log took back; their input is read again")                                 \
    X(WATERMARK, "nudge_watermark_seconds", GAUGE, "seconds", 1000,                                \
      "Event time that the partition has reached, since 1970; 0: no event yet")                    \
    X(PROGRESS, "nudge_input_progress_ratio", GAUGE, "ratio", 1000,                                \
      "How much of the input is read, 0 to 1; negative where it is not known")                     \
    X(EPOCH, "nudge_configuration_epoch", GAUGE, "", 1,                                            \
      "Number of the configuration in force, from 1; a changed one counts up")                     \
    X(CACHE_HITS, "nudge_cache_hits_total", COUNTER, "records", 1, "Records found in the cache")   \
    X(CACHE_MISSES, "nudge_cache_misses_total", COUNTER, "records", 1,                             \
      "Records that were looked for in the store")                                                 \
    X(CACHE_NEW, "nudge_cache_new_records_total", COUNTER, "records", 1,                           \
      "Records that were in neither and began anew")                                               \
    X(CACHE_RESIDENT, "nudge_cache_resident_records", GAUGE, "records", 1, "Records in the cache") \
    X(CACHE_DIRTY, "nudge_cache_dirty_records", GAUGE, "records", 1,                               \
      "Committed records that are not in the store yet")                                           \
    X(STORE_RECORDS, "nudge_store_records_written_total", COUNTER, "records", 1,                   \
      "Records written back to the store")                                                         \
    X(STORE_BYTES, "nudge_store_bytes_written_total", COUNTER, "bytes", 1,                         \
      "Bytes of records written back to the store")                                                \
    X(STORE_KEYS, "nudge_rocksdb_keys", GAUGE, "keys", 1, "Keys in the store, about")              \
    X(STORE_FILE_BYTES, "nudge_rocksdb_file_bytes", GAUGE, "bytes", 1, "Bytes of its data files")  \
    X(STORE_PENDING, "nudge_rocksdb_pending_compaction_bytes", GAUGE, "bytes", 1,                  \
      "What compaction still has to write, about")                                                 \
    X(STORE_COMPACTIONS, "nudge_rocksdb_running_compactions", GAUGE, "", 1, "Compactions at work") \
    X(STORE_TOP_FILES, "nudge_rocksdb_level0_files", GAUGE, "files", 1,                            \
      "Files of level 0, which every reading goes through; many of them stop writing")             \
    X(PARTS_COLD, "nudge_state_parts_cold_total", COUNTER, "parts", 1,                             \
      "Parts of records that started cold, since another writer had made them")                    \
    X(PARTS_UPGRADED, "nudge_state_parts_upgraded_total", COUNTER, "parts", 1,                     \
      "Parts of records that were brought to a newer version")

/* X(ENUM, "name", "doc"): histograms of durations, one a partition. */
#define PARTITION_DURATIONS(X)                                                                     \
    X(COMMIT_TIME, "nudge_commit_seconds", "From the begin of a commit to its end")                \
    X(LATENCY, "nudge_output_latency_seconds",                                                     \
      "From taking the first event of a transaction to the end of its commit: the longest that "   \
      "an event of it has waited for its outputs")

/* X(ENUM, "name", type, "unit", divisor, "doc"): of the process; read when asked for. */
#define PROCESS_METRICS(X)                                                                         \
    X(CPU, "process_cpu_seconds_total", COUNTER, "seconds", NS_PER_SECOND,                         \
      "CPU time of all threads, system calls included")                                            \
    X(RESIDENT, "process_resident_memory_bytes", GAUGE, "bytes", 1, "Resident memory")             \
    X(VIRTUAL, "process_virtual_memory_bytes", GAUGE, "bytes", 1, "Address space")                 \
    X(PEAK, "nudge_memory_peak_bytes", GAUGE, "bytes", 1, "Largest resident memory so far")        \
    X(LIMIT, "nudge_memory_limit_bytes", GAUGE, "bytes", 1,                                        \
      "What the process may hold by the setting state.memory")                                     \
    X(FILES, "process_open_fds", GAUGE, "files", 1, "Open file descriptors")                       \
    X(FILES_MAX, "process_max_fds", GAUGE, "files", 1, "Most file descriptors it may open")        \
    X(START, "process_start_time_seconds", GAUGE, "seconds", 1000, "When it started, since 1970")  \
    X(BLOCK_CACHE, "nudge_rocksdb_block_cache_bytes", GAUGE, "bytes", 1,                           \
      "Bytes in RocksDB's block cache, which all partitions share")                                \
    X(READY, "nudge_ready", GAUGE, "", 1, "1 while /readyz answers 200")

#define METRIC_ENUM(ENUM, ...) METRIC_##ENUM,
#define TASK_METRIC_ENUM(name, doc) METRIC_TASK_##name,
enum run_metric {
    /* One series a partition, in these places of its array. */
    TASK_COUNTERS(TASK_METRIC_ENUM) METRIC_TASK_COUNT,
    METRIC_FIRST_PARTITION = METRIC_TASK_COUNT - 1,
    PARTITION_METRICS(METRIC_ENUM) METRIC_FIRST_DURATION,
    METRIC_BEFORE_DURATION = METRIC_FIRST_DURATION - 1,
    PARTITION_DURATIONS(METRIC_ENUM) METRIC_PARTITION_COUNT,
    /* Several a partition. */
    METRIC_DEAD_LETTERS = METRIC_PARTITION_COUNT,
    METRIC_OUTPUTS,
    METRIC_TYPES,
    METRIC_STAGE_EVENTS,
    METRIC_STAGE_CPU,
    METRIC_STAGE_TIME,
    METRIC_STAGE_COUNTER,
    METRIC_FIRST_PROCESS,
    METRIC_BEFORE_PROCESS = METRIC_FIRST_PROCESS - 1,
    PROCESS_METRICS(METRIC_ENUM) METRIC_COUNT
};
#undef METRIC_ENUM
#undef TASK_METRIC_ENUM

#define METRIC_PROCESS_COUNT (METRIC_COUNT - METRIC_FIRST_PROCESS)

#endif
