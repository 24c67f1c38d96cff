/*
 * A broker in memory with one partition's topics, and the commit log that a producer with
 * transactions gives: outputs, changelog, journal and offsets become visible at once or not at all.
 * It models what is awkward about Kafka's transactions (KIP-98, KIP-360): a commit takes a while;
 * a failure may be reported for one that went through; a producer that is gone leaves a transaction
 * open, which the next owner's initialisation ends, one way or the other; and an old owner that is
 * still alive is fenced by its epoch. Changelogs are compacted.
 */
#ifndef TEST_FAKES_BROKER_H
#define TEST_FAKES_BROKER_H

#include "pipeline/commit/commit_log.h"

enum broker_fate {
    BROKER_COMMITS,
    BROKER_ABORTS,
    BROKER_COMMITS_SILENTLY, /* It is committed, but the producer is told of a failure. */
    BROKER_ABORTS_SILENTLY,
    BROKER_REFUSES, /* start() is to come again. */
};

struct broker;

/* Never NULL. */
struct broker *broker_create(void);
void broker_destroy(struct broker *broker); /* NULL is a no-op. */

/* Of the next transaction: what becomes of it, after so many polls that say pending. */
void broker_set_fate(struct broker *broker, enum broker_fate fate, uint32_t polls);

/* Whether a transaction that a lost producer had asked to be committed is. Else it is aborted. */
void broker_set_orphan_commits(struct broker *broker, bool commits);

/* How many transactions a new owner found open, asked to be committed or not. */
uint64_t broker_orphans(const struct broker *broker);

/* A defect: old owners are not told apart from the new one. */
void broker_forget_epochs(struct broker *broker);

/* Drops changelog records that a later one of the same key replaces. */
void broker_compact(struct broker *broker);

/* What a reader of committed records sees: one a line. */
const unsigned char *broker_output(const struct broker *broker, enum topic topic,
                                   uint64_t *ret_bytes);

/* A producer. Closing it ends nothing: its transaction stays open. Never NULL. */
struct commit_log *broker_log_open(struct broker *broker);

#endif
