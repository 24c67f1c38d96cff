/* What a failed call tells its caller to do (status) and tells people (error). */
#ifndef PIPELINE_BASE_STATUS_H
#define PIPELINE_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define MUST_CHECK __attribute__((warn_unused_result))

enum status {
    STATUS_OK = 0,
    STATUS_RETRY,   /* A disk, broker or device is busy: the same call may succeed later. */
    STATUS_INVALID, /* Input or settings are wrong: the same call fails again. Exit code 2. */
    STATUS_FATAL,   /* The operation failed: stop. Exit code 1. */
    /* Stored data is broken: stop, or make it anew from what it was made of. Exit code 1. */
    STATUS_CORRUPT,
};

/* Owned by the caller, usually on its stack, so that reporting a failure cannot itself fail. */
struct error {
    char message[512];
};

/* Formats the message unless `error` is NULL. */
void error_format(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Formats the message unless `error` is NULL; its value is `failure`, so that a failure is one
 * line. A macro, so that who reads the caller alone, as static analysis does, sees that it fails.
 */
#define error_set(error, failure, ...) (error_format((error), __VA_ARGS__), (enum status)(failure))

/*
 * Puts "prefix: " before the message already in `error` (NULL: no-op), unless that begins so.
 * Returns `status`.
 */
enum status error_prefix(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
