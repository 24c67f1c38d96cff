/* Files as a source reads them, for tests: written, read to the end, and read again from anywhere.
 */
#ifndef TEST_FAKES_SOURCE_READING_H
#define TEST_FAKES_SOURCE_READING_H

#include "pipeline/source/source.h"

#define RECORDS_MAX 128

struct record_copy {
    char *bytes; /* Terminated. */
    uint32_t length;
    struct input_position position;
    struct input_position after;
    enum rejection_reason defect;
    struct digest whole; /* Length 0: the bytes are all. */
};

struct record_list {
    struct record_copy items[RECORDS_MAX];
    size_t count;
    enum source_result last_result;
};

struct reading {
    char *directory;
    char path[4200]; /* Of the input, which is not there yet. */
};

/* For cmocka. */
int reading_setup(void **state);
int reading_teardown(void **state);

/* `mode` is fopen()'s: "wb" begins anew, "ab" appends; for gzip a member. */
void reading_write(const char *path, const void *bytes, size_t length, const char *mode);
void reading_write_gzip(const char *path, const void *bytes, size_t length, const char *mode);
/* To free(); at most a mebibyte. */
unsigned char *reading_read_file(const char *path, size_t *ret_length);

struct source_options reading_options(const char *path, enum input_format format);
struct source *reading_open(const struct source_options *options, struct input_position start);

/* Appends all that comes until end or wait. */
void reading_more(struct source *source, struct record_list *list, bool releases);
/* All of a file from its start; its records are released as they come. */
struct record_list reading_all(const struct source_options *options);
void reading_free(struct record_list *list);

/* Each record, each position: opening there gives exactly the records that follow. */
void reading_assert_resumes(const struct source_options *options);

/* The next record is `expected`; NULL: there is none at the moment. */
void reading_assert_next(struct source *source, const char *expected);

#endif
