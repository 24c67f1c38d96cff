/*
 * A worker's place in the consumer group, which outlives the handle that it is held with. Used by
 * the worker's own thread alone.
 *
 * A static member that joins anew shuts out whoever else goes by its name. After the broker was
 * away that can be the worker itself: a request to join whose answer was lost is sent again, and
 * the library then speaks with the older of two memberships, which is fatal to its handle. So a
 * worker that is shut out soon after it asked to join makes a new handle and joins again. One that
 * had been a member for longer, or that is shut out again and again, has met another process of its
 * name.
 */
#ifndef PIPELINE_KAFKA_KAFKA_MEMBERSHIP_H
#define PIPELINE_KAFKA_KAFKA_MEMBERSHIP_H

#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_topics.h"

typedef void (*kafka_on_rebalance)(rd_kafka_t *, rd_kafka_resp_err_t,
                                   rd_kafka_topic_partition_list_t *, void *);

struct kafka_membership {
    const struct kafka_setup *setup;
    const struct kafka_topics *topics;
    uint32_t index;
    kafka_on_rebalance on_rebalance;
    void *opaque;
    rd_kafka_t *member;   /* NULL: not joined. */
    uint64_t asked_ns;    /* When it last asked to join, or the group was last rearranged. */
    uint32_t times_ended; /* Shut out in a row. */
};

/* Asks to join; borrows `setup`, `topics` and `opaque`. The callback comes from
 * kafka_membership_poll(). */
MUST_CHECK enum status kafka_membership_join(struct kafka_membership *membership,
                                             struct error *error);
/*
 * Serves the group's callbacks. STATUS_RETRY: shut out; close all that was opened with the handle,
 * then leave and join again. STATUS_FATAL: shut out for good.
 */
MUST_CHECK enum status kafka_membership_poll(struct kafka_membership *membership,
                                             struct error *error);
/* The callback says so when an assignment is revoked: the library asks to join again by itself. */
void kafka_membership_rearranged(struct kafka_membership *membership);
void kafka_membership_leave(struct kafka_membership *membership); /* Not joined: a no-op. */

/*
 * What is to be done about a membership that ended `member_ns` after it asked to join, the
 * `times_ended`-th time in a row: true, join again.
 */
bool kafka_membership_may_return(uint64_t member_ns, int64_t session_timeout_ms,
                                 uint32_t times_ended);

#endif
