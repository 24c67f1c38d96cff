/*
 * A disk in memory that can fail, fill up and crash. It tells what a process sees from what is
 * durable: a write or a cut is durable after sync() of its file, a name after sync_directory() of
 * its folder. Folders are there without being made.
 *
 * A crash of the power keeps a seeded choice of what was not durable: any subset of the writes of
 * each file, in any order, each perhaps torn at any byte, what was skipped reading as zeros; names
 * that are new may vanish, names that were removed may be back. Not thread-safe.
 */
#ifndef TEST_FAKES_STORAGE_FAKE_H
#define TEST_FAKES_STORAGE_FAKE_H

#include "pipeline/commit/storage.h"

enum storage_call {
    STORAGE_OPEN,
    STORAGE_SIZE,
    STORAGE_READ,
    STORAGE_WRITE,
    STORAGE_TRUNCATE,
    STORAGE_SYNC,
    STORAGE_SYNC_DIRECTORY,
    STORAGE_REMOVE,
    STORAGE_RENAME,
    STORAGE_LIST,
    STORAGE_LOCK,
    STORAGE_CALL_COUNT
};
extern const char *const storage_call_names[STORAGE_CALL_COUNT];

enum storage_fault {
    STORAGE_FAIL,         /* The call fails; a write has written half. The process goes on. */
    STORAGE_CRASH_BEFORE, /* The process dies before the call takes effect, */
    STORAGE_CRASH_DURING, /* with a write half done (another call: before it), */
    STORAGE_CRASH_AFTER,  /* or when it has taken effect. */
    STORAGE_FAULT_COUNT
};

enum storage_crash {
    STORAGE_KILL,  /* Only the process dies: the operating system keeps what it was told. */
    STORAGE_POWER, /* What was not durable may be lost. */
};

struct storage_fake;
struct storage_fake *storage_fake_create(void);
void storage_fake_destroy(struct storage_fake *fake); /* NULL is a no-op. */
struct storage *storage_fake_storage(struct storage_fake *fake);

/*
 * The `nth` call from now (1: the next one) meets the fault; 0: none will. A process that has died
 * is played by failing each of its calls until storage_fake_crash().
 */
void storage_fake_fault_at(struct storage_fake *fake, uint64_t nth, enum storage_fault fault);

/* True from the crash fault on until storage_fake_crash(). */
bool storage_fake_is_down(const struct storage_fake *fake);

/*
 * The crash, and the start after it: open files can only be closed from now on, locks are free, and
 * of what was not durable a choice made from `seed` is left.
 */
void storage_fake_crash(struct storage_fake *fake, enum storage_crash crash, uint64_t seed);

/* A disk that only says that it has synced. */
void storage_fake_ignore_sync(struct storage_fake *fake, bool is_ignored);

/* A defect to find: cutting files off does nothing. */
void storage_fake_ignore_cuts(struct storage_fake *fake, bool is_ignored);

/* Writes that would make all files together larger fail, half written. At first there is no end. */
void storage_fake_set_capacity(struct storage_fake *fake, uint64_t bytes);

/* Bytes of all files as a process sees them. */
uint64_t storage_fake_used(const struct storage_fake *fake);

/* Calls so far: all of them, and those of one kind. */
uint64_t storage_fake_calls(const struct storage_fake *fake);
uint64_t storage_fake_calls_of(const struct storage_fake *fake, enum storage_call call);

/* Called before each call, also before one that will fail. */
typedef void storage_fake_hook(void *context, enum storage_call call, const char *path);
void storage_fake_set_hook(struct storage_fake *fake, storage_fake_hook *hook, void *context);

/*
 * What a process would read; NULL where there is no such file. Valid until the next call. Not
 * counted as a call.
 */
const unsigned char *storage_fake_content(const struct storage_fake *fake, const char *path,
                                          uint64_t *ret_bytes);

/* Overwrites bytes, durably, as a bad disk or a careless person would; may make the file longer. */
void storage_fake_damage(struct storage_fake *fake, const char *path, uint64_t offset,
                         const void *bytes, uint64_t length);

/* Cuts a file, durably. */
void storage_fake_cut(struct storage_fake *fake, const char *path, uint64_t bytes);

#endif
