#define _GNU_SOURCE /* gettid, pthread_condattr. NOLINT(bugprone-reserved-identifier) */
#include "pipeline/state/rocksdb_writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "pipeline/base/crash_point.h"

/* Where cores are few, what shoppers wait for goes first. */
#define NICE_VALUE 5
#define PAUSE_NS 1000000

enum writer_state { WRITER_IDLE, WRITER_BUSY, WRITER_FAILED };

struct rocksdb_writer {
    rocksdb_t *db;
    struct rocksdb_slice *slice;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    enum writer_state state;
    bool is_ending;
    char *message; /* Why the state is WRITER_FAILED. */
};

/*
 * Files that are taken over do not wait behind compaction by themselves, as memtables would:
 * RocksDB only says that too many have piled up. Returns a message where compaction has given up.
 */
static char *wait_for_compaction(rocksdb_t *db)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (;;) {
        uint64_t is_stopped = 0;
        uint64_t errors = 0;
        (void)rocksdb_property_int(db, "rocksdb.is-write-stopped", &is_stopped);
        if (!is_stopped) {
            return NULL;
        }
        (void)rocksdb_property_int(db, "rocksdb.background-errors", &errors);
        if (errors > 0) {
            return strdup("compaction has failed, see the LOG file there");
        }
        (void)nanosleep(&pause, NULL);
    }
}

static void *run_writer(void *context)
{
    struct rocksdb_writer *writer = context;
    (void)pthread_setname_np(pthread_self(), "state writer");
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_VALUE);
    (void)pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (writer->state != WRITER_BUSY && !writer->is_ending) {
            (void)pthread_cond_wait(&writer->changed, &writer->mutex);
        }
        if (writer->state != WRITER_BUSY) {
            break;
        }
        (void)pthread_mutex_unlock(&writer->mutex);
        char *message = wait_for_compaction(writer->db);
        if (!message) {
            message = rocksdb_slice_write(writer->slice, writer->db);
        }
        crash_point(CRASH_STORE_SLICE_WRITTEN);
        (void)pthread_mutex_lock(&writer->mutex);
        writer->message = message;
        writer->state = message ? WRITER_FAILED : WRITER_IDLE;
        (void)pthread_cond_broadcast(&writer->changed);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

struct rocksdb_writer *rocksdb_writer_start(rocksdb_t *db, struct rocksdb_slice *slice)
{
    struct rocksdb_writer *writer = calloc(1, sizeof(*writer));
    if (!writer) {
        return NULL;
    }
    writer->db = db;
    writer->slice = slice;
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&writer->mutex, NULL);
    if (pthread_create(&writer->thread, NULL, run_writer, writer) != 0) {
        (void)pthread_mutex_destroy(&writer->mutex);
        (void)pthread_cond_destroy(&writer->changed);
        free(writer);
        return NULL;
    }
    return writer;
}

void rocksdb_writer_stop(struct rocksdb_writer *writer)
{
    if (!writer) {
        return;
    }
    (void)pthread_mutex_lock(&writer->mutex);
    writer->is_ending = true;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
    (void)pthread_join(writer->thread, NULL);
    (void)pthread_mutex_destroy(&writer->mutex);
    (void)pthread_cond_destroy(&writer->changed);
    rocksdb_free(writer->message);
    free(writer);
}

static struct timespec in_milliseconds(uint32_t milliseconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

bool rocksdb_writer_wait(struct rocksdb_writer *writer, uint32_t milliseconds,
                         const char **ret_message)
{
    struct timespec until = in_milliseconds(milliseconds);
    (void)pthread_mutex_lock(&writer->mutex);
    while (writer->state == WRITER_BUSY &&
           pthread_cond_timedwait(&writer->changed, &writer->mutex, &until) == 0) {
    }
    bool is_done = writer->state != WRITER_BUSY;
    *ret_message = writer->state == WRITER_FAILED ? writer->message : NULL;
    (void)pthread_mutex_unlock(&writer->mutex);
    return is_done;
}

void rocksdb_writer_begin(struct rocksdb_writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    assert(writer->state == WRITER_IDLE);
    writer->state = WRITER_BUSY;
    (void)pthread_cond_broadcast(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
}
