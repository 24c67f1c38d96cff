/*
 * What a record costs on its way: take, change, encode, commit, write back.
 *   record_cache_bench [users [zipf 0|1 [transactions [cache MiB [slice records [store]]]]]]
 * store: rocksdb or memory. Prints one line; CPU counts all threads.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "pipeline/state/record_cache.h"
#include "pipeline/state/rocksdb_options.h"
#include "test/fakes/fixture.h"
#include "test/fakes/random.h"

#define BATCH 2048u
#define BATCHES_OF_COMMIT 2u

static void must(enum status status, const struct error *error)
{
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error->message);
        exit(1);
    }
}

static double seconds(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double resident_mb(void)
{
    long pages = 0;
    long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2) {
        resident = 0;
    }
    if (file) {
        (void)fclose(file);
    }
    return (double)resident * 4096 / 1e6;
}

/* A user by a Zipf law with exponent near 1 (inverse of its integral), or uniform. */
static uint32_t pick_user(struct random *random, uint32_t users, bool is_zipf)
{
    if (!is_zipf) {
        return random_below(random, users);
    }
    double u = (double)(random_next(random) >> 11) / 9007199254740992.0;
    uint32_t rank = (uint32_t)exp(u * log((double)users));
    return rank < users ? rank : users - 1;
}

static struct record_key key_of(uint32_t user)
{
    struct random mix = {user};
    uint64_t high = random_next(&mix);
    return (struct record_key){{high, random_next(&mix)}, ENTITY_USER};
}

struct bench {
    struct record_layout layout;
    struct record_cache *cache;
    struct state_store *store;
    struct random random;
    double take, change, encode, commit, write;
    uint64_t records, encoded_bytes, position;
    double longest_write;
};

static void touch(struct record *record)
{
    uint64_t *words = (uint64_t *)(void *)record->parts;
    /* Half of the words are in use, as in a record of a shopper known for some time. */
    for (uint32_t i = 0; i < 128; i++) {
        words[i] += i % 8 < 4;
    }
    record->last_event_ms++;
    record->index_ms =
        record->index_ms == TIMER_NONE ? 1000 : record->index_ms + (words[0] % 4 == 0);
}

static void transaction(struct bench *bench, uint32_t users, bool is_zipf)
{
    static struct record_key keys[BATCH];
    static struct record *records[BATCH];
    struct error error;
    for (uint32_t b = 0; b < BATCHES_OF_COMMIT; b++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            keys[i] = key_of(pick_user(&bench->random, users, is_zipf));
        }
        double start = seconds(CLOCK_MONOTONIC);
        must(record_cache_take(bench->cache, keys, BATCH, records, &error), &error);
        double taken = seconds(CLOCK_MONOTONIC);
        for (uint32_t i = 0; i < BATCH; i++) {
            touch(records[i]);
        }
        bench->take += taken - start;
        bench->change += seconds(CLOCK_MONOTONIC) - taken;
    }
    const struct changelog_entry *entries;
    uint32_t count;
    double start = seconds(CLOCK_MONOTONIC);
    count = record_cache_encode_changes(bench->cache, &entries);
    double encoded = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < count; i++) {
        bench->encoded_bytes += entries[i].length;
    }
    record_cache_commit(bench->cache, ++bench->position);
    double committed = seconds(CLOCK_MONOTONIC);
    must(record_cache_relieve(bench->cache, &error), &error);
    double written = seconds(CLOCK_MONOTONIC);
    bench->records += count;
    bench->encode += encoded - start;
    bench->commit += committed - encoded;
    bench->write += written - committed;
    if (written - committed > bench->longest_write) {
        bench->longest_write = written - committed;
    }
}

/* Waits until background work is done, so that its debt is not left out. */
static void settle(void)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    for (double before = -1; seconds(CLOCK_PROCESS_CPUTIME_ID) - before > 0.005;) {
        before = seconds(CLOCK_PROCESS_CPUTIME_ID);
        (void)nanosleep(&pause, NULL);
    }
}

static uint32_t argument(int argc, char **argv, int i, uint32_t otherwise)
{
    return argc > i ? (uint32_t)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    uint32_t users = argument(argc, argv, 1, 200000);
    bool is_zipf = argument(argc, argv, 2, 1) != 0;
    uint32_t transactions = argument(argc, argv, 3, 200);
    size_t cache_bytes = (size_t)argument(argc, argv, 4, 256) << 20;
    bool is_memory = argc > 6 && strcmp(argv[6], "memory") == 0;
    const struct record_cache_options options = {.bytes_max = cache_bytes,
                                                 .slice_records = argument(argc, argv, 5, 4096)};
    struct bench bench = {.random = {1}};
    struct error error;
    uint32_t offset;
    const struct record_part part = {.name = "user", .id = 1, .kind = ENTITY_USER, .bytes = 1024};
    must(record_layout_add(&bench.layout, &part, &offset, &error), &error);
    char *directory = fixture_directory();
    struct rocksdb_budget *budget;
    must(rocksdb_budget_create((size_t)64 << 20, (size_t)8 << 20, &budget, &error), &error);
    must(is_memory ? state_store_memory_open(&bench.store, &error)
                   : state_store_rocksdb_open(directory, budget, 0, &bench.store, &error),
         &error);
    must(record_cache_create(&bench.layout, bench.store, &options, &bench.cache, &error), &error);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    double wall = seconds(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < transactions; i++) {
        transaction(&bench, users, is_zipf);
    }
    must(record_cache_write_back(bench.cache, 0, &error), &error);
    if (!is_memory) {
        must(bench.store->ops->flush(bench.store, &error), &error);
        settle();
    }
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    struct record_cache_stats stats = record_cache_stats(bench.cache);
    double takes = (double)transactions * BATCH * BATCHES_OF_COMMIT;
    double records = (double)bench.records;
    (void)printf(
        "users %u %s: distinct %.0f%%, hits %.0f%%, %.0f bytes a record; ns: take %.0f a key, "
        "change %.0f, encode %.0f a record, commit %.0f, relieve %.0f a record; longest "
        "slice %.0f ms; written %.2f a record; wall %.2f s, cpu %.2f s = %.2f us a key; "
        "resident %.0f MB\n",
        users, is_zipf ? "zipf" : "uniform", 100 * records / takes,
        100 * (double)stats.hits / takes, (double)bench.encoded_bytes / records,
        bench.take / takes * 1e9, bench.change / takes * 1e9, bench.encode / records * 1e9,
        bench.commit / records * 1e9, bench.write / records * 1e9, bench.longest_write * 1e3,
        (double)stats.records_written / records, wall, cpu, cpu / takes * 1e6, resident_mb());
    record_cache_destroy(bench.cache);
    bench.store->ops->close(bench.store);
    rocksdb_budget_destroy(budget);
    fixture_remove(directory);
    free(directory);
    return 0;
}
