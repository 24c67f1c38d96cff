#include "pipeline/state/rocksdb_options.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/state_store.h"

/* Of a key; a user that is new is most often told so by the filters alone. */
#define FILTER_BITS 16
#define BLOCK_BYTES 4096u
#define FILE_BYTES (UINT64_C(32) << 20)
#define OPEN_FILES 512
/* A file's filter is one block of up to half a megabyte: many small shards would not hold them. */
#define CACHE_SHARD_BITS 1
/* Slices land here, each as a file: merged when so many, waited for when so many. */
#define SLICES_TO_MERGE 16
#define SLICES_MAX 40
/* Files are merged with the next older one where that is at most so much larger, in percent. */
#define SIZE_RATIO 20
#define MERGE_WIDTH 4       /* Files at least. */
#define GARBAGE_PERCENT 200 /* The newer files' share of the oldest at which all are merged. */

enum status rocksdb_budget_create(size_t block_cache_bytes, size_t filter_bytes,
                                  struct rocksdb_budget **ret_budget, struct error *error)
{
    struct rocksdb_budget *budget = calloc(1, sizeof(*budget));
    if (!budget) {
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(options, block_cache_bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, CACHE_SHARD_BITS);
    budget->block_cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    budget->filter_bytes = filter_bytes;
    *ret_budget = budget;
    return STATUS_OK;
}

void rocksdb_budget_destroy(struct rocksdb_budget *budget)
{
    if (budget) {
        rocksdb_cache_destroy(budget->block_cache);
        free(budget);
    }
}

static int64_t read_i64(const char *bytes)
{
    int64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/*
 * Drops records of which nothing was heard for the retention time and that have no timer: they
 * would be treated as new anyway. And timer entries that were due that long ago: the commit that
 * passed them moved them, so they are leftovers of records that were dropped, or the log holds
 * what replaces them.
 */
static unsigned char filter_record(void *context, int level, const char *key, size_t key_length,
                                   const char *value, size_t value_length, char **new_value,
                                   size_t *new_value_length, unsigned char *value_changed)
{
    (void)level;
    (void)new_value;
    (void)new_value_length;
    *value_changed = 0;
    struct rocksdb_retention *retention = context;
    int64_t watermark_ms = atomic_load_explicit(&retention->watermark_ms, memory_order_relaxed);
    int64_t newest_ms;
    if (key_length == 18 && key[0] == 'r') {
        if (value_length <= RECORD_TIMER_MASK_AT || value[RECORD_TIMER_MASK_AT] != 0) {
            return 0;
        }
        newest_ms = read_i64(value + RECORD_LAST_EVENT_AT);
        if (newest_ms == INT64_MIN) {
            return 0; /* No event, such as a task's record: nothing to judge it by. */
        }
    } else {
        struct store_key timer = {.length = (uint8_t)key_length};
        struct record_key owner;
        if (key_length > STORE_KEY_BYTES_MAX) {
            return 0;
        }
        memcpy(timer.bytes, key, key_length);
        if (!store_key_read_timer(&timer, &newest_ms, &owner)) {
            return 0;
        }
    }
    return add_saturated(newest_ms, retention->retention_ms) < watermark_ms;
}

static const char *filter_name(void *context)
{
    (void)context;
    return "nudge.retention";
}

static void filter_destroy(void *context)
{
    (void)context;
}

static rocksdb_compactionfilter_t *filter_create(void *context,
                                                 rocksdb_compactionfiltercontext_t *compaction)
{
    (void)compaction;
    return rocksdb_compactionfilter_create(context, filter_destroy, filter_record, filter_name);
}

static void set_table(rocksdb_options_t *options, const struct rocksdb_budget *budget)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, budget->block_cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    /* Index and filters count against the cache; else they would grow with the state. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

/*
 * Merges slices of like size ("Universal Compaction" in RocksDB's documentation): a record is
 * written again a few times in all, not each time that the slices above it go down a level. More
 * files are then looked into for a key, but most keys are told to be in none by the filters, or by
 * the cache in front. Not direct: what was merged last is read soon, and the kernel keeps it where
 * it has memory to spare.
 */
static void set_compaction(rocksdb_options_t *options)
{
    rocksdb_universal_compaction_options_t *universal =
        rocksdb_universal_compaction_options_create();
    rocksdb_universal_compaction_options_set_size_ratio(universal, SIZE_RATIO);
    rocksdb_universal_compaction_options_set_min_merge_width(universal, MERGE_WIDTH);
    rocksdb_universal_compaction_options_set_max_size_amplification_percent(universal,
                                                                            GARBAGE_PERCENT);
    rocksdb_universal_compaction_options_set_stop_style(universal,
                                                        rocksdb_similar_size_compaction_stop_style);
    rocksdb_options_set_compaction_style(options, rocksdb_universal_compaction);
    rocksdb_options_set_universal_compaction_options(options, universal);
    rocksdb_universal_compaction_options_destroy(universal);
}

rocksdb_options_t *rocksdb_options_make(const struct rocksdb_budget *budget,
                                        struct rocksdb_retention *retention)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, OPEN_FILES);
    rocksdb_options_set_target_file_size_base(options, FILE_BYTES);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, SLICES_TO_MERGE);
    rocksdb_options_set_level0_slowdown_writes_trigger(options, SLICES_MAX);
    rocksdb_options_set_level0_stop_writes_trigger(options, SLICES_MAX);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_info_log_level(options, 2); /* Warnings. */
    set_table(options, budget);
    set_compaction(options);
    if (retention->retention_ms > 0) {
        rocksdb_options_set_compaction_filter_factory(
            options, rocksdb_compactionfilterfactory_create(retention, filter_destroy,
                                                            filter_create, filter_name));
    }
    return options;
}
