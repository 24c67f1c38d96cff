/*
 * The store of a partition of a run on Kafka. All that is in it is in the changelog as well, so one
 * that is of no use (it does not fit the changelog, or is broken) is removed and made anew from
 * there, that of this partition alone.
 */
#ifndef PIPELINE_KAFKA_KAFKA_STORE_H
#define PIPELINE_KAFKA_KAFKA_STORE_H

#include "pipeline/kafka/kafka_log.h"
#include "pipeline/run/partition.h"

/* A store that is corrupt again so soon after it was made anew is not made anew once more. */
#define KAFKA_REBUILD_NS (600ull * 1000000000u)

/* What is remembered of a partition's store from one opening to the next. Zeroed: nothing. */
struct kafka_store_health {
    bool is_corrupt;    /* The next opening is to remove it. */
    bool is_rebuilding; /* It was removed for being corrupt, and the partition is not open yet. */
    bool was_rebuilt;   /* So it was, and the partition was open at rebuilt_ns. */
    uint64_t rebuilt_ns;
    struct error why;
};

/*
 * A call has ended with STATUS_CORRUPT, and `error` says how. STATUS_OK: open the partition again,
 * at once. STATUS_FATAL, with a reason: it was only just made anew, so disk or memory of this
 * machine are not to be trusted, and doing it again would never end.
 */
MUST_CHECK enum status kafka_store_found_corrupt(struct kafka_store_health *health, uint64_t now_ns,
                                                 struct error *error);
/* The partition is open. */
void kafka_store_opened(struct kafka_store_health *health, uint64_t now_ns);

struct kafka_store {
    const struct partition_options *options; /* Borrowed, as all here. */
    const char *origin;                      /* Cluster and changelog, as one line. */
    struct kafka_store_health *health;
    char *directory;
    bool is_foreign; /* Its folder says that it is of another cluster or changelog. */
    bool is_unnamed; /* It does not say of which. */
};

/*
 * Opens the store, having removed a corrupt one; *ret_store is the caller's whatever comes after.
 * `store` has options, origin and health set, and is to be released.
 */
MUST_CHECK enum status kafka_store_open(struct kafka_store *store, struct state_store **ret_store,
                                        struct error *error);
void kafka_store_release(struct kafka_store *store);

/* Makes it anew where the changelog, which has `range`, does not lead on from it. */
MUST_CHECK enum status kafka_store_fit(struct kafka_store *store,
                                       const struct kafka_log_range *range,
                                       struct state_store **store_of_task, struct error *error);

#endif
